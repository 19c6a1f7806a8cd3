"""Keeps the replicas of accounts and containers equal: this host's databases are pushed to the other primaries.

A unit is a partition of a device; those that belong elsewhere come first. Each peer gets a list of the partition's
databases in one request, and then all that it lacks. A database on a device that is no primary is removed when all
primaries have it. What was deleted is forgotten after `reclaim_age`: rows when all primaries have them deleted too, a
database when all primaries know.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from objstore.core.errors import (
    Corrupt,
    DeviceUnavailable,
    LockTimeout,
    NodeDeviceGone,
    NodeFailure,
    NodeTimeout,
    NodeUnreachable,
    NotFound,
    ObjstoreError,
)
from objstore.core.names import Location
from objstore.core.nodes import Node
from objstore.core.timestamps import Timestamp
from objstore.daemon.lanes import DeviceWork, FailedNodes, Passes
from objstore.daemon.rounds import Interrupted
from objstore.replication.assignment import assign, has_come
from objstore.replication.databases import DatabaseBounds, Difference, forgettable
from objstore.replication.databases_sender import DatabaseSender, PeerBusy, SenderMeans, SentCounts, Unusable, check_own
from objstore.ring import Ring
from objstore.runtime.seldom import Seldom
from objstore.runtime.throttle import Throttle
from objstore.store.databases.replicas import Replicas
from objstore.store.databases.summaries import DatabaseSummary
from objstore.wire.messages import Transport

_MAX_SENT_AGAIN = 10_000
_SWEEP_AGE = 86_400.0  # of what a killed transfer or removal left, in seconds


class DeviceReplicas(NamedTuple):
    """The databases of one device. name: of the device."""

    name: str
    replicas: Replicas


class Around(NamedTuple):
    """The environment of a replicator. devices: those that can be used now. is_own: whether a node is a device of this
    host."""

    devices: Callable[[], Iterable[DeviceReplicas]]
    ring: Callable[[], Ring]
    is_own: Callable[[Node], bool]
    transport: Transport
    logger: logging.Logger


class DatabaseReplicationOptions(NamedTuple):
    """reclaim_age, reclaim_interval in seconds; row_rate in rows a second, 0 for no limit; per_device: partitions at
    once. compare_every: passes from one comparison of a partition in which nothing changes to the next."""

    reclaim_age: float = 7 * 86400.0
    reclaim_interval: float = 86400.0
    row_rate: float = 0.0
    per_device: int = 1
    compare_every: int = 1
    bounds: DatabaseBounds = DatabaseBounds()


class DatabasePart(NamedTuple):
    """A partition of a device; peers and handoff: as of `Assignment`."""

    partition: int
    peers: tuple[Node, ...]
    handoff: bool


def is_due(name_hash: str, since: float, until: float, interval: float) -> bool:
    """Does the moment of a database, one in each interval and its own, lie between two times (in seconds)?"""
    return has_come(int(name_hash[:8], 16) / (1 << 32), interval, since, until)


class DatabaseReplicator:
    """Its `passes` are for a `runner.Daemon`."""

    def __init__(
        self, around: Around, options: DatabaseReplicationOptions, now: Callable[[], float] = time.time
    ) -> None:
        self._around = around
        self._options = options
        self._now = now
        self._sent = SentCounts()
        self._throttle = Throttle(options.row_rate)
        self._stopping = False
        self._means = SenderMeans(around.transport, options.bounds, self._take_rows, self._sent)
        self._failed = FailedNodes(now)
        self._passes: Passes[DatabasePart] = Passes(self._failed, options.per_device, options.compare_every, now)
        self._since: dict[str, float] = {}  # by device: up to when it was decided what is due
        self._equal: dict[tuple[str, int], tuple[int, int]] = {}  # see `_is_known_equal`
        self._sent_again: set[tuple[str, int, int]] = set()  # see `_Partition`
        self._failure_log = Seldom()
        self._removed = self._forgotten = self._reclaimed = self._failures = 0

    def passes(self) -> Iterator[Callable[[], None]]:
        """One pass; a unit is a partition of a device."""
        return self._passes.units({device.name: self._work(device) for device in self._around.devices()})

    def stop(self) -> None:
        """Let units under way end soon: what is not sent yet is left for the next start."""
        self._stopping = True

    def _take_rows(self, amount: float) -> None:
        if self._stopping:
            raise Interrupted
        self._throttle.take(amount)

    def status(self) -> Mapping[str, object]:
        """Return the numbers of the current or last pass, and, in names that end in `_total`, since the start."""
        return {
            **self._passes.report(),
            **{f"{name}_total": count for name, count in vars(self._sent).items()},
            "removed_total": self._removed,
            "forgotten_total": self._forgotten,
            "rows_reclaimed_total": self._reclaimed,
            "failures_total": self._failures,
        }

    def _work(self, device: DeviceReplicas) -> DeviceWork[DatabasePart]:
        began = self._now()
        since = self._since.get(device.name, began)

        def end() -> bool:
            self._since[device.name] = began
            return True

        return DeviceWork(
            partial(self._plan, device),
            partial(self._partition, device, (since, began)),
            lambda: {device.replicas.kind: self._around.ring().version},
            end,
        )

    def _plan(self, device: DeviceReplicas) -> tuple[list[DatabasePart], list[DatabasePart]]:
        device.replicas.sweep(self._now() - _SWEEP_AGE)
        ring = self._around.ring()
        partitions = [number for number in device.replicas.partitions() if number < ring.partition_count]
        there = set(partitions)
        for key in [key for key in self._equal if key[0] == device.name and key[1] not in there]:
            del self._equal[key]
        random.shuffle(partitions)  # hosts then meet at different ones
        parts = [self._part(device, ring, partition) for partition in partitions]
        return [part for part in parts if part.handoff], [part for part in parts if not part.handoff]

    def _part(self, device: DeviceReplicas, ring: Ring, partition: int) -> DatabasePart:
        return DatabasePart(partition, *assign(ring.primaries(partition), partial(self._is_here, device)))

    def _is_here(self, device: DeviceReplicas, node: Node) -> bool:
        return node.device == device.name and self._around.is_own(node)

    # One partition

    def _partition(self, device: DeviceReplicas, due: tuple[float, float], planned: DatabasePart) -> bool:
        """Bring all peers up to date with a partition; did that succeed?"""
        ring = self._around.ring()  # perhaps newer than the plan
        part = self._part(device, ring, planned.partition)
        replicas = device.replicas
        locations = replicas.of_partition(part.partition)
        # What the ring places in another partition, as one of another part power did, is left alone.
        summaries = replicas.summaries(item for item in locations if ring.partition(item.hash) == part.partition)
        if not summaries:
            if part.handoff:
                replicas.drop_empty(part.partition)
            return True
        if not part.handoff and self._is_known_equal(device, part, summaries, due):
            return True
        failure_log = FailureLog(self._around.logger, self._failure_log)
        work = _Partition(failure_log, self._means, replicas, part, self._before(), self._sent_again)
        try:
            succeeded = work.push(summaries, ring.handoffs(part.partition), partial(self._is_here, device))
        except Interrupted:
            return False
        self._failures += work.failures
        self._failed.add(*work.failed_peers)
        if not part.handoff:
            if succeeded and self._options.compare_every > 1:
                self._equal[device.name, part.partition] = (_state(part, summaries), 0)
            self._reclaim(replicas, work, summaries, due)
        elif part.peers:
            succeeded &= self._leave(replicas, work, summaries)
        return succeeded

    def _is_known_equal(
        self,
        device: DeviceReplicas,
        part: DatabasePart,
        summaries: Mapping[str, DatabaseSummary],
        due: tuple[float, float],
    ) -> bool:
        """Were the peers found equal a short time ago, and has nothing changed, nor is there anything to forget?"""
        key, state = (device.name, part.partition), _state(part, summaries)
        known, passes = self._equal.pop(key, (0, 0))
        if known != state or passes + 1 >= self._options.compare_every or self._is_any_due(summaries, due):
            return False
        self._equal[key] = (state, passes + 1)
        return True

    def _is_any_due(self, summaries: Mapping[str, DatabaseSummary], due: tuple[float, float]) -> bool:
        before, interval = self._before(), self._options.reclaim_interval
        return any(forgettable(own, before) or is_due(key, *due, interval) for key, own in summaries.items())

    def _before(self) -> Timestamp:
        """Return the time before which deletions may be forgotten."""
        return Timestamp.from_seconds(max(0.0, self._now() - self._options.reclaim_age))

    def _leave(self, replicas: Replicas, work: _Partition, summaries: Mapping[str, DatabaseSummary]) -> bool:
        """Remove what all primaries have from where it does not belong; is nothing left?"""
        left = 0
        for name_hash, summary in summaries.items():
            location = Location(work.part.partition, name_hash)
            gone = work.is_everywhere(name_hash, stand_ins=True) and _quietly(replicas.remove_moved, location, summary)
            self._removed += bool(gone)
            left += not gone
        if not left:
            replicas.drop_empty(work.part.partition)
        return not left

    def _reclaim(
        self, replicas: Replicas, work: _Partition, summaries: Mapping[str, DatabaseSummary], due: tuple[float, float]
    ) -> None:
        """Forget what was deleted, where all primaries know of it."""
        before = self._before()
        for name_hash, summary in summaries.items():
            if not work.is_everywhere(name_hash, stand_ins=False):
                continue
            location = Location(work.part.partition, name_hash)
            if forgettable(summary, before):
                self._forgotten += bool(_quietly(replicas.remove, location, before))
            elif is_due(name_hash, *due, self._options.reclaim_interval):
                self._reclaimed += _quietly(replicas.reclaim, location, before, summary.max_row) or 0


class FailureLog(NamedTuple):
    """The log of failures, each written once: a failure of a node would repeat for each partition."""

    logger: logging.Logger
    seldom: Seldom

    def of_node(self, node: Node, level: int, error: Exception) -> None:
        due = self.seldom.is_due((str(node), type(error)))
        text = str(error)
        self.logger.log(level if due else logging.DEBUG, "%s", text if str(node) in text else f"{node}: {text}")


class _Partition:
    """The work for the databases of one partition."""

    def __init__(
        self,
        failure_log: FailureLog,
        means: SenderMeans,
        replicas: Replicas,
        part: DatabasePart,
        before: Timestamp,
        sent_again: set[tuple[str, int, int]],
    ) -> None:
        """sent_again: databases, nodes and last rows for which all rows were sent, as totals did not agree."""
        self.part = part
        self._sent_again = sent_again
        self.failures = 0
        self.failed_peers: set[str] = set()  # by their addresses for replication
        self._failure_log = failure_log
        self._logger = failure_log.logger
        self._means = means
        self._replicas = replicas
        self._before = before
        self._confirmed: dict[str, set[int]] = {}  # by hash: ids of the nodes that have it as it was summed up

    def is_everywhere(self, name_hash: str, stand_ins: bool) -> bool:
        """Have all primaries this database as it was summed up? stand_ins: or who stands in for them."""
        confirmed = self._confirmed.get(name_hash, set())
        if stand_ins:
            return len(confirmed) >= len(self.part.peers)
        return confirmed.issuperset(node.id for node in self.part.peers)

    def push(
        self, summaries: Mapping[str, DatabaseSummary], spare: Iterator[Node], is_here: Callable[[Node], bool]
    ) -> bool:
        """Update the primaries; instead of one whose device is gone, the next of `spare`."""
        self.failed_peers = {
            str(peer.for_replication) for peer in self.part.peers if not self._push_to(peer, summaries, spare, is_here)
        }
        return not self.failed_peers

    def _push_to(
        self,
        peer: Node,
        summaries: Mapping[str, DatabaseSummary],
        spare: Iterator[Node],
        is_here: Callable[[Node], bool],
    ) -> bool:
        """Is this primary itself up to date then?"""
        node: Node | None = peer
        while node is not None:
            try:
                return self._push(node, summaries) and node is peer
            except NodeDeviceGone as error:
                self._failure_log.of_node(node, logging.INFO, error)
                node = next(spare, None)
                if node is not None and is_here(node):
                    break  # this very device stands in
            except NodeFailure as error:
                self.failures += 1
                self._failure_log.of_node(node, logging.INFO if isinstance(error, PeerBusy) else logging.WARNING, error)
                break
        return False

    def _push(self, node: Node, summaries: Mapping[str, DatabaseSummary]) -> bool:
        sender = DatabaseSender(self._replicas, node.for_replication, self._means)
        found = sender.compare(self.part.partition, summaries)
        succeeded = True
        for name_hash, summary in summaries.items():
            self._means.take_rows(0)
            difference = found.get(name_hash)
            if difference is None or self._bring(sender, node, name_hash, summary, difference):
                self._confirmed.setdefault(name_hash, set()).add(node.id)
            else:
                succeeded = False
        return succeeded

    def _bring(
        self, sender: DatabaseSender, node: Node, name_hash: str, summary: DatabaseSummary, difference: Difference
    ) -> bool:
        """Raises NodeDeviceGone, and NodeFailure if the rest of the databases has no better chance."""
        location = Location(self.part.partition, name_hash)
        if not difference.id and forgettable(summary, self._before):
            return True  # it is forgotten there
        if difference.total:
            self._logger.error("%s %s: totals differ after all rows were exchanged", self._replicas.kind, name_hash)
            if not self._is_worth_trying((name_hash, node.id, summary.max_row)):
                return False
        try:
            sender.bring(location, summary, difference)
            if difference.total:
                self._sent_again.add((name_hash, node.id, summary.max_row))
            return not difference.total
        except PeerBusy as error:
            self._logger.debug("%s partition %d: %s", self._replicas.kind, self.part.partition, error)
        except Unusable as error:
            self._failed(error)
            if not check_own(self._replicas, location):
                self._logger.error("%s %s is damaged here, and quarantined", self._replicas.kind, name_hash)
        except (NotFound, Corrupt):
            pass  # it is gone; another replica sees to it
        except (NodeDeviceGone, NodeUnreachable, NodeTimeout, DeviceUnavailable):
            raise
        except (NodeFailure, ObjstoreError) as error:
            self._failed(error)
        return False

    def _is_worth_trying(self, attempt: tuple[str, int, int]) -> bool:
        """Sending all rows again may not help if the totals of a database are wrong: an auditor finds that."""
        if len(self._sent_again) >= _MAX_SENT_AGAIN:
            self._sent_again.clear()
        return attempt not in self._sent_again

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self._logger.warning("%s partition %d: %s", self._replicas.kind, self.part.partition, error)


def _state(part: DatabasePart, summaries: Mapping[str, DatabaseSummary]) -> int:
    """Equal where peers and databases are the same; only within this process."""
    state = frozenset((key, own.id, own.max_row, own.digest) for key, own in summaries.items())
    return hash((tuple(node.id for node in part.peers), state))


def _quietly(call: Callable[..., object], *args: object) -> Any:
    """Return the result of a removal; None if it must be retried in a later pass."""
    try:
        return call(*args)
    except (NotFound, Corrupt, LockTimeout):
        return None
