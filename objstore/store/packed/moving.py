"""Moving small objects between files and volumes, while others read and change them. Blocks.

Of each change, in this order:

1. it is read where it is, and verified;
2. with the name locked, it is written to the other side, if it is still stored and counts;
3. with the name locked, it is removed where it was, if the other side still has it.

A change is never on neither side. What step 2 writes is durable before step 3 begins, and both sides hold the same
change: a process that is killed between them leaves it twice, which readers treat as once, and the next move goes on
with step 3. Readers look at the index before and after they list files, and try again if it changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from awscrt.checksums import crc32c

from objstore.core.errors import NotFound
from objstore.core.names import Location, is_hash, is_suffix
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import Files
from objstore.runtime.number_locks import NumberLocks
from objstore.store.change import DATA, Change
from objstore.store.interface import Look
from objstore.store.objects.commit import Arrival, Committer, KnownDirs
from objstore.store.objects.file_io import read_trailer
from objstore.store.objects.format import BlockChecksums, Unsound
from objstore.store.objects.hashes import list_dir
from objstore.store.objects.layout import Layout, file_path, is_partition, lock_number_of
from objstore.store.objects.liveness import counting
from objstore.store.objects.lookup import open_change
from objstore.store.objects.upkeep import Upkeep, remove_chosen
from objstore.store.packed.commit import PackedArrival, PackedCommitter
from objstore.store.packed.lookup import PackedNames
from objstore.store.packed.places import Entry, Place
from objstore.store.packed.recovery import open_index
from objstore.store.packed.volumes import Volumes

GROUP_BYTES = 1 << 20
GROUP_CHANGES = 64
_PART_BITS = 12  # of hashes: what is in memory of the index at a time


class MoveCounts:
    """Numbers of names checked, of changes moved, of those that cannot be read; bytes of content moved."""

    def __init__(self) -> None:
        self.names = 0
        self.moved = 0
        self.bytes = 0
        self.unreadable = 0


class _Moving(NamedTuple):
    """A change that has been read where it is."""

    location: Location
    change: Change
    record: bytes
    content: bytes | memoryview


class BeforeGroup(Protocol):
    """Called before a group is moved, with its numbers of changes and bytes, to set the pace; may raise to end it."""

    def __call__(self, changes: int, size: int) -> object: ...


class Mover:
    """Moves the changes of one policy on one device; for one thread at a time, beside any number of stores.

    limit: bytes of the largest object to pack; below 0: none, nor metadata and tombstones. power: the
    partition power of the policy's ring, which must not be about to change: names in other partitions stay. Methods
    raise OSError and DeviceUnavailable.
    """

    def __init__(self, files: Files, root: str, policy: int, limit: int, power: int) -> None:
        self._files = files
        self._layout = layout = Layout(root, policy)
        self._limit = limit
        self._power = power
        ordered = files.orders_names(layout.root)
        known = KnownDirs(files)
        self._volumes = Volumes(files, f"{layout.packed}/volumes")
        self._names = PackedNames(files, layout, self._volumes, lambda: open_index(files, layout.packed, self._volumes))
        self._packer = PackedCommitter(self._names, lambda location, changes: None)
        self._filer = Committer(files, layout, known, lambda: ordered)
        self._upkeep = Upkeep(files, layout, known, lambda: ordered)
        self._locks = NumberLocks(layout.locks)
        self.counts = MoveCounts()

    def close(self) -> None:
        """Let others append to the volume used, and close all files."""
        self._packer.release()
        self._filer.release()
        self._locks.close()

    # Files to volumes

    def pack(self, step: BeforeGroup) -> None:
        """Move all that is small enough into volumes. May be ended and begun again at any time."""
        for changes, size in self.packing():
            step(changes, size)

    def packing(self) -> Iterator[tuple[int, int]]:
        """As `pack`, in steps: each yields the numbers of changes and bytes that the next one moves, without a lock."""
        for group in _grouped(self._in_files()):
            yield len(group), _size(group)
            self._pack(group)

    def _in_files(self) -> Iterator[_Moving]:
        """The changes in files that the limit covers."""
        for partition in self._entries(self._layout.objects):
            if not is_partition(partition):
                continue
            for suffix in filter(is_suffix, self._entries(self._layout.partition_dir(int(partition)))):
                for name_hash in filter(is_hash, self._entries(self._layout.suffix_dir(int(partition), suffix))):
                    if self._partition(name_hash) == int(partition):
                        yield from self._files_of(Location(int(partition), name_hash, self._layout.policy))

    def _files_of(self, location: Location) -> Iterator[_Moving]:
        self.counts.names += 1
        for change in sorted(counting(self._names.files_of(location))):
            try:
                found = self._read_file(location, change)
            except FileNotFoundError:  # replaced meanwhile
                continue
            except (ValueError, OSError):  # the auditor judges it
                self.counts.unreadable += 1
                continue
            if found is not None:
                yield found

    def _read_file(self, location: Location, change: Change) -> _Moving | None:
        """Read a change of a file, verified; None if it is too large. Raises OSError, Unsound."""
        opened = open_change(self._files, file_path(self._layout.hash_dir(location), change), change)
        file = opened.file
        if file is None:
            return _Moving(location, change, opened.record, b"") if self._limit >= 0 else None
        try:
            trailer = read_trailer(self._files, file)
            if trailer.size > self._limit:
                return None
            content = bytearray(trailer.size)
            del content[self._files.read_at(file.fd, content, 0) :]
        finally:
            file.close()
        checksums = BlockChecksums()
        checksums.update(content)
        if len(content) != trailer.size or checksums.finish() != trailer.checksums:
            raise Unsound("the content does not match its checksums")
        return _Moving(location, change, opened.record, bytes(content))

    def _pack(self, group: Sequence[_Moving]) -> None:
        arrivals = [
            PackedArrival(each.location, each.change, each.record, (each.content,), crc32c(each.content), moves=True)
            for each in group
        ]
        for each in _succeeded(group, self._packer.run(arrivals)):
            location, change = each.location, each.change
            count = remove_chosen(
                self._upkeep,
                self._layout.hash_dir(location),
                lambda present, location=location, change=change: (  # type: ignore[misc]
                    {change}.intersection(present, self._packed(location))
                ),
            )
            self._count(each, count > 0)

    # Volumes to files

    def unpack(self, step: BeforeGroup) -> None:
        """Move what the limit does not cover out of volumes into files. May be ended and begun again at any time."""
        for group in _grouped(self._in_volumes()):
            step(len(group), _size(group))
            self._unpack(group)

    def _in_volumes(self) -> Iterator[_Moving]:
        for name_hash, entry in self._indexed():
            if self._limit >= 0 and entry.place.length - entry.place.head <= self._limit:
                continue
            location = Location(self._partition(name_hash), name_hash, self._layout.policy)
            self.counts.names += 1
            try:
                record = self._volumes.read(entry.place, name_hash, entry.change)
            except FileNotFoundError:  # moved by a compaction; the next round finds it
                continue
            except (ValueError, OSError):
                self.counts.unreadable += 1
                continue
            yield _Moving(location, entry.change, record.metadata, record.content)

    def _indexed(self) -> Iterator[tuple[str, Entry]]:
        """All that is packed, by parts of the index."""
        if self._files.is_dir(self._layout.packed):
            for part in range(1 << _PART_BITS):
                yield from self._names.on_index(lambda index, part=part: list(index.entries(part, _PART_BITS)))  # type: ignore[misc]

    def _unpack(self, group: Sequence[_Moving]) -> None:
        for each in _succeeded(group, self._filer.run([self._arrival(each) for each in group])):
            self._count(each, self._drop(each.location, each.change))

    def _arrival(self, each: _Moving) -> Arrival:
        location, change = each.location, each.change

        def guard(newest: Timestamp, look: Look) -> None:
            """Refuse what was removed, or made obsolete, since it was read."""
            if change not in counting([*self._packed(location), *self._names.files_of(location)]):
                raise NotFound(f"{location.hash}/{change}")
            if change not in self._packed(location):
                raise NotFound(f"{location.hash}/{change}")

        directory = self._layout.hash_dir(location)
        if change.kind != DATA:
            return Arrival(directory, change, (each.record,), each.record, guard=guard)
        checksums = BlockChecksums()
        checksums.update(each.content)
        size = len(each.content)
        return Arrival(directory, change, (each.content,), each.record, size, checksums.finish(), guard=guard)

    def _drop(self, location: Location, change: Change) -> bool:
        """Remove a packed change that has a file; False if it is not there any more, or has no file."""
        dead: list[Place] = []

        def without(entries: list[Entry]) -> list[Entry]:
            dead[:] = [entry.place for entry in entries if entry.change == change]
            return [entry for entry in entries if entry.change != change]

        def mark() -> None:
            self._volumes.kill(dead)
            self._volumes.sync_marks()

        number = lock_number_of(location.hash)
        self._locks.acquire(number)
        try:
            if change in self._names.files_of(location):
                self._names.edit(location, without, mark)
        finally:
            self._locks.release(number)
        return bool(dead)

    # Both

    def _packed(self, location: Location) -> list[Change]:
        return [entry.change for entry in self._names.find(location)]

    def _partition(self, name_hash: str) -> int:
        return int(name_hash[:8], 16) >> (32 - self._power)

    def _entries(self, path: str) -> list[str]:
        return sorted(list_dir(self._files, path))

    def _count(self, each: _Moving, is_moved: bool) -> None:
        if is_moved:
            self.counts.moved += 1
            self.counts.bytes += len(each.content)


def _grouped(changes: Iterable[_Moving]) -> Iterator[list[_Moving]]:
    """Gather changes that are committed together."""
    group: list[_Moving] = []
    size = 0
    for each in changes:
        group.append(each)
        size += len(each.content)
        if size >= GROUP_BYTES or len(group) >= GROUP_CHANGES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _size(group: Iterable[_Moving]) -> int:
    return sum(len(each.content) for each in group)


def _succeeded(group: Iterable[_Moving], outcomes: Iterable[BaseException | None]) -> Iterator[_Moving]:
    """Iterate over those that were written. Skips those that changed meanwhile; raises what else went wrong."""
    for each, outcome in zip(group, outcomes, strict=True):
        if outcome is None:
            yield each
        elif not isinstance(outcome, NotFound):
            raise outcome
