"""The contract of listings, over each stack of layers."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from harness.layer_stacks import Shelf

from objstore.core.errors import NotFound
from objstore.core.headers import OVERRIDE
from objstore.core.listed import CHECKSUM, LISTED_WHOLE, fields_header
from objstore.core.names import RESERVED
from objstore.core.versions import MARKER_TYPE
from objstore.layers.interface import ContainerOptions, ObjectLayer, Page
from objstore.web.context import RequestContext

NAMES = ["a", "b/", "b/1", "b/2", "b/c/3", "b/c/d/4", "c", "d/5", "d0", "ü", "\U0001f600"]


@pytest.fixture(scope="module")
def shelf(layer: ObjectLayer) -> Shelf:
    """With objects of all NAMES and one of the system's own."""
    shelf = Shelf(layer)
    for name in (*reversed(NAMES), f"{RESERVED}hidden"):
        shelf.put(name, name.encode())
    return shelf


def test_a_row(shelf: Shelf) -> None:
    (row,) = shelf.rows(prefix="b/1")
    assert row.pop("last_modified").startswith("20")
    assert row == {"name": "b/1", "hash": hashlib.md5(b"b/1").hexdigest(), "bytes": 3, "content_type": "text/plain"}


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ({}, NAMES),
        ({"limit": 3}, NAMES[:3]),
        ({"limit": 0}, []),
        ({"limit": 1_000_000}, NAMES),
        ({"reserved": True}, [f"{RESERVED}hidden", *NAMES]),
        ({"prefix": "b"}, NAMES[1:6]),
        ({"prefix": "b/c/"}, ["b/c/3", "b/c/d/4"]),
        ({"prefix": "x"}, []),
        ({"prefix": "ü"}, ["ü"]),
        ({"marker": "b/2"}, NAMES[4:]),
        ({"marker": "b/11"}, NAMES[3:]),
        ({"end_marker": "b/2"}, NAMES[:3]),
        ({"marker": "a", "end_marker": "c"}, NAMES[1:6]),
        ({"marker": "c", "end_marker": "a"}, []),
        ({"prefix": "b/", "marker": "a"}, NAMES[1:6]),
        ({"reverse": True}, NAMES[::-1]),
        ({"reverse": True, "marker": "c"}, NAMES[5::-1]),
        ({"reverse": True, "end_marker": "d0"}, NAMES[:8:-1]),
        ({"reverse": True, "marker": "d0", "end_marker": "b/c/3", "limit": 2}, ["d/5", "c"]),
        ({"delimiter": "/"}, ["a", "b/", "c", "d/", "d0", "ü", "\U0001f600"]),
        ({"delimiter": "/", "prefix": "b/"}, ["b/", "b/1", "b/2", "b/c/"]),
        ({"delimiter": "/", "prefix": "b"}, ["b/"]),
        ({"delimiter": "/", "limit": 2}, ["a", "b/"]),
        ({"delimiter": "/", "marker": "a", "limit": 2}, ["b/", "c"]),
        ({"delimiter": "/", "marker": "b/"}, ["c", "d/", "d0", "ü", "\U0001f600"]),
        ({"delimiter": "/", "marker": "b/1"}, ["b/", "c", "d/", "d0", "ü", "\U0001f600"]),
        ({"delimiter": "/", "reverse": True}, ["\U0001f600", "ü", "d0", "d/", "c", "b/", "a"]),
        ({"delimiter": "/", "reverse": True, "marker": "c", "limit": 1}, ["b/"]),
        ({"delimiter": "c"}, ["a", "b/", "b/1", "b/2", "b/c", "c", "d/5", "d0", "ü", "\U0001f600"]),
        ({"delimiter": "c/d"}, ["a", "b/", "b/1", "b/2", "b/c/3", "b/c/d", *NAMES[6:]]),
        ({"path": ""}, ["a", "c", "d0", "ü", "\U0001f600", "b/"]),
        ({"path": "b"}, ["b/1", "b/2"]),
        ({"path": "b/"}, ["b/1", "b/2"]),
        ({"path": "b/c"}, ["b/c/3"]),
        ({"path": "x"}, []),
        ({"path": "b", "delimiter": "1", "prefix": "x"}, ["b/1", "b/2"]),
    ],
)
def test_pages(shelf: Shelf, page: dict[str, Any], names: list[str]) -> None:
    listed = shelf.names(**page)
    assert listed == (sorted(names) if page == {"path": ""} else names)


def test_a_majority_lists_the_same(shelf: Shelf) -> None:
    assert shelf.names(majority=True, limit=100) == NAMES
    assert shelf.names(majority=True, limit=3, marker="a", prefix="b/") == NAMES[1:4]


def test_groups_are_told_from_objects(shelf: Shelf) -> None:
    assert shelf.rows(delimiter="/", prefix="b")[0] == {"subdir": "b/"}


def test_all_pages_together_are_the_whole(shelf: Shelf) -> None:
    for options in ({}, {"delimiter": "/"}, {"reverse": True}, {"delimiter": "/", "reverse": True}):
        whole = shelf.names(**options)
        for limit in (1, 2, 3):
            names: list[str] = []
            for _ in range(2 * len(NAMES)):
                names += shelf.names(**options, limit=limit, marker=names[-1] if names else "")
            assert names == whole, (options, limit)


def test_rows_as_json_and_as_values_are_the_same(shelf: Shelf) -> None:
    import json

    listing = shelf.layer.list_objects(shelf.context, shelf.container, Page(delimiter="/"))
    assert json.loads(listing.content) == listing.rows


