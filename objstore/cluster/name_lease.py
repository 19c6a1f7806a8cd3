"""The lease of a name on a majority of its primaries.

The first reachable primary is asked first, and alone: all but one of the competitors wait there, and hold nothing that
the winner needs. Handoffs give no leases.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator

from objstore.cluster.lease_decision import NodeState
from objstore.cluster.object_change import ObjectPlace
from objstore.cluster.quorum import quorum_size
from objstore.cluster.reads import stored_timestamp
from objstore.cluster.writes import gather
from objstore.core.errors import NodeFailure, NodeTimeout
from objstore.core.manifests import shown_etag
from objstore.core.nodes import Node
from objstore.core.object_lock import CLOCK, LOCK
from objstore.core.timestamps import ZERO, Timestamp
from objstore.runtime import green
from objstore.wire import messages
from objstore.wire.messages import NodeResponse

_FOLLOWERS_WAIT = 0.5  # seconds; a holder that lost the first primary releases the others quickly
# Seconds that one request waits at a node: much less than the node timeout, because otherwise the node would go on
# waiting, and give the lease in the end, for a proxy that is gone.
_ONE_WAIT = 1.0


class NameLease:
    """A lease. id: of the holder, for changes under the lease. granted: the state of the name on each node that gave
    it."""

    def __init__(self, place: ObjectPlace) -> None:
        self.id = secrets.token_hex(8)
        self.granted: dict[Node, NodeState] = {}
        self._place = place
        self._cluster = place.cluster
        self._closed = False  # leases granted from now on are given back at once
        self._contended = 0  # nodes on which another holds the name
        self._failed = 0

    def acquire(self, stamp: Timestamp, seconds: float) -> bool:
        """Wait for the lease, for at most `seconds`; return False if another holds the name.

        stamp: approximate time of the change. Raises NodeFailure if too few nodes answer.
        """
        replicas = self._place.replicas
        needed = quorum_size(replicas)
        nodes = self._candidates(needed)
        wait = min(seconds, _ONE_WAIT, self._cluster.settings.node_timeout / 4)
        try:
            for node in nodes:
                self._ask(node, stamp, wait)
                if self.granted or self._contended:
                    break
            if self.granted:
                jobs = [lambda node=node: self._ask(node, stamp, _FOLLOWERS_WAIT) for node in nodes]
                gather(self._cluster, jobs, lambda _: len(self.granted) >= needed)
            self._closed = True
        except BaseException:
            self.release()
            raise
        if len(self.granted) >= needed:
            return True
        self.release()
        if self._failed > replicas - needed or not self._contended:
            raise NodeFailure(f"too few nodes of {self._place.name.path} can be asked for its lease")
        return False

    def _candidates(self, needed: int) -> Iterator[Node]:
        """Return primaries in the order of the ring; those that failed recently only if the others are too few."""
        primaries = self._place.nodes.primaries
        sound = [node for node in primaries if not self._cluster.is_limited(node)]
        return iter(sound if len(sound) >= needed else primaries)

    def _ask(self, node: Node, stamp: Timestamp, wait: float) -> NodeResponse:
        headers = {
            messages.LEASE: self.id, messages.TIMESTAMP: stamp.internal, messages.LEASE_WAIT: f"{wait:.3f}"
        }  # fmt: skip
        try:
            response = self._cluster.call(node, self._place.request("LOCK", headers))
            response.close()
        except NodeFailure as failure:
            self._failed += 1
            if isinstance(failure, NodeTimeout):
                green.spawn(self._unlock, node, False)  # it may have given the lease, or still give it
            return NodeResponse(503, {})
        if response.status == 409:
            self._contended += 1
        elif response.status != 200:
            self._failed += 1
        elif self._closed:
            self._unlock(node, False)
        else:
            self.granted[node] = NodeState(
                stored_timestamp(response),
                response.headers.get("Etag"),
                Timestamp.parse(response.headers[messages.LEASE_FLOOR]),
                Timestamp.parse(response.headers[messages.LEASE_PROMISE]),
                response.headers.get(LOCK, ""),
                int(response.headers.get(CLOCK, 0)),
            )
        return response

    def release(self, abandon: bool = False) -> None:
        """Give the lease back, without waiting for answers; abandon: changes may have been made under it."""
        self._closed = True
        for node in self.granted:
            green.spawn(self._unlock, node, abandon)

    def _unlock(self, node: Node, abandon: bool) -> None:
        headers = {messages.LEASE: self.id}
        if abandon:
            headers[messages.LEASE_ABANDON] = "true"
        try:
            self._cluster.call(node, self._place.request("UNLOCK", headers)).close()
        except NodeFailure:
            pass  # it expires


def stored_states(place: ObjectPlace, nodes: Iterable[Node]) -> list[NodeState]:
    """Return the state of a name on each node that answers and has the name or its deletion."""
    return [seen for seen in probe(place, nodes) if seen is not None and (seen.newest > ZERO or seen.etag is not None)]


def probe(place: ObjectPlace, nodes: Iterable[Node]) -> list[NodeState | None]:
    """Return the state of a name on each node, None for one that does not answer."""
    request = place.request("HEAD")

    def ask(node: Node) -> NodeState | None:
        try:
            response = place.cluster.call(node, request)
            response.close()
        except NodeFailure:
            return None
        stamp = stored_timestamp(response)
        if response.status == 200:
            lock = response.headers.get(LOCK, "")
            return NodeState(stamp, shown_etag(response.headers, response.headers["Etag"]), lock=lock)
        return NodeState(stamp) if response.status == 404 else None

    return [wait.wait() for wait in [green.spawn(ask, node) for node in nodes]]
