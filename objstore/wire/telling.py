"""Send rows to several servers at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from objstore.core.errors import NodeFailure
from objstore.core.nodes import Node
from objstore.runtime import green
from objstore.wire.messages import NodeRequest, NodeResponse

UNREACHABLE = 0  # instead of a status
Note = Callable[[Node, object], object]


class NodeCaller(Protocol):
    """The part of a `Transport` used here."""

    def call(self, node: Node, request: NodeRequest) -> NodeResponse: ...


def tell_all(
    transport: NodeCaller,
    nodes: Mapping[int, Node],
    request: NodeRequest,
    note: Note = lambda node, why: None,
) -> dict[int, int]:
    """Send a request to each node; return statuses by index, UNREACHABLE for no answer.

    note: called for each node that did not accept the rows, with the status or exception.
    """
    if len(nodes) == 1:
        ((index, node),) = nodes.items()
        return {index: _send(transport, node, request, note)}
    waits = [(index, green.spawn(_send, transport, node, request, note)) for index, node in nodes.items()]
    return {index: wait.wait() for index, wait in waits}


def _send(transport: NodeCaller, node: Node, request: NodeRequest, note: Note) -> int:
    try:
        response = transport.call(node, request)
        response.close()
    except NodeFailure as failure:
        note(node, failure)
        return UNREACHABLE
    if not response.ok:
        note(node, response.status)
    return response.status


def succeeded(status: int) -> bool:
    return 200 <= status < 300


def ended(status: int) -> bool:
    """Return whether the row was refused because the container was deleted since its writer read it."""
    return status == 410


def failed(statuses: Mapping[int, int]) -> list[int]:
    """Return the indexes of nodes that did not accept the rows."""
    return [index for index, status in statuses.items() if not 200 <= status < 300]


def is_majority(statuses: Iterable[int]) -> bool:
    """Return whether more than half of the nodes accepted the rows."""
    answers = list(map(succeeded, statuses))
    return 2 * sum(answers) > len(answers)
