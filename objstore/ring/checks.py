"""The quality of a builder's assignment: its balance, its spread, and its errors.

*Balance* of a device: the percentage by which it holds more (or fewer) partitions than its weight's share, limited by
the rule that no device holds two replicas of a partition. A ring's balance is that of its worst device. *Dispersion*:
percent of the partitions with more replicas in a failure domain than the topology makes necessary.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from objstore.core.nodes import Node
from objstore.ring.builder import NOBODY, RingBuilder
from objstore.ring.shares import LEVELS, DomainTree, Ints, shares, tree_of, weighted_shares

# The balance of a device that has partitions and should have none.
UNBOUNDED = 999.99
LEVEL_NAMES = ("region", "zone", "host", "device")
_ANY_OVERLOAD = 1e9


class Load(NamedTuple):
    """A device, the partitions that it holds, what its weight asks for, and its balance in percent."""

    node: Node
    partitions: int
    wanted: float
    balance: float


class DomainSpread(NamedTuple):
    """level: an entry of LEVEL_NAMES. allowed: replicas of one partition that the topology makes necessary.

    histogram: partitions with 0, 1, 2... replicas in the domain. excess: partitions with more than allowed.
    """

    level: str
    name: str
    allowed: int
    histogram: tuple[int, ...]
    excess: int


class Findings(NamedTuple):
    """errors: the ring must not be used so. warnings: it can be used, but somebody should know."""

    errors: list[str]
    warnings: list[str]


def loads(builder: RingBuilder) -> list[Load]:
    """One for each device that is present, by id."""
    usable = _usable(builder)
    wanted = weighted_shares(tree_of(usable), builder.replicas) * builder.partition_count
    held = _held(builder)
    return [
        Load(node, int(held[node.id]), float(wanted[node.id]), _balance(int(held[node.id]), float(wanted[node.id])))
        for node in builder.present
    ]


def balance(builder: RingBuilder) -> float:
    """Percent; 0 for a ring without devices."""
    return max((abs(load.balance) for load in loads(builder)), default=0.0)


def is_balanced(builder: RingBuilder, percent: float) -> bool:
    """Return whether every device is within a percentage, or one partition, of its weight's share."""
    return all(abs(load.balance) <= percent or abs(load.partitions - load.wanted) <= 1 for load in loads(builder))


def spreads(builder: RingBuilder) -> list[DomainSpread]:
    """One for each failure domain, the large ones first; none before the first rebalance."""
    if not builder.rows:
        return []
    usable = _usable(builder)
    tree = tree_of(usable)
    ideal = shares(tree, builder.replicas, _ANY_OVERLOAD)
    found = []
    for level in LEVELS:
        _, domain, count = _counts(builder, tree, level)
        top = len(builder.rows)
        table = np.zeros((len(tree.parent[level]), top + 1), dtype=np.int64)
        np.add.at(table, (domain, count), 1)
        table[:, 0] = builder.partition_count - table[:, 1:].sum(axis=1)
        for number, name in _domain_names(usable, tree, level).items():
            allowed = int(np.ceil(ideal[level][number]))
            excess = int(table[number, allowed + 1 :].sum())
            found.append(DomainSpread(LEVEL_NAMES[level], name, allowed, tuple(map(int, table[number])), excess))
    return found


def dispersion(builder: RingBuilder) -> float:
    """Percent; 0 before the first rebalance. Partitions on devices of weight 0 count too."""
    if not builder.rows:
        return 0.0
    tree = tree_of(_usable(builder))
    ideal = shares(tree, builder.replicas, _ANY_OVERLOAD)
    bad = np.zeros(builder.partition_count, dtype=np.bool_)
    for level in LEVELS:
        partition, domain, count = _counts(builder, tree, level)
        bad[partition[count > np.ceil(ideal[level][domain])]] = True
    return 100.0 * float(bad.mean())


def validate(builder: RingBuilder) -> Findings:
    errors, warnings = [], []
    if not builder.rows:
        return Findings(["the ring has never been rebalanced"], [])
    usable = _usable(builder)
    present = np.array([*(node is not None for node in usable)], dtype=np.bool_)
    cells = np.concatenate(builder.rows)
    unassigned = int(np.count_nonzero(cells == NOBODY))
    assigned = cells[cells != NOBODY]
    unknown = int(np.count_nonzero(assigned >= len(usable)))
    gone = int(np.count_nonzero(~present[assigned[assigned < len(usable)]]))
    if unassigned:
        errors.append(f"{unassigned} replicas have no device")
    if unknown:
        errors.append(f"{unknown} replicas are on unknown devices")
    elif gone:
        warnings.append(f"{gone} replicas are on removed devices: rebalance")
    if len(cells) != builder.slot_count:
        warnings.append("the replica count was changed: rebalance")
    if not unknown:
        twice = int(np.count_nonzero(_counts(builder, tree_of(usable), LEVELS[-1])[2] > 1))
        if twice:
            warnings.append(f"{twice} partitions have two replicas on one device: there are too few devices")
    return Findings(errors, warnings)


def _usable(builder: RingBuilder) -> list[Node | None]:
    return [None if node is None or node.id in builder.removed else node for node in builder.devices]


def _held(builder: RingBuilder) -> Ints:
    held = np.zeros(len(builder.devices), dtype=np.int64)
    for row in builder.rows:
        held += np.bincount(row[row != NOBODY], minlength=len(held))[: len(held)]
    return held


def _balance(partitions: int, wanted: float) -> float:
    if wanted > 0:
        return 100.0 * partitions / wanted - 100.0
    return UNBOUNDED if partitions else 0.0


def _counts(builder: RingBuilder, tree: DomainTree, level: int) -> tuple[Ints, Ints, Ints]:
    """Triples of partition, domain, and how many replicas of the one the other has (at least one)."""
    domains = len(tree.parent[level])
    keys = [np.flatnonzero(row != NOBODY) * domains + tree.domain[level][row[row != NOBODY]] for row in builder.rows]
    pairs, count = np.unique(np.concatenate(keys), return_counts=True)
    return pairs // domains, pairs % domains, count


def _domain_names(usable: list[Node | None], tree: DomainTree, level: int) -> dict[int, str]:
    """By number, in the order in which an operator reads them."""
    named = {}
    for node in usable:
        if node is not None:
            steps = (f"r{node.region}", f"z{node.zone}", f"-{node.ip}", f"/{node.device}")
            path = (node.region, node.zone, node.ip, node.device)[: level + 1]
            named[int(tree.domain[level][node.id])] = (path, "".join(steps[: level + 1]))
    return {number: name for number, (_, name) in sorted(named.items(), key=lambda item: item[1])}
