"""The share of the ring that each device should hold.

A *share* is a number of replicas per partition: in a ring of 3 replicas all shares of one level of
the tree (regions, zones, hosts, devices) add up to 3. A share x of a domain means that every
partition has floor(x) or ceil(x) replicas in it, which is the best spread that this share allows.

Rules:
1. A device's share follows its weight, up to one replica of each partition.
2. With an overload o, a device may take up to (1 + o) times that, if this spreads the replicas of a partition over
   more domains; the region comes first, then zone, host and device.
3. Among children of one domain, replicas are spread best when each child has as many as the next, give
   or take one; inside these bounds weights decide.
4. Numbers of partitions are shares rounded down or up at every level, so that they never ask for a
   worse spread than the shares do.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from objstore.core.nodes import Node

Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]

REGION, ZONE, HOST, DEVICE = range(4)
LEVELS = (REGION, ZONE, HOST, DEVICE)
_TINY = 1e-7  # differences below it are rounding errors of the arithmetic


class DomainTree(NamedTuple):
    """Failure domains, numbered from 0 at each level.

    domain[level][device id]: the domain that the device is in (at DEVICE level, its id).
    parent[level][domain]: the domain of the level above that holds it (0, the root, for regions).
    weight: by device id; 0 if the id is not in use.
    """

    domain: list[Ints]
    parent: list[Ints]
    weight: Floats

    def total(self, level: int, values: NDArray[np.generic]) -> Floats:
        """Sums of the devices' values by domain of a level."""
        sums = np.bincount(self.domain[level], weights=values, minlength=len(self.parent[level]))
        return sums.astype(np.float64, copy=False)


def tree_of(devices: Sequence[Node | None]) -> DomainTree:
    """The tree of a device table; an id that is not in use counts as a device of weight 0 in a place of its own."""
    numbers: list[dict[tuple[object, ...], int]] = [{} for _ in LEVELS]
    domain = np.zeros((len(LEVELS), len(devices)), dtype=np.int64)
    parents: list[list[int]] = [[] for _ in LEVELS]
    for device, node in enumerate(devices):
        path = (-1, -1, "", device) if node is None else (node.region, node.zone, node.ip, device)
        above = 0
        for level in LEVELS:
            number = numbers[level].setdefault(path[: level + 1], len(numbers[level]))
            if number == len(parents[level]):
                parents[level].append(above)
            domain[level, device] = above = number
    weight = np.array([0.0 if node is None else node.weight for node in devices], dtype=np.float64)
    return DomainTree(list(domain), [np.array(parent, dtype=np.int64) for parent in parents], weight)


def weighted_shares(tree: DomainTree, replicas: float) -> Floats:
    """Rule 1. With fewer devices than replicas, a device may hold several replicas of a partition."""
    active = int(np.count_nonzero(tree.weight))
    if not active:
        return np.zeros_like(tree.weight)
    most = max(1.0, replicas / active)
    return _scaled(replicas, tree.weight, np.zeros_like(tree.weight), np.where(tree.weight > 0, most, 0.0))


def shares(tree: DomainTree, replicas: float, overload: float = 0.0) -> list[Floats]:
    """Rules 1 to 3: for each level the share of each domain."""
    weighted = weighted_shares(tree, replicas)
    if overload > 0:
        weighted = _dispersed(tree, replicas, weighted, overload)
    found = [tree.total(level, weighted) for level in LEVELS]
    return [np.where(np.abs(x - np.rint(x)) < _TINY, np.rint(x), x) for x in found]


def _dispersed(tree: DomainTree, replicas: float, weighted: Floats, overload: float) -> Floats:
    active = tree.weight > 0
    most = max(1.0, replicas / max(1, int(active.sum())))
    limit = np.minimum(most, weighted * (1 + overload))
    above = np.array([replicas])
    for level in LEVELS:
        own_weight, own_limit = tree.total(level, weighted), tree.total(level, limit)
        room = np.rint(tree.total(level, active * np.ceil(most - _TINY)))
        here = np.zeros_like(own_weight)
        order = np.argsort(tree.parent[level], kind="stable")
        bounds = np.searchsorted(tree.parent[level][order], np.arange(len(above) + 1))
        for parent, (start, end) in enumerate(pairwise(bounds)):
            children = order[start:end]
            here[children] = _split(above[parent], own_weight[children], own_limit[children], room[children])
        above = here
    return above


def _split(total: float, weighted: Floats, limit: Floats, room: Floats) -> Floats:
    """Rule 3 for the children of one domain. room: replicas of one partition that each child can hold."""
    least = np.minimum(room, _even_level(int(np.floor(total + _TINY)), room))
    most = np.minimum(room, _even_level(int(np.ceil(total - _TINY)) - 1, room) + 1)
    lower, upper = np.minimum(least, limit), np.minimum(most, limit)
    if upper.sum() < total:
        lower, upper = upper, limit
    return _scaled(total, weighted, lower, upper)


def _even_level(replicas: int, room: Floats) -> int:
    """Return the number of replicas of every child with space after replicas are dealt out in turn, one to each."""
    level = 0
    while level < replicas and np.minimum(room, level + 1).sum() <= replicas:
        level += 1
    return level


def _scaled(total: float, weights: Floats, lower: Floats, upper: Floats) -> Floats:
    """Numbers in proportion to weights, moved into [lower, upper], that add up to the total if the bounds allow it."""
    if upper.sum() <= total:
        return upper
    if lower.sum() >= total:
        return lower
    simple = weights * (total / weights.sum())
    if np.all(simple >= lower - _TINY) and np.all(simple <= upper + _TINY):
        shares: Floats = np.clip(simple, lower, upper)
        return shares
    used = weights > 0
    low, high = 0.0, float((upper[used] / weights[used]).max())
    for _ in range(100):
        middle = (low + high) / 2
        if np.clip(middle * weights, lower, upper).sum() < total:
            low = middle
        else:
            high = middle
    found = np.clip(high * weights, lower, upper)
    free = (found > lower) & (found < upper)
    if free.any():  # what the bisection left over
        found[free] += (total - found.sum()) * weights[free] / weights[free].sum()
    return found


def round_shares(tree: DomainTree, wanted: Sequence[Floats], total: int, prefer: Sequence[Floats]) -> list[Ints]:
    """Rule 4: whole numbers that add up to `total` at each level.

    wanted: for each level what each domain should have. prefer: for each level, which domain should be rounded up
    rather than down: the greatest first.
    """
    above: Ints = np.array([total], dtype=np.int64)
    found: list[Ints] = []
    for level in LEVELS:
        parent, want = tree.parent[level], wanted[level]
        number = np.floor(want + _TINY).astype(np.int64)
        has_fraction = want - number > _TINY
        missing = above - np.bincount(parent, weights=number, minlength=len(above)).astype(np.int64)
        order = np.lexsort((-prefer[level], ~has_fraction, parent))
        first = np.searchsorted(parent[order], np.arange(len(above)))
        rank = np.arange(len(order)) - first[parent[order]]
        number[order[rank < missing[parent[order]]]] += 1
        found.append(number)
        above = number
    return found
