"""Manifests of clients, over a layer in memory: rights, parts, depth, and segments that are not as listed."""

from __future__ import annotations

import base64
import hashlib
import logging

import pytest
from harness.layer_stacks import LIMIT, POLICIES, Shelf

from objstore.core.errors import AccessDenied, Conflict, InvalidInput
from objstore.core.listed import LISTED_WHOLE, fields_header
from objstore.core.manifests import (
    FORM,
    LARGE,
    MANIFEST,
    MANIFEST_ETAG,
    MANIFEST_REFERS,
    MANIFEST_SIZE,
    OWN_ETAG,
    PARTS_COUNT,
    refers,
)
from objstore.core.names import Name
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import ContainerOptions, PutOptions, ReadOptions, Reply
from objstore.layers.manifests import Manifests
from objstore.layers.memory import MemoryLayer
from objstore.web import segments

PLAIN = ReadOptions()


class Shop(Shelf):
    """With large objects of the segments of other containers."""

    def __init__(self) -> None:
        super().__init__(Manifests(MemoryLayer(POLICIES, LIMIT), 0.0, logging.getLogger("test")))
        self.asked: list[str] = []
        self.denied = ""  # a container

    def permit(self, name: Name) -> None:
        self.asked.append(f"{name.container}/{name.object}")
        if name.container == self.denied:
            raise AccessDenied(name.account, False)

    def put_segment(self, path: str, data: bytes) -> None:
        container, key = path.split("/")
        name = self.container._replace(container=container)
        self.layer.create_container(self.context, name, ContainerOptions({}))
        self.layer.put(self.context, name._replace(object=key), PutOptions({"Content-Type": "a/b"}), BytesBody(data))

    def make(self, key: str, items: dict[str, bytes], limit: int = 1000, etag: str = "e") -> None:
        """Put a manifest. items: segments by their path; those without a path are in the list itself."""
        rows = []
        for path, data in items.items():
            if path:
                self.put_segment(path, data)
                rows.append({"name": f"/{path}", "hash": hashlib.md5(data).hexdigest(), "bytes": len(data)})
            else:
                rows.append({"data": base64.b64encode(data).decode()})
        names = [(path.split("/")[0], path.split("/")[1]) for path in items if path]
        size = sum(map(len, items.values()))
        headers = {
            LARGE: "True",
            MANIFEST: FORM,
            MANIFEST_ETAG: etag,
            MANIFEST_SIZE: str(size),
            MANIFEST_REFERS: refers(names, limit),
            LISTED_WHOLE: str(size),
            **fields_header({"slo_etag": f'"{etag}"'}),
        }
        self.put(key, segments.dump(rows), headers)

    def read(self, key: str = "o", options: ReadOptions = PLAIN, **conditions: str) -> Reply:
        sent = {name.replace("_", "-"): text for name, text in conditions.items()}
        options = options._replace(permit=self.permit, conditions=sent)
        return self.layer.open(self.context, self.name(key), options)


@pytest.fixture
def shop() -> Shop:
    made = Shop()
    made.make("o", {"s1/a": b"aaaaa", "": b"inline", "s2/b": b"bb", "s1/c": b"c"})
    return made


def test_ranges_over_segments_and_inline_data(shop: Shop) -> None:
    whole = b"aaaaainlinebbc"
    reply = shop.read()
    assert (reply.size, reply.read()) == (len(whole), whole)
    for start in range(len(whole)):
        for stop in range(start + 1, len(whole) + 1):
            assert shop.read(Range=f"bytes={start}-{stop - 1}").read() == whole[start:stop]


def test_a_head_asks_for_one_object_of_each_container_and_a_read_for_each_segment(shop: Shop) -> None:
    head = shop.read(options=ReadOptions(head=True))
    assert shop.asked == ["s1/a", "s2/b"]
    assert (head.headers["Etag"], head.headers["Content-Length"]) == ("e", "14")
    assert len(head.headers[OWN_ETAG]) == 32
    shop.asked.clear()
    shop.read().read()
    assert shop.asked == ["s1/a", "s2/b", "s1/a", "s2/b", "s1/c"]


@pytest.mark.parametrize("head", [True, False])
def test_a_container_that_may_not_be_read(shop: Shop, head: bool) -> None:
    shop.denied = "s2"
    with pytest.raises(AccessDenied):
        shop.read(options=ReadOptions(head=head))
    with pytest.raises(AccessDenied):
        shop.read(Range="bytes=0-1")


def test_more_containers_than_the_header_names(shop: Shop) -> None:
    shop.make("many", {f"s{number}/x": b"x" for number in range(9)}, limit=9)
    assert shop.read("many", ReadOptions(head=True)).status == 200
    assert sorted(set(shop.asked)) == [f"s{number}/x" for number in range(9)]
    shop.denied = "s8"
    with pytest.raises(AccessDenied):
        shop.read("many", ReadOptions(head=True))


def test_the_list_itself_needs_no_right_to_the_segments(shop: Shop) -> None:
    shop.denied = "s1"
    assert b"s1/a" in shop.read(options=ReadOptions(raw=True)).read()
    assert shop.asked == []


def test_parts(shop: Shop) -> None:
    for number, part in enumerate((b"aaaaa", b"inline", b"bb", b"c"), 1):
        reply = shop.read(options=ReadOptions(part=number))
        assert (reply.status, reply.read(), reply.headers[PARTS_COUNT]) == (206, part, "4")
        head = shop.read(options=ReadOptions(part=number, head=True))
        assert (head.status, head.size, head.headers["Content-Range"]) == (
            206,
            len(part),
            reply.headers["Content-Range"],
        )
    beyond = shop.read(options=ReadOptions(part=5))
    assert (beyond.status, beyond.headers[PARTS_COUNT], beyond.headers["Content-Range"]) == (416, "4", "bytes */14")
    with pytest.raises(InvalidInput):
        shop.read(options=ReadOptions(part=0))
    with pytest.raises(InvalidInput):
        shop.read(options=ReadOptions(part=1), Range="bytes=0-1")


def test_conditions_by_either_etag(shop: Shop) -> None:
    own = shop.read(options=ReadOptions(head=True)).headers[OWN_ETAG]
    for etag in ('"e"', f'"{own}"'):
        assert shop.read(If_Match=etag).read() == b"aaaaainlinebbc"
        assert shop.read(If_None_Match=etag).status == 304
    assert shop.read(If_Match='"other"').status == 412


def test_a_segment_that_was_replaced(shop: Shop) -> None:
    shop.put_segment("s2/b", b"XX")
    with pytest.raises(Conflict):
        shop.read(Range="bytes=11-12")
    assert shop.read(Range="bytes=0-10").read() == b"aaaaainline"
    with pytest.raises(Conflict):  # the first segment is small, so the second is opened before the answer
        shop.read()


def test_reads_do_not_go_deeper_than_a_limit(shop: Shop) -> None:
    rows = [{"name": "/c/loop", "hash": "loop", "bytes": 1}]
    name = self_name = shop.name("loop")
    rows[0]["name"] = f"/{self_name.container}/{self_name.object}"
    headers = {LARGE: "True", MANIFEST: FORM, MANIFEST_ETAG: "loop", MANIFEST_SIZE: "1", MANIFEST_REFERS: ""}
    shop.put("loop", segments.dump(rows), headers)
    with pytest.raises(Conflict):
        shop.layer.open(shop.context, name, ReadOptions())


def test_listings_show_the_whole(shop: Shop) -> None:
    row = next(row for row in shop.rows() if row["name"] == "o")
    assert (row["bytes"], row["slo_etag"]) == (14, '"e"')
