"""Requests to all replicas of a name at once, and what each of them answered.

A daemon that finishes what others began must know of every replica, where a client's request is content
with a majority: it removes the last trace of what is left to do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from objstore.core.errors import NodeFailure
from objstore.core.manifests import REPLACED_SEGMENTS
from objstore.core.names import Name
from objstore.core.nodes import Node
from objstore.core.object_lock import HELD
from objstore.core.policies import ring_name
from objstore.core.timestamps import ZERO, Timestamp
from objstore.daemon.delivery import UNREACHABLE, Peers, succeeded
from objstore.runtime import green
from objstore.wire import messages
from objstore.wire.messages import EVEN_EXPIRED, TIMESTAMP, NodeRequest, NodeResponse, Transport, Upload
from objstore.wire.rows import tombstone_row

ALLOW_RESERVED = "X-Backend-Allow-Reserved-Names"

PeersOf = Callable[[str], Peers]


class ReplicaReply(NamedTuple):
    """The answer of a replica. status: UNREACHABLE for no answer."""

    status: int
    headers: Mapping[str, str] = {}

    @property
    def ok(self) -> bool:
        return succeeded(self.status)

    @property
    def known(self) -> bool:
        """Does it say what the replica has: something, or nothing?"""
        return self.ok or self.status == 404

    @property
    def stored(self) -> Timestamp:
        """The newest change that the replica has of the name, ZERO for none."""
        text = self.headers.get(messages.STORED_TIMESTAMP)
        return Timestamp.parse(text) if text else ZERO


class Fate(Enum):
    """The result of a deletion of an object on one replica."""

    ENDED = "deleted, or replaced by a deletion that is newer still"
    NEWER = "it holds something newer"
    ABSENT = "it holds neither the object nor anything newer"
    UNKNOWN = "could not be reached"


def fate(deletion: ReplicaReply, look: ReplicaReply | None, stamp: Timestamp) -> Fate:
    """deletion, look: the replica's answers to DELETE and, where that was refused as too old (409), to HEAD."""
    if deletion.ok:
        return Fate.ENDED
    if HELD in deletion.headers:  # by object lock
        return Fate.UNKNOWN
    if deletion.status in (404, 412):
        return Fate.ABSENT
    if look is None or not look.known:
        return Fate.UNKNOWN
    if look.stored >= stamp:
        return Fate.NEWER if look.ok else Fate.ENDED
    # What refused the deletion may be a promise to a conditional write (doc/consistency.md), and no change.
    return Fate.UNKNOWN if look.ok else Fate.ABSENT


class Deletion(NamedTuple):
    """fates: on each replica. done: did any delete the object just now? segments: left to no one by that, as
    `core.manifests.MANIFEST_OWNS` says them. looks: what those have who refused."""

    fates: list[Fate]
    done: bool
    segments: list[str]
    looks: list[ReplicaReply]


