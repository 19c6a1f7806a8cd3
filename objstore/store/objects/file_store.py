"""The engine that keeps each object as a file of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from objstore.core.errors import Corrupt, DeviceUnavailable, NotFound
from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.runtime import settings
from objstore.runtime.files import FILES, Files, OpenFile
from objstore.runtime.threads import Batcher, ThreadPool
from objstore.store.interface import ObjectInfo, ObjectMetadata
from objstore.store.objects.commit import Arrival, Committer, KnownDirs
from objstore.store.objects.disk_errors import UNREADABLE, translate
from objstore.store.objects.file_io import read_spilled, read_whole
from objstore.store.objects.format import (
    ATTRIBUTE,
    decode_record,
    encode_record,
)
from objstore.store.objects.layout import FileName, Layout, is_hash, is_partition, is_suffix
from objstore.store.objects.liveness import Liveness, decide, parse_names
from objstore.store.objects.quarantine import quarantine
from objstore.store.objects.reader import Buffers, Disk, FileReader
from objstore.store.objects.records import (
    MetaRecord,
    fold,
    lay_over,
    meta_fields,
    meta_record,
    read_data,
    read_meta,
    tombstone_fields,
    tombstone_name,
)
from objstore.store.objects.space import Reserve, SpaceGuard
from objstore.store.objects.writer import FileWriter, Runs, Tools

_Result = TypeVar("_Result")
_RETRIES = 20  # of an open whose file is replaced between the listing and the opening
TEMPORARY_AGE = 86400.0  # seconds after which a file in tmp/ has no writer any more


class FileStoreSettings(NamedTuple):
    """reserve: free space to be left. threads: for reads and writes that wait for this device."""

    reserve: Reserve = Reserve(percent=1.0)
    threads: int = 4


DEFAULT_SETTINGS = FileStoreSettings()

SETTINGS: settings.Table = (
    settings.Setting("fallocate_reserve", Reserve.parse, "1%", "free space to leave on a device: bytes or percent"),
    settings.Setting("threads_per_disk", settings.positive, "4", "threads that wait for one device"),
)


def settings_of(values: Any) -> FileStoreSettings:
    """From what `runtime.settings.read` makes of SETTINGS."""
    return FileStoreSettings(values.fallocate_reserve, values.threads_per_disk)


class FileStore:
    """Objects of one policy as files on one device.

    root: the device's directory, which must exist. batching: how commits are queued.
    pool: threads that wait for the device, where policies share them.
    on_quarantine: told the location and why, after a bad file was put away.
    """

    def __init__(
        self,
        root: str,
        policy: int = 0,
        files: Files = FILES,
        settings: FileStoreSettings = DEFAULT_SETTINGS,
        batching: Callable[[str, Callable[..., Any]], Runs] = Batcher,
        pool: ThreadPool | None = None,
        on_quarantine: Callable[[Location, str], None] | None = None,
    ) -> None:
        self.layout = Layout(root, policy)
        self.root = self.layout.root
        self._files = files
        self._known = KnownDirs(files)
        self._on_quarantine = on_quarantine
        committer = Committer(files, self.layout, self._known)
        pool = pool or ThreadPool(f"disk:{self.root}", settings.threads)
        commits = batching(f"commit:{self.root}", committer.run)
        self._tools = Tools(files, pool, committer, commits, self.root)
        self._disk = Disk(files, pool, Buffers())
        self._space = SpaceGuard(files, self.root, settings.reserve)

    # The contract

    def create(self, location: Location, size: int | None, hashing: bool = True) -> FileWriter:
        self._space.check(size or 0)
        return FileWriter(self._tools, self.layout.hash_dir(location), size, hashing)

    def open(self, location: Location) -> FileReader:
        return self._settled(location, self._open)

    def info(self, location: Location) -> ObjectInfo:
        with self.open(location) as reader:
            return reader.info

    def post(self, location: Location, change: ObjectMetadata) -> None:
        since, before = self._settled(location, self._data_and_metas)
        own = meta_record(change)
        # A change older than the data is laid all the same: it is obsolete at once, but by
        # the time it is answered, what made it so is durable.
        record = fold(before, own, since) or own
        self._lay(self.layout.hash_dir(location), record.file_name, encode_record(meta_fields(record)))

    def delete(self, location: Location, name: str, timestamp: Timestamp) -> None:
        record = encode_record(tombstone_fields(name, timestamp))
        self._lay(self.layout.hash_dir(location), tombstone_name(timestamp), record)

    # For daemons

    def partitions(self) -> Iterator[int]:
        """Partitions that have a directory, in no order."""
        yield from (int(name) for name in self._entries(self.layout.objects) if is_partition(name))

    def suffixes(self, partition: int) -> Iterator[str]:
        yield from filter(is_suffix, self._entries(self.layout.partition_dir(partition)))

    def locations(self, partition: int, suffix: str) -> Iterator[Location]:
        """The hash directories of a suffix; whether anything lives there is for `files` or `open` to say."""
        for name in self._entries(self.layout.suffix_dir(partition, suffix)):
            if is_hash(name):
                yield Location(partition, name, self.layout.policy)

    def file_names(self, location: Location) -> list[FileName]:
        """The object files at a location, in no order; none where there is no directory."""
        return parse_names(self._entries(self.layout.hash_dir(location)))

    def remove_stale_temporaries(self, now: float) -> int:
        """Unlink what crashed writers left in tmp/; now: seconds since the epoch; how many there were."""
        count = 0
        for name in self._entries(self.layout.temporary):
            path = f"{self.layout.temporary}/{name}"
            with contextlib.suppress(OSError):
                if self._files.modified(path) < now - TEMPORARY_AGE:
                    self._files.unlink(path)
                    count += 1
        return count

    # Steps

    def _entries(self, path: str) -> list[str]:
        try:
            return self._files.list(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            if not self._files.is_dir(self.root):
                raise DeviceUnavailable(f"{self.root} is no directory") from error
            return []
        except OSError as error:
            raise translate(error, self.root) from error

    def _settled(self, location: Location, call: Callable[[Location, Liveness], _Result]) -> _Result:
        """What `call` makes of a live object; again, where a file was replaced since the listing."""
        directory = self.layout.hash_dir(location)
        for _ in range(_RETRIES):
            live = decide(parse_names(self._entries(directory)))
            if live.data is None:
                raise NotFound(location.hash, live.tombstone.timestamp if live.tombstone else None)
            try:
                return call(location, live)
            except FileNotFoundError:
                continue
        raise DeviceUnavailable(f"{directory} changes faster than it can be read")

    def _open(self, location: Location, live: Liveness) -> FileReader:
        name = live.data
        assert name is not None
        with self._judging(location, name):
            file = self._files.open(f"{self.layout.hash_dir(location)}/{name}")
        try:
            with self._judging(location, name):
                record, spilled = self._record(file)
                info = read_data(decode_record(record), name)
            if live.meta is not None or live.content_type is not None:
                info = lay_over(info, self._metas(location, live))
        except BaseException:
            file.close()
            raise
        return FileReader(self._disk, file, info, spilled, lambda why: self._quarantine(location, name, why))

    def _data_and_metas(self, location: Location, live: Liveness) -> tuple[Timestamp, MetaRecord | None]:
        assert live.data is not None
        return live.data.timestamp, self._metas(location, live)

    def _metas(self, location: Location, live: Liveness) -> MetaRecord | None:
        """What the .meta files that count say together."""
        assert live.data is not None
        records = []
        for name in {live.meta, live.content_type} - {None}:
            assert name is not None
            with self._judging(location, name):
                file = self._files.open(f"{self.layout.hash_dir(location)}/{name}")
                try:
                    records.append(read_meta(decode_record(read_whole(self._files, file)), name))
                finally:
                    file.close()
        return fold(records[0], records[-1], live.data.timestamp) if records else None

    def _record(self, file: OpenFile) -> tuple[bytes, int]:
        """The record of a .data file, and how many bytes of it are in the trailer."""
        record = self._files.attribute(file.fd, ATTRIBUTE)
        if record is not None:
            return record, 0
        record = self._tools.pool.run(read_spilled, self._files, file)
        return record, len(record)

    def _lay(self, directory: str, name: FileName, record: bytes) -> None:
        self._tools.commits.run(Arrival(directory, str(name), (record,)))

    @contextlib.contextmanager
    def _judging(self, location: Location, name: FileName) -> Iterator[None]:
        """Quarantines where a file turns out bad; where the device does, says so."""
        try:
            yield
        except FileNotFoundError:
            raise
        except (ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in UNREADABLE:
                raise translate(error, self.root) from error
            self._quarantine(location, name, str(error))
            raise Corrupt(f"{location.hash}/{name}: {error}") from error

    def _quarantine(self, location: Location, name: FileName, why: str) -> None:
        try:
            self._tools.pool.run(quarantine, self._files, self.layout, self._known, location, name)
        except OSError as error:
            raise DeviceUnavailable(f"{self.root}: cannot quarantine {location.hash}/{name}: {error}") from error
        if self._on_quarantine is not None:
            self._on_quarantine(location, why)
