"""Manifests read as their segments, and the segments freed with them, over a layer in memory."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator

import pytest
from harness.layer_stacks import LIMIT, POLICIES, Shelf

from objstore.core.errors import NodeFailure, NotFound
from objstore.core.manifests import FORM, MANIFEST, MANIFEST_ETAG, MANIFEST_OWNS, MANIFEST_SIZE, owns
from objstore.core.names import Name
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import ContainerOptions, Page, PutOptions, ReadOptions, Reply
from objstore.layers.manifests import Manifests
from objstore.layers.memory import MemoryLayer
from objstore.layers.passing import Passing
from objstore.runtime import green
from objstore.web import segments
from objstore.web.context import RequestContext


class Breakable(Passing):
    """Bodies come in pieces of three bytes. breaks: by container/object, the bytes after which they break off."""

    def __init__(self) -> None:
        super().__init__(MemoryLayer(POLICIES, LIMIT))
        self.breaks: dict[str, int] = {}
        self.opened: list[str] = []

    def open(self, context: RequestContext, name: Name, options: ReadOptions) -> Reply:
        path = f"{name.container}/{name.object}"
        self.opened.append(path)
        reply = self.inner.open(context, name, options)
        return Reply(reply.status, reply.headers, self._pieces(path, reply.read()))

    def _pieces(self, path: str, data: bytes) -> Iterator[bytes]:
        limit = self.breaks.get(path)
        for start in range(0, len(data), 3):
            if limit is not None and start >= limit:
                raise NodeFailure("broken")
            yield memoryview(data)[start : start + 3]  # type: ignore[misc]


class Shop(Shelf):
    """The manifests' container, and beside it `parts` for segments."""

    def __init__(self, free_delay: float = 0.0) -> None:
        self.store = Breakable()
        super().__init__(Manifests(self.store, free_delay, logging.getLogger("test")))
        self.parts = self.container._replace(container="parts")
        self.layer.create_container(self.context, self.parts, ContainerOptions({}))

    def put_part(self, key: str, data: bytes) -> None:
        name = self.parts._replace(object=key)
        self.layer.put(self.context, name, PutOptions({"Content-Type": "a/b"}), BytesBody(data))

    def upload(self, *parts: bytes, name: str = "o", prefix: str = "u1/", etag: str = "e-2") -> None:
        """Put segments and their manifest."""
        rows = []
        for number, part in enumerate(parts):
            self.put_part(f"{prefix}{number}", part)
            md5 = hashlib.md5(part).hexdigest()
            rows.append({"name": f"/parts/{prefix}{number}", "hash": md5, "bytes": len(part)})
        size = str(sum(map(len, parts)))
        headers = {MANIFEST: FORM, MANIFEST_ETAG: etag, MANIFEST_SIZE: size, MANIFEST_OWNS: owns("parts", prefix)}
        self.put(name, segments.dump(rows), headers)

    def part_names(self) -> list[str]:
        rows = self.layer.list_objects(self.context, self.parts, Page()).rows
        return [str(row["name"]) for row in rows]


@pytest.fixture
def shop() -> Shop:
    return Shop()


def settle() -> None:
    for _ in range(50):
        green.sleep(0)


def test_a_manifest_is_read_as_its_segments(shop: Shop) -> None:
    shop.upload(b"hello ", b"", b"world", b"!")
    reply = shop.open("o")
    assert (reply.status, reply.read()) == (200, b"hello world!")
    assert reply.headers["Content-Length"] == "12" and reply.headers["Etag"] == "e-2"


def test_head_touches_no_segment(shop: Shop) -> None:
    shop.upload(b"hello ", b"world")
    reply = shop.open("o", head=True)
    assert (reply.status, reply.read(), reply.headers["Content-Length"]) == (200, b"", "11")
    assert shop.store.opened == ["c/o"]


@pytest.mark.parametrize(
    ("asked", "data"),
    [
        ("0-0", b"h"),
        ("5-6", b" w"),
        ("6-", b"world!"),
        ("-3", b"ld!"),
        ("3-99", b"lo world!"),
        ("0-11", b"hello world!"),
    ],
)
def test_one_range(shop: Shop, asked: str, data: bytes) -> None:
    shop.upload(b"hello ", b"world", b"!")
    reply = shop.open("o", {"Range": f"bytes={asked}"})
    assert (reply.status, reply.read()) == (206, data)
    assert reply.headers["Content-Length"] == str(len(data)) and reply.headers["Content-Range"].endswith("/12")


def test_a_range_reads_only_the_segments_it_needs(shop: Shop) -> None:
    shop.upload(b"aaa", b"bbb", b"ccc")
    assert shop.open("o", {"Range": "bytes=4-5"}).read() == b"bb"
    assert shop.store.opened == ["c/o", "parts/u1/1"]


def test_a_range_behind_the_end(shop: Shop) -> None:
    shop.upload(b"hello")
    reply = shop.open("o", {"Range": "bytes=5-"})
    assert (reply.status, reply.headers["Content-Range"]) == (416, "bytes */5")


