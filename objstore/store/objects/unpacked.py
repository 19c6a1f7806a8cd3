"""The answers of an engine that packs nothing to those who ask for packed changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from objstore.core.names import Location
from objstore.store.change import Change
from objstore.store.interface import IncomingChange, NameListing, PackedAudit


class UnpackedStore:
    """Part of a `store.interface.ReplicaStore`."""

    @property
    def packs(self) -> int:
        return 0

    def read_packed(self, names: Sequence[tuple[Location, Change]]) -> list[bytes | None]:
        return [None] * len(names)

    def write_packed(self, changes: Sequence[IncomingChange]) -> list[Exception | None]:
        raise ValueError("nothing is packed")

    def audit_packed(
        self, position: Sequence[int], read: Callable[[int], object], content: bool = True, hashed_since: float = 0.0
    ) -> PackedAudit | None:
        return None

    def unpacked(self: NameListing) -> NameListing:
        return self
