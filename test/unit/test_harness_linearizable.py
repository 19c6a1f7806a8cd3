"""The checker of histories: what it must find, and must not."""

from __future__ import annotations

import itertools
import random
import time
import tracemalloc
from math import inf

import pytest
from harness.linearizable import ANY, NotDecided, Op, Verdict, check, judge


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


def assert_explains(order: list[Op], ops: list[Op]) -> None:
    """The order is one of these operations, each between its start and end, and each as it was seen."""
    state = None
    begun = -inf
    for op in order:
        begun = max(begun, op.start)
        assert begun <= op.end or op.made is None, "an operation is after one that began when it had ended"
        if op.changes:
            assert op.holds(state)
            state = op.value
        else:
            assert op.observes(state)
    assert len(order) == len({*order})
    assert {op for op in ops if op.made is not None} <= {*order} <= {*ops}


@pytest.mark.parametrize("name", GOOD)
def test_possible(name: str) -> None:
    found = judge(GOOD[name])
    assert found.verdict is Verdict.POSSIBLE
    assert_explains(found.order, GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_impossible(name: str) -> None:
    assert judge(BAD[name]).verdict is Verdict.IMPOSSIBLE


def test_an_impossible_history_is_blamed_on_the_operation_at_whose_end_it_became_so() -> None:
    ops = [put("a", 0, 1), put("b", 2, 3), read("a", 4, 5), read("b", 6, 7)]
    with pytest.raises(AssertionError, match=r"no order explains .*value='a', start=4"):
        check(ops)


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
    ops = history(seed, 600, 12)
    found = judge(ops)
    assert found.verdict is Verdict.POSSIBLE
    assert_explains(found.order, ops)


@pytest.mark.parametrize("seed", range(5))
def test_a_true_history_with_one_lost_swap_is_not(seed: int) -> None:
    ops = history(seed, 300, 3)
    ops.append(put("base", 1000, 1001))
    ops += [swap("base", "x", 1002, 1005), swap("base", "y", 1002, 1005)]
    assert judge(ops).verdict is Verdict.IMPOSSIBLE


def is_possible(ops: list[Op]) -> bool:
    """The definition itself: does any order of any choice of the unknown operations explain the history?"""
    certain = [op for op in ops if op.made is not None]
    unknown = [op for op in ops if op.made is None]
    return any(
        _explains(order)
        for count in range(len(unknown) + 1)
        for chosen in itertools.combinations(unknown, count)
        for order in itertools.permutations([*certain, *chosen])
    )


def _explains(order: tuple[Op, ...]) -> bool:
    state, begun = None, -inf
    for op in order:
        begun = max(begun, op.start)
        if op.end < begun or not (op.holds(state) if op.changes else op.observes(state)):
            return False
        state = op.value if op.changes else state
    return True


def small_history(choice: random.Random) -> list[Op]:
    """Up to six operations on a few values, with all conditions; many are impossible."""
    ops = []
    for _ in range(choice.randrange(2, 7)):
        start = choice.randrange(10)
        value = choice.choice(["a", "b", "c", None])
        made = choice.choice([True, True, False, None])
        expected = choice.choice([None, None, "a", "b", ANY])
        absent = expected is None and choice.random() < 0.3
        kind = "read" if choice.random() < 0.25 else "write"
        if kind == "read" or (made is False and not absent and expected is None):
            ops.append(read(value, start, start + choice.randrange(1, 8)))
        else:
            end = inf if made is None else start + choice.randrange(1, 8)
            ops.append(Op("write", value, start, end, expected, absent, made))
    return ops


def test_small_histories_are_judged_as_by_trying_all_orders() -> None:
    choice = random.Random(5)
    verdicts = []
    for _ in range(1500):
        ops = small_history(choice)
        found = judge(ops)
        assert (found.verdict is Verdict.POSSIBLE) == is_possible(ops), ops
        verdicts.append(found.verdict)
    assert verdicts.count(Verdict.POSSIBLE) > 300 < verdicts.count(Verdict.IMPOSSIBLE)


def storm(seed: int, count: int, clients: int, unknown: float) -> list[Op]:
    """A true history of conditional changes, many of unknown outcome.

    Of these half take effect at once, if their condition holds; of the others some do much later.
    """
    choice = random.Random(seed)
    state: str | None = None
    ops: list[Op] = []
    late: list[Op] = []
    known: list[str] = []
    for number in range(count):
        instant = float(number)
        start, end = instant - choice.random() * clients, instant + choice.random() * clients
        if late and choice.random() < 0.1:
            held = late.pop(choice.randrange(len(late)))
            state = held.value if held.holds(state) else state
        kind = choice.choices(["create", "swap", "any", "remove"], [3, 6, 1, 1])[0]
        expected = {"swap": choice.choice(known[-3:] or ["none"]), "any": ANY, "remove": state or "none"}.get(kind)
        value = None if kind == "remove" else f"v{number}"
        op = Op("write", value, start, end, expected, kind == "create", True)
        if choice.random() < unknown:
            op = op._replace(end=inf, made=None)
            if choice.random() < 0.5:
                state = value if op.holds(state) else state
            else:
                late.append(op)
        else:
            op = op._replace(made=op.holds(state))
            state = value if op.made else state
        if choice.random() < 0.5 and state is not None:
            known.append(state)
        ops.append(op)
    return ops


@pytest.mark.parametrize(("count", "unknown"), [(4000, 0.1), (1500, 0.3), (1000, 0.9)])
@pytest.mark.parametrize("seed", range(3))
def test_a_long_history_with_many_unknown_outcomes_is_decided_in_seconds(seed: int, count: int, unknown: float) -> None:
    """A search that tried each subset of them did not end in half an hour."""
    ops = storm(seed, count, 4, unknown)
    started = time.monotonic()
    found = judge(ops, seconds=60)
    assert found.verdict is Verdict.POSSIBLE
    assert_explains(found.order, ops)
    assert time.monotonic() - started < 30
    late = 10_000.0
    lost = [put("base", late, late + 1), swap("base", "x", late + 2, late + 5), swap("base", "y", late + 2, late + 5)]
    assert judge([*ops, *lost], seconds=60).verdict is Verdict.IMPOSSIBLE


def hard() -> list[Op]:
    """Twelve times one of 24 unknown operations is needed, and each differs in what it is good for in the end."""
    ops = []
    for number in range(24):
        ops.append(create(f"u{number}", 0, inf, None))
        ops.append(swap(f"u{number}", f"u{number}", 1000, 1001, False))
    for number in range(12):
        start = 10.0 * (number + 1)
        ops += [create("x", start, start + 1, False), put(None, start + 2, start + 3)]
    return [*ops, read("never", 900, 901)]


def test_a_search_ends_in_its_time() -> None:
    started = time.monotonic()
    assert judge(hard(), seconds=0.5, max_worlds=1 << 60).verdict is Verdict.UNDECIDED
    assert time.monotonic() - started < 5


def test_a_search_keeps_to_its_memory() -> None:
    tracemalloc.start()
    try:
        assert judge(hard(), seconds=600, max_worlds=2000).verdict is Verdict.UNDECIDED
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_history_that_is_not_decided_neither_passes_nor_fails() -> None:
    with pytest.raises(NotDecided, match="a history of 73 operations was not decided"):
        check(hard(), seconds=0.2)
