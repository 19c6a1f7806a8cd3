"""Green threads: the one module that imports eventlet and greenlet.

Nothing is monkey-patched: code that waits says so by calling in here, and disk calls go
through `runtime.threads`. Another green library could take eventlet's place by rewriting
this file alone.
"""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any

# Its resolver would import a DNS library, which costs each process 8 MB; names are not looked up here.
os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")
with warnings.catch_warnings():
    # eventlet warns at import that it is in maintenance mode; the choice is confined to
    # this file, and an operator can do nothing about it.
    warnings.simplefilter("ignore")
    import eventlet
    import eventlet.event
    import eventlet.hubs
    import eventlet.queue
    import eventlet.semaphore
    import eventlet.timeout

from greenlet import GreenletExit as GreenletExit
from greenlet import getcurrent as getcurrent

Event = eventlet.event.Event
Queue = eventlet.queue.LightQueue
QueueEmpty = eventlet.queue.Empty
QueueFull = eventlet.queue.Full
Semaphore = eventlet.semaphore.Semaphore
sleep = eventlet.sleep
kill = eventlet.kill


def start(function: Callable[..., object], *args: object) -> None:
    """Run a function, which must not raise, in a green thread of its own; cheaper than `spawn`."""
    eventlet.spawn_n(function, *args)


def spawn(function: Callable[..., object], *args: object, **kwargs: object) -> Any:
    """Run a function in a green thread of its own; `wait()` of the result returns what it returns, or raises its error.

    The result of one that was killed is None: as an error it would keep all that it worked with in memory.
    """
    return eventlet.spawn(_unless_killed, function, *args, **kwargs)


def _unless_killed(function: Callable[..., object], *args: object, **kwargs: object) -> object:
    try:
        return function(*args, **kwargs)
    except GreenletExit:
        return None


def after_fork() -> None:
    """Give this process an event loop of its own; a forked child shares its parent's epoll."""
    eventlet.hubs.use_hub()


def deadline(seconds: float | None, error: BaseException) -> Any:
    """A context manager that raises `error` in this green thread after a number of seconds."""
    return eventlet.timeout.Timeout(seconds, error)


def later(seconds: float, call: Callable[..., object], *args: object) -> object:
    """Call a function from the event loop after a number of seconds; the result has `cancel()`. The function must not
    wait."""
    return eventlet.hubs.get_hub().schedule_call_global(seconds, call, *args)


def wait_writable(sock: object, timeout: float | None = None) -> None:
    """Wait until the socket can be written; TimeoutError after `timeout` seconds."""
    eventlet.hubs.trampoline(sock, write=True, timeout=timeout, timeout_exc=TimeoutError("not writable in time"))


def watch(fd: int, on_readable: Callable[[int], None]) -> object:
    """Call `on_readable(fd)` from the event loop whenever fd can be read; it must not wait."""
    hub = eventlet.hubs.get_hub()
    return hub.add(hub.READ, fd, on_readable, _ignore, None)


def unwatch(watcher: object) -> None:
    eventlet.hubs.get_hub().remove(watcher)


def switch_to_hub() -> object:
    """Suspend this green thread until someone calls `switch` or `throw` on it."""
    return eventlet.hubs.get_hub().switch()


def connect(address: tuple[str, int], timeout: float) -> socket.socket:
    """A connected, non-blocking TCP socket without Nagle's delay.

    The host must be an IP address: looking names up would stall the loop.
    Raises TimeoutError or OSError.
    """
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        error = sock.connect_ex(address)
        if error not in (0, 115, 36):  # EINPROGRESS on Linux and macOS
            raise OSError(error, f"connect to {address[0]}:{address[1]}")
        if error:
            wait_writable(sock, timeout)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, f"connect to {address[0]}:{address[1]}")
        return sock
    except BaseException:
        sock.close()
        raise


SWEEP_SECONDS = 0.1


class _Sweep:
    """Ends the waits of a loop's watches whose deadlines have passed.

    Looking at each watch ten times a second costs less than setting and cancelling a timer
    for each wait: 1,000 idle watches take about 0.05% of a core.
    """

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self.is_running = False
        self.watches: set[Watch | Bound | Waiter] = set()

    def add(self, watch: Watch | Bound | Waiter) -> None:
        self.watches.add(watch)
        if not self.is_running:
            self.is_running = True
            self._hub.schedule_call_global(SWEEP_SECONDS, self._run)

    def _run(self) -> None:
        # Scheduled first: an error that leaves a green thread woken below must not end the sweeps.
        self.is_running = bool(self.watches)
        if self.is_running:
            self._hub.schedule_call_global(SWEEP_SECONDS, self._run)
        now = monotonic()
        for watch in [watch for watch in self.watches if watch.deadline <= now]:
            watch.expire()


def _sweep() -> _Sweep:
    hub = eventlet.hubs.get_hub()
    try:
        sweep: _Sweep = hub.objstore_sweep
    except AttributeError:
        hub.objstore_sweep = sweep = _Sweep(hub)
    return sweep


