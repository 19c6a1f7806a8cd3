"""The cluster as a proxy sees it: rings, policies, transports to nodes, and their recent failures."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from objstore.cluster.error_limit import ErrorLimiter
from objstore.cluster.node_order import Timings, in_order
from objstore.cluster.quorum import quorum_size
from objstore.cluster.settings import ClusterSettings
from objstore.core.errors import ConfigError, NodeFailure, NodeTimeout
from objstore.core.names import HashSalt, Name
from objstore.core.nodes import Node
from objstore.core.policies import Policies, ring_name
from objstore.core.timestamps import Clock
from objstore.ring import Ring
from objstore.runtime import green
from objstore.runtime.threads import ThreadPool
from objstore.wire.messages import TWIN, NodeRequest, NodeResponse, Transport, UpdateTarget, Upload


class _PlacementFields(NamedTuple):
    partition: int
    primaries: tuple[Node, ...]
    ring: Ring
    headers: Mapping[str, str] = {}


class Placement(_PlacementFields):
    """The place of a name: its partition, the nodes of its replicas, and its ring.

    headers: of each request about it to the nodes. Names of one partition share it.
    """

    def spares(self) -> Iterator[Node]:
        """Yield handoffs for primaries that fail, in the same order in all proxies."""
        return self.ring.handoffs(self.partition)

    @cached_property
    def former(self) -> tuple[Node, ...]:
        """Return the nodes that had the partition before it moved. They hold data that its primaries still lack."""
        return self.ring.previous(self.partition)

    @cached_property
    def is_mostly_new(self) -> bool:
        """Return whether a majority of the primaries may still lack the stored data."""
        former = self.former
        return bool(former) and len(self.primaries) - len(former) < quorum_size(len(self.primaries))


class Spares:
    """The handoffs that the nodes of one write share, looked up when a node fails."""

    __slots__ = ("_find", "_nodes")

    def __init__(self, find: Callable[[], Iterator[Node]]) -> None:
        self._find = find
        self._nodes: Iterator[Node] | None = None

    def __iter__(self) -> Spares:
        return self

    def __next__(self) -> Node:
        if self._nodes is None:
            self._nodes = self._find()
        return next(self._nodes)


_MAX_UPDATES = 4096
_MAX_PLACES = 65_536


class Updates(NamedTuple):
    """Updates to send with a change. headers: for each server, its `UpdateTarget`. place: of the name to update.

    indexes: of the replicas to update, as text.
    """

    place: Placement
    headers: tuple[str, ...]
    indexes: frozenset[str]


class _Own:
    """Servers reached in process."""

    def __init__(self) -> None:
        self.transport: Transport | None = None
        self.addresses: frozenset[tuple[str, int]] = frozenset()


class Transports:
    """The transport to each node: in process for the addresses of this host's own devices, HTTP for the rest."""

    def __init__(self, remote: Transport, own: _Own | None = None, own_timeout: float = 0.0) -> None:
        """own_timeout: seconds that a call in process may take, if fewer than the transport's own; 0: no other
        limit."""
        self._remote = remote
        self._own = own or _Own()
        self._own_timeout = own_timeout

    def use_local(self, transport: Transport, addresses: frozenset[tuple[str, int]]) -> None:
        self._own.transport = transport
        self._own.addresses = addresses

    def with_remote(self, remote: Transport, own_timeout: float = 0.0) -> Transports:
        """Return the same transports, including later `use_local`, with another transport to other hosts, for example
        with other timeouts."""
        return Transports(remote, self._own, own_timeout)

    def is_local(self, node: Node) -> bool:
        return (node.ip, node.port) in self._own.addresses

    def call(self, node: Node, request: NodeRequest) -> NodeResponse:
        own, seconds = self._own, self._own_timeout
        if own.transport is None or (node.ip, node.port) not in own.addresses:
            return self._remote.call(node, request)
        if not seconds:
            return own.transport.call(node, request)
        with green.Bound(seconds, lambda: NodeTimeout(f"{node} took longer than {seconds} s")):
            return own.transport.call(node, request)

    def upload(self, node: Node, request: NodeRequest, length: int | None) -> Upload:
        own = self._own.transport if self.is_local(node) else None
        return (own or self._remote).upload(node, request, length)