def test_a_listing_of_nothing(layer: ObjectLayer) -> None:
    shelf = Shelf(layer)
    assert shelf.names() == shelf.names(majority=True, limit=10) == []
    shelf.container = shelf.container._replace(container="other")
    for page in ({}, {"majority": True, "limit": 10}):
        with pytest.raises(NotFound):
            shelf.names(**page)


def test_the_headers_of_a_container_go_with_its_listing(shelf: Shelf) -> None:
    listing = shelf.layer.list_objects(shelf.context, shelf.container, Page(prefix="b/1"))
    alone = shelf.layer.container(shelf.context, shelf.container)
    assert listing.headers["X-Container-Object-Count"] == alone.headers["X-Container-Object-Count"] == "12"
    size = str(sum(len(name.encode()) for name in (*NAMES, "hidden")) + 1)
    assert listing.headers["X-Container-Bytes-Used"] == alone.headers["X-Container-Bytes-Used"] == size
    assert alone.content == b"" and alone.rows == []


# What objects may change of their rows


def test_a_row_may_show_other_values_than_the_object_s(layer: ObjectLayer) -> None:
    shelf = Shelf(layer)
    shelf.put("o", b"x", {f"{OVERRIDE}Size": "77", f"{OVERRIDE}Etag": "e-2", f"{OVERRIDE}Content-Type": "a/b"})
    (row,) = shelf.rows()
    assert (row["bytes"], row["hash"], row["content_type"]) == (77, "e-2", "a/b")


def test_an_object_that_stands_for_others_shows_their_size_and_counts_its_own(layer: ObjectLayer) -> None:
    shelf = Shelf(layer)
    shelf.put("a", b"own", {LISTED_WHOLE: "100", **fields_header({"slo_etag": '"e-2"'})})
    (row,) = shelf.rows()
    assert (row["bytes"], row["slo_etag"]) == (100, '"e-2"')
    headers = layer.container(shelf.context, shelf.container).headers
    assert headers["X-Container-Bytes-Used"] == "3"


def test_a_row_names_the_storage_class(layer: ObjectLayer) -> None:
    shelf = Shelf(layer)
    shelf.put("o", b"x", {f"{OVERRIDE}Content-Type": "a/b;s3_class=GLACIER"})
    (row,) = shelf.rows()
    assert (row["content_type"], row["storage_class"]) == ("a/b", "GLACIER")


FULL = '{"algorithm":"CRC32C","value":"eA==","type":"FULL_OBJECT"}'


def test_a_row_names_the_checksum_to_those_who_ask_for_the_times_of_the_data(layer: ObjectLayer) -> None:
    """Rows had no place for it, and S3 lists it. Swift's listings do not."""
    shelf = Shelf(layer)
    shelf.put("a", b"x", {CHECKSUM: '{"algorithm":"SHA1","value":"eA==","type":"COMPOSITE","parts":1}'})
    shelf.put("b", b"x", {f"{OVERRIDE}Content-Type": "a/b;s3_class=GLACIER", CHECKSUM: FULL})
    shelf.put("c", b"x", {CHECKSUM: "nonsense"})
    shelf.put("d", b"x")
    rows = shelf.rows(data_times=True)
    assert [row.get("checksum") for row in rows] == ["SHA1/COMPOSITE", "CRC32C", None, None]
    assert (rows[1]["content_type"], rows[1]["storage_class"]) == ("a/b", "GLACIER")
    assert all("checksum" not in row and "s3_sum" not in row["content_type"] for row in shelf.rows())


def test_an_object_that_is_not_listed(layer: ObjectLayer) -> None:
    shelf = Shelf(layer)
    shelf.put("o", b"x", {f"{OVERRIDE}Deleted": "true", f"{OVERRIDE}Content-Type": MARKER_TYPE})
    shelf.put("p", b"x")
    assert shelf.names() == ["p"] and shelf.names(markers=True) == ["o"] and shelf.read("o") == b"x"


def test_rows_are_dated_by_changes_or_by_data(layer: ObjectLayer) -> None:
    shelf = Shelf(layer)
    shelf.put("o", b"x")
    before = shelf.rows()[0]["last_modified"]
    shelf.update("o", {"X-Object-Meta-A": "1"})
    assert shelf.rows()[0]["last_modified"] > before
    assert shelf.rows(data_times=True)[0]["last_modified"] == before


# Accounts


def test_containers_of_an_account(layer: ObjectLayer) -> None:
    shelf = Shelf(layer)
    account = shelf.container.of_account
    for name in ("b", "a/", "a-1", f"{RESERVED}own"):
        layer.create_container(RequestContext(), account._replace(container=name), ContainerOptions({}, policy=1))

    def names(**page: Any) -> list[str]:
        return [
            row.get("name") or row["subdir"] for row in layer.list_containers(shelf.context, account, Page(**page)).rows
        ]

    assert names() == ["a-1", "a/", "b", "c"]
    assert names(reserved=True)[0] == f"{RESERVED}own"
    assert names(marker="a-1", end_marker="c") == ["a/", "b"]
    assert names(reverse=True, limit=2) == ["c", "b"]
    assert names(prefix="a", delimiter="-") == ["a-", "a/"]
    rows = layer.list_containers(shelf.context, account, Page()).rows
    assert [row["storage_policy"] for row in rows] == ["silver", "silver", "silver", "gold"]
    assert rows[0]["count"] == rows[0]["bytes"] == 0 and rows[0]["last_modified"].startswith("20")
