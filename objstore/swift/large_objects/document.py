"""The document of a manifest as clients send it (Swift: Static Large Objects), read and checked without its segments.

It is a JSON list of objects with `path`, and optionally `etag`, `size_bytes` and `range`; or with `data`, bytes in
base64. Each problem names the index of its entry, in Swift's words. Before a document is decoded its punctuation is
counted, so that no document takes much more memory than its own size.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from objstore.core.errors import MALFORMED, InvalidInput
from objstore.core.limits import Limits
from objstore.core.names import RESERVED, Name
from objstore.core.numbers import whole
from objstore.swift.large_objects.settings import MIN_SEGMENT_SIZE
from objstore.web import constraints, ranges
from objstore.web.ranges import ByteRange

_KEYS = frozenset({"path", "etag", "size_bytes", "range"})
_DATA_KEYS = frozenset({"data"})
_QUOTES = 20  # of an entry with all keys
_COMMAS = 6


class Refused(InvalidInput):
    """The document is refused. status: of the answer."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ObjectEntry(NamedTuple):
    """A segment that is an object. etag, size: that it must have, None for any. range: None for the whole object.

    sent: its path as the client wrote it.
    """

    container: str
    key: str
    etag: str | None
    size: int | None
    range: ByteRange | None
    sent: str

    @property
    def path(self) -> str:
        return f"/{self.container}/{self.key}"


class DataEntry(NamedTuple):
    """A segment in the list itself. text: base64. size: of the decoded bytes."""

    text: str
    size: int
    etag: str


Entry = ObjectEntry | DataEntry


def parse(document: bytes, target: Name, max_segments: int, limits: Limits) -> list[Entry]:
    """Return the entries of a document. target: the object under which the manifest will be stored.

    max_segments: limit of the entries that are objects. Raises Refused, with all problems.
    """
    rows = _decode(document, max_segments)
    entries: list[Entry] = []
    problems: list[str] = []
    for index, row in enumerate(rows):
        entry = _entry(row, target, limits)
        if isinstance(entry, list):
            problems += [f"Index {index}: {problem}" for problem in entry]
        else:
            entries.append(entry)
    objects = sum(isinstance(row, dict) and "data" not in row for row in rows)
    if objects > max_segments:
        raise Refused(f"Number of object-backed segments must be <= {max_segments}\n", 413)
    if rows and not objects:
        problems.append("Inline data segments require at least one object-backed segment.")
    if problems:
        raise Refused("".join(f"{problem}\n" for problem in problems))
    return entries


def _decode(document: bytes, max_segments: int) -> Sequence[Any]:
    """Return the list in a document. Raises Refused."""
    # One inline segment before, between and behind objects: more would have been joined by any client.
    most = 2 * max_segments + 1
    plain = document.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > _QUOTES * most:
        raise Refused(f"Number of segments must be <= {most}\n", 413)
    outside = b"".join(plain.split(b'"')[::2])
    if max(outside.count(b"{"), outside.count(b",") // _COMMAS) > most:
        raise Refused(f"Number of segments must be <= {most}\n", 413)
    if outside.count(b"[") > 1:
        raise Refused("Manifest must be a list of objects without lists in them.\n")
    try:
        rows = json.loads(document)
    except MALFORMED:
        raise Refused("Manifest must be valid JSON.\n") from None
    if not isinstance(rows, list):
        raise Refused("Manifest must be a list.\n")
    return rows


def _entry(row: Any, target: Name, limits: Limits) -> Entry | list[str]:
    """Return the entry of a row, or its problems."""
    if not isinstance(row, dict):
        return ["not a JSON object"]
    if "data" in row:
        return _data_entry(row)
    problems = _extraneous(row, _KEYS)
    path = row.get("path")
    if not isinstance(path, str):
        return [*problems, '"path" must be a string']
    container, _, key = path.lstrip("/").partition("/")
    if not container or not key.strip("/"):
        problems.append("path does not refer to an object. Path must be of the form /container/object.")
    else:
        problems += _problems_of_name(Name(target.account, container, key), target, limits)
    etag = row.get("etag")
    if not (etag is None or isinstance(etag, str)):
        problems.append('"etag" must be a string or null (if provided)')
    size = _whole(row.get("size_bytes"))
    if size is None and row.get("size_bytes") is not None:
        problems.append("invalid size_bytes")
    wanted, problem = _range(row.get("range"))
    if problem:
        problems.append(problem)
    if problems:
        return problems
    return ObjectEntry(container, key, etag.strip('"') if etag else None, size, wanted, path)


def _problems_of_name(name: Name, target: Name, limits: Limits) -> list[str]:
    if name == target:
        return ["manifest must not include itself as a segment"]
    if RESERVED in name.path:
        return ["path must not contain NUL"]
    try:
        name.path.encode()
        constraints.check_name(name, limits)
    except UnicodeEncodeError:
        return ["path must be valid UTF-8"]
    except InvalidInput as problem:
        return [str(problem)]
    return []


def _data_entry(row: dict[str, Any]) -> DataEntry | list[str]:
    problems = _extraneous(row, _DATA_KEYS)
    text = row["data"]
    try:
        data = base64.b64decode(text, validate=True)
    except MALFORMED:
        return [*problems, "data must be valid base64"]
    if len(data) < MIN_SEGMENT_SIZE:
        problems.append(f"too small; each segment must be at least {MIN_SEGMENT_SIZE} byte.")
    return problems or DataEntry(text, len(data), hashlib.md5(data, usedforsecurity=False).hexdigest())


def _extraneous(row: dict[str, Any], keys: frozenset[str]) -> list[str]:
    others = sorted(row.keys() - keys)
    return [f"extraneous keys {', '.join(json.dumps(key) for key in others)}"] if others else []


def _whole(value: object) -> int | None:
    """Return a number of bytes, also one in a string; None for any other value."""
    if isinstance(value, str):
        return whole(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _range(value: object) -> tuple[ByteRange | None, str]:
    """Return the range of an entry, and what is wrong with it."""
    if value is None:
        return None, ""
    parsed = ranges.parse(f"bytes={value}") if isinstance(value, str) else None
    if parsed is None:
        return None, "invalid range"
    return (parsed[0], "") if len(parsed) == 1 else (None, "multiple ranges (only one allowed)")