class Cluster:
    """The cluster. rings: functions that return the current ring, by name (`account`, `container`, `object`,
    `object-N`)."""

    def __init__(
        self,
        settings: ClusterSettings,
        salt: HashSalt,
        policies: Policies,
        rings: Mapping[str, Callable[[], Ring]],
        transports: Transports,
        logger: logging.Logger,
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings
        self.salt = salt
        self.policies = policies
        self.transports = transports
        self.logger = logger
        self.clock = clock or Clock()
        self._rings = rings
        self._limiter = ErrorLimiter(settings.error_suppression_limit, settings.error_suppression_interval)
        self.is_limited = self._limiter.limited
        self._timings = Timings() if settings.sorting_method == "timing" else None
        self._updates: dict[tuple[Name, int], Updates] = {}
        self._places: dict[tuple[str, int], Placement] = {}
        self.hashing = ThreadPool("md5", 2)

    def place(self, name: Name, policy_index: int = 0) -> Placement:
        """Return the place of a name; policy_index matters only to objects. Raises ConfigError without a ring."""
        if name.object is not None:
            kind = ring_name(policy_index)
        else:
            kind = "account" if name.container is None else "container"
        current = self._rings.get(kind)
        if current is None:
            raise ConfigError(f"there is no ring {kind!r}")
        ring = current()
        name_hash = self.salt.hash(name)
        partition = ring.partition(name_hash)
        if ring.step and (twin := ring.twin(name_hash)) is not None:
            return Placement(partition, ring.primaries(partition), ring, {TWIN: str(twin)})
        known = self._places.get((kind, partition))
        if known is None or known.ring is not ring:
            if known is not None or len(self._places) >= _MAX_PLACES:
                self._places.clear()  # also to let a former ring go
            known = self._places[kind, partition] = Placement(partition, ring.primaries(partition), ring)
        return known

    def updates(self, name: Name, shares: int) -> Updates:
        """Return the nodes of an account or container, divided among `shares` servers that update them.

        One server updates each node, or several do if there are more servers than nodes.
        """
        ring = self._rings["account" if name.container is None else "container"]()
        known = self._updates.get((name, shares))
        if known is not None and known.place.ring is ring:
            return known
        place = self.place(name)
        nodes = place.primaries
        if name.container is None and place.is_mostly_new:
            nodes += place.former  # that lists containers until a primary does
        numbered = list(enumerate(nodes))
        dealt = [
            tuple(numbered[share::shares]) or (numbered[share % len(numbered)],) if numbered else ()
            for share in range(shares)
        ]
        headers = tuple(UpdateTarget(name, place.partition, nodes).encode() for nodes in dealt)
        if len(self._updates) >= _MAX_UPDATES:
            self._updates.clear()
        made = self._updates[name, shares] = Updates(place, headers, frozenset(map(str, range(len(place.primaries)))))
        return made

    def read_order(self, place: Placement) -> Iterator[Node]:
        """Return the nodes to read from: primaries in the order of affinity, former nodes of the partition, then
        handoffs.

        Nodes that failed recently are left out, unless all did.
        """
        settings = self.settings
        primaries = place.primaries
        if len(primaries) > 1:
            primaries = tuple(in_order(primaries, settings.read_affinity, self.transports.is_local, self._timings))
        seen: set[int] = set()
        if primaries and not self._limiter.limited(primaries[0]):
            seen.add(primaries[0].id)
            yield primaries[0]  # its answer is good mostly, and the others need not be known
        number, times = settings.request_node_count
        former = place.former
        most = (number * len(primaries) if times else number) + len(former) - len(seen)
        candidates = itertools.chain(primaries, former, place.spares())
        yield from itertools.islice(self._unlimited(candidates, seen), most)
        if not seen:
            yield from primaries

    def write_order(self, place: Placement) -> tuple[list[Node], Iterator[Node]]:
        """Return the nodes to write to, one per replica, and the handoffs for nodes that fail."""
        affinity = self.settings.write_affinity
        if not affinity:
            return list(place.primaries), Spares(lambda: self._unlimited(place.spares(), set()))
        everyone = [*place.primaries, *itertools.islice(place.spares(), 4 * len(place.primaries))]
        preferred = in_order(everyone, affinity, self.transports.is_local, None, shuffle=lambda _: None)
        count = len(place.primaries)
        return preferred[:count], self._unlimited(iter(preferred[count:]), set())

    def _unlimited(self, nodes: Iterator[Node], seen: set[int]) -> Iterator[Node]:
        """The nodes that did not fail recently, each once. seen: ids of those to leave out; the others are added."""
        for node in nodes:
            if node.id not in seen and not self._limiter.limited(node):
                seen.add(node.id)
                yield node

    def call(self, node: Node, request: NodeRequest) -> NodeResponse:
        """Call a node as `Transport.call`, and count its failures."""
        timings = self._timings
        started = 0.0 if timings is None else time.monotonic()
        try:
            response = self.transports.call(node, request)
        except NodeFailure as failure:
            self.note_failure(node, request, failure)
            raise
        if timings is not None:
            timings.add(node, time.monotonic() - started)
        self.note_answer(node, response.status)
        return response

    def note_failure(self, node: Node, request: NodeRequest, failure: BaseException) -> None:
        self._limiter.failed(node)
        trace = {"trans_id": request.headers.get("X-Trans-Id", "")}
        self.logger.warning("%s %s at %s: %s", request.method, request.name.path, node, failure, extra=trace)

    def note_answer(self, node: Node, status: int) -> None:
        if status < 500:
            if self._limiter.errors:
                self._limiter.answered(node)
        elif status == 507:
            self._limiter.shut_out(node)
            self.logger.warning("%s is full or not mounted", node)
        elif status == 529:  # the rate of its device is limited: it is well, and the next request may be in time
            self.logger.debug("%s has too many requests", node)
        else:
            self._limiter.failed(node)
            self.logger.warning("%s answered %s", node, status)
