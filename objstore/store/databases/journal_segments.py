"""The segments of a journal: the files in which its records are, read and appended to in turn by all processes."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence

from objstore.runtime.files import Files
from objstore.runtime.number_locks import NumberLocks
from objstore.store.databases.journal_format import (
    HEADER_SIZE,
    At,
    JournalRecord,
    JournalRows,
    RecordKind,
    encode_record,
    encode_rows,
    new_header,
    read_tag,
    records,
)
from objstore.store.databases.journal_state import JournalSegment, JournalState

DIRECTORY = "container_rows"  # of a device
_APPEND_LOCK = ".appending"
_SEGMENT = re.compile(r"(\d{8})\.journal\Z", re.ASCII)
_CHECK_SECONDS = 1.0


class JournalSegments:
    """The segments in the journal of a device. Calls are made with the mutex of the process held, and raise OSError.

    state: what was read of them.
    """

    def __init__(self, files: Files, root: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._files = files
        self._root = root
        self._directory = f"{root}/{DIRECTORY}"
        self._monotonic = monotonic
        self.state = JournalState()
        self._append_lock = NumberLocks(f"{self._directory}/{_APPEND_LOCK}")

    def release(self) -> None:
        """Close all files. Later calls read the journal again."""
        self.state = JournalState()
        self._append_lock.close()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one who appends."""
        if self.state.segment is None:
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

    def numbers(self) -> list[int]:
        """Return the numbers of all segments, in order."""
        try:
            names = self._files.list(self._directory)
        except FileNotFoundError:
            return []
        return sorted(int(match[1]) for match in map(_SEGMENT.match, names) if match)

    def read_on(self) -> None:
        """Read what was appended since the last call, by whomever. What is being appended right now may be missing."""
        state = self.state
        now = self._monotonic()
        if state.segment is None or now > state.checked_until:
            segment = state.segment
            if segment is not None and not self._files.is_at(segment.file.fd, self._path(segment.number)):
                state = self.state = JournalState()
            if state.segment is None:
                self._read_all()
            state.checked_until = now + _CHECK_SECONDS
        while self._read_segment() and self._follow():
            pass

    def _read_all(self) -> None:
        """Read the segments from the first one on; what is damaged in between is passed over."""
        before: list[int] = []
        while self.state.segment is None and (numbers := self.numbers()) != before:
            before = numbers  # if they are gone when they are opened, there are others now
            for number in numbers:
                if self._open(number):
                    self._read_segment(skip=True)

    def _open(self, number: int) -> bool:
        """Go on with a segment; return False if it is gone, or its header is not sound."""
        segment = self._segment(number)
        if segment is None:
            return False
        state = self.state
        state.segment, state.position, state.sealed = segment, HEADER_SIZE, False
        return True

    def _segment(self, number: int) -> JournalSegment | None:
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
        return None if tag is None else JournalSegment(number, file, tag)

    def _read_segment(self, skip: bool = False) -> bool:
        """Read the rest of the segment; return whether it is sealed. skip: what is damaged."""
        state = self.state
        segment = state.segment
        if segment is None:
            return False
        state.size = self._files.size(segment.file.fd)
        if state.size > state.position:
            data = bytearray(state.size - state.position)
            count = self._files.read_at(segment.file.fd, data, state.position)
            for record in records(segment.tag, bytes(data[:count]), state.position, skip):
                state.take(segment.number, record)
                state.position = record.end
                state.sealed |= record.kind is RecordKind.SEALED
        return state.sealed

    def _follow(self) -> bool:
        """Go on from a sealed segment to the next one; return whether there is one."""
        state = self.state
        assert state.segment is not None
        number = state.segment.number
        if self._open(number + 1):
            return True
        numbers = self.numbers()
        for each in numbers:
            if each > number and self._open(each):
                state.drop_removed(numbers)
                state.gates.clear()
                return True
        return False

    def remove(self, number: int) -> None:
        """Remove a segment; one that could not be read is set aside."""
        path = self._path(number)
        if self._segment(number) is None and os.path.getsize(path) > HEADER_SIZE:
            self._files.rename(path, f"{path}.damaged")
        else:
            self._files.unlink(path)

    # With `locked` held

    def read_to_end(self) -> None:
        """Read all that is there, so that the next record can be appended at `position`."""
        self.read_on()
        state = self.state
        if state.segment is None or state.sealed:
            self.begin_segment()
            return
        if state.size > state.position:
            # Left by one who was killed, or by a power cut: nobody else appends now.
            self._read_segment(skip=True)
            if state.sealed:
                self.begin_segment()
            elif state.size > state.position:
                self._files.truncate(state.segment.file.fd, state.position)

    def begin_segment(self) -> None:
        """Seal the segment, if there is one, and begin the next."""
        state = self.state
        if state.segment is not None and not state.sealed:
            self.append(RecordKind.SEALED)
            state.sealed = True
        numbers = self.numbers()
        last = max([*numbers, state.segment.number if state.segment else 0])
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

    def append(self, kind: RecordKind, payload: bytes = b"") -> None:
        """Append a record, and learn from it as from those of others."""
        state = self.state
        at = self._put(kind, payload)
        state.take(at.number, JournalRecord(at.position, state.position, kind, payload))

    def append_rows(self, rows: Sequence[JournalRows]) -> JournalSegment:
        """Append rows, and return the segment to be synced."""
        at = self._put(RecordKind.ROWS, encode_rows(rows))
        self.state.add(at, rows)
        assert self.state.segment is not None
        return self.state.segment

    def _put(self, kind: RecordKind, payload: bytes) -> At:
        """Write a record behind all others."""
        state = self.state
        segment, position = state.segment, state.position
        assert segment is not None
        record = encode_record(segment.tag, kind, payload)
        try:
            self._files.write_at(segment.file.fd, (record,), position)
        except OSError:
            with contextlib.suppress(OSError):
                self._files.truncate(segment.file.fd, position)
            raise
        state.position += len(record)
        return At(segment.number, position)
