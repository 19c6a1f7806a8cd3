"""Which files of a hash directory count, by their names alone.

Rules:

- Of data and tombstones the greatest timestamp wins, at equal timestamps the tombstone.
- The metadata of a POST counts while it is newer than the winner; the newest counts.
- The content type of a POST counts by the timestamp at which it was set, in the same way;
  it may stand in an older file than the metadata.
- A file that cannot count any more, whatever else arrives, is obsolete. Metadata newer than
  a tombstone is not: data between the two may still arrive.

The winner of a set of files is the winner of any of its subsets' winners, so that files may
arrive in any order, and obsolete ones be removed at any time, with the same end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from objstore.core.timestamps import ZERO, Timestamp
from objstore.store.objects.layout import DATA, META, TOMBSTONE, FileName


class Liveness(NamedTuple):
    """data or tombstone: the winner, the other is None. meta: the file whose metadata counts.

    content_type: the file of the POST whose content type counts, often `meta` itself.
    obsolete: files to be removed. Both metas are None without data; with only a tombstone or
    nothing at all the metas are kept and wait.
    """

    data: FileName | None
    tombstone: FileName | None
    meta: FileName | None
    content_type: FileName | None
    obsolete: tuple[FileName, ...]


def _rank(name: FileName) -> tuple[Timestamp, bool]:
    return name.timestamp, name.kind == TOMBSTONE


def _type_rank(name: FileName) -> tuple[Timestamp, Timestamp]:
    return name.content_type or Timestamp(-1), name.timestamp


def decide(names: Iterable[FileName]) -> Liveness:
    """Judge the files of one hash directory, given in any order."""
    every = list(names)
    if len(every) == 1 and every[0].kind == DATA:
        return Liveness(every[0], None, None, None, ())
    winner = max((name for name in every if name.kind != META), key=_rank, default=None)
    since = winner.timestamp if winner else Timestamp(-1)
    metas = [name for name in every if name.kind == META and name.timestamp > since]
    meta = max(metas, key=lambda name: (name.timestamp, name.content_type or Timestamp(-1)), default=None)
    typed = [name for name in metas if name.content_type is not None and name.content_type > since]
    content_type = max(typed, key=_type_rank, default=None)
    if meta and content_type and meta.content_type == content_type.content_type:
        content_type = meta
    kept = {winner, meta, content_type}
    obsolete = tuple(name for name in every if name not in kept)
    if winner is None or winner.kind == TOMBSTONE:
        return Liveness(None, winner, None, None, obsolete)
    return Liveness(winner, None, meta, content_type, obsolete)


def parse_names(names: Iterable[str]) -> list[FileName]:
    """The object files among the entries of a directory; others are not ours to judge."""
    return [parsed for name in names if (parsed := FileName.parse(name)) is not None]


def newest_of(names: Iterable[FileName]) -> Timestamp:
    """The timestamp of the newest change, of whatever kind; ZERO where there is none."""
    return max((name.timestamp for name in names), default=ZERO)


def not_newer(names: Iterable[FileName], bad: FileName) -> list[FileName]:
    """The files to take away with a bad one, oldest first: whatever it hides or lies over.

    Taking the bad file alone would bring to light what it replaced. Newer files stay: they
    are sound, or arrived since.
    """
    return sorted((name for name in names if name.timestamp <= bad.timestamp), key=_rank)
