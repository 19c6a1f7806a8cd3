"""The objects of a device, in an order in which one can go on: the way of the rounds of `daemon.rounds`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from objstore.core.errors import DeviceUnavailable
from objstore.core.names import Location
from objstore.daemon.rounds import Position
from objstore.store.interface import NameListing

# Given where something cannot be listed, and why: is it to be passed over?
PassOver = Callable[[Position, DeviceUnavailable], bool]


def objects(
    stores: Mapping[int, NameListing],
    position: Position,
    wanted: Callable[[int, int], bool] = lambda *_: True,
    pass_over: PassOver = lambda *_: False,
    since: float = 0.0,
    take: Callable[[], object] = lambda: None,
) -> Iterator[tuple[Position, Location]]:
    """All names from a position (policy, partition, suffix) on, in order, each with its own; suspends the caller.

    stores: a device's, by policy. wanted: of policy and partition. since: only names with a change of that time, in
    seconds since the epoch, or later; take: called for each name that is left out. Raises DeviceUnavailable.
    """
    for policy in sorted(stores):
        if [policy] < position[:1]:
            continue
        store = stores[policy]
        for partition in sorted(store.partitions()):
            if [policy, partition] < position[:2] or not wanted(policy, partition):
                continue
            for suffix in sorted(_listed(store.suffix_hashes, pass_over, policy, partition)):
                here: Position = [policy, partition, suffix]
                if here < position:
                    continue
                changes = _listed(store.changes, pass_over, policy, partition, suffix)
                for name_hash in sorted(changes):
                    if since and max(change.timestamp.seconds for change in changes[name_hash]) < since:
                        take()
                        continue
                    yield here, Location(partition, name_hash, policy)


def _listed(
    names: Callable[..., Mapping[str, object]], pass_over: PassOver, policy: int, *where: object
) -> Mapping[str, Any]:
    try:
        return names(*where)
    except DeviceUnavailable as error:
        if pass_over([policy, *where], error):
            return {}
        raise
