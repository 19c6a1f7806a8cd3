"""Entries on their way into an index that is built: sorted by their first bits, in memory or in files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from objstore.runtime.files import Files, OpenFile
from objstore.store.packed.pages import ENTRY, split_entries

_BUCKETS = 256


class IndexRows:
    """Encoded entries by the first byte of their hash. Close it, or use it as a context.

    directory: of files that are made when there are more than `max_bytes` bytes; it must not exist. Methods raise
    OSError.
    """

    def __init__(self, files: Files, directory: str, max_bytes: int) -> None:
        self._files = files
        self._directory = directory
        self._max_bytes = max_bytes
        self._bytes = 0
        self._rows = [bytearray() for _ in range(_BUCKETS)]
        self._spilled: list[OpenFile] = []

    def add(self, row: bytes) -> None:
        self._rows[row[0]] += row
        self._bytes += ENTRY
        if self._bytes > self._max_bytes:
            self._spill()

    def _spill(self) -> None:
        if not self._spilled:
            self._files.mkdir(self._directory)
            self._spilled = [self._files.create(f"{self._directory}/{first:02x}") for first in range(_BUCKETS)]
        for file, rows in zip(self._spilled, self._rows, strict=True):
            if rows:
                self._files.write(file.fd, (rows,))
        self._rows = [bytearray() for _ in range(_BUCKETS)]
        self._bytes = 0

    def batches(self) -> Iterator[tuple[int, list[bytes]]]:
        """The first byte, and the entries in order; those of one byte are in memory at a time. Can be read once."""
        for first in range(_BUCKETS):
            rows = self._rows[first]
            self._rows[first] = bytearray()
            if self._spilled:
                file = self._spilled[first]
                spilled = bytearray(self._files.size(file.fd))
                self._files.read_at(file.fd, spilled, 0)
                rows = spilled + rows
            if rows:
                yield first, sorted(split_entries(bytes(rows)))

    def close(self) -> None:
        for file in self._spilled:
            file.close()
        if self._spilled:
            self._spilled = []
            with contextlib.suppress(OSError):
                self._files.rmdir(self._directory)

    def __enter__(self) -> IndexRows:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
