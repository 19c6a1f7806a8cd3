"""Byte ranges (RFC 9110, section 14): a Range header read, fitted to a size, and answered.

A Range header that is not understood is ignored, and the whole object sent (14.2). One that
is understood but fits nowhere, or that asks for more work than a client needs, is answered
by 416; the limits are Swift's.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

MAX_RANGES = 50
MAX_OVERLAPS = 2
MAX_UNORDERED = 8

_UNIT = "bytes"
_SPEC = re.compile(r"(\d{0,40})-(\d{0,40})\Z", re.ASCII)

Span = tuple[int, int]  # start and stop, stop exclusive


class ByteRange(NamedTuple):
    """As asked, both ends included. first None: the last `last` bytes. last None: up to the end."""

    first: int | None
    last: int | None


def parse(header: str) -> tuple[ByteRange, ...] | None:
    """Parse a Range header; None if it is absent, malformed or of another unit."""
    unit, _, specs = header.partition("=")
    if unit.strip().lower() != _UNIT:
        return None
    found = []
    for spec in specs.split(","):
        spec = spec.replace(" ", "").replace("\t", "")  # Swift's clients put spaces anywhere
        if not spec:  # RFC 9110 5.6.1.2: empty elements of a list do not count
            continue
        one = _parse_one(spec)
        if one is None:
            return None
        found.append(one)
    return tuple(found) or None


def _parse_one(spec: str) -> ByteRange | None:
    match = _SPEC.match(spec)
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return ByteRange(None, int(last)) if last else None
    if not last:
        return ByteRange(int(first), None)
    if int(last) < int(first):
        return None
    return ByteRange(int(first), int(last))


def has_suffix(ranges: Sequence[ByteRange]) -> bool:
    """Return whether one of the ranges is the last bytes of an object, of whatever size that is."""
    return any(first is None and last for first, last in ranges)


def resolve(ranges: Sequence[ByteRange], size: int) -> list[Span]:
    """Return the spans of the ranges in an object of `size` bytes, in their order, cut at its end.

    Empty if no range can be satisfied or the ranges are abusive: the answer is then 416.
    """
    if len(ranges) > MAX_RANGES:
        return []
    spans = []
    for first, last in ranges:
        if first is None:
            span = (max(0, size - (last or 0)), size)
        else:
            span = (first, size if last is None else min(last + 1, size))
        if span[0] < span[1]:
            spans.append(span)
    return [] if len(spans) > 1 and _abusive(spans) else spans


def _abusive(spans: Sequence[Span]) -> bool:
    unordered = sum(later < earlier for earlier, later in pairwise(spans))
    if unordered > MAX_UNORDERED:
        return True
    overlaps = reached = 0
    for start, stop in sorted(spans):
        overlaps += start < reached
        reached = max(reached, stop)
    return overlaps > MAX_OVERLAPS


def content_range(start: int, stop: int, size: int) -> str:
    """The Content-Range header of a span."""
    return f"bytes {start}-{stop - 1}/{size}"


def unsatisfied_range(size: int) -> str:
    """The Content-Range header of a 416."""
    return f"bytes */{size}"


def new_boundary() -> str:
    """A separator that no content holds, but by chance of 2^-128."""
    return secrets.token_hex(16)


class Multipart:
    """The frame of a multipart/byteranges body (RFC 9110, 14.6): what stands around the spans.

    The body is, for each part, its head and then the span's bytes; and the terminator.
    parts: the spans; content_type: the object's, as text; size: the object's.
    """

    __slots__ = ("boundary", "content_length", "heads", "parts", "terminator")

    def __init__(self, boundary: str, parts: Sequence[Span], content_type: str, size: int) -> None:
        self.boundary = boundary
        self.parts = tuple(parts)
        self.heads = tuple(
            f"{'' if index == 0 else chr(13) + chr(10)}--{boundary}\r\nContent-Type: {content_type}\r\n"
            f"Content-Range: {content_range(start, stop, size)}\r\n\r\n".encode("utf-8", "surrogateescape")
            for index, (start, stop) in enumerate(self.parts)
        )
        self.terminator = f"\r\n--{boundary}--\r\n".encode()
        self.content_length = (
            sum(len(head) for head in self.heads)
            + sum(stop - start for start, stop in self.parts)
            + len(self.terminator)
        )

    @property
    def content_type(self) -> str:
        """The Content-Type header of the answer."""
        return f"multipart/byteranges;boundary={self.boundary}"
