"""What the states that nodes report amount to: case tables."""

from __future__ import annotations

import pytest

from objstore.cluster.lease_decision import NodeState, bounds, earliest_clock, is_settled, must_be_made_again, newest
from objstore.core.errors import ObjectHeld
from objstore.core.timestamps import ZERO, Timestamp
from objstore.web.write_conditions import LockCondition


def seen(*stamps: int) -> list[NodeState]:
    return [NodeState(Timestamp(stamp)) for stamp in stamps]


# states of those that gave the lease, of those that stand in for others, replicas
SETTLED = [
    ([0, 0, 0], [], 3, True),  # nothing is there
    ([5], [], 1, True),
    ([5, 5, 5], [], 3, True),
    ([5, 5, 4], [], 3, True),
    ([5, 5], [], 3, True),
    ([5, 4, 4], [], 3, False),  # under way, or left behind
    ([5, 4], [], 3, False),
    ([5, 0], [], 3, False),
    ([5, 5], [], 2, True),
    ([5, 4], [], 2, False),
    ([5, 5, 4], [], 4, False),
    ([5, 5, 5], [], 4, True),
    ([5, 5], [4], 3, True),
    ([5, 5], [5], 3, True),
    ([5, 5], [6], 3, False),  # only a stand-in has it: it is on its way to the others
    ([5, 4], [5], 3, False),
    ([0, 0], [6], 3, False),
]


@pytest.mark.parametrize(("home", "away", "replicas", "expected"), SETTLED)
def test_settled(home: list[int], away: list[int], replicas: int, expected: bool) -> None:
    assert is_settled(seen(*home), seen(*away), replicas) == expected
    assert is_settled(seen(*reversed(home)), seen(*away), replicas) == expected


# states, own timestamp, replicas
AGAIN = [
    ([5, 5, 7], 5, 3, True),  # 7 may be what a failed attempt left
    ([5, 5], 5, 3, True),
    ([5, 7], 5, 3, False),  # the third may have 7, too
    ([5, 7, 7], 5, 3, False),
    ([7, 7, 7], 5, 3, False),
    ([7, 8], 5, 3, False),
    ([4, 5, 7], 5, 3, False),
    ([5, 7], 5, 2, True),  # a majority is both
    ([7, 7], 5, 2, False),
    ([5, 5, 7, 7], 5, 4, True),
    ([5, 7, 7], 5, 4, False),
]


@pytest.mark.parametrize(("states", "own", "replicas", "expected"), AGAIN)
def test_made_again(states: list[int], own: int, replicas: int, expected: bool) -> None:
    assert must_be_made_again(seen(*states), Timestamp(own), replicas) == expected


def test_the_newest_says_what_is_there() -> None:
    states = [NodeState(Timestamp(5), "five"), NodeState(Timestamp(6), None), NodeState(Timestamp(4), "four")]
    assert newest(states).etag is None
    assert newest(states[::2]).etag == "five"


def test_a_change_is_newer_than_all_and_within_every_promise() -> None:
    states = [
        NodeState(Timestamp(5), None, ZERO, Timestamp(90)),
        NodeState(Timestamp(4), None, Timestamp(40), Timestamp(80)),
        NodeState(Timestamp(3), None, ZERO, Timestamp(99)),
    ]
    assert bounds(states) == (Timestamp(40), Timestamp(80))
    assert bounds(states[::2]) == (Timestamp(5), Timestamp(90))


def test_the_clock_that_is_furthest_behind_counts() -> None:
    states = [NodeState(Timestamp(5), clock=clock) for clock in (7, 5, 9)]
    assert earliest_clock(states) == 5
    assert earliest_clock([*states, NodeState(Timestamp(5))]) == 5  # one that told none
    assert earliest_clock([]) == 0
    LockCondition("", 5).check_clock(5)
    with pytest.raises(ObjectHeld):
        LockCondition("", 6).check_clock(5)
