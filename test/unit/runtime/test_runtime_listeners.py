from __future__ import annotations

import socket

import pytest

from objstore.runtime.listeners import bind, take_no_more


def test_connections_that_have_begun_go_on_when_no_more_are_taken() -> None:
    listener = bind(("127.0.0.1", 0), 1, 16)[0]
    address = listener.getsockname()
    with listener, socket.create_connection(address) as early:
        take_no_more([listener])
        with pytest.raises(TimeoutError):
            socket.create_connection(address, timeout=0.2)
        accepted, _ = listener.accept()
        with accepted:
            early.sendall(b"hello")
            accepted.settimeout(1)
            assert accepted.recv(5) == b"hello"
            accepted.sendall(b"bye")
            assert early.recv(5) == b"bye"
