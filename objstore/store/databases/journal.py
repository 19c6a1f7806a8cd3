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
import errno
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from sqlite3 import Connection
from typing import Any, NamedTuple

from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import Files, OpenFile
from objstore.runtime.number_locks import NumberLocks
from objstore.store.databases.journal_format import (
    HEADER_SIZE,
    At,
    JournalRecord,
    JournalRows,
    RecordKind,
    decode_location,
    decode_merged,
    decode_rows,
    encode_location,
    encode_merged,
    encode_record,
    encode_rows,
    new_header,
    read_tag,
    records,
)

DIRECTORY = "container_rows"  # of a device
_APPEND_LOCK = ".appending"
_MERGE_LOCK = ".merging"
_SEGMENT = re.compile(r"(\d{8})\.journal\Z", re.ASCII)
_KEPT_PART = 16  # a segment of less than this part of the journal's size is kept when nothing is pending
_GATE_SECONDS = 60.0  # then the database is looked at again, as it may have been removed by hand
_MAX_GATES = 10_000
_CHECK_SECONDS = 1.0

_Place = tuple[int, str]  # partition and hash


class JournalRules(NamedTuple):
    """The use of the journal by a kind of database, on an open connection.

    encode: rows as the journal has them. merge: joins such. gate: the life of what takes rows; None if it takes none.
    """

    encode: Callable[[Sequence[Any]], bytes]
    merge: Callable[[Connection, Sequence[bytes]], None]
    gate: Callable[[Connection], Timestamp | None]


class Pending(NamedTuple):
    """Rows in the journal, and their place there."""

    at: At
    rows: JournalRows


class _KnownGate(NamedTuple):
    """life: see `container_db.Writer`. until: on the monotonic clock."""

    life: Timestamp
    until: float


class _Segment(NamedTuple):
    number: int
    file: OpenFile
    tag: int


