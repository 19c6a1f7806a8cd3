"""Compaction: the room of dead records is freed by copying what is live of a volume, and removing it.

For each volume: it is claimed, so that no one appends to it. Its records are read in order. Those that the index
points at are copied in groups. Of a group, in this order, with the names locked:

1. the index is asked again;
2. the copies are appended to a volume behind the places of their records, synced;
3. of each record that the index still points at, it is marked dead, then the index is pointed at the copy; else the
   copy is marked dead.

At the end all dead marks are made durable, and the volume is removed. On a device without room for all copies, the room
of what has been copied is given back on the way, by holes.

Nothing is lost. The index points at a record or at its copy at any time, and both are durable. A volume is removed
only if the index pointed elsewhere, or not at all, after each of its records had been read; nothing ever points the
index back. If the index was lost or damaged meanwhile, `edit` or `is_current` shows it, and the volume stays: whoever
rebuilds the index moves the old one away first, and then finds all copies. Records that cannot be found in order,
because a header is damaged, are searched for in the whole index. One that is bad is given to `quarantine`, one that the
device fails to read is noted for a second look, and the volume stays while the index points at it.

Nothing is revived. After a power cut the index is rebuilt of records that are not marked dead.

- A record that is dropped with the volume may have hidden others, elsewhere. Those were marked dead when it was
  written, or when it died itself. Their marks are durable before the volume goes.
- No change of a name can be removed between steps 1 and 3. So of a change that is removed later there are not two
  records, one of them without a mark: the marks of step 3 are written before those of the removal, and are durable
  with them.
- A process that is killed after step 2 leaves copies that the index does not point at. They lie behind the position
  that is noted in their volume. Whoever replays that tail takes a copy only for the same change (`Header.is_copy`),
  never as a change that the index lacks. Before a change is removed for good, with its name locked, such tails are
  replayed (`tails.put_in_tails`), so that no copy of it is left.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from awscrt.checksums import crc32c

from objstore.runtime.number_locks import NumberLocks
from objstore.store.change import Change
from objstore.store.disk_errors import UNREADABLE
from objstore.store.objects.format import Unsound
from objstore.store.objects.layout import lock_number_of
from objstore.store.packed.format import VOLUME_HEADER_SIZE, Outgoing, Record, padded
from objstore.store.packed.places import Entry, Place
from objstore.store.packed.volumes import Usage, Volumes

GROUP_BYTES = 256 * 1024
GROUP_RECORDS = 32
LEAST_SPARE = 4 * GROUP_BYTES  # free bytes without which nothing is compacted that needs more
_SCARCE = 0.1  # share of a device; with less room, volumes are compacted that have fewer dead bytes
_LEAST_FACTOR = 0.1
_BLOCK = 4096  # of file systems
_MARKS_SECONDS = 3600.0  # marks older than this are durable, even if the clock was set forward meanwhile

# Takes a bad record out of the index, given the hash of the name, the change, its place and the reason. Raises
# ObjstoreError. Called without locks.
Quarantine = Callable[[str, Change, Place, str], object]
# Notes a record that the device fails to read, for a second look, given the hash of the name and the change.
NoteUnreadable = Callable[[str, Change], object]


class CompactedIndex(Protocol):
    """The part of an `Index` that compaction needs. `is_current` is false once the index was moved away."""

    def find(self, name_hash: str) -> list[Entry]: ...

    def edit(
        self, name_hash: str, change: Callable[[list[Entry]], list[Entry]], before: Callable[[], object] | None = None
    ) -> None: ...

    def entries(self, prefix: int, bits: int) -> Iterator[tuple[str, Entry]]: ...

    def sync(self) -> None: ...

    def is_current(self) -> bool: ...


class CompactionCounts:
    """Numbers of records copied, dropped, bad and unreadable, of volumes removed; bytes copied and freed."""

    def __init__(self) -> None:
        self.records_copied = 0
        self.records_dropped = 0
        self.records_bad = 0
        self.records_unreadable = 0
        self.volumes_removed = 0
        self.bytes_copied = 0
        self.bytes_freed = 0


class _Live(NamedTuple):
    """A record that the index points at."""

    name_hash: str
    change: Change
    place: Place


class CopyRoom(NamedTuple):
    """Bytes of a device: free ones, those of them that objects may not take, and all."""

    free: int
    reserve: int
    total: int

    @property
    def spare(self) -> int:
        """Bytes that copies may take up. Compaction gives room back, so it may use half of the reserve, too."""
        return self.free // 2


def share_due(dead_share: float, room: CopyRoom) -> float:
    """Return the share of dead bytes from which on to compact: as set, or less where room is scarce."""
    unreserved = max(0, room.free - room.reserve)
    return dead_share * min(1.0, max(_LEAST_FACTOR, unreserved / max(1.0, _SCARCE * room.total)))


def due(usages: Mapping[int, Usage], dead_share: float, spare: int) -> list[int]:
    """Return the volumes to compact, those with the greatest share of dead bytes first.

    dead_share: least share. spare: bytes that copies may take up; what has been compacted adds to them. A volume with
    more live bytes gives room back as it is copied, which takes a megabyte.
    """
    chosen = []
    for number, usage in sorted(usages.items(), key=lambda item: (-_share(item[1]), item[0])):
        live = usage.size - usage.dead
        has_room = live <= spare or spare >= LEAST_SPARE
        if usage.dead and _share(usage) >= dead_share and has_room:
            chosen.append(number)
            spare += usage.dead
    return chosen


def _share(usage: Usage) -> float:
    return usage.dead / max(1, usage.size - VOLUME_HEADER_SIZE)


class Compactor:
    """Compacts volumes of one policy on one device; for one thread at a time.

    volumes: an object by which nobody else appends. locks: those of names. Methods raise OSError, and what the index
    raises; a volume is then left to be compacted again.
    """

    def __init__(
        self,
        volumes: Volumes,
        index: CompactedIndex,
        locks: NumberLocks,
        quarantine: Quarantine,
        note_unreadable: NoteUnreadable = lambda name_hash, change: None,
    ) -> None:
        self._volumes = volumes
        self._index = index
        self._locks = locks
        self._quarantine = quarantine
        self._note_unreadable = note_unreadable
        self._has_unreadable = False  # a record of the volume
        self.counts = CompactionCounts()

    def close(self) -> None:
        """Let others append to the volume of the copies."""
        self._volumes.close()

    def usages(self) -> dict[int, Usage]:
        """Return the usage of all volumes that can be read; clean up what removals left."""
        self._volumes.remove_leftovers()
        usages = {}
        for volume in self._volumes.numbers():
            with contextlib.suppress(FileNotFoundError, Unsound):
                usages[volume] = self._volumes.usage(volume)
        return usages

    def due(self, usages: Mapping[int, Usage], dead_share: float, spare: int) -> list[int]:
        """As the function `due`, without the volumes that others append to."""
        free = {}
        for volume, usage in usages.items():
            with contextlib.suppress(FileNotFoundError):
                if usage.dead and (volume == self._volumes.own_number() or not self._volumes.has_writer(volume)):
                    free[volume] = usage
        return due(free, dead_share, spare)

    def ask_writers(self, usages: Mapping[int, Usage], dead_share: float, least: int) -> list[int]:
        """Ask the writers of volumes that are due to let go of them, within seconds; return these volumes.

        least: dead bytes for which that is worth it.
        """
        asked = []
        for volume, usage in usages.items():
            if volume != self._volumes.own_number() and usage.dead >= least and _share(usage) >= dead_share:
                with contextlib.suppress(FileNotFoundError, Unsound):
                    if self._volumes.has_writer(volume):
                        self._volumes.ask_to_close(volume)
                        asked.append(volume)
        return asked

    def written(self, volumes: Iterable[int]) -> list[int]:
        """Return those that still have a writer."""
        found = []
        for volume in volumes:
            with contextlib.suppress(FileNotFoundError):
                if self._volumes.has_writer(volume):
                    found.append(volume)
        return found

    def compact(self, volume: int, spare: int | None = None) -> Iterator[int]:
        """Compact a volume in steps. Each yields the number of bytes that the next one copies, and holds no lock then.

        spare: bytes that copies may take up; if that is less than what is live, the room of what has been copied is
        given back on the way. A volume that is gone, or that someone appends to by now, is skipped. Close the iterator
        to stop.
        """
        if volume == self._volumes.own_number():
            self._volumes.roll()
        try:
            claim = self._volumes.claim(volume)
        except FileNotFoundError:
            return
        if claim is None:
            return
        try:
            usage = self._volumes.usage(volume)
            is_scarce = spare is not None and usage.size - usage.dead > spare
            yield from self._compact(volume, usage.size, max(GROUP_BYTES, (spare or 0) // 4) if is_scarce else 0)
        finally:
            claim.close()

    def _compact(self, volume: int, size: int, step: int) -> Iterator[int]:
        """step: bytes of copies after which room is given back; 0: at the end."""
        given_back = 0
        walk = _Walk()
        self._has_unreadable = False
        bad: list[tuple[_Live, str]] = []
        copied = 0
        for group in self._groups(volume, walk):
            yield sum(live.place.length for live in group)
            copied += self._copy(group, bad)
            if step and copied - given_back >= step and not (bad or self._has_unreadable or walk.has_gaps):
                self._give_back(volume, walk.end)
                given_back = copied
        left: list[_Live] = []  # not met in order
        if walk.has_gaps or self._has_unreadable or not self._volumes.ends_at(volume, walk.end):
            left = self._left(volume, {live.place for live, _ in bad})
        for start in range(0, len(left), GROUP_RECORDS):
            group = left[start : start + GROUP_RECORDS]
            yield sum(live.place.length for live in group)
            copied += self._copy(group, bad)
        self.counts.records_bad += len(bad)
        for live, why in bad:
            self._quarantine(live.name_hash, live.change, live.place, why)
        unread = [live for live in left if self._points_at(live.name_hash, live.place)]
        self.counts.records_unreadable += len(unread)
        if unread or any(self._points_at(live.name_hash, live.place) for live, _ in bad):
            return
        if not self._index.is_current():
            return
        self._volumes.sync_marks(_MARKS_SECONDS)
        self._volumes.remove(volume)
        self.counts.volumes_removed += 1
        self.counts.records_dropped += walk.dropped
        self.counts.bytes_freed += size - copied

    def _give_back(self, volume: int, end: int) -> None:
        """Give back the room before a position, up to which the index points at nothing any more.

        A reader that still has a place there meets zeros, and looks it up again. After a power cut nothing must lead
        there: so marks and index are made durable before.
        """
        self._volumes.sync_marks(_MARKS_SECONDS)
        self._index.sync()
        self._volumes.punch(volume, end - end % _BLOCK)

    def _groups(self, volume: int, walk: _Walk) -> Iterator[list[_Live]]:
        """Groups of the records that the index points at, in order."""
        group: list[_Live] = []
        size = 0
        for place, header in self._volumes.scan(volume):
            walk.meet(place)
            if not header.is_change:
                continue
            if not self._points_at(header.name_hash, place):
                walk.dropped += 1
                continue
            group.append(_Live(header.name_hash, header.change, place))
            size += place.length
            if size >= GROUP_BYTES or len(group) >= GROUP_RECORDS:
                yield group
                group, size = [], 0
        if group:
            yield group

    def _copy(self, group: Sequence[_Live], bad: list[tuple[_Live, str]]) -> int:
        """Copy what the index still points at, and point it at the copies; return the bytes copied."""
        with self._locked(live.name_hash for live in group):
            sound: list[_Live] = []
            records: list[Outgoing] = []
            for live in group:
                if self._points_at(live.name_hash, live.place):
                    record = self._read(live, bad)
                    if record is None:
                        continue
                    content = record.content
                    crc = crc32c(content)
                    records.append(
                        Outgoing(live.name_hash, live.change, record.metadata, (content,), crc, is_copy=True)
                    )
                    sound.append(live)
            if not records:
                return 0
            copies = self._volumes.append(records, [live.place for live in sound])
            self._point_at_copies(sound, copies)
        length = sum(copy.length for copy in copies)
        self.counts.records_copied += len(copies)
        self.counts.bytes_copied += length
        return length

    def _read(self, live: _Live, bad: list[tuple[_Live, str]]) -> Record | None:
        """Read a record; None if it is bad, which is added to `bad`, or cannot be read, which is noted."""
        try:
            return self._volumes.read(live.place, live.name_hash, live.change)
        except Unsound as error:
            bad.append((live, str(error)))
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise
            self._has_unreadable = True
            self._note_unreadable(live.name_hash, live.change)
        return None

    def _point_at_copies(self, sound: Sequence[_Live], copies: Sequence[Place]) -> None:
        try:
            for live, copy in zip(sound, copies, strict=True):
                self._repoint(live, copy)
            self._volumes.indexed()
        except BaseException:
            self._volumes.close()  # before the names are unlocked: the others are those of a writer that died
            raise

    def _repoint(self, live: _Live, copy: Place) -> None:
        """Point the index at a copy if it points at the record; mark the other of the two dead."""
        is_moved = False

        def change(entries: list[Entry]) -> list[Entry]:
            nonlocal is_moved
            is_moved = any(entry.place == live.place for entry in entries)
            return [entry._replace(place=copy) if entry.place == live.place else entry for entry in entries]

        self._index.edit(live.name_hash, change, lambda: self._volumes.kill((live.place if is_moved else copy,)))

    def _points_at(self, name_hash: str, place: Place) -> bool:
        return any(entry.place == place for entry in self._index.find(name_hash))

    def _left(self, volume: int, seen: Container[Place]) -> list[_Live]:
        """Return what the index still has in a volume, except what was seen. Reads the whole index."""
        return [
            _Live(name_hash, entry.change, entry.place)
            for name_hash, entry in self._index.entries(0, 0)
            if entry.place.volume == volume and entry.place not in seen
        ]

    @contextlib.contextmanager
    def _locked(self, name_hashes: Iterable[str]) -> Iterator[None]:
        """The names locked against all processes, in the same order as everyone locks several."""
        held: list[int] = []
        try:
            for number in sorted({lock_number_of(name_hash) for name_hash in name_hashes}):
                self._locks.acquire(number)
                held.append(number)
            yield
        finally:
            for number in held:
                self._locks.release(number)


class _Walk:
    """The state of a walk through a volume. end: of the last record; dropped: records that nothing points at."""

    def __init__(self) -> None:
        self.end = VOLUME_HEADER_SIZE
        self.has_gaps = False
        self.dropped = 0

    def meet(self, place: Place) -> None:
        if place.position != self.end:
            self.has_gaps = True
        self.end = place.position + padded(place.length)
