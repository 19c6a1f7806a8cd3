"""Dynamic large objects, over the layers further inside and a layer in memory."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.layer_stacks import POLICIES, STACKS, Shelf, memory

from objstore.core import dlo
from objstore.core.dlo import DLO
from objstore.core.errors import Conflict, InvalidInput, NodeFailure, NotFound
from objstore.core.links import Link
from objstore.core.listed import fields_header
from objstore.core.manifests import FORM, MANIFEST, MANIFEST_ETAG, MANIFEST_SIZE
from objstore.core.names import Name
from objstore.layers.interface import Listing, ObjectLayer, Page
from objstore.layers.passing import Passing
from objstore.layers.registry import LAYERS
from objstore.layers.stack import Deps, Outermost
from objstore.web import segments
from objstore.web.context import RequestContext

PARTS = (b"hello ", b"", b"wor", b"ld!")


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def etag_of(*etags: str) -> str:
    return md5("".join(etags).encode())


class Watched(Passing):
    """The layer in memory. pages: that were listed. rows: keys in place of those of each row."""

    def __init__(self, inner: ObjectLayer) -> None:
        super().__init__(inner)
        self.pages: list[Page] = []
        self.rows: list[dict[str, object]] | None = None

    def list_objects(self, context: RequestContext, name: Name, page: Page) -> Listing:
        self.pages.append(page)
        listing = self.inner.list_objects(context, name, page)
        if self.rows is not None:
            return listing._replace(body=segments.dump([{**row, **more} for row in listing.rows for more in self.rows]))
        return listing


class Large(Shelf):
    """With an object `d` of the segments `s/0` to `s/3`, which are listed `page` at a time."""

    def __init__(self, root: Path, page: int = 1000) -> None:
        self.watched = Watched(memory(root))
        deps = Deps({"dlo_page": str(page)}, POLICIES, logging.getLogger("test"), Outermost())
        super().__init__(LAYERS.build(self.watched, deps, LAYERS.names))
        for number, part in enumerate(PARTS):
            self.put(f"s/{number}", part)
        self.manifest("d", "c/s/")

    def manifest(self, key: str, value: str, body: bytes = b"") -> None:
        self.put(key, body, {DLO: value, "X-Object-Meta-Color": "blue"})


@pytest.fixture(params=[1000, 4, 3, 2, 1])
def large(request: pytest.FixtureRequest, tmp_path: Path) -> Large:
    """With pages of several sizes."""
    return Large(tmp_path, request.param)


@pytest.fixture
def one(tmp_path: Path) -> Large:
    return Large(tmp_path)


ETAG = etag_of(*map(md5, PARTS))


def test_the_segments_are_the_content(large: Large) -> None:
    reply = large.open("d")
    assert reply.status == 200 and reply.headers["Etag"] == ETAG and reply.headers["Content-Length"] == "12"
    assert reply.headers["X-Object-Meta-Color"] == "blue" and reply.read() == b"hello world!"
    head = large.open("d", head=True)
    assert head.headers["Etag"] == ETAG and head.size == 12 and head.read() == b""


def test_all_ranges(large: Large) -> None:
    whole = b"".join(PARTS)
    for start in range(12):
        for stop in range(start + 1, 14):
            reply = large.open("d", {"Range": f"bytes={start}-{stop - 1}"})
            assert reply.status == 206 and reply.read() == whole[start:stop]
            assert reply.headers["Content-Range"] == f"bytes {start}-{min(stop, 12) - 1}/12"
    assert large.open("d", {"Range": "bytes=-3"}).read() == b"ld!"
    refused = large.open("d", {"Range": "bytes=12-"})
    assert refused.status == 416 and refused.headers["Content-Range"] == "bytes */12"


def test_conditions_are_about_the_whole(one: Large) -> None:
    own = md5(b"")
    assert one.open("d", {"If-None-Match": f'"{ETAG}"'}).status == 304
    assert one.open("d", {"If-None-Match": own}).status == one.open("d", {"If-Match": ETAG}).status == 200
    assert one.open("d", {"If-Match": own}).status == 412
    assert one.open("d", {"If-Match": ETAG, "Range": "bytes=0-1"}).status == 206
    changed = one.head("d")["Last-Modified"]
    assert one.open("d", {"If-Modified-Since": changed}).status == 304
    assert one.open("d", {"If-Range": '"x"', "Range": "bytes=0-1"}).status == 200
    assert one.open("d", {"If-Range": f'"{ETAG}"', "Range": "bytes=0-1"}).status == 206


def test_the_own_bytes_are_for_raw_reads(one: Large) -> None:
    one.manifest("d", "c/s/", b"mine")
    reply = one.open("d", raw=True)
    assert reply.read() == b"mine" and reply.headers["Etag"] == md5(b"mine") and reply.headers[DLO] == "c/s/"
    assert one.open("d", {"Range": "bytes=1-2"}, raw=True).read() == b"in"
    assert one.read("d") == b"hello world!"


def test_the_object_is_no_segment_of_itself(large: Large) -> None:
    large.manifest("s/1x", "c/s/", b"mine")
    assert large.read("s/1x") == b"hello world!" and large.head("s/1x")["Etag"] == ETAG


def test_another_dynamic_large_object_counts_with_its_own_bytes(one: Large) -> None:
    one.manifest("s/9", "c/s/", b"?")
    assert one.read("d") == b"hello world!?"


def test_no_loop_by_way_of_a_link(one: Large) -> None:
    one.put("s/9", b"", Link(one.name("d")).headers("a") | fields_header({"symlink_path": "x"}))
    one.manifest("d", "c/s/", b"own")
    assert one.read("d") == b"hello world!own"


def test_a_link_counts_with_its_target(large: Large) -> None:
    large.put("t", b"target")
    link = Link(large.name("t")).headers(large.container.account)
    large.put("s/15", b"", link | fields_header({"symlink_path": "x"}))
    assert large.read("d") == b"hello targetworld!" and large.head("d")["Content-Length"] == "18"
    large.delete("t")
    with pytest.raises(Conflict):
        large.open("d", head=True)


def test_a_manifest_counts_with_its_content(large: Large) -> None:
    rows = [
        {"name": "/c/s/0", "hash": md5(PARTS[0]), "bytes": 6},
        {"name": "/c/s/3", "hash": md5(PARTS[3]), "bytes": 3},
    ]
    manifest = {MANIFEST: FORM, MANIFEST_ETAG: "e-2", MANIFEST_SIZE: "9"}
    listed = {"X-Object-Sysmeta-Container-Update-Override-Whole-Size": "9"}
    large.put("s/15", segments.dump(rows), manifest | listed | fields_header({"slo_etag": '"e-2"'}))
    assert large.read("d") == b"hello hello ld!world!"


def test_no_objects_and_no_container(one: Large) -> None:
    one.manifest("e", "c/none")
    reply = one.open("e")
    assert reply.status == 200 and reply.read() == b"" and reply.headers["Etag"] == md5(b"")
    assert one.open("e", {"Range": "bytes=0-3"}).headers["Content-Range"] == "bytes */0"
    one.manifest("e", "missing/s/")
    with pytest.raises(NotFound):
        one.open("e", head=True)


def test_post_without_the_header_makes_a_plain_object(one: Large) -> None:
    one.manifest("d", "c/s/", b"mine")
    one.update("d", {DLO: "c/s/3"})
    assert one.read("d") == b"ld!"
    one.update("d", {})
    assert one.read("d") == b"mine"


def test_a_segment_that_changes_during_the_read(one: Large) -> None:
    pieces = iter(one.open("d").body)
    assert next(pieces) == b"hello "
    one.put("s/3", b"new")
    with pytest.raises(NodeFailure, match="412"):
        list(pieces)


def test_a_listing_that_changes_during_the_read(tmp_path: Path) -> None:
    large = Large(tmp_path, 1)
    reply = large.open("d")
    large.put("s/2x", b"!!!")
    pieces: list[bytes] = []
    with pytest.raises(NodeFailure, match="have changed"):
        pieces.extend(reply.body)
    assert b"".join(pieces) == b"hello wor"


def test_a_first_segment_that_is_gone(one: Large) -> None:
    class Missing(Passing):
        def open(self, context, name, options):
            if name.object == "s/0":
                raise NotFound(name.path)
            return self.inner.open(context, name, options)

    deps = Deps({}, POLICIES, logging.getLogger("test"), Outermost())
    layer = LAYERS.build(Missing(one.watched), deps, LAYERS.names)
    one.layer = layer
    with pytest.raises(Conflict):
        one.open("d")
    assert one.open("d", {"Range": "bytes=6-"}).read() == b"world!"


def test_the_rows_of_a_majority_are_read_page_by_page(large: Large) -> None:
    large.watched.pages.clear()
    large.open("d", head=True)
    assert all(page.majority and page.prefix == "s/" for page in large.watched.pages)
    assert len({page.limit for page in large.watched.pages}) == 1


def test_rows_in_dispute_are_looked_up(one: Large) -> None:
    one.watched.rows = [{"disputed": True, "hash": "stale", "bytes": 99}]
    assert one.read("d") == b"hello world!" and one.head("d")["Etag"] == ETAG
    one.delete("s/0")

    class Lagging(Watched):
        def list_objects(self, context, name, page):
            row = {"name": "s/0", "hash": md5(PARTS[0]), "bytes": 6, "disputed": True}
            listing = self.inner.list_objects(context, name, page)
            return listing._replace(body=segments.dump([row, *listing.rows]))

    deps = Deps({}, POLICIES, logging.getLogger("test"), Outermost())
    one.layer = LAYERS.build(Lagging(one.watched), deps, LAYERS.names)
    one.watched.rows = None
    assert one.read("d") == b"world!"


def test_each_segment_must_be_permitted(one: Large) -> None:
    asked: list[Name] = []

    def permit(name: Name) -> None:
        asked.append(name)
        if name.object == "s/2":
            raise PermissionError

    assert one.open("d", head=True, permit=permit).status == 200 and asked
    with pytest.raises(PermissionError):
        one.open("d", {"Range": "bytes=6-"}, permit=permit)
    one.manifest("e", "c/none")
    one.open("e", head=True, permit=permit)
    assert asked[-1] == one.name("none")


def test_who_may_not_read_is_not_told_what_is_missing(one: Large) -> None:
    def permit(name: Name) -> None:
        raise PermissionError

    one.manifest("e", "missing/s/")
    with pytest.raises(PermissionError):
        one.open("e", permit=permit)


@pytest.mark.parametrize("value", ["c", "c/", "/c/s", "c//s", "", "%00x/s", "c/%00", "c/%FF", "%00versions%00c/s"])
def test_values_that_name_no_prefix(value: str) -> None:
    with pytest.raises(InvalidInput):
        dlo.parse(value, "a")


def test_values_are_percent_encoded() -> None:
    assert dlo.parse("c%20d/%C3%A4/x%2Fy", "a") == Name("a", "c d", "ä/x/y")
    assert dlo.parse("c/ä", "a") == Name("a", "c", "ä")


def test_many_segments_and_pages_over_a_cluster(tmp_path: Path) -> None:
    shelf = Shelf(STACKS["all over cluster"](tmp_path))
    parts = [f"{number:03}".encode() for number in range(7)]
    for number, part in enumerate(parts):
        shelf.put(f"s/{number}", part)
    shelf.put("d", b"", {DLO: "c/s/"})

    def ranges() -> Iterator[bytes]:
        for start in (0, 5, 20):
            yield shelf.open("d", {"Range": f"bytes={start}-{start}"}).read()

    assert shelf.read("d") == b"".join(parts) and b"".join(ranges()) == b"016"
