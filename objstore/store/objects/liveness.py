"""The live changes of a name, decided by their names alone.

Rules:

- Of data and tombstones the greatest timestamp wins, at equal timestamps the tombstone.
- The metadata of a POST applies while it is newer than the winner; the newest wins.
- The content type of a POST applies by the timestamp at which it was set, in the same way; it may be set by an older
  change than the metadata.
- A change that cannot apply any more, regardless of later changes, is obsolete. Metadata newer than
  a tombstone is not: data between the two may still arrive.

The winner of a set of changes is the winner of any of its subsets' winners, so that changes may arrive in any order,
and obsolete ones may be removed at any time, with the same result.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from objstore.core.timestamps import ZERO, Timestamp
from objstore.store.change import DATA, METADATA, TOMBSTONE, Change


class Liveness(NamedTuple):
    """data or tombstone: the winner, the other is None. meta: the change whose metadata count.

    content_type: the change whose content type counts, often `meta` itself.
    obsolete: changes to be removed. Both metas are None without data; with only a tombstone or
    nothing at all the metas are kept and wait.
    """

    data: Change | None
    tombstone: Change | None
    meta: Change | None
    content_type: Change | None
    obsolete: tuple[Change, ...]


def _rank(change: Change) -> tuple[Timestamp, bool]:
    return change.timestamp, change.kind == TOMBSTONE


def _type_rank(change: Change) -> tuple[Timestamp, Timestamp]:
    return change.content_type or Timestamp(-1), change.timestamp


def decide(changes: Iterable[Change]) -> Liveness:
    """Judge the changes of one name, given in any order."""
    every = list(changes)
    if len(every) == 1 and every[0].kind == DATA:
        return Liveness(every[0], None, None, None, ())
    winner = max((change for change in every if change.kind != METADATA), key=_rank, default=None)
    since = winner.timestamp if winner else Timestamp(-1)
    metas = [change for change in every if change.kind == METADATA and change.timestamp > since]
    meta = max(metas, key=lambda change: (change.timestamp, change.content_type or Timestamp(-1)), default=None)
    typed = [change for change in metas if change.content_type is not None and change.content_type > since]
    content_type = max(typed, key=_type_rank, default=None)
    if meta and content_type and meta.content_type == content_type.content_type:
        content_type = meta
    kept = {winner, meta, content_type}
    obsolete = tuple(change for change in every if change not in kept)
    if winner is None or winner.kind == TOMBSTONE:
        return Liveness(None, winner, None, None, obsolete)
    return Liveness(winner, None, meta, content_type, obsolete)


def counting(changes: Iterable[Change]) -> list[Change]:
    """Return the changes of a name that are not obsolete."""
    every = list(changes)
    obsolete = decide(every).obsolete
    return [change for change in every if change not in obsolete] if obsolete else every


def reclaimable(changes: Iterable[Change]) -> list[Change]:
    """Return the changes of a name that may go when they are old: those that count, if there is no data."""
    every = list(changes)
    live = decide(every)
    return [] if live.data is not None else [change for change in every if change not in live.obsolete]


def newest_of(changes: Iterable[Change]) -> Timestamp:
    """The timestamp of the newest change, of whatever kind; ZERO if there is none."""
    return max((change.timestamp for change in changes), default=ZERO)


def not_newer(changes: Iterable[Change], bad: Change) -> list[Change]:
    """The changes to take away with a bad one, oldest first: whatever it hides or lies over.

    Taking the bad one alone would bring to light what it replaced. Newer files stay: they
    are sound, or arrived since.
    """
    return sorted((change for change in changes if change.timestamp <= bad.timestamp), key=_rank)
