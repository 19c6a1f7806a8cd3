"""The durable write: from bytes to a file with its name, for a group of changes at once.

One thread of a device runs `Committer.run` for everything that has queued up, in this order:

1. each file: attribute, content and trailer written, then all synced;
2. each file linked into its hash directory, directories made as needed;
3. each of those directories listed, then synced, and each directory that a new one was made in,
   unless the file system makes names durable in their order anyway;
4. files that the listing shows to be obsolete unlinked.

While the number of partitions is changed, a file has a *twin*: a second name, in the same hash's directory of
another partition, that is made in the same steps.

A name thus never shows content that is not durable; nothing is answered whose name is not
durable; nothing is unlinked before what replaces it is durable, because step 4 trusts only
a listing that was synced after it was taken.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
from array import array
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from objstore.core.errors import Conflict, DeviceUnavailable, NameHeld, ObjstoreError
from objstore.runtime import green
from objstore.runtime.files import Buffer, Files, OpenFile
from objstore.runtime.number_locks import NumberLocks
from objstore.store.change import Change
from objstore.store.disk_errors import translate
from objstore.store.interface import Guard, Sequel
from objstore.store.objects.format import ATTRIBUTE, encode_trailer
from objstore.store.objects.hashes import Marks
from objstore.store.objects.layout import Layout, ancestors, changes_among, file_path, lock_number
from objstore.store.objects.liveness import counting, decide, newest_of
from objstore.store.objects.lookup import holds_record, live_info

# What setxattr says where the record is too large for the file system, or none is known.
NO_ROOM = frozenset({errno.ENOSPC, errno.E2BIG, errno.ERANGE, errno.ENOTSUP, errno.EDQUOT})
_RETRIES = 10  # of a link into a directory that others may remove as empty meanwhile
_KNOWN_MOST = 20_000


class Arrival:
    """A file on its way into a hash directory.

    directory: the hash directory. change: that the file is of. content: pieces still to be written.
    file: where earlier pieces are, None for a new one. record: the metadata, for the attribute
    of a file with a trailer. size and checksums: of the whole content, for the trailer;
    checksums None without a trailer. guard: decides whether it may be linked. twin: the other hash directory, or "".
    sequel: what follows.
    """

    __slots__ = (
        "change",
        "checksums",
        "content",
        "directory",
        "file",
        "guard",
        "record",
        "sequel",
        "size",
        "staged",
        "twin",
    )

    def __init__(
        self,
        directory: str,
        change: Change,
        content: Sequence[Buffer],
        record: bytes,
        size: int = 0,
        checksums: array[int] | None = None,
        file: OpenFile | None = None,
        guard: Guard | None = None,
        twin: str = "",
        sequel: Sequel | None = None,
    ) -> None:
        self.directory = directory
        self.change = change
        self.content = content
        self.record = record
        self.size = size
        self.checksums = checksums
        self.file = file
        self.guard = guard
        self.twin = twin
        self.sequel = sequel
        self.staged = False


class Runs(Protocol):
    """A queue of arrivals, as `runtime.threads.Batcher`: returns when the change is durable."""

    def run(self, item: Any) -> object: ...

    def aside(self, call: Callable[[], object]) -> None:
        """Call between two groups, without waiting for it."""
        ...


class Queued(Protocol):
    """A change that may have an open file, which is closed if nobody waits for it any more."""

    file: OpenFile | None
    sequel: Sequel | None


def follow(arrivals: Sequence[Queued], outcomes: Sequence[object]) -> None:
    """Make durable what follows the changes that were made: those whose outcome is None."""
    following: dict[Callable[[list[Any]], Sequence[bool]], list[Sequel]] = {}
    for arrival, outcome in zip(arrivals, outcomes, strict=True):
        if outcome is None and arrival.sequel is not None:
            following.setdefault(arrival.sequel.accept, []).append(arrival.sequel)
    for accept, sequels in following.items():
        for sequel, accepted in zip(sequels, accept([each.item for each in sequels]), strict=True):
            sequel.accepted = accepted


def followed(run: Callable[[Sequence[Any]], Sequence[object]]) -> Callable[[Sequence[Any]], Sequence[object]]:
    """Return what runs a group of changes, and then makes durable what follows them."""

    def run_both(arrivals: Sequence[Queued]) -> Sequence[object]:
        outcomes = run(arrivals)
        follow(arrivals, outcomes)
        return outcomes

    return run_both


def submit(commits: Runs, arrival: Queued) -> None:
    """Queue a change, again and again while its name is held for another."""
    while True:
        try:
            commits.run(arrival)
            return
        except NameHeld as held:
            try:
                green.sleep(held.seconds)
            except BaseException:
                if arrival.file is not None:
                    arrival.file.close()
                raise


class KnownDirs:
    """Directories whose names this process knows to be durable, so that it need not sync them again."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._known_dirs: set[str] = set()
        self._removals = 0

    def ensure(self, path: str, levels: int) -> tuple[list[str], bool]:
        """Make a directory and up to `levels` above it.

        Returns those whose names may not be durable, and whether `path` itself was made. Raises FileNotFoundError if
        the one above all those is missing.
        """
        parent = path.rpartition("/")[0]
        unsure = [] if not levels or parent in self._known_dirs else self.ensure(parent, levels - 1)[0]
        try:
            self._files.mkdir(path)
        except FileExistsError:
            return (unsure if path in self._known_dirs else [*unsure, path]), False
        except FileNotFoundError:
            if parent not in self._known_dirs:
                raise
            self._known_dirs.discard(parent)  # someone removed it as empty
            return self.ensure(path, levels)
        return [*unsure, path], True

    def add(self, path: str) -> None:
        if len(self._known_dirs) >= _KNOWN_MOST:
            self._known_dirs.clear()
        self._known_dirs.add(path)

    def trust(self, removals: int) -> None:
        """Nothing is known any more where directories were removed since the last call; see `Layout.removals`."""
        if removals != self._removals:
            self._removals = removals
            self._known_dirs.clear()

    def forget(self, path: str) -> None:
        self._known_dirs.discard(path)


