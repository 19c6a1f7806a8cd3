"""Writes: all replicas at once, a handoff instead of each node that fails, one verdict.

The client is answered when a majority has answered alike, after a short wait for the rest. Slower nodes are not
cancelled: their requests run until they end by themselves.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
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
        return max((stored_timestamp(answer) for answer in self.answers if answer.status == 409), default=ZERO)

    def header(self, name: str) -> str:
        """Return a header of an answer that agrees with the verdict."""
        for answer in self.answers:
            if answer.status == self.status and name in answer.headers:
                return answer.headers[name]
        return ""

    def all_of(self, name: str) -> tuple[str, ...]:
        """Return the values in a comma-separated header of the nodes that accepted the write, each once."""
        lists = [answer.headers.get(name, "") for answer in self.answers if answer.ok or answer.status == 404]
        return tuple(dict.fromkeys(value for text in lists if text for value in text.split(",") if value))


def write(
    cluster: Cluster,
    place: Placement,
    requests: Sequence[NodeRequest],
    alike: Callable[[int], int] = lambda status: status,
    ask: Ask | None = None,
    grace: float | None = None,
) -> WriteResult:
    """Send `requests[i]` to the node of replica i, all at once.

    alike: maps equivalent statuses to one, for the vote. ask: replaces `attempt`. grace: seconds to wait for the rest
    after a majority has answered, if not `post_quorum_timeout`.
    """
    ask = ask or attempt
    nodes, spares = cluster.write_order(place)
    replicas = len(nodes)
    if replicas == 1 and not cluster.is_limited(nodes[0]):
        answers: tuple[NodeResponse, ...] = (ask(cluster, nodes[0], spares, requests[0]),)
    else:
        jobs = [
            functools.partial(ask, cluster, node, spares, request)
            for node, request in zip(nodes, requests, strict=True)
        ]
        answers = tuple(
            gather(cluster, jobs, lambda got: quorum.decided([alike(answer.status) for answer in got], replicas), grace)
        )
    return WriteResult(quorum.verdict([alike(answer.status) for answer in answers], replicas), answers)


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
    results = green.Queue()
    for job in jobs:
        green.spawn(_report, cluster, job, results)
    got: list[NodeResponse] = []
    try:
        with green.deadline(settings.write_timeout, TimeoutError()):
            while len(got) < len(jobs) and not enough(got):
                got.append(_result(results))
        with green.deadline(settings.post_quorum_timeout if grace is None else grace, TimeoutError()):
            while len(got) < len(jobs):
                got.append(_result(results))
    except TimeoutError:
        pass
    return got


def _report(cluster: Cluster, job: Callable[[], NodeResponse], results: green.Queue) -> None:
    """Run a job and put its result in any case, because a green thread waits for it."""
    outcome: NodeResponse | InvalidInput = NodeResponse(500, {})
    try:
        outcome = job()
    except InvalidInput as fault:
        outcome = fault
    except Exception:
        cluster.logger.exception("a request to a node failed")
    finally:
        results.put(outcome)


def _result(results: green.Queue) -> NodeResponse:
    outcome: NodeResponse | InvalidInput = results.get()
    if isinstance(outcome, InvalidInput):
        raise outcome
    return outcome


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
