"""Changes that depend on the stored state: decided and made under the lease of the name.

The lease is taken (`name_lease`), the states of the nodes are judged (`lease_decision`), and the change goes to all
primaries with a timestamp newer than any of theirs. It succeeds when a majority of the nodes that gave the lease have
it; the change also gives the lease back.
"""

from __future__ import annotations

import functools
import itertools
import random
import time
from collections.abc import Callable, Mapping, Sequence

from objstore.cluster import lease_decision
from objstore.cluster.former import Former
from objstore.cluster.lease_decision import NodeState
from objstore.cluster.name_lease import NameLease, probe, stored_states
from objstore.cluster.object_change import ObjectChange, Sent
from objstore.cluster.quorum import quorum_size
from objstore.cluster.writes import WriteResult, attempt, gather
from objstore.core.errors import Conflict, NodeFailure, ObjectHeld, PreconditionFailed
from objstore.core.nodes import Node
from objstore.core.object_lock import HELD, JUDGED
from objstore.core.timestamps import Timestamp
from objstore.runtime import green
from objstore.web.write_conditions import WriteCondition
from objstore.wire import messages
from objstore.wire.messages import NodeRequest, NodeResponse

_PAUSE = 0.015  # approximate seconds before another attempt
_UNSETTLED_SECONDS = 0.4  # to wait for a change under way to reach a majority


def send(change: ObjectChange, body: bytes) -> Sent:
    """Decide, and send the change. Raises PreconditionFailed, Conflict, NodeFailure."""
    assert change.condition is not None
    if change.place.replicas == 1 and not change.place.nodes.former:
        return _send_alone(change, change.condition, body)
    write = DecidedWrite(change)
    write.decide()
    return write.send_taken(body)


def _send_alone(change: ObjectChange, condition: WriteCondition, body: bytes) -> Sent:
    """Send to the only node, which decides by itself when it makes the change."""
    cluster = change.place.cluster
    (node,) = change.place.nodes.primaries
    change = change._replace(decided=True)
    while True:
        (request,) = change.requests(body, condition.headers)
        answer = attempt(cluster, node, (), request)
        if answer.status == 412:
            if HELD in answer.headers:
                raise ObjectHeld(answer.headers[HELD])
            raise PreconditionFailed("the condition does not hold", messages.MISSING in answer.headers)
        status = 204 if answer.status == 404 and change.method == "DELETE" else answer.status
        sent = Sent(WriteResult(status, (answer,)), change, len(body))
        newer = change.newer_than(sent.written.conflict)
        if newer is None:
            return sent
        change = newer


