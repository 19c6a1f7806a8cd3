"""Manifests read as their segments, and what is freed with them, over a store in memory."""

import hashlib
import io
import json
import logging
from urllib.parse import parse_qs

import pytest
from harness.layer_over_app import LayerOverApp

from objstore.core.errors import NodeFailure
from objstore.core.manifests import FORM, KEEP_SEGMENTS, MANIFEST, MANIFEST_ETAG, MANIFEST_OWNS, MANIFEST_SIZE, owns
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import DeleteOptions, PutOptions
from objstore.layers.manifests import Manifests
from objstore.runtime import green
from objstore.swift.object_get import ObjectGet
from objstore.swift.permission import Permissions
from objstore.swift.request import ProxyRequest
from objstore.web import ranges, segments
from objstore.web.context import RequestContext
from objstore.web.requests import ENVIRON_KEY, HEADER_NAME, api_name, headers
from objstore.web.responses import Response, call, error

OWNS = owns("parts", "u1/")


class Stored:
    def __init__(self, body, headers):
        self.body = body
        self.headers = headers
        self.etag = hashlib.md5(body).hexdigest()


class Store:
    """Objects by path, as the proxy answers for them. breaks: paths whose bodies end after so many bytes."""

    def __init__(self):
        self.objects = {}
        self.asked = []
        self.breaks = {}

    def __call__(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.asked.append((method, path))
        container, _, name = path.removeprefix("/v1/a/").partition("/")
        if not name:
            return self.listing(container, parse_qs(environ["QUERY_STRING"]))(environ, start_response)
        return getattr(self, method.lower())(environ, path)(environ, start_response)

    def listing(self, container, query):
        prefix = query.get("prefix", [""])[0]
        begin = f"/v1/a/{container}/"
        rows = [{"name": path[len(begin) :]} for path in sorted(self.objects) if path.startswith(begin + prefix)]
        return Response(200, {}, json.dumps(rows).encode())

    def get(self, environ, path):
        stored = self.objects.get(path)
        if stored is None:
            return error(404)
        headers = {**stored.headers, "Etag": stored.etag, "X-Timestamp": "1500000000.00000", "Content-Type": "t/x"}
        if environ.get("HTTP_IF_MATCH", stored.etag).strip('"') not in (
            stored.etag, stored.headers.get(MANIFEST_ETAG),
        ):  # fmt: skip
            return error(412)
        start, stop, status = 0, len(stored.body), 200
        if "HTTP_RANGE" in environ and MANIFEST not in stored.headers:
            start, stop = ranges.resolve(ranges.parse(environ["HTTP_RANGE"]), stop)[0]
            headers["Content-Range"] = ranges.content_range(start, stop, len(stored.body))
            status = 206
        headers["Content-Length"] = str(stop - start)
        return Response(status, headers, self.pieces(path, stored.body[start:stop]))

    head = get

    def pieces(self, path, body):
        limit = self.breaks.get(path)
        for start in range(0, len(body), 3):
            if limit is not None and start >= limit:
                raise NodeFailure("broken")
            yield memoryview(body)[start : start + 3]

    def put(self, environ, path):
        replaced = self._replaced(path)
        kept = {HEADER_NAME[key]: value for key, value in environ.items() if "SYSMETA" in key}
        self.objects[path] = Stored(environ["wsgi.input"].read(), kept)
        return Response(201, replaced)

    def delete(self, environ, path):
        replaced = self._replaced(path)
        return Response(204, replaced) if self.objects.pop(path, None) else error(404)

    def _replaced(self, path):
        old = self.objects.get(path)
        owned = old.headers.get(MANIFEST_OWNS) if old else None
        return {"X-Backend-Replaced-Segments": owned} if owned else {}


@pytest.fixture
def store():
    return Store()


class Proxy:
    """The layer of manifests over a store, as an app."""

    def __init__(self, store, free_delay):
        self.layer = Manifests(LayerOverApp(store), free_delay, logging.getLogger("test"))
        self.get = ObjectGet(self.layer)

    def __call__(self, environ, start_response):
        name = api_name(environ["PATH_INFO"], reserved=True)[1]
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self.get(ProxyRequest(environ, name, Permissions(self.layer)))(environ, start_response)
        context, sent = RequestContext.of(environ), headers(environ)
        keep = KEEP_SEGMENTS in sent
        if environ["REQUEST_METHOD"] == "PUT":
            body = BytesBody(environ["wsgi.input"].read())
            self.layer.put(context, name, PutOptions(sent, keep_segments=keep), body)
            return Response(201)(environ, start_response)
        existed = self.layer.delete(context, name, DeleteOptions(keep_segments=keep)).existed
        return Response(204 if existed else 404)(environ, start_response)


@pytest.fixture
def app(store):
    return Proxy(store, 0)


def environ(method, path, headers=None, body=b"", query=""):
    made = {"REQUEST_METHOD": method, "PATH_INFO": f"/v1/a/{path}", "QUERY_STRING": query}
    made |= {"wsgi.input": io.BytesIO(body), "objstore.preauthorized": True}
    return made | {ENVIRON_KEY[name]: value for name, value in (headers or {}).items()}


def ask(app, method, path, headers=None, body=b"", query="", **more):
    answer = call(app, environ(method, path, headers, body, query) | more)
    return answer, answer.read()


def upload(app, *parts, name="c/o", prefix="u1/", etag="e-2"):
    """Segments and their manifest."""
    rows = []
    for number, part in enumerate(parts):
        path = f"parts/{prefix}{number}"
        ask(app, "PUT", path, body=part)
        rows.append({"name": f"/{path}", "hash": hashlib.md5(part).hexdigest(), "bytes": len(part)})
    headers = {
        MANIFEST: FORM, MANIFEST_ETAG: etag, MANIFEST_SIZE: str(sum(map(len, parts))),
        MANIFEST_OWNS: owns("parts", prefix),
    }  # fmt: skip
    ask(app, "PUT", name, headers, segments.dump(rows))


def settle():
    for _ in range(50):
        green.sleep(0)


def test_a_manifest_is_read_as_its_segments(app):
    upload(app, b"hello ", b"", b"world", b"!")
    answer, body = ask(app, "GET", "c/o")
    assert (answer.status, body) == (200, b"hello world!")
    assert answer.headers["Content-Length"] == "12" and answer.headers["Etag"] == "e-2"


def test_head_touches_no_segment(app, store):
    upload(app, b"hello ", b"world")
    store.asked.clear()
    answer, body = ask(app, "HEAD", "c/o")
    assert (answer.status, body, answer.headers["Content-Length"]) == (200, b"", "11")
    assert store.asked == [("HEAD", "/v1/a/c"), ("HEAD", "/v1/a/c/o")]


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("0-0", b"h"),
        ("5-6", b" w"),
        ("6-", b"world!"),
        ("-3", b"ld!"),
        ("3-99", b"lo world!"),
        ("0-11", b"hello world!"),
    ],
)
def test_one_range(app, asked, got):
    upload(app, b"hello ", b"world", b"!")
    answer, body = ask(app, "GET", "c/o", {"Range": f"bytes={asked}"})
    assert (answer.status, body) == (206, got)
    assert answer.headers["Content-Length"] == str(len(got)) and answer.headers["Content-Range"].endswith("/12")


