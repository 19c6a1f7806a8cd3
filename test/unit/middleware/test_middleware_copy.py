"""Copies made by the server."""

import hashlib
import io

import pytest

from objstore.core.errors import NodeFailure
from objstore.layers.bodies import whole
from objstore.middleware.copy import Copy, SourceBody
from objstore.web.errors import response_for
from objstore.web.requests import WsgiBody, header, headers
from objstore.web.responses import Answer, Response, call, error

OLD = {"Content-Type": "text/css", "X-Object-Meta-Color": "red", "X-Object-Meta-Size": "big", "X-Object-Sysmeta-K": "v"}


class Proxy:
    """Keeps objects in memory, as whole responses; knows no COPY."""

    def __init__(self):
        self.objects = {}
        self.asked = []
        self.forbidden = set()

    def put(self, path, body, **headers):
        etag = hashlib.md5(body).hexdigest()
        self.objects[path] = {"Etag": etag, "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"} | headers, body

    def __call__(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.asked.append((method, path, headers(environ), environ))
        if (method, path) in self.forbidden:
            return error(403)(environ, start_response)
        return getattr(self, method)(environ, path)(environ, start_response)

    def GET(self, environ, path):
        if path not in self.objects:
            return error(404)
        told, body = self.objects[path]
        if "HTTP_RANGE" in environ:
            return Response(206, {**told, "Content-Range": "bytes 1-2/5"}, body[1:3])
        return Response(200, told, body)

    def PUT(self, environ, path):
        try:
            body = whole(WsgiBody(environ), 1 << 30)
        except Exception as failure:
            return response_for(failure)
        if header(environ, "Etag", hashlib.md5(body).hexdigest()) != hashlib.md5(body).hexdigest():
            return error(422)
        kept = {
            name: value for name, value in headers(environ).items() if name.startswith(("X-Object", "Content-Type"))
        }
        self.put(path, body, **kept)
        return Response(201, {"Etag": hashlib.md5(body).hexdigest()})

    def OPTIONS(self, environ, path):
        return Response(200, {"Allow": "GET, PUT", "Access-Control-Allow-Methods": "GET, PUT"})


@pytest.fixture
def proxy():
    made = Proxy()
    made.put("/v1/AUTH_t/c/old", b"hello", **OLD)
    return made


def ask(proxy, method, path, options=None, query="", **sent):
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "CONTENT_LENGTH": "0"}
    environ["wsgi.input"] = io.BytesIO()
    for name, value in sent.items():
        environ[name if name == "CONTENT_LENGTH" else "CONTENT_TYPE" if name == "CONTENT_TYPE" else f"HTTP_{name}"] = (
            value
        )
    answer = call(Copy(proxy, **(options or {})), environ)
    return answer, answer.read()


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("PUT", "/v1/AUTH_t/d/new", {"X_COPY_FROM": "/c/old"}),
        ("PUT", "/v1/AUTH_t/d/new", {"X_COPY_FROM": "c/old"}),
        ("COPY", "/v1/AUTH_t/c/old", {"DESTINATION": "/d/new"}),
        ("COPY", "/v1/AUTH_t/c/old", {"DESTINATION": "d/n%65w"}),
    ],
)
def test_both_ways_copy_bytes_type_and_metadata(proxy, method, path, sent):
    answer, _ = ask(proxy, method, path, X_OBJECT_META_COLOR="blue", **sent)
    told, body = proxy.objects["/v1/AUTH_t/d/new"]
    assert (answer.status, body) == (201, b"hello")
    assert told | {"Last-Modified": 0, "Etag": 0} == OLD | {
        "X-Object-Meta-Color": "blue",
        "Last-Modified": 0,
        "Etag": 0,
    }
    assert answer.headers["X-Copied-From"] == "c/old" and answer.headers["X-Copied-From-Account"] == "AUTH_t"
    assert answer.headers["X-Copied-From-Last-Modified"] == "Thu, 01 Jan 2026 00:00:00 GMT"
    assert answer.headers["X-Object-Meta-Size"] == "big" and "X-Object-Sysmeta-K" not in answer.headers