class DecidedWrite:
    """A change under the lease of its name. change: with the decided timestamp, when the lease is held."""

    def __init__(self, change: ObjectChange) -> None:
        self.change = change
        self._place = change.place
        self._cluster = change.place.cluster
        self._replicas = change.place.replicas
        self._lease: NameLease | None = None

    # Taking the lease

    def check_early(self) -> None:
        """Raise PreconditionFailed if the condition is false now, which avoids sending a long body."""
        condition, nodes = self.change.condition, self._place.nodes
        if condition is not None:
            seen = stored_states(self._place, [*nodes.primaries, *nodes.former])
            if seen:
                newest = lease_decision.newest(seen)
                condition.check(newest.etag, lock=newest.lock)

    def decide(self) -> None:
        """Take the lease, check the condition and set the change's timestamp.

        Raises PreconditionFailed, Conflict (others hold the name all the time), NodeFailure.
        """
        self._take(self._judge)

    def _take(self, judge: Callable[[Sequence[NodeState], bool], bool]) -> None:
        """Take the lease, again and again until `judge` accepts the states of the nodes.

        judge: called with the states, and whether time is left to wait.
        """
        started = time.monotonic()
        deadline = started + self._cluster.settings.lease_wait
        while True:
            lease = NameLease(self._place)
            left = deadline - time.monotonic()
            if not lease.acquire(self.change.proposed(), max(0.0, left)):
                if left <= 0:
                    raise Conflict("the name is locked by other changes")
            else:
                try:
                    seen = list(lease.granted.values())
                    patient = time.monotonic() < started + _UNSETTLED_SECONDS
                    if judge(seen, patient):
                        self._lease = lease
                        return
                except BaseException:
                    lease.release()
                    raise
                lease.release()
            green.sleep(_PAUSE * (0.2 + random.random()))

    def _judge(self, seen: Sequence[NodeState], patient: bool) -> bool:
        spares = self._place.nodes.spares()
        # Handoffs may have changes of primaries that could not be asked.
        lacking = self._replicas - len(seen)
        stand_ins = stored_states(self._place, list(itertools.islice(spares, lacking))) if lacking else []
        if patient and not lease_decision.is_settled(seen, stand_ins, self._replicas):
            return False
        newest = lease_decision.newest([*seen, *stand_ins, *self._probe_former(len(seen))])
        self._check(newest, lease_decision.earliest_clock(seen))
        floor, promise = lease_decision.bounds(seen)
        return self._stamp(max(floor, newest.newest), promise)

    def _check(self, newest: NodeState, clock: int) -> None:
        """Check the change's condition. clock: the one furthest behind, of the nodes."""
        condition = self.change.condition
        if condition is None:
            return
        condition.check(newest.etag, lock=newest.lock)
        if condition.lock is not None:
            condition.lock.check_clock(clock)

    def _stamp(self, floor: Timestamp, promise: Timestamp) -> bool:
        """Give the change a timestamp within these bounds; return False if there is none."""
        stamped = self.change.within(floor, promise)
        if stamped is None:
            return False
        self.change = stamped
        return True

    def _probe_former(self, granted: int) -> list[NodeState]:
        """Return the state on former nodes. Raises NodeFailure if too few former primaries answer.

        granted: number of primaries that answered; each former node that does not answer cancels one of them.
        """
        nodes = self._place.nodes.former
        if not nodes:
            return []
        known = [seen for seen in probe(self._place, nodes) if seen is not None]
        if granted - (len(nodes) - len(known)) < quorum_size(self._replicas):
            raise NodeFailure(f"too few nodes can answer for {self._place.name.path}, whose partition is moving")
        return known

    def make_again(self) -> bool:
        """Take the lease to retry a change that a majority accepted and a node refused; return False if it must stay
        unchanged."""
        own = self.change.timestamp

        def judge(seen: Sequence[NodeState], patient: bool) -> bool:
            if not lease_decision.must_be_made_again(seen, own, self._replicas):
                raise Conflict("it was replaced by newer changes")
            return self._stamp(*lease_decision.bounds(seen))

        try:
            self._take(judge)
        except (Conflict, NodeFailure):
            return False
        return True

    def release(self) -> None:
        """Give up before anything was sent."""
        if self._lease is not None:
            self._lease.release()

    # Sending under the lease

    def send_taken(self, body: bytes) -> Sent:
        """Send the change after the lease was taken."""
        change, cluster, nodes = self.change, self._cluster, self._place.nodes
        if change.condition is not None and change.condition.lock is not None:
            change = change.with_headers({JUDGED: "1"})
        _, spares = cluster.write_order(nodes)
        by_node = dict(zip(nodes.primaries, change.requests(body), strict=True))
        ask = Former(cluster, nodes).attempt_post if change.method == "POST" else attempt
        jobs = [
            functools.partial(ask, cluster, node, (), self._under(request))
            if self.leased(node)
            else functools.partial(ask, cluster, node, spares, request)
            for node, request in by_node.items()
        ]
        return Sent(self.collect([self.leased(node) for node in by_node], jobs), change, len(body))

    def leased(self, node: Node) -> bool:
        return self._lease is not None and node in self._lease.granted

    @property
    def trailers(self) -> Mapping[str, str]:
        """Return the trailers that give the lease of the change to a node after a long body."""
        assert self._lease is not None
        return {messages.LEASE: self._lease.id}

    def _under(self, request: NodeRequest) -> NodeRequest:
        return request._replace(headers={**request.headers, **self.trailers})

    def collect(self, leased: Sequence[bool], jobs: Sequence[Callable[[], NodeResponse]]) -> WriteResult:
        """Run the jobs; the change succeeds when a majority of the replicas accepted it under the lease.

        leased: for each job, whether its node changes the name under the lease.
        """
        assert self._lease is not None
        needed = quorum_size(self._replicas)
        taken: list[NodeResponse] = []
        refused: list[NodeResponse] = []

        def run(job: Callable[[], NodeResponse], counts: bool) -> NodeResponse:
            answer = job()
            if counts:
                (taken if answer.ok or answer.status == 404 else refused).append(answer)
            return answer

        possible = sum(leased)
        try:
            answers = gather(
                self._cluster,
                [functools.partial(run, job, counts) for job, counts in zip(jobs, leased, strict=True)],
                lambda _: len(taken) >= needed or possible - len(refused) < needed,
            )
        except BaseException:
            self._lease.release(abandon=True)
            raise
        if len(taken) >= needed:
            status = next((answer.status for answer in taken if answer.ok), 204)
            return WriteResult(status, tuple(answers))
        self._lease.release(abandon=True)
        return WriteResult(_failure([answer.status for answer in refused], bool(taken)), tuple(answers))


def _failure(statuses: Sequence[int], some: bool) -> int:
    """Return the answer for a change that too few nodes accepted: 503 if it may appear later."""
    if not some and statuses and all(status == statuses[0] for status in statuses):
        return statuses[0] if statuses[0] in (409, 422, 499, 507) else 503
    return 503
