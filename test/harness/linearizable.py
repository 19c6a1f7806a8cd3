"""Could a history of one name have been made one operation after the other?

The search of Wing and Gong (Testing and Verifying Concurrent Objects, 1993) with the memory of Lowe
(Testing for linearizability, 2017), over a register: a name that holds a value, or nothing. Each operation
must take effect at one instant between its start and its end; one whose outcome is not known
may take effect at any later time, or never.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import NamedTuple

Value = str | None  # None: nothing is there
ANY = "*"  # of a condition: whatever it is, but something


class Op(NamedTuple):
    """One operation.

    kind: `read` (saw `value`) or `write` (of `value`, None to delete). expected: the condition of a write,
    a value or ANY; absent: it is that there is nothing. made: False where the condition was found false,
    None where the outcome is not known.
    """

    kind: str
    value: Value
    start: float
    end: float
    expected: Value = None
    absent: bool = False
    made: bool | None = True

    def holds(self, state: Value) -> bool:
        """Is the condition true in a state?"""
        if self.absent:
            return state is None
        if self.expected is None:
            return True
        return state is not None and self.expected in (ANY, state)

    def observes(self, state: Value) -> bool:
        """For an operation that changes nothing: could it have ended so in a state?"""
        return state == self.value if self.kind == "read" else not self.holds(state)

    @property
    def changes(self) -> bool:
        return self.kind == "write" and self.made is not False


NOTHING = Op("nothing", None, 0, 0)  # for what certainly had no effect, and tells nothing


class History:
    """Operations on one name as clients see them; for many threads."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self._lock = threading.Lock()

    @contextmanager
    def op(self, kind: str, value: Value = None, expected: Value = None, absent: bool = False) -> Iterator[list[Op]]:
        """Note an operation; within, put what it turned out to be into the list. Left unknown where nothing was put."""
        outcome: list[Op] = []
        start = time.monotonic()
        try:
            yield outcome
        finally:
            end = time.monotonic()
            if not outcome and kind == "write":
                outcome = [Op(kind, value, start, inf, expected, absent, None)]
            with self._lock:
                for one in outcome:
                    if one is not NOTHING:
                        self.ops.append(one._replace(start=start, end=end if one.made is not None else inf))

    def statuses(self) -> dict[str, int]:
        """How many operations of each kind and outcome there are; a test that saw none of one tests nothing."""
        counts: dict[str, int] = {}
        for op in self.ops:
            kind = op.kind if op.kind == "read" else "create" if op.absent else "swap" if op.expected else "write"
            named = f"{kind} {({True: 'made', False: 'refused', None: 'unknown'})[op.made]}"
            counts[named] = counts.get(named, 0) + 1
        return counts


def linearize(ops: list[Op], first: Value = None) -> list[Op] | None:
    """An order in which the operations could have been made, None where there is none."""
    ops = sorted(ops, key=lambda op: op.start)
    count = len(ops)
    certain = sum(1 << index for index, op in enumerate(ops) if op.made is not None)
    seen: set[tuple[int, Value]] = set()

    def candidates(done: int) -> list[int]:
        """Those not done that started before any other not done ended."""
        found = []
        horizon = inf
        index = _lowest(~done)
        while index < count:
            if not done >> index & 1:
                if ops[index].start > horizon:
                    break
                found.append(index)
                horizon = min(horizon, ops[index].end)
            index += 1
        return [index for index in found if ops[index].start <= horizon]

    def settle(done: int, state: Value, order: list[int]) -> tuple[int, list[int]]:
        """Take all that changes nothing and can be now: to take it later would be no better."""
        order = list(order)
        while True:
            free = [i for i in candidates(done) if not ops[i].changes and ops[i].observes(state)]
            if not free:
                return done, order
            for index in free:
                done |= 1 << index
                order.append(index)

    stack = [(*settle(0, first, []), first)]
    while stack:
        done, order, state = stack.pop()
        if done & certain == certain:
            return [ops[index] for index in order]
        if (done, state) in seen:
            continue
        seen.add((done, state))
        for index in candidates(done):
            op = ops[index]
            if op.changes and op.holds(state):
                stack.append((*settle(done | 1 << index, op.value, [*order, index]), op.value))
    return None


def _lowest(bits: int) -> int:
    """The number of the lowest bit set."""
    return (bits & -bits).bit_length() - 1


def check(history: History | list[Op], first: Value = None) -> None:
    """Raises AssertionError where no order explains the history."""
    ops = history if isinstance(history, list) else history.ops
    if linearize(ops, first) is None:
        raise AssertionError(blame(ops, first))


def blame(ops: list[Op], first: Value = None) -> str:
    """Of an impossible history: at the end of which operation it became so, amid which others."""
    ends = sorted(op.end for op in ops if op.end < inf)
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        if linearize(_until(ops, ends[middle]), first) is None:
            high = middle
        else:
            low = middle + 1
    when = ends[low]
    last = next(op for op in ops if op.end == when)
    values = {last.value, last.expected} - {None}
    before = sorted(op.end for op in ops if op.end < when)[-20:]
    shown = [
        op
        for op in sorted(ops, key=lambda op: op.start)
        if op.start <= when and (op.end >= (before or [0])[0] or {op.value, op.expected} & values)
    ]
    return f"no order explains {last}, given\n" + "\n".join(_line(op, when) for op in shown)


def _until(ops: list[Op], when: float) -> list[Op]:
    """What was known at an instant."""
    known = [op if op.end <= when else op._replace(end=inf, made=None) for op in ops if op.start <= when]
    return [op for op in known if op.made is not None or op.changes]


def _line(op: Op, zero: float) -> str:
    condition = "if nothing" if op.absent else f"if {op.expected}" if op.expected else ""
    return f"{op.start - zero:9.4f} {op.end - zero:9.4f} {op.kind} {op.value} {condition} made={op.made}"
