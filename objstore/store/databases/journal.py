"""The journal of a device's container databases: rows that are durable, and not yet in their databases.

All processes of the host share it. It is a sequence of *segments*, files; records are appended to the last one, under a
lock. Every process reads what the others append and so knows which rows are *pending*: accepted, and not yet merged.
Whoever merges pending rows into a database says so in the journal; a segment all of whose rows are merged is removed.

A *gate* is a process's knowledge that a database takes rows: it is there, its container is neither deleted nor shut.
It is had inside a transaction of the database, and holds until the journal says that the database is *closed*. Who
changes what a gate tells appends that inside a transaction of the database, before it looks for pending rows. So a row
that went by the gate is either seen by the change, or comes to a closed gate.

Order of locks: the database's (SQLite), the mutex of the process, the lock of the journal.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from sqlite3 import Connection
from typing import Any, NamedTuple

from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import Files
from objstore.runtime.number_locks import NumberLocks
from objstore.store.databases.journal_format import (
    HEADER_SIZE,
    At,
    JournalRows,
    RecordKind,
    encode_location,
    encode_merged,
)
from objstore.store.databases.journal_segments import DIRECTORY, JournalSegments
from objstore.store.databases.journal_state import JournalSegment, KnownGate, Pending

_MERGE_LOCK = ".merging"
_KEPT_PART = 16  # a segment of less than this part of the journal's size is kept when nothing is pending
_GATE_SECONDS = 60.0  # then the database is looked at again, as it may have been removed by hand
_MAX_GATES = 10_000


class JournalRules(NamedTuple):
    """The use of the journal by a kind of database, on an open connection.

    encode: rows as the journal has them. merge: joins such. gate: the life of what takes rows; None if it takes none.
    """

    encode: Callable[[Sequence[Any]], bytes]
    merge: Callable[[Connection, Sequence[bytes]], None]
    gate: Callable[[Connection], Timestamp | None]


class RowJournal:
    """The journal of a device, as this process sees it. All calls block, and raise OSError.

    For several threads. max_size: bytes of a segment, beyond which `is_due` says that rows should be merged.
    """

    def __init__(
        self, files: Files, root: str, max_size: int = 4 << 20, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._files = files
        self._root = root
        self._directory = f"{root}/{DIRECTORY}"
        self._max_size = max_size
        self._monotonic = monotonic
        self._start()

    def _start(self) -> None:
        self._mutex = threading.Lock()
        self._merging = threading.Lock()
        self._segments = JournalSegments(self._files, self._root, self._monotonic)
        self._named = 0  # the number of the last segment whose name is known to be durable
        self._merge_lock = NumberLocks(f"{self._directory}/{_MERGE_LOCK}")
        self._pid = os.getpid()

    def _after_fork(self) -> None:
        if self._pid != os.getpid():
            self._start()

    def release(self) -> None:
        """Close all files. Later calls open them again, and read the journal again."""
        self._after_fork()
        with self._mutex:
            self._named = 0
            self._segments.release()
            self._merge_lock.close()

    # What is pending

    def pending(self, location: Location) -> Sequence[Pending]:
        """Return the rows of a database that are not merged yet, of all processes, oldest first."""
        self._after_fork()
        with self._mutex:
            self._segments.read_on()
            return tuple(self._segments.state.pending.get(location[:2], ()))

    def places(self) -> list[Location]:
        """Return the databases with pending rows."""
        self._after_fork()
        with self._mutex:
            self._segments.read_on()
            return [Location(*place) for place in self._segments.state.pending]

    def merged(self, location: Location, through: At) -> None:
        """Say that pending rows up to a place are durable in their database."""
        self._after_fork()
        with self._mutex:
            # The others' work is the same if they do not hear of it.
            if self._segments.state.drop(location[:2], through):
                with contextlib.suppress(OSError), self._segments.locked():
                    self._segments.read_to_end()
                    self._segments.append(RecordKind.MERGED, encode_merged(location, through))

    # Gates

    def has_gate(self, location: Location) -> bool:
        """Return whether `append` may take rows of a database."""
        gate = self._segments.state.gates.get(location[:2])
        return gate is not None and self._pid == os.getpid() and gate.until > self._monotonic()

    def open_gate(self, location: Location, life: Timestamp) -> None:
        """Let rows go by the journal. In a transaction of the database, in which `pending` was called."""
        self._after_fork()
        with self._mutex:
            self._segments.read_on()
            if self._segments.state.segment is None:
                with self._segments.locked():
                    self._segments.read_to_end()
            # From now on whoever closes the gate waits for the transaction, and finds a segment to say so.
            gates = self._segments.state.gates
            if len(gates) >= _MAX_GATES:
                gates.clear()
            gates[location[:2]] = KnownGate(life, self._monotonic() + _GATE_SECONDS)

    def close_gate(self, location: Location) -> Sequence[Pending]:
        """Let no more rows go by the gates of any process; return what is pending. In a transaction of the database."""
        self._after_fork()
        with self._mutex:
            self._segments.read_on()
            if self._segments.state.segment is not None:
                with self._segments.locked():
                    self._segments.read_to_end()
                    self._segments.append(RecordKind.CLOSED, encode_location(location))
            return tuple(self._segments.state.pending.get(location[:2], ()))

    # Appending

    def append(self, rows: Sequence[JournalRows], lives: Sequence[Timestamp | None]) -> list[bool]:
        """Append rows whose gates are open, and make them durable; return which were taken.

        lives: the life of the container that the writer of the rows saw; None if any will do.
        """
        self._after_fork()
        with self._mutex, self._segments.locked():
            self._segments.read_to_end()
            taken = [self._goes_by(each.location, life) for each, life in zip(rows, lives, strict=True)]
            accepted = [each for each, good in zip(rows, taken, strict=True) if good]
            if not accepted:
                return taken
            segment = self._segments.append_rows(accepted)
        self._sync(segment)
        return taken

    def keep(self, pending: Sequence[Pending]) -> None:
        """Append rows again, without a look at their gates, so that the segment in which they are can be removed."""
        self._after_fork()
        with self._mutex:
            self._segments.read_on()
            if self._segments.state.segment is None:
                return  # the device is another one now
            with self._segments.locked():
                self._segments.read_to_end()
                segment = self._segments.append_rows([each.rows for each in pending])
        self._sync(segment)

    def _sync(self, segment: JournalSegment) -> None:
        try:
            self._files.fdatasync(segment.file.fd)
            if self._named != segment.number:
                # Who made it may have been killed before its name was durable.
                self._files.fsync_dir(self._directory)
                self._files.fsync_dir(self._root)
                self._named = segment.number
        except OSError:
            # What the system could not write it may take for written from now on.
            with contextlib.suppress(OSError), self._mutex, self._segments.locked():
                self._segments.read_to_end()
                if self._segments.state.segment == segment:
                    self._segments.begin_segment()
            raise

    def _goes_by(self, location: Location, life: Timestamp | None) -> bool:
        gate = self._segments.state.gates.get(location[:2])
        if gate is None or gate.until <= self._monotonic():
            return False
        return life is None or gate.life <= life

    @property
    def is_due(self) -> bool:
        """Is the segment so large that its rows should be merged now?"""
        return self._segments.state.position > self._max_size

    # Removing

    @contextlib.contextmanager
    def merging(self) -> Iterator[bool]:
        """Be the only one who merges all rows, if nobody else does; the value says so."""
        self._after_fork()
        if not self._merging.acquire(blocking=False):
            yield False
            return
        try:
            mine = self._segments.state.segment is not None and self._merge_lock.try_acquire(0)
            try:
                yield mine
            finally:
                if mine:
                    self._merge_lock.release(0)
        finally:
            self._merging.release()

    def seal(self) -> int:
        """Begin another segment, unless the last is empty; return the number of the last one."""
        with self._mutex, self._segments.locked():
            self._segments.read_to_end()
            assert self._segments.state.segment is not None
            if self._segments.state.position > HEADER_SIZE:
                self._segments.begin_segment()
            return self._segments.state.segment.number

    @property
    def is_littered(self) -> bool:
        """Are there segments to be removed, or much in the last one, although nothing is pending? Raises OSError."""
        small = max(HEADER_SIZE, self._max_size // _KEPT_PART)
        return self._segments.state.position > small or len(self._segments.numbers()) > 1

    def remove_before(self, number: int) -> None:
        """Remove the segments before one, as far as none of their rows are pending."""
        with self._mutex:
            self._segments.read_on()
            oldest = min((known[0].at.number for known in self._segments.state.pending.values()), default=number)
        for each in self._segments.numbers():
            if each < min(number, oldest):
                self._segments.remove(each)
