"""Pre-forked processes from their inside; `runtime.supervisor` keeps them running."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from objstore.runtime import green
from objstore.runtime.listeners import Address

_READY = b"R"


@dataclass(frozen=True)
class Role:
    """A kind of process. run: called in the child; the process ends when it returns.

    addresses: (host, port) pairs to listen on; port 0 takes a free one, the same for all.
    """

    name: str
    count: int
    run: Callable[[Worker], None]
    addresses: Sequence[Address] = ()


class Worker:
    """The child process itself.

    sockets: listening, one for each address of its role, in that order.
    """

    def __init__(self, role: str, index: int, sockets: list[socket.socket], ready_fd: int, grace: float) -> None:
        self.role = role
        self.index = index
        self.sockets = sockets
        self._ready_fd = ready_fd
        self._grace = grace
        self._drain = green.Event()
        self.draining = False

    def ready(self) -> None:
        """Tell the supervisor that this process is at work; until then, its start counts as under way."""
        if self._ready_fd >= 0:
            try:
                os.write(self._ready_fd, _READY)
            except BrokenPipeError:
                pass  # the parent has gone, which the drain that follows is for
            os.close(self._ready_fd)
            self._ready_fd = -1

    def wait_for_drain(self) -> None:
        """Wait until the process must finish its work."""
        self._drain.wait()

    def start_drain(self) -> None:
        """Begin to end: for the event loop."""
        if self.draining:
            return
        self.draining = True
        # The last resort, for when the parent is no longer there to kill us.
        signal.alarm(int(self._grace) + 2)
        self._drain.send(None)
