from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from objstore.core.errors import BodyTimeout, BodyTruncated, ClientGone
from objstore.http.server import handshake
from objstore.http.stream import Stream
from objstore.runtime import green

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
GET_CLOSE = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
PUT = b"PUT /x HTTP/1.1\r\nHost: h\r\n"


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def deaf(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answers without reading."""
    start_response("403 Forbidden", [("Content-Length", "2")])
    return [b"no"]


def answering(*pieces: Any, status: str = "200 OK", headers: Any = ()) -> Callable[..., Any]:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[Any]:
        start_response(status, list(headers))
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    return app


class Closing:
    """An answer that notes whether it was closed."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces

    def close(self) -> None:
        self.closed += 1


# One request after the other


def test_answer_has_date_and_length(serve: Any) -> None:
    answer = serve(hello).talk(GET_CLOSE)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nDate: " in answer and b" GMT\r\n" in answer
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\nhello")


def test_keep_alive_serves_request_after_request(serve: Any) -> None:
    wire = serve(hello).connect()
    for _ in range(3):
        wire.send(GET)
        assert b"Connection" not in wire.until(b"hello")


def test_client_that_asks_is_told_for_how_long_its_connection_is_kept(serve: Any) -> None:
    wire = serve(hello, keepalive_timeout="30s").connect()
    wire.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n")
    assert b"\r\nConnection: keep-alive\r\nKeep-Alive: timeout=30\r\n" in wire.until(b"hello")


def test_pipelined_requests_are_answered_in_order(serve: Any) -> None:
    put = PUT + b"Content-Length: 2\r\n\r\n"
    answer = serve(echo).talk(put + b"aa" + put + b"bb" + PUT + b"Connection: close\r\nContent-Length: 2\r\n\r\ncc")
    assert [part[:2] for part in answer.split(b"\r\n\r\n")[1:]] == [b"aa", b"bb", b"cc"]


def test_empty_lines_before_a_request_are_passed_over(serve: Any) -> None:
    assert serve(hello).talk(b"\r\n\r\n" + GET_CLOSE).endswith(b"hello")


def test_head_may_come_byte_by_byte(serve: Any) -> None:
    wire = serve(hello).connect()
    for byte in GET_CLOSE:
        wire.send(bytes([byte]))
        green.sleep(0)
    assert wire.rest().endswith(b"hello")


def test_http_1_0_closes_unless_asked_not_to(serve: Any) -> None:
    site = serve(hello)
    assert site.talk(b"GET / HTTP/1.0\r\n\r\n").endswith(b"hello")
    wire = site.connect()
    wire.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert b"\r\nConnection: keep-alive\r\n" in wire.until(b"hello")
    wire.send(b"GET / HTTP/1.0\r\n\r\n")
    assert wire.rest().endswith(b"hello")


def test_http_1_0_gets_no_chunks(serve: Any) -> None:
    answer = serve(answering(b"a", b"b")).talk(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert b"Transfer-Encoding" not in answer
    assert answer.endswith(b"Connection: close\r\n\r\nab")


# Answers


def test_body_of_unknown_length_is_chunked(serve: Any) -> None:
    answer = serve(answering(b"abc", b"", memoryview(b"0123456789"))).talk(GET_CLOSE)
    assert b"Transfer-Encoding: chunked" in answer
    assert answer.endswith(b"\r\n\r\n3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n")


def test_empty_body_has_length_zero(serve: Any) -> None:
    assert b"\r\nContent-Length: 0\r\n" in serve(answering()).talk(GET_CLOSE)


def test_length_of_a_list_is_told(serve: Any) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"four"]

    assert b"\r\nContent-Length: 4\r\n" in serve(app).talk(GET_CLOSE)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_statuses_without_body(serve: Any, status: str) -> None:
    wire = serve(answering(status=status)).connect()
    wire.send(GET + GET_CLOSE)
    answer = wire.rest()
    assert answer.count(status.encode()) == 2
    assert b"Content-Length" not in answer and b"chunked" not in answer


def test_head_tells_the_length_and_sends_no_body(serve: Any) -> None:
    answer = serve(hello).talk(b"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert b"\r\nContent-Length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_one_buffer_may_carry_all_pieces(serve: Any) -> None:
    buffer = bytearray(1 << 20)

    def pieces() -> Iterator[memoryview]:
        for number in range(8):
            buffer[:] = bytes([number]) * len(buffer)
            yield memoryview(buffer)

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[memoryview]:
        start_response("200 OK", [("Content-Length", str(8 << 20))])
        return pieces()

    wire = serve(app).connect()
    wire.send(GET_CLOSE)
    wire.until(b"\r\n\r\n")
    green.sleep(0.05)  # so that the server has to wait for us
    assert wire.rest() == b"".join(bytes([number]) * (1 << 20) for number in range(8))


def test_write_callable_and_iterable_together(serve: Any) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [("Content-Length", "6")])
        write(b"abc")
        return [b"def"]

    assert serve(app).talk(GET_CLOSE).endswith(b"\r\n\r\nabcdef")


def test_late_error_replaces_an_answer_that_has_not_begun(serve: Any) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        try:
            raise ValueError
        except ValueError as error:
            start_response("502 Bad Gateway", [], (type(error), error, error.__traceback__))
        return [b"sorry"]

    assert serve(app).talk(GET_CLOSE).startswith(b"HTTP/1.1 502 Bad Gateway\r\n")


@pytest.mark.parametrize(
    "app",
    [
        answering(b"x", headers=[("A", "b\r\nC: d")]),
        answering(b"x", headers=[("A", "b\nC: d")]),
        answering(b"x", headers=[("A", "b\0")]),
        answering(b"x", headers=[("A", "€")]),
        answering(b"x", headers=[("A", 5)]),
        answering(b"x", headers=[("Content-Length", "+1")]),
        answering(b"x", headers=[("Transfer-Encoding", "chunked")]),
        answering(b"xyz", headers=[("Content-Length", "1")]),
        answering(b"x", status="wrong"),
        answering(ValueError("app")),
        lambda environ, start_response: [b"without start_response"],
        lambda environ, start_response: None,
        lambda environ, start_response: 1 / 0,
    ],
)
def test_failing_application_is_answered_for(serve: Any, app: Any) -> None:
    answer = serve(app).talk(GET)
    assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    assert b"C: d" not in answer


@pytest.mark.parametrize(
    "app",
    [
        answering(b"abc", ValueError("app"), headers=[("Content-Length", "10")]),
        answering(b"abc", headers=[("Content-Length", "10")]),
        answering(b"abc", b"defghijk", headers=[("Content-Length", "10")]),
        answering(b"abc", ValueError("app")),
    ],
)
def test_answer_that_breaks_off_is_never_taken_for_whole(serve: Any, app: Any) -> None:
    wire = serve(app).connect()
    wire.send(GET)
    with pytest.raises(ConnectionResetError):
        data = b""
        while more := wire.stream.recv(65536, 2):
            data += more
            assert not data.endswith(b"0\r\n\r\n")


def test_iterable_is_closed_when_done_and_when_the_client_leaves(serve: Any) -> None:
    answers = []

    def app(environ: dict[str, Any], start_response: Any) -> Closing:
        start_response("200 OK", [])
        endless = environ["PATH_INFO"] == "/endless"
        answers.append(Closing(iter(lambda: bytes(1 << 20), b"") if endless else iter([b"a"])))
        return answers[-1]

    site = serve(app)
    site.talk(GET_CLOSE)
    assert answers[0].closed == 1
    wire = site.connect()
    wire.send(b"GET /endless HTTP/1.1\r\nHost: h\r\n\r\n")
    wire.recv()
    wire.stream.abort()
    green.sleep(0.1)
    assert answers[1].closed == 1


def test_client_that_does_not_read_is_given_up(serve: Any) -> None:
    answers = []

    def app(environ: dict[str, Any], start_response: Any) -> Closing:
        start_response("200 OK", [])
        answers.append(Closing(iter(lambda: bytes(1 << 20), b"")))
        return answers[-1]

    wire = serve(app, client_timeout="0.3").connect()
    wire.send(GET)
    green.sleep(0.8)
    assert answers[0].closed == 1


# Bodies of requests


def test_body_in_every_framing(serve: Any) -> None:
    site = serve(echo)
    close = PUT + b"Connection: close\r\n"
    assert site.talk(close + b"Content-Length: 5\r\n\r\nhello").endswith(b"\r\n\r\nhello")
    assert site.talk(close + b"Transfer-Encoding: Chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n").endswith(
        b"\r\n\r\nhello"
    )
    assert site.talk(close + b"\r\n").endswith(b"\r\n\r\n")


def test_large_body_comes_in_large_pieces(serve: Any) -> None:
    sizes = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        while data := environ["wsgi.input"].read_chunk(1 << 20):
            sizes.append(len(data))
        start_response("200 OK", [])
        return []

    wire = serve(app).connect()
    wire.send(PUT + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % (16 << 20))
    for _ in range(256):
        wire.send(bytes(65536))
    assert wire.rest().startswith(b"HTTP/1.1 200")
    assert sum(sizes) == 16 << 20
    assert len(sizes) < 100


def test_a_fast_body_fills_buffers_in_large_runs(serve: Any) -> None:
    sizes: list[int] = []
    seen = hashlib.md5()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        buffer = bytearray(1 << 20)
        while size := environ["wsgi.input"].readinto(buffer):
            sizes.append(size)
            seen.update(buffer[:size])
        start_response("200 OK", [])
        return []

    body = bytes(range(256)) * 32768 + b"rest"
    wire = serve(app).connect()
    wire.send(PUT + b"Content-Length: %d\r\n\r\n" % len(body))
    wire.send(body)
    assert wire.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert (sum(sizes), seen.digest()) == (len(body), hashlib.md5(body).digest())
    assert len(sizes) < 60
    wire.send(GET)
    assert wire.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_a_slow_body_fills_a_part_of_a_buffer(serve: Any) -> None:
    got: list[int] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        while size := environ["wsgi.input"].readinto(bytearray(1 << 20)):
            got.append(size)
        start_response("200 OK", [])
        return []

    wire = serve(app).connect()
    wire.send(PUT + b"Content-Length: 1000000\r\n\r\n")
    wire.send(bytes(1000))
    green.sleep(0.5)
    assert sum(got) == 1000
    wire.send(bytes(999000))
    assert wire.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_slow_body_is_handed_on_before_it_is_large(serve: Any) -> None:
    got: list[int] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        while data := environ["wsgi.input"].read_chunk():
            got.append(len(data))
        start_response("200 OK", [])
        return []

    wire = serve(app).connect()
    wire.send(PUT + b"Content-Length: 1000000\r\n\r\n")
    wire.send(bytes(1000))
    green.sleep(0.5)
    assert sum(got) == 1000
    wire.send(bytes(999000))
    assert wire.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    wire.send(GET)  # a short request is noticed after a body that was waited for in bulk
    assert wire.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_file_methods_of_the_body(serve: Any) -> None:
    seen: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"]
        seen.append(body.readline())
        seen.append(body.readline(3))
        seen.append(body.read(2))
        view = bytearray(4)
        seen.append((body.readinto(view), bytes(view)))
        seen.append(body.readlines())
        seen.append((body.read(), body.read(5), body.readline(), body.read_chunk(), body.readinto(view)))
        start_response("200 OK", [])
        return []

    body = b"first\nsecond\nthird\nfourth\nfifth"
    serve(app).talk(PUT + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert seen == [
        b"first\n",
        b"sec",
        b"on",
        (4, b"d\nth"),
        [b"ird\n", b"fourth\n", b"fifth"],
        (b"", b"", b"", b"", 0),
    ]


def test_trailers_are_there_after_the_body(serve: Any) -> None:
    seen = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(dict(environ["objstore.trailers"]))
        environ["wsgi.input"].read()
        seen.append(environ["objstore.trailers"])
        start_response("200 OK", [])
        return []

    body = b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32: AAAA\r\n\r\n"
    serve(app).talk(PUT + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert seen == [{}, {"X-Amz-Checksum-Crc32": "AAAA"}]


def failures(serve: Any, data: bytes, **options: str) -> tuple[list[Exception], bytes]:
    """What an application that reads the body gets to see, and what the client does."""
    seen: list[Exception] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except Exception as error:
            seen.append(error)
            raise
        start_response("200 OK", [])
        return []

    wire = serve(app, **options).connect()
    wire.send(data)
    if not options:
        wire.stream.sock.shutdown(socket.SHUT_WR)
    return seen, wire.rest()


def test_truncated_body_is_told_to_the_application(serve: Any) -> None:
    for framing in (b"Content-Length: 10\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"):
        seen, answer = failures(serve, PUT + framing)
        assert isinstance(seen[0], BodyTruncated)
        assert answer.startswith(b"HTTP/1.1 400 ")


def checking(noted: list[str]) -> Callable[..., Any]:
    """An application that notes whether the body can still come, and what of it does."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        green.sleep(0.1)
        try:
            environ["objstore.check_body"]()
            noted.append(f"read {len(environ['wsgi.input'].read())}")
        except (BodyTruncated, BodyTimeout) as error:
            noted.append(str(error))
        return hello(environ, start_response)

    return app


LENGTH = b"Content-Length: 20000000\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("sent", [0, 1, 100_000, 300_000])
@pytest.mark.parametrize("start", [LENGTH, CHUNKED + b"fffff\r\n"])
def test_client_that_closed_within_its_body_is_seen_before_it_is_read(serve: Any, start: bytes, sent: int) -> None:
    # Nodes were asked, and files opened, for uploads whose clients were gone: 1,200 held 200 MB for seconds.
    noted: list[str] = []
    wire = serve(checking(noted)).connect()
    wire.send(PUT + start + bytes(sent))
    wire.close()
    green.sleep(0.3)
    assert noted == ["the client closed before the end of the body"]


@pytest.mark.parametrize("size", [1, 70_000, 300_000, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_client_that_only_ends_its_sending_is_served(serve: Any, chunked: bool, size: int) -> None:
    noted: list[str] = []
    wire = serve(checking(noted)).connect()
    if chunked:
        wire.send(PUT + CHUNKED + b"%x\r\n" % size + bytes(size) + b"\r\n0\r\n\r\n")
    else:
        wire.send(PUT + b"Content-Length: %d\r\n\r\n" % size + bytes(size))
    wire.stream.sock.shutdown(socket.SHUT_WR)
    assert wire.rest().endswith(b"hello")
    assert noted == [f"read {size}"]


def test_body_that_comes_in_time_passes_the_check(serve: Any) -> None:
    noted: list[str] = []
    wire = serve(checking(noted)).connect()
    for head in (b"Content-Length: 300000\r\nExpect: 100-continue\r\n\r\n", b"Content-Length: 300000\r\n\r\n"):
        wire.send(PUT + head)
        green.sleep(0.2)
        wire.send(bytes(300_000) + (PUT + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
        wire.until(b"hello")
        wire.until(b"hello")
    assert noted == ["read 300000", "read 3"] * 2


def test_broken_chunks_are_told_to_the_application(serve: Any) -> None:
    seen, answer = failures(serve, PUT + b"Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n")
    assert isinstance(seen[0], BodyTruncated)
    assert answer.startswith(b"HTTP/1.1 400 ")


BROKEN_BODIES = {
    "sign before a size": b"Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
    "size that is no number": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n0\r\n\r\n",
    "chunk longer than its size": b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    "repeated trailer": b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\nA: b\r\n\r\n",
    "bare LF": b"Transfer-Encoding: chunked\r\n\r\n0\n\r\n",
}


@pytest.mark.parametrize("body", BROKEN_BODIES.values(), ids=BROKEN_BODIES.keys())
@pytest.mark.parametrize("reading", ["to the end", "in vain", "not at all"])
def test_nothing_after_a_broken_body_is_read_as_a_request(serve: Any, body: bytes, reading: str) -> None:
    # The connection was kept when the application answered for the broken body itself.
    seen = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ["PATH_INFO"])
        if reading != "not at all":
            for _ in range(2 if reading == "in vain" else 1):
                with contextlib.suppress(BodyTruncated):
                    environ["wsgi.input"].read()
        start_response("400 Bad Request", [("Content-Length", "0")])
        return []

    wire = serve(app).connect()
    wire.send(PUT + body + b"0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: h\r\n\r\n" * 3)
    answer = wire.rest()
    assert seen == ["/x"]
    assert answer.count(b"HTTP/1.1 ") == 1
    if reading != "not at all":
        assert b"\r\nConnection: close\r\n" in answer


def test_slow_body_that_the_application_answers_for_costs_the_connection(serve: Any) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        with contextlib.suppress(BodyTimeout):
            environ["wsgi.input"].read()
        start_response("408 Request Timeout", [("Content-Length", "0")])
        return []

    wire = serve(app, client_timeout="0.2").connect()
    wire.send(PUT + b"Content-Length: 10\r\n\r\nabc")
    assert b"\r\nConnection: close\r\n" in wire.until(b"\r\n\r\n")


def test_pipelined_requests_leave_others_their_turn(serve: Any) -> None:
    # A connection was served without a pause as long as it had sent more requests.
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        end = perf_counter() + 0.001
        while perf_counter() < end:
            pass
        return hello(environ, start_response)

    site = serve(app)
    for _ in range(5):
        site.connect().send(GET * 1000)
    green.sleep(0.05)
    began = perf_counter()
    site.connect().send(GET)
    site.wires[-1].until(b"hello")
    assert perf_counter() - began < 1  # of the 5 s that all of them take


def test_tiny_chunks_leave_others_their_turn(serve: Any) -> None:
    # A megabyte of one-byte chunks kept the loop for more than a second.
    turns = 0

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        nonlocal turns
        green.sleep(0.2)  # until all that fits has come
        turns = 0
        return echo(environ, start_response)

    def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            green.sleep()

    count = 30_000
    wire = serve(app).connect()
    wire.send(PUT + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * count + b"0\r\n\r\n")
    others = green.spawn(take_turns)
    assert wire.until(b"a" * count).startswith(b"HTTP/1.1 200 ")
    green.kill(others)
    assert turns > 25


def test_silent_sender_is_told_to_the_application(serve: Any) -> None:
    seen, answer = failures(serve, PUT + b"Content-Length: 10\r\n\r\nabc", client_timeout="0.2")
    assert isinstance(seen[0], BodyTimeout)
    assert answer.startswith(b"HTTP/1.1 408 ")


# 100-continue


def test_continue_is_sent_when_the_body_is_read(serve: Any) -> None:
    wire = serve(echo).connect()
    wire.send(PUT + b"Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n")
    assert wire.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.send(b"hello")
    assert wire.until(b"hello").startswith(b"HTTP/1.1 200 OK\r\n")


def test_no_continue_where_the_answer_comes_first(serve: Any) -> None:
    answer = serve(deaf).talk(PUT + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"\r\nConnection: close\r\n" in answer


def test_expectation_of_an_empty_body_keeps_the_connection(serve: Any) -> None:
    wire = serve(deaf).connect()
    for _ in range(2):
        wire.send(PUT + b"Expect: 100-continue\r\nContent-Length: 0\r\n\r\n")
        assert wire.until(b"\r\n\r\nno").startswith(b"HTTP/1.1 403")


def test_client_that_leaves_instead_of_sending(serve: Any) -> None:
    seen: list[Exception] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except (BodyTruncated, ClientGone) as error:
            seen.append(error)
            raise
        return []

    wire = serve(app).connect()
    wire.send(PUT + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    wire.until(b"\r\n\r\n")
    wire.close()
    green.sleep(0.1)
    assert len(seen) == 1


# Early answers


def test_short_unread_body_is_passed_over(serve: Any) -> None:
    wire = serve(deaf).connect()
    wire.send(PUT + b"Content-Length: 1000\r\n\r\n" + bytes(1000) + GET)
    wire.until(b"\r\n\r\nno")
    assert wire.until(b"\r\n\r\nno").startswith(b"HTTP/1.1 403")


def test_long_unread_body_costs_the_connection_but_not_the_answer(serve: Any) -> None:
    wire = serve(deaf).connect()
    wire.send(PUT + b"Content-Length: 100000000\r\n\r\n")
    for _ in range(40):
        wire.send(bytes(65536))
    answer = wire.rest()
    assert answer.endswith(b"\r\n\r\nno")


# Refusals, limits, timeouts


def test_refused_request_is_told_why(serve: Any) -> None:
    answer = serve(hello).talk(b"GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n" + GET)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    assert b"text/plain" in answer
    assert answer.count(b"HTTP/1.1") == 1


def test_endless_request_line_is_cut_off(serve: Any) -> None:
    assert serve(hello).talk(b"GET /" + b"a" * 100000).startswith(b"HTTP/1.1 414 ")


def test_too_many_headers(serve: Any) -> None:
    data = b"GET / HTTP/1.1\r\nHost: h\r\n" + b"A: b\r\n" * 30 + b"\r\n"
    assert serve(hello, max_header_count="20").talk(data).startswith(b"HTTP/1.1 431 ")


def test_slow_head_has_a_deadline(serve: Any) -> None:
    wire = serve(hello, header_timeout="0.5").connect()
    answers = []
    for byte in GET_CLOSE * 2:  # each byte comes in time, the head does not
        try:
            wire.send(bytes([byte]))
        except ConnectionError:
            break
        green.sleep(0.05)
        if not wire.stream.is_quiet():
            answers.append(wire.recv())
            break
    assert answers[0].startswith(b"HTTP/1.1 408 ")


def test_idle_connection_is_closed(serve: Any) -> None:
    wire = serve(hello, keepalive_timeout="0.2").connect()
    wire.send(GET)
    wire.until(b"hello")
    assert wire.recv(2) == b""


def test_a_thousand_idle_connections(serve: Any) -> None:
    site = serve(hello, max_connections="2000", max_guests_per_address="0")
    wires = [site.connect() for _ in range(1000)]
    for wire in wires[::50]:
        wire.send(GET)
        wire.until(b"hello")
    assert site.server.connections == 1000


def test_newcomers_take_the_place_of_idle_connections(serve: Any) -> None:
    site = serve(hello, max_connections="2")
    first = site.connect()
    first.send(GET)
    first.until(b"hello")
    for _ in range(3):
        wire = site.connect()
        wire.send(GET)
        wire.until(b"hello")
    assert first.recv() == b""
    assert site.server.connections <= 2


# The end


def vouching(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Reads a body; knows clients that ask for /known."""
    if environ["PATH_INFO"] == "/known":
        environ["objstore.vouch"]()
    return echo(environ, start_response)


PROLOGUES = {
    "nothing": b"",
    "half a head": b"GET / HTTP/1.1\r\nHo",
    "refused, and more": b"GET / HTTP/1.1\r\nHo :\r\n\r\nabc",
    "half a body": PUT + b"Content-Length: 100000\r\n\r\nabc",
    "half a chunk": PUT + b"Transfer-Encoding: chunked\r\n\r\nfff\r\nabc",
    "asked for a body": PUT + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
}


@pytest.mark.parametrize("prologue", PROLOGUES.values(), ids=PROLOGUES.keys())
@pytest.mark.parametrize("limits", [{"max_connections": "40"}, {"max_guests_per_address": "40"}])
def test_slow_clients_do_not_keep_others_out(
    serve: Any, prologue: bytes, limits: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    # So many slow requests stopped the server for everyone.
    site = serve(vouching, linger_timeout="5", **limits)
    known = site.connect()
    known.send(b"PUT /known HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc")
    for _ in range(150):
        site.connect().send(prologue)
        green.sleep(0.002)
    began = perf_counter()
    for _ in range(20):
        wire = site.connect()
        wire.send(GET_CLOSE)
        assert wire.rest().startswith(b"HTTP/1.1 200 ")
    assert perf_counter() - began < 2
    green.sleep(0.3)  # the last have had their time
    site.connect().send(GET_CLOSE)
    green.sleep(0.2)
    assert site.server.connections < 60
    known.send(b"def")
    assert known.until(b"abcdef").startswith(b"HTTP/1.1 200 ")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_slow_readers_do_not_keep_others_out(serve: Any) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/large":
            start_response("200 OK", [])
            return [bytes(1 << 20)] * 64
        return hello(environ, start_response)

    site = serve(app, max_connections="20")
    for _ in range(60):
        site.connect().send(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
        green.sleep(0.005)
    wire = site.connect()
    wire.send(GET_CLOSE)
    assert wire.rest().endswith(b"hello")


def trickle(wire: Any, piece: bytes, seconds: float) -> float:
    """Send a piece again and again; after how many seconds the server broke off."""
    began = perf_counter()
    while perf_counter() - began < seconds:
        try:
            wire.send(piece)
        except OSError:
            break
        green.sleep(0.05)
        if not wire.stream.is_quiet():
            break
    return perf_counter() - began


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000000", b"Content-Length: 1000", b"Transfer-Encoding: chunked"]
)
def test_trickled_body_is_refused(serve: Any, framing: bytes) -> None:
    # Each byte came before the silence was too long: the request went on for ever.
    wire = serve(echo, client_timeout="0.4", min_rate="10K").connect()
    wire.send(PUT + framing + b"\r\n\r\n")
    assert trickle(wire, b"1\r\na\r\n", 5) < 3
    assert wire.rest().startswith(b"HTTP/1.1 408 ")


def test_request_may_not_go_on_for_ever(serve: Any) -> None:
    wire = serve(echo, request_timeout="0.5", min_rate="0").connect()
    wire.send(PUT + b"Content-Length: 1000000\r\n\r\n")
    assert trickle(wire, b"abc", 5) < 3
    assert wire.rest().startswith(b"HTTP/1.1 408 ")


def test_answer_that_is_read_drop_by_drop_is_broken_off(serve: Any) -> None:
    site = serve(answering(*[bytes(1 << 20)] * 64), client_timeout="0.4", min_rate="1M")
    wire = site.connect()
    wire.stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.send(GET)
    began = perf_counter()
    while site.server.connections and perf_counter() - began < 10:
        try:
            wire.stream.sock.recv(2000)
        except BlockingIOError:
            pass
        except OSError:
            break
        green.sleep(0.02)
    assert perf_counter() - began < 5


def test_client_that_goes_on_sending_after_its_answer_is_cut_off(serve: Any) -> None:
    site = serve(deaf, linger_timeout="0.1")
    wire = site.connect()
    wire.send(PUT + b"Content-Length: 100000000\r\n\r\n")
    wire.until(b"no")
    began = perf_counter()
    while site.server.connections and perf_counter() - began < 5:
        try:
            wire.send(b"abc")
        except OSError:
            break
        green.sleep(0.05)
    assert perf_counter() - began < 2


def slow(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    green.sleep(0.3)
    return hello(environ, start_response)


def test_drain_lets_requests_end_and_closes_the_idle(serve: Any) -> None:
    site = serve(slow)
    idle, busy = site.connect(), site.connect()
    busy.send(GET)
    green.sleep(0.05)
    assert site.server.drain() is True
    assert idle.recv() == b""
    answer = busy.rest()
    assert b"\r\nConnection: close\r\n" in answer and answer.endswith(b"hello")
    site.thread.wait()


def test_request_of_a_busy_connection_is_answered_while_draining(serve: Any) -> None:
    site = serve(hello)
    wire = site.connect()
    wire.send(GET)
    wire.until(b"hello")
    draining = green.spawn(site.server.drain)
    green.sleep(0.1)
    wire.send(GET)
    assert b"\r\nConnection: close\r\n" in wire.rest()
    assert draining.wait() is True


def test_drain_gives_up_on_requests_without_end(serve: Any) -> None:
    site = serve(echo)
    wire = site.connect()
    wire.send(PUT + b"Content-Length: 5\r\n\r\n")
    green.sleep(0.05)
    assert site.server.drain(0.2) is False
    assert wire.rest() == b""


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            "openssl",
            "req",
            "-subj",
            "/CN=localhost",
            "-keyout",
            place / "key.pem",
            "-out",
            place / "cert.pem",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ],
        check=True,
        capture_output=True,
    )
    return place


def tls_connect(site: Any, certificate: Path) -> Any:
    wire = site.connect()
    context = ssl.create_default_context(cafile=certificate / "cert.pem")
    context.check_hostname = False
    wire.stream.watch.close()
    plain = wire.stream.sock
    wire.stream = Stream(context.wrap_socket(plain, do_handshake_on_connect=False), site.address)
    handshake(wire.stream, 3)
    return wire


def test_tls_serves_large_bodies_both_ways(serve: Any, certificate: Path) -> None:
    schemes = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        schemes.append((environ["wsgi.url_scheme"], environ["SSL_PROTOCOL"]))
        return echo(environ, start_response)

    site = serve(app, cert_file=str(certificate / "cert.pem"), key_file=str(certificate / "key.pem"))
    wire = tls_connect(site, certificate)
    body = bytes(range(256)) * 12000
    for close in (b"", b"Connection: close\r\n"):
        wire.send(PUT + close + b"Content-Length: %d\r\n\r\n" % len(body))
        sender = green.spawn(wire.send, body)
        head = wire.until(b"\r\n\r\n")
        sender.wait()
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        got = b""
        while len(got) < len(body):
            got += wire.recv()
        assert got == body
    assert schemes == [("https", "TLSv1.3")] * 2


def test_plain_http_to_a_tls_port_is_closed(serve: Any, certificate: Path) -> None:
    site = serve(hello, cert_file=str(certificate / "cert.pem"), key_file=str(certificate / "key.pem"))
    assert b"HTTP/1.1 200" not in site.talk(GET)


def test_handshake_has_a_deadline(serve: Any, certificate: Path) -> None:
    options = {"cert_file": str(certificate / "cert.pem"), "key_file": str(certificate / "key.pem")}
    wire = serve(hello, handshake_timeout="0.2", **options).connect()
    assert wire.recv(2) == b""
