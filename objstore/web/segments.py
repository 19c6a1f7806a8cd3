"""The segments that a manifest lists, and which bytes of which of them make up a span of the whole.

A list in JSON is an array of rows, in order: `name` (`/container/object` in the manifest's
account), `hash` (the etag the segment must have), `bytes` (its whole size), and, if only
some of it counts, `range` (`first-last`). A row may have `data` instead: bytes of the content itself, in base64.
Further keys are for those who made the list.
"""

from __future__ import annotations

import base64
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from objstore.core.errors import MALFORMED, InvalidInput
from objstore.web.ranges import Span

MAX_BYTES = 16 << 20  # of a list: 10,000 rows with names of 1 KiB


class Segment(NamedTuple):
    """The bytes from start up to stop of the object at `path` (`/container/object`), of `size` bytes in all.

    data: the bytes themselves, if they are part of the list; path is then empty. is_manifest: the object was a manifest
    when it was listed.
    """

    path: str
    etag: str
    size: int
    start: int
    stop: int
    data: bytes = b""
    is_manifest: bool = False

    @property
    def length(self) -> int:
        return self.stop - self.start


def parse(content: bytes) -> list[Segment]:
    """Parse a list of segments. Raises InvalidInput if it is malformed."""
    try:
        return [segment(row) for row in json.loads(content)]
    except MALFORMED as error:
        raise InvalidInput(f"not a list of segments: {error}") from None


def segment(row: Mapping[str, Any]) -> Segment:
    """Return the segment of a row. Raises InvalidInput, and `MALFORMED`."""
    if "data" in row:
        data = base64.b64decode(row["data"], validate=True)
        return Segment("", "", len(data), 0, len(data), data)
    size = int(row["bytes"])
    start, stop = 0, size
    if "range" in row:
        first, _, last = row["range"].partition("-")
        start, stop = int(first), int(last) + 1
    if not 0 <= start <= stop <= size:
        raise InvalidInput(f"a segment of {size} bytes has no bytes {row.get('range')}")
    return Segment(str(row["name"]), str(row["hash"]), size, start, stop, is_manifest=bool(row.get("sub_slo")))


def dump(rows: Iterable[Mapping[str, object]]) -> bytes:
    """The list as it is kept."""
    return json.dumps(list(rows), separators=(",", ":")).encode()


class Whole:
    """The whole content of segments. size: in bytes. parts: the number of segments, also of those without bytes."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._all = segments
        self.parts = len(segments)
        self.segments = [segment for segment in segments if segment.length]
        self._ends = list(accumulate(segment.length for segment in self.segments))
        self.size = self._ends[-1] if self._ends else 0

    def part(self, number: int) -> Span | None:
        """Return the span of a segment, the first of which has the number 1; None if there is no such segment."""
        if not 1 <= number <= self.parts:
            return None
        start = sum(segment.length for segment in self._all[: number - 1])
        return start, start + self._all[number - 1].length

    def reads(self, span: Span) -> Iterator[bytes | Segment]:
        """Yield the segments to read, in order, for the bytes of a span of the whole, or bytes of the list itself."""
        position, stop = span
        index = bisect_right(self._ends, position)
        while position < stop:
            segment = self.segments[index]
            begins = self._ends[index] - segment.length
            first = segment.start + position - begins
            last = min(segment.stop, segment.start + stop - begins)
            yield segment.data[first:last] if segment.data else segment._replace(start=first, stop=last)
            position = self._ends[index]
            index += 1
