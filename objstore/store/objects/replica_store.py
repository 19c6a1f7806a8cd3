"""The file engine with the additional operations of replicators and auditors."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar, TypeVarTuple

from objstore.core.errors import Corrupt, InvalidInput, NotFound, Unreadable
from objstore.core.names import Location, is_hash
from objstore.core.timestamps import Timestamp
from objstore.runtime.threads import ThreadPool
from objstore.store.change import DATA, Change
from objstore.store.disk_errors import UNREADABLE, translate
from objstore.store.interface import (
    GONE,
    QUARANTINED,
    READABLE,
    UNCLEAR,
    Guard,
    Quarantined,
    QuarantineNote,
)
from objstore.store.objects.change_stream import StreamReader, StreamWriter
from objstore.store.objects.file_store import FileStore
from objstore.store.objects.format import Unsound, decode_record
from objstore.store.objects.hashes import Hasher, list_dir
from objstore.store.objects.jobs import Job
from objstore.store.objects.layout import ancestors, changes_among, file_path
from objstore.store.objects.liveness import counting
from objstore.store.objects.lookup import OpenChange, open_change
from objstore.store.objects.reader import FileReader
from objstore.store.objects.records import read_data
from objstore.store.objects.restore import all_quarantined, remove, sound_changes
from objstore.store.objects.unpacked import UnpackedStore
from objstore.store.objects.unreadable import all_notes, forget_note, others_read_well
from objstore.store.objects.upkeep import Upkeep, forget, reclaim
from objstore.store.objects.verify import Check

_GIVE_UP = 20  # times the patience with a device that does not answer: nobody waits here who holds anything up
_SETTLED = 120.0  # seconds after which what was linked is durable, or was lost with its power long ago
_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")


class FileReplicaStore(UnpackedStore, FileStore):
    """A `store.interface.MendingStore`.

    background: threads for its additional operations, so that clients' calls do not wait for them; other arguments as
    FileStore's.
    """

    def __init__(self, *args: Any, background: ThreadPool | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._background = background or ThreadPool(
            f"background:{self.root}",
            self.settings.background_threads_per_disk,
            _GIVE_UP * self.settings.patience,
            lets_go=True,
        )
        self._hasher = Hasher(self._files, self.layout, self._ordered)
        self._upkeep = Upkeep(self._files, self.layout, self._known_dirs, self._ordered)
        self._background_tools = self._tools._replace(pool=self._background)
        self._background_disk = self._disk._replace(pool=self._background, timeout=0.0)

    # What is here

    def partitions(self) -> list[int]:
        return self._run(super().partitions)

    def partition_hash(self, partition: int) -> str:
        return self._run(self._hasher.partition, partition).hash

    def kept_hashes(self, partitions: Iterable[int]) -> dict[int, str]:
        return self._run(self._hasher.kept, tuple(partitions))

    def suffix_hashes(self, partition: int) -> dict[str, str]:
        return {suffix: summary.hash for suffix, summary in self._run(self._hasher.suffixes, partition).items()}

    def changes(self, partition: int, suffix: str) -> dict[str, tuple[Change, ...]]:
        return self._run(self._hasher.changes, partition, suffix)

    def missing(self, partition: int, offered: Mapping[str, Sequence[Change]]) -> dict[str, tuple[Change, ...]]:
        if not all(map(is_hash, offered)):
            raise InvalidInput("changes of an invalid hash are offered")
        return self._run(self._missing, partition, offered)

    def _missing(self, partition: int, offered: Mapping[str, Sequence[Change]]) -> dict[str, tuple[Change, ...]]:
        found = {}
        for name_hash, changes in offered.items():
            directory = self.layout.hash_dir(Location(partition, name_hash))
            own = self._durable(directory)
            lacking = set(counting(own.union(changes))) - own
            if lacking:
                found[name_hash] = tuple(sorted(lacking))
        return found

    def _durable(self, directory: str) -> set[Change]:
        """The files of a hash directory, made durable where they may have been linked a moment ago.

        A peer may remove its copies once it hears of ours.
        """
        changes = set(changes_among(list_dir(self._files, directory)))
        try:
            if changes and self._files.modified(directory) > time.time() - _SETTLED:
                self._files.fsync_dir(directory)
                for above in () if self._ordered() else islice(ancestors(directory), 3):
                    self._files.fsync_dir(above)
        except FileNotFoundError:  # removed meanwhile
            return set()
        return changes

    def remove_stale_temporaries(self, now: float) -> int:
        return self._run(super().remove_stale_temporaries, now)

    # Changes as bytes

    def read_change(self, location: Location, change: Change) -> StreamReader:
        path = file_path(self.layout.hash_dir(location), change)
        with self._judging(location, change):
            opened = self._background.run(self._on_device, open_change, (self._files, path, change))
        return self._stream(
            opened,
            change,
            lambda why: self._quarantine(location, change, why),
            lambda: self._note_unreadable(location, change),
        )

    def _stream(
        self,
        opened: OpenChange,
        change: Change,
        quarantine: Callable[[str], None],
        note: Callable[[], None] = lambda: None,
    ) -> StreamReader:
        if opened.file is None:
            return StreamReader(opened.record, None)
        info = read_data(decode_record(opened.record), change)
        data = FileReader(self._background_disk, opened.file, info, opened.spilled, quarantine, note)
        return StreamReader(opened.record, data)

    def write_change(self, location: Location, change: Change, length: int, guard: Guard | None = None) -> StreamWriter:
        if change.kind == DATA:  # the reserve is there so that a full device can be emptied
            self._space.check(length)
        return StreamWriter(
            change,
            length,
            lambda size: self._make_file(location, size, False, self._background_tools),
            lambda record: self._lay(location, change, record, guard),
            guard,
        )

    # Upkeep

    def forget(self, location: Location, changes: Iterable[Change]) -> None:
        self._run(forget, self._upkeep, self.layout.hash_dir(location), tuple(changes))

    def reclaim(self, partition: int, before: Timestamp) -> int:
        return self._run(reclaim, self._upkeep, self._hasher, partition, before)

    def verify(
        self, location: Location, read: Callable[[int], object], content: bool = True, hashed_since: float = 0.0
    ) -> int:
        count, seen = 0, 0
        for change in self._run(self._changes_to_verify, location):
            try:
                count += self._verify_change(location, change, read, content, hashed_since)
            except NotFound:  # replaced since the listing
                continue
            seen += 1
        if not seen:
            raise NotFound(location.hash)
        return count

    def _changes_to_verify(self, location: Location) -> list[Change]:
        return changes_among(list_dir(self._files, self.layout.hash_dir(location)))

    def _verify_change(
        self, location: Location, change: Change, read: Callable[[int], object], content: bool, hashed_since: float
    ) -> int:
        with self._judging(location, change):
            args = (self._files, file_path(self.layout.hash_dir(location), change), change)
            check = self._background.run(self._on_device, Check, args)
        if change.kind == DATA and content:
            return self._verify_content(location, change, check, read, hashed_since)
        check.close()
        return 0

    def _verify_content(
        self, location: Location, change: Change, check: Check, read: Callable[[int], object], hashed_since: float
    ) -> int:
        job: Job | None = None
        try:
            check.begin_content(hashed_since)
            for step in _steps(check, read):
                job = Job(self._background, self._on_device, step, ())
                with self._judging(location, change):
                    job.wait()
            return check.size
        finally:
            check.close() if job is None else job.at_end(check.close)

    # What was found bad

    def unreadable(self) -> list[QuarantineNote]:
        """Return the files that the device failed to read recently."""
        return self._run(all_notes, self._files, self.layout)

    def look_again(self, noted: QuarantineNote, read: Callable[[int], object]) -> str:
        """Read a noted file again: READABLE, GONE, QUARANTINED, or UNCLEAR if other files cannot be read either.

        read: see `verify`.
        """
        location, change = noted.location, noted.change
        verdict = READABLE
        try:
            self._verify_change(location, change, read, True, float("inf"))
        except NotFound:
            verdict = GONE
        except Corrupt:
            verdict = QUARANTINED
        except Unreadable as error:
            if not self._run(others_read_well, self._files, self.layout, location):
                return UNCLEAR
            self._quarantine(location, change, f"cannot be read, twice within {time.time() - noted.at:.0f} s: {error}")
            verdict = QUARANTINED
        self._run(forget_note, self._files, self.layout, location, change)
        return verdict

    def quarantined(self) -> list[Quarantined]:
        """All that lies in quarantine."""
        return self._run(all_quarantined, self._files, self.layout)

    def restore(self, quarantined: Quarantined, partition: int) -> bool:
        """Put sound files back in place; False if they are not. partition: of the name now."""
        location = Location(partition, quarantined.hash, self.layout.policy)
        changes = self._run(sound_changes, self._files, quarantined.path)
        for change in changes:
            self._copy_back(file_path(quarantined.path, change), location, change)
        if changes:
            self._run(remove, self._files, quarantined.path)
        return bool(changes)

    def _copy_back(self, path: str, location: Location, change: Change) -> None:
        """By a durable write of its own; one that is older than what is in place changes nothing."""
        opened = self._run(open_change, self._files, path, change)
        with (
            self._stream(opened, change, lambda _: None) as reader,
            self.write_change(location, change, reader.length) as writer,
        ):
            for piece in reader:
                writer.write(piece)
            writer.commit()

    # Steps

    def _run(self, function: Callable[[*_Arguments], _Result], *args: *_Arguments) -> _Result:
        """Run in a background thread; raises if the device is missing."""
        try:
            return self._background.run(self._on_device, function, args)
        except OSError as error:
            raise translate(error, self.root) from error

    def _on_device(self, function: Callable[[*_Arguments], _Result], args: tuple[*_Arguments]) -> _Result:
        """A device that went away, before or meanwhile, looks like one that is empty."""
        try:
            return function(*args)
        finally:
            if not self._files.is_dir(self.root):
                raise FileNotFoundError(errno.ENOENT, "is not a directory", self.root)

    @contextlib.contextmanager
    def _judging(self, location: Location, change: Change) -> Iterator[None]:
        """Around what reads a file: a bad one is quarantined. Raises NotFound, Corrupt, Unreadable."""
        try:
            yield
        except FileNotFoundError as error:
            if error.filename == self.root:
                raise translate(error, self.root) from error
            raise NotFound(f"{location.hash}/{change}") from None
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise translate(error, self.root) from error
            self._note_unreadable(location, change)
            raise Unreadable(f"{self.root}: {location.hash}/{change}: {error}") from error
        except Unsound as error:
            self._quarantine(location, change, str(error))
            raise Corrupt(f"{location.hash}/{change}: {error}") from error


def _steps(check: Check, read: Callable[[int], object]) -> Iterator[Callable[[], None]]:
    while check.next_size:
        read(check.next_size)
        yield check.step
    yield check.end_content
