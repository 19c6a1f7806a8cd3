"""One partition of one device: sent to those who should have it too, or home, if it is not ours."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from functools import partial
from itertools import islice, takewhile
from typing import NamedTuple

from objstore.core.errors import NodeDeviceGone, NodeFailure, NodeTimeout, NodeUnreachable
from objstore.core.names import Location
from objstore.core.nodes import Node
from objstore.core.timestamps import Timestamp
from objstore.daemon.lanes import FailedNodes
from objstore.replication import objects_plan as plan
from objstore.replication.objects_group import GroupSender
from objstore.replication.objects_line import PeerLine
from objstore.replication.objects_messages import Changes
from objstore.replication.objects_plan import NamedChange
from objstore.replication.objects_sender import Flow, ObjectSender, ObjectSource, SenderBounds
from objstore.ring import Ring
from objstore.runtime.seldom import Seldom
from objstore.store.interface import ReplicaStore
from objstore.wire.messages import Transport

_STAND_INS = 3  # limit of handoffs tried instead of one lost device


class ReplicatedPlace(NamedTuple):
    """The objects of one policy on one device of this host.

    ring: gives the current one. identity: see `objects_messages.device_identity`. tidy: removes what crashed writers
    left on the device.
    """

    device: str
    policy: int
    store: ReplicaStore
    ring: Callable[[], Ring]
    identity: str
    tidy: Callable[[], object]


class ObjectReplicationOptions(NamedTuple):
    """Ages and intervals in seconds. handoff_delete: primaries that must have what a handoff removes, or plan.ALL.

    offer: names in one offer. per_device: partitions of a device worked on at once. compare: partitions compared with
    a peer by one request.
    """

    reclaim_age: float
    reclaim_interval: float = 86400.0
    handoff_delete: int = plan.ALL
    offer: int = 1000
    per_device: int = 4
    bounds: SenderBounds = SenderBounds()
    compare: int = 500


class ObjectPeers:
    """Access to other devices, with their recent failures. counts: of all sent items, by name."""

    def __init__(
        self,
        transport: Transport,
        flow: Flow,
        pause: float,
        logger: logging.Logger,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """pause: seconds for which a host or a device that did not answer is not asked again."""
        self.failed_nodes = FailedNodes(now)
        self.counts: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()  # by node
        self.logger = logger
        self._transport = transport
        self._flow = flow
        self._pause = pause
        self._monotonic = monotonic
        self._avoid: dict[tuple[str, int], dict[str, float]] = {}  # until when, by address and device, "" for all
        self._warnings = Seldom(monotonic=monotonic)

    def line(self, place: ReplicatedPlace, node: Node) -> PeerLine:
        """Raises NodeFailure for one that did not answer recently."""
        avoid = self._avoid.get(node.address, {})
        if max(avoid.get("", 0.0), avoid.get(node.device, 0.0)) > self._monotonic():
            raise NodeFailure("did not answer recently")
        return PeerLine(self._transport, node, place.policy, place.identity)

    def sender(self, part: ObjectPart, node: Node, bounds: SenderBounds) -> ObjectSender:
        """Raises NodeFailure for one that did not answer recently."""
        source = ObjectSource(part.place.store, part.partition, part.place.policy)
        return ObjectSender(source, self.line(part.place, node), bounds, self._flow, self.logger, self._warnings)

    def group_sender(self, place: ReplicatedPlace, node: Node, bounds: SenderBounds) -> GroupSender:
        """Raises NodeFailure for one that did not answer recently."""
        line = self.line(place, node.for_replication)
        return GroupSender(place.store, place.policy, line, bounds, self._flow, self.logger)

    def ended(self, sender: ObjectSender) -> None:
        """Count what was sent."""
        self.group_ended(sender)
        self.counts["refused"] += sender.refused

    def group_ended(self, sender: ObjectSender | GroupSender) -> None:
        self.counts["sent"] += sender.sent
        self.counts["sent_bytes"] += sender.sent_bytes
        self.counts["corrupt"] += sender.corrupt

    def lacks(self, node: Node) -> None:
        """A node, by its address for replication, was not brought up to date."""
        self.failed_nodes.add(str(node))

    def failed(self, node: Node, error: NodeFailure) -> None:
        """Count it, and tell it once in a while."""
        self.lacks(node)
        name, now = str(node), self._monotonic()
        self.failures[name] += 1
        if isinstance(error, (NodeUnreachable, NodeTimeout)):
            self._leave_alone(node, now, isinstance(error, NodeUnreachable))
        level = logging.WARNING if self._warnings.is_due((name, type(error))) else logging.DEBUG
        self.logger.log(level, "%s: %s", node, error)

    def _leave_alone(self, node: Node, now: float, whole: bool) -> None:
        """For a while, the device; the whole host where another device of it is silent, too."""
        avoid = self._avoid.setdefault(node.address, {})
        whole = whole or any(until > now for device, until in avoid.items() if device != node.device)
        silent = "" if whole else node.device
        if avoid.get(silent, 0.0) <= now:
            avoid[silent] = now + self._pause


class Outcome(Enum):
    """The result of a conversation with a peer. LOST: its device is missing."""

    DONE, FAILED, LOST = range(3)


class ObjectPart(NamedTuple):
    """A partition of a place, and the ring that says whose it is."""

    place: ReplicatedPlace
    partition: int
    ring: Ring

    def fits(self, name_hash: str) -> bool:
        return self.ring.partition(name_hash) == self.partition


class PartitionWork:
    """Its calls raise the engine's errors, and Conflict if a peer turns out to be this device itself.

    Each returns whether all work succeeded.
    """

    def __init__(
        self,
        part: ObjectPart,
        peers: ObjectPeers,
        options: ObjectReplicationOptions,
        since: Timestamp,
        go_on: Callable[[], bool] = lambda: True,
    ) -> None:
        """since: older tombstones are not sent. go_on: asked between requests whether to."""
        self._part = part
        self._store = part.place.store
        self._peers = peers
        self._options = options
        self._since = since
        self._go_on = go_on

    def keep_equal(self, primaries: Iterable[Node]) -> bool:
        """Send what these other primaries lack; those that are known to lack nothing may be left out."""
        own_hash = self._store.partition_hash(self._part.partition)
        if not own_hash:
            return True
        bring = partial(self._bring, own_hash)
        outcomes = [self._talk(node, bring) for node in primaries]
        self._stand_in(outcomes.count(Outcome.LOST), bring)
        return all(outcome is Outcome.DONE for outcome in outcomes) and self._go_on()

    def _stand_in(self, lost: int, bring: Callable[[ObjectSender], None]) -> None:
        """As many handoffs get what the devices that are lost should have."""
        candidates = islice(self._part.ring.handoffs(self._part.partition), lost * _STAND_INS)
        while lost and (node := next(candidates, None)) is not None:
            lost -= self._talk(node, bring) is Outcome.DONE

    def _bring(self, own_hash: str, sender: ObjectSender) -> None:
        theirs = sender.compare(own_hash)
        if theirs is not None:
            differing = plan.differing(self._store.suffix_hashes(self._part.partition), theirs)
            for bundle in self._bundles(differing):
                sender.settle(bundle)

    def hand_off(self, primaries: Sequence[Node]) -> bool:
        """Send all there is to the primaries, and remove what enough of them have."""
        needed = plan.confirmations_needed(self._options.handoff_delete, len(primaries))
        answering = list(primaries)
        emptied = True
        for bundle in self._bundles(sorted(self._store.suffix_hashes(self._part.partition))):
            confirmed = []
            for node in tuple(answering):
                of_node: set[NamedChange] = set()
                if self._talk(node, partial(_settle, bundle, of_node)) is not Outcome.DONE:
                    answering.remove(node)
                confirmed.append(of_node)
            if not self._go_on():  # what was confirmed may have been so by those who are no primaries any more
                return False
            emptied &= self._remove(bundle, plan.removable(bundle, confirmed, needed))
        return emptied and self._go_on()

    def _remove(self, bundle: Changes, safe: Changes) -> bool:
        for name_hash, changes in safe.items():
            self._store.forget(Location(self._part.partition, name_hash, self._part.place.policy), changes)
            self._peers.counts["removed"] += len(changes)
        return plan.flat(safe) == plan.flat(bundle)

    def _bundles(self, suffixes: Iterable[str]) -> Iterator[Changes]:
        """Yield the changes of suffixes to offer, until the daemon must stop."""
        parts = (
            plan.worth_sending(self._store.changes(self._part.partition, suffix), self._since, self._part.fits)
            for suffix in suffixes
        )
        return takewhile(lambda _: self._go_on(), plan.bundles(parts, self._options.offer))

    def _talk(self, node: Node, talk: Callable[[ObjectSender], object]) -> Outcome:
        try:
            sender = self._peers.sender(self._part, node.for_replication, self._options.bounds)
            try:
                talk(sender)
            finally:
                self._peers.ended(sender)
            if sender.refused:
                self._peers.lacks(node.for_replication)
            return Outcome.FAILED if sender.refused else Outcome.DONE
        except NodeFailure as error:
            self._peers.failed(node.for_replication, error)
            return Outcome.LOST if isinstance(error, NodeDeviceGone) else Outcome.FAILED


def _settle(bundle: Changes, confirmed: set[NamedChange], sender: ObjectSender) -> None:
    confirmed |= sender.settle(bundle)
