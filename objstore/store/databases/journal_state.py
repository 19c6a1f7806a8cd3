"""The state of a journal as a process knows it from the records that it has read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from objstore.core.timestamps import Timestamp
from objstore.runtime.files import OpenFile
from objstore.store.databases.journal_format import (
    At,
    JournalRecord,
    JournalRows,
    RecordKind,
    decode_location,
    decode_merged,
    decode_rows,
)

Place = tuple[int, str]  # partition and hash


class Pending(NamedTuple):
    """Rows in the journal, and their place there."""

    at: At
    rows: JournalRows


class KnownGate(NamedTuple):
    """life: see `container_db.Writer`. until: on the monotonic clock."""

    life: Timestamp
    until: float


class JournalSegment(NamedTuple):
    number: int
    file: OpenFile
    tag: int


class JournalState:
    """The state of the journal as this process knows it.

    segment: the one that is read, up to `position`; None if there is none.
    """

    def __init__(self) -> None:
        self.segment: JournalSegment | None = None
        self.position = 0
        self.size = 0  # of the segment, when it was last read
        self.sealed = False
        self.pending: dict[Place, list[Pending]] = {}
        self.gates: dict[Place, KnownGate] = {}
        self.checked_until = 0.0

    def take(self, number: int, record: JournalRecord) -> None:
        """Learn from a record."""
        if record.kind is RecordKind.ROWS:
            self.add(At(number, record.position), decode_rows(record.payload))
        elif record.kind is RecordKind.CLOSED:
            self.gates.pop(decode_location(record.payload)[:2], None)
        elif record.kind is RecordKind.MERGED:
            location, through = decode_merged(record.payload)
            self.drop(location[:2], through)

    def add(self, at: At, entries: Iterable[JournalRows]) -> None:
        pending = self.pending
        for rows in entries:
            pending.setdefault(rows.location[:2], []).append(Pending(at, rows))

    def drop(self, place: Place, through: At) -> bool:
        """Forget pending rows up to a place of the journal; return whether there were any."""
        known = self.pending.get(place)
        if known is None or known[0].at > through:
            return False
        left = [pending for pending in known if pending.at > through]
        if left:
            self.pending[place] = left
        else:
            del self.pending[place]
        return True

    def drop_removed(self, numbers: Sequence[int]) -> None:
        """Forget pending rows of segments that were removed, as all their rows are merged. numbers: of the others."""
        for place in list(self.pending):
            self.drop(place, At(numbers[0], 0))
