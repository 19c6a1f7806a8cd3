"""Rows told to several servers at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from objstore.core.errors import NodeUnreachable
from objstore.core.names import Name
from objstore.core.nodes import Node
from objstore.wire.messages import NodeRequest
from objstore.wire.telling import UNREACHABLE, failed, is_majority, tell_all

NODES = [Node(number, 0, 0, "127.0.0.1", 6200, f"d{number}") for number in range(3)]
REQUEST = NodeRequest("POST", 1, Name("a", "c"), {})


class Answers:
    """A transport whose nodes answer by their ids. closed: how many answers were."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = statuses
        self.closed = 0

    def call(self, node: Node, request: NodeRequest) -> Any:
        status = self._statuses[node.id]
        if not status:
            raise NodeUnreachable(str(node))

        def close() -> None:
            self.closed += 1

        return SimpleNamespace(status=status, ok=200 <= status < 300, close=close)


def test_each_answers_under_its_index_and_those_that_failed_are_noted() -> None:
    noted: list[tuple[str, object]] = []
    transport: Any = Answers(202, 503, 0)
    statuses = tell_all(
        transport, {4: NODES[0], 5: NODES[1], 7: NODES[2]}, REQUEST, lambda node, why: noted.append((node.device, why))
    )
    assert statuses == {4: 202, 5: 503, 7: UNREACHABLE}
    assert failed(statuses) == [5, 7]
    assert [device for device, _ in noted] == ["d1", "d2"]
    assert transport.closed == 2


def test_one_alone_is_told_too_and_nobody_where_there_is_none() -> None:
    transport: Any = Answers(202)
    assert tell_all(transport, {2: NODES[0]}, REQUEST) == {2: 202}
    assert tell_all(transport, {}, REQUEST) == {}


@pytest.mark.parametrize(
    ("statuses", "expected"), [([], False), ([202], True), ([202, 404], False), ([201, 202, 0], True), ([0], False)]
)
def test_majority_of_those_told(statuses: list[int], expected: bool) -> None:
    assert is_majority(statuses) is expected
