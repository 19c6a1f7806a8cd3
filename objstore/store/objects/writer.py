"""Writing an object: small ones gather in memory, large ones stream to disk in threads."""

from __future__ import annotations

import hashlib
import threading
from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple

from objstore.runtime import blocks
from objstore.runtime.blocks import is_of_block
from objstore.runtime.files import Buffer, Files, OpenFile
from objstore.runtime.threads import ThreadPool
from objstore.store.change import DATA, Change
from objstore.store.disk_errors import translate
from objstore.store.interface import Guard, ObjectData, ObjectInfo, Sequel
from objstore.store.objects.commit import Arrival, Committer, Runs, submit
from objstore.store.objects.content_flow import ContentFlow, DirectWrites
from objstore.store.objects.format import BlockChecksums, encode_record
from objstore.store.objects.jobs import Job, close_after
from objstore.store.objects.records import data_fields, info_of_data
from objstore.store.objects.room import Room

SMALL = 256 * 1024  # objects up to this size in bytes touch the disk only at their commit
LARGE_PIECE = 64 * 1024  # pieces of at least this size in bytes go to a thread by themselves
GATHER = 256 * 1024  # bytes that a thread is given at once, where pieces are smaller


class Tools(NamedTuple):
    """The dependencies of a writer. root: the device's directory, for messages.

    direct, unwritten_limit: see `content_flow`.
    """

    files: Files
    pool: ThreadPool
    committer: Committer
    commits: Runs
    root: str
    direct: DirectWrites
    unwritten_limit: int

    def content_flow(self, size: int | None) -> ContentFlow:
        """Return the way of `size` bytes: those that fill no block do not go past the page cache."""
        direct = self.direct if size is None or size >= blocks.SIZE else DirectWrites(False)
        return ContentFlow(self.files, direct, self.unwritten_limit)


class UnwrittenContent:
    """The part of a writer that threads work on: checksums, hash and file.

    One call at a time; each holds the file open until it ends.
    """

    def __init__(self, hashing: bool, room: Room | None, flow: ContentFlow) -> None:
        self.md5 = hashlib.md5(usedforsecurity=False) if hashing else None
        self.checksums = BlockChecksums()
        self.file: OpenFile | None = None
        self._room = room
        self._flow = flow
        self._written = 0
        self._lock = threading.Lock()  # of file and _let_go, which the loop and a thread may both change
        self._let_go = False

    def take_in(self, pieces: Sequence[Buffer]) -> None:
        for piece in pieces:
            self.checksums.update(piece)
            if self.md5 is not None:
                self.md5.update(piece)

    def let_go(self) -> OpenFile | None:
        """Take the file away; jobs that come later do nothing, one under way keeps it open to its end."""
        with self._lock:
            self._let_go = True
            file, self.file = self.file, None
            return file

    def open(self, tools: Tools, directory: str) -> None:
        file = tools.committer.create(directory)
        with self._lock:
            if not self._let_go:
                self.file = file

    def stream(self, tools: Tools, directory: str, pieces: Sequence[Buffer], taken_in: bool) -> None:
        """Write pieces to the file, which is opened when it is not yet."""
        if self.file is None and not self._let_go:
            self.open(tools, directory)
        file = self.file  # held to the end, also if the writer is closed meanwhile
        if file is None:
            return
        length = sum(map(len, pieces))
        if self._room is not None:
            self._room.reserve(self._written + length, lambda end: tools.files.preallocate(file.fd, end))
        self._flow.append(file.fd, pieces)
        if not taken_in:
            self.take_in(pieces)
        self._written += length

    def stage(self, committer: Committer, arrival: Arrival) -> None:
        """Write what is not in the file yet, the trailer behind it, and sync."""
        assert arrival.file is not None
        arrival.content = self._flow.end(arrival.file.fd)
        committer.stage_synced(arrival)


