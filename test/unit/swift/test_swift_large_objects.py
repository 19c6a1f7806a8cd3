"""Manifests as clients of the Swift API see them, over a layer in memory."""

from __future__ import annotations

import hashlib
import logging

import pytest
from harness.layer_stacks import LIMIT, POLICIES, Shelf

from objstore.core.manifests import FORM, MANIFEST, MANIFEST_ETAG, MANIFEST_SIZE
from objstore.layers.manifests import Manifests
from objstore.layers.memory import MemoryLayer
from objstore.swift.object_get import ObjectGet
from objstore.swift.permission import Permissions
from objstore.swift.request import ProxyRequest
from objstore.web import segments
from objstore.web.requests import Environ
from objstore.web.responses import Answer, call


class Shop(Shelf):
    """With an object `o` of the segments `hello `, `world` and `!`."""

    def __init__(self) -> None:
        super().__init__(Manifests(MemoryLayer(POLICIES, LIMIT), 0.0, logging.getLogger("test")))
        rows = []
        for number, part in enumerate((b"hello ", b"world", b"!")):
            self.put(f"part{number}", part)
            rows.append({"name": f"/c/part{number}", "hash": hashlib.md5(part).hexdigest(), "bytes": len(part)})
        self.put("o", segments.dump(rows), {MANIFEST: FORM, MANIFEST_ETAG: "e-3", MANIFEST_SIZE: "12"})

    def get(self, query: str = "", **environ: object) -> Answer:
        made: Environ = {"REQUEST_METHOD": "GET", "PATH_INFO": f"/v1{self.name('o').path}", "QUERY_STRING": query}
        request = ProxyRequest(made | environ, self.name("o"), Permissions(self.layer))
        return call(ObjectGet(self.layer)(request), request.environ)


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_several_ranges(shop: Shop) -> None:
    answer = shop.get(HTTP_RANGE="bytes=0-1,5-6,-1")
    body = answer.read()
    assert answer.status == 206 and len(body) == int(answer.headers["Content-Length"])
    boundary = answer.headers["Content-Type"].partition("boundary=")[2].encode()
    pieces = [piece.partition(b"\r\n\r\n")[2].rstrip(b"\r\n") for piece in body.split(b"--" + boundary)[1:-1]]
    assert pieces == [b"he", b" w", b"!"] and body.endswith(b"--\r\n")


def test_users_see_a_large_object_and_nothing_of_its_list(shop: Shop) -> None:
    answer = shop.get()
    assert answer.read() == b"hello world!" and answer.headers["X-Static-Large-Object"] == "True"
    assert not [name for name in answer.headers if "Sysmeta" in name]


def test_the_list_itself_is_for_trusted_requests(shop: Shop) -> None:
    query = "multipart-manifest=get"
    assert shop.get(query).read() == b"[]"
    assert b"part0" in shop.get(query, **{"objstore.preauthorized": True}).read()
