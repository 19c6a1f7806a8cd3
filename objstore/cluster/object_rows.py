"""Rows of an object's change that the proxy itself sends to the container, instead of object servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from objstore.cluster.cluster import Cluster
from objstore.cluster.object_change import ObjectChange, Sent
from objstore.core.errors import NodeTimeout
from objstore.core.lives import LIFE
from objstore.core.nodes import Node
from objstore.runtime import green
from objstore.wire import messages
from objstore.wire.messages import NodeRequest, NodeResponse
from objstore.wire.rows import ListedObject, object_row, rows_request, tombstone_row
from objstore.wire.telling import tell_all


def row(change: ObjectChange, etag: str, size: int) -> dict[str, Any]:
    """Return the row of a PUT."""
    name, stamp = change.place.name.object, change.timestamp
    assert name is not None
    listed = ListedObject(name, stamp, stamp, stamp, size, etag, change.headers["Content-Type"], change.headers)
    return object_row(listed, change.place.policy)


def tombstone(change: ObjectChange) -> dict[str, Any]:
    name = change.place.name.object
    assert name is not None
    return tombstone_row(name, change.timestamp, change.place.policy)


def send_the_rest(sent: Sent, make_row: Callable[[], Mapping[str, Any]]) -> dict[int, int]:
    """Send the row to the container replicas that no object server updated, because it failed or is late, and to former
    ones that may have to answer for primaries without a database.

    Returns the status of each, by its index; former ones, which replace no primary, have negative indexes.
    """
    statuses: set[str] = set()
    for answer in sent.written.answers:
        statuses.update(answer.headers.get(messages.UPDATED, "").split(","))
    updates, place = sent.change.updates, sent.change.updates.place
    left = {}
    if not statuses >= updates.indexes:
        left = {index: node for index, node in enumerate(place.primaries) if str(index) not in statuses}
    if place.is_mostly_new:
        left.update((-1 - index, node) for index, node in enumerate(place.former))
    return _send(sent.change, left, make_row(), sent.change.life) if left else {}


def send_row(
    change: ObjectChange, replicas: Iterable[int], listed: Mapping[str, Any], life: str = ""
) -> dict[int, int]:
    """Send a row to container replicas, by their indexes; return the status of each. life: as of an `ObjectChange`."""
    primaries = dict(enumerate(change.updates.place.primaries))
    return _send(change, {index: primaries[index] for index in replicas if index in primaries}, listed, life)


def _send(change: ObjectChange, nodes: Mapping[int, Node], listed: Mapping[str, Any], life: str) -> dict[int, int]:
    """Send a row. Replicas that are down, or take longer than `update_timeout`, get it by replication of the
    container."""
    headers = {LIFE: life} if life else None
    partition = change.updates.place.partition
    sent = rows_request(change.place.name.of_container, partition, [listed], change.timestamp.internal, headers)
    return tell_all(_Brief(change.place.cluster), nodes, sent)


class _Brief(NamedTuple):
    """A cluster with a short timeout: a client is waiting who could be answered without these nodes."""

    cluster: Cluster

    def call(self, node: Node, request: NodeRequest) -> NodeResponse:
        seconds = self.cluster.settings.update_timeout
        with green.Bound(seconds, lambda: NodeTimeout(f"{node} took longer than {seconds} s")):
            return self.cluster.call(node, request)
