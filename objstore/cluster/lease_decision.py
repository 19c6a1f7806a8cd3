"""What the states that a name's nodes report amount to, when its lease is held; pure functions.

`doc/consistency.md` says why these rules are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from objstore.cluster.quorum import quorum_size
from objstore.core.timestamps import ZERO, Timestamp


class Seen(NamedTuple):
    """What one node says of a name.

    newest: of its newest change. etag: of the live object as clients see it, None if there is none.
    floor and promise: a change under the node's lease must be newer than the one, not newer than the other.
    """

    newest: Timestamp
    etag: str | None = None
    floor: Timestamp = ZERO
    promise: Timestamp = ZERO


def newest(seen: Sequence[Seen]) -> Seen:
    """Of two nodes with the same change one may have only that: metadata, to lie over an object that is to come."""
    return max(seen, key=lambda one: (one.newest, one.etag is not None))


def is_settled(seen: Sequence[Seen], stand_ins: Sequence[Seen], replicas: int) -> bool:
    """Is the newest change on a majority of the replicas? Else it may still be under way, and be made again."""
    top = newest([*seen, *stand_ins]).newest
    return top == ZERO or sum(one.newest == top for one in seen) >= quorum_size(replicas)


def bounds(seen: Sequence[Seen]) -> tuple[Timestamp, Timestamp]:
    """A change must be newer than the first and not newer than the second."""
    return max(max(one.floor, one.newest) for one in seen), min(one.promise for one in seen)


def must_be_made_again(seen: Sequence[Seen], own: Timestamp, replicas: int) -> bool:
    """A majority took a change as its newest, and a node refused it for a newer one: what now?

    The newer one may be what an attempt left behind that failed before this change began; then the
    change must be made again, to be the newest. That is allowed while so many nodes still have it
    as their newest that no majority can have gone on from it. Else it counts as made before the others.
    """
    return sum(one.newest == own for one in seen) > replicas - quorum_size(replicas)