def test_the_source_is_the_newest_and_the_put_is_pinned_to_it(proxy):
    ask(proxy, "PUT", "/v1/AUTH_t/d/new", X_COPY_FROM="/c/old", X_AUTH_TOKEN="tk")
    (_, _, get, environ), (_, _, put, _) = proxy.asked
    assert get["X-Newest"] == "true" and get["X-Auth-Token"] == "tk" and environ["objstore.source"] == "copy"
    assert put["Etag"] == hashlib.md5(b"hello").hexdigest() and put["Content-Length"] == "5"
    assert "X-Copy-From" not in put and "X-Newest" not in put
    assert "objstore.preauthorized" not in environ


def test_fresh_metadata_keeps_the_type_and_system_metadata_alone(proxy):
    sent = {"X_FRESH_METADATA": "true", "X_OBJECT_META_NEW": "1", "X_OBJECT_SYSMETA_OTHER": "2"}
    ask(proxy, "COPY", "/v1/AUTH_t/c/old", DESTINATION="/c/old", **sent)
    told, body = proxy.objects["/v1/AUTH_t/c/old"]
    assert body == b"hello" and {name for name in told if name.startswith(("X-", "C"))} == {
        "Content-Type",
        "X-Object-Meta-New",
        "X-Object-Sysmeta-K",
    }


def test_a_type_of_ones_own(proxy):
    ask(proxy, "PUT", "/v1/AUTH_t/c/old", X_COPY_FROM="/c/old", CONTENT_TYPE="a/b")
    assert proxy.objects["/v1/AUTH_t/c/old"][0]["Content-Type"] == "a/b"


def test_between_accounts(proxy):
    ask(proxy, "PUT", "/v1/AUTH_u/d/new", X_COPY_FROM="/c/old", X_COPY_FROM_ACCOUNT="AUTH_t")
    ask(proxy, "COPY", "/v1/AUTH_t/c/old", DESTINATION="/d/newer", DESTINATION_ACCOUNT="AUTH_u")
    assert proxy.objects["/v1/AUTH_u/d/new"][1] == proxy.objects["/v1/AUTH_u/d/newer"][1] == b"hello"


def test_names_in_headers_are_url_encoded_utf8(proxy):
    proxy.put("/v1/AUTH_t/c/\xc3\xa9 %41", b"x")
    answer, _ = ask(proxy, "PUT", "/v1/AUTH_t/d/new", X_COPY_FROM="/c/%C3%A9%20%2541")
    assert answer.status == 201 and answer.headers["X-Copied-From"] == "c/%C3%A9%20%2541"


def test_a_range_of_the_source(proxy):
    answer, _ = ask(proxy, "PUT", "/v1/AUTH_t/d/new", X_COPY_FROM="/c/old", RANGE="bytes=1-2")
    assert answer.status == 201 and proxy.objects["/v1/AUTH_t/d/new"][1] == b"el"


def test_what_refuses_the_source_is_the_answer(proxy):
    proxy.forbidden.add(("GET", "/v1/AUTH_t/c/old"))
    assert ask(proxy, "PUT", "/v1/AUTH_t/d/new", X_COPY_FROM="/c/old")[0].status == 403
    assert ask(proxy, "PUT", "/v1/AUTH_t/d/new", X_COPY_FROM="/c/none")[0].status == 404
    assert [method for method, *_ in proxy.asked] == ["GET", "GET"]


