"""A change of a name: what engines store, what replicas exchange, and what hashes are computed of.

A change is an object's data, metadata that a later POST laid over it, or a tombstone. Its text form is

    change    = timestamp ".data"                     an object
              | timestamp ["-" timestamp] ".meta"     metadata; the second: when the content type was set, if it was
              | timestamp ".ts"                       a tombstone
    timestamp = 10 digits "." 5 digits ["_" 16 hex digits]     the internal form, see `core.timestamps`

for example `1500000000.00000-1400000000.00000.meta`. It must stay as it is: nodes of different versions send it to
one another and compare hashes of it, and the files of the file engine are called by it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from objstore.core.timestamps import TICKS, Timestamp

DATA = "data"
METADATA = "meta"
TOMBSTONE = "ts"
KINDS = (DATA, METADATA, TOMBSTONE)

_TIMESTAMP = r"(\d{10})\.(\d{5})(?:_(?!0{16})([0-9a-f]{16}))?"
_CHANGE = re.compile(rf"{_TIMESTAMP}(?:-{_TIMESTAMP})?\.({'|'.join(KINDS)})", re.ASCII).fullmatch


class Change(NamedTuple):
    """content_type: when the content type of metadata was set; None if they have none, and for other kinds."""

    timestamp: Timestamp
    kind: str
    content_type: Timestamp | None = None

    def __str__(self) -> str:
        if self.content_type is not None:
            return f"{self.timestamp.internal}-{self.content_type.internal}.{self.kind}"
        return f"{self.timestamp.internal}.{self.kind}"

    @classmethod
    def parse(cls, text: str) -> Change | None:
        """The change that a text form stands for; None for any other text."""
        match = _CHANGE(text)
        if match is None:
            return None
        seconds, ticks, offset, type_seconds, type_ticks, type_offset, kind = match.groups()
        timestamp = Timestamp(int(seconds) * TICKS + int(ticks), int(offset, 16) if offset else 0)
        if type_seconds is None:
            return cls(timestamp, kind)
        if kind != METADATA:
            return None
        typed = Timestamp(int(type_seconds) * TICKS + int(type_ticks), int(type_offset, 16) if type_offset else 0)
        return cls(timestamp, kind, typed)
