"""The order in which nodes are asked.

Affinity comes first: `r1z1=100, r1=200` gives nodes of region 1, zone 1 priority 100 and the rest of region 1 200; all
others come last. Lower is earlier. Among equals, nodes in this process come first, then (with sorting by timing) those
that answered fastest recently, else in random order, so that reads spread over the copies.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence

from objstore.core.nodes import Node

_RULE = re.compile(r"r(\d+)(?:z(\d+))?=(\d+)\Z")
LAST = 1 << 30

Affinity = Mapping[tuple[int, int | None], int]


def parse_affinity(text: str) -> Affinity:
    """Parse the rules of a `read_affinity` setting; raises ValueError."""
    rules: dict[tuple[int, int | None], int] = {}
    for item in text.replace(",", " ").split():
        match = _RULE.match(item)
        if match is None:
            raise ValueError(f"{item!r} is not of the form r1z2=100 or r1=100")
        region, zone, priority = match.groups()
        rules[int(region), int(zone) if zone else None] = int(priority)
    return rules


def priority(node: Node, affinity: Affinity) -> int:
    by_zone = affinity.get((node.region, node.zone))
    return by_zone if by_zone is not None else affinity.get((node.region, None), LAST)


class Timings:
    """Recent answer times of each address in seconds (an exponential moving average)."""

    def __init__(self, weight: float = 0.2) -> None:
        self._weight = weight
        self._seconds: dict[tuple[str, int], float] = {}

    def add(self, node: Node, seconds: float) -> None:
        before = self._seconds.get(node.address, seconds)
        self._seconds[node.address] = before + (seconds - before) * self._weight

    def of(self, node: Node) -> float:
        """Return the answer time; 0 for a node not asked yet, so that it is tried."""
        return self._seconds.get(node.address, 0.0)


def in_order(
    nodes: Sequence[Node],
    affinity: Affinity,
    is_local: Callable[[Node], bool],
    timings: Timings | None,
    shuffle: Callable[[list[Node]], object] = random.shuffle,
) -> list[Node]:
    """Return the nodes in the order to ask them; timings None for a random order among equals."""
    ordered = list(nodes)
    if len(ordered) < 2:
        return ordered
    shuffle(ordered)
    ordered.sort(
        key=lambda node: (priority(node, affinity), not is_local(node), timings.of(node) if timings is not None else 0)
    )
    return ordered
