"""Look-up in a ring: from a name's hash to its partition, and from that to devices.

Needs only the standard library. The file is read into private memory and verified before anything uses it: a file
that is replaced, or overwritten in place by `cp` or `scp`, leaves a loaded ring as it was.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from objstore.core.errors import ConfigError
from objstore.core.names import partition_of
from objstore.core.nodes import Node
from objstore.ring.handoffs import HandoffOrder, Topology
from objstore.ring.ring_file import INCREASED, PREPARED, RingContents, decode_ring

_MAX_KNOWN = 4096  # partitions whose primaries are kept as values


class Ring:
    """An immutable ring.

    replica_count: may be fractional; with 2.5, half of the partitions have 3 replicas and half have 2.
    version: counts the builder's changes. devices: by id; None for an unused id. step: of a change
    of the part power (see `ring.increase`), "" for none.
    """

    def __init__(self, contents: RingContents) -> None:
        self.part_power = contents.part_power
        self._shift = 32 - contents.part_power
        self.partition_count = 1 << contents.part_power
        self.replica_count = contents.replica_count
        self.version = contents.version
        self.step = contents.step
        self.devices: tuple[Node | None, ...] = tuple(contents.devices)
        self._rows = tuple(contents.rows)
        self._full_rows = self._rows if len(self._rows[-1]) == self.partition_count else self._rows[:-1]
        self._last_length = len(self._rows[-1])
        self._moves = contents.moves
        self._topology: Topology | None = None
        self._primaries_cache: dict[int, tuple[Node, ...]] = {}  # primaries by partition, as far as they were looked up

    @classmethod
    def load(cls, path: str) -> Ring:
        """Load the ring of a file; raises ConfigError if it is missing, damaged or of another version."""
        try:
            # Not mapped: a process that reads a mapped page past the end of a shortened file dies of SIGBUS.
            with open(path, "rb") as file:
                buffer = file.read()
        except OSError as error:
            raise ConfigError(f"{path}: cannot read the ring: {error}") from error
        return cls(decode_ring(buffer, path))

    def partition(self, name_hash: str) -> int:
        """The partition of a name's hash (hex digits, at least 8)."""
        return int(name_hash[:8], 16) >> self._shift  # as `partition_of`

    @property
    def next_part_power(self) -> int | None:
        """The part power after the current change; None if there is no change.

        During a change names are in partitions of two part powers: code that walks partitions must not touch them.
        """
        if not self.step:
            return None
        return self.part_power + 1 if self.step == PREPARED else self.part_power

    def twin(self, name_hash: str) -> int | None:
        """The other partition in which a change must be found, while some read by a ring of the other part power."""
        if self.step == PREPARED:
            other = self.part_power + 1
        elif self.step == INCREASED:
            other = self.part_power - 1
        else:
            return None
        twin = partition_of(name_hash, other)
        return twin if twin != self.partition(name_hash) else None

    def primaries(self, partition: int) -> tuple[Node, ...]:
        """The devices that hold a partition, in the order of replicas; no device twice.

        There are fewer than the replica count where the ring has too few devices.
        """
        known = self._primaries_cache.get(partition)
        if known is None:
            if len(self._primaries_cache) >= _MAX_KNOWN:
                self._primaries_cache.clear()
            known = self._primaries_cache[partition] = self._primaries(partition)
        return known

    def _primaries(self, partition: int) -> tuple[Node, ...]:
        rows = self._rows if partition < self._last_length else self._full_rows
        ids = [row[partition] for row in rows]
        devices = self.devices
        try:
            nodes = tuple([devices[device] for device in ids])
        except IndexError:  # a replica without a device
            return tuple(self._nodes(ids))
        if len(set(ids)) < len(ids) or None in nodes:
            return tuple(self._nodes(ids))
        return nodes  # type: ignore[return-value]

    def handoffs(self, partition: int) -> Iterator[Node]:
        """All other devices, each once, in the order in which they stand in for primaries.

        The order is always the same, spreads over failure domains that are not in use yet
        (region, zone, host), and is found lazily. Its rules are in `ring.handoffs`.
        """
        if self._topology is None:
            self._topology = Topology(self.devices)
        primaries = [node.id for node in self.primaries(partition)]
        for device in HandoffOrder(self._topology, self._rows, partition, primaries).ids():
            node = self.devices[device]
            if node is not None:
                yield node

    def previous(self, partition: int) -> tuple[Node, ...]:
        """Devices that held the partition before replicas of it moved away, the last ones first.

        What a move has not brought to its new device yet is found there.
        """
        moves = self._moves
        start = end = bisect_left(moves.partition, partition)
        while end < len(moves.partition) and moves.partition[end] == partition:
            end += 1
        if start == end:
            return ()
        primaries = self.primaries(partition)
        return tuple(node for node in self._nodes(moves.device[start:end]) if node not in primaries)

    def _nodes(self, ids: memoryview | list[int]) -> list[Node]:
        """The devices of these ids that exist, each once."""
        known = [self.devices[device] for device in dict.fromkeys(ids) if device < len(self.devices)]
        return [node for node in known if node is not None]
