"""Removing what a device need not keep: changes that are safe elsewhere, and tombstones grown old. Blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

from objstore.core.names import is_hash
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import Files
from objstore.runtime.number_locks import NumberLocks
from objstore.store.change import METADATA, Change
from objstore.store.objects.commit import KnownDirs
from objstore.store.objects.hashes import Hasher, Marks, list_dir, remove_empty
from objstore.store.objects.layout import Layout, ancestors, changes_among, file_path, lock_number
from objstore.store.objects.liveness import decide, reclaimable

Choice = Callable[[list[Change]], Iterable[Change]]  # of the files there are, those to be removed


class Upkeep(NamedTuple):
    """The dependencies of removal."""

    files: Files
    layout: Layout
    known: KnownDirs
    ordered: Callable[[], bool]


def forget(upkeep: Upkeep, hash_dir: str, changes: Iterable[Change]) -> int:
    """Remove these files of a hash directory, and directories that are empty then; how many there were."""
    given = set(changes)
    return remove_chosen(upkeep, hash_dir, lambda present: given.intersection(present))


def remove_chosen(upkeep: Upkeep, hash_dir: str, choose: Choice) -> int:
    """As `forget`, of those files that `choose` returns with the name locked; it is called before that, too."""
    remover = _Remover(upkeep)
    try:
        return remover.remove(hash_dir, choose)
    finally:
        remover.close()


def reclaim(upkeep: Upkeep, hasher: Hasher, partition: int, before: Timestamp) -> int:
    """Remove tombstones older than `before`, and metadata as old that waits for data; how many."""
    if not hasher.partition(partition).is_before(before):
        return 0
    remover = _Remover(upkeep)
    count = 0
    try:
        for suffix, summary in hasher.suffixes(partition).items():
            if summary.is_before(before):
                directory = upkeep.layout.suffix_dir(partition, suffix)
                for name_hash in filter(is_hash, list_dir(upkeep.files, directory)):
                    count += remover.remove(f"{directory}/{name_hash}", lambda present: _older(present, before))
        return count
    finally:
        remover.close()


def _older(present: list[Change], before: Timestamp) -> list[Change]:
    return [change for change in reclaimable(present) if change.timestamp < before]


class _Remover:
    """Removes files of hash directories, each with its name locked; for one thread."""

    def __init__(self, upkeep: Upkeep) -> None:
        self._files = upkeep.files
        self._layout = upkeep.layout
        self._known_dirs = upkeep.known
        self._ordered = upkeep.ordered
        self._locks = NumberLocks(upkeep.layout.locks)
        self._marks = Marks(upkeep.files, upkeep.layout, upkeep.ordered)

    def close(self) -> None:
        self._locks.close()
        self._marks.close()

    def remove(self, hash_dir: str, choose: Choice) -> int:
        if not choose(changes_among(list_dir(self._files, hash_dir))):  # as mostly; the name need not be locked for it
            return 0
        number = lock_number(hash_dir)
        self._locks.acquire(number)
        try:
            present = changes_among(list_dir(self._files, hash_dir))
            going = sorted(choose(present), key=lambda change: (change.kind == METADATA, change.timestamp))
            if going:
                with self._marks.changing(hash_dir):
                    self._remove_obsolete(hash_dir, present)
                    self._unlink(hash_dir, going)
        finally:
            self._locks.release(number)
        if going:
            self._remove_dirs(hash_dir)
        return len(going)

    def _remove_obsolete(self, hash_dir: str, present: list[Change]) -> None:
        """Remove the changes that a change made obsolete, after that change is durable."""
        obsolete = decide(present).obsolete
        if obsolete:
            self._files.fsync_dir(hash_dir)
            self._unlink(hash_dir, obsolete)

    def _unlink(self, hash_dir: str, changes: Iterable[Change]) -> None:
        """In this order also on disk: data go before metadata that lie over them."""
        for change in changes:
            with contextlib.suppress(FileNotFoundError):
                self._files.unlink(file_path(hash_dir, change))
            if not self._ordered():
                self._files.fsync_dir(hash_dir)

    def _remove_dirs(self, hash_dir: str) -> None:
        suffix_dir, partition_dir, *_ = ancestors(hash_dir)
        for directory in (hash_dir, suffix_dir, partition_dir):
            if list_dir(self._files, directory):
                return
            self._known_dirs.forget(directory)
            remove_empty(self._files, self._layout, directory, self._ordered())
