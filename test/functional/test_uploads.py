"""How bodies arrive: announced, in chunks, late, too short, too large."""

from __future__ import annotations

import json
import socket
import time

import pytest
from harness.client import Client, exchange, receive_all

BODY = b"some content"


@pytest.fixture
def path(container: str) -> str:
    return f"{container}/object"


def head(client: Client, method: str, path: str, *lines: str) -> bytes:
    """The head of a raw request with a token."""
    start = (f"{method} {client.root}/{path} HTTP/1.1", "Host: store", f"X-Auth-Token: {client.token}")
    return "\r\n".join((*start, *lines, "", "")).encode()


def status(response: bytes) -> int:
    return int(response.split(b" ", 2)[1])


def kept_nothing(owner: Client, path: str) -> None:
    time.sleep(0.2)
    assert owner.get(path).status == 404
    assert owner.names(path.partition("/")[0]) == []


def test_no_length_and_no_chunks(owner: Client, path: str) -> None:
    answer = exchange(owner.address, head(owner, "PUT", path, "Connection: close"))
    assert status(answer) == 411
    kept_nothing(owner, path)


@pytest.mark.parametrize("length", ["-1", "1.5", "abc", "0x10", "1_0", "+5", "", "5, 5", "9" * 40])
def test_lengths_that_are_no_numbers(owner: Client, path: str, length: str) -> None:
    answer = exchange(owner.address, head(owner, "PUT", path, f"Content-Length: {length}") + BODY)
    assert status(answer) in (400, 413)
    kept_nothing(owner, path)


@pytest.mark.parametrize("sent", [0, 5, 100_000, 3_000_000], ids=["nothing", "some", "more", "much"])
def test_a_body_that_stops_short_is_not_kept(owner: Client, path: str, sent: int) -> None:
    owner.put(path, b"before")
    with socket.create_connection(owner.address, 10) as sock:
        sock.sendall(head(owner, "PUT", path, f"Content-Length: {sent + 1}") + b"x" * sent)
        sock.shutdown(socket.SHUT_WR)
        answer = receive_all(sock)
    assert not answer or status(answer) in (400, 408, 499)
    assert owner.get(path).body == b"before"


def test_a_connection_that_breaks_off_leaves_nothing(owner: Client, path: str) -> None:
    for sent in (0, 5, 3_000_000):
        sock = socket.create_connection(owner.address, 10)
        sock.sendall(head(owner, "PUT", path, "Content-Length: 9000000") + b"x" * sent)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset in place of an end
        sock.close()
    kept_nothing(owner, path)


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhello\r\n",
        b"5\r\nhel",
        b"5\r\nhello",
        b"5\r\nhelloXX0\r\n\r\n",
        b"zz\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"5 \x00\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_chunks_that_break_off_or_make_no_sense(owner: Client, path: str, body: bytes) -> None:
    with socket.create_connection(owner.address, 10) as sock:
        sock.sendall(head(owner, "PUT", path, "Transfer-Encoding: chunked") + body)
        sock.shutdown(socket.SHUT_WR)
        answer = receive_all(sock)
    assert not answer or status(answer) in (400, 408, 499), answer[:200]
    kept_nothing(owner, path)


@pytest.mark.parametrize("body", [b"zz\r\n", b"5\r\nhelloXX", b"+5\r\n", b"0\r\nA: b\r\nA: b\r\n\r\n"])
def test_nothing_after_broken_chunks_is_a_request(owner: Client, path: str, body: bytes) -> None:
    # The connection was kept, and what followed could be read as a request.
    hidden = b"0\r\n\r\n" + head(owner, "PUT", path, "Content-Length: 0")
    with socket.create_connection(owner.address, 10) as sock:
        sock.sendall(head(owner, "PUT", path, "Transfer-Encoding: chunked") + body)
        time.sleep(0.1)
        sock.sendall(hidden * 3)
        answer = receive_all(sock)
    assert status(answer) in (400, 408, 499), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in answer
    kept_nothing(owner, path)


