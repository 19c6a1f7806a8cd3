"""Reading an object: every block is verified before it is given out."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import NamedTuple

from awscrt.checksums import crc32c

from objstore.core.errors import Corrupt, DeviceUnavailable, ObjstoreError, Unreadable
from objstore.runtime.files import Files, OpenFile
from objstore.runtime.threads import ThreadPool
from objstore.store.disk_errors import UNREADABLE
from objstore.store.interface import ObjectInfo
from objstore.store.objects.format import BLOCK, Unsound, check_one_block, decode_trailer, trailer_size
from objstore.store.objects.jobs import Job, close_after

PIECE = 8 * BLOCK  # bytes read and given out at once
AHEAD = PIECE // 2  # a cold read of this many bytes starts a read-ahead of the same size
_BUFFERS_KEPT = 8


class Buffers:
    """Buffers of PIECE bytes to be used again: making one costs the clearing of its memory."""

    def __init__(self) -> None:
        self._free: list[bytearray] = []

    def take(self) -> bytearray:
        return self._free.pop() if self._free else bytearray(PIECE)

    def give_back(self, buffer: bytearray) -> None:
        if len(self._free) < _BUFFERS_KEPT:
            self._free.append(buffer)


class Disk(NamedTuple):
    """The tools of reading. pool: threads for reads that wait for the device, for up to `timeout` seconds each."""

    files: Files
    pool: ThreadPool
    buffers: Buffers
    timeout: float = 0.0


def _read_at(files: Files, file: OpenFile, view: memoryview, offset: int) -> int:
    count = files.read_at(file.fd, view, offset)
    if len(view) >= AHEAD:  # a long read goes on, mostly: let the disk work while this piece is sent
        files.will_need(file.fd, offset + count, AHEAD)
    return count


class FileReader:
    """An open .data file. spilled: bytes of its record in the trailer.

    on_corrupt: quarantines the file, given why; called once, before Corrupt is raised. on_unreadable: called before
    Unreadable is raised.
    """

    def __init__(
        self,
        disk: Disk,
        file: OpenFile,
        info: ObjectInfo,
        spilled: int,
        on_corrupt: Callable[[str], None],
        on_unreadable: Callable[[], None] = lambda: None,
    ) -> None:
        self.info = info
        self._disk = disk
        self._file: OpenFile | None = file
        self._spilled = spilled
        self._on_corrupt = on_corrupt
        self._on_unreadable = on_unreadable
        self._checksums: array[int] | None = None
        self._job: Job | None = None  # the last one started

    def read(self, start: int, stop: int) -> Iterator[bytes | memoryview]:
        stop = min(stop, self.info.size)
        start = max(0, start)
        if start >= stop:
            return
        if self._file is None:
            raise ValueError("the reader is closed")
        try:
            if self.info.size <= BLOCK:
                yield self._read_small(self._file)[start:stop]
            else:
                yield from self._read_large(self._file, start, stop)
        except (Unsound, OSError) as error:
            raise self._judged(error) from error

    def checksums(self) -> array[int]:
        """Those of the content's blocks, as the trailer has them; raises what reading does."""
        if self._file is None:
            raise ValueError("the reader is closed")
        try:
            return self._read_checksums(self._file)
        except (Unsound, OSError) as error:
            raise self._judged(error) from error

    def _judged(self, error: Unsound | OSError) -> ObjstoreError:
        """Return the error for the caller after an error of reading was reported."""
        if isinstance(error, Unsound):
            self._on_corrupt(str(error))
            return Corrupt(f"{self.info.name}: {error}")
        if error.errno in UNREADABLE:
            self._on_unreadable()
            return Unreadable(f"{self.info.name}: {error}")
        return DeviceUnavailable(f"{self.info.name}: {error}")

    def _fill(self, file: OpenFile, view: memoryview, offset: int, enough: int) -> int:
        """Read into a view, from memory where it is there, else in a thread; the count of bytes.

        Where memory gives `enough` bytes, the rest is not asked for again.
        """
        files = self._disk.files
        try:
            count = files.read_cached(file.fd, view, offset)
        except BlockingIOError:
            count = -1
        except OSError as error:
            if error.errno in UNREADABLE:
                raise
            count = -1  # the file system cannot tell
        if count >= enough or count == 0:
            return count
        done = max(0, count)
        self._job = Job(self._disk.pool, _read_at, files, file, view[done:], offset + done)
        return done + int(self._job.wait(self._disk.timeout))

    def _read_small(self, file: OpenFile) -> bytes:
        """The content of one block, read together with its trailer."""
        size = self.info.size
        whole = size + trailer_size(size, self._spilled)
        view = memoryview(bytearray(whole + 1))  # one more, to see that the file ends there
        if self._fill(file, view, 0, whole) != whole:
            raise Unsound("the file's length does not match its metadata")
        check_one_block(view[:whole], size)
        return bytes(view[:size])

    def _read_large(self, file: OpenFile, start: int, stop: int) -> Iterator[memoryview]:
        checksums = self._read_checksums(file)
        buffer = self._disk.buffers.take()
        whole = memoryview(buffer)
        offset = start - start % BLOCK
        end = min(self.info.size, stop + -stop % BLOCK)
        while offset < end:
            view = whole[: min(PIECE, end - offset)]
            if self._fill(file, view, offset, len(view)) != len(view):
                raise Unsound("the file is shorter than its metadata states")
            block = offset // BLOCK
            for first in range(0, len(view), BLOCK):
                if crc32c(view[first : first + BLOCK]) != checksums[block]:
                    raise Unsound(f"the checksum of block {block} does not match")
                block += 1
            yield view[max(0, start - offset) : stop - offset]
            offset += len(view)
        # Not where the caller breaks off: it may still hold a view, or a thread write into it.
        self._disk.buffers.give_back(buffer)

    def _read_checksums(self, file: OpenFile) -> array[int]:
        if self._checksums is None:
            size = self.info.size
            view = memoryview(bytearray(trailer_size(size, self._spilled)))
            if self._disk.files.size(file.fd) != size + len(view):
                raise Unsound("the file's length does not match its metadata")
            self._fill(file, view, size, len(view))
            trailer = decode_trailer(view)
            if trailer.size != size:
                raise Unsound("the size in the trailer does not match the metadata")
            self._checksums = trailer.checksums
        return self._checksums

    def close(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        if self._disk.files.is_unlinked(file.fd):  # to close it frees its blocks, which waits for the disk
            self._disk.pool.later(close_after, self._job, file)
        else:
            close_after(self._job, file)

    def __enter__(self) -> FileReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
