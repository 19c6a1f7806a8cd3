"""What GET of a container shows, and how its parameters choose."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from harness.client import Client

NAMES = [
    "/leading",
    "Z",
    "a",
    "a/1",
    "a/2",
    "a/b/1",
    "a/b/2",
    "a//x",
    "a b",
    "b--1",
    "b--2",
    "b-1",
    "photos/2024/1.jpg",
    "photos/2024/2.jpg",
    "photos/2025/1.jpg",
    "photos/readme",
    "z%2Fx",
    "ä",
    "日本/1",
    "日本/2",
    "🎈",
]
SORTED = sorted(NAMES, key=lambda name: name.encode())


@pytest.fixture(scope="module")
def tree(owner: Client) -> Iterator[str]:
    """A container that holds `NAMES`; tests do not change it."""
    container = "listings"
    owner.put(container)
    for name in NAMES:
        assert owner.put(f"{container}/{name}", name.encode(), {"Content-Type": "text/plain"}).status == 201
    yield container
    owner.wipe(container)


def test_names_are_in_the_order_of_their_bytes(owner: Client, tree: str) -> None:
    assert owner.names(tree) == SORTED


def test_a_row_tells_what_the_object_is(owner: Client, tree: str) -> None:
    row = next(row for row in owner.get(tree, format="json").json if row["name"] == "photos/readme")
    head = owner.head(f"{tree}/photos/readme")
    assert row["hash"] == head["Etag"] == hashlib.md5(b"photos/readme").hexdigest()
    assert row["bytes"] == 13
    assert row["content_type"] == "text/plain"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", row["last_modified"])


def test_the_three_formats_say_the_same(owner: Client, tree: str) -> None:
    rows = owner.get(tree, format="json")
    xml = owner.get(tree, format="xml")
    plain = owner.get(tree)
    assert rows["Content-Type"] == "application/json; charset=utf-8"
    assert xml["Content-Type"] == "application/xml; charset=utf-8"
    assert plain["Content-Type"] == "text/plain; charset=utf-8"
    found = ElementTree.fromstring(xml.body)
    assert (found.tag, found.get("name")) == ("container", tree)
    assert [{child.tag: child.text for child in row} for row in found] == [
        {name: str(value) for name, value in row.items()} for row in rows.json
    ]
    assert plain.text.split("\n")[:-1] == [row["name"] for row in rows.json]


def test_subdirs_in_json_and_xml(owner: Client, tree: str) -> None:
    rows = owner.get(tree, format="json", prefix="photos/", delimiter="/").json
    assert [row.get("subdir") or row["name"] for row in rows] == ["photos/2024/", "photos/2025/", "photos/readme"]
    assert rows[0] == {"subdir": "photos/2024/"}
    xml = ElementTree.fromstring(owner.get(tree, format="xml", prefix="photos/", delimiter="/").body)
    subdirs = xml.findall("subdir")
    assert (
        [one.get("name") for one in subdirs]
        == [one.findtext("name") for one in subdirs]
        == [
            "photos/2024/",
            "photos/2025/",
        ]
    )


@pytest.mark.parametrize("format", ["json", "xml", "plain"])
def test_an_empty_container_in_each_format(owner: Client, container: str, format: str) -> None:
    answer = owner.get(container, format=format)
    if format == "plain":
        assert (answer.status, answer.body) == (204, b"")
    elif format == "json":
        assert (answer.status, answer.json) == (200, [])
    else:
        assert answer.status == 200
        assert len(ElementTree.fromstring(answer.body)) == 0


@pytest.mark.parametrize("accept", ["application/json", "application/json;q=0.9, text/plain;q=0.1"])
def test_the_accept_header_chooses(owner: Client, tree: str, accept: str) -> None:
    assert len(owner.get(tree, {"Accept": accept}).json) == len(NAMES)


def test_head_tells_the_type_of_the_listing(owner: Client, tree: str) -> None:
    assert owner.head(tree, format="json").status == 204
    assert owner.head(tree, {"Accept": "image/png"}).status == 406


def between(first: str, last: str) -> list[str]:
    """Of the sorted names those from the first to the last."""
    return SORTED[SORTED.index(first) : SORTED.index(last) + 1]


CHOICES = [
    ({"limit": 3}, SORTED[:3]),
    ({"limit": 0}, []),
    ({"limit": ""}, SORTED),
    ({"marker": "a/b/2"}, SORTED[SORTED.index("a/b/2") + 1 :]),
    ({"marker": "a/b/3"}, SORTED[SORTED.index("a/b/2") + 1 :]),
    ({"marker": "~~~"}, ["ä", "日本/1", "日本/2", "🎈"]),
    ({"marker": "日本/1"}, ["日本/2", "🎈"]),
    ({"marker": "🎈"}, []),
    ({"end_marker": "a"}, ["/leading", "Z"]),
    ({"end_marker": "a/2"}, between("/leading", "a/1")),
    ({"marker": "a/1", "end_marker": "b-1"}, between("a/2", "b--2")),
    ({"marker": "b-1", "end_marker": "a"}, []),
    ({"prefix": "a/"}, ["a//x", "a/1", "a/2", "a/b/1", "a/b/2"]),
    ({"prefix": "日"}, ["日本/1", "日本/2"]),
    ({"prefix": "z%2F"}, ["z%2Fx"]),
    ({"prefix": "nothing"}, []),
    ({"prefix": "a/", "marker": "a/1", "limit": 2}, ["a/2", "a/b/1"]),
    ({"prefix": "b", "marker": "a"}, ["b--1", "b--2", "b-1"]),
    ({"prefix": "a/", "marker": "b"}, []),
    ({"delimiter": "/"}, ["/", "Z", "a", "a b", "a/", "b--1", "b--2", "b-1", "photos/", "z%2Fx", "ä", "日本/", "🎈"]),
    ({"delimiter": "/", "prefix": "a"}, ["a", "a b", "a/"]),
    ({"delimiter": "/", "prefix": "a/"}, ["a//", "a/1", "a/2", "a/b/"]),
    ({"delimiter": "/", "prefix": "/"}, ["/leading"]),
    ({"delimiter": "/", "prefix": "photos/2024/"}, ["photos/2024/1.jpg", "photos/2024/2.jpg"]),
    ({"delimiter": "/", "limit": 3}, ["/", "Z", "a"]),
    ({"delimiter": "/", "marker": "a/"}, ["b--1", "b--2", "b-1", "photos/", "z%2Fx", "ä", "日本/", "🎈"]),
    ({"delimiter": "/", "marker": "a/b"}, ["a/", "b--1", "b--2", "b-1", "photos/", "z%2Fx", "ä", "日本/", "🎈"]),
    ({"delimiter": "/", "marker": "photos/", "limit": 1}, ["z%2Fx"]),
    ({"delimiter": "/", "end_marker": "b"}, ["/", "Z", "a", "a b", "a/"]),
    ({"delimiter": "--"}, [*SORTED[: SORTED.index("b--1")], "b--", *SORTED[SORTED.index("b-1") :]]),
    ({"delimiter": "本"}, [*SORTED[: SORTED.index("日本/1")], "日本", "🎈"]),
    ({"delimiter": "/20", "prefix": "photos"}, ["photos/20", "photos/readme"]),
    ({"reverse": "true"}, SORTED[::-1]),
    ({"reverse": "1", "limit": 2}, ["🎈", "日本/2"]),
    ({"reverse": "false"}, SORTED),
    ({"reverse": "true", "marker": "a/2"}, between("/leading", "a/1")[::-1]),
    ({"reverse": "true", "end_marker": "日本/1"}, ["🎈", "日本/2"]),
    ({"reverse": "true", "marker": "b-1", "end_marker": "a/2"}, between("a/b/1", "b--2")[::-1]),
    ({"reverse": "true", "prefix": "a/"}, ["a/b/2", "a/b/1", "a/2", "a/1", "a//x"]),
    ({"reverse": "true", "delimiter": "/", "prefix": "photos/"}, ["photos/readme", "photos/2025/", "photos/2024/"]),
    ({"reverse": "true", "delimiter": "/", "marker": "photos/"}, ["b-1", "b--2", "b--1", "a/", "a b", "a", "Z", "/"]),
    ({"path": ""}, ["Z", "a", "a b", "b--1", "b--2", "b-1", "z%2Fx", "ä", "🎈"]),
    ({"path": "a"}, ["a/1", "a/2"]),
    ({"path": "a/b"}, ["a/b/1", "a/b/2"]),
    ({"path": "photos"}, ["photos/readme"]),
    ({"path": "photos/2024", "limit": 1}, ["photos/2024/1.jpg"]),
    ({"path": "日本"}, ["日本/1", "日本/2"]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "names"), CHOICES, ids=[str(query) for query, _ in CHOICES])
def test_parameters_choose(owner: Client, tree: str, query: dict[str, str | int], names: list[str]) -> None:
    assert owner.names(tree, **query) == names


@pytest.mark.parametrize("step", [1, 2, 5])
@pytest.mark.parametrize("extra", [{}, {"delimiter": "/"}, {"prefix": "a"}, {"reverse": "true"}], ids=str)
def test_pages_join_to_the_whole(owner: Client, tree: str, step: int, extra: dict[str, str]) -> None:
    joined: list[str] = []
    while page := owner.names(tree, limit=step, marker=joined[-1] if joined else "", **extra):
        assert len(page) <= step
        joined += page
    assert joined == owner.names(tree, **extra)


def test_a_limit_above_the_largest_is_refused(owner: Client, tree: str) -> None:
    most = owner.send("GET", "/info").json["swift"]["container_listing_limit"]
    assert owner.get(tree, limit=most).status == 200
    for more in (str(most + 1), "9" * 30, "9" * 5000):
        refused = owner.get(tree, limit=more)
        assert refused.status == 412
        assert str(most) in refused.text


@pytest.mark.parametrize("limit", ["-1", "x", "1.5", "1_0", "\u0661", "0x10"])
def test_a_limit_that_is_no_number_is_none(owner: Client, tree: str, limit: str) -> None:
    assert owner.names(tree, limit=limit) == SORTED


@pytest.mark.parametrize("query", ["marker=%ff", "delimiter=%c3", "format=%ff"])
def test_parameters_that_are_no_text_are_refused(owner: Client, tree: str, query: str) -> None:
    assert owner.request("GET", tree, query=query).status in (400, 412)


def test_names_that_xml_must_escape(owner: Client, container: str) -> None:
    odd = "a&b<c>\"d'e]]>"
    owner.put(f"{container}/{odd}", b"x")
    tree = ElementTree.fromstring(owner.get(container, format="xml").body)
    assert [row.findtext("name") for row in tree] == [odd]
    assert [row["name"] for row in owner.get(container, format="json").json] == [odd]


def test_a_listing_shows_each_change_at_once(owner: Client, container: str) -> None:
    for number in range(20):
        owner.put(f"{container}/{number:02}", b"x")
        assert len(owner.names(container)) == number + 1
    for number in range(20):
        owner.delete(f"{container}/{number:02}")
        assert len(owner.names(container)) == 19 - number