def test_a_range_reads_only_the_segments_it_needs(app, store):
    upload(app, b"aaa", b"bbb", b"ccc")
    store.asked.clear()
    assert ask(app, "GET", "c/o", {"Range": "bytes=4-5"})[1] == b"bb"
    assert store.asked == [("HEAD", "/v1/a/c"), ("GET", "/v1/a/c/o"), ("GET", "/v1/a/parts/u1/1")]


def test_several_ranges(app):
    upload(app, b"hello ", b"world", b"!")
    answer, body = ask(app, "GET", "c/o", {"Range": "bytes=0-1,5-6,-1"})
    assert answer.status == 206 and len(body) == int(answer.headers["Content-Length"])
    boundary = answer.headers["Content-Type"].partition("boundary=")[2].encode()
    pieces = [piece.partition(b"\r\n\r\n")[2].rstrip(b"\r\n") for piece in body.split(b"--" + boundary)[1:-1]]
    assert pieces == [b"he", b" w", b"!"]
    assert body.endswith(b"--\r\n")


def test_a_range_behind_the_end(app):
    upload(app, b"hello")
    answer, _ = ask(app, "GET", "c/o", {"Range": "bytes=5-"})
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */5")


def test_an_if_range_of_another_object_brings_all(app):
    upload(app, b"hello")
    assert ask(app, "GET", "c/o", {"Range": "bytes=1-2", "If-Range": '"other"'})[1] == b"hello"
    assert ask(app, "GET", "c/o", {"Range": "bytes=1-2", "If-Range": '"e-2"'})[1] == b"el"


def test_a_missing_first_segment_is_an_error_and_no_short_body(app, store):
    upload(app, b"hello ", b"world")
    del store.objects["/v1/a/parts/u1/0"]
    with pytest.raises(NodeFailure):
        ask(app, "GET", "c/o")


@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_a_later_segment_that_is_not_what_it_was_ends_the_body_with_an_error(app, store, harm):
    upload(app, b"hello ", b"world")
    if harm == "missing":
        del store.objects["/v1/a/parts/u1/1"]
    else:
        ask(app, "PUT", "parts/u1/1", body=b"WORLD")
    answer = call(app, environ("GET", "c/o"))
    assert answer.status == 200
    got = b""
    with pytest.raises(NodeFailure):
        for piece in answer.body:
            got += bytes(piece)
    assert got == b"hello "


