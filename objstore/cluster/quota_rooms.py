"""Room within quotas, from the servers of a container or account.

The first primary that can be asked decides: it knows every open reservation, as all proxies ask it first. Then the
others are asked; a majority must grant the room, so that a reservation is known after the first one fails. If the
first one grants it and too many others do not, because rows and releases reach the replicas at different times, the
write has to wait a moment.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from objstore.cluster.cluster import Cluster, Placement
from objstore.cluster.former import Former
from objstore.cluster.quorum import quorum_size
from objstore.cluster.writes import gather
from objstore.core.errors import NodeFailure
from objstore.core.names import Name
from objstore.core.nodes import Node
from objstore.core.quota_rooms import RoomRelease, RoomRequest, Standing
from objstore.core.quotas import GRANTED, WAIT
from objstore.runtime import green
from objstore.web.context import RequestContext
from objstore.wire import quotas
from objstore.wire.messages import NodeRequest, NodeResponse


class QuotaRooms:
    """See `layers.quota_rooms.Rooms`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def standing(self, context: RequestContext, container: Name, key: str) -> Standing | None:
        place = self._cluster.place(container)
        sent = quotas.standing_request(container, place.partition, key, context.trace)
        _, answer = self._ask_first(place, sent)
        return None if answer.status == 404 else quotas.decode_standing(answer.headers[quotas.ANSWER])

    def reserve(self, context: RequestContext, holder: Name, room: RoomRequest) -> str | None:
        cluster, place = self._cluster, self._cluster.place(holder)
        sent = quotas.reserve_request(holder, place.partition, room, context.trace)
        first, answer = self._ask_first(place, sent)
        if answer.status == 404:
            return None
        verdict = quotas.decode_verdict(answer.headers[quotas.ANSWER])
        needed = quorum_size(len(place.primaries))
        if verdict != GRANTED or needed == 1 or not room.seconds:
            return verdict
        granted, refused = 1, 0
        jobs = [functools.partial(self._ask, place, node, sent) for node in place.primaries if node != first]
        for other in gather(cluster, jobs, lambda some: sum(map(_grants, some)) >= needed - 1):
            granted += _grants(other)
            refused += other.status == 200 and not _grants(other)
        if granted >= needed:
            return GRANTED
        self.release(context, holder, RoomRelease(room.id, room.name, room.new, room.seconds))
        if granted + refused >= needed:
            return WAIT
        raise NodeFailure(f"too few nodes of {holder.path} can be asked for room within its quota")

    def release(self, context: RequestContext, holder: Name, ended: RoomRelease) -> None:
        place = self._cluster.place(holder)
        sent = quotas.release_request(holder, place.partition, ended, context.trace)
        waits = [green.spawn(self._ask, place, node, sent) for node in place.primaries]
        for wait in waits:
            wait.wait()

    def _ask_first(self, place: Placement, sent: NodeRequest) -> tuple[Node, NodeResponse]:
        """Return the first primary that answers, and its answer: 200, or 404. Raises NodeFailure."""
        for node in self._candidates(place):
            answer = self._ask(place, node, sent)
            if answer.status in (200, 404, 410):
                return node, answer if answer.status == 200 else NodeResponse(404, {})
        raise NodeFailure(f"no node of {sent.name.path} can be asked about its quota")

    def _candidates(self, place: Placement) -> Sequence[Node]:
        """Return primaries in the order of the ring; those that failed recently come last."""
        return sorted(place.primaries, key=self._cluster.is_limited)

    def _ask(self, place: Placement, node: Node, sent: NodeRequest) -> NodeResponse:
        """Ask a primary, or a former one if it lacks the database."""
        return Former(self._cluster, place).attempt_primary(self._cluster, node, (), sent)


def _grants(answer: NodeResponse) -> bool:
    return answer.status == 200 and answer.headers.get(quotas.ANSWER) == GRANTED