def test_what_refuses_the_destination_is_the_answer(proxy):
    proxy.forbidden.add(("PUT", "/v1/AUTH_t/d/new"))
    answer, _ = ask(proxy, "COPY", "/v1/AUTH_t/c/old", DESTINATION="/d/new")
    assert answer.status == 403 and "X-Copied-From" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("COPY", "/v1/AUTH_t/c/old", {}, 412),
        ("COPY", "/v1/AUTH_t/c/old", {"DESTINATION": "/d"}, 412),
        ("COPY", "/v1/AUTH_t/c/old", {"DESTINATION": "/d/%ff"}, 412),
        ("COPY", "/v1/AUTH_t/c/old", {"DESTINATION": "/d/o", "DESTINATION_ACCOUNT": "a/b"}, 412),
        ("PUT", "/v1/AUTH_t/c/new", {"X_COPY_FROM": "//old"}, 412),
        ("PUT", "/v1/AUTH_t/c/new", {"X_COPY_FROM": "/c/old", "CONTENT_LENGTH": "3"}, 400),
    ],
)
def test_malformed_copies_touch_nothing(proxy, method, path, sent, status):
    assert ask(proxy, method, path, **sent)[0].status == status and proxy.asked == []


def test_a_source_that_is_too_large(proxy):
    answer, _ = ask(proxy, "PUT", "/v1/AUTH_t/d/new", {"max_file_size": 4}, X_COPY_FROM="/c/old")
    assert answer.status == 413 and len(proxy.asked) == 1


def test_a_source_of_unknown_size_is_too_large():
    def app(environ, start_response):
        start_response("200 OK", [])
        return iter([b"x"])

    assert ask(app, "PUT", "/v1/AUTH_t/d/new", X_COPY_FROM="/c/old")[0].status == 413


class Body:
    def __init__(self, *pieces):
        self.pieces = pieces
        self.closed = False

    def __iter__(self):
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def close(self):
        self.closed = True


@pytest.mark.parametrize("pieces", [(b"he", NodeFailure("gone")), (b"he",), ()])
def test_a_source_that_breaks_off_leaves_no_copy(proxy, pieces):
    body = Body(*pieces)
    proxy.GET = lambda environ, path: Response(200, {"Content-Length": "5", "Content-Type": "a/b"}, body)
    answer, _ = ask(proxy, "PUT", "/v1/AUTH_t/d/new", X_COPY_FROM="/c/old")
    assert answer.status == 503 and "/v1/AUTH_t/d/new" not in proxy.objects and body.closed


def test_the_source_is_closed_where_the_destination_is_refused(proxy):
    body = Body(b"hello")
    proxy.GET = lambda environ, path: Response(200, {"Content-Length": "5"}, body)
    proxy.forbidden.add(("PUT", "/v1/AUTH_t/d/new"))
    ask(proxy, "PUT", "/v1/AUTH_t/d/new", X_COPY_FROM="/c/old")
    assert body.closed


def test_other_requests_pass_untouched(proxy):
    ask(proxy, "PUT", "/v1/AUTH_t/c/new", X_OBJECT_META_A="b")
    ask(proxy, "GET", "/v1/AUTH_t/c/old", X_COPY_FROM="/c/old")
    assert [method for method, *_ in proxy.asked] == ["PUT", "GET"]


def test_copy_stands_among_the_methods_of_objects(proxy):
    answer, _ = ask(proxy, "OPTIONS", "/v1/AUTH_t/c/old")
    assert answer.headers["Allow"] == answer.headers["Access-Control-Allow-Methods"] == "GET, PUT, COPY"
    assert ask(proxy, "OPTIONS", "/v1/AUTH_t/c")[0].headers["Allow"] == "GET, PUT"


def test_a_source_body_reads_in_pieces_of_any_size():
    def body():
        return SourceBody(Answer(200, {}, Body(b"abc", memoryview(b"defg"), b"")), 7)

    assert body().read() == b"abcdefg"
    one = body()
    assert (one.read(2), one.read(3), one.read(9), one.read(1)) == (b"ab", b"cde", b"fg", b"")
    assert [bytes(piece) for piece in body()] == [b"abc", b"defg"]
    buffer = bytearray(5)
    assert (body().readinto(buffer), buffer[:3]) == (3, b"abc")
