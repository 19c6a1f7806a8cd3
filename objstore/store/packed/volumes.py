"""The volumes of one policy on one device: append-only files of records, and the marks of those that are dead.

    <device>/packed[-<policy>]/volumes/<number>.volume
    <device>/packed[-<policy>]/volumes/<number>.dead
    <device>/packed[-<policy>]/writers/<number>     exists while the volume has a writer, and until what that one left
                                                    when it died is in the index

Rules. A volume has one writer at a time, the process that holds the lock on it (flock). A record is whole and durable
before its place is known to anyone. Nothing is written over a record, nor behind bytes that are not a record: a
volume with a torn tail is closed. The number of a volume is never used again, because other processes may still hold
places in it: of the volume with the greatest number the file of marks stays.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeVar, overload

from objstore.runtime.files import Buffer, Files, OpenFile
from objstore.store.change import Change
from objstore.store.disk_errors import UNREADABLE
from objstore.store.objects.file_io import read_aside
from objstore.store.objects.format import Unsound
from objstore.store.packed.dead_marks import DeadMarks
from objstore.store.packed.failed_reads import FailedReads
from objstore.store.packed.format import (
    ALIGNMENT,
    CLOSED_OFFSET,
    HEADER_SIZE,
    NOTE_OFFSET,
    VOLUME_HEADER_SIZE,
    Header,
    Outgoing,
    Record,
    decode_header,
    decode_replaced,
    encode_closed,
    encode_note,
    is_sound,
    padded,
    verify_head,
    verify_record,
)
from objstore.store.packed.open_volumes import OpenVolumes
from objstore.store.packed.places import Place
from objstore.store.packed.volume_directory import VOLUME, VolumeDirectory
from objstore.store.packed.volume_window import VolumeWindow
from objstore.store.packed.volume_writer import VolumeWriter

_Result = TypeVar("_Result")


class Usage(NamedTuple):
    """Bytes of a volume, and those of its dead records."""

    size: int
    dead: int


class Stretch(NamedTuple):
    """Bytes of a volume. is_last: they reach its end. changed: time of its last change, in seconds since the epoch."""

    tag: bytes
    data: bytearray
    is_last: bool
    changed: float


class _SteppingOver:
    """Stepping over what cannot be read of a volume."""

    def __init__(self, volumes: Volumes, volume: int) -> None:
        self._volumes = volumes
        self._volume = volume

    def is_lasting(self, error: OSError) -> bool:
        return self._volumes.failed.is_lasting(error)

    def note(self, start: int, end: int) -> None:
        self._volumes.stepped_over += end - start
        self._volumes.failed.step_over(self._volume, start, end)


class Volumes:
    """The volumes of one directory, as one process sees them.

    Methods raise OSError as the system does; those that name a volume FileNotFoundError if it is gone, and Unsound if
    it has no sound header. `append`, `indexed`, `roll` and `close` are for one thread at a time, all others for any.

    directory: `<device>/packed[-<policy>]/volumes`; made when first written to. max_size: bytes of a volume.
    """

    def __init__(
        self, files: Files, directory: str, max_size: int = 1 << 30, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._files = files
        self._directory = VolumeDirectory(files, directory)
        self._writer = VolumeWriter(files, self._directory, max_size, monotonic)
        self.failed = FailedReads(files, os.path.dirname(directory))
        self.stepped_over = 0  # bytes, by scans
        self._open = OpenVolumes(files, self._directory, monotonic)
        self._marks = DeadMarks(files, self._directory, self._open)

    # Appending

    def append(self, records: Sequence[Outgoing], replaced: Sequence[Place] = ()) -> list[Place]:
        """Append records to this process's volume, and return their places when they are durable.

        replaced: places that may leave the index for them; these are written before them. After an error none of them
        counts: they are cut off again, or the volume is closed for writing.
        """
        return self._writer.append(records, replaced)

    def own_number(self) -> int | None:
        """Return the number of the volume that this object appends to; None before its first record."""
        return self._writer.own_number()

    def indexed(self) -> None:
        """All that was appended is in the index: note that in the volume's header, at times, for the next process."""
        self._writer.indexed()

    def roll(self) -> None:
        """Close the volume of this process for writing."""
        self._writer.roll()

    def ask_to_close(self, volume: int) -> None:
        """Ask the writer of a volume to let go of it, for good. Raises Unsound, OSError."""
        file = self._files.open_to_write(self._directory.volume_path(volume))
        self._directory.header(file)
        self._files.write_at(file.fd, (encode_closed(),), CLOSED_OFFSET)

    def let_go(self) -> None:
        """Let go of the volume of this process if it was asked for."""
        self._writer.let_go()

    # Reading

    def read(self, place: Place, name_hash: str, change: Change) -> Record:
        """Read a record, verified. Raises Unsound if it is not that of this name and change."""
        return self._read(place, place.length, lambda tag, data: verify_record(tag, data, name_hash, change))

    def read_head(self, place: Place, name_hash: str, change: Change) -> bytes:
        """Read the metadata of a record, verified; raises as `read`."""
        return self._read(place, place.head, lambda tag, data: verify_head(tag, data, name_hash, change))

    def _read(self, place: Place, length: int, verify: Callable[[bytes, Buffer], _Result]) -> _Result:
        while True:
            opened = self._open.get(place.volume)
            buffer = bytearray(length)
            del buffer[self._files.read_at(opened.file.fd, buffer, place.position) :]
            try:
                return verify(opened.tag, buffer)
            except Unsound:
                # Another file may have come under the path, such as a copy that was restored.
                if self._files.is_at(opened.file.fd, self._directory.volume_path(place.volume)):
                    raise
            self._open.drop(place.volume, opened)

    def read_span(self, volume: int, start: int, size: int) -> tuple[bytes, bytearray]:
        """Read the volume's tag and bytes of it as they are, fewer at its end. Raises FileNotFoundError."""
        opened = self._open.get(volume)
        buffer = bytearray(size)
        del buffer[self._files.read_at(opened.file.fd, buffer, start) :]
        return opened.tag, buffer

    def read_raw(self, place: Place) -> bytes:
        """Read the bytes at a place as they are, as many as there are. Raises FileNotFoundError."""
        buffer = bytearray(place.length)
        count = self._files.read_at(self._open.get(place.volume).file.fd, buffer, place.position)
        return bytes(buffer[:count])

    def read_cached(self, place: Place, name_hash: str, change: Change) -> Record | None:
        """Read a record from memory, without waiting; None if it is not there, or `read` must judge what is there.

        Raises OSError if the device failed to read.
        """
        opened = self._open.cached(place.volume)
        if opened is None:
            return None
        buffer = bytearray(place.length)
        try:
            if self._files.read_cached(opened.file.fd, buffer, place.position) != place.length:
                return None
            return verify_record(opened.tag, buffer, name_hash, change)
        except (BlockingIOError, Unsound):
            return None
        except OSError as error:
            if error.errno in UNREADABLE:
                raise
            return None

    # Reading in order

    @overload
    def scan(self, volume: int, start: int = 0, verify: Literal[False] = False) -> Iterator[tuple[Place, Header]]: ...

    @overload
    def scan(self, volume: int, start: int = 0, *, verify: Literal[True]) -> Iterator[tuple[Place, Header, bool]]: ...

    def scan(
        self, volume: int, start: int = 0, verify: bool = False
    ) -> Iterator[tuple[Place, Header]] | Iterator[tuple[Place, Header, bool]]:
        """The records from a position on, in order, by their headers. Bytes that are not a record are skipped.

        What the device fails to read is stepped over if reads failed minutes ago, too (see `packed.failed_reads`).
        verify: check metadata and content too, and say of each record whether they match their checksums.
        """
        records = self._scan(volume, start, verify)
        return records if verify else ((place, header) for place, header, _ in records)

    def _scan(self, volume: int, start: int, verify: bool) -> Iterator[tuple[Place, Header, bool]]:
        file = self._files.open(self._directory.volume_path(volume))
        tag = self._directory.header(file).tag
        window = VolumeWindow(self._files, file, self._files.size(file.fd), _SteppingOver(self, volume))
        position = max(start, VOLUME_HEADER_SIZE)
        while True:
            header = window.header(tag, position)
            if header is None:
                position = window.find(tag, position + ALIGNMENT)
                if position < 0:
                    return
                continue
            sound = not verify or is_sound(header, window.view(position, header.length))
            yield Place(volume, position, header.length, header.head), header, sound
            position += padded(header.length)

    def ends_at(self, volume: int, position: int) -> bool:
        """Return whether there are only zeros from a position on."""
        file = self._files.open(self._directory.volume_path(volume))
        before = self.stepped_over
        window = VolumeWindow(self._files, file, self._files.size(file.fd), _SteppingOver(self, volume))
        return window.is_zero(position) and self.stepped_over == before

    def read_stretch(self, volume: int, start: int, size: int) -> Stretch:
        """Read from a position on; memory then holds of the volume what it held before. Raises FileNotFoundError."""
        opened = self._open.get(volume)
        total = self._files.size(opened.file.fd)
        data = bytearray(max(0, min(size, total - start)))
        with memoryview(data) as view:
            count = read_aside(self._files, opened.file, view, start)
        del data[count:]
        return Stretch(opened.tag, data, start + len(data) >= total, self._files.changed(opened.file.fd))

    def size(self, volume: int) -> int:
        """Return the bytes of a volume. Raises FileNotFoundError."""
        return self._files.size(self._open.get(volume).file.fd)

    def noted(self, volume: int) -> int:
        """Return the position before which all records are in the index."""
        return self._directory.header(self._files.open(self._directory.volume_path(volume))).noted

    def note(self, volume: int, position: int) -> None:
        """All records before a position are in the index: note that in the header of a volume that was claimed."""
        file = self._files.open_to_write(self._directory.volume_path(volume))
        header = self._directory.header(file)
        if position > header.noted:
            self._files.write_at(file.fd, (encode_note(header.tag, position),), NOTE_OFFSET)

    def header_at(self, volume: int, position: int) -> Header:
        """Return the header of the record at a position. Raises Unsound if there is none."""
        opened = self._open.get(volume)
        buffer = bytearray(HEADER_SIZE)
        del buffer[self._files.read_at(opened.file.fd, buffer, position) :]
        return decode_header(opened.tag, buffer)

    def replaced_by(self, place: Place) -> list[tuple[int, int]]:
        """Return the volumes and positions that a record of kind REPLACED names. It must have been verified."""
        return decode_replaced(self.read_raw(place))

    def sync(self, volume: int) -> None:
        """Make durable what a process appended that may have died before it did so."""
        file = self._files.open_to_write(self._directory.volume_path(volume))
        self._files.fdatasync(file.fd)

    # Dead records

    def kill(self, places: Iterable[Place]) -> None:
        """Mark records as dead; durable with `sync_marks`. Those of volumes that are gone, or unsound, are skipped."""
        self._marks.add(places)

    def sync_marks(self, seconds: float = 120.0) -> None:
        """Make durable the marks that any process wrote within this time; the system itself writes older ones."""
        self._marks.sync(seconds)

    def dead(self, volume: int) -> set[int]:
        """Return the positions of the records that are marked as dead."""
        return self._marks.positions(volume)

    def dead_since(self, volume: int, size: int) -> list[int]:
        """Return the positions of the records that were marked as dead since the marks had this size."""
        return self._marks.positions_since(volume, size)

    def marks_size(self, volume: int) -> int:
        """Return the bytes of the marks of a volume."""
        return self._marks.size(volume)

    def usage(self, volume: int) -> Usage:
        """Return the size of a volume, and how much of it is dead."""
        size = self.size(volume)
        return Usage(size, min(size, self._marks.dead_bytes(volume)))

    # Volumes as a whole

    def numbers(self) -> list[int]:
        """Return the numbers of the volumes, in order."""
        return self._directory.numbers()

    def has_writer(self, volume: int) -> bool:
        """Return whether any process, this one included, has a volume open for writing."""
        file = self._files.open(self._directory.volume_path(volume))
        if not self._files.try_lock(file.fd, shared=True):
            return True
        self._files.unlock(file.fd)
        return False

    def claim(self, volume: int) -> OpenFile | None:
        """Keep all from appending to a volume until the file returned is closed; None if it has a writer.

        Whoever puts the records of a process that died into the index, and notes that, claims the volume for it.
        """
        file = self._files.open(self._directory.volume_path(volume))
        return file if self._files.try_lock(file.fd) else None

    def punch(self, volume: int, end: int) -> None:
        """Give back the room of all records before a position, as far as the file system can."""
        file = self._files.open_to_write(self._directory.volume_path(volume))
        self._files.punch(file.fd, VOLUME_HEADER_SIZE, end - VOLUME_HEADER_SIZE)

    def left_by_dead(self) -> Iterator[int]:
        """Iterate over the volumes whose writer died; each is claimed until the next.

        What it had appended must be put into the index, and noted, by then.
        """
        for volume in self._directory.writers():
            try:
                claimed = self.claim(volume)
            except FileNotFoundError:
                self._directory.remove_writer(volume)
                continue
            if claimed is not None:
                try:
                    yield volume
                    self._directory.remove_writer(volume)
                finally:
                    self._files.unlock(claimed.fd)

    def remove(self, volume: int) -> None:
        """Remove a volume, durably, then its marks. Whoever has it open can go on reading. May be repeated.

        Marks go last: without them, dead records of the volume would count again after a power cut between the two.
        """
        names = self._directory.names()
        if not names:
            return
        newest = volume >= max(names)
        if newest:  # its number must not be used again
            self._marks.open(volume).close()
        with contextlib.suppress(FileNotFoundError):
            self._files.unlink(self._directory.volume_path(volume))
        self._files.fsync_dir(self._directory.path)
        if not newest:
            self._marks.remove(volume)
        self._open.forget(volume)

    def remove_leftovers(self) -> None:
        """Remove marks whose volume is gone, except those that keep the greatest number taken."""
        names = self._directory.names()
        for volume, kinds in names.items():
            if VOLUME not in kinds and volume < max(names):
                path = self._directory.volume_path(volume)
                if not self._files.exists(path):  # not made while the directory was listed
                    self._marks.remove(volume)

    def close(self) -> None:
        """Let go of all files; another process can append to the volume of this one."""
        self._writer.close()
        self._open.clear()
