"""The order in which other devices stand in for a partition's primaries.

Rules, the first that decides counts:
1. first one device of each region that no primary and no earlier handoff is in, then of each such
   zone, then of each such host, then the rest;
2. devices come in proportion to their share of the ring, which follows their weight, and the order
   differs from partition to partition, so that a lost device's load spreads;
3. a change of the ring changes few orders, so that what was written to a handoff is found again;
4. devices of weight 0, which are being emptied, come last.

Rules 2 and 3 are had by walking over the table's other partitions by a stride that depends on the
partition. When the walk has met nothing new for a while, the rest is ranked by a hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from objstore.core.nodes import Node

LEVELS = 3  # region, zone, host
# Number of unsuccessful draws before the walk switches to ranking: by then, little of the ring's weight is left.
PATIENCE = 64
_MASK = (1 << 64) - 1


def mix(value: int) -> int:
    """64 well-spread bits of a number: the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Topology:
    """Failure domains of a device table: what handoffs need to know of it, worked out once."""

    def __init__(self, devices: Sequence[Node | None]) -> None:
        numbers: tuple[dict[tuple[object, ...], int], ...] = ({}, {}, {})
        self.domains: list[tuple[int, ...]] = []
        for node in devices:
            path = () if node is None else (node.region, node.zone, node.ip)
            keys = [path[: level + 1] for level in range(LEVELS)]
            self.domains.append(
                tuple(numbers[level].setdefault(keys[level], len(numbers[level])) for level in range(LEVELS))
            )
        self.active = [node is not None and node.weight > 0 for node in devices]
        self.ids = [node.id for node in devices if node is not None]
        self.totals = [
            {d[level] for d, on in zip(self.domains, self.active, strict=True) if on} for level in range(LEVELS)
        ]


class HandoffOrder:
    """One partition's handoffs; `ids` may be read once."""

    def __init__(
        self, topology: Topology, rows: Sequence[memoryview], partition: int, primaries: Sequence[int]
    ) -> None:
        self._topology = topology
        self._partition = partition
        self._used = set(primaries)
        self._walk = _walk(rows, partition)
        self._ranking: list[int] | None = None

    def ids(self) -> Iterator[int]:
        """Ids of all devices but the primaries, each once, found lazily."""
        for level in range(LEVELS):
            yield from self._one_of_each_domain(level)
        for device in self._candidates(lambda device: device not in self._used):
            self._used.add(device)
            yield device
        yield from self._ranked(device for device in self._topology.ids if device not in self._used)

    def _one_of_each_domain(self, level: int) -> Iterator[int]:
        domains, all_domains = self._topology.domains, self._topology.totals[level]
        seen = {domains[device][level] for device in self._used} & all_domains
        if len(seen) == len(all_domains):
            return
        for device in self._candidates(lambda device: domains[device][level] not in seen):
            seen.add(domains[device][level])
            self._used.add(device)
            yield device
            if len(seen) == len(all_domains):
                return

    def _candidates(self, wanted: Callable[[int], bool]) -> Iterator[int]:
        """Active devices that are wanted at the time when they are reached: from the walk, then from the ranking."""
        active = self._topology.active
        misses = 0
        for device in self._walk:
            if device < len(active) and active[device] and wanted(device):
                misses = 0
                yield device
            else:
                misses += 1
                if misses > PATIENCE:
                    break
        if self._ranking is None:
            self._ranking = self._ranked(device for device in self._topology.ids if active[device])
        for device in self._ranking:
            if wanted(device):
                yield device

    def _ranked(self, devices: Iterable[int]) -> list[int]:
        return sorted(devices, key=lambda device: mix(self._partition << 32 ^ device))


def _walk(rows: Sequence[memoryview], partition: int) -> Iterator[int]:
    """Device ids in the table, starting behind the partition; every other partition is met once."""
    count = len(rows[0])
    stride = mix(partition) | 1
    for _ in range(count - 1):
        partition = (partition + stride) & (count - 1)
        for row in rows:
            if partition < len(row):
                yield row[partition]