class Bound:
    """A context manager that raises an error in this green thread if its block takes too long.

    Cheaper than `deadline`, and coarse: up to `SWEEP_SECONDS` late. May be entered again and again.
    """

    __slots__ = ("_error", "_seconds", "_sweep", "_thread", "deadline")

    def __init__(self, seconds: float, error: Callable[[], BaseException]) -> None:
        """seconds: 0 for no limit."""
        self._seconds = seconds
        self._error = error
        self._sweep = _sweep()
        self._thread: Any = None
        self.deadline = inf

    def __enter__(self) -> Bound:
        if self._seconds:
            self._thread = getcurrent()
            self.deadline = monotonic() + self._seconds
            sweep = self._sweep
            sweep.watches.add(self)
            if not sweep.is_running:
                sweep.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.deadline = inf
        self._sweep.watches.discard(self)

    def expire(self) -> None:
        """For the event loop only."""
        self.deadline = inf
        self._thread.throw(self._error())


class Waiter:
    """A single wait of a green thread for others. Its timeout is coarse: up to `SWEEP_SECONDS` late."""

    __slots__ = ("_hub", "_thread", "deadline")

    def __init__(self) -> None:
        self._hub = eventlet.hubs.get_hub()
        self._thread: Any = None
        self.deadline = inf

    def wait(self, seconds: float) -> None:
        """Wait until `wake`, or for a number of seconds."""
        sweep = _sweep()
        self._thread = getcurrent()
        self.deadline = monotonic() + seconds
        sweep.add(self)
        try:
            self._hub.switch()
        finally:
            self._thread = None
            sweep.watches.discard(self)

    def wake(self, seconds: float = 0.0) -> None:
        """End the wait soon, or at the latest after a number of seconds."""
        if seconds > 0:
            self.deadline = min(self.deadline, monotonic() + seconds)
        else:
            self._hub.schedule_call_global(0, self.expire)

    def expire(self) -> None:
        """For the event loop only."""
        self.deadline = inf
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.switch()


class Watch:
    """Waits for one socket, for one green thread at a time.

    Cheaper than a trampoline of eventlet for a connection that lives long: the descriptor stays in the
    event loop's set between waits (it leaves it when data comes that no one waits for), and
    timeouts need no timer. They are coarse: up to `SWEEP_SECONDS` late.
    Close it before the socket: descriptors are used again.
    """

    __slots__ = ("_fd", "_hub", "_listener", "_reader", "_sweep", "_writer", "deadline")

    def __init__(self, sock: Any) -> None:
        self._fd = sock.fileno()
        self._hub = eventlet.hubs.get_hub()
        self._sweep = _sweep()
        self._listener: object = None
        self._reader: Any = None
        self._writer: Any = None
        self.deadline = inf
        self._sweep.add(self)

    @property
    def is_waiting(self) -> bool:
        """True if a green thread is waiting here."""
        return self._reader is not None or self._writer is not None

    def readable(self, timeout: float | None = None) -> None:
        """Wait until the socket can be read; TimeoutError after `timeout` seconds."""
        if self._listener is None:
            self._listener = self._hub.add(self._hub.READ, self._fd, self._on_readable, _ignore, None)
        if timeout is not None:
            self.deadline = monotonic() + timeout
        self._reader = getcurrent()
        try:
            self._hub.switch()
        finally:
            self._reader = None
            self.deadline = inf

    def writable(self, timeout: float | None = None) -> None:
        """Wait until the socket can be written; TimeoutError after `timeout` seconds."""
        listener = self._hub.add(self._hub.WRITE, self._fd, self._on_writable, _ignore, None)
        if timeout is not None:
            self.deadline = monotonic() + timeout
        self._writer = getcurrent()
        try:
            self._hub.switch()
        finally:
            self._writer = None
            self.deadline = inf
            self._hub.remove(listener)

    def _on_readable(self, fd: int) -> None:
        reader = self._reader
        if reader is not None:
            reader.switch()
        elif self._listener is not None:
            # Left in the loop's set, unread data would wake the loop over and over.
            self._unlisten()

    def _on_writable(self, fd: int) -> None:
        writer = self._writer
        if writer is not None:
            writer.switch()

    def interrupt(self, error: BaseException) -> None:
        """Soon raise `error` in the green thread that waits here then, if one does."""
        self._hub.schedule_call_global(0, self.throw, error)

    def expire(self) -> None:
        """For the event loop only: end the wait with a TimeoutError."""
        self.deadline = inf
        self.throw(TimeoutError("timed out"))

    def throw(self, error: BaseException) -> None:
        """For the event loop only: raise `error` in the green thread that waits here, if one does."""
        waiter = self._reader or self._writer
        if waiter is not None:
            waiter.throw(error)

    def _unlisten(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            self._hub.remove(listener)

    def close(self) -> None:
        """Forget the socket; no one may wait any more."""
        self._sweep.watches.discard(self)
        self._unlisten()


def _ignore(*_: object) -> None:
    pass
