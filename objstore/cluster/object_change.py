"""A change to an object, as a value: the place of the object, the requests to its nodes, and the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from objstore.cluster.cluster import Cluster, Placement, Updates
from objstore.cluster.failures import failure
from objstore.cluster.writes import WriteResult
from objstore.core.errors import Conflict, ObjectHeld, ObjstoreError
from objstore.core.expiry_queue import ExpiryQueue
from objstore.core.lives import LIFE
from objstore.core.names import Name
from objstore.core.object_lock import HELD
from objstore.core.timestamps import DECIDED, ZERO, Timestamp, just_after
from objstore.layers.interface import RenameSource
from objstore.web.write_conditions import WriteCondition
from objstore.wire import messages
from objstore.wire.messages import NodeRequest


class ObjectPlace(NamedTuple):
    """An object and its nodes. headers: of each request about it (policy, transaction id)."""

    cluster: Cluster
    name: Name
    policy: int
    nodes: Placement
    headers: Mapping[str, str]

    @classmethod
    def of(cls, cluster: Cluster, name: Name, policy: int, trace: Mapping[str, str]) -> ObjectPlace:
        headers = {**trace, messages.POLICY: str(policy)} if policy else trace
        return cls(cluster, name, policy, cluster.place(name, policy), headers)

    def beside(self, other: str) -> ObjectPlace:
        """Return the place of another object of the same container and policy."""
        name = self.name._replace(object=other)
        return self._replace(name=name, nodes=self.cluster.place(name, self.policy))

    @property
    def replicas(self) -> int:
        return len(self.nodes.primaries)

    def request(self, method: str, headers: Mapping[str, str] | None = None) -> NodeRequest:
        """Return a request that changes nothing."""
        sent = {**self.headers, **headers} if headers else self.headers
        return NodeRequest(method, self.nodes.partition, self.name, sent)


class ObjectChange(NamedTuple):
    """A change of an object, with its time.

    headers: stored with it or needed by nodes. timestamp: of the change; it is increased until it wins, unless it is
    final. decided: it depends on the stored state, see `core.timestamps.DECIDED`. updates, expiry: receivers of the
    nodes' updates. late: additional headers, known after the body was read. life: of the container, for the row; '' for
    a row that is always accepted.
    """

    place: ObjectPlace
    method: str
    headers: Mapping[str, str]
    timestamp: Timestamp
    updates: Updates
    expiry: tuple[str, ...] = ()
    condition: WriteCondition | None = None
    rename: RenameSource | None = None
    late: Callable[[], Mapping[str, str]] | None = None
    life: str = ""
    final: bool = False
    decided: bool = False

    @classmethod
    def of(
        cls,
        place: ObjectPlace,
        method: str,
        headers: Mapping[str, str],
        timestamp: Timestamp | None = None,
        condition: WriteCondition | None = None,
        life: str = "",
    ) -> ObjectChange:
        """Make a change. timestamp: final; None for now."""
        cluster = place.cluster
        expires = headers.get("X-Delete-At")
        sent = {**headers, **place.nodes.headers, **place.headers}
        if life:
            sent[LIFE] = life
        return cls(
            place,
            method,
            sent,
            timestamp or cluster.clock.now(),
            cluster.updates(place.name.of_container, place.replicas),
            _expiry_updates(place, expires) if expires else (),
            condition,
            life=life,
            final=timestamp is not None,
        )

    def requests(self, body: bytes = b"", extra: Mapping[str, str] | None = None) -> list[NodeRequest]:
        """Return the request for each replica, which differ in the receivers of updates."""
        made = []
        common = {**self.headers, **(extra or {}), messages.TIMESTAMP: self.timestamp.internal}
        partition = self.place.nodes.partition
        for index, update in enumerate(self.updates.headers):
            headers = {**common, messages.CONTAINER_UPDATE: update}
            if self.expiry:
                headers[messages.EXPIRY_UPDATE] = self.expiry[index]
            made.append(NodeRequest(self.method, partition, self.place.name, headers, "", body))
        return made

    def with_headers(self, more: Mapping[str, str]) -> ObjectChange:
        return self._replace(headers={**self.headers, **more}) if more else self

    # Timestamps

    def at(self, timestamp: Timestamp) -> ObjectChange:
        return self._replace(timestamp=Timestamp(timestamp.raw, DECIDED) if self.decided else timestamp)

    def newer_than(self, conflict: Timestamp) -> ObjectChange | None:
        """Return the change to send again if a node holds something newer; None if none does, or it is final."""
        if conflict < self.timestamp or conflict == ZERO or self.final:
            return None
        return self.at(self.place.cluster.clock.after(conflict))

    def renewed(self) -> ObjectChange:
        """Return the same change with the current time, after its body was read."""
        return self if self.final else self.at(self.place.cluster.clock.after(self.timestamp))

    def proposed(self) -> Timestamp:
        """Return the approximate time of a change that is not decided yet."""
        return self.timestamp if self.final else self.place.cluster.clock.now()

    def within(self, floor: Timestamp, promise: Timestamp) -> ObjectChange | None:
        """Return the decided change with a timestamp newer than `floor`; None if that is newer than `promise`.

        Raises Conflict if its timestamp is final, and not newer than `floor`.
        """
        if self.final and self.timestamp <= floor:
            raise Conflict("something newer is stored", floor)
        decided = self._replace(decided=True)
        if not self.final:
            decided = decided.at(self.place.cluster.clock.after(floor))
        return decided if decided.timestamp <= promise else None

    def undone(self) -> ObjectChange:
        """Return the deletion of the written object, and of nothing newer."""
        return ObjectChange.of(self.place, "DELETE", {}, just_after(self.timestamp))


class Sent(NamedTuple):
    """The result of a change. change: with its last timestamp and all headers. size: bytes of its body."""

    written: WriteResult
    change: ObjectChange
    size: int = 0

    @property
    def status(self) -> int:
        return self.written.status

    def failure(self) -> ObjstoreError:
        """Return the error for a change that was not made."""
        held = self.written.header(HELD) if self.status == 412 else ""
        return ObjectHeld(held) if held else failure(self.status)


def _expiry_updates(place: ObjectPlace, expires: str) -> tuple[str, ...]:
    cluster = place.cluster
    settings = cluster.settings
    queue = ExpiryQueue(settings.expiring_objects_account, settings.expiring_objects_container_divisor)
    container = queue.container(int(expires), cluster.salt.hash(place.name))
    return cluster.updates(container, place.replicas).headers