def test_a_segment_that_breaks_off_is_asked_for_again_from_there(app, store):
    upload(app, b"hello ", b"abcdefghi", b"!")
    store.breaks["/v1/a/parts/u1/1"] = 6
    answer = call(app, environ("GET", "c/o"))
    got = b""
    for piece in answer.body:
        got += bytes(piece)
        if got.endswith(b"abc"):
            green.sleep(0)
        if len(got) >= 12:
            store.breaks.clear()
    assert got == b"hello abcdefghi!"


def test_a_segment_that_breaks_off_twice_is_given_up(app, store):
    upload(app, b"hello ", b"abcdefghi")
    store.breaks["/v1/a/parts/u1/1"] = 0
    with pytest.raises(NodeFailure):
        ask(app, "GET", "c/o")


def test_the_list_itself_is_for_trusted_requests(app):
    upload(app, b"hello ", b"world")
    answer, body = ask(app, "GET", "c/o", query="multipart-manifest=get")
    assert [row["bytes"] for row in json.loads(body)] == [6, 5] and answer.headers[MANIFEST_OWNS] == OWNS
    _, body = ask(app, "GET", "c/o", query="multipart-manifest=get", **{"objstore.preauthorized": False})
    assert body == b"[]"


def test_users_see_a_large_object_and_nothing_of_its_list(app):
    upload(app, b"hello ", b"world")
    answer, body = ask(app, "GET", "c/o", **{"objstore.preauthorized": False})
    assert body == b"hello world" and answer.headers["X-Static-Large-Object"] == "True"
    assert not [name for name in answer.headers if "Sysmeta" in name]


def test_a_list_that_does_not_add_up_is_not_served(app):
    upload(app, b"hello ", b"world")
    ask(app, "PUT", "c/o", {MANIFEST: FORM, MANIFEST_ETAG: "e", MANIFEST_SIZE: "9"}, b'[{"name": "/x"}]')
    with pytest.raises(NodeFailure):
        ask(app, "GET", "c/o")


def test_other_objects_pass(app, store):
    ask(app, "PUT", "c/plain", body=b"plain")
    assert ask(app, "GET", "c/plain")[1] == b"plain"
    assert ask(app, "DELETE", "c/plain")[0].status == 204


@pytest.mark.parametrize("change", ["PUT", "DELETE"])
def test_segments_are_freed_with_their_manifest(app, store, change):
    upload(app, b"hello ", b"world")
    ask(app, change, "c/o", body=b"new")
    settle()
    assert not [path for path in store.objects if path.startswith("/v1/a/parts/u1/")]


def test_segments_of_other_uploads_stay(app, store):
    upload(app, b"one")
    upload(app, b"two", name="c/other", prefix="u10/")
    ask(app, "DELETE", "c/o")
    settle()
    assert ask(app, "GET", "c/other")[1] == b"two"


def test_a_manifest_written_again_keeps_its_segments(app, store):
    upload(app, b"hello")
    upload(app, b"hello")
    settle()
    assert ask(app, "GET", "c/o")[1] == b"hello"


def test_segments_that_go_on_elsewhere_are_kept(app, store):
    upload(app, b"hello")
    ask(app, "DELETE", "c/o", {KEEP_SEGMENTS: "true"})
    settle()
    assert "/v1/a/parts/u1/0" in store.objects


@pytest.fixture
def slow(store):
    """Frees after 0.3 s."""
    return Proxy(store, 0.3)


def test_those_who_read_the_old_object_read_on(slow, store):
    upload(slow, b"hello ", b"world")
    answer = call(slow, environ("GET", "c/o"))
    body = iter(answer.body)
    got = bytes(next(body))
    ask(slow, "DELETE", "c/o")
    for _ in range(6):  # longer than the delay: a mark keeps the segments
        green.sleep(0.12)
        got += bytes(next(body, b""))
    got += b"".join(bytes(piece) for piece in body)
    answer.close()
    assert got == b"hello world"


def test_after_the_last_reader_the_segments_go(slow, store):
    upload(slow, b"hello ", b"world")
    ask(slow, "DELETE", "c/o")
    green.sleep(0.1)
    assert [path for path in store.objects if "/freed/" in path]
    green.sleep(1.5)
    assert not store.objects


def test_what_an_ended_process_left_is_freed_with_the_next(slow, store):
    upload(slow, b"old", name="c/old", prefix="u0/")
    store.objects["/v1/a/parts/freed/1000/u0%2F"] = Stored(b"", {})
    del store.objects["/v1/a/c/old"]
    upload(slow, b"hello")
    ask(slow, "DELETE", "c/o")
    green.sleep(1.0)
    assert not store.objects