class FileWriter:
    """An object on its way to a hash directory."""

    def __init__(
        self,
        tools: Tools,
        directory: str,
        size: int | None,
        hashing: bool,
        twin: str = "",
        room: Room | None = None,
    ) -> None:
        """room: on the device, for an object that is larger than SMALL and of known size; closed with the writer."""
        self.size = 0
        self._tools = tools
        self._directory = directory
        self._twin = twin
        self._content = UnwrittenContent(hashing, room, tools.content_flow(size))
        self._room = room
        self._pending: list[bytes] = []  # what no thread has been given yet
        self._pending_size = 0
        self._streams = size is not None and size > SMALL
        self._job: Job | None = None  # the last one started
        self._closed = False
        if size is not None and size > SMALL:
            self._start(self._content.open, tools, directory)
            self._wait()

    def write(self, data: Buffer) -> None:
        if self._closed:
            raise ValueError("the writer is closed")
        length = len(data)
        self.size += length
        if not self._streams:
            if self.size <= SMALL:
                piece = data if type(data) is bytes else bytes(data)
                self._content.take_in((piece,))
                self._pending.append(piece)
                return
            self._streams = True
            self._stream(tuple(self._pending), taken_in=True)
            self._pending.clear()
        if length >= LARGE_PIECE:
            self._flush(data)
            if not is_of_block(data):
                self._wait()  # the caller may use its buffer again
            return
        self._pending.append(data if type(data) is bytes else bytes(data))
        self._pending_size += length
        if self._pending_size >= GATHER:
            self._flush()

    def _flush(self, *more: Buffer) -> None:
        pieces = (*self._pending, *more)
        self._pending.clear()
        self._pending_size = 0
        if pieces:
            self._stream(pieces, taken_in=False)

    def _stream(self, pieces: Sequence[Buffer], taken_in: bool) -> None:
        self._wait()
        self._start(self._content.stream, self._tools, self._directory, pieces, taken_in)

    def _start(self, function: Callable[..., object], *args: object) -> None:
        self._job = Job(self._tools.pool, function, *args)

    def _wait(self) -> None:
        """Wait for the thread; raises what went wrong there."""
        job = self._job
        if job is None:
            return
        try:
            job.wait()
        except BaseException as error:
            self.close()
            if job.ended and isinstance(error, OSError):
                raise translate(error, self._tools.root) from error
            raise
        self._job = None

    def etag(self) -> str:
        if self._content.md5 is None:
            raise ValueError("a writer without hashing has no etag")
        if self._streams:
            self._flush()
            self._wait()
        return self._content.md5.hexdigest()

    def checksums(self) -> array[int]:
        """Return the checksum of each block written."""
        if self._streams:
            self._flush()
            self._wait()
        return self._content.checksums.finish()

    def commit(self, data: ObjectData, guard: Guard | None = None, sequel: Sequel | None = None) -> ObjectInfo:
        if self._closed:
            raise ValueError("the writer is closed")
        etag = data.etag or self.etag()
        record = encode_record(data_fields(data, self.size, etag))
        self.commit_record(Change(data.timestamp, DATA), record, guard, sequel)
        return info_of_data(data, self.size, etag)

    def commit_record(
        self, change: Change, record: bytes, guard: Guard | None = None, sequel: Sequel | None = None
    ) -> None:
        """As `commit`, of a record that is there already."""
        if self._closed:
            raise ValueError("the writer is closed")
        checksums = self.checksums()
        content = self._content
        pieces = () if self._streams else tuple(self._pending)
        arrival = Arrival(
            self._directory, change, pieces, record, self.size, checksums, content.file, guard, self._twin, sequel
        )
        self._closed = True
        if self._streams:
            self._start(content.stage, self._tools.committer, arrival)
            self._wait()
        content.let_go()  # from here on the file is the committer's, who closes it
        self._close_room()
        submit(self._tools.commits, arrival)

    def close(self) -> None:
        self._closed = True
        self._close_room()
        self._pending.clear()
        file = self._content.let_go()
        if file is not None:  # to close it frees its blocks, which waits for the disk
            self._tools.pool.later(close_after, self._job, file)

    def _close_room(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.close()

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
