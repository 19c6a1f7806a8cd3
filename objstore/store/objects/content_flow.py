"""The way of a large object's content into its file: past the page cache if the device can, else through it, bounded.

Past the page cache, full blocks of `runtime.blocks` are written from the memory in which they were received: nothing is
copied, no page waits to be written back, and the writer alone pays for its writes. What is left at the end, less than a
block, goes through the page cache together with the trailer.

Through the page cache, the kernel lets a process fill much of the memory with pages that the disk has not yet got, and
then holds up everyone who writes, also those who wrote little. So a writer starts the writeback of each window of its
file, and waits for the window before: no file ever has more than two windows unwritten.
"""

from __future__ import annotations

from collections.abc import Sequence

from objstore.runtime.blocks import SIZE, Buffer, full_block, new_block
from objstore.runtime.files import Files


class DirectWrites:
    """The mode of a device: files are written past the page cache until its file system refuses."""

    def __init__(self, wanted: bool) -> None:
        self.possible = wanted


class ContentFlow:
    """The bytes of one file, on their way in order. Used by one thread at a time; raises OSError.

    limit: bytes that may wait in the page cache for the disk.
    """

    def __init__(self, files: Files, direct: DirectWrites, limit: int) -> None:
        self._files = files
        self._direct = direct
        self._window = max(limit // 2, SIZE)
        self._is_direct = False  # of the file's descriptor
        self._block: memoryview | None = None  # where bytes gather that do not come in full blocks
        self._filled = 0
        self._written = 0
        self._started = 0  # writeback has begun up to here
        self._waited = 0  # and has ended up to here

    def append(self, fd: int, pieces: Sequence[Buffer]) -> None:
        if self._is_direct or self._direct.possible:
            for piece in pieces:
                self._gather(fd, piece)
        else:
            self._through_cache(fd, [*self._rest(), *pieces])

    def end(self, fd: int) -> Sequence[Buffer]:
        """Return the bytes that are not in the file; what is written next goes through the page cache."""
        if self._is_direct:
            self._is_direct = False
            self._files.set_direct(fd, False)
        return self._rest()

    def _rest(self) -> Sequence[Buffer]:
        block, self._block = self._block, None
        filled, self._filled = self._filled, 0
        return (block[:filled],) if block is not None and filled else ()

    def _gather(self, fd: int, piece: Buffer) -> None:
        view = memoryview(piece)
        if not self._filled and full_block(view) is not None:
            self._write(fd, view)
            return
        while view:
            if self._block is None:
                self._block = new_block()
            taken = min(len(view), SIZE - self._filled)
            self._block[self._filled : self._filled + taken] = view[:taken]
            self._filled += taken
            view = view[taken:]
            if self._filled == SIZE:
                full, self._block, self._filled = self._block, None, 0
                self._write(fd, full)

    def _write(self, fd: int, block: memoryview) -> None:
        """Write a full block, which is aligned in memory as it is in the file."""
        done = 0
        if not self._is_direct and self._direct.possible:
            self._is_direct = self._direct.possible = self._files.set_direct(fd, True)
        if self._is_direct:
            done = self._files.write_direct(fd, block)
            self._written += done
            if done == SIZE:
                return
            self._direct.possible = self._is_direct = False
            self._files.set_direct(fd, False)
        self._through_cache(fd, (block[done:],))

    def _through_cache(self, fd: int, pieces: Sequence[Buffer]) -> None:
        self._files.write(fd, pieces)
        self._written += sum(map(len, pieces))
        if self._written - self._started < self._window:
            return
        self._files.start_writeback(fd, self._started, self._written - self._started)
        if self._waited < self._started:
            self._files.await_writeback(fd, self._waited, self._started - self._waited)
            self._waited = self._started
        self._started = self._written
