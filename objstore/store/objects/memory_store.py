"""The engine that keeps objects in this process's memory, for tests and trials.

The same names, judged by the same rules as files on disk, over a dictionary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from objstore.core.errors import Conflict, NameHeld, NotFound
from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.runtime import green
from objstore.runtime.files import Buffer
from objstore.store.interface import Guard, Look, ObjectData, ObjectInfo, ObjectMetadata, Result
from objstore.store.objects.layout import FileName
from objstore.store.objects.liveness import Liveness, decide, newest_of
from objstore.store.objects.records import (
    MetaRecord,
    data_name,
    fold,
    info_of_data,
    lay_over,
    meta_record,
    tombstone_name,
)

PIECE = 1024 * 1024


class MemoryReader:
    """An object as it was when opened."""

    def __init__(self, info: ObjectInfo, content: bytes) -> None:
        self.info = info
        self._content: bytes | None = content

    def read(self, start: int, stop: int) -> Iterator[bytes | memoryview]:
        if self._content is None:
            raise ValueError("the reader is closed")
        view = memoryview(self._content)[max(0, start) : max(0, stop)]
        for first in range(0, len(view), PIECE):
            yield view[first : first + PIECE]

    def close(self) -> None:
        self._content = None

    def __enter__(self) -> MemoryReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
            raise ValueError("a writer that was made without hashing has no etag")
        return hashlib.md5(b"".join(self._pieces or ()), usedforsecurity=False).hexdigest()

    def commit(self, data: ObjectData, guard: Guard | None = None) -> ObjectInfo:
        if self._pieces is None:
            raise ValueError("the writer is closed")
        info = info_of_data(data, self.size, data.etag or self.etag())
        content = b"".join(self._pieces)
        self.close()
        self._store.lay(self._location, data_name(data.timestamp), (info, content), guard)
        return info

    def close(self) -> None:
        self._pieces = None

    def __enter__(self) -> MemoryWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


Kept = tuple[ObjectInfo, bytes] | MetaRecord | None  # of data, of a POST, of a tombstone


class MemoryStore:
    """Objects of one policy in a dictionary; for one process."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[FileName, Kept]] = {}  # by name hash: whatever the partition, it is the same name

    def lay(self, location: Location, name: FileName, kept: Kept, guard: Guard | None = None) -> None:
        """Add one change, and drop what is obsolete with it."""
        at_location = self._kept.setdefault(location.hash, {})
        if name not in at_location:
            while guard is not None:
                try:
                    guard(newest_of(at_location), lambda: self._live_info(location))
                    break
                except NameHeld as held:
                    green.sleep(held.seconds)
            at_location[name] = kept
        elif at_location[name] != kept:
            raise Conflict(f"{location.hash}/{name} is another change", name.timestamp)
        for obsolete in decide(at_location).obsolete:
            del at_location[obsolete]

    def _live(self, location: Location) -> tuple[Liveness, dict[FileName, Kept]]:
        at_location = self._kept.get(location.hash, {})
        return decide(at_location), at_location

    def _find(self, location: Location) -> tuple[ObjectInfo, MetaRecord | None, bytes]:
        live, kept = self._live(location)
        if live.data is None:
            raise NotFound(location.hash, live.tombstone.timestamp if live.tombstone else None)
        found = kept[live.data]
        assert isinstance(found, tuple) and not isinstance(found, MetaRecord)
        metas = [kept[name] for name in (live.meta, live.content_type) if name is not None]
        records = [record for record in metas if isinstance(record, MetaRecord)]
        meta = fold(records[0], records[-1], live.data.timestamp) if records else None
        return found[0], meta, found[1]

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
        return call(newest_of(self._kept.get(location.hash, {})), lambda: self._live_info(location))

    def post(self, location: Location, change: ObjectMetadata, guard: Guard | None = None, ahead: bool = False) -> None:
        own = record = meta_record(change)
        try:
            info, meta, _ = self._find(location)
            record = fold(meta, own, info.data_timestamp) or own
        except NotFound:
            if not ahead:
                raise
        self.lay(location, record.file_name, record, guard)

    def delete(self, location: Location, name: str, timestamp: Timestamp, guard: Guard | None = None) -> None:
        self.lay(location, tombstone_name(timestamp), None, guard)
