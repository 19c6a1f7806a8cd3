"""Listening sockets that several processes share one port with."""

from __future__ import annotations

import errno
import socket

from objstore.core.errors import ConfigError

Address = tuple[str, int]


def bind(address: Address, count: int, backlog: int) -> list[socket.socket]:
    """So many listening sockets on one address, between which the kernel spreads connections.

    address: a host and a port; port 0 takes a free one. ConfigError when it cannot be had.
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
