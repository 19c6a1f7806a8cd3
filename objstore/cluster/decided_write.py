"""Changes that depend on what is there: decided, and made, under the lease of the name.

The lease is taken (`name_lease`), what the nodes say is judged (`lease_decision`), and the change
goes to all primaries with a timestamp newer than anything they know. It counts as made once a majority
of those that gave the lease have it; that gives the lease back, too.
"""

from __future__ import annotations

import functools
import itertools
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from objstore.cluster import lease_decision
from objstore.cluster.former import Former
from objstore.cluster.lease_decision import Seen
from objstore.cluster.name_lease import NameLease, hear, look
from objstore.cluster.quorum import quorum_size
from objstore.cluster.writes import Written, attempt, gather
from objstore.core.errors import Conflict, NodeFailure, PreconditionFailed
from objstore.core.nodes import Node
from objstore.runtime import green
from objstore.web.write_conditions import WriteCondition
from objstore.wire import messages
from objstore.wire.messages import NodeRequest, NodeResponse

if TYPE_CHECKING:
    from objstore.cluster.object_write import ObjectChange

_PAUSE = 0.015  # seconds, about, before another attempt
_UNSETTLED_SECONDS = 0.4  # to wait for a change under way to reach a majority


class DecidedWrite:
    """One change of an `ObjectChange` under a condition; None for one that goes without."""

    def __init__(self, change: ObjectChange, condition: WriteCondition | None) -> None:
        self._change = change
        self._condition = condition
        self._replicas = len(change.place.primaries)
        self._lease: NameLease | None = None

    def send(self, method: str, body: bytes) -> Written:
        """Decide, and send the change. Raises PreconditionFailed, Conflict, NodeFailure."""
        if self._is_alone():
            return self._send_alone(method, body)
        self.decide()
        return self.send_taken(method, body)

    def send_taken(self, method: str, body: bytes) -> Written:
        """Send the change once the lease is held."""
        change = self._change
        requests = change.node_requests(method, body)
        _, spares = change.cluster.write_order(change.place)
        by_node = dict(zip(change.place.primaries, requests, strict=True))
        ask = Former(change.cluster, change.place).attempt_post if method == "POST" else attempt
        jobs = [
            functools.partial(ask, change.cluster, node, (), self._under(request))
            if self.leased(node)
            else functools.partial(ask, change.cluster, node, spares, request)
            for node, request in by_node.items()
        ]
        return self.collect([self.leased(node) for node in by_node], jobs)

    # Alone: one node, which decides by itself at the instant of the change

    def _is_alone(self) -> bool:
        return self._replicas == 1 and self._condition is not None and not self._former()

    def _send_alone(self, method: str, body: bytes) -> Written:
        change = self._change
        assert self._condition is not None
        (node,) = change.place.primaries
        change.decided = True
        while True:
            (request,) = change.node_requests(method, body, self._condition.headers)
            answer = attempt(change.cluster, node, (), request)
            written = Written(204 if answer.status == 404 and method == "DELETE" else answer.status, [answer])
            if answer.status == 412:
                raise PreconditionFailed("the condition does not hold", messages.MISSING in answer.headers)
            if not change.outdated(written.conflict):
                return written

    # Under a lease

    def check_early(self) -> None:
        """Raises PreconditionFailed where the condition is false as things are: spares a long body."""
        change = self._change
        if self._condition is not None:
            seen = self._look([*change.place.primaries, *self._former()])
            if seen:
                self._condition.check(lease_decision.newest(seen).etag)

    def decide(self) -> None:
        """Hold the lease, with the condition true and the change's timestamp set; raises as `send`."""
        self._take(self._judge)

    def _take(self, judge: Callable[[Sequence[Seen], bool], bool]) -> None:
        """Take the lease, again and again until `judge` is content with what the nodes say.

        judge: given that, and whether time is left to wait.
        """
        change = self._change
        started = time.monotonic()
        deadline = started + change.cluster.settings.lease_wait
        while True:
            lease = NameLease(change.cluster, change.name, change.place, change.policy, change.trace)
            left = deadline - time.monotonic()
            if not lease.acquire(change.proposed(), max(0.0, left)):
                if left <= 0:
                    raise Conflict("the name is held for other changes")
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

    def _judge(self, seen: Sequence[Seen], patient: bool) -> bool:
        change = self._change
        # What those primaries have that could not be asked, the nodes that stood in for them may know.
        lacking = self._replicas - len(seen)
        stand_ins = self._look(list(itertools.islice(change.place.spares(), lacking))) if lacking else []
        if patient and not lease_decision.is_settled(seen, stand_ins, self._replicas):
            return False
        newest = lease_decision.newest([*seen, *stand_ins, *self._hear_former(len(seen))])
        if self._condition is not None:
            self._condition.check(newest.etag)
        floor, promise = lease_decision.bounds(seen)
        return change.surpass(max(floor, newest.newest), promise)

    def _former(self) -> list[Node]:
        """Where the name's partition was before it moved, and the name may still be."""
        return list(self._change.place.former)

    def _hear_former(self, granted: int) -> list[Seen]:
        """What former nodes say. Raises NodeFailure where a majority of what was primary before may not be known.

        granted: how many primaries are known; each former node that does not answer makes one of them count for
        nothing.
        """
        nodes = self._former()
        change = self._change
        heard = hear(change.cluster, change.name, change.place, change.policy, nodes, change.trace) if nodes else []
        known = [seen for seen in heard if seen is not None]
        if nodes and granted - (len(nodes) - len(known)) < quorum_size(self._replicas):
            raise NodeFailure(f"too few nodes can tell what there is of {change.name.path}, which moves")
        return known

    def _look(self, nodes: list[Node]) -> list[Seen]:
        change = self._change
        return look(change.cluster, change.name, change.place, change.policy, nodes, change.trace) if nodes else []

    def make_again(self) -> bool:
        """Hold the lease for a change that a majority took and a node refused; False if it is to stay as it is."""
        change = self._change
        own = change.timestamp

        def judge(seen: Sequence[Seen], patient: bool) -> bool:
            if not lease_decision.must_be_made_again(seen, own, self._replicas):
                raise Conflict("it was followed by others")
            return change.surpass(*lease_decision.bounds(seen))

        try:
            self._take(judge)
        except (Conflict, NodeFailure):
            change.timestamp = own
            return False
        return True

    def release(self) -> None:
        """Give up before anything was sent."""
        if self._lease is not None:
            self._lease.release()

    def leased(self, node: Node) -> bool:
        return self._lease is not None and node in self._lease.granted

    @property
    def trailers(self) -> Mapping[str, str]:
        """What tells a node that gave the lease, after a long body, that the change is made under it."""
        assert self._lease is not None
        return {messages.LEASE: self._lease.id}

    def _under(self, request: NodeRequest) -> NodeRequest:
        return request._replace(headers={**request.headers, **self.trailers})

    def collect(self, leased: Sequence[bool], jobs: Sequence[Callable[[], NodeResponse]]) -> Written:
        """Run the jobs; the change is made where a majority of the replicas took it under the lease.

        leased: of each job, does its node change the name under the lease?
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
                self._change.cluster,
                [functools.partial(run, job, counts) for job, counts in zip(jobs, leased, strict=True)],
                lambda _: len(taken) >= needed or possible - len(refused) < needed,
            )
        except BaseException:
            self._lease.release(abandon=True)
            raise
        if len(taken) >= needed:
            status = next((answer.status for answer in taken if answer.ok), 204)
            return Written(status, answers)
        self._lease.release(abandon=True)
        return Written(_failure([answer.status for answer in refused], bool(taken)), answers)


def _failure(statuses: Sequence[int], some: bool) -> int:
    """The answer for a change that too few nodes took: 503 where it may show up later."""
    if not some and statuses and all(status == statuses[0] for status in statuses):
        return statuses[0] if statuses[0] in (409, 422, 499, 507) else 503
    return 503
