"""The checker of histories: what it must find, and must not."""

from __future__ import annotations

import random
from math import inf

import pytest
from harness.linearizable import ANY, Op, linearize


def read(value: str | None, start: float, end: float) -> Op:
    return Op("read", value, start, end)


def put(value: str | None, start: float, end: float) -> Op:
    return Op("write", value, start, end)


def swap(expected: str, value: str | None, start: float, end: float, made: bool | None = True) -> Op:
    return Op("write", value, start, end, expected, made=made)


def create(value: str, start: float, end: float, made: bool | None = True) -> Op:
    return Op("write", value, start, end, absent=True, made=made)


GOOD = {
    "nothing": [],
    "one after the other": [put("a", 0, 1), read("a", 2, 3), put(None, 4, 5), read(None, 6, 7)],
    "a read amid a write sees the old": [put("a", 0, 10), read(None, 1, 2), read("a", 11, 12)],
    "a read amid a write sees the new": [put("a", 0, 10), read("a", 1, 2)],
    "one creates": [create("a", 0, 9), create("b", 0, 9, False), create("c", 1, 9, False), read("a", 10, 11)],
    "the loser ends before the winner": [create("a", 0, 9), create("b", 0, 1, False)],
    "created again after a deletion": [create("a", 0, 1), put(None, 2, 3), create("b", 4, 5)],
    "a chain of swaps at once": [
        put("a", 0, 1), swap("b", "c", 2, 9), swap("a", "b", 2, 9), swap("a", "x", 2, 9, False),
    ],
    "an unknown write was made": [put("a", 0, 1), Op("write", "b", 2, inf, made=None), read("b", 8, 9)],
    "an unknown write was not made": [put("a", 0, 1), Op("write", "b", 2, inf, made=None), read("a", 8, 9)],
    "an unknown write is made late": [Op("write", "b", 0, inf, made=None), read(None, 1, 2), read("b", 3, 4)],
    "any": [put("a", 0, 1), swap(ANY, "b", 2, 3), swap(ANY, None, 4, 5), swap(ANY, "c", 6, 7, False)],
}  # fmt: skip
BAD = {
    "a value from nowhere": [read("a", 0, 1)],
    "an old value": [put("a", 0, 1), put("b", 2, 3), read("a", 4, 5)],
    "new, then old": [put("a", 0, 1), put("b", 2, 9), read("b", 3, 4), read("a", 5, 6)],
    "two create": [create("a", 0, 9), create("b", 0, 9)],
    "two swap the same": [put("a", 0, 1), swap("a", "b", 2, 9), swap("a", "c", 2, 9)],
    "a swap that was lost": [put("a", 0, 1), swap("a", "b", 2, 3), read("a", 4, 5)],
    "a write that takes effect twice": [
        put("a", 0, 1), put("p", 2, 9), read("p", 3, 4), swap("p", "b", 5, 6), read("p", 10, 11),
    ],
    "refused without reason": [put("a", 0, 1), swap("a", "b", 2, 3, False)],
    "refused to create where nothing was": [create("a", 0, 1, False)],
    "an unknown swap of what was not there": [put("a", 0, 1), swap("x", "b", 2, inf, None), read("b", 3, 4)],
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_possible(name: str) -> None:
    found = linearize(GOOD[name])
    assert found is not None
    state = None
    for op in found:
        if op.changes:
            assert op.holds(state)
            state = op.value
        else:
            assert op.observes(state)


@pytest.mark.parametrize("name", BAD)
def test_impossible(name: str) -> None:
    assert linearize(BAD[name]) is None


def history(seed: int, count: int, clients: int) -> list[Op]:
    """A true history: each operation takes effect at an instant of its own."""
    choice = random.Random(seed)
    state: str | None = None
    ops = []
    for number in range(count):
        instant = float(number)
        start, end = instant - choice.random() * clients, instant + choice.random() * clients
        value = f"v{number}"
        kind = choice.randrange(4)
        if kind == 0:
            ops.append(read(state, start, end))
        elif kind == 1:
            ops.append(put(value, start, end))
            state = value
        elif kind == 2:
            expected = state if state is not None and choice.random() < 0.7 else "other"
            ops.append(swap(expected, value, start, end, expected == state))
            state = value if expected == state else state
        else:
            ops.append(create(value, start, end, state is None))
            state = value if state is None else state
    return ops


@pytest.mark.parametrize("seed", range(5))
def test_true_histories_are_possible(seed: int) -> None:
    assert linearize(history(seed, 600, 12)) is not None


@pytest.mark.parametrize("seed", range(5))
def test_a_true_history_with_one_lost_swap_is_not(seed: int) -> None:
    ops = history(seed, 300, 3)
    ops.append(put("base", 1000, 1001))
    ops += [swap("base", "x", 1002, 1005), swap("base", "y", 1002, 1005)]
    assert linearize(ops) is None
