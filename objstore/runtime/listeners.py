"""Listening sockets that several processes share one port with."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
import struct
from collections.abc import Iterable

from objstore.core.errors import ConfigError

Address = tuple[str, int]

_SO_ATTACH_FILTER = 26
# A program of the kernel's packet filter, which sees the TCP header: (code, jump if true, if false, value).
_DROP_SYN = (
    (0x30, 0, 0, 13),  # load the flags
    (0x54, 0, 0, 0x12),  # of which SYN and ACK count
    (0x15, 0, 1, 0x02),  # SYN alone begins a connection:
    (0x06, 0, 0, 0),  # drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # take it
)


def bind(address: Address, count: int, backlog: int) -> list[socket.socket]:
    """Open listening sockets on one address, between which the kernel distributes connections.

    address: a host and a port; port 0 chooses a free one. Raises ConfigError if it is not available.
    """
    host, port = address
    try:
        family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # SO_REUSEPORT would let us share the port with a server that is running already; this fails instead.
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
            if not port:
                target = (target[0], probe.getsockname()[1], *target[2:])
        return [_listen(family, target, backlog) for _ in range(count)]
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else str(error)
        raise ConfigError(f"cannot listen on {host}:{port}: {reason}") from None


def _listen(family: int, target: object, backlog: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(target)  # type: ignore[arg-type]
        sock.listen(backlog)
        sock.setblocking(False)
        return sock
    except BaseException:
        sock.close()
        raise


def take_no_more(sockets: Iterable[socket.socket]) -> None:
    """Let listening sockets begin no further connections, so that none is lost between the last accept and the close.

    A client that connects meanwhile tries again after a second, and is refused or finds another server
    by then. Without packet filters in the kernel, nothing changes.
    """
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _DROP_SYN))
    program = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(code))
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
