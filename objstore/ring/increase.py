"""Doubling the partitions of a ring whose data are in use.

Partition p becomes 2p and 2p + 1, both on p's devices, so that no data go over the network: on each device the
files of p are linked into the directories of the two, and later removed from that of p. Steps:

    prepared    readers use the old partitions; every change is also linked into the new ones; `objstore relink`
                does so with what was there before
    increased   readers use the new partitions; every change is also linked into the old ones, for those who have
                not heard of it yet; `objstore relink --cleanup` then removes the old ones
    cancelled   instead of increased: readers use the old partitions, and the new ones are removed

Throughout no partition may move, and replicators leave the ring's data alone: they would take partitions of one
part power for those of the other.
"""

from __future__ import annotations

import numpy as np

from objstore.core.errors import InvalidInput
from objstore.ring.builder import LARGEST_PART_POWER, RingBuilder
from objstore.ring.moves import MoveLog
from objstore.ring.ring_file import CANCELLED, INCREASED, PREPARED


def prepare(builder: RingBuilder) -> None:
    """Raises InvalidInput, as all here, where this is not the next step."""
    _require(builder, "")
    if builder.part_power >= LARGEST_PART_POWER:
        raise InvalidInput(f"the part power is {builder.part_power} already, the maximum")
    if not builder.rows:
        raise InvalidInput("there is nothing to double before the first rebalance")
    _go_to(builder, PREPARED)


def increase(builder: RingBuilder) -> None:
    _require(builder, PREPARED)
    builder.part_power += 1
    builder.rows = [np.repeat(row, 2) for row in builder.rows]
    builder.last_moved = np.repeat(builder.last_moved, 2)
    builder.moves = _doubled(builder.moves)
    _go_to(builder, INCREASED)


def cancel(builder: RingBuilder) -> None:
    _require(builder, PREPARED)
    _go_to(builder, CANCELLED)


def finish(builder: RingBuilder) -> None:
    """End the change, when no device has data left in partitions of the other part power."""
    _require(builder, INCREASED, CANCELLED)
    _go_to(builder, "")


def _require(builder: RingBuilder, *steps: str) -> None:
    if builder.step not in steps:
        state = f"is {builder.step}" if builder.step else "is not under way"
        wanted = " or ".join(step or "not under way" for step in steps)
        raise InvalidInput(f"the change of the part power {state}; for this it must be {wanted}")


def _go_to(builder: RingBuilder, step: str) -> None:
    builder.step = step
    builder.version += 1


def _doubled(moves: MoveLog) -> MoveLog:
    partition = np.concatenate([2 * moves.partition, 2 * moves.partition + 1]).astype(np.uint32)
    order = np.argsort(partition, kind="stable")
    return MoveLog(partition[order], np.tile(moves.device, 2)[order], np.tile(moves.time, 2)[order])
