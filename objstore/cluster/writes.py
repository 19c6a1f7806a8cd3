"""Writes: all replicas at once, a handoff instead of each node that fails, one verdict.

The client is answered when a majority has answered alike, after a short wait for the rest. Slower nodes are not
cancelled: their requests run until they end by themselves.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from objstore.cluster import quorum
from objstore.cluster.cluster import Cluster, Placement
from objstore.cluster.reads import stored_timestamp
from objstore.core.errors import InvalidInput, NodeFailure
from objstore.core.nodes import Node
from objstore.core.timestamps import ZERO, Timestamp
from objstore.runtime import green
from objstore.wire.messages import NodeRequest, NodeResponse

# With these answers a node cannot accept the write, but another may.
REPLACED = frozenset({500, 502, 503, 504, 507, 529})

_NONE_ALIKE: Mapping[int, int] = {}

Ask = Callable[[Cluster, Node, Iterable[Node], NodeRequest], NodeResponse]


class WriteResult(NamedTuple):
    """The result of a write. answers: of the nodes that answered in time."""

    status: int
    answers: tuple[NodeResponse, ...]

    def joined(self, *answers: NodeResponse) -> WriteResult:
        """Return the same result with more answers."""
        return self._replace(answers=self.answers + answers)

    @property
    def conflict(self) -> Timestamp:
        """Return the newest timestamp with which a node refused the write (409), ZERO if none did."""
        newest = ZERO
        for answer in self.answers:
            if answer.status == 409:
                newest = max(newest, stored_timestamp(answer))
        return newest

    def header(self, name: str) -> str:
        """Return a header of an answer that agrees with the verdict."""
        for answer in self.answers:
            if answer.status == self.status and name in answer.headers:
                return answer.headers[name]
        return ""

    def all_of(self, name: str) -> tuple[str, ...]:
        """Return the values in a comma-separated header of the nodes that accepted the write, each once."""
        values: dict[str, None] = {}
        for answer in self.answers:
            if name in answer.headers and (answer.ok or answer.status == 404):
                values |= dict.fromkeys(filter(None, answer.headers[name].split(",")))
        return tuple(values)


def write(
    cluster: Cluster,
    place: Placement,
    requests: Sequence[NodeRequest],
    alike: Mapping[int, int] = _NONE_ALIKE,
    ask: Ask | None = None,
    grace: float | None = None,
) -> WriteResult:
    """Send `requests[i]` to the node of replica i, all at once.

    alike: equivalent statuses to the one that they count as, in the vote. ask: replaces `attempt`. grace: seconds to
    wait for the rest after a majority has answered, if not `post_quorum_timeout`.
    """
    ask = ask or attempt
    nodes, spares = cluster.write_order(place)
    replicas = len(nodes)
    if replicas == 1 and not cluster.is_limited(nodes[0]):
        answer = ask(cluster, nodes[0], spares, requests[0])
        return WriteResult(quorum.verdict([alike.get(answer.status, answer.status)], 1), (answer,))
    jobs = [
        functools.partial(ask, cluster, node, spares, request) for node, request in zip(nodes, requests, strict=True)
    ]

    def enough(got: list[NodeResponse]) -> bool:
        return quorum.decided([alike.get(answer.status, answer.status) for answer in got], replicas)

    answers = gather(cluster, jobs, enough, grace)
    statuses = [alike.get(answer.status, answer.status) for answer in answers]
    return WriteResult(quorum.verdict(statuses, replicas), tuple(answers))


def gather(
    cluster: Cluster,
    jobs: Sequence[Callable[[], NodeResponse]],
    enough: Callable[[list[NodeResponse]], bool],
    grace: float | None = None,
) -> list[NodeResponse]:
    """Run all jobs at once; return their results when all have ended, or `grace` seconds after `enough` of them.

    It takes at most `write_timeout`. grace: `post_quorum_timeout` if None. Raises InvalidInput if a job does: the
    request itself is invalid, not its node. An unexpected exception of a job counts as a 500 and is logged.
    """
    settings = cluster.settings
    answers = _Answers(len(jobs), enough, settings.post_quorum_timeout if grace is None else grace)
    for job in jobs:
        green.start(_report, cluster, job, answers)
    return answers.wait(settings.write_timeout)


class _Answers:
    """The answers of jobs, as they come. The green thread that waits for them is woken once."""

    def __init__(self, jobs: int, enough: Callable[[list[NodeResponse]], bool], grace: float) -> None:
        self._jobs = jobs
        self._enough = enough
        self._grace = grace
        self._got: list[NodeResponse] = []
        self._is_enough = False
        self._fault: InvalidInput | None = None
        self._waiter: green.Waiter | None = None

    def wait(self, seconds: float) -> list[NodeResponse]:
        if not self._jobs:
            return []
        self._waiter = green.Waiter()
        self._is_enough = self._enough(self._got)
        try:
            self._waiter.wait(self._grace if self._is_enough else seconds)
        finally:
            self._waiter = None
        if self._fault is not None:
            raise self._fault
        return self._got

    def add(self, outcome: NodeResponse | InvalidInput) -> None:
        waiter = self._waiter
        if waiter is None:
            return  # it came too late
        if isinstance(outcome, InvalidInput):
            self._fault = outcome
            waiter.wake()
            return
        self._got.append(outcome)
        if len(self._got) == self._jobs:
            waiter.wake()
        elif not self._is_enough and self._enough(self._got):
            self._is_enough = True
            waiter.wake(self._grace)


def _report(cluster: Cluster, job: Callable[[], NodeResponse], answers: _Answers) -> None:
    """Run a job and hand in its result in any case, because a green thread waits for it."""
    outcome: NodeResponse | InvalidInput = NodeResponse(500, {})
    try:
        outcome = job()
    except InvalidInput as fault:
        outcome = fault
    except Exception:
        cluster.logger.exception("a request to a node failed")
    finally:
        answers.add(outcome)


def attempt(cluster: Cluster, node: Node, spares: Iterable[Node], request: NodeRequest) -> NodeResponse:
    """Return the answer of the node, or of the handoff that replaces it; bodies are read to their end."""
    status = 503
    for candidate in stand_ins(cluster, node, spares):
        try:
            response = cluster.call(candidate, request)
            response.close()
        except NodeFailure:
            continue
        if response.status not in REPLACED:
            return response
        status = response.status
    return NodeResponse(status, {})


def stand_ins(cluster: Cluster, node: Node, spares: Iterable[Node]) -> Iterator[Node]:
    """Yield the node, then spares; a node that failed recently is tried last, when no spare is left.

    All nodes of a write share the spares. With `yield from`, closing one generator would close the spares of the
    others.
    """
    first, last = ((), (node,)) if cluster.is_limited(node) else ((node,), ())
    return itertools.chain(first, spares, last)
