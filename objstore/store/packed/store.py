"""The engine that packs small objects into volumes, and keeps larger ones as files.

Both are found by one look-up. The changes of a name may be in either; the rules of `liveness` are applied to all of
them together. All that is no content, tombstones and metadata, is packed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from hashlib import md5
from typing import Any, NamedTuple

from objstore.core.errors import NameHeld, NotFound, ObjstoreError
from objstore.core.names import Location, partition_of
from objstore.core.timestamps import Timestamp
from objstore.runtime import green
from objstore.runtime.number_locks import NumberLocks
from objstore.runtime.threads import Batcher
from objstore.store.change import DATA, Change
from objstore.store.interface import (
    Guard,
    IncomingChange,
    IncomingRecord,
    Look,
    NameListing,
    PackedAudit,
    Result,
    Sequel,
)
from objstore.store.objects.change_stream import StreamReader, StreamWriter
from objstore.store.objects.commit import Runs, followed, submit
from objstore.store.objects.format import Unsound, decode_record
from objstore.store.objects.liveness import counting, decide, newest_of, reclaimable
from objstore.store.objects.lookup import LiveObject
from objstore.store.objects.memory_reader import MemoryReader
from objstore.store.objects.records import check_fields, read_data
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.objects.unpacked import in_time
from objstore.store.objects.upkeep import forget
from objstore.store.packed.audit import PackedAuditor
from objstore.store.packed.checkpoint import checkpoint
from objstore.store.packed.commit import PackedArrival, PackedCommitter, is_same, stored_already
from objstore.store.packed.compaction import Compactor, CopyRoom
from objstore.store.packed.hashes import PackedHasher
from objstore.store.packed.index import Index
from objstore.store.packed.lookup import Live, LivePacked, PackedNames
from objstore.store.packed.places import Entry, Place
from objstore.store.packed.quarantine import take_away
from objstore.store.packed.recovery import open_index
from objstore.store.packed.runs import WantedRecord, check_received, read_records
from objstore.store.packed.tails import put_in_tails
from objstore.store.packed.volumes import Volumes
from objstore.store.packed.writer import PackedWriter, WriterTools

_MAX_STREAM = 1 << 16  # bytes of a change that is read or written together with others


def _stream(change: Change, metadata: bytes, content: bytes | memoryview) -> StreamReader:
    if change.kind != DATA:
        return StreamReader(metadata, None)
    return StreamReader(metadata, MemoryReader(read_data(decode_record(metadata), change), content))


class _FileNames(NamedTuple):
    """The names that have files."""

    partitions: Callable[[], list[int]]
    suffix_hashes: Callable[[int], dict[str, str]]
    changes: Callable[[int, str], dict[str, tuple[Change, ...]]]


class _Stored(ObjstoreError):
    """A change is in a volume already, so that its file is not needed."""


class PackedStore(FileReplicaStore):
    """A `store.interface.MendingStore`. Arguments as those of FileReplicaStore, and:

    limit: bytes of the largest object that is packed; below 0: nothing is packed any more, what is stays readable.
    power: the partition power of the policy's ring now, by which packed names are sorted into partitions. volume_size:
    bytes of a volume, 0: as in the settings.
    """

    def __init__(
        self,
        *args: Any,
        limit: int,
        power: Callable[[], int],
        volume_size: int = 0,
        batching: Callable[..., Runs] = Batcher,
        **options: Any,
    ) -> None:
        super().__init__(*args, batching=batching, **options)
        self.limit = limit
        self._power = power
        self.volume_size = volume_size or self.settings.packed_volume_size
        self.volumes = Volumes(self._files, f"{self.layout.packed}/volumes", self.volume_size)
        self._names = PackedNames(self._files, self.layout, self.volumes, self._open_index)
        self._packed_hasher = PackedHasher(self._files, self.layout, self._names, self._hasher, power)
        self._auditors = {content: PackedAuditor(self._names, content) for content in (False, True)}
        self._packing = PackedCommitter(self._names, self._clear_files)
        self._packs: Any = batching(f"pack:{self.root}", followed(self._packing.run), patience=self.settings.patience)
        self._writer_tools = WriterTools(limit, self._pack, partial(self._make_file, tools=self._tools), self._as_file)

    def _open_index(self) -> Index:
        return open_index(self._files, self.layout.packed, self.volumes)

    # The contract

    def create(self, location: Location, size: int | None, hashing: bool = True) -> PackedWriter:  # type: ignore[override]
        self._require_space(size or 0)
        self._catch_up(location)
        return PackedWriter(self._writer_tools, location, size, hashing)

    def open(self, location: Location) -> Any:
        found = self._find(location)
        if isinstance(found, LivePacked):
            return MemoryReader(found.info, found.content)
        return self._reader(location, found)

    def _find(self, location: Location) -> Live:  # type: ignore[override]
        """The live object; from memory, else in a thread."""
        self._catch_up(location)
        cached = self._names.cached(location)
        found = cached if cached is not None else self._looking(location, self._names.look_up, location)
        if isinstance(found, (LivePacked, LiveObject)):
            return found
        raise self._missing_error(location, found)

    def _exclusively(self, location: Location, call: Callable[[Timestamp, Look], Result]) -> Result:
        with self._locked(location):
            entries, files = self._names.find(location), self._names.files_of(location)
            changes = [*(entry.change for entry in entries), *files]
            return call(newest_of(changes), lambda: self._names.live_info(location, entries, files))

    def release(self) -> None:
        super().release()
        self._packs.aside(self._packing.release)
        self._packed_hasher.close()

    # What writers use

    def _pack(self, arrival: PackedArrival) -> None:
        submit(self._packs, arrival)

    def _lay(
        self, location: Location, change: Change, record: bytes, guard: Guard | None, sequel: Sequel | None = None
    ) -> None:
        if self.limit >= 0:
            self._pack(PackedArrival(location, change, record, guard=guard, sequel=sequel))
            return
        lay = partial(super()._lay, location, change, record, sequel=sequel)
        self._as_file(location, change, record, guard, lay)

    def _as_file(
        self, location: Location, change: Change, record: bytes, guard: Guard | None, commit: Callable[[Guard], object]
    ) -> None:
        """Commit a file whose name may have packed changes, which the guard must see."""

        def checked(newest: Timestamp, look: Look) -> None:
            entries = self._names.find(location)
            if any(entry.change == change for entry in entries):
                stored = self._names.durable_record(location, change, entries)
                raise _Stored if is_same(stored, record) else stored_already(location, change)
            if guard is not None:
                newest = max(newest, newest_of(each.change for each in entries))
                guard(newest, lambda: self._names.live_info(location, entries, self._names.files_of(location)))

        with contextlib.suppress(_Stored):
            commit(checked)
        with contextlib.suppress(OSError):  # what is obsolete is judged the same by every reader
            self._tools.pool.run(self._drop_obsolete, location)

    def _drop_obsolete(self, location: Location) -> None:
        """Drop packed changes that files made obsolete."""
        if self._names.find(location):
            with self._locked(location):
                self._names.make_files_durable(location)
                obsolete = decide(self._names.changes_of(location)).obsolete
                self._drop(location, set(obsolete))

    def _drop(self, location: Location, changes: set[Change]) -> list[Place]:
        """Mark records dead, durably, and take their entries out of the index; with the name locked."""
        dead: list[Place] = []

        def without(entries: list[Entry]) -> list[Entry]:
            dead[:] = [entry.place for entry in entries if entry.change in changes]
            return [entry for entry in entries if entry.change not in changes]

        def mark() -> None:
            if dead:
                self.volumes.kill(dead)
                self.volumes.sync_marks()

        self._names.edit(location, without, mark)
        return dead

    def _clear_files(self, location: Location, changes: Iterable[Change]) -> None:
        """Remove files that packed changes made obsolete: best effort, as in every commit."""
        obsolete = decide(changes).obsolete
        if obsolete:
            with contextlib.suppress(OSError):
                for place in location.both:
                    forget(self._upkeep, self.layout.hash_dir(place), obsolete)

    # What is here

    def partitions(self) -> list[int]:
        return sorted({*super().partitions(), *self._run(self._packed_hasher.partitions)})

    def partition_hash(self, partition: int) -> str:
        return self._run(self._packed_hasher.partition, partition).hash

    def kept_hashes(self, partitions: Iterable[int]) -> dict[int, str]:
        return self._run(self._packed_hasher.kept, tuple(partitions))

    def suffix_hashes(self, partition: int) -> dict[str, str]:
        return {suffix: each.hash for suffix, each in self._run(self._packed_hasher.suffixes, partition).items()}

    def changes(self, partition: int, suffix: str) -> dict[str, tuple[Change, ...]]:
        return self._run(self._packed_hasher.changes, partition, suffix)

    def _missing(self, partition: int, offered: Mapping[str, Sequence[Change]]) -> dict[str, tuple[Change, ...]]:
        found = {}
        locations = [Location(partition, name_hash) for name_hash in offered]
        entries = self._names.find_all(locations)
        has_files = self._files.is_dir(self.layout.partition_dir(partition))
        for location, changes in zip(locations, offered.values(), strict=True):
            own = {entry.change for entry in entries[location.hash]}
            if has_files:
                own |= self._durable(self.layout.hash_dir(location))
            lacking = set(counting(own.union(changes))) - own
            if lacking:
                found[location.hash] = tuple(sorted(lacking))
        return found

    # Many partitions

    def partition_hashes(self, partitions: Iterable[int], seconds: float) -> dict[int, str]:
        return self._run(in_time, lambda each: self._packed_hasher.partition(each).hash, partitions, seconds)

    def suffix_hashes_of(self, partitions: Iterable[int]) -> dict[int, dict[str, str]]:
        def hashes(partition: int) -> dict[str, str]:
            return {suffix: each.hash for suffix, each in self._packed_hasher.suffixes(partition).items()}

        return self._run(lambda: {partition: hashes(partition) for partition in partitions})

    def changes_of(self, suffixes: Mapping[int, Iterable[str]]) -> dict[int, dict[str, tuple[Change, ...]]]:
        def changes(partition: int, some: Iterable[str]) -> dict[str, tuple[Change, ...]]:
            grouped = self._packed_hasher.grouped(partition)
            return {name_hash: found for each in some for name_hash, found in grouped.get(each, {}).items()}

        return self._run(lambda: {partition: changes(partition, some) for partition, some in suffixes.items()})

    def missing_of(
        self, offered: Mapping[int, Mapping[str, Sequence[Change]]]
    ) -> dict[int, dict[str, tuple[Change, ...]]]:
        return self._run(lambda: {partition: self._missing(partition, each) for partition, each in offered.items()})

    # Changes as bytes

    def read_change(self, location: Location, change: Change) -> StreamReader:
        with self._judging(location, change):
            record = self._background.run(self._on_device, self._read_packed, (location, change))
        if record is None:
            return super().read_change(location, change)
        return _stream(change, *record)

    def _read_packed(self, location: Location, change: Change) -> tuple[bytes, bytes | memoryview] | None:
        """The metadata and content of a packed change; None if it is not packed. Raises Unsound, OSError."""
        seen: Entry | None = None
        while True:
            entry = next((each for each in self._names.find(location) if each.change == change), None)
            if entry is None:
                return None
            try:
                record = self.volumes.read(entry.place, location.hash, change)
                return record.metadata, record.content
            except (Unsound, FileNotFoundError) as error:
                if entry == seen:  # it was not moved: it is bad
                    raise error if isinstance(error, Unsound) else Unsound("its volume is missing") from error
                seen = entry

    def write_change(self, location: Location, change: Change, length: int, guard: Guard | None = None) -> StreamWriter:
        if change.kind == DATA:
            self._space.check(length)
        tools = self._writer_tools._replace(make_file=partial(self._make_file, tools=self._background_tools))
        return StreamWriter(
            change,
            length,
            lambda size: PackedWriter(tools, location, size, False),
            lambda record: self._lay(location, change, record, guard),
            guard,
        )

    @property
    def packs(self) -> int:
        return min(self.limit, _MAX_STREAM)

    def read_packed(self, names: Sequence[tuple[Location, Change]]) -> list[bytes | None]:
        return self._run(self._read_records, names)

    def _read_records(self, names: Sequence[tuple[Location, Change]]) -> list[bytes | None]:
        entries = self._names.find_all(location for location, _ in names)
        wanted: dict[int, WantedRecord] = {}
        for index, (location, change) in enumerate(names):
            for entry in entries[location.hash]:
                if entry.change == change and entry.place.length <= self.packs:
                    wanted[index] = WantedRecord(entry.place, location.hash, change)
        records: list[bytes | None] = [None] * len(names)
        for index, record in zip(wanted, read_records(self.volumes, list(wanted.values())), strict=True):
            records[index] = record
        return records

    def write_packed(self, changes: Sequence[IncomingChange | IncomingRecord]) -> list[Exception | None]:
        outcomes: list[Exception | None] = [None] * len(changes)
        arrivals: dict[int, PackedArrival] = {}
        for index, incoming in enumerate(changes):
            try:
                arrivals[index] = self._arrival(incoming)
            except (ObjstoreError, OSError) as error:
                outcomes[index] = error
        while arrivals:
            held: dict[int, PackedArrival] = {}
            seconds = 0.0
            for (index, arrival), outcome in zip(
                arrivals.items(), self._packs.run_all(list(arrivals.values())), strict=True
            ):
                if isinstance(outcome, NameHeld):
                    held[index] = arrival
                    seconds = max(seconds, outcome.seconds)
                elif outcome is not None:
                    outcomes[index] = outcome
            arrivals = held
            if held:
                green.sleep(seconds)
        return outcomes

    def _arrival(self, incoming: IncomingChange | IncomingRecord) -> PackedArrival:
        """Verify a change, and return what must be packed. Raises as `write_change` and its writer do."""
        if isinstance(incoming, IncomingRecord):
            return self._record_arrival(incoming)
        location, change, stream, guard = incoming
        if change.kind == DATA:
            self._space.check(len(stream))
        arrivals: list[PackedArrival] = []
        tools = self._writer_tools._replace(pack=arrivals.append)
        with StreamWriter(
            change,
            len(stream),
            lambda size: PackedWriter(tools, location, size, False),
            lambda record: arrivals.append(PackedArrival(location, change, record, guard=guard)),
            guard,
        ) as writer:
            writer.write(stream)
            writer.commit()
        return arrivals[0]

    def _record_arrival(self, incoming: IncomingRecord) -> PackedArrival:
        header, metadata, content = check_received(incoming.record)
        location = Location(incoming.partition, header.name_hash, self.layout.policy)
        if header.change.kind == DATA:
            self._space.check(len(content))
        guard = incoming.guard(header.name_hash, header.change.timestamp)
        pieces = (content,) if content else ()
        return PackedArrival(location, header.change, metadata, pieces, header.content_crc, guard)

    # Upkeep

    def forget(self, location: Location, changes: Iterable[Change]) -> None:
        self._run(self._forget, location, set(changes))

    def _forget(self, location: Location, changes: set[Change]) -> int:
        """Remove changes of a name, and before them what they made obsolete, which must not come to light."""
        files = self._names.files_of(location)
        if files:
            with self._locked(location):
                self._put_in_tails()
                obsolete = set(decide(self._names.changes_of(location)).obsolete)
                self._drop(location, obsolete)
                self.volumes.sync_marks()
            forget(self._upkeep, self.layout.hash_dir(location), (obsolete | changes).intersection(files))
        with self._locked(location):
            self._put_in_tails()
            self.volumes.sync_marks()  # of what these hide
            gone = self._drop(location, changes)
        return len(gone) + len(changes.intersection(files))

    def _put_in_tails(self) -> None:
        """Put into the index what dead writers left; it may be a copy of a change that is about to be removed."""
        self._names.on_index(lambda index: put_in_tails(self.volumes, index))

    def reclaim(self, partition: int, before: Timestamp) -> int:
        return self._run(self._reclaim, partition, before)

    def _reclaim(self, partition: int, before: Timestamp) -> int:
        if not self._packed_hasher.partition(partition).is_before(before):
            return 0
        count = 0
        for names in self._packed_hasher.grouped(partition).values():
            for name_hash, changes in names.items():
                old = {change for change in reclaimable(changes) if change.timestamp < before}
                if old:
                    count += self._forget(Location(partition, name_hash, self.layout.policy), old)
        return count

    def _changes_to_verify(self, location: Location) -> list[Change]:
        return self._names.changes_of(location)

    def _verify_change(
        self, location: Location, change: Change, read: Callable[[int], object], content: bool, hashed_since: float
    ) -> int:
        with self._judging(location, change):
            entries = self._background.run(self._on_device, self._names.find, (location,))
        entry = next((each for each in entries if each.change == change), None)
        if entry is None:
            return super()._verify_change(location, change, read, content, hashed_since)
        size = entry.place.length - entry.place.head if content else 0
        if size:
            read(size)
        with self._judging(location, change):
            found = self._background.run(self._on_device, self._verify_packed, (location, change, hashed_since))
        if not found:
            raise NotFound(f"{location.hash}/{change}")
        return size

    def _verify_packed(self, location: Location, change: Change, hashed_since: float) -> bool:
        """Verify a packed change; False if it is not packed. Raises Unsound, OSError."""
        record = self._read_packed(location, change)
        if record is None:
            return False
        metadata, content = record
        fields = decode_record(metadata)
        size = check_fields(fields, change)
        if change.kind == DATA:
            if size != len(content):
                raise Unsound("the size does not match the metadata")
            if hashed_since <= time.time() and md5(content, usedforsecurity=False).hexdigest() != fields["etag"]:
                raise Unsound("the content does not match the etag")
        return True

    def audit_packed(
        self, position: Sequence[int], read: Callable[[int], object], content: bool = True, hashed_since: float = 0.0
    ) -> PackedAudit | None:
        step = self._run(self._auditors[content].step, position, hashed_since)
        if step is None:
            return None
        read(step.read)
        return PackedAudit(step.position, step.objects, step.size, [self._location(each) for each in step.suspects])

    def _location(self, name_hash: str) -> Location:
        return Location(partition_of(name_hash, self._power()), name_hash, self.layout.policy)

    def unpacked(self) -> NameListing:
        return _FileNames(super().partitions, super().suffix_hashes, super().changes)

    def _take_away(self, location: Location, change: Change) -> bool:
        with self._locked(location):
            move_files = partial(self._move_files, location, change)
            return take_away(self._files, self.layout, self._names, location, change, move_files)

    def checkpoint(self) -> None:
        """Make the index durable, for a short recovery after a power cut. Blocks; raises OSError, DeviceUnavailable."""
        self._names.on_index(lambda index: checkpoint(self._files, self.layout.packed, self.volumes, index))

    # Compaction

    def compactor(self) -> Compactor:
        """Return a compactor of the volumes, for one thread at a time. Blocks; raises OSError, DeviceUnavailable."""
        volumes = Volumes(self._files, f"{self.layout.packed}/volumes", self.volume_size)
        index = self._names.on_index(lambda index: index)
        locks = NumberLocks(self.layout.locks)
        return Compactor(volumes, index, locks, self._take_away_bad, self._note_unreadable_record)

    def room(self) -> CopyRoom:
        """Return the room on the device. Blocks; raises OSError."""
        space = self._files.space(self.root)
        return CopyRoom(space.free, self.settings.fallocate_reserve.of(space.total), space.total)

    def let_go(self) -> None:
        """Let go of the volume that is written to, if the compactor asked for it. Does not wait."""
        if self.volumes.own_number() is not None:
            self._packs.aside(self.volumes.let_go)

    def _note_unreadable_record(self, name_hash: str, change: Change) -> None:
        self._note_unreadable(self._location(name_hash), change)

    def _take_away_bad(self, name_hash: str, change: Change, place: Place, why: str) -> None:
        """Take a bad change away, in the thread of a compactor."""
        location = self._location(name_hash)
        if self._take_away(location, change) and self._on_quarantine is not None:
            self._on_quarantine(location, f"{why}, in volume {place.volume} at {place.position}")
