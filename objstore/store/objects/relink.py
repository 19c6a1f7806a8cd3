"""Bringing a device's files from partitions of one part power into those of another, while it is in use.

*Relinking* gives every file that counts a second name in the partition that the other part power gives it. *Cleaning
up* does the same with what has no such name yet, and then removes the first. Both may be done by several processes
at once, again, or in part: what is there already is left alone.

Rules:
- A name is removed only once every change that counts in its directory is durable in the other.
- All happens under the lock of the name that writers hold, too. A writer gives new files both names as long as
  the cleaning up has not begun on the device: `Layout.cleanup` says so.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from objstore.core.names import Location, is_hash, is_suffix, partition_of
from objstore.runtime.files import Files
from objstore.runtime.number_locks import NumberLocks
from objstore.store.change import METADATA, Change
from objstore.store.objects.commit import KnownDirs
from objstore.store.objects.hashes import Marks, list_dir, remove_empty
from objstore.store.objects.layout import Layout, ancestors, changes_among, file_path, is_partition, lock_number
from objstore.store.objects.liveness import counting

SETTLE_SECONDS = 1.0  # for writers that looked whether the cleaning up has begun just before it did
_MAX_PASSES = 5
_RETRIES = 10
_SAVE_SECONDS = 1.0


class Step(NamedTuple):
    """right: part power of the partitions that are to hold everything. wrong: part powers of partitions from which
    it is brought there. clean: are the names there removed?"""

    right: int
    wrong: tuple[int, ...]
    clean: bool

    def target(self, partition: int, name_hash: str) -> int | None:
        """Return the partitions for the files of a hash directory: None if its partition is of neither part power."""
        right = partition_of(name_hash, self.right)
        if partition == right or any(partition == partition_of(name_hash, wrong) for wrong in self.wrong):
            return right
        return None


class RelinkCounts(NamedTuple):
    """names: of objects that were looked at. linked, removed: files. strays: names in partitions of neither kind."""

    names: int = 0
    linked: int = 0
    removed: int = 0
    strays: int = 0

    def plus(self, other: RelinkCounts) -> RelinkCounts:
        return RelinkCounts(*(mine + more for mine, more in zip(self, other, strict=True)))


class Relinker:
    """Works on one policy of one device; for one thread. Blocks, and raises OSError.

    take: called before each name, so that the caller sets the pace.
    """

    def __init__(self, files: Files, layout: Layout, step: Step, take: Callable[[], object] = lambda: None) -> None:
        self._files = files
        self._layout = layout
        self._step = step
        self._take = take
        self._known_dirs = KnownDirs(files)
        self._ordered = files.orders_names(layout.root)
        self._locks = NumberLocks(layout.locks)
        self._marks = Marks(files, layout, lambda: self._ordered)
        self._unsynced: dict[str, None] = {}  # directories, in the order in which they were changed
        self._removed = 0
        self._doubtful = False  # may directories above those have been removed and made again meanwhile?

    def begin(self) -> None:
        """Make writers give files two names, or stop them from creating names that will be removed."""
        cleanup = self._layout.cleanup
        if self._step.clean:
            with contextlib.suppress(FileExistsError):
                self._files.mkdir(cleanup)
                self._files.fsync_dir(self._layout.objects)
                time.sleep(SETTLE_SECONDS)
        else:
            with contextlib.suppress(FileNotFoundError):
                self._files.rmdir(cleanup)
                self._files.fsync_dir(self._layout.objects)

    def close(self) -> None:
        self._locks.close()
        self._marks.close()

    def partitions(self) -> list[int]:
        """Greatest first: those that relinking makes are then mostly behind us."""
        return sorted(map(int, filter(is_partition, list_dir(self._files, self._layout.objects))), reverse=True)

    def relink(self, partition: int) -> RelinkCounts:
        """All names of a partition; durable on return."""
        counts = RelinkCounts()
        moving = []
        for name_hash in self._names(partition):
            self._take()
            target = self._step.target(partition, name_hash)
            linked = 0
            if target is not None and target != partition:
                source = Location(partition, name_hash, self._layout.policy)
                destination = source._replace(partition=target)
                moving.append((source, destination))
                linked = self._locked(source, destination, self._carry)
            counts = counts.plus(RelinkCounts(1, linked, 0, target is None))
        self._sync()
        if self._step.clean:
            for source, destination in moving:
                counts = counts.plus(RelinkCounts(removed=self._locked(source, destination, self._clear)))
                self._remove_dirs(self._layout.hash_dir(source))
        return counts

    def bring(self, source: Location, destination: Location) -> int:
        """Link the files of one name; return their number. Durable on return."""
        linked = self._locked(source, destination, self._carry)
        self._sync()
        return linked

    def _names(self, partition: int) -> Iterator[str]:
        for suffix in filter(is_suffix, list_dir(self._files, self._layout.partition_dir(partition))):
            yield from filter(is_hash, list_dir(self._files, self._layout.suffix_dir(partition, suffix)))

    def _locked(self, source: Location, destination: Location, act: Callable[[str, str], int]) -> int:
        old, new = self._layout.hash_dir(source), self._layout.hash_dir(destination)
        number = lock_number(old)
        for attempt in range(_RETRIES):
            self._locks.acquire(number)
            try:
                return act(old, new)
            except FileNotFoundError:  # a directory was removed as empty, or a file as obsolete, by another
                self._known_dirs.forget(new)
                if attempt == _RETRIES - 1:
                    raise
            finally:
                self._locks.release(number)
        return 0

    def _carry(self, old: str, new: str) -> int:
        """Link what counts and has no second name yet; how many files."""
        there = changes_among(list_dir(self._files, old))
        here = changes_among(list_dir(self._files, new))
        missing = [change for change in counting({*there, *here}) if change not in here]
        # What another process has linked need not be durable yet; who removes the first names must see to it.
        trusted = self._ordered or not self._step.clean or not there
        if not missing and trusted:
            return 0
        self._look_at_removals()
        unsure, _ = self._known_dirs.ensure(new, 3)
        with self._marks.changing(new):
            for change in missing:
                with contextlib.suppress(FileExistsError):
                    self._files.link_again(file_path(old, change), file_path(new, change))
        for path in unsure:
            self._unsynced[path.rpartition("/")[0]] = None
            self._known_dirs.add(path)
        self._unsynced.pop(new, None)
        self._unsynced[new] = None
        return len(missing)

    def _clear(self, old: str, new: str) -> int:
        """Remove the first names, once what counts among them is durable under the second."""
        self._carry(old, new)
        self._sync()
        going = sorted(changes_among(list_dir(self._files, old)), key=_removal_order)
        if going:
            with self._marks.changing(old):
                for change in going:
                    with contextlib.suppress(FileNotFoundError):
                        self._files.unlink(file_path(old, change))
                    if not self._ordered:
                        self._files.fsync_dir(old)
        return len(going)

    def _sync(self) -> None:
        """Make what was linked durable; where names become so in their order, the last directory will do."""
        if self._unsynced:
            self._look_at_removals()
        if self._doubtful:
            self._doubtful = False
            for directory in filter(self._layout.parse_hash_dir, list(self._unsynced)):
                self._unsynced.update(dict.fromkeys(ancestors(directory)))
        directories = list(self._unsynced)
        for directory in directories[-1:] if self._ordered else directories:
            self._files.fsync_dir(directory)
        self._unsynced.clear()

    def _look_at_removals(self) -> None:
        """See rule 4 of writing in doc/ordering.md."""
        if not self._ordered:
            removed = self._files.count(self._layout.removals)
            if removed != self._removed:
                self._removed = removed
                self._known_dirs.trust(removed)
                self._doubtful = bool(self._unsynced)

    def _remove_dirs(self, hash_dir: str) -> None:
        suffix_dir, partition_dir, *_ = ancestors(hash_dir)
        for directory in (hash_dir, suffix_dir, partition_dir):
            if list_dir(self._files, directory):
                return
            remove_empty(self._files, self._layout, directory, self._ordered)


def _removal_order(change: Change) -> tuple[bool, object]:
    """A tombstone outlives what it hides, and metadata the data they lie over."""
    return change.kind == METADATA, change.timestamp


class RelinkProgress:
    """The progress of the work on a device, stored on it so that it can continue after an interruption."""

    def __init__(
        self, files: Files, layout: Layout, step: Step, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._files = files
        self._path = f"{layout.root}/relink-{layout.objects.rpartition('/')[2]}.json"
        self._step = [step.right, list(step.wrong), step.clean]
        self._monotonic = monotonic
        self._saved = monotonic()
        self.least = self._load()  # the partition done last; all greater ones are done, too

    def _load(self) -> int | None:
        try:
            file = self._files.open(self._path)
        except FileNotFoundError:
            return None
        with contextlib.closing(file):
            data = bytearray(self._files.size(file.fd))
            self._files.read_at(file.fd, data, 0)
        try:
            kept = json.loads(data)
            return int(kept["least"]) if kept["step"] == self._step else None
        except (ValueError, KeyError, TypeError):
            return None  # then all is looked at again

    def done(self, partition: int) -> None:
        self.least = partition
        if self._monotonic() - self._saved >= _SAVE_SECONDS:
            self._files.replace(self._path, json.dumps({"step": self._step, "least": partition}).encode())
            self._saved = self._monotonic()

    def end(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._files.unlink(self._path)


def catch_up(files: Files, layout: Layout, location: Location) -> int:
    """Bring to a location what only its twin has, which a writer left that knew of one part power alone; how many
    files. Blocks, and raises OSError."""
    there = changes_among(list_dir(files, layout.twin_dir(location)))
    if set(there).issubset(changes_among(list_dir(files, layout.hash_dir(location)))):  # as mostly
        return 0
    relinker = Relinker(files, layout, Step(0, (), False))
    try:
        own, twin = location.both
        return relinker.bring(twin, own)
    finally:
        relinker.close()


def relink_device(
    files: Files,
    root: str,
    policy: int,
    step: Step,
    take: Callable[[], object] = lambda: None,
    report: Callable[[int, int], object] = lambda done, total: None,
) -> RelinkCounts:
    """All of a policy on a device. report: called with how many partitions are done, of how many. Raises OSError.

    Cleaning up is done again until nothing is found any more that a writer left meanwhile.
    """
    layout = Layout(root, policy)
    if not files.is_dir(layout.objects):
        return RelinkCounts()
    relinker = Relinker(files, layout, step, take)
    progress = RelinkProgress(files, layout, step)
    counts = RelinkCounts()
    try:
        relinker.begin()
        for _ in range(_MAX_PASSES):
            removed = counts.removed
            every = relinker.partitions()
            left = [partition for partition in every if progress.least is None or partition < progress.least]
            report(len(every) - len(left), len(every))
            for done, partition in enumerate(left, start=len(every) - len(left) + 1):
                counts = counts.plus(relinker.relink(partition))
                progress.done(partition)
                report(done, len(every))
            progress.least = None
            if counts.removed == removed:
                break
        progress.end()
        return counts
    finally:
        relinker.close()