class Committer:
    """Runs groups of arrivals on one device; `run` must not run twice at the same time."""

    def __init__(self, files: Files, layout: Layout, known: KnownDirs, ordered: Callable[[], bool]) -> None:
        """ordered: see `Files.orders_names`; asked for when the device is first used."""
        self._files = files
        self._layout = layout
        self._known_dirs = known
        self._locks = NumberLocks(layout.locks)
        self._marks = Marks(files, layout, ordered)
        self._ordered = ordered

    def stage(self, arrival: Arrival) -> None:
        """Write what is still to be written of a file. Raises OSError."""
        file = arrival.file or self.create(arrival.directory)
        arrival.file = file
        content = arrival.content
        if arrival.checksums is not None:
            spilled = b""
            try:
                self._files.set_attribute(file.fd, ATTRIBUTE, arrival.record)
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                spilled = arrival.record
            content = (*content, encode_trailer(arrival.size, arrival.checksums, spilled))
        self._files.write(file.fd, content)
        arrival.content = ()

    def stage_synced(self, arrival: Arrival) -> None:
        """Write and sync ahead of `run`, in another thread: a large file must not hold up the group."""
        self.stage(arrival)
        assert arrival.file is not None
        self._files.fsync(arrival.file.fd)
        arrival.staged = True

    def create(self, hash_dir: str) -> OpenFile:
        """A new file near its hash directory (in its partition: XFS spreads its groups by directory)."""
        partition_dir = hash_dir.rsplit("/", 2)[0]
        temporary = self._layout.temporary
        for _ in range(_RETRIES):
            try:
                return self._files.create_hidden(partition_dir, temporary)
            except FileNotFoundError:
                self._known_dirs.ensure(partition_dir, 1)
        raise DeviceUnavailable(f"{partition_dir} could not be made durable")

    def run(self, arrivals: Sequence[Arrival]) -> list[BaseException | None]:
        """Make arrivals durable and visible; for each None, or why it is not.

        One whose outcome is NameHeld may be given again, and keeps its file; the others' are closed.
        """
        outcomes: list[BaseException | None] = [None] * len(arrivals)
        try:
            group = _Group(self._files, self._layout, self._known_dirs, self._ordered(), self._locks, self._marks)
        except OSError as error:
            for arrival in arrivals:
                if arrival.file is not None:
                    arrival.file.close()
            return [translate(error, self._layout.root)] * len(arrivals)

        def each(step: Callable[[Arrival], None]) -> None:
            for index, arrival in enumerate(arrivals):
                if outcomes[index] is None:
                    try:
                        step(arrival)
                    except OSError as error:
                        outcomes[index] = translate(error, self._layout.root)
                    except ObjstoreError as error:
                        outcomes[index] = error

        try:
            each(self._stage_once)
            if len(arrivals) > 1:
                each(group.start_writeback)
            each(group.sync_file)
            each(group.link)
            each(group.sync_names)
            each(group.remove_obsolete)
        finally:
            for arrival, outcome in zip(arrivals, outcomes, strict=True):
                if isinstance(outcome, NameHeld):
                    arrival.staged = True
                elif arrival.file is not None:
                    arrival.file.close()
        return outcomes

    def release(self) -> None:
        """Close the files of locks, in the thread of `run`; they are opened again when they are needed."""
        self._locks.close()
        self._marks.close()

    def _stage_once(self, arrival: Arrival) -> None:
        if not arrival.staged:
            self.stage(arrival)


