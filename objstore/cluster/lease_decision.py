"""Decisions from the states that a name's nodes report while its lease is held; pure functions.

`doc/consistency.md` says why these rules are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from objstore.cluster.quorum import quorum_size
from objstore.core.timestamps import ZERO, Timestamp


class NodeState(NamedTuple):
    """The state of a name on one node.

    newest: of its newest change. etag: of the live object as clients see it, None if there is none.
    floor, promise: a change under the node's lease must be newer than floor, and not newer than promise.
    lock: the state of the object's lock; clock: the node's, in milliseconds since the epoch, 0 if unknown.
    """

    newest: Timestamp
    etag: str | None = None
    floor: Timestamp = ZERO
    promise: Timestamp = ZERO
    lock: str = ""
    clock: int = 0


def newest(seen: Sequence[NodeState]) -> NodeState:
    """Return the newest state. Of two nodes with the same change, one may have only that: metadata of an object that
    has not arrived."""
    return max(seen, key=lambda one: (one.newest, one.etag is not None))


def is_settled(seen: Sequence[NodeState], stand_ins: Sequence[NodeState], replicas: int) -> bool:
    """Return whether the newest change is on a majority of the replicas. Else it may still be under way, and be
    retried."""
    top = newest([*seen, *stand_ins]).newest
    return top == ZERO or sum(one.newest == top for one in seen) >= quorum_size(replicas)


def bounds(seen: Sequence[NodeState]) -> tuple[Timestamp, Timestamp]:
    """Return bounds: a change must be newer than the first and not newer than the second."""
    return max(max(one.floor, one.newest) for one in seen), min(one.promise for one in seen)


def earliest_clock(seen: Sequence[NodeState]) -> int:
    """Return the clock that is furthest behind, so that one that is ahead decides nothing."""
    return min((one.clock for one in seen if one.clock), default=0)


def must_be_made_again(seen: Sequence[NodeState], own: Timestamp, replicas: int) -> bool:
    """Return whether a change must be retried that a majority accepted and a node refused for a newer one.

    The newer one may be the remains of an attempt that failed before this change began; then the change must be retried
    to be the newest. That is allowed while enough nodes still have it as their newest that no majority can have built
    on it. Else it counts as made before the others.
    """
    return sum(one.newest == own for one in seen) > replicas - quorum_size(replicas)
