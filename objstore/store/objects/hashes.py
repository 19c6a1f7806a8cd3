"""Hashes of what a device holds, kept in extended attributes of directories.

The hash of a suffix is that of its changes that count, the hash of a partition that of its suffixes. Each is
kept in the attribute `user.objstore.hash` of its directory; with it goes when the oldest change was made that may
be reclaimed one day.

Who makes a change removes both attributes first. From then until the name is linked, renamed or unlinked it shares
the partition's lock. A hasher, of which a partition has one at a time on a host, puts a marker there while it holds
that lock alone, looks at what there is, and replaces the marker by the hash, unless it is gone. So a change is
either made before the marker, and the hasher sees it, or it removes the marker or the hash. A process that is
killed gives up its locks, and leaves a marker, or no attribute, or a hash of what is there.

After a power cut a hash must not say what is not there. Where the file system makes changes of directories durable
in their order that is so by itself. On others the removal of a hash is made durable before the change, and all that
a hash is of before the hash is kept.
"""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from objstore.core.names import is_hash, is_suffix
from objstore.runtime.files import Files
from objstore.runtime.number_locks import NumberLocks
from objstore.store.change import Change
from objstore.store.objects.layout import Layout, changes_among
from objstore.store.objects.liveness import counting
from objstore.store.objects.summaries import NOTHING, SuffixSummary, of_partition, of_suffix

HASH_ATTRIBUTE = "user.objstore.hash"
_MARKER = b"?"
_KEPT = re.compile(rb"([0-9a-f]{32}) (\d{10}|-)").fullmatch
# What setxattr says where a hash cannot be kept; it is then computed each time.
_NOT_KEPT = frozenset(
    {errno.ENODATA, errno.ENOENT, errno.ENOTSUP, errno.ENOSPC, errno.EDQUOT, errno.E2BIG, errno.ERANGE, errno.EROFS}
)
Result = TypeVar("Result")
_GONE = frozenset({errno.ENODATA, errno.ENOENT, errno.ENOTSUP})


class Marks:
    """The markers that changes put on stored hashes; for one thread. ordered: see `Files.orders_names`."""

    def __init__(self, files: Files, layout: Layout, ordered: Callable[[], bool]) -> None:
        self._files = files
        self._ordered = ordered
        self._locks = NumberLocks(layout.hash_locks)
        self._number = 0

    def begin(self, hash_dir: str) -> None:
        """Before names in a hash directory change: no hash is kept from now until `end`. Raises OSError."""
        suffix_dir = hash_dir[:-33]
        partition_dir = suffix_dir[:-4]
        self._number = int(partition_dir[partition_dir.rindex("/") + 1 :])
        directories = (suffix_dir, partition_dir)
        is_marked = self._files.is_marked
        while True:
            self._locks.acquire(self._number, shared=True)
            try:
                marked = [each for each in directories if is_marked(each, HASH_ATTRIBUTE)]
                if not marked:
                    return
                if self._ordered():
                    self._remove(marked)
                    return
            except BaseException:
                self.end()
                raise
            self.end()
            self._remove_durably(marked)

    def end(self) -> None:
        self._locks.release(self._number)

    @contextlib.contextmanager
    def changing(self, hash_dir: str) -> Iterator[None]:
        self.begin(hash_dir)
        try:
            yield
        finally:
            self.end()

    def put(self, directory: str, partition: int) -> bool:
        """Put a marker; return False if that is impossible."""
        return self._set(directory, partition, _MARKER, replace=False)

    def keep(self, directory: str, partition: int, summary: SuffixSummary) -> None:
        """In place of the marker, where that is still there."""
        oldest = "-" if summary.oldest is None else f"{summary.oldest:010d}"
        self._set(directory, partition, f"{summary.hash} {oldest}".encode(), replace=True)

    def kept(self, directory: str) -> SuffixSummary | None:
        try:
            value = self._files.attribute(directory, HASH_ATTRIBUTE)
        except FileNotFoundError:
            return None
        match = _KEPT(value or b"")
        if match is None:
            return None
        return SuffixSummary(match[1].decode(), None if match[2] == b"-" else int(match[2]))

    def close(self) -> None:
        self._locks.close()

    def _set(self, directory: str, partition: int, value: bytes, replace: bool) -> bool:
        self._locks.acquire(partition)
        try:
            self._files.mark_dir(directory, HASH_ATTRIBUTE, value, replace)
            return True
        except OSError as error:
            if error.errno in _NOT_KEPT:
                return False
            raise
        finally:
            self._locks.release(partition)

    def _remove(self, directories: Iterable[str]) -> None:
        for directory in directories:
            try:
                self._files.unmark_dir(directory, HASH_ATTRIBUTE)
            except OSError as error:
                if error.errno not in _GONE:  # another change was faster
                    raise

    def _remove_durably(self, directories: Iterable[str]) -> None:
        """A marker first, made durable: who finds no attribute then knows that there is none on disk that counts."""
        self._locks.acquire(self._number)
        try:
            for directory in directories:
                with contextlib.suppress(FileNotFoundError):
                    self._files.mark_dir(directory, HASH_ATTRIBUTE, _MARKER)
                    self._files.fsync_dir(directory)
            self._remove(directories)
        finally:
            self.end()


