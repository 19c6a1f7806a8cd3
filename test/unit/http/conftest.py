"""A server and raw connections to it, joined over real sockets in one event loop."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from objstore.http.server import Server, ServerSettings
from objstore.http.stream import Stream
from objstore.runtime import green, settings

FAST = {"linger_timeout": "0.3", "drain_timeout": "2"}


class Wire:
    """A raw connection: what a client of any manners would do."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.stream = Stream(green.connect(address, 2), address)

    def send(self, data: bytes) -> None:
        self.stream.send_all([data], 5)

    def recv(self, timeout: float = 3) -> bytes:
        """The next bytes; b'' at the end, also at a broken one."""
        try:
            return self.stream.recv(1 << 20, timeout)
        except ConnectionError:
            return b""

    def rest(self, timeout: float = 3) -> bytes:
        """All that comes until the server closes."""
        return b"".join(iter(lambda: self.recv(timeout), b""))

    def until(self, mark: bytes) -> bytes:
        """All up to `mark`, which must come."""
        data = b""
        while mark not in data:
            more = self.recv()
            assert more, f"closed after {data!r}"
            data += more
        end = data.index(mark) + len(mark)
        self.stream.unread(data[end:])
        return data[:end]

    def close(self) -> None:
        self.stream.close()


class Site:
    """A running server."""

    def __init__(self, app: Any, options: dict[str, str]) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.address = self.sock.getsockname()
        self.server = Server(
            self.sock, app, settings.read(ServerSettings, {**FAST, **options}), logging.getLogger("test.http")
        )
        self.wires: list[Wire] = []
        self.thread = green.spawn(self.server.serve)

    def connect(self) -> Wire:
        self.wires.append(Wire(self.address))
        return self.wires[-1]

    def talk(self, data: bytes) -> bytes:
        """The whole answer to a connection's whole input."""
        wire = self.connect()
        wire.send(data)
        return wire.rest()

    def end(self) -> None:
        for wire in self.wires:
            wire.close()
        self.server.drain(0.5)
        self.thread.wait()
        self.sock.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def start(app: Any, **options: str) -> Site:
        sites.append(Site(app, options))
        return sites[-1]

    yield start
    for site in sites:
        site.end()
