"""Reads: ask one node after the other until one has a good answer.

If a node lacks the copy, others are asked; a tombstone newer than a copy hides it. A body that ends early is continued
from another copy of the same version, at the same byte, so that the client does not notice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from objstore.cluster.cluster import Cluster, Placement
from objstore.cluster.quorum import quorum_size
from objstore.core.errors import NodeFailure
from objstore.core.nodes import Node
from objstore.core.timestamps import ZERO, Timestamp
from objstore.runtime import green
from objstore.wire import messages
from objstore.wire.messages import NodeRequest, NodeResponse

# Answers that are final, from any copy.
GOOD = frozenset({200, 204, 206, 304, 400, 412, 416})


class Found:
    """A good answer and its node; the nodes not asked yet can continue its body."""

    __slots__ = ("node", "response")

    def __init__(self, node: Node, response: NodeResponse) -> None:
        self.node = node
        self.response = response


def stored_timestamp(response: NodeResponse) -> Timestamp:
    """Return the newest change of the name on the node."""
    text = response.headers.get(messages.STORED_TIMESTAMP)
    return Timestamp.parse(text) if text else ZERO


def read(cluster: Cluster, place: Placement, request: NodeRequest, newest: bool = False) -> tuple[NodeResponse, Any]:
    """Return a good answer and its node; else a 404 (or 503 if nodes failed) and None."""
    if newest and (len(place.primaries) > 1 or place.former):
        nodes = _newest_first(cluster, place, request)
    else:
        nodes = cluster.read_order(place)
    if cluster.settings.concurrent_gets and len(place.primaries) > 1:
        return _concurrently(cluster, nodes, request, place)
    return _one_by_one(cluster, nodes, request, _Tally(place))


class _Tally:
    """The combined result of the nodes asked so far."""

    def __init__(self, place: Placement) -> None:
        self.deleted = ZERO  # newest tombstone seen
        self.missing: NodeResponse | None = None
        self.primaries = place.primaries
        self._place = place
        self._heard: set[Node] = set()
        self._absent = 0  # primaries that have nothing, or nothing newer than a tombstone

    def take(self, node: Node, response: NodeResponse) -> bool:
        """Return whether this is the answer; others are closed and counted."""
        if response.status in GOOD and (self.deleted is ZERO or stored_timestamp(response) >= self.deleted):
            return True
        response.close()
        if response.status < 500:
            self._heard.add(node)
        if response.status == 404:
            stamp = stored_timestamp(response)
            if self.missing is None or stamp > self.deleted:
                self.missing = response
            self.deleted = max(self.deleted, stamp)
        if response.status == 404 or response.status in GOOD:  # a deletion under way has not reached that one yet
            self._absent += node in self.primaries
        return False

    def outcome(self) -> NodeResponse:
        """Return the answer if no copy was found: 404 if enough primaries have none that no write can have reached a
        majority, neither of them nor of the former primaries.

        Else the name may exist, whatever handoffs answer, and whether the other primaries failed or were skipped: 503.
        """
        replicas = len(self.primaries)
        enough = replicas - quorum_size(replicas) + 1
        unheard = set(self._place.former) - self._heard  # these may have what a primary has not got yet
        if self.missing is not None and self._absent - len(unheard) >= enough:
            return NodeResponse(404, self.missing.headers)
        return NodeResponse(503, {})


def _one_by_one(
    cluster: Cluster, nodes: Iterator[Node], request: NodeRequest, tally: _Tally
) -> tuple[NodeResponse, object]:
    asked = set()
    for node in nodes:
        asked.add(node.id)
        response = _answer(cluster, node, request, tally)
        if response is not None:
            return response, node
    if asked and tally.outcome().status == 503:  # nodes that failed recently may have recovered
        for node in tally.primaries:
            if node.id not in asked and cluster.is_limited(node):
                response = _answer(cluster, node, request, tally)
                if response is not None:
                    return response, node
    return tally.outcome(), None


def _answer(cluster: Cluster, node: Node, request: NodeRequest, tally: _Tally) -> NodeResponse | None:
    """Return the response of a node if it is the answer."""
    try:
        response = cluster.call(node, request)
    except NodeFailure:
        return None
    try:
        return response if tally.take(node, response) else None
    except BaseException:
        response.close()
        raise


class _Race:
    """Requests of a read to several nodes, in progress at the same time."""

    def __init__(self, cluster: Cluster, request: NodeRequest) -> None:
        self._cluster = cluster
        self._request = request
        self._answers = green.Queue()
        self._over = False
        self.running = 0

    def ask(self, node: Node) -> None:
        self.running += 1
        green.spawn(self._ask, node)

    def _ask(self, node: Node) -> None:
        try:
            response: NodeResponse | None = self._cluster.call(node, self._request)
        except NodeFailure:
            response = None
        except Exception:
            self._cluster.logger.exception("a request to a node failed")
            response = None
        if self._over and response is not None:
            response.close()
        else:
            self._answers.put((node, response))

    def answer(self, timeout: float) -> tuple[Node, NodeResponse | None]:
        """Return the next node that answered, with None if it failed. Raises QueueEmpty after `timeout` seconds."""
        node, response = self._answers.get(timeout=timeout)
        self.running -= 1
        return node, response

    def end(self) -> None:
        """Close the answers that are not used, also those that are still to come."""
        self._over = True
        while not self._answers.empty():
            _, late = self._answers.get_nowait()
            if late is not None:
                late.close()


def _concurrently(
    cluster: Cluster, nodes: Iterator[Node], request: NodeRequest, place: Placement
) -> tuple[NodeResponse, object]:
    """Ask another primary whenever `concurrency_timeout` passes without a good answer.

    Other nodes, which may have an older state than the primaries, are asked only when no answer is pending.
    """
    settings = cluster.settings
    longest = settings.conn_timeout + 3 * settings.node_timeout  # more than a retried request takes
    tally, race = _Tally(place), _Race(cluster, request)
    upcoming = next(nodes, None)
    try:
        while upcoming is not None or race.running:
            if upcoming is not None and (upcoming in place.primaries or not race.running):
                race.ask(upcoming)
                upcoming = next(nodes, None)
            impatient = upcoming is not None and upcoming in place.primaries
            try:
                answered, response = race.answer(settings.concurrency_timeout if impatient else longest)
            except green.QueueEmpty:
                if impatient:
                    continue
                break
            if response is not None and tally.take(answered, response):
                return response, answered
        return tally.outcome(), None
    finally:
        race.end()


def _newest_first(cluster: Cluster, place: Placement, request: NodeRequest) -> Iterator[Node]:
    """Return the nodes that have the name, newest first, from a HEAD of each; none without a majority.

    If the partition moved, a majority of the former primaries must answer too: each former one that cannot be asked
    cancels a primary's answer.
    """
    plain = {name: value for name, value in request.headers.items() if not name.startswith(("If-", "Range"))}
    head = request._replace(method="HEAD", headers=plain)
    asked = list(cluster.read_order(place))
    former = place.former
    first = len(place.primaries) + len(former)
    waits = [(node, green.spawn(_stamp, cluster, node, head)) for node in asked[:first]]
    stamps = [(wait.wait(), -rank, node) for rank, (node, wait) in enumerate(waits)]
    known = sorted((stamp, rank, node) for stamp, rank, node in stamps if stamp is not None)
    heard = [node for _, _, node in known]
    silent = sum(node not in heard for node in former)
    if sum(node in place.primaries for node in heard) - silent < quorum_size(len(place.primaries)):
        return  # the newest cannot be determined
    yield from reversed(heard)
    yield from asked[first:]


def _stamp(cluster: Cluster, node: Node, head: NodeRequest) -> Timestamp | None:
    try:
        response = cluster.call(node, head)
    except NodeFailure:
        return None
    response.close()
    return stored_timestamp(response) if response.status in GOOD or response.status == 404 else None


class ResumedBody:
    """The body of an object's GET, continued from another copy if one fails.

    start, stop: its bytes within the object. Raises NodeFailure if no copy is left to continue from.
    """

    def __init__(
        self, cluster: Cluster, place: Placement, request: NodeRequest, found: Found, span: tuple[int, int]
    ) -> None:
        self._cluster = cluster
        self._place = place
        self._request = request
        self._found = found
        self._start, self._stop = span
        self._version = found.response.headers.get(messages.DATA_TIMESTAMP, "")
        self._tried = {found.node.id}

    def __iter__(self) -> Iterator[bytes | memoryview]:
        position = self._start
        while True:
            try:
                for piece in self._found.response:
                    position += len(piece)
                    yield piece
                if position >= self._stop:
                    return
                failure: Exception = NodeFailure(f"ended at byte {position} of {self._stop}")
            except NodeFailure as broken:
                failure = broken
            self._cluster.note_failure(self._found.node, self._request, failure)
            self._found.response.close()
            if position >= self._stop:
                return
            found = self._other_copy(position)
            if found is None:
                try:
                    raise failure
                finally:
                    del failure  # or the error and this frame would keep each other, and the piece, alive
            self._found = found

    def _other_copy(self, position: int) -> Found | None:
        headers = {
            name: value for name, value in self._request.headers.items() if not name.startswith(("If-", "Range"))
        }
        headers["Range"] = f"bytes={position}-{self._stop - 1}"
        headers[messages.MATCH_TIMESTAMP] = self._version
        request = self._request._replace(headers=headers)
        for node in self._cluster.read_order(self._place):
            if node.id in self._tried:
                continue
            self._tried.add(node.id)
            try:
                response = self._cluster.call(node, request)
            except NodeFailure:
                continue
            if response.status == 206:
                return Found(node, response)
            response.close()
        return None

    def close(self) -> None:
        self._found.response.close()
