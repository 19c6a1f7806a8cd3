"""The engine that keeps objects in this process's memory, for tests and trials.

The same names, judged by the same rules as files on disk, over a dictionary.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from objstore.core.errors import Conflict, InvalidInput, NameHeld, NotFound
from objstore.core.names import Location, is_hash
from objstore.core.timestamps import Timestamp
from objstore.runtime import green
from objstore.runtime.files import Buffer
from objstore.store.change import DATA, TOMBSTONE, Change
from objstore.store.interface import (
    Guard,
    Look,
    ObjectData,
    ObjectInfo,
    ObjectMetadata,
    Result,
    Sequel,
)
from objstore.store.objects.change_stream import StreamReader, StreamWriter
from objstore.store.objects.format import checksums_of, decode_record, encode_record
from objstore.store.objects.liveness import Liveness, counting, decide, newest_of, reclaimable
from objstore.store.objects.memory_reader import MemoryReader
from objstore.store.objects.records import (
    Fields,
    MetaRecord,
    data_fields,
    fold,
    info_of_data,
    lay_over,
    meta_fields,
    meta_record,
    read_data,
    read_meta,
    tombstone_fields,
)
from objstore.store.objects.summaries import SuffixSummary, of_partition, of_suffix
from objstore.store.objects.unpacked import UnpackedStore


class MemoryWriter:
    """An object on its way in."""

    def __init__(self, store: MemoryStore, location: Location, hashing: bool) -> None:
        self.size = 0
        self._store = store
        self._location = location
        self._hashing = hashing
        self._pieces: list[bytes] | None = []

    def write(self, data: Buffer) -> None:
        if self._pieces is None:
            raise ValueError("the writer is closed")
        self._pieces.append(bytes(data))
        self.size += len(data)

    def etag(self) -> str:
        if not self._hashing:
            raise ValueError("a writer without hashing has no etag")
        return hashlib.md5(b"".join(self._pieces or ()), usedforsecurity=False).hexdigest()

    def commit(self, data: ObjectData, guard: Guard | None = None, sequel: Sequel | None = None) -> ObjectInfo:
        if self._pieces is None:
            raise ValueError("the writer is closed")
        info = info_of_data(data, self.size, data.etag or self.etag())
        self._lay(info, guard)
        return info

    def checksums(self) -> array[int]:
        return checksums_of(b"".join(self._pieces or ()))

    def commit_record(self, change: Change, record: bytes, guard: Guard | None) -> None:
        """As `commit`, of a record that came from another engine."""
        self._lay(read_data(decode_record(record), change), guard)

    def _lay(self, info: ObjectInfo, guard: Guard | None) -> None:
        content = b"".join(self._pieces or ())
        self.close()
        self._store.lay(self._location, Change(info.timestamp, DATA), Data(info, content), guard)

    def close(self) -> None:
        self._pieces = None

    def __enter__(self) -> MemoryWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Data(NamedTuple):
    """The content and metadata of a PUT."""

    info: ObjectInfo
    content: bytes


Kept = Data | MetaRecord | str  # of data, of a POST, of a tombstone: its name


class MemoryStore(UnpackedStore):
    """Objects of one policy in a dictionary; for one process. A `store.interface.ReplicaStore`."""

    def __init__(self) -> None:
        self._changes: dict[str, dict[Change, Kept]] = {}  # by name hash: whatever the partition, it is the same name
        self._partitions: dict[str, int] = {}  # by name hash, the one that was last given

    def lay(self, location: Location, change: Change, kept: Kept, guard: Guard | None = None) -> None:
        """Add one change, and drop what is obsolete with it."""
        while guard is not None and change not in self._changes.get(location.hash, {}):
            try:
                self.exclusively(location, guard)
                break
            except NameHeld as held:
                green.sleep(held.seconds)
        at_location = self._changes.setdefault(location.hash, {})
        self._partitions[location.hash] = location.partition
        if at_location.setdefault(change, kept) != kept:
            raise Conflict(f"{location.hash}/{change} already holds another change", change.timestamp)
        for obsolete in decide(at_location).obsolete:
            del at_location[obsolete]

    def _live(self, location: Location) -> tuple[Liveness, dict[Change, Kept]]:
        at_location = self._changes.get(location.hash, {})
        return decide(at_location), at_location

    def _find(self, location: Location) -> tuple[ObjectInfo, MetaRecord | None, bytes]:
        live, kept = self._live(location)
        if live.data is None:
            raise NotFound(location.hash, live.tombstone.timestamp if live.tombstone else None)
        found = kept[live.data]
        assert isinstance(found, Data)
        metas = [kept[change] for change in (live.meta, live.content_type) if change is not None]
        records = [record for record in metas if isinstance(record, MetaRecord)]
        meta = fold(records[0], records[-1], live.data.timestamp) if records else None
        return found.info, meta, found.content

    def open(self, location: Location) -> MemoryReader:
        info, meta, content = self._find(location)
        return MemoryReader(lay_over(info, meta), content)

    def info(self, location: Location) -> ObjectInfo:
        return self.open(location).info

    def create(self, location: Location, size: int | None, hashing: bool = True) -> MemoryWriter:
        return MemoryWriter(self, location, hashing)

    def _live_info(self, location: Location) -> ObjectInfo | None:
        try:
            return self.info(location)
        except NotFound:
            return None

    def exclusively(self, location: Location, call: Callable[[Timestamp, Look], Result]) -> Result:
        return call(newest_of(self._changes.get(location.hash, {})), lambda: self._live_info(location))

    def post(self, location: Location, change: ObjectMetadata, guard: Guard | None = None, ahead: bool = False) -> None:
        own = record = meta_record(change)
        try:
            info, meta, _ = self._find(location)
            record = fold(meta, own, info.data_timestamp) or own
        except NotFound:
            if not ahead:
                raise
        self.lay(location, record.change, record, guard)

    def delete(
        self,
        location: Location,
        name: str,
        timestamp: Timestamp,
        guard: Guard | None = None,
        sequel: Sequel | None = None,
    ) -> None:
        self.lay(location, Change(timestamp, TOMBSTONE), name, guard)

    # What replicators and auditors ask

    def partitions(self) -> list[int]:
        return sorted({self._partitions[name_hash] for name_hash in self._changes})

    def partition_hash(self, partition: int) -> str:
        return of_partition(self._summaries(partition)).hash

    def kept_hashes(self, partitions: Iterable[int]) -> dict[int, str]:
        hashes = {partition: self.partition_hash(partition) for partition in partitions}
        return {partition: found for partition, found in hashes.items() if found}

    def suffix_hashes(self, partition: int) -> dict[str, str]:
        return {suffix: summary.hash for suffix, summary in self._summaries(partition).items()}

    def _summaries(self, partition: int) -> dict[str, SuffixSummary]:
        suffixes = {name_hash[-3:] for name_hash in self._changes if self._partitions[name_hash] == partition}
        return {suffix: of_suffix(self.changes(partition, suffix)) for suffix in suffixes}

    def changes(self, partition: int, suffix: str) -> dict[str, tuple[Change, ...]]:
        return {
            name_hash: tuple(sorted(kept))
            for name_hash, kept in self._changes.items()
            if self._partitions[name_hash] == partition and name_hash[-3:] == suffix
        }

    def missing(self, partition: int, offered: Mapping[str, Sequence[Change]]) -> dict[str, tuple[Change, ...]]:
        if not all(map(is_hash, offered)):
            raise InvalidInput("changes of an invalid hash are offered")
        lacking = {}
        for name_hash, changes in offered.items():
            own = self._changes.get(name_hash, {}).keys()
            lacking[name_hash] = tuple(sorted(set(counting(own | set(changes))) - own))
        return {name_hash: changes for name_hash, changes in lacking.items() if changes}

    def read_change(self, location: Location, change: Change) -> StreamReader:
        kept = self._changes.get(location.hash, {}).get(change)
        if kept is None:
            raise NotFound(f"{location.hash}/{change}")
        data = MemoryReader(*kept) if isinstance(kept, Data) else None
        return StreamReader(encode_record(_fields(change, kept)), data)

    def write_change(self, location: Location, change: Change, length: int, guard: Guard | None = None) -> StreamWriter:
        def lay(record: bytes) -> None:
            fields = decode_record(record)
            kept = fields["name"] if change.kind == TOMBSTONE else read_meta(fields, change)
            self.lay(location, change, kept, guard)

        return StreamWriter(change, length, lambda size: self.create(location, size, hashing=False), lay, guard)

    def forget(self, location: Location, changes: Iterable[Change]) -> None:
        at_location = self._changes.get(location.hash, {})
        for change in set(changes).intersection(at_location):
            del at_location[change]
        if not at_location:
            self._changes.pop(location.hash, None)

    def reclaim(self, partition: int, before: Timestamp) -> int:
        count = 0
        for name_hash, kept in list(self._changes.items()):
            if self._partitions[name_hash] == partition:
                old = [change for change in reclaimable(kept) if change.timestamp < before]
                self.forget(Location(partition, name_hash), old)
                count += len(old)
        return count

    def verify(
        self, location: Location, read: Callable[[int], object], content: bool = True, hashed_since: float = 0.0
    ) -> int:
        if location.hash not in self._changes:
            raise NotFound(location.hash)
        sizes = [kept.info.size for kept in self._changes[location.hash].values() if isinstance(kept, Data) and content]
        for size in sizes:
            read(size)
        return sum(sizes)


def _fields(change: Change, kept: Kept) -> Fields:
    """The fields of a record, as `records` has them."""
    if isinstance(kept, str):
        return tombstone_fields(kept, change.timestamp)
    if isinstance(kept, MetaRecord):
        return meta_fields(kept)
    info = kept.info
    data = ObjectData(info.name, info.timestamp, info.content_type, info.metadata)
    return data_fields(data, info.size, info.etag)
