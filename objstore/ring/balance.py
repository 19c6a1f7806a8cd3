"""From one assignment to the next, with as few moves as it takes.

Theory. `shares` says for every failure domain how many replicas of a partition it may hold at most and
should hold at least, and for every device how many partitions. A *fault* is one replica too many or too few in
a domain; domains of a higher level weigh more. The steps of `rebalanced`, each a local search over
random proposals that are judged in bulk:

1. Replicas without a device are placed on devices with room (all at once by `spread` in a new ring).
2. Devices that hold too much give partitions to those that hold too little: first moves that mend
   faults, then those that do no harm.
3. Faults that remain are mended by exchanges between two partitions, which leaves the balance as it is.
4. Where no partition of a device that holds too much fits one that holds too little, one goes to a third
   device, and one of that device's goes on.
5. What a device of weight 0 still holds then is placed like a replica without a device.

Rules: a partition that may not move yet (`movable`) keeps its replicas, and of every other at most one moves; a
replica without a device is placed in any case, and counts as its partition's move.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from objstore.ring.shares import DEVICE, LEVELS, DomainTree, Floats, Ints, round_shares
from objstore.ring.spread import Table, spread

Bools = NDArray[np.bool_]

# A fault of one level outweighs all that a partition of up to 15 replicas can have below it; two
# replicas on one device are worst.
FAULT_WEIGHT = (16**2, 16, 1, 16**4)
_INACTIVE = 16**3  # of a replica on a device of weight 0
_MAX_PROPOSALS = 100_000  # judged at once; bounds memory
_FEWEST_PROPOSALS = 2_000
_PATIENCE = 6  # rounds without an accepted proposal before a step ends
_PARTNERS = 32  # exchanges proposed for a replica in one round; more where there are few such replicas


_Cells = tuple[Ints, Ints]  # rows and partitions


class ShareBounds(NamedTuple):
    """By level and domain: how many replicas of one partition. The entry after the last stands for "no device"."""

    domain: list[Ints]
    least: list[Ints]
    most: list[Ints]


class BalanceProblem(NamedTuple):
    """table: device ids [replica, partition], `len(tree.weight)` if there is no device.

    exists: cells that are there (a fractional last replica has fewer). movable: by partition.
    share: by level and domain (see `shares`).
    """

    tree: DomainTree
    table: Table
    exists: Bools
    movable: Bools
    share: list[Floats]


def bounds_of(tree: DomainTree, share: list[Floats]) -> ShareBounds:
    def extended(values: Floats | Ints, last: int) -> Ints:
        return np.append(values, last).astype(np.int64)

    return ShareBounds(
        [extended(tree.domain[level], len(share[level])) for level in LEVELS],
        [extended(np.floor(share[level]), 0) for level in LEVELS],
        # A replica on a device of weight 0 is a fault of its own kind, not one of spread.
        [extended(np.maximum(1, np.ceil(share[level])), 1 << 30) for level in LEVELS],
    )


def targets(problem: BalanceProblem) -> Ints:
    """Partitions that each device shall hold; where rounding leaves a choice, devices keep what they have."""
    tree, share = problem.tree, problem.share
    total = int(problem.exists.sum())
    have = np.bincount(problem.table[problem.exists], minlength=len(tree.weight) + 1)[: len(tree.weight)]
    wanted = [share[level] * (total / max(1e-9, share[0].sum())) for level in LEVELS]
    prefer = []
    for level in LEVELS:
        fraction = wanted[level] - np.floor(wanted[level])
        prefer.append(fraction + (tree.total(level, have) > np.floor(wanted[level] + 1e-7)))
    return round_shares(tree, wanted, total, prefer)[DEVICE]


def rebalanced(problem: BalanceProblem, random: np.random.Generator) -> Table:
    """The next table; cells without a device stay so only where no device has any weight."""
    tree, table = problem.tree, problem.table
    if not tree.weight.any() or not table.size:
        return table.copy()
    target = targets(problem)
    if np.all(table[problem.exists] == len(tree.weight)):
        lengths = [int(row.sum()) for row in problem.exists]
        table = np.where(problem.exists, spread(tree, target, lengths, random), len(tree.weight)).astype(np.int32)
    search = _MoveSearch(problem, table, target, random)
    search.place()
    search.exchange(fresh_only=True)
    search.relocate(MEND)
    search.exchange(fresh_only=True)
    search.relocate(LEVEL)
    search.exchange(fresh_only=False)
    search.relocate(MEND_FROM_ANY)
    search.relocate(LEVEL)
    search.chain()
    search.drain()
    return search.table


class Relocation(NamedTuple):
    """The moves that a step of relocation makes.

    faulty_only: only of faulty partitions. from_excess: only from devices that hold too much. change_limit: of the
    change in weighted faults.
    """

    faulty_only: bool
    from_excess: bool
    change_limit: int


MEND = Relocation(True, True, -1)
MEND_FROM_ANY = Relocation(True, False, -1)
LEVEL = Relocation(False, True, 0)


class _Proposals(NamedTuple):
    """Cells to be changed to devices, with what this changes in faults (weighted; less is better)."""

    row: Ints
    partition: Ints
    device: Ints
    change: Ints

    def take(self, which: NDArray[np.generic]) -> _Proposals:
        return _Proposals(*(values[which] for values in self))


class _MoveSearch:
    """The table in change. fresh: cells that have a new device; moved: partitions with such a cell."""

    def __init__(self, problem: BalanceProblem, table: Table, target: Ints, random: np.random.Generator) -> None:
        self.table = table.copy()
        self.exists = problem.exists
        self.movable = problem.movable
        self.target = target
        self.random = random
        self.bounds = bounds_of(problem.tree, problem.share)
        self.active = np.append(problem.tree.weight > 0, False)
        self.nobody = len(target)
        # A level with a single domain cannot be spread over.
        self.levels = [level for level in LEVELS if len(np.unique(problem.tree.domain[level][self.active[:-1]])) > 1]
        self.fresh = table != problem.table
        self.moved = self.fresh.any(axis=0)

    @property
    def excess(self) -> Ints:
        """By device: partitions more (or less, negative) than the target."""
        return np.bincount(self.table[self.exists], minlength=self.nobody + 1)[: self.nobody] - self.target

    def place(self) -> None:
        """Step 1: where there is room; failing that, anywhere rather than twice on one device."""
        everywhere = np.flatnonzero(self.active)
        self._place(self._room, 0)
        self._place(self._room, FAULT_WEIGHT[DEVICE] - 1)
        self._place(lambda: self.random.choice(everywhere, self.table.size), 0)
        self._place(lambda: self.random.choice(everywhere, self.table.size), 1 << 30)

    def _place(self, devices: Callable[[], Ints], limit: int) -> None:
        """limit: the greatest fault (weighted) to be accepted."""
        idle = 0
        while idle < _PATIENCE:
            row, partition = np.nonzero((self.table == self.nobody) & self.exists)
            if not len(row):
                return
            partition, once = np.unique(partition, return_index=True)
            pick = self.random.permutation(len(once))[:_MAX_PROPOSALS]
            device = devices()[: len(pick)]
            row, partition = row[once][pick[: len(device)]], partition[pick[: len(device)]]
            proposals = _Proposals(row, partition, device, self._fault(row, partition, device))
            proposals = proposals.take(np.flatnonzero(proposals.change <= limit))
            self._apply(proposals)
            idle = 0 if len(proposals.row) else idle + 1

    def relocate(self, step: Relocation) -> None:
        """Step 2."""
        partitions = np.flatnonzero((self.faulty() if step.faulty_only else True) & self.movable)
        idle = 0
        while idle < _PATIENCE:
            partitions = partitions[~self.moved[partitions]]
            excess = self.excess
            room = self._room()
            givers = np.append(excess > 0, False) if step.from_excess else self.active
            row, partition = self._cells_of(partitions, givers)
            if not len(room) or not len(row):
                return
            sample = self.random.integers(len(row), size=min(_MAX_PROPOSALS, 4 * len(room) + _FEWEST_PROPOSALS))
            device = room[self.random.integers(len(room), size=len(sample))]
            proposals = self._judged(row[sample], partition[sample], device)
            proposals = proposals.take(np.flatnonzero(proposals.change <= step.change_limit))
            proposals = proposals.take(np.argsort(proposals.change, kind="stable"))
            proposals = proposals.take(_first(proposals.partition, np.ones_like(self.moved, dtype=np.int64)))
            if step.from_excess:
                proposals = proposals.take(_first(self.table[proposals.row, proposals.partition], excess))
            proposals = proposals.take(_first(proposals.device, -excess))
            self._apply(proposals)
            idle = 0 if len(proposals.row) else idle + 1

    def exchange(self, fresh_only: bool) -> None:
        """Step 3. fresh_only: only between replicas that have a new device anyhow, so that no move is added."""
        idle = 0
        while idle < _PATIENCE:
            free = self.fresh if fresh_only else self._free
            free = free & self.exists & self.active[self.table]
            pairs = self._pairs(free & self.faulty(), free)
            if pairs is None:
                return
            first, second = pairs
            here = self._judged(*first, self.table[second])
            there = self._judged(*second, self.table[first])
            idle = 0 if self._apply_pairs(here, there, here.change + there.change < 0, None) else idle + 1

    def chain(self) -> None:
        """Step 4."""
        idle = 0
        while idle < _PATIENCE:
            free = self._free & self.exists
            excess = self.excess
            room = self._room()
            pairs = self._pairs(free & np.append(excess > 0, False)[self.table], free & self.active[self.table])
            if pairs is None or not len(room):
                return
            first, second = pairs
            here = self._judged(*first, self.table[second])
            there = self._judged(*second, room[self.random.integers(len(room), size=len(second[0]))])
            idle = 0 if self._apply_pairs(here, there, here.change + there.change <= 0, excess) else idle + 1

    def drain(self) -> None:
        """Step 5."""
        row, partition = np.nonzero(self._free & self.exists & ~self.active[self.table])
        partition, once = np.unique(partition, return_index=True)
        self.table[row[once], partition] = self.nobody
        self.place()

    def _pairs(self, first: Bools, second: Bools) -> tuple[_Cells, _Cells] | None:
        """Cells of the one set, each with several of the other."""
        first_cells, second_cells = np.nonzero(first), np.nonzero(second)
        if not len(first_cells[0]) or not len(second_cells[0]):
            return None
        pick = self.random.permutation(len(first_cells[0]))[: _MAX_PROPOSALS // _PARTNERS]
        pick = np.repeat(pick, max(_PARTNERS, _FEWEST_PROPOSALS // len(pick)))
        other = self.random.integers(len(second_cells[0]), size=len(pick))
        return (first_cells[0][pick], first_cells[1][pick]), (second_cells[0][other], second_cells[1][other])

    def _apply_pairs(self, here: _Proposals, there: _Proposals, wanted: Bools, excess: Ints | None) -> int:
        """Carry out the best pairs of proposals that do not get in each other's way; returns how many.

        excess: how many partitions each device may lose, or take on (negative); None for exchanges.
        """
        change = here.change + there.change
        good = np.flatnonzero(wanted & (here.partition != there.partition))
        good = good[np.argsort(change[good], kind="stable")]
        good = good[_disjoint(here.partition[good], there.partition[good])]
        if excess is not None:
            good = good[_first(self.table[here.row[good], here.partition[good]], excess)]
            good = good[_first(there.device[good], -excess)]
        self._apply(here.take(good))
        self._apply(there.take(good))
        return len(good)

    @property
    def _free(self) -> Bools:
        """Cells that may change without a second move of their partition."""
        free: Bools = self.fresh | (self.movable & ~self.moved)
        return free

    def faulty(self) -> Bools:
        """Partitions with a fault."""
        found: Bools = np.any(~self.active[self.table] & self.exists, axis=0)
        for level in self.levels:
            domain = self.bounds.domain[level][self.table]
            for row in range(len(domain)):
                found |= (domain == domain[row]).sum(axis=0) > self.bounds.most[level][domain[row]]
            for needed in np.flatnonzero(self.bounds.least[level]):
                found |= (domain == needed).sum(axis=0) < self.bounds.least[level][needed]
        return found

    def _judged(self, row: Ints, partition: Ints, device: Ints) -> _Proposals:
        before = self._fault(row, partition, self.table[row, partition])
        return _Proposals(row, partition, device, self._fault(row, partition, device) - before)

    def _fault(self, row: Ints, partition: Ints, device: Ints) -> Ints:
        """Weighted faults that a device in this cell makes (positive) or mends (negative), given the other cells."""
        others = self.table[:, partition]
        others[row, np.arange(len(row))] = self.nobody
        weight = _INACTIVE * ~self.active[device]
        for level in self.levels:
            domain = self.bounds.domain[level][device]
            count = (self.bounds.domain[level][others] == domain).sum(axis=0)
            weight += FAULT_WEIGHT[level] * (count >= self.bounds.most[level][domain])
            weight -= FAULT_WEIGHT[level] * (count < self.bounds.least[level][domain])
        return weight

    def _apply(self, proposals: _Proposals) -> None:
        self.table[proposals.row, proposals.partition] = proposals.device
        self.fresh[proposals.row, proposals.partition] = True
        self.moved[proposals.partition] = True

    def _room(self) -> Ints:
        """Devices with room, each as often as it has room, in random order."""
        return self.random.permutation(np.repeat(np.arange(self.nobody), np.maximum(-self.excess, 0)))

    def _cells_of(self, partitions: Ints, wanted: Bools) -> tuple[Ints, Ints]:
        row, index = np.nonzero(wanted[self.table[:, partitions]] & self.exists[:, partitions])
        return row, partitions[index]


def _first(keys: Ints, limit: Ints) -> Bools:
    """Return the first limit[key] entries of each key, in order of preference."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    rank = np.arange(len(keys)) - np.searchsorted(ordered, ordered)
    keep = np.zeros(len(keys), dtype=np.bool_)
    keep[order] = rank < limit[ordered]
    return keep


def _disjoint(left: Ints, right: Ints) -> Bools:
    """Return pairs in order of preference, without pairs of which a member occurred before."""
    both = np.stack([left, right], axis=1).ravel()
    first = np.zeros(len(both), dtype=np.bool_)
    first[np.unique(both, return_index=True)[1]] = True
    disjoint: Bools = np.all(first.reshape(-1, 2), axis=1)
    return disjoint
