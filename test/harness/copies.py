"""The data of objects on a device, in files and in volumes: what is there, and where to hurt it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from harness.processes import find
from objstore.core.policies import objects_dir, packed_dir
from objstore.store.change import DATA
from objstore.store.packed.describe import entries_of_names, packed_changes
from objstore.store.packed.format import FIELDS_SIZE, HEADER_SIZE, decode_volume_header
from objstore.store.packed.page_files import DamagedIndex
from objstore.store.packed.places import Entry
from objstore.store.packed.volume_directory import volume_name


class Copy(NamedTuple):
    """The data of an object: a .data file, or a record of a volume.

    start: position of its content in the file or volume; end: of all that belongs to it. mark: with `start`, it tells
    this copy from any other that takes its place. It says nothing of what a test does to its bytes.
    """

    path: Path
    start: int
    end: int
    size: int
    mark: bytes | int

    @property
    def is_packed(self) -> bool:
        return isinstance(self.mark, bytes)

    def flip(self, position: int) -> None:
        """Change one bit of its content."""
        with open(self.path, "r+b") as file:
            file.seek(self.start + position)
            (byte,) = file.read(1)
            file.seek(self.start + position)
            file.write(bytes([byte ^ 1]))

    def cut(self, size: int) -> None:
        """Leave so many bytes of its content, or nothing at all (-1). In a volume, zeros take the place of the rest."""
        if not self.is_packed:
            os.truncate(self.path, max(0, size))
            return
        first = self.start + size if size >= 0 else self.start - HEADER_SIZE
        with open(self.path, "r+b") as file:
            file.seek(first)
            file.write(bytes(self.end - first))


def copy_of(device: Path, policy: int, partition: int, name_hash: str) -> Copy | None:
    """The newest data of a name on a device, None if it has none there."""
    packed, files = changes_of(device, policy, partition, name_hash)
    data = [entry for entry in packed if entry.change.kind == DATA]
    newest = max(data, key=lambda entry: entry.change.timestamp, default=None)
    last = max((path for path in files if path.suffix == f".{DATA}"), default=None, key=lambda path: path.name)
    if newest is not None and (last is None or last.name <= str(newest.change)):
        return _in_volume(device / packed_dir(policy), newest)
    return _in_file(last) if last else None


def changes_of(device: Path, policy: int, partition: int, name_hash: str) -> tuple[list[Entry], list[Path]]:
    """All that is packed of a name on a device, and its files."""
    directory = device / objects_dir(policy) / str(partition) / name_hash[-3:] / name_hash
    packed: list[Entry] = []
    with suppress(DamagedIndex):
        packed = [entry for entry, _ in packed_changes(str(device / packed_dir(policy)), name_hash)]
    return packed, find(directory, "*.*")


def copies(device: Path, policy: int = 0) -> Iterator[Copy]:
    """All data of a policy on a device."""
    for path in find(device / objects_dir(policy), "*/*/*/*.data"):
        if (copy := _in_file(path)) is not None:
            yield copy
    directory = device / packed_dir(policy)
    for entries in entries_of_names(str(directory)).values():
        for entry in entries:
            if entry.change.kind == DATA and (copy := _in_volume(directory, entry)) is not None:
                yield copy


def _in_file(path: Path) -> Copy | None:
    """None if it is gone."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return Copy(path, 0, status.st_size, status.st_size, status.st_ino)


def _in_volume(directory: Path, entry: Entry) -> Copy | None:
    """None if its volume is gone: it was compacted."""
    place = entry.place
    path = directory / "volumes" / volume_name(place.volume)
    try:
        with open(path, "rb") as file:
            tag = decode_volume_header(file.read(FIELDS_SIZE)).tag
    except FileNotFoundError:
        return None
    start, end = place.position + place.head, place.position + place.length
    return Copy(path, start, end, place.length - place.head, tag)
