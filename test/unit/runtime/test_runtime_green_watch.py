from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from objstore.runtime import green


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def test_wait_ends_with_data_or_the_deadline(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    watch = green.Watch(ours)
    green.later(0.02, theirs.send, b"x")
    watch.readable(1)
    assert ours.recv(1) == b"x"
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        watch.readable(0.1)
    assert 0.1 <= time.monotonic() - begin < 0.5
    watch.close()


def test_full_socket_is_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    watch = green.Watch(ours)
    with pytest.raises(BlockingIOError):
        while True:
            ours.send(bytes(65536))
    with pytest.raises(TimeoutError):
        watch.writable(0.1)
    green.later(0.02, theirs.recv, 1 << 20)
    watch.writable(1)
    watch.close()


def test_data_that_no_one_waits_for_does_not_keep_the_loop_busy(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    watch = green.Watch(ours)
    green.later(0.01, theirs.send, b"x")
    watch.readable(1)  # and leaves it unread
    before = time.process_time()
    green.sleep(0.2)
    assert time.process_time() - before < 0.1
    watch.readable(1)
    assert ours.recv(1) == b"x"
    watch.close()


def test_closed_watch_frees_the_descriptor_for_another(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    for _ in range(2):
        watch = green.Watch(ours)
        with pytest.raises(TimeoutError):
            watch.readable(0.01)
        watch.close()


def test_interrupted_wait_raises_what_it_is_told(pair: tuple[socket.socket, socket.socket]) -> None:
    watch = green.Watch(pair[0])
    green.later(0.01, watch.interrupt, KeyError("told"))
    with pytest.raises(KeyError):
        watch.readable(1)
    watch.close()
