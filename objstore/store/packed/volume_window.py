"""Reading a volume in order."""

from __future__ import annotations

from typing import Protocol

from objstore.runtime.files import Files, OpenFile
from objstore.store.disk_errors import UNREADABLE
from objstore.store.objects.format import Unsound
from objstore.store.packed.format import ALIGNMENT, HEADER_SIZE, Header, decode_header

_WINDOW = 1024 * 1024  # bytes read at once
_BLOCK = 4096  # bytes read at once where the device fails to read
_PATIENCE = 16  # blocks in a row that cannot be read, after which larger stretches are stepped over


class SteppingOver(Protocol):
    """The judge of reads that fail. is_lasting: to be stepped over; note: a stretch that was, by start and end."""

    def is_lasting(self, error: OSError) -> bool: ...

    def note(self, start: int, end: int) -> None: ...


class VolumeWindow:
    """A stretch of a volume in memory. size: of the file, which may be cut short meanwhile.

    stepping_over: without it, every error is raised. Zeros stand for what cannot be read.
    """

    def __init__(self, files: Files, file: OpenFile, size: int, stepping_over: SteppingOver | None = None) -> None:
        self._files = files
        self._file = file
        self._size = size
        self._stepping_over = stepping_over
        self._start = 0
        self._data = bytearray()

    def view(self, position: int, length: int) -> memoryview:
        """The bytes from a position on, fewer at the end of the file. Raises OSError."""
        end = min(position + length, self._size)
        if position < self._start or end > self._start + len(self._data):
            self._data = self._read(position, max(0, min(max(length, _WINDOW), self._size - position)))
            self._start = position
        offset = position - self._start
        return memoryview(self._data)[offset : offset + length]

    def _read(self, position: int, length: int) -> bytearray:
        data = bytearray(length)
        try:
            del data[self._files.read_at(self._file.fd, data, position) :]
        except OSError as error:
            if self._stepping_over is None or not self._stepping_over.is_lasting(error):
                raise
            self._read_blocks(position, memoryview(data), self._stepping_over)
        return data

    def _read_blocks(self, position: int, data: memoryview, stepping_over: SteppingOver) -> None:
        at, step, failures = 0, _BLOCK, 0
        while at < len(data):
            end = min(len(data), at + step - (position + at) % _BLOCK)
            try:
                self._files.read_at(self._file.fd, data[at:end], position + at)
                step, failures = _BLOCK, 0
            except OSError as error:
                if error.errno not in UNREADABLE:
                    raise
                data[at:end] = bytes(end - at)
                stepping_over.note(position + at, position + end)
                failures += 1
                if failures >= _PATIENCE:
                    step = min(2 * step, _WINDOW)
            at = end

    def header(self, tag: bytes, position: int) -> Header | None:
        """The header at a position, if there is one and the file is long enough for its record."""
        try:
            header = decode_header(tag, self.view(position, HEADER_SIZE))
        except Unsound:
            return None
        return header if position + header.length <= self._size else None

    def find(self, tag: bytes, position: int) -> int:
        """The next position, from one on, where a record with a sound header begins; -1 if there is none."""
        while position + HEADER_SIZE <= self._size:
            if not len(self.view(position, min(_WINDOW, self._size - position))):
                break
            index = self._data.find(tag, position - self._start)
            if index < 0:
                # The tag may begin in the last bytes of this stretch.
                last = self._start + len(self._data) - ALIGNMENT
                position = max(position + ALIGNMENT, last - last % ALIGNMENT)
                continue
            position = self._start + index
            if position % ALIGNMENT == 0 and self.header(tag, position) is not None:
                return position
            position += ALIGNMENT - position % ALIGNMENT
        return -1

    def is_zero(self, position: int) -> bool:
        """Are there only zeros from a position on?"""
        while position < self._size:
            part = self.view(position, min(_WINDOW, self._size - position)).tobytes()
            if not part or part.count(0) != len(part):
                return False
            position += len(part)
        return True
