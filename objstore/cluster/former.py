"""Changes to names whose partition moves.

A primary that has just received a partition may still lack a name that is stored on the partition's *former* nodes.
Replication moves the data to the primary; until then

- a change that depends on the stored state (metadata of an object, a container that is created only if there is none)
  is sent to a former node instead of each primary that lacks the name;
- a change that a majority of such primaries would accept must still be newer than the stored state.

The newest change wins in the end, so that both nodes may have one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from objstore.cluster.cluster import Cluster, Placement
from objstore.cluster.object_change import ObjectPlace
from objstore.cluster.quorum import quorum_size
from objstore.cluster.reads import stored_timestamp
from objstore.cluster.writes import REPLACED, WriteResult, attempt, write
from objstore.core.errors import NodeFailure
from objstore.core.manifests import MANIFEST_OWNS, REPLACED_SEGMENTS
from objstore.core.nodes import Node
from objstore.core.timestamps import ZERO, Timestamp
from objstore.runtime import green
from objstore.wire import messages
from objstore.wire.messages import NodeRequest, NodeResponse

LACKING = 300  # for the vote: replicas without a database are a separate class


def knows_nothing(answer: NodeResponse) -> bool:
    """Return whether the node has neither the name nor its deletion."""
    return answer.status == 404 and stored_timestamp(answer) == ZERO


class Former:
    """The former nodes of one change's name. silent: number of nodes that could not be asked."""

    def __init__(self, cluster: Cluster, place: Placement) -> None:
        self.silent = 0
        self._cluster = cluster
        self._remaining = list(place.former)

    def attempt(self, cluster: Cluster, node: Node, spares: Iterable[Node], request: NodeRequest) -> NodeResponse:
        """Attempt as `writes.attempt`; if the node lacks the name, a former node that has it answers instead.

        Each former node replaces only one node, so that no copy is counted twice.
        """
        answer = attempt(cluster, node, spares, request)
        while self._remaining and knows_nothing(answer):
            answer = self._ask(self._remaining.pop(0), request)
        return answer

    def attempt_primary(
        self, cluster: Cluster, node: Node, spares: Iterable[Node], request: NodeRequest
    ) -> NodeResponse:
        """Attempt as `attempt`, but without handoffs."""
        return self.attempt(cluster, node, (), request)

    def attempt_post(self, cluster: Cluster, node: Node, spares: Iterable[Node], request: NodeRequest) -> NodeResponse:
        """Attempt as `attempt`, for metadata of an object: the node stores it too, until the data arrives."""
        answer = attempt(cluster, node, spares, request)
        while self._remaining and knows_nothing(answer):
            answer = self._ask(self._remaining.pop(0), request)
            if answer.ok:
                ahead = {**request.headers, messages.AHEAD_OF_DATA: "true"}
                kept = attempt(cluster, node, (), request._replace(headers=ahead))
                return answer if kept.ok else kept
        return answer

    def _ask(self, node: Node, request: NodeRequest) -> NodeResponse:
        headers = {name: value for name, value in request.headers.items() if name != messages.LEASE}  # given by others
        answer = attempt(self._cluster, node, (), request._replace(headers=headers))
        self.silent += answer.status in REPLACED
        return answer


def write_database(cluster: Cluster, place: Placement, requests: list[NodeRequest]) -> WriteResult:
    """Write a change of an account or container. A PUT creates databases only if a majority of the replicas has none.

    A replica that lacks its database while others have theirs stays without one until replication restores it
    completely: an empty one would hide rows. A new database has a longer timeout than other changes, because a row that
    reaches a replica before its creation is listed late. A container is deleted by a majority of its primaries: only
    they know its contents.
    """
    former = Former(cluster, place)
    if requests[0].method == "DELETE" and requests[0].name.kind == "container":
        # A late replica may restore the container, so it is worth waiting for.
        grace = cluster.settings.creation_timeout
        return write(cluster, place, requests, ask=former.attempt_primary, grace=grace)
    if requests[0].method != "PUT":
        return write(cluster, place, requests, ask=former.attempt)
    if len(requests) == 1 and not place.former:  # the one replica knows whether there is a database
        return write(cluster, place, requests, grace=cluster.settings.creation_timeout)
    careful = [request._replace(headers={**request.headers, messages.EXISTING_ONLY: "true"}) for request in requests]
    known = write(cluster, place, careful, {404: LACKING}, former.attempt)
    if any(answer.status == 403 for answer in known.answers) and known.status in (LACKING, 503):
        return WriteResult(403, known.answers)  # deleted: a new database would revive it, with what is in it
    lacking = sum(answer.status == 404 for answer in known.answers)
    if known.status not in (LACKING, 503) or not lacking:
        return known
    have = sum(answer.ok or answer.status == 409 for answer in known.answers)
    if former.silent and have + former.silent >= quorum_size(len(place.primaries)):
        return WriteResult(503, known.answers)  # it may exist
    return write(cluster, place, requests, grace=cluster.settings.creation_timeout)


class StoredState(NamedTuple):
    """The stored state of a name that most of its primaries may still lack.

    newest: timestamp of its newest change. unmoved: headers of the live object, if only former nodes have it.
    """

    newest: Timestamp = ZERO
    unmoved: dict[str, str] | None = None

    def join(self, written: WriteResult) -> WriteResult:
        """Return the outcome of a change, with the answer that a primary with the stored state would have given."""
        if self.unmoved is None or written.status >= 300:
            return written
        owned = self.unmoved.get(MANIFEST_OWNS)
        answer = NodeResponse(written.status, {REPLACED_SEGMENTS: owned} if owned else {})
        return written.joined(answer)


NO_STATE = StoredState()


def read_stored_state(place: ObjectPlace) -> StoredState:
    """Return the stored state of an object before a plain change; nodes that do not answer are skipped."""
    nodes = place.nodes
    if not nodes.is_mostly_new:
        return NO_STATE
    request = place.request("HEAD")

    def ask(node: Node) -> NodeResponse:
        try:
            answer = place.cluster.call(node, request)
            answer.close()
        except NodeFailure:
            return NodeResponse(503, {})
        return answer

    waits = [(node, green.spawn(ask, node)) for node in (*nodes.primaries, *nodes.former)]
    answers = [(node, wait.wait()) for node, wait in waits]
    moved = max(stored_timestamp(answer) for node, answer in answers if node in nodes.primaries)
    newest = max((answer for _, answer in answers), key=stored_timestamp)
    stamp = stored_timestamp(newest)
    return StoredState(stamp, newest.headers if newest.status == 200 and stamp > moved else None)
