"""Random bytes on live connections: each request is answered or refused, and no body becomes a request."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from objstore.core.errors import BodyTruncated
from objstore.http.chunked import ChunkedDecoder
from objstore.runtime import green

SECONDS = 4.0
PUT = b"PUT /first HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
BITS = (
    b"\r\n", b"\n", b"\r", b"0", b"00", b"f", b"ffffffffffffffff", b"-1", b"0x1", b";", b";a=b", b" ", b"\t", b"\0",
    b"0\r\n\r\n", b"zz\r\n", b"A: b\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"\xff", NEXT,
    b"x" * 300,
)  # fmt: skip
HEADS = (
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /a?b=%2f HTTP/1.1\r\nHost: h:80\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
    b"PUT http://h/x HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
)


def damaged(chance: random.Random, data: bytes) -> bytes:
    """The bytes with up to four of them, or runs of them, cut, doubled, replaced or put in."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        upto = min(len(data), at + chance.choice((0, 1, 1, 2, 5)))
        new = chance.choice((b"", data[at:upto] * 2, bytes([chance.randrange(256)]), chance.choice(BITS)))
        data = data[:at] + new + data[upto:]
    return data


def chunks(chance: random.Random) -> bytes:
    sizes = [chance.choice((1, 2, 9, 16, 300)) for _ in range(chance.randrange(5))]
    return b"".join(b"%x\r\n%s\r\n" % (size, b"d" * size) for size in sizes) + b"0\r\n\r\n"


def is_whole(data: bytes) -> bool | None:
    """Whether a body in the chunked coding ends in `data`; None if it is broken."""
    decoder = ChunkedDecoder()
    try:
        decoder.feed(data)
    except BodyTruncated:
        return None
    return decoder.done


def send_in_parts(chance: random.Random, wire: Any, data: bytes) -> None:
    at = 0
    with contextlib.suppress(OSError):
        while at < len(data):
            upto = at + chance.choice((1, 7, 60, 5000))
            wire.send(data[at:upto])
            at = upto
            if chance.random() < 0.7:
                green.sleep()  # what was sent is read before the rest comes


def spent(seed: int) -> Callable[[], random.Random | None]:
    """Return the chances of case after case until the time has passed."""
    end = monotonic() + SECONDS
    cases = iter(range(1 << 30))
    return lambda: random.Random(f"{seed}.{next(cases)}") if monotonic() < end else None


@pytest.mark.parametrize("seed", [1, 2])
def test_no_request_is_made_of_a_broken_body(serve: Any, seed: int) -> None:
    seen: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ["PATH_INFO"])
        status = "200 OK"
        try:
            environ["wsgi.input"].read()
        except BodyTruncated:
            status = "400 Bad Request"
        start_response(status, [("Content-Length", "0")])
        return []

    site = serve(app, client_timeout="0.3", header_timeout="0.3", keepalive_timeout="0.3")
    for chance in iter(spent(seed), None):
        seen.clear()
        body = damaged(chance, chunks(chance)) + b"0\r\n\r\n" * chance.randrange(3)
        wire = site.connect()
        send_in_parts(chance, wire, PUT + body + NEXT)
        wire.stream.sock.shutdown(1)
        answer = wire.rest()
        wire.close()
        site.wires.clear()
        whole = is_whole(body + NEXT)
        assert answer.startswith(b"HTTP/1.1 200" if whole else b"HTTP/1.1 400"), body
        if not whole:
            assert seen == ["/first"] and answer.count(b"HTTP/1.1 ") == 1, body


@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_heads_are_answered_or_refused(serve: Any, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        assert environ["PATH_INFO"].startswith("/") or environ["PATH_INFO"] == "*"
        with contextlib.suppress(BodyTruncated):
            environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Length", "0")])
        return []

    site = serve(app, client_timeout="0.3", header_timeout="0.3", keepalive_timeout="0.3")
    for chance in iter(spent(seed), None):
        data = damaged(chance, chance.choice(HEADS)) + chance.choice((b"", chance.choice(HEADS)))
        wire = site.connect()
        send_in_parts(chance, wire, data)
        with contextlib.suppress(OSError):
            wire.stream.sock.shutdown(1)
        answer = wire.rest()
        wire.close()
        site.wires.clear()
        assert not answer or answer.startswith(b"HTTP/1.1 "), data
        assert b"HTTP/1.1 500" not in answer, data
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
