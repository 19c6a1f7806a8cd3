"""Green threads: the one module that imports eventlet and greenlet.

Nothing is monkey-patched: code that waits says so by calling in here, and disk calls go
through `runtime.threads`. Another green library could take eventlet's place by rewriting
this file alone.
"""

from __future__ import annotations

import socket
import ssl
import warnings
from collections.abc import Callable
from typing import Any

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
spawn = eventlet.spawn
kill = eventlet.kill


def after_fork() -> None:
    """Give this process an event loop of its own; a forked child shares its parent's epoll."""
    eventlet.hubs.use_hub()


def deadline(seconds: float | None, error: BaseException) -> Any:
    """A context manager that raises `error` in this green thread after so many seconds."""
    return eventlet.timeout.Timeout(seconds, error)


def later(seconds: float, call: Callable[..., object], *args: object) -> Any:
    """Call from the event loop after so many seconds; the result has `cancel()`. Must not wait."""
    return eventlet.hubs.get_hub().schedule_call_global(seconds, call, *args)


def wait_readable(sock: Any, timeout: float | None = None) -> None:
    """Wait until the socket (or descriptor) can be read; TimeoutError after `timeout` seconds."""
    eventlet.hubs.trampoline(sock, read=True, timeout=timeout, timeout_exc=TimeoutError("not readable in time"))


def wait_writable(sock: Any, timeout: float | None = None) -> None:
    """Wait until the socket can be written; TimeoutError after `timeout` seconds."""
    eventlet.hubs.trampoline(sock, write=True, timeout=timeout, timeout_exc=TimeoutError("not writable in time"))


def watch(fd: int, on_readable: Callable[[int], None]) -> Any:
    """Call `on_readable(fd)` from the event loop whenever fd can be read; it must not wait."""
    hub = eventlet.hubs.get_hub()

    def thrown(*_: object) -> None:
        pass

    return hub.add(hub.READ, fd, on_readable, thrown, lambda *_: None)


def unwatch(watcher: Any) -> None:
    eventlet.hubs.get_hub().remove(watcher)


def switch_to_hub() -> Any:
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


TLS_WAIT = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
