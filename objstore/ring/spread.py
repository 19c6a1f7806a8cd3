"""The first assignment of a ring: every replica of every partition at once.

The devices, in the order of their tree, each repeated as often as it shall hold partitions, are laid
in a line, and the line is cut into one piece for each replica. Every domain of the tree is then an unbroken
stretch of the line, and a stretch of at most k pieces' length meets no partition more than k times:
numbers and spread are exact by construction.

To let every device share partitions with many others, this is done for groups of partitions, each
with the tree in another random order.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from objstore.ring.shares import DEVICE, LEVELS, DomainTree, Ints, round_shares

Table = NDArray[np.int32]

GROUPS = 64
SMALLEST_GROUP = 64  # partitions; smaller ones would not get whole numbers of many devices


def spread(tree: DomainTree, target: Ints, lengths: list[int], random: np.random.Generator) -> Table:
    """A table of device ids, [replica, partition].

    target: partitions of each device; adds up to the lengths' sum. lengths: of the rows; only the last may be
    shorter than the others, and the table's cells behind its end are meaningless.
    """
    count, last = lengths[0], lengths[-1]
    table = np.zeros((len(lengths), count), dtype=np.int32)
    left = target.copy()
    for start, end in _groups(count, last):
        rows = len(lengths) if start < last else len(lengths) - 1
        share = rows * (end - start) / max(1, left.sum())
        wanted = [tree.total(level, left) * share for level in LEVELS]
        tie = [random.random(len(want)) for want in wanted]
        number = round_shares(tree, wanted, rows * (end - start), tie)
        table[:rows, start:end] = _lay(tree, number, rows, end - start, random)
        left -= number[DEVICE]
    full = len(lengths) if last == count else len(lengths) - 1
    _shuffle_replicas(table[:full], random)
    _shuffle_replicas(table[:, :last], random)
    return table


def _groups(count: int, last: int) -> list[tuple[int, int]]:
    """Ranges of partitions; the end of the last row is also the end of a group."""
    size = max(SMALLEST_GROUP, count // GROUPS)
    bounds = sorted({*range(0, count, size), last, count})
    return list(pairwise(bounds))


def _lay(tree: DomainTree, number: list[Ints], rows: int, columns: int, random: np.random.Generator) -> Table:
    """One group: the line of devices, cut into rows."""
    keys = [random.random(len(tree.parent[level]))[tree.domain[level]] for level in reversed(LEVELS)]
    order = np.lexsort(keys)
    line = np.repeat(order, number[DEVICE][order])
    # Within the largest domain that meets each partition only once, any order of devices is as good as another.
    loose = np.zeros(len(order), dtype=np.int64)
    offset = 0
    for level in reversed(LEVELS):
        single = (number[level] <= columns)[tree.domain[level]]
        loose[single] = offset + tree.domain[level][single]
        offset += len(number[level])
    stretch = np.cumsum(np.diff(loose[line], prepend=-1) != 0)
    line = line[np.argsort(stretch + random.random(len(line)))]
    return line.reshape(rows, columns).astype(np.int32)


def _shuffle_replicas(table: Table, random: np.random.Generator) -> None:
    """No device is the first replica more often than its share."""
    order = np.argsort(random.random(table.shape), axis=0)
    table[:] = np.take_along_axis(table, order, axis=0)