def test_chunks_with_extensions_and_trailers(owner: Client, path: str) -> None:
    body = b"5;name=value\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n"
    close = "Connection: close"
    answer = exchange(owner.address, head(owner, "PUT", path, "Transfer-Encoding: chunked", close) + body)
    assert status(answer) == 201
    assert owner.get(path).body == b"hello world"


@pytest.mark.parametrize("expect", ["100-continue", "100-Continue"])
@pytest.mark.parametrize("size", [0, 12, 3_000_000])
def test_a_client_that_waits_is_told_to_go_on(owner: Client, path: str, expect: str, size: int) -> None:
    with socket.create_connection(owner.address, 10) as sock:
        lines = (f"Content-Length: {size}", f"Expect: {expect}", "Connection: close")
        sock.sendall(head(owner, "PUT", path, *lines))
        if size:
            assert sock.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"x" * size)
        answer = receive_all(sock).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert status(answer) == 201
    assert owner.get(path).body == b"x" * size


def test_an_unknown_expectation_is_ignored(owner: Client, path: str) -> None:
    lines = ("Content-Length: 5", "Expect: 200-ok", "Connection: close")
    assert status(exchange(owner.address, head(owner, "PUT", path, *lines) + b"hello")) == 201
    assert owner.get(path).body == b"hello"


@pytest.mark.parametrize("size", [12, 3_000_000, 1 << 40])
def test_a_refusal_comes_in_the_place_of_100_continue(owner: Client, path: str, size: int) -> None:
    where = "no-such-container/object" if size < 1 << 40 else path
    with socket.create_connection(owner.address, 10) as sock:
        sock.sendall(head(owner, "PUT", where, f"Content-Length: {size}", "Expect: 100-continue", "Connection: close"))
        answer = receive_all(sock)
    assert status(answer) == (404 if size < 1 << 40 else 413)


def test_an_announced_size_above_the_limit_is_refused_before_it_is_sent(owner: Client, path: str) -> None:
    most = owner.send("GET", "/info").json["swift"]["max_file_size"]
    begin = time.monotonic()
    answer = exchange(owner.address, head(owner, "PUT", path, f"Content-Length: {most + 1}") + b"x" * 100_000)
    assert status(answer) == 413
    assert time.monotonic() - begin < 8
    kept_nothing(owner, path)


def test_a_slow_body_is_taken_as_it_comes(owner: Client, path: str) -> None:
    with socket.create_connection(owner.address, 10) as sock:
        sock.sendall(head(owner, "PUT", path, f"Content-Length: {len(BODY)}", "Connection: close"))
        for letter in BODY:
            time.sleep(0.05)
            sock.sendall(bytes([letter]))
        assert status(receive_all(sock)) == 201
    assert owner.get(path).body == BODY


def test_a_refused_body_does_not_spoil_the_connection(owner: Client, path: str) -> None:
    """What follows on the same connection is never taken for the next request."""
    inner = head(owner, "DELETE", "smuggled/object")
    refused = head(owner, "PUT", "no-such-container/object", f"Content-Length: {len(inner)}") + inner
    answer = exchange(owner.address, refused + head(owner, "HEAD", "", "Connection: close"))
    statuses = [int(line.split()[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert statuses in ([404], [404, 204])


def test_the_two_ways_to_put_nothing(owner: Client, container: str) -> None:
    assert owner.put(f"{container}/a", b"").status == 201
    assert owner.put(f"{container}/b", iter([])).status == 201
    rows = json.loads(owner.get(container, format="json").body)
    assert {row["hash"] for row in rows} == {"d41d8cd98f00b204e9800998ecf8427e"}


def test_content_and_transfer_encoding_are_different_things(owner: Client, path: str) -> None:
    answer = exchange(owner.address, head(owner, "PUT", path, "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n")
    assert status(answer) in (400, 501)
    kept_nothing(owner, path)
