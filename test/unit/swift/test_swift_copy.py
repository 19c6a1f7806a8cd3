"""Copies made by the server, over a layer in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from harness.layer_stacks import LIMIT, POLICIES

from objstore.access.judge import OBJECT_ACL, OBJECT_TAGS
from objstore.core.errors import InvalidInput, MalformedHeader, NodeFailure, NotFound
from objstore.core.limits import DEFAULT_LIMITS
from objstore.core.manifests import FORM, MANIFEST
from objstore.core.names import Name
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import ContainerOptions, PutOptions, ReadOptions, Reply
from objstore.layers.memory import MemoryLayer
from objstore.layers.passing import Passing
from objstore.swift.object_copy import ObjectCopy
from objstore.swift.object_put import ObjectPut
from objstore.swift.permission import Permissions
from objstore.swift.request import ProxyRequest
from objstore.web.context import RequestContext
from objstore.web.errors import response_for
from objstore.web.requests import Environ, api_name
from objstore.web.responses import Response

OLD = {"Content-Type": "text/css", "X-Object-Meta-Color": "red", "X-Object-Meta-Size": "big", "X-Object-Sysmeta-K": "v"}


class Breakable(Passing):
    """Bodies end after a number of bytes, with or without an error."""

    def __init__(self, inner: MemoryLayer) -> None:
        super().__init__(inner)
        self.breaks: int | None = None
        self.error: Exception | None = None
        self.closed = 0
        self.opened: list[ReadOptions] = []

    def open(self, context: RequestContext, name: Name, options: ReadOptions) -> Reply:
        self.opened.append(options)
        reply = self.inner.open(context, name, options)
        return Reply(reply.status, reply.headers, _Body(self, reply.read()))


class _Body:
    def __init__(self, owner: Breakable, data: bytes) -> None:
        self._owner = owner
        self._data = data

    def __iter__(self) -> Iterator[bytes]:
        yield self._data[: self._owner.breaks]
        if self._owner.error is not None:
            raise self._owner.error

    def close(self) -> None:
        self._owner.closed += 1


class Shop:
    """Containers c and d of an account t, and d of u; c/old holds `hello`."""

    def __init__(self) -> None:
        self.layer = Breakable(MemoryLayer(POLICIES, LIMIT))
        for name in (Name("t", "c"), Name("t", "d"), Name("u", "d")):
            self.layer.create_container(RequestContext(), name, ContainerOptions({}))
        self.put("old", b"hello", OLD)
        put = ObjectPut(DEFAULT_LIMITS, self.layer)
        self.verb = ObjectCopy(self.layer, put, DEFAULT_LIMITS.max_file_size)

    def put(self, key: str, data: bytes, headers: dict[str, str]) -> None:
        self.layer.put(RequestContext(), Name("t", "c", key), PutOptions(headers), BytesBody(data))

    def read(self, path: str) -> bytes:
        return self.layer.inner.open(RequestContext(), Name.parse(path), ReadOptions()).read()

    def headers(self, path: str) -> dict[str, str]:
        return self.layer.inner.open(RequestContext(), Name.parse(path), ReadOptions(head=True)).headers

    def ask(self, method: str, path: str, **sent: str) -> Response:
        environ: Environ = {"REQUEST_METHOD": method, "PATH_INFO": f"/v1{path}", "CONTENT_LENGTH": "0"}
        environ["wsgi.input"] = io.BytesIO()
        for name, value in sent.items():
            environ[name if name.startswith("CONTENT_") else f"HTTP_{name}"] = value
        parsed = api_name(environ["PATH_INFO"])
        assert parsed is not None
        try:
            return self.verb(ProxyRequest(environ, parsed[1], Permissions(self.layer)))
        except MalformedHeader as failure:
            return response_for(failure)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("PUT", "/t/d/new", {"X_COPY_FROM": "/c/old"}),
        ("PUT", "/t/d/new", {"X_COPY_FROM": "c/old"}),
        ("COPY", "/t/c/old", {"DESTINATION": "/d/new"}),
        ("COPY", "/t/c/old", {"DESTINATION": "d/n%65w"}),
    ],
)
def test_both_ways_copy_bytes_type_and_metadata(shop: Shop, method: str, path: str, sent: dict[str, str]) -> None:
    response = shop.ask(method, path, X_OBJECT_META_COLOR="blue", **sent)
    assert response.status == 201 and shop.read("/t/d/new") == b"hello"
    headers = shop.headers("/t/d/new")
    assert {name: headers[name] for name in OLD} == OLD | {"X-Object-Meta-Color": "blue"}
    assert response.headers["X-Copied-From"] == "c/old" and response.headers["X-Copied-From-Account"] == "t"
    assert response.headers["X-Copied-From-Last-Modified"] == shop.headers("/t/c/old")["Last-Modified"]
    assert response.headers["X-Object-Meta-Size"] == "big" and "X-Object-Sysmeta-K" not in response.headers


def test_the_source_is_the_newest(shop: Shop) -> None:
    shop.ask("PUT", "/t/d/new", X_COPY_FROM="/c/old")
    assert [options.newest for options in shop.layer.opened] == [True]


def test_fresh_metadata_keeps_the_type_and_system_metadata_alone(shop: Shop) -> None:
    sent = {"X_FRESH_METADATA": "true", "X_OBJECT_META_NEW": "1", "X_OBJECT_SYSMETA_OTHER": "2"}
    assert shop.ask("COPY", "/t/c/old", DESTINATION="/c/old", **sent).status == 201
    headers = shop.headers("/t/c/old")
    kept = {name for name in headers if name.startswith(("X-Object", "Content-Type"))}
    assert kept == {"Content-Type", "X-Object-Meta-New", "X-Object-Sysmeta-K"}


@pytest.mark.parametrize("fresh", ["", "true"])
def test_who_may_read_the_source_is_not_who_may_read_the_copy(shop: Shop, fresh: str) -> None:
    shop.put("public", b"x", OLD | {OBJECT_ACL: "everyone", OBJECT_TAGS: "a=b"})
    assert shop.ask("COPY", "/t/c/public", DESTINATION="/d/new", X_FRESH_METADATA=fresh).status == 201
    headers = shop.headers("/t/d/new")
    assert OBJECT_ACL not in headers and headers[OBJECT_TAGS] == "a=b"


def test_a_type_of_ones_own(shop: Shop) -> None:
    shop.ask("PUT", "/t/c/old", X_COPY_FROM="/c/old", CONTENT_TYPE="a/b")
    assert shop.headers("/t/c/old")["Content-Type"] == "a/b"


def test_between_accounts(shop: Shop) -> None:
    shop.ask("PUT", "/u/d/new", X_COPY_FROM="/c/old", X_COPY_FROM_ACCOUNT="t")
    shop.ask("COPY", "/t/c/old", DESTINATION="/d/newer", DESTINATION_ACCOUNT="u")
    assert shop.read("/u/d/new") == shop.read("/u/d/newer") == b"hello"


def test_names_in_headers_are_url_encoded_utf8(shop: Shop) -> None:
    shop.put("\xe9 %41", b"x", {"Content-Type": "a/b"})
    response = shop.ask("PUT", "/t/d/new", X_COPY_FROM="/c/%C3%A9%20%2541")
    assert response.status == 201 and response.headers["X-Copied-From"] == "c/%C3%A9%20%2541"


def test_a_range_of_the_source(shop: Shop) -> None:
    response = shop.ask("PUT", "/t/d/new", X_COPY_FROM="/c/old", RANGE="bytes=1-2")
    assert response.status == 201 and shop.read("/t/d/new") == b"el"
    assert shop.ask("PUT", "/t/d/new", X_COPY_FROM="/c/old", RANGE="bytes=0-1,3-4").status == 400


def test_a_copy_of_a_large_object_is_none(shop: Shop) -> None:
    shop.put("large", b"[]", {"Content-Type": "a/b", MANIFEST: FORM, "X-Object-Sysmeta-More": "1", **OLD})
    shop.ask("PUT", "/t/d/new", X_COPY_FROM="/c/large")
    headers = shop.headers("/t/d/new")
    assert headers["X-Object-Meta-Color"] == "red" and not [name for name in headers if "Sysmeta" in name]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"X_COPY_FROM": "/c/none"}, 404),
        ({"X_COPY_FROM": "/none/old"}, 404),
        ({"X_COPY_FROM": "/c/old", "IF_MATCH": '"x"'}, 412),
        ({"X_COPY_FROM": "/c/old", "IF_NONE_MATCH": "*"}, 304),
        ({"X_COPY_FROM": "/c/old", "RANGE": "bytes=9-"}, 416),
    ],
)
def test_the_refusal_of_the_source_is_the_answer(shop: Shop, sent: dict[str, str], status: int) -> None:
    response = shop.ask("PUT", "/t/d/new", **sent)
    assert response.status == status and "X-Copied-From" not in response.headers
    with pytest.raises(NotFound):
        shop.read("/t/d/new")


def test_the_refusal_of_the_destination_is_the_answer(shop: Shop) -> None:
    response = shop.ask("COPY", "/t/c/old", DESTINATION="/none/new")
    assert response.status == 404 and "X-Copied-From" not in response.headers
    assert shop.layer.closed


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("COPY", "/t/c/old", {}),
        ("COPY", "/t/c/old", {"DESTINATION": "/d"}),
        ("COPY", "/t/c/old", {"DESTINATION": "/d/%ff"}),
        ("COPY", "/t/c/old", {"DESTINATION": "/d/%00x"}),
        ("COPY", "/t/c/old", {"DESTINATION": "/d/o", "DESTINATION_ACCOUNT": "a/b"}),
        ("PUT", "/t/c/new", {"X_COPY_FROM": "//old"}),
    ],
)
def test_malformed_copies_touch_nothing(shop: Shop, method: str, path: str, sent: dict[str, str]) -> None:
    assert shop.ask(method, path, **sent).status == 412 and not shop.layer.opened


def test_a_copy_has_no_body(shop: Shop) -> None:
    with pytest.raises(InvalidInput):
        shop.ask("PUT", "/t/c/new", X_COPY_FROM="/c/old", CONTENT_LENGTH="3")


def test_a_source_that_is_too_large(shop: Shop) -> None:
    shop.verb.max_size = 4
    assert shop.ask("PUT", "/t/d/new", X_COPY_FROM="/c/old").status == 413 and shop.layer.closed


@pytest.mark.parametrize(("breaks", "failure"), [(2, NodeFailure("gone")), (2, None), (0, OSError("gone"))])
def test_a_source_that_breaks_off_leaves_no_copy(shop: Shop, breaks: int, failure: Exception | None) -> None:
    shop.layer.breaks, shop.layer.error = breaks, failure
    assert shop.ask("PUT", "/t/d/new", X_COPY_FROM="/c/old").status == 503
    assert shop.layer.closed
    with pytest.raises(NotFound):
        shop.read("/t/d/new")


def test_the_bytes_must_be_those_of_the_source_s_etag(shop: Shop) -> None:
    class Wrong(Passing):
        def open(self, context: RequestContext, name: Name, options: ReadOptions) -> Reply:
            reply = self.inner.open(context, name, options)
            return Reply(reply.status, reply.headers, [b"HELLO"])

    wrong: Any = Wrong(shop.layer)
    shop.verb = ObjectCopy(wrong, ObjectPut(DEFAULT_LIMITS, wrong), 1 << 20)
    with pytest.raises(InvalidInput, match="MD5"):
        shop.ask("PUT", "/t/d/new", X_COPY_FROM="/c/old")
