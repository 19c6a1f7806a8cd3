"""HTTP/1.1 as it goes over the wire: malformed, to be read in two ways, slowly, or all at once."""

from __future__ import annotations

import http.client
import io
import random
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from harness.client import Client, exchange, receive_all
from harness.layouts import ONE_DEVICE
from harness.store import Store

pytestmark = ONE_DEVICE

OK = b"GET /healthcheck HTTP/1.1\r\nHost: store\r\n\r\n"
LAST = b"GET /healthcheck HTTP/1.1\r\nHost: store\r\nConnection: close\r\n\r\n"


@pytest.fixture
def address(store: Store) -> Iterator[tuple[str, int]]:
    """The server's; it must be as well after the test as it was before."""
    yield store.address
    assert statuses(exchange(store.address, LAST)) == [200]


def statuses(received: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]


def talk(address: tuple[str, int], data: bytes) -> bytes:
    """All that comes back for bytes after which nothing more is sent."""
    with socket.create_connection(address, 10) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return receive_all(sock)


START_LINES = [
    b"", b"x", b"GET", b"GET /", b"GET / ", b" GET / HTTP/1.1", b"GET  / HTTP/1.1", b"GET /  HTTP/1.1",
    b"GET / HTTP/1.1 ", b"GET\t/ HTTP/1.1", b"GET / HTTP/2.0", b"GET / HTTP/1.2.3", b"GET / HTTP/11",
    b"GET / http/1.1", b"GET / HTTP/9.9", b"GET / HTTPS/1.1", b"GET / FTP/1.1", b"PRI * HTTP/2.0",
    b"G\x00T / HTTP/1.1", b"G{T / HTTP/1.1", b"GET /\x00 HTTP/1.1", b"GET /a b HTTP/1.1", b"GET /\x7f HTTP/1.1",
    b"GET x HTTP/1.1", b"GET ftp://a/ HTTP/1.1", b"CONNECT a:80 HTTP/1.1", b"OPTIONS a HTTP/1.1",
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1", b"G" * 20_000,
]  # fmt: skip
# After `GET / HTTP/1.1` and one good Host.
FIELDS = [
    b"Host: b", b"Host a", b": a", b"X y: z", b"X : y", b" X: y", b"X: a\r\n b", b"X: a\x00b", b"X: a\x01b", b"X: a\rb",
    b"X\x00: a", b"X" * 100_000, b"X: " + b"a" * 20_000, b"X: " + b"a" * 100_000,
    b"\r\n".join(b"X%d: a" % n for n in range(1000)), b"\r\n".join(b"X%d: %s" % (n, b"a" * 5000) for n in range(50)),
    b"Content-Length: -1", b"Content-Length: 1 1", b"Content-Length: 0x1", b"Content-Length: ",
    b"Content-Length: 1\r\nContent-Length: 2", b"Content-Length: 1, 2", b"Content-Length: " + b"9" * 100,
    b"Transfer-Encoding: chunked\r\nContent-Length: 1", b"Transfer-Encoding: nonsense",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: ",
]  # fmt: skip
MALFORMED = [
    *(line + b"\r\nHost: a\r\n\r\n" for line in START_LINES),
    *(b"GET / HTTP/1.1\r\nHost: a\r\n" + field + b"\r\n\r\n0\r\n\r\n" for field in FIELDS),
    *(
        b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
        for host in (b"a b", b"a/b", b"a\x00", b"a@b", b"[::1", b"a:b:c")
    ),
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"GET / HTTP/1.1\rHost: a\r\r",
    b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"\r\n" * 50_000,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS handshake
    b"\x00" * 100,
    b"\xff" * 100,
]


