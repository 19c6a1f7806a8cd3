"""A listing with all rows that a majority of the container's replicas has accepted.

A replica may lack rows for a while: it was away when they were sent, or too slow. Enough replicas are asked to overlap
with every majority that may have accepted a row, including former nodes of the partition, and their rows are merged: of
the rows of a name the newest. If not all of them are alike, or a replica has none, the row has the key DISPUTED: the
object may have been changed or deleted since.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from objstore.cluster.cluster import Cluster, Placement
from objstore.cluster.quorum import quorum_size
from objstore.cluster.reads import stored_timestamp
from objstore.core.errors import NodeFailure, NotFound
from objstore.core.nodes import Node
from objstore.core.timestamps import ZERO, Timestamp
from objstore.runtime import green
from objstore.wire.messages import NodeRequest

Row = dict[str, Any]
DISPUTED = "disputed"


class ReplicaListing(NamedTuple):
    """The answer of a replica. rows: None if it lacks the container. deleted: time of its deletion, or ZERO."""

    rows: list[Row] | None
    deleted: Timestamp = ZERO


def list_majority(cluster: Cluster, place: Placement, request: NodeRequest, limit: int) -> list[Row]:
    """Return the rows of one page that any replica has. Raises NodeFailure if too few answer, NotFound if none has the
    container.

    request: a GET of the container with this limit.
    """
    waits = [(node, green.spawn(_ask, cluster, node, request)) for node in (*place.primaries, *place.former)]
    answers = {node: wait.wait() for node, wait in waits}
    silent = {node for node, answer in answers.items() if answer is None}
    heard = sum(node not in silent for node in place.primaries) - sum(node in silent for node in place.former)
    if heard < quorum_size(len(place.primaries)):
        raise NodeFailure(f"too few replicas list {request.name.path}")
    known = [answer for answer in answers.values() if answer is not None]
    pages = [answer.rows for answer in known if answer.rows is not None]
    if not pages:
        deleted = max(answer.deleted for answer in known)
        raise NotFound(request.name.path, deleted or None)
    return merged(pages, limit)


def merged(pages: Sequence[list[Row]], limit: int) -> list[Row]:
    """Merge the pages of replicas, each name once, up to the end of the first full page."""
    by_name: dict[bytes, list[Row]] = {}
    for page in pages:
        for row in page:
            by_name.setdefault(_order(row), []).append(row)
    ends = [_order(page[-1]) for page in pages if len(page) >= limit]
    return [_newest(by_name[key], len(pages)) for key in sorted(by_name) if not ends or key <= min(ends)]


def _newest(rows: list[Row], replicas: int) -> Row:
    """Return the newest of the rows of a name, marked if the replicas do not agree on it."""
    first = rows[0]
    if len(rows) == replicas and all(row == first for row in rows):
        return first
    newest = max(rows, key=lambda row: (row.get("last_modified", ""), row.get("offset", 0)))
    return {**newest, DISPUTED: True}


def _order(row: Row) -> bytes:
    """Return the sort key of a name: its UTF-8."""
    name: str = row["name"]
    return name.encode("utf-8", "surrogateescape")


def _ask(cluster: Cluster, node: Node, request: NodeRequest) -> ReplicaListing | None:
    """Ask a replica; return None if it does not answer."""
    try:
        response = cluster.call(node, request)
        rows = response.json() if response.status == 200 else None
        response.close()
    except NodeFailure:
        return None
    if response.status == 404:
        return ReplicaListing(None, stored_timestamp(response))
    return ReplicaListing(rows) if response.status == 200 else None
