"""Places of packed records."""

from __future__ import annotations

from typing import NamedTuple

from objstore.store.change import Change


class Place(NamedTuple):
    """The place of a record. volume: its number; position, length: of the whole record there, in bytes.

    head: bytes of the record before its content: header and metadata.
    """

    volume: int
    position: int
    length: int
    head: int


class Entry(NamedTuple):
    """A change of a name, and where its record is."""

    change: Change
    place: Place