class _Known:
    """The state of the journal as this process knows it.

    segment: the one that is read, up to `position`; None if there is none.
    """

    def __init__(self) -> None:
        self.segment: _Segment | None = None
        self.position = 0
        self.size = 0  # of the segment, when it was last read
        self.sealed = False
        self.pending: dict[_Place, list[Pending]] = {}
        self.gates: dict[_Place, _KnownGate] = {}
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

    def drop(self, place: _Place, through: At) -> bool:
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
        self._known = _Known()
        self._named = 0  # the number of the last segment whose name is known to be durable
        self._append_lock = NumberLocks(f"{self._directory}/{_APPEND_LOCK}")
        self._merge_lock = NumberLocks(f"{self._directory}/{_MERGE_LOCK}")
        self._pid = os.getpid()

    def _after_fork(self) -> None:
        if self._pid != os.getpid():
            self._start()

    def release(self) -> None:
        """Close all files. Later calls open them again, and read the journal again."""
        self._after_fork()
        with self._mutex:
            self._known, self._named = _Known(), 0
            self._append_lock.close()
            self._merge_lock.close()

    # What is pending

    def pending(self, location: Location) -> Sequence[Pending]:
        """Return the rows of a database that are not merged yet, of all processes, oldest first."""
        self._after_fork()
        with self._mutex:
            self._read_on()
            return tuple(self._known.pending.get(location[:2], ()))

    def places(self) -> list[Location]:
        """Return the databases with pending rows."""
        self._after_fork()
        with self._mutex:
            self._read_on()
            return [Location(*place) for place in self._known.pending]

    def merged(self, location: Location, through: At) -> None:
        """Say that pending rows up to a place are durable in their database."""
        self._after_fork()
        with self._mutex:
            # The others' work is the same if they do not hear of it.
            if self._known.drop(location[:2], through):
                with contextlib.suppress(OSError), self._locked():
                    self._read_to_end()
                    self._append(RecordKind.MERGED, encode_merged(location, through))

    # Gates

    def has_gate(self, location: Location) -> bool:
        """Return whether `append` may take rows of a database."""
        gate = self._known.gates.get(location[:2])
        return gate is not None and self._pid == os.getpid() and gate.until > self._monotonic()

    def open_gate(self, location: Location, life: Timestamp) -> None:
        """Let rows go by the journal. In a transaction of the database, in which `pending` was called."""
        self._after_fork()
        with self._mutex:
            self._read_on()
            if self._known.segment is None:
                with self._locked():
                    self._read_to_end()
            # From now on whoever closes the gate waits for the transaction, and finds a segment to say so.
            gates = self._known.gates
            if len(gates) >= _MAX_GATES:
                gates.clear()
            gates[location[:2]] = _KnownGate(life, self._monotonic() + _GATE_SECONDS)

    def close_gate(self, location: Location) -> Sequence[Pending]:
        """Let no more rows go by the gates of any process; return what is pending. In a transaction of the database."""
        self._after_fork()
        with self._mutex:
            self._read_on()
            if self._known.segment is not None:
                with self._locked():
                    self._read_to_end()
                    self._append(RecordKind.CLOSED, encode_location(location))
            return tuple(self._known.pending.get(location[:2], ()))

    # Appending

    def append(self, rows: Sequence[JournalRows], lives: Sequence[Timestamp | None]) -> list[bool]:
        """Append rows whose gates are open, and make them durable; return which were taken.

        lives: the life of the container that the writer of the rows saw; None if any will do.
        """
        self._after_fork()
        with self._mutex, self._locked():
            self._read_to_end()
            taken = [self._goes_by(each.location, life) for each, life in zip(rows, lives, strict=True)]
            accepted = [each for each, good in zip(rows, taken, strict=True) if good]
            if not accepted:
                return taken
            segment = self._append_rows(accepted)
        self._sync(segment)
        return taken

    def keep(self, pending: Sequence[Pending]) -> None:
        """Append rows again, without a look at their gates, so that the segment in which they are can be removed."""
        self._after_fork()
        with self._mutex:
            self._read_on()
            if self._known.segment is None:
                return  # the device is another one now
            with self._locked():
                self._read_to_end()
                segment = self._append_rows([each.rows for each in pending])
        self._sync(segment)

    def _sync(self, segment: _Segment) -> None:
        try:
            self._files.fdatasync(segment.file.fd)
            if self._named != segment.number:
                # Who made it may have been killed before its name was durable.
                self._files.fsync_dir(self._directory)
                self._files.fsync_dir(self._root)
                self._named = segment.number
        except OSError:
            # What the system could not write it may take for written from now on.
            with contextlib.suppress(OSError), self._mutex, self._locked():
                self._read_to_end()
                if self._known.segment == segment:
                    self._begin_segment()
            raise

    def _goes_by(self, location: Location, life: Timestamp | None) -> bool:
        gate = self._known.gates.get(location[:2])
        if gate is None or gate.until <= self._monotonic():
            return False
        return life is None or gate.life <= life

    @property
    def is_due(self) -> bool:
        """Is the segment so large that its rows should be merged now?"""
        return self._known.position > self._max_size

    # Removing

    @contextlib.contextmanager
    def merging(self) -> Iterator[bool]:
        """Be the only one who merges all rows, if nobody else does; the value says so."""
        self._after_fork()
        if not self._merging.acquire(blocking=False):
            yield False
            return
        try:
            mine = self._known.segment is not None and self._merge_lock.try_acquire(0)
            try:
                yield mine
            finally:
                if mine:
                    self._merge_lock.release(0)
        finally:
            self._merging.release()

    def seal(self) -> int:
        """Begin another segment, unless the last is empty; return the number of the last one."""
        with self._mutex, self._locked():
            self._read_to_end()
            assert self._known.segment is not None
            if self._known.position > HEADER_SIZE:
                self._begin_segment()
            return self._known.segment.number

    @property
    def is_littered(self) -> bool:
        """Are there segments to be removed, or much in the last one, although nothing is pending? Raises OSError."""
        small = max(HEADER_SIZE, self._max_size // _KEPT_PART)
        return self._known.position > small or len(self._numbers()) > 1

    def remove_before(self, number: int) -> None:
        """Remove the segments before one, as far as none of their rows are pending."""
        with self._mutex:
            self._read_on()
            oldest = min((known[0].at.number for known in self._known.pending.values()), default=number)
        for each in self._numbers():
            if each < min(number, oldest):
                self._remove(each)

    def _remove(self, number: int) -> None:
        """Remove a segment; one that could not be read is set aside."""
        path = self._path(number)
        if self._segment(number) is None and os.path.getsize(path) > HEADER_SIZE:
            self._files.rename(path, f"{path}.damaged")
        else:
            self._files.unlink(path)

    # Within the mutex

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Be the only one who appends."""
        if self._known.segment is None:
            self._make_directory()
        self._append_lock.acquire(0)
        try:
            yield
        finally:
            self._append_lock.release(0)

    def _make_directory(self) -> None:
        if self._files.is_dir(self._root):  # else the device is missing
            with contextlib.suppress(FileExistsError):
                self._files.mkdir(self._directory)

    def _path(self, number: int) -> str:
        return f"{self._directory}/{number:08d}.journal"

    def _numbers(self) -> list[int]:
        """Return the numbers of all segments, in order."""
        try:
            names = self._files.list(self._directory)
        except FileNotFoundError:
            return []
        return sorted(int(match[1]) for match in map(_SEGMENT.match, names) if match)

    def _read_on(self) -> None:
        """Read what was appended since the last call, by whomever. What is being appended right now may be missing."""
        known = self._known
        now = self._monotonic()
        if known.segment is None or now > known.checked_until:
            if known.segment is not None and not self._is_there(known.segment):
                known = self._known = _Known()
            if known.segment is None:
                self._read_all()
            known.checked_until = now + _CHECK_SECONDS
        while self._read_segment() and self._follow():
            pass

    def _is_there(self, segment: _Segment) -> bool:
        """Is a segment that is open still the one at its path?"""
        try:
            return os.path.samestat(os.fstat(segment.file.fd), os.stat(self._path(segment.number)))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _read_all(self) -> None:
        """Read the segments from the first one on; what is damaged in between is passed over."""
        before: list[int] = []
        while self._known.segment is None and (numbers := self._numbers()) != before:
            before = numbers  # if they are gone when they are opened, there are others now
            for number in numbers:
                if self._open(number):
                    self._read_segment(skip=True)

    def _open(self, number: int) -> bool:
        """Go on with a segment; return False if it is gone, or its header is not sound."""
        segment = self._segment(number)
        if segment is None:
            return False
        known = self._known
        known.segment, known.position, known.sealed = segment, HEADER_SIZE, False
        return True

    def _segment(self, number: int) -> _Segment | None:
        path = self._path(number)
        try:
            file = self._files.open_to_write(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            file = self._files.open(path)  # its rows can be read, and others not appended
        header = bytearray(HEADER_SIZE)
        self._files.read_at(file.fd, header, 0)
        tag = read_tag(bytes(header))
        return None if tag is None else _Segment(number, file, tag)

    def _read_segment(self, skip: bool = False) -> bool:
        """Read the rest of the segment; return whether it is sealed. skip: what is damaged."""
        known = self._known
        segment = known.segment
        if segment is None:
            return False
        known.size = self._files.size(segment.file.fd)
        if known.size > known.position:
            data = bytearray(known.size - known.position)
            count = self._files.read_at(segment.file.fd, data, known.position)
            for record in records(segment.tag, bytes(data[:count]), known.position, skip):
                known.take(segment.number, record)
                known.position = record.end
                known.sealed |= record.kind is RecordKind.SEALED
        return known.sealed

    def _follow(self) -> bool:
        """Go on from a sealed segment to the next one; return whether there is one."""
        known = self._known
        assert known.segment is not None
        number = known.segment.number
        if self._open(number + 1):
            return True
        numbers = self._numbers()
        for each in numbers:
            if each > number and self._open(each):
                known.drop_removed(numbers)
                known.gates.clear()
                return True
        return False

    # With the journal locked

    def _read_to_end(self) -> None:
        """Read all that is there, so that the next record can be appended at `position`."""
        self._read_on()
        known = self._known
        if known.segment is None or known.sealed:
            self._begin_segment()
            return
        if known.size > known.position:
            # Left by one who was killed, or by a power cut: nobody else appends now.
            self._read_segment(skip=True)
            if known.sealed:
                self._begin_segment()
            elif known.size > known.position:
                self._files.truncate(known.segment.file.fd, known.position)

    def _begin_segment(self) -> None:
        """Seal the segment, if there is one, and begin the next."""
        known = self._known
        if known.segment is not None and not known.sealed:
            self._append(RecordKind.SEALED)
            known.sealed = True
        numbers = self._numbers()
        last = max([*numbers, known.segment.number if known.segment else 0])
        path = self._path(last + 1)
        file = self._files.create(path)
        try:
            self._files.write_at(file.fd, (new_header(),), 0)
            self._files.fsync(file.fd)
            file.path = ""  # the name stays
        finally:
            file.close()
        if not self._open(last + 1):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def _append(self, kind: RecordKind, payload: bytes = b"") -> None:
        known = self._known
        at = self._put(kind, payload)
        known.take(at.number, JournalRecord(at.position, known.position, kind, payload))

    def _append_rows(self, rows: Sequence[JournalRows]) -> _Segment:
        """Append rows, and return the segment to be synced."""
        at = self._put(RecordKind.ROWS, encode_rows(rows))
        self._known.add(at, rows)
        assert self._known.segment is not None
        return self._known.segment

    def _put(self, kind: RecordKind, payload: bytes) -> At:
        """Write a record behind all others."""
        known = self._known
        segment, position = known.segment, known.position
        assert segment is not None
        record = encode_record(segment.tag, kind, payload)
        try:
            self._files.write_at(segment.file.fd, (record,), position)
        except OSError:
            with contextlib.suppress(OSError):
                self._files.truncate(segment.file.fd, position)
            raise
        known.position += len(record)
        return At(segment.number, position)
