"""The answers of an engine that packs nothing to those who ask for packed changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from objstore.core.names import Location
from objstore.store.change import Change
from objstore.store.interface import IncomingChange, IncomingRecord, NameListing, PackedAudit, ReplicaStore

Changes = dict[str, tuple[Change, ...]]  # by name hash


def in_time(call: Callable[[int], str], partitions: Iterable[int], seconds: float) -> dict[int, str]:
    """Return the results of calls by partition, as many as end within a time, at least one."""
    end = time.monotonic() + seconds
    found: dict[int, str] = {}
    for partition in partitions:
        if found and time.monotonic() > end:
            break
        found[partition] = call(partition)
    return found


class UnpackedStore:
    """Part of a `store.interface.ReplicaStore`."""

    @property
    def packs(self) -> int:
        return 0

    def read_packed(self, names: Sequence[tuple[Location, Change]]) -> list[bytes | None]:
        return [None] * len(names)

    def write_packed(self, changes: Sequence[IncomingChange | IncomingRecord]) -> list[Exception | None]:
        raise ValueError("nothing is packed")

    def partition_hashes(self: ReplicaStore, partitions: Iterable[int], seconds: float) -> dict[int, str]:
        return in_time(self.partition_hash, partitions, seconds)

    def suffix_hashes_of(self: ReplicaStore, partitions: Iterable[int]) -> dict[int, dict[str, str]]:
        return {partition: self.suffix_hashes(partition) for partition in partitions}

    def changes_of(self: ReplicaStore, suffixes: Mapping[int, Iterable[str]]) -> dict[int, Changes]:
        return {
            partition: {name_hash: found for each in some for name_hash, found in self.changes(partition, each).items()}
            for partition, some in suffixes.items()
        }

    def missing_of(self: ReplicaStore, offered: Mapping[int, Mapping[str, Sequence[Change]]]) -> dict[int, Changes]:
        return {partition: self.missing(partition, changes) for partition, changes in offered.items()}

    def audit_packed(
        self, position: Sequence[int], read: Callable[[int], object], content: bool = True, hashed_since: float = 0.0
    ) -> PackedAudit | None:
        return None

    def unpacked(self: NameListing) -> NameListing:
        return self
