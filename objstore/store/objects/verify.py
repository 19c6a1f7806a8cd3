"""Reading all that is stored of a name, to see whether it is still what was written."""

from __future__ import annotations

import hashlib
from typing import Any

from awscrt.checksums import crc32c

from objstore.runtime.files import Files
from objstore.store.change import Change
from objstore.store.objects.file_io import read_aside, read_trailer
from objstore.store.objects.format import BLOCK, Unsound, decode_record
from objstore.store.objects.lookup import OpenChange, open_change

PIECE = 16 * BLOCK  # bytes read at once


class Check:
    """The check of one .data, .meta or .ts file; each method blocks, so call it in a thread.

    Raises Unsound if the file is damaged, OSError as the file system does.
    """

    def __init__(self, files: Files, path: str, change: Change) -> None:
        """Open, and check the record and the file's length."""
        self._files = files
        self._change: OpenChange = open_change(files, path, change)
        self.size = 0
        self._offset = 0
        self._md5: Any = None
        self._buffer = memoryview(b"")
        file = self._change.file
        if file is None:
            return
        try:
            self._record = decode_record(self._change.record)
            self._trailer = read_trailer(files, file)
            if self._trailer.size != self._record["size"]:
                raise Unsound("the size in the trailer does not match the metadata")
            self.size = self._trailer.size
        except BaseException:
            file.close()
            raise

    def begin_content(self, hashed_since: float) -> None:
        """hashed_since: check the etag too, of a file that came here at or after this."""
        assert self._change.file is not None
        fd = self._change.file.fd
        self._files.reads_exactly(fd)
        self._buffer = memoryview(bytearray(min(PIECE, self.size)))
        if self._files.changed(fd) >= hashed_since:
            self._md5 = hashlib.md5(usedforsecurity=False)

    @property
    def next_size(self) -> int:
        """Bytes that `step` would read."""
        return min(PIECE, self.size - self._offset)

    def step(self) -> None:
        """Read and check the next piece; memory then holds of the file what it held before."""
        view = self._buffer[: self.next_size]
        self._read(view)
        block = self._offset // BLOCK
        for first in range(0, len(view), BLOCK):
            if crc32c(view[first : first + BLOCK]) != self._trailer.checksums[block]:
                raise Unsound(f"the checksum of block {block} does not match")
            block += 1
        if self._md5 is not None:
            self._md5.update(view)
        self._offset += len(view)

    def _read(self, view: memoryview) -> None:
        assert self._change.file is not None
        if read_aside(self._files, self._change.file, view, self._offset) != len(view):
            raise Unsound("the file is shorter than its metadata states")

    def end_content(self) -> None:
        """After the last step."""
        if self._md5 is not None and self._md5.hexdigest() != self._record["etag"]:
            raise Unsound("the content does not match the etag")

    def close(self) -> None:
        if self._change.file is not None:
            self._change.file.close()