class _Group:
    """The steps of one group, each directory synced once."""

    def __init__(
        self, files: Files, layout: Layout, known: KnownDirs, ordered: bool, locks: NumberLocks, marks: Marks
    ) -> None:
        self._files = files
        self._cleanup = layout.cleanup
        self._removals = layout.removals
        self._known_dirs = known
        self._ordered = ordered
        self._locks = locks
        self._marks = marks
        self._removed = 0
        if not ordered:
            self._removed = files.count(self._removals)
            known.trust(self._removed)
        self._unsure: dict[str, list[str]] = {}  # by hash directory, what KnownDirs.ensure gave
        self._listings: dict[str, list[Change]] = {}
        self._synced: dict[str, OSError | None] = {}

    def start_writeback(self, arrival: Arrival) -> None:
        if not arrival.staged and arrival.file is not None:
            self._files.start_writeback(arrival.file.fd)

    def sync_file(self, arrival: Arrival) -> None:
        if not arrival.staged and arrival.file is not None:
            self._files.fsync(arrival.file.fd)

    def link(self, arrival: Arrival) -> None:
        directory = arrival.directory
        number = lock_number(directory)
        for _ in range(_RETRIES):
            self._locks.acquire(number)
            try:
                self._link_alone(arrival)
                return
            except FileNotFoundError:  # someone removed the directory while it was empty, or the file as obsolete
                self._known_dirs.forget(directory)
                self._known_dirs.forget(arrival.twin)
            finally:
                self._locks.release(number)
        raise DeviceUnavailable(f"{directory} could not be made durable")

    def _link_alone(self, arrival: Arrival) -> None:
        """With the name locked: list, ask the guard, link."""
        directory = arrival.directory
        assert arrival.file is not None
        unsure, made = self._known_dirs.ensure(directory, 3)
        self._unsure.setdefault(directory, []).extend(unsure)
        changes = [] if made else changes_among(self._files.list(directory))
        path = file_path(directory, arrival.change)
        try:
            if arrival.guard is not None and arrival.change not in counting(changes):
                arrival.guard(newest_of(changes), lambda: live_info(self._files, directory, changes))
            with self._marks.changing(directory):
                self._files.link(arrival.file, path)
            changes.append(arrival.change)
        except FileExistsError:  # if it is the same change come before: that it is durable is still to be seen to
            if not holds_record(self._files, path, arrival.change, arrival.record):
                raise Conflict(f"{path} already holds another change", arrival.change.timestamp) from None
        except ObjstoreError:
            if made:
                with contextlib.suppress(OSError):
                    self._files.rmdir(directory)
            raise
        self._listings[directory] = changes
        if arrival.twin:
            self._link_twin(arrival, arrival.file)

    def _link_twin(self, arrival: Arrival, file: OpenFile) -> None:
        """The second name, unless such names are being removed; looked at with the name locked, as who removes does."""
        if self._files.is_dir(self._cleanup):
            arrival.twin = ""
            return
        directory = arrival.twin
        self._unsure.setdefault(directory, []).extend(self._known_dirs.ensure(directory, 3)[0])
        path = file_path(directory, arrival.change)
        try:
            with self._marks.changing(directory):
                self._files.link(file, path)
        except FileExistsError:
            if not holds_record(self._files, path, arrival.change, arrival.record):
                raise Conflict(f"{path} already holds another change", arrival.change.timestamp) from None
        self._listings[directory] = changes_among(self._files.list(directory))

    def sync_names(self, arrival: Arrival) -> None:
        self._sync_names_in(arrival.directory)
        if arrival.twin:
            self._sync_names_in(arrival.twin)

    def _sync_names_in(self, directory: str) -> None:
        self._sync_once(directory)
        unsure = self._unsure[directory]
        if not self._ordered and self._files.count(self._removals) != self._removed:
            # One of those that were known may have been removed before the link, and made again by another process.
            unsure = [directory, *itertools.islice(ancestors(directory), 3)]
        for path in unsure:
            if not self._ordered:
                self._sync_once(path.rpartition("/")[0])
            self._known_dirs.add(path)

    def _sync_once(self, directory: str) -> None:
        if directory not in self._synced:
            try:
                self._files.fsync_dir(directory)
                self._synced[directory] = None
            except OSError as error:
                self._synced[directory] = error
        failed = self._synced[directory]
        if failed is not None:
            raise failed

    def remove_obsolete(self, arrival: Arrival) -> None:
        """Best effort: what stays is judged the same by every reader, and removed by the next change."""
        for directory in filter(None, (arrival.directory, arrival.twin)):
            listing = self._listings.pop(directory, ())
            if len(listing) > 1:
                for change in decide(listing).obsolete:
                    with contextlib.suppress(OSError):
                        self._files.unlink(file_path(directory, change))
