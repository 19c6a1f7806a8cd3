"""Reading a volume in order."""

from __future__ import annotations

from objstore.runtime.files import Files, OpenFile
from objstore.store.objects.format import Unsound
from objstore.store.packed.format import ALIGNMENT, HEADER_SIZE, Header, decode_header

_WINDOW = 1024 * 1024  # bytes read at once


class VolumeWindow:
    """A stretch of a volume in memory. size: of the file, which may be cut short meanwhile."""

    def __init__(self, files: Files, file: OpenFile, size: int) -> None:
        self._files = files
        self._file = file
        self._size = size
        self._start = 0
        self._data = bytearray()

    def view(self, position: int, length: int) -> memoryview:
        """The bytes from a position on, fewer at the end of the file. Raises OSError."""
        end = min(position + length, self._size)
        if position < self._start or end > self._start + len(self._data):
            data = bytearray(max(0, min(max(length, _WINDOW), self._size - position)))
            del data[self._files.read_at(self._file.fd, data, position) :]
            self._data = data
            self._start = position
        offset = position - self._start
        return memoryview(self._data)[offset : offset + length]

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
