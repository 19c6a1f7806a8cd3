"""The entries of a name that count, and the records that are dead: what `liveness` says, applied to places."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import NamedTuple

from objstore.store.change import Change
from objstore.store.objects.liveness import decide
from objstore.store.packed.places import Entry, Place


class Settled(NamedTuple):
    """The entries of a name that count, and the places of records that are obsolete."""

    entries: list[Entry]
    dead: list[Place]


def settle(entries: Iterable[Entry], volumes: Container[int]) -> Settled:
    """Judge the entries of one name, given the volumes that exist."""
    every = sorted(entries, key=lambda entry: (entry.place.volume in volumes, entry.place))
    by_change: dict[Change, Entry] = {entry.change: entry for entry in every}
    if len(by_change) > 1:
        for change in decide(by_change).obsolete:
            del by_change[change]
    counting = list(by_change.values())
    return Settled(counting, [entry.place for entry in every if entry not in counting])