def test_conditions_are_about_the_etag_of_the_whole(shop: Shop) -> None:
    shop.upload(b"hello")
    assert shop.open("o", {"If-Match": '"e-2"'}).status == 200
    assert shop.open("o", {"If-None-Match": '"e-2"'}).status == 304
    assert shop.open("o", {"If-Match": '"other"'}).status == 412


def test_an_if_range_of_another_object_brings_all(shop: Shop) -> None:
    shop.upload(b"hello")
    assert shop.open("o", {"Range": "bytes=1-2", "If-Range": '"other"'}).read() == b"hello"
    assert shop.open("o", {"Range": "bytes=1-2", "If-Range": '"e-2"'}).read() == b"el"


def test_a_raw_read_brings_the_list_itself(shop: Shop) -> None:
    shop.upload(b"hello ", b"world")
    reply = shop.open("o", raw=True)
    assert [row["bytes"] for row in json.loads(reply.read())] == [6, 5]
    assert reply.headers[MANIFEST_OWNS] == owns("parts", "u1/")


def test_a_missing_first_segment_is_an_error_and_no_short_body(shop: Shop) -> None:
    shop.upload(b"hello ", b"world")
    shop.container, container = shop.parts, shop.container
    shop.delete("u1/0")
    shop.container = container
    with pytest.raises(NodeFailure):
        shop.open("o")


@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_a_later_segment_that_is_not_what_it_was_ends_the_body_with_an_error(shop: Shop, harm: str) -> None:
    shop.upload(b"hello ", b"world")
    if harm == "missing":
        shop.container, container = shop.parts, shop.container
        shop.delete("u1/1")
        shop.container = container
    else:
        shop.put_part("u1/1", b"WORLD")
    reply = shop.open("o")
    assert reply.status == 200
    data = b""
    with pytest.raises(NodeFailure):
        for piece in reply.body:
            data += bytes(piece)
    assert data == b"hello "


def test_a_segment_that_breaks_off_is_asked_for_again_from_there(shop: Shop) -> None:
    shop.upload(b"hello ", b"abcdefghi", b"!")
    shop.store.breaks["parts/u1/1"] = 6
    data = b""
    for piece in shop.open("o").body:
        data += bytes(piece)
        if data.endswith(b"abc"):
            green.sleep(0)
        if len(data) >= 12:
            shop.store.breaks.clear()
    assert data == b"hello abcdefghi!"


def test_a_segment_that_breaks_off_twice_is_given_up(shop: Shop) -> None:
    shop.upload(b"hello ", b"abcdefghi")
    shop.store.breaks["parts/u1/1"] = 0
    with pytest.raises(NodeFailure):
        shop.read("o")


def test_a_list_that_does_not_add_up_is_not_served(shop: Shop) -> None:
    shop.put("o", b'[{"name": "/x"}]', {MANIFEST: FORM, MANIFEST_ETAG: "e", MANIFEST_SIZE: "9"})
    with pytest.raises(NodeFailure):
        shop.open("o")


# Segments that go with their manifest


@pytest.mark.parametrize("change", ["put", "delete"])
def test_segments_are_freed_with_their_manifest(shop: Shop, change: str) -> None:
    shop.upload(b"hello ", b"world")
    getattr(shop, change)("o")
    settle()
    assert shop.part_names() == []


def test_segments_of_other_uploads_stay(shop: Shop) -> None:
    shop.upload(b"one")
    shop.upload(b"two", name="other", prefix="u10/")
    shop.delete("o")
    settle()
    assert shop.read("other") == b"two" and shop.part_names() == ["u10/0"]


def test_a_manifest_written_again_keeps_its_segments(shop: Shop) -> None:
    shop.upload(b"hello")
    shop.upload(b"hello")
    settle()
    assert shop.read("o") == b"hello"


def test_segments_that_go_on_elsewhere_are_kept(shop: Shop) -> None:
    shop.upload(b"hello")
    shop.delete("o", keep_segments=True)
    settle()
    assert shop.part_names() == ["u1/0"]


@pytest.fixture
def slow() -> Shop:
    """Frees after 0.3 s."""
    return Shop(0.3)


def test_those_who_read_the_old_object_read_on(slow: Shop) -> None:
    slow.upload(b"hello ", b"world")
    reply = slow.open("o")
    body = iter(reply.body)
    data = bytes(next(body))
    slow.delete("o")
    for _ in range(6):  # longer than the delay: a mark keeps the segments
        green.sleep(0.12)
        data += bytes(next(body, b""))
    data += b"".join(bytes(piece) for piece in body)
    reply.close()
    assert data == b"hello world"


def test_after_the_last_reader_the_segments_go(slow: Shop) -> None:
    slow.upload(b"hello ", b"world")
    slow.delete("o")
    green.sleep(0.1)
    assert [name for name in slow.part_names() if name.startswith("freed/")]
    green.sleep(1.5)
    assert slow.part_names() == [] and slow.names() == []


def test_what_an_ended_process_left_is_freed_with_the_next(slow: Shop) -> None:
    slow.upload(b"old", name="old", prefix="u0/")
    slow.delete("old", keep_segments=True)
    slow.put_part("freed/1000/u0%2F", b"")
    slow.upload(b"hello")
    slow.delete("o")
    green.sleep(1.0)
    assert slow.part_names() == []
    with pytest.raises(NotFound):
        slow.open("o")
