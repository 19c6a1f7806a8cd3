"""Entries of a document held against their segments."""

from __future__ import annotations

import hashlib

from objstore.core.manifests import MAX_DEPTH
from objstore.swift.large_objects.document import DataEntry, ObjectEntry
from objstore.swift.large_objects.validation import SegmentHead, Validated, validate
from objstore.web.ranges import ByteRange


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


HEAD = SegmentHead("e1", 10, "text/x", "2026-01-01T00:00:00.000000", 0, None)


def entry(etag: str | None = None, size: int | None = None, range: ByteRange | None = None) -> ObjectEntry:
    return ObjectEntry("c", "ö", etag, size, range, "c/ö")


def problems(item: ObjectEntry, head: SegmentHead | str = HEAD) -> list[str]:
    found = validate([item], {item.path: head}, None)[1]
    assert all(name == "c/%C3%B6" for name, _ in found)
    return [text for _, text in found]


def validated(*items: ObjectEntry | DataEntry, head: SegmentHead = HEAD) -> Validated:
    made, found = validate(items, {entry().path: head}, None)
    assert not found
    return made


def test_the_etag_is_made_of_the_etags_and_ranges() -> None:
    data = DataEntry("aGVsbG8=", 5, md5("hello"))
    made = validated(entry(), entry(range=ByteRange(2, 3)), data, entry(range=ByteRange(0, 99)))
    assert made.etag == md5(f"e1e1:2-3;{md5('hello')}e1")
    assert made.size == 10 + 2 + 5 + 10
    assert [row.get("range") for row in made.rows] == [None, "2-3", None, None]


def test_all_that_is_wrong_with_a_segment() -> None:
    assert problems(entry("other", 9, ByteRange(10, None))) == ["Unsatisfiable Range", "Size Mismatch", "Etag Mismatch"]
    assert problems(entry(), "404 Not Found") == ["404 Not Found"]
    assert problems(entry(), HEAD._replace(size=0)) == ["Too Small; each segment must be at least 1 byte."]


def test_the_depth_is_one_more_than_the_deepest_segment() -> None:
    assert validated(entry()).depth == 1
    made = validated(entry(), head=HEAD._replace(depth=4))
    assert made.depth == 5 and made.rows[0]["sub_slo"] is True and not made.warnings
    assert "cannot be read" in validated(entry(), head=HEAD._replace(depth=MAX_DEPTH)).warnings[0][1]


def test_segments_that_expire_before_the_manifest_are_named() -> None:
    heads: dict[str, SegmentHead | str] = {entry().path: HEAD._replace(expires=100)}
    assert validate([entry()], heads, None)[0].warnings
    assert validate([entry()], heads, 101)[0].warnings
    assert not validate([entry()], heads, 100)[0].warnings
