"""Keeps the copies of objects equal: each device sends what its partitions' other devices lack.

A unit of work is one partition of one device. Partitions that the ring does not give to the device come first: until
they are where they belong, a copy is missing there. What is decided, and why, is in `replication.objects_plan`.

Devices are worked on side by side, a few partitions of each at once. A peer that cannot be reached is left alone
for a while; the partitions it misses are sent by a later pass.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import zip_longest
from typing import NamedTuple

from objstore.core.errors import Conflict
from objstore.core.nodes import Node
from objstore.core.policies import ring_name
from objstore.core.timestamps import Timestamp
from objstore.daemon.duties.object_comparison import Comparison, compared
from objstore.daemon.duties.object_group import GroupWork
from objstore.daemon.duties.object_partition import (
    ObjectPart,
    ObjectPeers,
    ObjectReplicationOptions,
    PartitionWork,
    ReplicatedPlace,
)
from objstore.daemon.lanes import DeviceWork, Passes
from objstore.replication.assignment import Assignment, assign, has_come
from objstore.ring import Ring
from objstore.runtime import green

_AT_A_TIME = 1000  # partitions planned before other green threads have a turn
_LEAST_PART = 16  # partitions
_SPREAD = 0.6180339887498949  # of the golden ratio: fractions of its multiples are spread evenly


class ReplicatorHost(NamedTuple):
    """The environment of the replicator. places: those that can be used now. is_own: whether a node is a device of this
    host's server. rest: waits while the host's load is too high, for a limited time."""

    places: Callable[[], Iterable[ReplicatedPlace]]
    is_own: Callable[[Node], bool]
    rest: Callable[[], object]


class Task(NamedTuple):
    """span: from when to when it is looked whether the partition is due for reclaiming. comparisons: those that the
    partition is in."""

    place: ReplicatedPlace
    partition: int
    span: tuple[float, float]
    comparisons: tuple[Comparison, ...] = ()


class ObjectReplicator:
    """Its `passes` are for a `runner.Daemon`."""

    def __init__(
        self,
        host: ReplicatorHost,
        peers: ObjectPeers,
        options: ObjectReplicationOptions,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._host = host
        self._peers = peers
        self._options = options
        self._now = now
        self._started = now()
        self._stopping = False
        self._misnamed = False  # was a device of ours, in this pass, taken for a peer's?
        self._skipped_devices: set[str] = set()  # devices with partitions that a ring change reserves
        self._passes: Passes[Task] = Passes(peers.failed_nodes, options.per_device, now=now)
        self._reclaimed_until: dict[tuple[str, int], float] = {}  # by device and policy
        self._present: dict[str, tuple[str, float]] = {}  # by device: which one it is, and since when it is there
        self._reclaimed = 0

    def passes(self) -> Iterator[Callable[[], None]]:
        """One pass; a unit is a partition, or the look at what partitions a device has."""
        self._misnamed = False
        self._skipped_devices.clear()
        places: dict[str, list[ReplicatedPlace]] = {}
        for place in self._host.places():
            places.setdefault(place.device, []).append(place)
        self._present = {device: self._presence(device, found[0].identity) for device, found in places.items()}
        yield from self._passes.units({device: self._work(device, found) for device, found in places.items()})

    def _work(self, device: str, places: list[ReplicatedPlace]) -> DeviceWork[Task]:
        return DeviceWork(
            partial(self._plan, places),
            self._replicate,
            lambda: {ring_name(one.policy): one.ring().version for one in places},
            lambda: not self._stopping and device not in self._skipped_devices,
        )

    def _presence(self, device: str, identity: str) -> tuple[str, float]:
        """A device that was away, or that another one has replaced, is there since now."""
        before = self._present.get(device)
        return before if before is not None and before[0] == identity else (identity, self._now())

    def stop(self) -> None:
        """Let units under way end after the request that they have sent."""
        self._stopping = True

    def status(self) -> Mapping[str, object]:
        """Return the numbers of the current or last pass, and, in names that end in `_total`, since the start."""
        report = self._passes.report()
        for device, (identity, since) in self._present.items():
            if device in report["devices"]:
                report["devices"][device]["present"] = {"identity": identity.partition("/")[2], "since": since}
        return {
            **report,
            **{f"{name}_total": self._peers.counts[name] for name in _COUNTED},
            "reclaimed_total": self._reclaimed,
            "peer_failures": dict(self._peers.failures),
        }

    def _plan(self, places: list[ReplicatedPlace]) -> tuple[list[Task], list[Task]]:
        """Handoff partitions, and the others, each in an order by chance: hosts then meet at different ones."""
        handoffs: list[Task] = []
        others: list[Task] = []
        for place in random.sample(places, len(places)):
            place.tidy()
            ring = place.ring()
            if ring.next_part_power is not None:
                self._skipped_devices.add(place.device)
                continue  # names lie in partitions of two part powers, and stay on their devices
            key = place.device, place.policy
            span = self._reclaimed_until.get(key, self._started), self._now()
            self._reclaimed_until[key] = span[1]
            peers, of_others = self._sorted(place, ring)
            others += self._compared(place, ring, peers, span)
            handoffs += [Task(place, each, span) for each in of_others]
        random.shuffle(handoffs)
        return handoffs, others

    def _compared(
        self, place: ReplicatedPlace, ring: Ring, peers: Mapping[int, tuple[Node, ...]], span: tuple[float, float]
    ) -> list[Task]:
        """The tasks of partitions at home. Neighbors share comparisons; those that follow each other do not."""
        parts = []
        for part in parted(list(peers), self._options.per_device):
            comparisons = compared(ring, {each: peers[each] for each in part}, self._options.compare)
            parts.append([Task(place, each, span, comparisons.get(each, ())) for each in part])
        return [task for tasks in zip_longest(*parts) for task in tasks if task is not None]

    def _sorted(self, place: ReplicatedPlace, ring: Ring) -> tuple[dict[int, tuple[Node, ...]], list[int]]:
        """The peers of partitions that are at home, by partition; and handoff partitions."""
        at_home: dict[int, tuple[Node, ...]] = {}
        handoffs: list[int] = []
        for index, partition in enumerate(place.store.partitions()):
            if partition < ring.partition_count:  # else it is one of another part power
                peers, handoff = self._assign(place, partition, ring)
                if handoff:
                    handoffs.append(partition)
                else:
                    at_home[partition] = peers
            if index % _AT_A_TIME == 0:
                green.sleep(0)
        return at_home, handoffs

    def _assign(self, place: ReplicatedPlace, partition: int, ring: Ring) -> Assignment:
        return assign(ring.primaries(partition), lambda node: node.device == place.device and self._host.is_own(node))

    def _replicate(self, task: Task) -> bool:
        """Return whether all work succeeded."""
        if self._stopping:
            return False
        self._host.rest()
        place, partition, (since, until), comparisons = task
        ring = place.ring()  # perhaps a newer one than when the pass began
        if partition >= ring.partition_count or ring.next_part_power is not None:
            self._skipped_devices.add(place.device)
            return False
        peers, handoff = self._assign(place, partition, ring)
        oldest = Timestamp.from_seconds(self._now() - self._options.reclaim_age)
        if handoff or has_come(partition * _SPREAD % 1.0, self._options.reclaim_interval, since, until):
            self._reclaimed += place.store.reclaim(partition, oldest)
        part = ObjectPart(place, partition, ring)

        def go_on() -> bool:
            return not self._stopping and place.ring() is ring

        work = PartitionWork(part, self._peers, self._options, oldest, go_on)
        try:
            if handoff:
                return work.hand_off(peers)
            group = GroupWork(place, ring, self._peers, self._options, oldest, go_on)
            equal = {each.node for each in comparisons if each.says_equal(partition, group)}
            others = [node for node in peers if node not in equal]
            return work.keep_equal(others) if others else go_on()
        except Conflict as error:  # our role for the partition is unknown
            if not self._misnamed:  # so are all, most likely
                self._peers.logger.error("cannot replicate partition %d of %s: %s", partition, place.device, error)
            self._misnamed = True
            return False


def parted(partitions: list[int], most: int) -> list[list[int]]:
    """Cut partitions into up to `most` parts of neighbors; each begins by chance, so that hosts meet at others."""
    size = max(_LEAST_PART, -(-len(partitions) // most))
    parts = [partitions[first : first + size] for first in range(0, len(partitions), size)]
    random.shuffle(parts)
    starts = [random.randrange(len(part)) for part in parts]
    return [part[start:] + part[:start] for part, start in zip(parts, starts, strict=True)]


_COUNTED = ("sent", "sent_bytes", "refused", "corrupt", "removed")
