"""A change to an object on its way to the nodes that keep it, and to those that list it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from objstore.cluster.cluster import Cluster, Placement
from objstore.cluster.decided_write import DecidedWrite
from objstore.cluster.former import Former, Stored, stored
from objstore.cluster.writes import Written, write
from objstore.core.errors import Conflict, NodeTimeout
from objstore.core.expiry_queue import ExpiryQueue
from objstore.core.lives import LIFE
from objstore.core.names import Name
from objstore.core.nodes import Node
from objstore.core.timestamps import DECIDED, ZERO, Timestamp, just_after
from objstore.runtime import green
from objstore.swift.request import ProxyRequest
from objstore.web import traces
from objstore.web.write_conditions import WriteCondition
from objstore.wire import messages
from objstore.wire.messages import NodeRequest, NodeResponse
from objstore.wire.rows import ListedObject, object_row, rows_request, tombstone_row
from objstore.wire.telling import tell_all


class ObjectChange:
    """A change to an object on its way to the nodes, with a timestamp that is moved on until it wins.

    life: of the container that is to list it, as `web.infos.ContainerInfo` has it; '' for a row that is taken in any
    case.
    """

    def __init__(
        self, cluster: Cluster, request: ProxyRequest, policy: int, headers: Mapping[str, str], life: str = ""
    ) -> None:
        self.cluster = cluster
        self.name: Name = request.name
        self.policy = policy
        self.place: Placement = cluster.place(request.name, policy)
        self.timestamp = request.timestamp(cluster.clock)
        self.size = 0
        self.condition = WriteCondition.of(request.environ)
        self.decided = False  # on what is there: see `core.timestamps.DECIDED`
        self.dated = request.dated
        self._headers = {**headers, **self.place.headers}
        self._updates = cluster.updates(request.name.of_container, len(self.place.primaries))
        self._expiry = self._expiry_updates()
        if policy:
            self._headers[messages.POLICY] = str(policy)
        self.trace = traces.carried(request.environ)
        self._headers.update(self.trace)
        self._life = life
        if life:
            self._headers[LIFE] = life

    def add(self, headers: Mapping[str, str]) -> None:
        """More to keep with the object, before it is sent or its row is told."""
        self._headers.update(headers)

    def _expiry_updates(self) -> tuple[str, ...]:
        expires = self._headers.get("X-Delete-At")
        if not expires:
            return ()
        settings = self.cluster.settings
        queue = ExpiryQueue(settings.expiring_objects_account, settings.expiring_objects_container_divisor)
        container = queue.container(int(expires), self.cluster.salt.hash(self.name))
        return self.cluster.updates(container, len(self.place.primaries)).headers

    def node_requests(self, method: str, body: bytes, extra: Mapping[str, str] | None = None) -> list[NodeRequest]:
        """The request for each replica, which differ in whom the nodes are to tell."""
        made = []
        common = {**self._headers, **(extra or {}), messages.TIMESTAMP: self.timestamp.internal}
        for index, update in enumerate(self._updates.headers):
            headers = {**common, messages.CONTAINER_UPDATE: update}
            if self._expiry:
                headers[messages.EXPIRY_UPDATE] = self._expiry[index]
            made.append(NodeRequest(method, self.place.partition, self.name, headers, "", body))
        return made

    def outdated(self, conflict: Timestamp) -> bool:
        """Does a node hold something newer? Then the change is to be sent again, now with a newer timestamp."""
        if conflict < self.timestamp or conflict == ZERO or self.dated:
            return False
        self._stamp(self.cluster.clock.after(conflict))
        return True

    def _stamp(self, timestamp: Timestamp) -> None:
        self.timestamp = Timestamp(timestamp.raw, DECIDED) if self.decided else timestamp

    def renew(self) -> None:
        """Its body has come: that is when it is made."""
        if not self.dated:
            self._stamp(self.cluster.clock.after(self.timestamp))

    def proposed(self) -> Timestamp:
        """About when a change will be made that is yet to be decided."""
        return self.timestamp if self.dated else self.cluster.clock.now()

    def surpass(self, floor: Timestamp, promise: Timestamp) -> bool:
        """Take a timestamp between these as that of a decided change; False where there is none.

        Raises Conflict where the change brought its own, and it is not newer than the first.
        """
        self.decided = True
        if not self.dated:
            self._stamp(self.cluster.clock.after(floor))
        elif self.timestamp <= floor:
            raise Conflict("something newer is stored", floor)
        return self.timestamp <= promise

    def send(self, method: str, body: bytes = b"") -> Written:
        """To all replicas, again and again until no node has anything newer.

        Raises PreconditionFailed where the change has a condition that does not hold, Conflict
        where others change the name all the time.
        """
        self.size = len(body)
        if self.condition is not None:
            return DecidedWrite(self, self.condition).send(method, body)
        alike = _DELETED if method == "DELETE" else {}
        unmoved = self.look_back()
        while True:
            requests = self.node_requests(method, body)
            ask = Former(self.cluster, self.place).attempt_post if method == "POST" else None
            written = write(self.cluster, self.place, requests, lambda status: alike.get(status, status), ask)
            if method != "POST" and written.status < 300:
                written.answers.extend(unmoved.answers(written.status))
            rival = written.conflict
            if written.status < 300 and rival > self.timestamp and not self.dated:
                return self._overtaken(method, body, written, rival)
            if not self.outdated(rival):
                return written

    def _overtaken(self, method: str, body: bytes, written: Written, rival: Timestamp) -> Written:
        """A majority took the change, one node has something newer: see doc/consistency.md."""
        if rival.offset == DECIDED:
            return written  # decided by a majority, and so with the knowledge of this change
        again = DecidedWrite(self, None)
        if not again.make_again():
            return written
        second = again.send_taken(method, body)
        return second if second.status < 300 else written

    def look_back(self) -> Stored:
        """Be newer than what is stored where the partition was; says what of that no primary has yet."""
        found = stored(self.cluster, self.place, self.name, self.policy, self.trace)
        self.outdated(found.newest)
        return found

    def row(self, etag: str, size: int) -> dict[str, Any]:
        """The container's row of what was PUT."""
        assert self.name.object is not None
        stamp = self.timestamp
        kind = self._headers["Content-Type"]
        listed = ListedObject(self.name.object, stamp, stamp, stamp, size, etag, kind, self._headers)
        return object_row(listed, self.policy)

    def tombstone(self) -> dict[str, Any]:
        assert self.name.object is not None
        return tombstone_row(self.name.object, self.timestamp, self.policy)

    def withdraw(self, request: ProxyRequest) -> None:
        """Delete what was written, and nothing newer: as if it had never been there."""
        undo = ObjectChange(self.cluster, request, self.policy, {})
        undo.timestamp, undo.dated, undo.condition = just_after(self.timestamp), True, None
        undo.tell_the_rest(undo.send("DELETE"), undo.tombstone)

    @property
    def container_replicas(self) -> int:
        return self._updates.replicas

    def tell_the_rest(self, written: Written, row: Callable[[], dict[str, Any]]) -> dict[int, int]:
        """Tell the container replicas that no object server told, because it failed or is late, and former ones
        that may have to answer for primaries without a database. The status of each that was told, by its index;
        those of former ones, which stand in for no one, have negative indexes."""
        told = {index for answer in written.answers for index in answer.headers.get(messages.UPDATED, "").split(",")}
        place = self.cluster.place(self.name.of_container)
        left = {index: node for index, node in enumerate(place.primaries) if str(index) not in told}
        if place.is_mostly_new:
            left.update((-1 - index, node) for index, node in enumerate(place.former))
        return _tell(self, place, left, row(), self._life) if left else {}

    def tell(self, replicas: Iterable[int], row: Mapping[str, Any], life: str = "") -> dict[int, int]:
        """Tell container replicas of this row, by their indexes; the status of each. life: as of the class."""
        place = self.cluster.place(self.name.of_container)
        primaries = dict(enumerate(place.primaries))
        return _tell(self, place, {index: primaries[index] for index in replicas if index in primaries}, row, life)


_DELETED = {404: 204}  # for the vote: the tombstone is there in either case


def _tell(
    change: ObjectChange, place: Placement, nodes: Mapping[int, Node], row: Mapping[str, Any], life: str
) -> dict[int, int]:
    """Replicas that are down, or take longer than `update_timeout`, get the row by replication of the container."""
    headers = {LIFE: life} if life else None
    sent = rows_request(change.name.of_container, place.partition, [row], change.timestamp.internal, headers)
    return tell_all(_Brief(change.cluster), nodes, sent)


class _Brief(NamedTuple):
    """A cluster whose nodes have little time to answer: someone waits who could be answered without them."""

    cluster: Cluster

    def call(self, node: Node, request: NodeRequest) -> NodeResponse:
        seconds = self.cluster.settings.update_timeout
        with green.Bound(seconds, lambda: NodeTimeout(f"{node} took longer than {seconds} s")):
            return self.cluster.call(node, request)
