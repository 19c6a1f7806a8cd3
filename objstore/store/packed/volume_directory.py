"""Names of volumes and of their marks, made and parsed."""

from __future__ import annotations

import contextlib
import os
import re
from collections import defaultdict

from objstore.runtime.files import Files, OpenFile
from objstore.store.disk_errors import UNREADABLE
from objstore.store.objects.format import Unsound
from objstore.store.packed.format import COPY_OFFSET, FIELDS_SIZE, VolumeHeader, decode_volume_header

VOLUME, DEAD = "volume", "dead"
_FILE = re.compile(rf"(\d{{8}})\.({VOLUME}|{DEAD})", re.ASCII).fullmatch


class VolumeDirectory:
    """The directory `<device>/packed[-<policy>]/volumes`. Methods raise OSError."""

    def __init__(self, files: Files, path: str) -> None:
        self.path = path
        self._writers = f"{os.path.dirname(path)}/writers"
        self._files = files

    def volume_path(self, number: int) -> str:
        return f"{self.path}/{volume_name(number)}"

    def marks_path(self, number: int) -> str:
        return f"{self.path}/{number:08d}.{DEAD}"

    def names(self) -> dict[int, set[str]]:
        """Return which files there are, VOLUME and DEAD, by number; empty if there is no directory."""
        names: dict[int, set[str]] = defaultdict(set)
        with contextlib.suppress(FileNotFoundError):
            for name in self._files.list(self.path):
                if match := _FILE(name):
                    names[int(match[1])].add(match[2])
        return names

    def numbers(self) -> list[int]:
        """Return the numbers of the volumes, in order."""
        return sorted(number for number, kinds in self.names().items() if VOLUME in kinds)

    def make(self) -> None:
        """Make the directory and the one above it. Raises FileNotFoundError if the device is missing."""
        for path in (os.path.dirname(self.path), self.path):
            with contextlib.suppress(FileExistsError):
                self._files.mkdir(path)

    def writers(self) -> list[int]:
        """Return the numbers of the volumes that have a writer, or whose writer died."""
        try:
            return sorted(int(name) for name in self._files.list(self._writers) if name.isdecimal())
        except FileNotFoundError:
            return []

    def add_writer(self, number: int) -> None:
        """Note that a volume has a writer, before it appends; lost in a power cut."""
        with contextlib.suppress(FileExistsError):
            self._files.mkdir(self._writers)
        self._files.open_to_append(f"{self._writers}/{number}").close()

    def remove_writer(self, number: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._files.unlink(f"{self._writers}/{number}")

    def sync_names(self) -> None:
        """Make the names of all volumes and of the directories durable, whoever made them."""
        path = self.path
        for _ in range(3):
            self._files.fsync_dir(path)
            path = os.path.dirname(path)

    def temporary(self) -> str:
        """Return where files are made that cannot be made without a name."""
        return f"{self.path.rsplit('/', 2)[0]}/tmp"

    def header(self, file: OpenFile) -> VolumeHeader:
        """Return the header of an open volume, or its copy if it is damaged or unreadable. Raises Unsound, OSError."""
        try:
            return decode_volume_header(self._read(file, 0))
        except (Unsound, OSError) as error:
            if isinstance(error, OSError) and error.errno not in UNREADABLE:
                raise
            copy = decode_volume_header(self._read(file, COPY_OFFSET))
            return copy._replace(closed=True)

    def _read(self, file: OpenFile, offset: int) -> bytearray:
        header = bytearray(FIELDS_SIZE)
        del header[self._files.read_at(file.fd, header, offset) :]
        return header


def volume_name(number: int) -> str:
    return f"{number:08d}.{VOLUME}"


def parse_volume_name(name: str) -> int | None:
    """Return the number of a volume's file; None for any other name."""
    match = _FILE(name)
    return int(match[1]) if match and match[2] == VOLUME else None
