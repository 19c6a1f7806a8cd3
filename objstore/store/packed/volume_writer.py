"""Appending to a volume: its adoption, its growth, its end.

The writer lets its volume grow by zeros ahead of small groups. Records that fill them up change neither the length
of the file nor its extents, so that to sync them needs no commit of the file system's journal.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from objstore.runtime.files import Buffer, Files, OpenFile
from objstore.store.disk_errors import FULL
from objstore.store.objects.format import Unsound
from objstore.store.packed.format import (
    ALIGNMENT,
    CLOSED_OFFSET,
    HEADER_SIZE,
    NOTE_OFFSET,
    TAG_SIZE,
    VOLUME_HEADER_SIZE,
    Outgoing,
    VolumeHeader,
    encode_closed,
    encode_head,
    encode_note,
    encode_volume_header,
    padded,
    replaced_record,
)
from objstore.store.packed.places import Place
from objstore.store.packed.volume_directory import VolumeDirectory
from objstore.store.packed.volume_window import VolumeWindow

MAX_SIZE = 1 << 31  # of a volume: positions have 4 bytes, and a group may be written past the limit of an empty one
AHEAD = 256 * 1024  # bytes of zeros written ahead at once; also of records appended between two notes in the header
_SMALL_GROUP = 64 * 1024  # bytes; larger groups let the file grow as they are written
_ADOPTABLE = 32  # newest volumes that are searched for one without a writer
_CHECK_SECONDS = 1.0
_PADDING = [bytes(-size % ALIGNMENT) for size in range(ALIGNMENT)]


class _Volume:
    """The volume that this process appends to. end: of its records; size: with the zeros behind them.

    indexed: end of the records that are in the index; noted: what the header says of that. good_until: when it must
    be seen to be still under its path.
    """

    __slots__ = ("end", "file", "good_until", "indexed", "noted", "number", "pid", "size", "tag")

    def __init__(self, number: int, file: OpenFile, header: VolumeHeader, end: int, size: int) -> None:
        self.number = number
        self.file = file
        self.tag = header.tag
        self.noted = self.indexed = header.noted
        self.end = end
        self.size = size
        self.pid = os.getpid()
        self.good_until = 0.0


class _Encoded(NamedTuple):
    """Records as bytes, and their places. end: position behind the last one."""

    pieces: list[Buffer]
    places: list[Place]
    end: int


class VolumeWriter:
    """Appends to one volume of a directory at a time; for one thread at a time. Methods raise OSError.

    max_size: bytes of a volume.
    """

    def __init__(
        self, files: Files, directory: VolumeDirectory, max_size: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        if not VOLUME_HEADER_SIZE < max_size <= MAX_SIZE:
            raise ValueError(f"a volume cannot have {max_size} bytes, the limit is {MAX_SIZE}")
        self._files = files
        self._directory = directory
        self._max_size = max_size
        self._monotonic = monotonic
        self._volume: _Volume | None = None

    def append(self, records: Sequence[Outgoing], replaced: Sequence[Place] = ()) -> list[Place]:
        """See `Volumes.append`."""
        if not records:
            return []
        if replaced:
            names = replaced_record((place.volume, place.position) for place in replaced)
            return self._append([names, *records])[1:]
        return self._append(records)

    def _append(self, records: Sequence[Outgoing]) -> list[Place]:
        lengths = [HEADER_SIZE + len(each.metadata) + sum(map(len, each.content)) for each in records]
        total = sum(map(padded, lengths))
        volume = self._ready(total)
        group = _encode(volume, records, lengths)
        size = volume.size
        if group.end > size:
            size = group.end
            if total < _SMALL_GROUP and size < self._max_size:
                size = min(size + AHEAD, self._max_size)
                group.pieces.append(bytes(size - group.end))
        try:
            self._files.write_at(volume.file.fd, group.pieces, volume.end)
            self._files.fdatasync(volume.file.fd)
        except OSError as error:
            self._cut_back(volume, error)
            raise
        volume.end = group.end
        volume.size = size
        return group.places

    def indexed(self) -> None:
        """See `Volumes.indexed`."""
        volume = self._own_volume()
        if volume is not None:
            volume.indexed = volume.end
            if volume.indexed >= volume.noted + AHEAD:
                self._note(volume, volume.indexed)

    def own_number(self) -> int | None:
        """See `Volumes.own_number`."""
        volume = self._own_volume()
        return None if volume is None else volume.number

    def roll(self) -> None:
        """See `Volumes.roll`."""
        volume = self._own_volume()
        if volume is not None:
            self._close_for_writing(volume)

    def let_go(self) -> None:
        """See `Volumes.let_go`."""
        volume = self._own_volume()
        if volume is not None and self._is_asked_for(volume):
            self._close_for_writing(volume)

    def _is_asked_for(self, volume: _Volume) -> bool:
        with contextlib.suppress(Unsound):
            return self._directory.header(volume.file).closed
        return False

    def close(self) -> None:
        """Let go of the volume, so that another process can append to it."""
        volume = self._own_volume()
        self._volume = None
        if volume is not None:
            with contextlib.suppress(OSError):
                self._note_end(volume)
            self._let_go(volume.file)

    def _note_end(self, volume: _Volume) -> None:
        self._note(volume, volume.indexed)
        if volume.indexed == volume.end:
            self._directory.remove_writer(volume.number)

    def _note(self, volume: _Volume, position: int) -> None:
        if position != volume.noted:
            self._files.write_at(volume.file.fd, (encode_note(volume.tag, position),), NOTE_OFFSET)
            volume.noted = position

    def _own_volume(self) -> _Volume | None:
        """The volume, unless it is that of the process that this one was forked from."""
        if self._volume is not None and self._volume.pid != os.getpid():
            self._volume = None
        return self._volume

    def _ready(self, total: int) -> _Volume:
        """Return a volume that has room for a group."""
        if total > MAX_SIZE:
            raise OSError(errno.EFBIG, f"a group of {total} bytes")
        volume = self._own_volume()
        now = self._monotonic()
        if volume is not None and now > volume.good_until:
            if self._files.is_at(volume.file.fd, self._directory.volume_path(volume.number)):
                volume.good_until = now + _CHECK_SECONDS
            else:
                self._volume = volume = None
            if volume is not None and self._is_asked_for(volume):
                self._close_for_writing(volume)
                volume = None
        if volume is not None and volume.end + total > self._max_size and volume.end > VOLUME_HEADER_SIZE:
            self._close_for_writing(volume)
            volume = None
        if volume is None:
            volume = self._adopt(total) or self._create()
            self._directory.add_writer(volume.number)
            self._directory.sync_names()
            volume.good_until = now + _CHECK_SECONDS
            self._volume = volume
        return volume

    def _cut_back(self, volume: _Volume, error: OSError) -> None:
        """Take back what was written of a group. After a failure of the device the volume gets no more."""
        try:
            self._files.truncate(volume.file.fd, volume.end)
            volume.size = volume.end
            self._files.fdatasync(volume.file.fd)
        except OSError:
            self._close_for_writing(volume)
            return
        if error.errno not in FULL:
            self._close_for_writing(volume)

    def _close_for_writing(self, volume: _Volume) -> None:
        """Let no one append to this volume again. The flag saves others the search for its end; it may be lost."""
        self._volume = None
        with contextlib.suppress(OSError):
            self._note_end(volume)
            self._files.write_at(volume.file.fd, (encode_closed(),), CLOSED_OFFSET)
            if volume.size > volume.end:
                self._files.truncate(volume.file.fd, volume.end)
        self._let_go(volume.file)

    def _let_go(self, file: OpenFile) -> None:
        """Unlock even if a process that was forked meanwhile has the same descriptor."""
        with contextlib.suppress(OSError):
            self._files.unlock(file.fd)
        file.close()

    # Adoption

    def _adopt(self, total: int) -> _Volume | None:
        """Take over one of the newest volumes; None if none has room, no writer, a sound end, and all in the index."""
        for number in reversed(self._directory.numbers()[-_ADOPTABLE:]):
            with contextlib.suppress(FileNotFoundError, Unsound):
                file = self._files.open_to_write(self._directory.volume_path(number))
                volume = None
                try:
                    volume = self._adopted(number, file, total)
                finally:
                    if volume is None:
                        file.close()
                if volume is not None:
                    return volume
        return None

    def _adopted(self, number: int, file: OpenFile, total: int) -> _Volume | None:
        if self._directory.header(file).closed or not self._files.try_lock(file.fd):
            return None
        header = self._directory.header(file)
        if header.closed or not self._files.is_at(file.fd, self._directory.volume_path(number)):
            return None
        size = self._files.size(file.fd)
        window = VolumeWindow(self._files, file, size)
        if window.header(header.tag, header.noted) is not None:
            return None  # to be put into the index first
        if header.noted > size or not window.is_zero(header.noted):
            self._files.write_at(file.fd, (encode_closed(),), CLOSED_OFFSET)
            return None
        if header.noted + total > self._max_size:
            return None
        return _Volume(number, file, header, header.noted, size)

    # New volumes

    def _create(self) -> _Volume:
        """Make a volume. It has its header and its lock before it gets its name."""
        self._directory.make()
        file = self._files.create_hidden(self._directory.path, self._directory.temporary())
        try:
            tag = secrets.token_bytes(TAG_SIZE)
            if not self._files.try_lock(file.fd):
                raise OSError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK), file.path)
            self._files.write_at(file.fd, (encode_volume_header(tag),), 0)
            self._files.fsync(file.fd)
            number = self._name(file)
            if file.path:
                self._files.unlink(file.path)
                file.path = ""
        except BaseException:
            file.close()
            raise
        return _Volume(
            number, file, VolumeHeader(tag, VOLUME_HEADER_SIZE, False), VOLUME_HEADER_SIZE, VOLUME_HEADER_SIZE
        )

    def _name(self, file: OpenFile) -> int:
        """Give a new volume the next number that none has had."""
        while True:
            number = max(self._directory.names(), default=0) + 1
            with contextlib.suppress(FileExistsError):
                self._files.link(file, self._directory.volume_path(number))
                return number


def _encode(volume: _Volume, records: Sequence[Outgoing], lengths: Sequence[int]) -> _Encoded:
    pieces: list[Buffer] = []
    places = []
    position = volume.end
    for record, length in zip(records, lengths, strict=True):
        head = encode_head(volume.tag, record)
        pieces += head, *record.content, _PADDING[length % ALIGNMENT]
        places.append(Place(volume.number, position, length, len(head)))
        position += padded(length)
    return _Encoded(pieces, places, position)
