"""Reading an object whose content is in memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from objstore.store.interface import ObjectInfo
from objstore.store.objects.format import checksums_of

PIECE = 1024 * 1024  # bytes given out at once


class MemoryReader:
    """An object as it was when opened. content: all of it, verified."""

    def __init__(self, info: ObjectInfo, content: bytes | memoryview) -> None:
        self.info = info
        self._content: bytes | memoryview | None = content

    def read(self, start: int, stop: int) -> Iterator[bytes | memoryview]:
        if self._content is None:
            raise ValueError("the reader is closed")
        view = memoryview(self._content)[max(0, start) : max(0, stop)]
        for first in range(0, len(view), PIECE):
            yield view[first : first + PIECE]

    def checksums(self) -> array[int]:
        return checksums_of(self._content or b"")

    def close(self) -> None:
        self._content = None

    def __enter__(self) -> MemoryReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
