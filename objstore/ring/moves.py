"""The log of moves: which device held a replica before it went to another, and since when.

It is kept for a while only: as long as replication may need to bring everything to its new place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from objstore.ring.ring_file import Moves

# A move is forgotten after these hours, or after this multiple of min_part_hours if that is longer.
KEPT_HOURS = 168
KEPT_MIN_PART_HOURS = 2


class MoveLog(NamedTuple):
    """Parallel arrays of uint32, ordered by partition, the newest move of a partition first.

    time: Unix seconds.
    """

    partition: np.ndarray
    device: np.ndarray
    time: np.ndarray

    @classmethod
    def empty(cls) -> MoveLog:
        return cls(*(np.zeros(0, dtype=np.uint32) for _ in cls._fields))

    def with_moves(self, partition: np.ndarray, device: np.ndarray, now: int, min_part_hours: float) -> MoveLog:
        """The log with moves made now (Unix seconds), without those that are out of date."""
        horizon = now - 3600 * max(KEPT_HOURS, KEPT_MIN_PART_HOURS * min_part_hours)
        kept = self.time > horizon
        joined = MoveLog(
            np.concatenate([partition, self.partition[kept]]).astype(np.uint32),
            np.concatenate([device, self.device[kept]]).astype(np.uint32),
            np.concatenate([np.full(len(partition), now), self.time[kept]]).astype(np.uint32),
        )
        return joined._take(np.argsort(joined.partition, kind="stable"))

    def without_devices(self, devices: Iterable[int]) -> MoveLog:
        return self._take(~np.isin(self.device, np.fromiter(devices, dtype=np.uint32)))

    def views(self, width: int, gone: np.ndarray) -> Moves:
        """For the ring file, with ids of `width` bytes, without devices that are gone (by id)."""
        log = self._take(~gone[self.device])
        return Moves(log.partition.data, log.device.astype(f"u{width}").data, log.time.data)

    def _take(self, which: np.ndarray) -> MoveLog:
        return MoveLog(*(values[which] for values in self))
