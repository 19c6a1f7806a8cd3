"""Documents of manifests: what they list, and what is refused before any segment is read."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.limits import DEFAULT_LIMITS
from objstore.core.names import Name
from objstore.swift.large_objects import document
from objstore.swift.large_objects.document import DataEntry, ObjectEntry, Refused
from objstore.web.ranges import ByteRange

TARGET = Name("AUTH_t", "c", "manifest")


def parse(value: object, most: int = 1000) -> list[document.Entry]:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return document.parse(body, TARGET, most, DEFAULT_LIMITS)


def refusal(value: object, most: int = 1000) -> Refused:
    with pytest.raises(Refused) as refused:
        parse(value, most)
    return refused.value


def test_entries() -> None:
    entries = parse([{"path": "/c/a/b", "etag": '"e"', "size_bytes": "5", "range": "-3"}, {"data": "aGVsbG8="}])
    assert entries == [
        ObjectEntry("c", "a/b", "e", 5, ByteRange(None, 3), "/c/a/b"),
        DataEntry("aGVsbG8=", 5, "5d41402abc4b2a76b9719d911017c592"),
    ]
    assert parse([{"path": "c/o", "etag": None, "size_bytes": None, "range": None}]) == [
        ObjectEntry("c", "o", None, None, None, "c/o")
    ]
    assert parse([]) == []


def test_every_problem_is_reported_with_its_index() -> None:
    text = str(refusal([{"path": "/c/o"}, {"path": "/c", "x": 1, "y": 2}, {"path": "/c/p", "etag": 1, "range": "x"}]))
    assert text.splitlines() == [
        'Index 1: extraneous keys "x", "y"',
        "Index 1: path does not refer to an object. Path must be of the form /container/object.",
        'Index 2: "etag" must be a string or null (if provided)',
        "Index 2: invalid range",
    ]


def test_names_with_all_the_punctuation_of_json_are_names() -> None:
    name = '[{,"\\]}:' * 100
    entries = parse([{"path": f"/c/{name}{number}"} for number in range(100)])
    assert [entry.key for entry in entries if isinstance(entry, ObjectEntry)] == [
        f"{name}{number}" for number in range(100)
    ]


def test_the_limit_counts_objects_and_inline_data_between_them() -> None:
    item = {"path": "/c/o"}
    assert refusal([item] * 4, most=3).status == 413
    data = {"data": "aGVsbG8="}
    assert len(parse([data, item, data, item, data, item, data], most=3)) == 7
    assert refusal([item, *[data] * 7], most=3).status == 413


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"{}," * 2_000_000 + b"{}]",
        b"[" + b"[]," * 2_000_000 + b"[]]",
        b"[" + b'"",' * 2_000_000 + b'""]',
        b"[" + b"1," * 4_000_000 + b"1]",
        b"[" * 8_000_000,
        b'[{"a":' * 1_000_000,
        b'{"a":' * 1_000_000,
        b'"' + b"\\" * 8_000_000,
    ],
    ids=["objects", "lists", "strings", "numbers", "nested lists", "nested", "nested objects", "backslashes"],
)
def test_no_document_takes_much_more_memory_than_its_size(body: bytes) -> None:
    tracemalloc.start()
    try:
        refusal(body)
        assert tracemalloc.get_traced_memory()[1] < 6 * len(body)
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=200) | st.text(alphabet='[]{}",:\\ \n01e-', max_size=200).map(str.encode))
def test_arbitrary_bytes_are_refused_or_a_list(body: bytes) -> None:
    try:
        assert isinstance(parse(body), list)
    except Refused as refused:
        assert refused.status in (400, 413) and str(refused)
