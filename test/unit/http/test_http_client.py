from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from objstore.core.errors import InvalidInput, NodeFailure, NodeTimeout, NodeUnreachable
from objstore.http.client import ClientSettings, HttpResponse, Pool, Timeouts
from objstore.http.stream import Stream
from objstore.runtime import green, settings

SHORT = Timeouts(0.5, 0.3, 0.3)


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(settings.read(ClientSettings, {}))
    yield pool
    pool.close()


class Script:
    """A node that does, on each connection it gets, what the next function of a list says."""

    def __init__(self, *acts: Callable[[Stream], None]) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.address = self.sock.getsockname()
        self.connections = 0
        self.requests: list[bytes] = []
        self._acts = acts
        self._thread = green.spawn(self._run)

    def _run(self) -> None:
        self.sock.setblocking(False)
        watch = green.Watch(self.sock)
        try:
            for act in self._acts:
                watch.readable()
                sock, peer = self.sock.accept()
                sock.setblocking(False)
                self.connections += 1
                green.spawn(self._act, act, Stream(sock, peer))
        finally:
            watch.close()  # before its socket: the descriptor is used again

    def _act(self, act: Callable[[Stream], None], stream: Stream) -> None:
        try:
            act(stream)
        except OSError:
            stream.close()

    def end(self) -> None:
        self._thread.kill()
        self.sock.close()


@pytest.fixture
def script() -> Iterator[Callable[..., Script]]:
    scripts: list[Script] = []

    def start(*acts: Callable[[Stream], None]) -> Script:
        scripts.append(Script(*acts))
        return scripts[-1]

    yield start
    for item in scripts:
        item.end()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def says(*answers: bytes, then_close: bool = True, abort: bool = False) -> Callable[[Stream], None]:
    """Gives an answer to each request whose head comes, then closes."""

    def act(stream: Stream) -> None:
        for answer in answers:
            data = b""
            while b"\r\n\r\n" not in data:
                more = stream.recv(65536, 5)
                if not more:
                    stream.close()
                    return
                data += more
            if answer:
                stream.send_all([answer], 5)
        if abort:
            stream.abort()
        elif then_close:
            stream.close()
        else:
            green.sleep(5)

    return act


