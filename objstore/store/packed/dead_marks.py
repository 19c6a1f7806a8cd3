"""The marks of the records that are dead, in a file beside each volume."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable

from objstore.runtime.files import Files, OpenFile
from objstore.store.objects.format import Unsound
from objstore.store.packed.format import decode_marks, encode_mark, padded
from objstore.store.packed.open_volumes import OpenVolumes
from objstore.store.packed.places import Place
from objstore.store.packed.volume_directory import DEAD, VolumeDirectory


class DeadMarks:
    """The marks of the volumes of a directory. For any number of threads; methods raise as those of `Volumes`."""

    def __init__(self, files: Files, directory: VolumeDirectory, volumes: OpenVolumes) -> None:
        self._files = files
        self._directory = directory
        self._volumes = volumes
        self._dead_bytes: dict[int, tuple[int, int]] = {}  # size of the marks, and the dead bytes that they add up to

    def open(self, volume: int) -> OpenFile:
        """Open the file of a volume's marks to append; it is made if it is missing."""
        return self._files.open_to_append(self._directory.marks_path(volume))

    def add(self, places: Iterable[Place]) -> None:
        """See `Volumes.kill`."""
        by_volume = defaultdict(list)
        for place in places:
            by_volume[place.volume].append(place)
        for volume, dead in by_volume.items():
            with contextlib.suppress(FileNotFoundError, Unsound):
                opened = self._volumes.get(volume)
                marks = opened.marks
                if marks is None:
                    marks = opened.marks = self.open(volume)
                data = b"".join([encode_mark(opened.tag, each.position, each.length) for each in dead])
                self._files.write(marks.fd, (data,))

    def sync(self, seconds: float) -> None:
        """See `Volumes.sync_marks`."""
        since = time.time() - seconds
        synced = False
        for volume, kinds in sorted(self._directory.names().items()):
            if DEAD in kinds:
                path = self._directory.marks_path(volume)
                with contextlib.suppress(FileNotFoundError):
                    if self._files.modified(path) >= since:
                        marks = self._files.open_to_write(path)
                        self._files.fdatasync(marks.fd)
                        synced = True
        if synced:
            self._files.fsync_dir(self._directory.path)

    def positions(self, volume: int) -> set[int]:
        """See `Volumes.dead`."""
        return {position for position, _ in self._read(volume, 0)}

    def positions_since(self, volume: int, size: int) -> list[int]:
        """See `Volumes.dead_since`."""
        return [position for position, _ in self._read(volume, size)]

    def size(self, volume: int) -> int:
        """See `Volumes.marks_size`."""
        try:
            marks = self._files.open(self._directory.marks_path(volume))
        except FileNotFoundError:
            return 0
        return self._files.size(marks.fd)

    def dead_bytes(self, volume: int) -> int:
        """Return the bytes of all records that are marked as dead, with their padding."""
        size = self.size(volume)
        cached = self._dead_bytes.get(volume)
        if cached is None or cached[0] != size:
            lengths = dict(self._read(volume, 0)).values()  # a mark may be repeated
            cached = self._dead_bytes[volume] = size, sum(map(padded, lengths))
        return cached[1]

    def _read(self, volume: int, offset: int) -> list[tuple[int, int]]:
        """Return the positions and lengths in the marks from an offset on."""
        try:
            file = self._files.open(self._directory.marks_path(volume))
        except FileNotFoundError:
            return []
        data = bytearray(max(0, self._files.size(file.fd) - offset))
        del data[self._files.read_at(file.fd, data, offset) :]
        return decode_marks(self._volumes.get(volume).tag, data)

    def remove(self, volume: int) -> None:
        """Remove the file of a volume's marks."""
        self._dead_bytes.pop(volume, None)
        with contextlib.suppress(FileNotFoundError):
            self._files.unlink(self._directory.marks_path(volume))