class ReplicaClient:
    """peers: gives, by ring name (`account`, `container`, `object`, `object-N`), the servers of that ring.

    transport: for what is not told to all.
    """

    def __init__(self, peers: PeersOf, transport: Transport) -> None:
        self._peers = peers
        self._transport = transport

    def place(self, name: Name, policy: int = 0) -> tuple[int, tuple[Node, ...]]:
        """Partition and primaries. policy: of objects. Raises ConfigError without a ring."""
        return self._peers(_ring_of(name, policy)).place(name)

    def hash(self, name: Name) -> str:
        return self._peers(name.kind).salt.hash(name)

    def request(
        self, method: str, name: Name, partition: int, headers: Mapping[str, str], policy: int, query: str = ""
    ) -> NodeRequest:
        sent = {**headers, messages.POLICY: str(policy)} if policy and name.object is not None else dict(headers)
        return NodeRequest(method, partition, name, sent, query)

    def ask(self, method: str, name: Name, headers: Mapping[str, str], policy: int = 0) -> list[ReplicaReply]:
        """The reply of each primary, bodies left out."""
        partition, nodes = self.place(name, policy)
        return self._ask_all(nodes, self.request(method, name, partition, headers, policy))

    def delete(self, name: Name, policy: int, stamp: Timestamp, headers: Mapping[str, str] | None = None) -> Deletion:
        """Delete an object as of a time, also where its partition was before it moved."""
        partition, nodes = self.holders(name, policy)
        sent = {TIMESTAMP: stamp.internal, **(headers or {})}
        replies = self._ask_all(nodes, self.request("DELETE", name, partition, sent, policy))
        refused = [index for index, reply in enumerate(replies) if reply.status == 409]
        looks: dict[int, ReplicaReply] = {}
        if refused:
            look = self.request("HEAD", name, partition, {EVEN_EXPIRED: "true"}, policy)
            looks = dict(zip(refused, self._ask_all([nodes[index] for index in refused], look), strict=True))
        fates = [fate(reply, looks.get(index), stamp) for index, reply in enumerate(replies)]
        segments = {reply.headers[REPLACED_SEGMENTS] for reply in replies if REPLACED_SEGMENTS in reply.headers}
        return Deletion(fates, any(reply.ok for reply in replies), sorted(segments), list(looks.values()))

    def holders(self, name: Name, policy: int) -> tuple[int, list[Node]]:
        """The partition of an object, and where it may be: its primaries, and where it was before it moved."""
        partition, primaries = self.place(name, policy)
        return partition, [*primaries, *self._peers(_ring_of(name, policy)).ring().previous(partition)]

    def look(self, name: Name, policy: int) -> list[tuple[Node, ReplicaReply]]:
        """Return the state of an object on each node, expired or not."""
        partition, nodes = self.holders(name, policy)
        request = self.request("HEAD", name, partition, {EVEN_EXPIRED: "true"}, policy)
        return list(zip(nodes, self._ask_all(nodes, request), strict=True))

    def _ask_all(self, nodes: Iterable[Node], request: NodeRequest) -> list[ReplicaReply]:
        waits = [green.spawn(self._ask, node, request) for node in nodes]
        return [wait.wait() for wait in waits]

    def _ask(self, node: Node, request: NodeRequest) -> ReplicaReply:
        try:
            response = self._transport.call(node, request)
            response.close()
        except NodeFailure:
            return ReplicaReply(UNREACHABLE)
        return ReplicaReply(response.status, response.headers)

    def read(self, name: Name, headers: Mapping[str, str], query: str) -> NodeResponse | None:
        """Return the successful answer of any primary to a GET, whose body must be read or closed; None if all fail."""
        partition, nodes = self.place(name)
        request = self.request("GET", name, partition, headers, 0, query)
        for node in random.sample(nodes, len(nodes)):
            try:
                response = self._transport.call(node, request)
            except NodeFailure:
                continue
            if response.ok:
                return response
            response.close()
        return None

    def open(self, node: Node, request: NodeRequest) -> NodeResponse:
        """Raises NodeFailure."""
        return self._transport.call(node, request)

    def upload(self, node: Node, request: NodeRequest, length: int) -> Upload:
        """Raises NodeFailure."""
        return self._transport.upload(node, request, length)

    def send_rows(
        self, name: Name, rows: Iterable[Mapping[str, object]], at: Timestamp, headers: Mapping[str, str] | None = None
    ) -> bool:
        """Merge rows into all replicas of a container or account; return True if all have them."""
        statuses = self._peers(name.kind).send_rows(name, rows, at, headers).values()
        # A replica without the database has nothing that the rows would have to change.
        return bool(statuses) and all(succeeded(status) or status == 404 for status in statuses)


def _ring_of(name: Name, policy: int) -> str:
    return ring_name(policy) if name.object is not None else name.kind


def removal_row(name: str, timestamp: Timestamp, policy: int, now: Timestamp) -> dict[str, object]:
    """The tombstone of a row, of whatever age it is itself remembered from `now` on.

    Databases forget tombstones by the newest of their timestamps. One that ends an old object would else be
    forgotten at once, before a replica that is away could learn of it.
    """
    return tombstone_row(name, timestamp, policy) | {"meta_timestamp": max(timestamp, now).internal}
