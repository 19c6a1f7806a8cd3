"""Whose a partition is, and when its turn comes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from objstore.core.nodes import Node
from objstore.replication.assignment import assign, has_come


def node(number: int) -> Node:
    return Node(number, 1, 1, f"10.0.0.{number}", 6200, "d1")


def test_a_primary_sends_to_the_others_and_a_handoff_to_all() -> None:
    primaries = [node(1), node(2), node(3)]
    assert assign(primaries, lambda one: one.id == 2) == ((node(1), node(3)), False)
    assert assign(primaries, lambda one: one.id == 4) == (tuple(primaries), True)


@given(
    st.floats(0, 0.999), st.floats(1, 1e5), st.lists(st.floats(0, 1e5), min_size=1, max_size=20), st.floats(1e9, 2e9)
)
def test_what_is_due_once_an_interval_is_found_once_however_often_one_looks(
    moment: float, every: float, pauses: list[float], start: float
) -> None:
    looks = [start]
    for pause in pauses:
        looks.append(looks[-1] + pause)
    found = sum(has_come(moment, every, since, now) for since, now in pairwise(looks))
    intervals = (looks[-1] - looks[0]) / every
    assert found <= intervals + 1
    if max(pauses) < every:
        assert found >= intervals - 1 - 1e-6
