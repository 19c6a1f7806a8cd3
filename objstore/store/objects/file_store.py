"""The engine that keeps each object as a file of its own."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple

from objstore.core.errors import Corrupt, DeviceUnavailable, NoSpace, NotFound, Unreadable
from objstore.core.names import Location, is_hash, is_suffix
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES, Files
from objstore.runtime.number_locks import NumberLocks
from objstore.runtime.settings import boolean, positive, setting, size
from objstore.runtime.threads import Batcher, ThreadPool
from objstore.store import ballast
from objstore.store.change import TOMBSTONE, Change
from objstore.store.disk_errors import translate
from objstore.store.interface import Guard, Look, ObjectInfo, ObjectMetadata, Result, Sequel
from objstore.store.objects.commit import Arrival, Committer, KnownDirs, Runs, followed, submit
from objstore.store.objects.content_flow import DirectWrites
from objstore.store.objects.format import encode_record
from objstore.store.objects.hashes import Marks
from objstore.store.objects.layout import Layout, changes_among, is_partition, lock_number_of
from objstore.store.objects.liveness import Liveness, newest_of
from objstore.store.objects.lookup import BadFile, LiveObject, UnreadableFile, live_info
from objstore.store.objects.quarantine import quarantine
from objstore.store.objects.reader import Buffers, Disk, FileReader
from objstore.store.objects.recent import Looked, Recent, look
from objstore.store.objects.records import (
    fold,
    meta_fields,
    meta_record,
    tombstone_fields,
)
from objstore.store.objects.relink import catch_up
from objstore.store.objects.space import Reserve, SpaceGuard
from objstore.store.objects.unreadable import note
from objstore.store.objects.writer import SMALL, FileWriter, Tools

_NOTE_AGAIN = 60.0  # seconds after which a file that is still unreadable is noted again, if its note is gone
_NOTES = 1000
_Arguments = TypeVarTuple("_Arguments")
_Found = TypeVar("_Found")
TEMPORARY_AGE = 86400.0  # seconds after which a file in tmp/ has no writer any more


def _volume_size(text: str) -> int:
    found: int = size(text)
    if not 1 << 20 <= found <= 1 << 31:
        raise ValueError("is not from 1M to 2G")
    return found


@dataclass(frozen=True)
class FileSettings:
    """Settings of the files of a device.

    patience: seconds, see `runtime.threads`. timeout: seconds that a read waits for one call; 0: forever.
    """

    fallocate_reserve: Reserve = setting(Reserve.parse, "1%", "free space reserved on a device: bytes or percent")
    ballast: int = setting(size, "4M", "space set aside on a device for deletions when it is full; 0: none")
    threads_per_disk: int = setting(positive, "4", "number of threads per device")
    recent_lookups: int = setting(
        int, "2048", "number of objects per device whose metadata each process caches; 0: none"
    )
    background_threads_per_disk: int = setting(positive, "2", "number of threads per device for replication and audits")
    direct_writes: bool = setting(
        boolean, "true", "write large objects past the page cache, if the file system allows it"
    )
    unwritten_limit: int = setting(
        size, "16M", "bytes of a large object that may wait in the page cache to be written, without direct_writes"
    )
    packed_volume_size: int = setting(
        _volume_size, "1G", "size of a volume of packed objects, which is compacted as a whole; 1M to 2G"
    )
    patience: float = 0.0
    timeout: float = 0.0


DEFAULT_SETTINGS = FileSettings(ballast=0)


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
        settings: FileSettings = DEFAULT_SETTINGS,
        batching: Callable[..., Runs] = Batcher,
        pool: ThreadPool | None = None,
        on_quarantine: Callable[[Location, str], None] | None = None,
    ) -> None:
        self.layout = Layout(root, policy)
        self.root = self.layout.root
        self.settings = settings
        self._files = files
        self._known_dirs = KnownDirs(files)
        self._on_quarantine = on_quarantine
        self._ordered = functools.cache(lambda: files.orders_names(self.root))
        committer = Committer(files, self.layout, self._known_dirs, self._ordered)
        pool = pool or ThreadPool(f"disk:{self.root}", settings.threads_per_disk, settings.patience)
        commits = batching(f"commit:{self.root}", followed(committer.run), patience=settings.patience)
        direct = DirectWrites(settings.direct_writes)
        self._tools = Tools(files, pool, committer, commits, self.root, direct, settings.unwritten_limit)
        self._disk = Disk(files, pool, Buffers(), settings.timeout)
        self._recent = Recent(files, settings.recent_lookups)
        self._note_times: dict[tuple[Location, Change], float] = {}  # when last, by the monotonic clock
        self._space = SpaceGuard(files, self.root, settings.fallocate_reserve)

    # The contract

    def create(self, location: Location, size: int | None, hashing: bool = True) -> FileWriter:
        self._require_space(size or 0)
        self._catch_up(location)
        return self._make_file(location, size, hashing, self._tools)

    def _make_file(self, location: Location, size: int | None, hashing: bool, tools: Tools) -> FileWriter:
        room = self._space.room(size) if size and size > SMALL else None
        directory, twin = self.layout.hash_dir(location), self.layout.twin_dir(location)
        return FileWriter(tools, directory, size, hashing, twin, room)

    def _require_space(self, size: int) -> None:
        """Raises NoSpace if an object of this size would use reserved space."""
        if self._space.check(size, self.settings.ballast) and ballast.is_missing(self._files, self.root):
            self._tools.pool.run(ballast.keep, self._files, self.root, self.settings.ballast)

    def open(self, location: Location) -> FileReader:
        return self._reader(location, self._find(location))

    def _reader(self, location: Location, found: LiveObject) -> FileReader:
        change = found.change
        return FileReader(
            self._disk,
            found.file,
            found.info,
            found.spilled,
            lambda why: self._quarantine(location, change, why),
            lambda: self._note_unreadable(location, change),
        )

    def info(self, location: Location) -> ObjectInfo:
        found = self._find(location)
        found.close()
        return found.info

    def post(self, location: Location, change: ObjectMetadata, guard: Guard | None = None, ahead: bool = False) -> None:
        own = record = meta_record(change)
        try:
            found = self._find(location)
            found.close()
            # A change older than the data is laid all the same: it is obsolete at once, but by
            # the time it is answered, what made it so is durable.
            record = fold(found.meta, own, found.change.timestamp) or own
        except NotFound:
            if not ahead:
                raise
        self._lay(location, record.change, encode_record(meta_fields(record)), guard)

    def delete(
        self,
        location: Location,
        name: str,
        timestamp: Timestamp,
        guard: Guard | None = None,
        sequel: Sequel | None = None,
    ) -> None:
        self._catch_up(location)
        record = encode_record(tombstone_fields(name, timestamp))
        try:
            self._lay(location, Change(timestamp, TOMBSTONE), record, guard, sequel)
        except NoSpace:
            if not self._release_ballast():
                raise
            self._lay(location, Change(timestamp, TOMBSTONE), record, guard, sequel)

    def exclusively(self, location: Location, call: Callable[[Timestamp, Look], Result]) -> Result:
        self._catch_up(location)
        try:
            return self._tools.pool.run(self._exclusively, location, call)
        except OSError as error:
            raise translate(error, self.root) from error

    def _exclusively(self, location: Location, call: Callable[[Timestamp, Look], Result]) -> Result:
        with self._locked(location):
            directory = self.layout.hash_dir(location)
            changes = changes_among(self._entries(directory))
            return call(newest_of(changes), lambda: live_info(self._files, directory, changes))

    @contextlib.contextmanager
    def _locked(self, location: Location) -> Iterator[None]:
        """With the name locked; in a thread. Raises OSError."""
        locks = NumberLocks(self.layout.locks)  # others of this process too must be kept out
        locks.acquire(lock_number_of(location.hash))
        try:
            yield
        finally:
            locks.close()

    def release(self) -> None:
        """Close what is kept open for later calls. Does not wait."""
        self._tools.commits.aside(self._tools.committer.release)

    # For daemons

    def partitions(self) -> list[int]:
        """Partitions that have a directory, in order."""
        return sorted(int(name) for name in self._entries(self.layout.objects) if is_partition(name))

    def suffixes(self, partition: int) -> Iterator[str]:
        yield from filter(is_suffix, self._entries(self.layout.partition_dir(partition)))

    def locations(self, partition: int, suffix: str) -> Iterator[Location]:
        """The hash directories of a suffix; whether anything lives there, `open` says."""
        for name in self._entries(self.layout.suffix_dir(partition, suffix)):
            if is_hash(name):
                yield Location(partition, name, self.layout.policy)

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
        except (FileNotFoundError, NotADirectoryError):
            self._require_root()
            return []
        except OSError as error:
            raise translate(error, self.root) from error

    def _catch_up(self, location: Location) -> None:
        """While the number of partitions is changed: have here what only the other partition has."""
        if location.twin is not None:
            try:
                self._tools.pool.run(catch_up, self._files, self.layout, location)
            except OSError as error:
                raise translate(error, self.root) from error

    def _find(self, location: Location) -> LiveObject:
        """The live object; from memory, else in a thread: a device that hangs must not hold up the others."""
        self._catch_up(location)
        directory = self.layout.hash_dir(location)
        recent = self._recent.find(directory)
        if recent is not None:
            return recent
        looked: Looked = self._looking(location, look, self._files, directory)
        if isinstance(looked.found, LiveObject):
            self._recent.keep(directory, looked)
            return looked.found
        raise self._missing_error(location, looked.found)

    def _looking(self, location: Location, function: Callable[[*_Arguments], _Found], *args: *_Arguments) -> _Found:
        """Look a name up in a thread; a bad change is quarantined. Raises Corrupt, Unreadable, DeviceUnavailable."""
        try:
            return self._tools.pool.run_within(self.settings.timeout, function, *args)
        except BadFile as error:
            self._quarantine(location, error.change, str(error))
            raise Corrupt(f"{location.hash}/{error}") from error
        except UnreadableFile as error:
            self._note_unreadable(location, error.change)
            raise Unreadable(f"{self.root}: {location.hash}: {error}") from error
        except OSError as error:
            raise translate(error, self.root) from error

    def _missing_error(self, location: Location, live: Liveness) -> NotFound:
        """The error for a name without data. Raises DeviceUnavailable if the device is missing."""
        if live.tombstone is not None:
            return NotFound(location.hash, live.tombstone.timestamp)
        self._require_root()
        return NotFound(location.hash)

    def _require_root(self) -> None:
        """Raises DeviceUnavailable: a device that went away looks like one that is empty."""
        try:
            if not self._files.is_dir(self.root):
                raise DeviceUnavailable(f"{self.root} is not a directory")
        except OSError as error:
            raise translate(error, self.root) from error

    def _lay(
        self, location: Location, change: Change, record: bytes, guard: Guard | None, sequel: Sequel | None = None
    ) -> None:
        directory, twin = self.layout.hash_dir(location), self.layout.twin_dir(location)
        arrival = Arrival(directory, change, (record,), record, guard=guard, twin=twin, sequel=sequel)
        submit(self._tools.commits, arrival)

    def _release_ballast(self) -> bool:
        try:
            return self._tools.pool.run(ballast.release, self._files, self.root)
        except OSError as error:
            raise translate(error, self.root) from error

    def _note_unreadable(self, location: Location, change: Change) -> None:
        """For a second look; without waiting, as the device may hang."""
        now = time.monotonic()
        if now - self._note_times.get((location, change), -_NOTE_AGAIN) < _NOTE_AGAIN:
            return
        if len(self._note_times) >= _NOTES:
            self._note_times.clear()
        self._note_times[location, change] = now
        self._tools.pool.later(note, self._files, self.layout, location, change)

    def _quarantine(self, location: Location, change: Change, why: str) -> None:
        try:
            taken = self._tools.pool.run(self._take_away, location, change)
        except OSError as error:
            raise DeviceUnavailable(f"{self.root}: cannot quarantine {location.hash}/{change}: {error}") from error
        if taken and self._on_quarantine is not None:
            self._on_quarantine(location, why)

    def _take_away(self, location: Location, change: Change) -> bool:
        """Take a bad change, and what it hides, out of the way; False if it was gone. In a thread; raises OSError."""
        return self._move_files(location, change)

    def _move_files(self, location: Location, bad: Change, target: str = "") -> bool:
        """Move a bad file, and what it hides, to the quarantine; return whether anything lies there now.

        target: as of `quarantine`. In a thread; raises OSError.
        """
        marks = Marks(self._files, self.layout, self._ordered)
        try:
            places = [
                quarantine(self._files, self.layout, self._known_dirs, marks, place, bad, target)
                for place in location.both
            ]
            return any(places)
        finally:
            marks.close()