class Hasher:
    """Computes and keeps hashes; blocks, in any thread. Raises OSError."""

    def __init__(self, files: Files, layout: Layout, ordered: Callable[[], bool]) -> None:
        self._files = files
        self._layout = layout
        self._ordered = ordered

    def partition(self, partition: int) -> SuffixSummary:
        directory = self._layout.partition_dir(partition)
        with self._marks() as marks:
            return marks.kept(directory) or self._alone(partition, marks, self._hash_partition)

    def kept(self, partitions: Iterable[int]) -> dict[int, str]:
        """By partition, the hashes that are kept and can be read; computes none."""
        found = {}
        with self._marks() as marks:
            for partition in partitions:
                with contextlib.suppress(OSError):  # one that is damaged is nobody else's concern
                    kept = marks.kept(self._layout.partition_dir(partition))
                    if kept is not None:
                        found[partition] = kept.hash
        return found

    def suffixes(self, partition: int) -> dict[str, SuffixSummary]:
        """Return the hashes of directories that are not empty."""
        with self._marks() as marks:
            kept = {each: marks.kept(self._layout.suffix_dir(partition, each)) for each in self._suffixes(partition)}
            found = {suffix: summary for suffix, summary in kept.items() if summary is not None}
            return found if len(found) == len(kept) else self._alone(partition, marks, self._hash_suffixes)

    def changes(self, partition: int, suffix: str) -> dict[str, tuple[Change, ...]]:
        """By name hash, the changes that count; removes directories that are empty."""
        directory = self._layout.suffix_dir(partition, suffix)
        found = {}
        for name_hash in filter(is_hash, list_dir(self._files, directory)):
            hash_dir = f"{directory}/{name_hash}"
            entries = list_dir(self._files, hash_dir)
            counted = counting(changes_among(entries))
            if counted:
                found[name_hash] = tuple(sorted(counted))
            elif not entries:
                remove_empty(self._files, self._layout, hash_dir, self._ordered())
        return found

    @contextlib.contextmanager
    def _marks(self) -> Iterator[Marks]:
        marks = Marks(self._files, self._layout, self._ordered)
        try:
            yield marks
        finally:
            marks.close()

    def _alone(self, partition: int, marks: Marks, call: Callable[[int, Marks], Result]) -> Result:
        """Call as the host's only hasher of a partition: two would take each other's markers for their own."""
        locks = NumberLocks(self._layout.hashers)
        try:
            locks.acquire(partition)
            return call(partition, marks)
        finally:
            locks.close()

    def _suffixes(self, partition: int) -> list[str]:
        return sorted(filter(is_suffix, list_dir(self._files, self._layout.partition_dir(partition))))

    def _hash_partition(self, partition: int, marks: Marks) -> SuffixSummary:
        directory = self._layout.partition_dir(partition)
        kept = marks.kept(directory)  # by another hasher meanwhile
        if kept is not None:
            return kept
        marked = marks.put(directory, partition)
        summaries = self._hash_suffixes(partition, marks)
        if not summaries:
            remove_empty(self._files, self._layout, directory, self._ordered())
            return NOTHING
        summary = of_partition(summaries)
        if marked:
            self._settle(directory, self._layout.objects, self._layout.root)
            marks.keep(directory, partition, summary)
        return summary

    def _hash_suffixes(self, partition: int, marks: Marks) -> dict[str, SuffixSummary]:
        found = {}
        for suffix in self._suffixes(partition):
            kept = marks.kept(self._layout.suffix_dir(partition, suffix))
            summary = kept or self._hash_suffix(partition, suffix, marks)
            if summary.hash:
                found[suffix] = summary
        return found

    def _hash_suffix(self, partition: int, suffix: str, marks: Marks) -> SuffixSummary:
        directory = self._layout.suffix_dir(partition, suffix)
        marked = marks.put(directory, partition)
        changes = self.changes(partition, suffix)
        if not changes:
            remove_empty(self._files, self._layout, directory, self._ordered())
            return NOTHING
        summary = of_suffix(changes)
        if marked:
            self._settle(*(f"{directory}/{name_hash}" for name_hash in changes), directory)
            marks.keep(directory, partition, summary)
        return summary

    def _settle(self, *directories: str) -> None:
        """Make durable what a hash was computed of."""
        if not self._ordered():
            for directory in directories:
                with contextlib.suppress(FileNotFoundError):
                    self._files.fsync_dir(directory)


def list_dir(files: Files, path: str) -> list[str]:
    """Return the entries of a directory; none if it is missing."""
    try:
        return files.list(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def remove_empty(files: Files, layout: Layout, directory: str, ordered: bool) -> None:
    """Remove an empty directory; writers create it again if they need it.

    If names become durable one by one, the removals from it are made durable first: a power cut must not restore a name
    after a hash without it was stored. Writers are notified, because they may assume that the directory's name is
    durable.
    """
    with contextlib.suppress(OSError):
        if not ordered:
            files.fsync_dir(directory)
            files.count_up(layout.removals)
        files.rmdir(directory)