@pytest.mark.parametrize("data", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_malformed_is_refused_or_hung_up_on(address: tuple[str, int], data: bytes) -> None:
    got = statuses(talk(address, data))
    assert all(400 <= code < 500 or code in (501, 505) for code in got), got
    assert len(got) <= 1


def mutations(seed: int, data: bytes) -> bytes:
    """The bytes with a few of them changed, doubled, cut or put in."""
    chance = random.Random(seed)
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[place] = chance.randrange(256)
            case 1:
                del changed[place : place + chance.randint(1, 5)]
            case 2:
                changed[place:place] = chance.choice([b"\r", b"\n", b"\r\n", b" ", b"\x00", b":", b"\t", b"\xff", b"%"])
            case _:
                changed[place:place] = changed[place : place + chance.randint(1, 20)]
        if not changed:
            break
    return bytes(changed)


SEEDS = (
    OK,
    b"PUT /v1/AUTH_a/c/o?x=y HTTP/1.1\r\nHost: store\r\nX-Auth-Token: t\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT /v1/AUTH_a/c/o HTTP/1.1\r\nHost: store\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b'GET /v1/AUTH_a/c/o HTTP/1.1\r\nHost: a\r\nRange: bytes=0-5,7-\r\nIf-Match: "x"\r\nExpect: 100-continue\r\n\r\n',
    b"GET /auth/v1.0 HTTP/1.1\r\nHost: store\r\nX-Auth-User: a:b\r\nX-Auth-Key: c\r\nConnection: close\r\n\r\n",
    b"COPY /v1/AUTH_a/c/o HTTP/1.1\r\nHost: store\r\nDestination: c/p\r\n\r\n",
    b"GET http://store/v1/AUTH_a?format=json&limit=5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
)


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_random_changes_never_break_the_server(address: tuple[str, int], seed: int) -> None:
    for number in range(100):
        data = mutations(1000 * seed + number, SEEDS[seed])
        got = statuses(talk(address, data))
        assert not [code for code in got if code == 500 or code == 503], (number, data)


def test_random_changes_with_rights_never_break_the_server(owner: Client, container: str) -> None:
    """Those that get past the door: behind it there is more to break."""
    token = f"X-Auth-Token: {owner.token}\r\n".encode()
    start = f"{owner.root}/{container}".encode()
    requests = (
        b"?format=xml&limit=5&marker=a&prefix=b&delimiter=%2F&reverse=true&end_marker=c&path=x",
        b"/o?format=json&multipart-manifest=get",
        b"/%C3%BC%20%2F?temp_url_sig=a",
    )
    for number in range(150):
        target = start + mutations(number, requests[number % len(requests)]).replace(b" ", b"%20")
        data = b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + token + b"\r\n"
        got = statuses(exchange(owner.address, data))
        assert not [code for code in got if code >= 500 and code not in (501, 505)], (number, data)


def smuggling(owner: Client, container: str) -> dict[str, bytes]:
    """Requests that hide another one, which would make an object `smuggled`."""
    inner = (
        f"PUT {owner.root}/{container}/smuggled HTTP/1.1\r\nHost: a\r\nX-Auth-Token: {owner.token}\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()
    outer = f"PUT {owner.root}/{container}/outer HTTP/1.1\r\nHost: a\r\nX-Auth-Token: {owner.token}\r\n".encode()
    length = b"Content-Length: %d\r\n" % len(inner)
    chunked = b"0\r\n\r\n" + inner

    def framed(headers: bytes, body: bytes) -> bytes:
        return outer + headers + b"\r\n" + body

    both = b"Content-Length: %d\r\n" % len(chunked)
    return {
        "length and chunked": framed(both + b"Transfer-Encoding: chunked\r\n", chunked),
        "chunked and length": framed(b"Transfer-Encoding: chunked\r\n" + both, chunked),
        "a space before the colon": framed(both + b"Transfer-Encoding : chunked\r\n", chunked),
        "a tab in the value": framed(both + b"Transfer-Encoding:\tchunked\r\n", chunked),
        "a folded value": framed(both + b"Transfer-Encoding:\r\n chunked\r\n", chunked),
        "a vertical tab": framed(both + b"Transfer-Encoding: \x0bchunked\r\n", chunked),
        "another coding": framed(both + b"Transfer-Encoding: xchunked\r\n", chunked),
        "two codings": framed(both + b"Transfer-Encoding: identity, chunked\r\n", chunked),
        "two headers": framed(both + b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", chunked),
        "quoted": framed(both + b'Transfer-Encoding: "chunked"\r\n', chunked),
        "an underscore": framed(both + b"Transfer_Encoding: chunked\r\n", chunked),
        "an underscore in length": framed(b"Content_Length: 0\r\n" + length, inner),
        "a bare line end": framed(both + b"X: y\nTransfer-Encoding: chunked\r\n", chunked),
        "a bare return": framed(both + b"X: y\rTransfer-Encoding: chunked\r\n", chunked),
        "two lengths": framed(b"Content-Length: 0\r\n" + length, inner),
        "two lengths the other way": framed(length + b"Content-Length: 0\r\n", inner),
        "lengths in a list": framed(b"Content-Length: 0, %d\r\n" % len(inner), inner),
        "a length with a sign": framed(b"Content-Length: +%d\r\n" % len(inner), inner),
        "a length with zeros": framed(b"Content-Length: 000%d\r\n" % len(inner), inner),
        "a length with a space": framed(b"Content-Length: 1 0\r\n", inner),
        "a chunk size with a sign": framed(b"Transfer-Encoding: chunked\r\n", b"+0\r\n\r\n" + inner),
        "a chunk size with 0x": framed(b"Transfer-Encoding: chunked\r\n", b"0x0\r\n\r\n" + inner),
        "a chunk size that overflows": framed(b"Transfer-Encoding: chunked\r\n", b"10000000000000000\r\n\r\n" + inner),
        "a chunk that ends by a line feed": framed(b"Transfer-Encoding: chunked\r\n", b"0\n\n" + inner),
        "a chunk extension with a line feed": framed(b"Transfer-Encoding: chunked\r\n", b"0;a\nb\r\n\r\n" + inner),
        "a trailer that is a request": framed(b"Transfer-Encoding: chunked\r\n", b"0\r\n" + inner),
        "a body of GET": OK[:-2] + length + b"\r\n" + inner,
        "a body of HEAD": OK.replace(b"GET", b"HEAD")[:-2] + length + b"\r\n" + inner,
    }


SMUGGLING = list(smuggling(Client("http://x/v1/a", "t"), "c"))


@pytest.mark.parametrize("trick", SMUGGLING)
def test_no_request_hides_in_another(owner: Client, container: str, address: tuple[str, int], trick: str) -> None:
    got = statuses(talk(address, smuggling(owner, container)[trick]))
    assert len(got) <= 1, got
    assert all(code < 500 or code == 501 for code in got)
    assert "smuggled" not in owner.names(container)


def responses(received: bytes, methods: list[str]) -> list[tuple[int, bytes]]:
    """Status and body of each response in a stream of them."""

    class Stream(io.BytesIO):
        def makefile(self, *_: object) -> io.BytesIO:
            return self

        def close(self) -> None:
            pass

    stream = Stream(received)
    found = []
    for method in methods:
        response = http.client.HTTPResponse(stream, method=method)  # type: ignore[arg-type]
        response.begin()
        found.append((response.status, response.read()))
    assert not stream.read(), "more than was asked for"
    return found


def test_pipelined_requests_are_answered_in_order(owner: Client, container: str) -> None:
    head = f"Host: a\r\nX-Auth-Token: {owner.token}\r\n"
    lines = []
    for number in range(10):
        path = f"{owner.root}/{container}/{number}"
        body = f"body {number}"
        lines.append(("PUT", f"PUT {path} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}"))
        lines.append(("GET", f"GET {path} HTTP/1.1\r\n{head}\r\n"))
        lines.append(("HEAD", f"HEAD {path} HTTP/1.1\r\n{head}\r\n"))
        lines.append(("DELETE", f"DELETE {path} HTTP/1.1\r\n{head}\r\n"))
        close = "Connection: close\r\n" if number == 9 else ""
        lines.append(("GET", f"GET {path} HTTP/1.1\r\n{head}{close}\r\n"))
    received = exchange(owner.address, "".join(text for _, text in lines).encode())
    got = responses(received, [method for method, _ in lines])
    assert [status for status, _ in got] == [201, 200, 200, 204, 404] * 10
    assert [body for status, body in got if status == 200 and body] == [f"body {n}".encode() for n in range(10)]


def test_five_hundred_connections_at_once(address: tuple[str, int]) -> None:
    with ExitStack() as stack:
        socks = [stack.enter_context(socket.create_connection(address, 20)) for _ in range(500)]
        for sock in socks:
            sock.sendall(OK)
        for sock in socks:
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
        # While all of them wait, each is good for another one, and there is room for a new one.
        assert statuses(exchange(address, LAST)) == [200]
        for sock in socks[::50]:
            sock.sendall(OK)
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_head_that_comes_letter_by_letter(address: tuple[str, int]) -> None:
    with socket.create_connection(address, 10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for letter in LAST:
            sock.sendall(bytes([letter]))
            time.sleep(0.005)
        assert statuses(receive_all(sock)) == [200]


def test_heads_that_never_end_are_hung_up_on(address: tuple[str, int]) -> None:
    with ExitStack() as stack:
        socks = [stack.enter_context(socket.create_connection(address, 30)) for _ in range(20)]
        begin = time.monotonic()
        for sock in socks:
            sock.sendall(OK[:-2] + b"X: y")
        assert statuses(exchange(address, LAST)) == [200]
        for sock in socks:
            assert all(code == 408 for code in statuses(receive_all(sock)))
        assert time.monotonic() - begin < 25


def test_a_client_that_does_not_read_does_not_hold_up_others(owner: Client, container: str) -> None:
    path = f"{container}/large"
    body = bytes(1 << 20) * 20
    owner.put(path, body)
    request = f"GET {owner.root}/{path} HTTP/1.1\r\nHost: a\r\nX-Auth-Token: {owner.token}\r\n\r\n".encode()
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(owner.address, 10)).sendall(request)
        assert owner.get(path).body == body
        assert owner.send("GET", "/healthcheck").status == 200


class TestHttp10:
    def test_the_connection_is_closed_after_the_answer(self, address: tuple[str, int]) -> None:
        received = exchange(address, b"GET /healthcheck HTTP/1.0\r\n\r\n")
        assert statuses(received) == [200]
        assert received.endswith(b"OK")

    def test_unless_the_client_wants_to_keep_it(self, address: tuple[str, int]) -> None:
        keep = b"GET /healthcheck HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        received = exchange(address, keep + keep + b"GET /healthcheck HTTP/1.0\r\n\r\n")
        assert statuses(received) == [200, 200, 200]
        assert re.search(rb"connection: keep-alive", received, re.IGNORECASE)

    def test_a_large_body_ends_with_the_connection_or_its_length(self, owner: Client, container: str) -> None:
        body = bytes(range(256)) * 10_000
        owner.put(f"{container}/object", body)
        request = f"GET {owner.root}/{container}/object HTTP/1.0\r\nX-Auth-Token: {owner.token}\r\n\r\n".encode()
        received = exchange(owner.address, request)
        assert received.partition(b"\r\n\r\n")[2] == body
        assert b"chunked" not in received.partition(b"\r\n\r\n")[0].lower()


def test_the_absolute_form_of_a_target(address: tuple[str, int]) -> None:
    request = b"GET http://store/healthcheck HTTP/1.1\r\nHost: store\r\nConnection: close\r\n\r\n"
    assert statuses(exchange(address, request)) == [200]


def test_answers_without_a_body_have_none(owner: Client, container: str) -> None:
    head = f"HTTP/1.1\r\nHost: a\r\nX-Auth-Token: {owner.token}\r\n"
    requests = [
        f"HEAD {owner.root}/{container} {head}\r\n",
        f"GET {owner.root}/{container} {head}\r\n",
        f"HEAD {owner.root}/nothing {head}\r\n",
        f"HEAD {owner.root}/{container}?format=json {head}Connection: close\r\n\r\n",
    ]
    received = exchange(owner.address, "".join(requests).encode())
    got = responses(received, ["HEAD", "GET", "HEAD", "HEAD"])
    assert [status for status, _ in got] == [204, 204, 404, 204]
    assert all(body == b"" for _, body in got)


def test_a_connection_is_kept_for_many_requests(address: tuple[str, int]) -> None:
    with socket.create_connection(address, 10) as sock:
        for _ in range(200):
            sock.sendall(OK)
            assert statuses(sock.recv(65536)) == [200]