def echo(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Sends back what comes; tells in headers what it was."""
    runs = list(iter(environ["wsgi.input"].read_chunk, b""))
    headers = [("X-Method", environ["REQUEST_METHOD"]), ("X-Trailers", repr(environ.get("objstore.trailers")))]
    if "x-length" in environ["QUERY_STRING"]:
        headers.append(("Content-Length", str(sum(map(len, runs)))))
    start_response("200 OK", headers)
    yield from runs


def full(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("507 Insufficient Storage", [])
    return [b"full"]


# Round trips with our own server


def test_connection_is_used_again(serve: Any, pool: Pool) -> None:
    ports = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        ports.append(environ["REMOTE_PORT"])
        start_response("200 OK", [("etag", '"x"'), ("X-A", "1"), ("x-a", "2")])
        return [b"hello"]

    site = serve(app)
    for _ in range(3):
        response = pool.request(site.address, "GET", "/a?b", {"X-Timestamp": "1"})
        assert (response.status, response.reason, response.read()) == (200, "OK", b"hello")
        assert response.headers["Etag"] == '"x"'
        assert response.headers["X-A"] == "1, 2"
    assert len(set(ports)) == 1
    assert pool.idle == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "REPLICATE", "HEAD"])
def test_methods(serve: Any, pool: Pool, method: str) -> None:
    response = pool.request(
        serve(echo).address, method, "/", {}, b"body" if method in ("PUT", "POST", "REPLICATE") else b""
    )
    assert response.headers["X-Method"] == method
    assert response.read() == (b"body" if method in ("PUT", "POST", "REPLICATE") else b"")
    assert pool.idle == 1


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.one_of(st.binary(max_size=50), st.integers(0, 300_000).map(bytes)), max_size=5),
    chunked=st.booleans(),
    expect=st.booleans(),
    target=st.sampled_from(["/", "/?x-length"]),
    size=st.sampled_from([1, 1000, 1 << 20]),
    trailers=st.sampled_from([None, {"X-Sum": "abc", "X-B": ""}]),
)
def test_random_bodies_in_every_framing(
    shared: tuple[Any, Pool], pieces: list[bytes], chunked: bool, expect: bool, target: str, size: int, trailers: Any
) -> None:
    site, pool = shared
    body = b"".join(pieces)
    if len(body) > 5000 and size == 1:
        size = 7001
    length = None if chunked else len(body)
    upload = pool.open(site.address, "PUT", target, {}, length=length, expect_continue=expect)
    if expect and (body or chunked):
        assert upload.wait_continue() is None
    for piece in pieces:
        assert upload.send(piece)
    response = upload.finish(trailers if chunked else None)
    assert response.headers["X-Trailers"] == repr((trailers or {}) if chunked else None) or not (chunked or body)
    assert b"".join(response.iter(size)) == body
    assert pool.idle == 1


@pytest.fixture
def shared(serve: Any, pool: Pool) -> tuple[Any, Pool]:
    return serve(echo), pool


def test_large_bodies_move_in_large_pieces(serve: Any, pool: Pool) -> None:
    upload = pool.open(serve(echo).address, "PUT", "/?x-length", {}, length=16 << 20)
    for _ in range(16):
        upload.send(bytes(1 << 20))
    sizes = [len(run) for run in upload.finish().iter()]
    assert sum(sizes) == 16 << 20
    assert len(sizes) < 150


def test_final_answer_instead_of_continue(serve: Any, pool: Pool) -> None:
    upload = pool.open(serve(full).address, "PUT", "/", {}, length=1 << 30, expect_continue=True)
    response = upload.wait_continue()
    assert response is not None
    assert (response.status, response.read()) == (507, b"full")
    assert pool.idle == 0


def test_early_answer_is_noticed_while_sending(serve: Any, pool: Pool) -> None:
    upload = pool.open(serve(full).address, "PUT", "/", {}, length=1 << 30)
    sent = 0
    while upload.send(bytes(1 << 20)):
        sent += 1
        green.sleep(0.01)
    assert sent < 20
    response = upload.finish()
    assert (response.status, response.read()) == (507, b"full")


def test_abandoned_upload_is_no_whole_body(serve: Any, pool: Pool) -> None:
    seen: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
            seen.append("whole")
        except Exception as error:
            seen.append(type(error).__name__)
            raise
        return []

    address = serve(app).address
    for length in (10, None):
        upload = pool.open(address, "PUT", "/", {}, length=length)
        upload.send(b"abc")
        green.sleep(0.05)
        upload.abort()
        green.sleep(0.05)
    assert seen == ["BodyTruncated", "BodyTruncated"]


def test_announced_length_is_held(serve: Any, pool: Pool) -> None:
    address = serve(echo).address
    upload = pool.open(address, "PUT", "/", {}, length=3)
    with pytest.raises(InvalidInput):
        upload.send(b"abcd")
    upload.abort()
    upload = pool.open(address, "PUT", "/", {}, length=3)
    upload.send(b"ab")
    with pytest.raises(InvalidInput):
        upload.finish()


def test_closing_early_keeps_the_connection_where_little_is_left(serve: Any, pool: Pool) -> None:
    site = serve(echo)

    def get(size: int) -> HttpResponse:
        return pool.request(site.address, "PUT", "/?x-length", {}, bytes(size))

    get(1000).close()
    assert pool.idle == 1
    get(10_000_000).close()
    assert pool.idle == 0
    for run in get(10_000_000).iter(1000):
        assert len(run) == 1000
        break
    assert pool.idle == 0


# Nodes that misbehave


def test_node_that_refuses(pool: Pool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address = sock.getsockname()
    with pytest.raises(NodeUnreachable):
        pool.request(address, "GET", "/", {})
    with pytest.raises(NodeUnreachable):
        pool.open(address, "PUT", "/", {})


def test_node_that_does_not_answer(script: Any, pool: Pool) -> None:
    node = script(says(b"", then_close=False))
    with pytest.raises(NodeTimeout):
        pool.request(node.address, "GET", "/", {}, timeouts=SHORT)


def test_node_that_falls_silent_within_its_answer(script: Any, pool: Pool) -> None:
    node = script(says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", then_close=False))
    response = pool.request(node.address, "GET", "/", {}, timeouts=SHORT)
    with pytest.raises(NodeTimeout):
        response.read()


def test_node_that_takes_nothing(script: Any, pool: Pool) -> None:
    node = script(says(b"", then_close=False))
    upload = pool.open(node.address, "PUT", "/", {}, timeouts=SHORT)
    with pytest.raises(NodeTimeout):
        for _ in range(100):
            upload.send(bytes(1 << 20))


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 200_000,
    ],
)
def test_garbage_and_broken_answers(script: Any, pool: Pool, answer: bytes) -> None:
    node = script(says(answer))
    with pytest.raises(NodeFailure):
        pool.request(node.address, "GET", "/", {}).read()
    assert pool.idle == 0


def test_answer_without_length_lasts_until_the_close(script: Any, pool: Pool) -> None:
    node = script(says(b"HTTP/1.1 200 OK\r\n\r\nabc"))
    assert pool.request(node.address, "GET", "/", {}).read() == b"abc"
    assert pool.idle == 0


def test_interim_answers_are_passed_over(script: Any, pool: Pool) -> None:
    node = script(says(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK))
    assert pool.request(node.address, "GET", "/", {}).read() == b"ok"


def test_trailers_of_an_answer(script: Any, pool: Pool) -> None:
    node = script(says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: abc\r\n\r\n"))
    response = pool.request(node.address, "GET", "/", {})
    assert response.read() == b"ok"
    assert response.trailers == {"X-Sum": "abc"}


def test_chunks_that_came_at_once_are_read_bit_by_bit(script: Any, pool: Pool) -> None:
    # The connection was given back, and the body taken for ended, with decoded bytes still unread.
    node = script(says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n"))
    assert list(pool.request(node.address, "GET", "/", {}).iter(2)) == [b"ab", b"cd", b"ef"]


def test_closed_answer_does_not_look_as_if_it_had_ended(script: Any, pool: Pool) -> None:
    node = script(says(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc", then_close=False))
    response = pool.request(node.address, "GET", "/", {})
    assert response.read_chunk() == b"abc"
    response.abort()
    with pytest.raises(NodeFailure):
        response.read()


def test_more_than_the_answer_costs_the_connection(script: Any, pool: Pool) -> None:
    node = script(says(OK + b"HTTP/1.1 200 smuggled\r\n\r\n", then_close=False))
    assert pool.request(node.address, "GET", "/", {}).read() == b"ok"
    assert pool.idle == 0


# Kept connections that the node has closed


def test_closed_connection_is_not_used_again(script: Any, pool: Pool) -> None:
    node = script(says(OK), says(OK))
    for _ in range(2):
        assert pool.request(node.address, "POST", "/", {}, b"x").read() == b"ok"
        green.sleep(0.05)
    assert node.connections == 2


def test_idempotent_request_is_sent_again_once(script: Any, pool: Pool) -> None:
    node = script(says(OK, b""), says(OK))  # the second request on the first connection gets no answer
    for _ in range(2):
        assert pool.request(node.address, "PUT", "/", {}, b"body").read() == b"ok"
    assert node.connections == 2


def test_other_requests_are_not_sent_again(script: Any, pool: Pool) -> None:
    node = script(says(OK, b""), says(OK))
    pool.request(node.address, "POST", "/", {}).read()
    with pytest.raises(NodeFailure):
        pool.request(node.address, "POST", "/", {})
    assert node.connections == 1


def test_caller_says_what_is_idempotent(script: Any, pool: Pool) -> None:
    node = script(says(OK, b"", abort=True), says(OK))
    pool.request(node.address, "POST", "/", {}).read()
    assert pool.request(node.address, "POST", "/", {}, idempotent=True).read() == b"ok"


def test_new_connection_is_not_tried_twice(script: Any, pool: Pool) -> None:
    node = script(says(b""), says(OK))
    with pytest.raises(NodeFailure):
        pool.request(node.address, "GET", "/", {})
    assert node.connections == 1


def test_upload_that_waits_for_continue_is_begun_again(script: Any, pool: Pool) -> None:
    node = script(says(OK, b""), says(b"HTTP/1.1 100 Continue\r\n\r\n" + OK))
    pool.request(node.address, "GET", "/", {}).read()
    upload = pool.open(node.address, "PUT", "/", {}, length=4, expect_continue=True)
    assert upload.wait_continue() is None
    upload.send(b"body")
    assert upload.finish().read() == b"ok"
    assert node.connections == 2


def test_upload_whose_body_has_begun_is_not(script: Any, pool: Pool) -> None:
    node = script(says(OK, b""), says(OK))
    pool.request(node.address, "GET", "/", {}).read()
    upload = pool.open(node.address, "PUT", "/", {}, length=4)
    with pytest.raises(NodeFailure):
        upload.send(b"body")
        upload.finish()
    assert node.connections == 1


def test_idle_connections_are_limited_and_expire(serve: Any) -> None:
    pool = Pool(settings.read(ClientSettings, {"max_idle_connections": "3", "idle_timeout": "0.2"}))
    site = serve(echo)
    threads = [green.spawn(pool.request, site.address, "PUT", "/", {}, b"x") for _ in range(6)]
    responses = [thread.wait() for thread in threads]
    assert [response.read() for response in responses] == [b"x"] * 6
    assert pool.idle == 3
    green.sleep(0.5)
    assert pool.idle == 0
    assert site.server.connections == 0


# What cannot be sent


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET", "/a b", {}),
        ("GET", "/a\r\nX: y", {}),
        ("GET", "", {}),
        ("GET", "/€", {}),
        ("G T", "/", {}),
        ("GET", "/", {"A": "b\r\nC: d"}),
        ("GET", "/", {"A": "b\n"}),
        ("GET", "/", {"A": "\0"}),
        ("GET", "/", {"A": "€"}),
        ("GET", "/", {"A b": "c"}),
        ("GET", "/", {"": "c"}),
        ("GET", "/", {"A:": "c"}),
    ],
)
def test_requests_that_would_not_arrive_as_meant(pool: Pool, method: str, target: str, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        pool.request(("127.0.0.1", 1), method, target, headers)
    with pytest.raises(InvalidInput):
        pool.open(("127.0.0.1", 1), method, target, headers)
