"""Could a history of one name have been made one operation after the other?

Each operation must take effect at one instant between its start and its end; one whose outcome is not known may take
effect at any later time, or never. The search is that of Wing and Gong (Testing and Verifying Concurrent Objects,
1993) with the memory and the late decisions of Lowe (Testing for linearizability, 2017), over a register: a name that
holds a value, or nothing.

The search walks over the starts and ends of operations in the order of time, with the set of all *worlds* that explain
what has ended so far: the register's state, and which of the operations under way have taken effect. At the end of an
operation each world in which it has not yet happened is replaced by those that pending operations lead to. When nothing
is under way a world is a state and no more, so that a history falls into pieces by itself.

Operations of unknown outcome never end, and are what makes the search hard. Four rules bound their part in a world:

- Values that no operation will see or expect any more are one value, or two: those that an unknown deletion may still
  remove, and others. Unknown writes with the same condition and value are interchangeable: a world counts them.
- An unknown change from a value that only one operation wrote can happen once, as that value never comes again.
  A world need not remember it.
- No operation replaces such a value while others that certainly saw or replaced it have not happened.
- Of two worlds that differ only in the unknown operations used so far, the one that used fewer can do all that the
  other can.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from math import inf
from typing import NamedTuple

Value = str | None  # None: nothing is there
ANY = "*"  # of a condition: whatever it is, but something
# The state when its value does not matter any more: one that stays, and one that an unknown operation may remove.
_SOME = "\0some"
_REMOVABLE = "\0removable"
_REMOVAL = -1  # of a removable value, as a step
SECONDS = 60.0  # of a search
MAX_WORLDS = 200_000  # that are looked at when one operation ends; some 100 MB


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

    def statuses(self) -> Counter[str]:
        """Number of operations of each kind and outcome; a test that saw none of one tests nothing."""
        return Counter(_outcome(op) for op in self.ops)


def _outcome(op: Op) -> str:
    kind = op.kind if op.kind == "read" else "create" if op.absent else "swap" if op.expected else "write"
    return f"{kind} {({True: 'made', False: 'refused', None: 'unknown'})[op.made]}"


class Verdict(Enum):
    POSSIBLE = "possible"
    IMPOSSIBLE = "impossible"
    UNDECIDED = "not decided"


class Judgement(NamedTuple):
    """order: one that explains the history, of a possible one. last: at whose end the search ended."""

    verdict: Verdict
    order: list[Op]
    last: Op | None = None


class NotDecided(Exception):
    """The search came to its bounds of time or memory: the history may be possible or not."""


class World(NamedTuple):
    """state: of the register. done: bits of pending operations that have taken effect. used: unknown ones, by class."""

    state: Value
    done: int
    used: tuple[int, ...]


# The steps of a world, the last first; worlds share what came before. A number is that of a class of unknown
# operations, one of which took effect, or `_REMOVAL`.
Past = tuple[Op | int, "Past"] | None


def judge(ops: list[Op], first: Value = None, seconds: float = SECONDS, max_worlds: int = MAX_WORLDS) -> Judgement:
    """Look for an order in which the operations could have been made, within bounds of time and memory."""
    search = _Search(ops, first, seconds, max_worlds)
    last: Op | None = None
    try:
        for when, ends, index in _events(ops):
            search.forget_values(when)
            if not ends:
                search.begin(index)
                continue
            last = ops[index]
            search.end(index)
            if not search.worlds:
                return Judgement(Verdict.IMPOSSIBLE, [], last)
    except NotDecided:
        return Judgement(Verdict.UNDECIDED, [], last)
    return Judgement(Verdict.POSSIBLE, search.order(), last)


def _events(ops: list[Op]) -> list[tuple[float, bool, int]]:
    """Starts and ends in the order of time; of what is simultaneous, starts come first. Unknown ones have no end."""
    events = [(op.start, False, index) for index, op in enumerate(ops)]
    return sorted(events + [(op.end, True, index) for index, op in enumerate(ops) if op.made is not None])


class _Uses:
    """When values matter. last: when the last operation that sees or expects a value ends, or one that it may become.

    removable: since when a value may be removed by unknown operations.
    """

    def __init__(self, ops: list[Op], first: Value) -> None:
        self.writers = Counter([first, *(op.value for op in ops if op.changes)])
        self.last: dict[str, float] = {}
        self.removable: dict[str, float] = {}
        self._sources: dict[str, list[Op]] = {}  # unknown changes by the value that they lead to
        removals = []
        for op in ops:
            for value in {op.expected, op.value if op.kind == "read" else None, first} - {None, ANY}:
                assert value is not None
                self.last[value] = max(self.last.get(value, -inf), -inf if self.is_once(op) else op.end)
            if self.is_once(op) and op.value is None:
                removals.append(op)
            elif self.is_once(op):
                self._sources.setdefault(str(op.value), []).append(op)
        self._spread_last()
        self._spread_removable(removals)

    def is_once(self, op: Op) -> bool:
        """Is it an unknown change that can happen once at most, as the value that it expects never comes again?"""
        return (
            op.made is None
            and op.expected not in (None, ANY)
            and self.writers[op.expected] <= 1
            and op.value != op.expected
        )

    def _spread_last(self) -> None:
        waiting = sorted(self.last, key=self.last.__getitem__)
        while waiting:
            value = waiting.pop()
            for op in self._sources.get(value, ()):
                if self.last[str(op.expected)] < self.last[value]:
                    self.last[str(op.expected)] = self.last[value]
                    waiting.append(str(op.expected))

    def _spread_removable(self, removals: list[Op]) -> None:
        waiting = [(str(op.expected), op.start) for op in removals]
        while waiting:
            value, since = waiting.pop()
            if since < self.removable.get(value, inf):
                self.removable[value] = since
                waiting += [(str(op.expected), max(since, op.start)) for op in self._sources.get(value, ())]

    def end(self, value: str) -> float:
        """When the value becomes one of many."""
        return max(self.last[value], self.removable.get(value, -inf))


class _Search:
    """worlds: those that explain what has ended, each with its past."""

    def __init__(self, ops: list[Op], first: Value, seconds: float, max_worlds: int) -> None:
        self._ops = ops
        self._uses = _Uses(ops, first)
        self._live = {value: self._uses.end(value) for value in self._uses.last}  # values that still matter
        self._leaving = sorted(self._live, key=self._live.__getitem__, reverse=True)
        self._bits: dict[int, int] = {}  # of operations under way, by their index
        self._unknown: dict[int, Op] = {}  # those that never end, by their bits
        self._changes: dict[int, Op] = {}  # pending ones by their bits, also unknown ones
        self._observers: dict[int, Op] = {}
        self._needs = self._certain_uses()
        self._once: dict[Value, list[Op]] = {}  # unknown changes that can happen once, by the value that they expect
        self._classes: dict[tuple[bool, Value, Value], int] = {}
        self._members: list[list[Op]] = []  # unknown changes of each class
        self._deadline = time.monotonic() + seconds
        self._max_worlds = max_worlds
        self._looked_at = 0  # worlds at the end of this operation
        self.worlds: dict[World, Past] = {World(self._state(first), 0, ()): None}

    def _certain_uses(self) -> dict[Value, list[int]]:
        """By value that comes once: the operations that have not ended and can only happen while it is there."""
        needs: dict[Value, list[int]] = {}
        for index, op in enumerate(self._ops):
            value = op.value if op.kind == "read" else op.expected if op.made else None
            if op.made and value not in (None, ANY) and self._uses.writers[value] <= 1:
                needs.setdefault(value, []).append(index)
        return needs

    def _state(self, value: Value) -> Value:
        if value is None or value in self._live:
            return value
        return _REMOVABLE if value in self._uses.removable else _SOME

    def forget_values(self, when: float) -> None:
        """Take values whose last use ended before an instant for one."""
        while self._leaving and self._live[self._leaving[-1]] < when:
            value = self._leaving.pop()
            del self._live[value]
            for bit in [bit for bit, op in self._unknown.items() if op.value == value]:
                self._count_on(bit)
            if any(world.state == value for world in self.worlds):
                self._replace_worlds(lambda world: world._replace(state=self._state(world.state)))

    def _count_on(self, bit: int) -> None:
        """Take an unknown operation into a class, as its value does not matter any more."""
        op = self._unknown.pop(bit)
        del self._changes[bit]
        number = self._class(op)
        self._members[number].append(op)

        def counted(world: World) -> World:
            if not world.done & bit:
                return world
            used = _one_more(world.used, number)
            return world._replace(done=world.done & ~bit, used=used)

        self._replace_worlds(counted)

    def _replace_worlds(self, change: Callable[[World], World]) -> None:
        self.worlds = {change(world): past for world, past in self.worlds.items()}

    def begin(self, index: int) -> None:
        op = self._ops[index]
        if op.made is None:
            self._begin_unknown(op)
            return
        bit = self._bits[index] = self._free_bit()
        if op.changes:
            self._changes[bit] = op
        else:
            self._observers[bit] = op
            self.worlds = dict(self._settled(world, past) for world, past in self.worlds.items())

    def _begin_unknown(self, op: Op) -> None:
        if not op.changes:
            return
        if self._uses.is_once(op):
            self._once.setdefault(op.expected, []).append(op)
        elif self._state(op.value) in (None, _SOME, _REMOVABLE):
            self._members[self._class(op)].append(op)
        else:
            bit = self._free_bit()
            self._unknown[bit] = self._changes[bit] = op

    def _class(self, op: Op) -> int:
        """The number of the class of an unknown operation."""
        number = self._classes.setdefault((op.absent, op.expected, self._state(op.value)), len(self._members))
        if number == len(self._members):
            self._members.append([])
            self._replace_worlds(lambda world: world._replace(used=(*world.used, 0)))
        return number

    def _free_bit(self) -> int:
        """The lowest one that no pending operation has."""
        taken = sum(self._bits.values()) + sum(self._unknown)
        return ~taken & (taken + 1)

    def end(self, index: int) -> None:
        """Keep the worlds in which the operation has taken effect, and those that lead to one."""
        bit = self._bits[index]
        self._looked_at = 0
        reached: dict[World, Past] = {}
        seen: dict[tuple[Value, int], list[World]] = {}
        unknown = sum(self._unknown)

        def reach(world: World, past: Past) -> bool:
            """Note a world; False if it, or one that can do as much, has been seen before."""
            others = seen.setdefault((world.state, world.done & ~unknown), [])
            self._spend()
            if any(_at_least(other, world, unknown) for other in others):
                return False
            others.append(world)
            if world.done & bit:
                reached[world._replace(done=world.done & ~bit)] = past
            return True

        waiting = [(world, past) for world, past in self.worlds.items() if reach(world, past) and not world.done & bit]
        while waiting:
            following = []
            for world, past in waiting:
                for later, its_past in self._next(world, past):
                    if reach(later, its_past) and not later.done & bit:
                        following.append((later, its_past))
            waiting = following
        del self._bits[index]
        self._changes.pop(bit, None)
        self._observers.pop(bit, None)
        for value in (self._ops[index].value, self._ops[index].expected):
            if index in self._needs.get(value, ()):
                self._needs[value].remove(index)
        self.worlds = reached

    def _spend(self) -> None:
        self._looked_at += 1
        if self._looked_at > self._max_worlds or time.monotonic() > self._deadline:
            raise NotDecided

    def _next(self, world: World, past: Past) -> Iterator[tuple[World, Past]]:
        """Worlds that one pending change leads to, and all then that changes nothing."""
        needing = [index for index in self._needs.get(world.state, ()) if not world.done & self._bits.get(index, 0)]
        if needing:
            bit = self._bits.get(needing[0], 0)
            if len(needing) == 1 and bit in self._changes:
                yield self._after(world, self._changes[bit], past, done=world.done | bit)
            return
        for bit, op in self._changes.items():
            if not world.done & bit and op.holds(world.state):
                yield self._after(world, op, past, done=world.done | bit)
        if world.state == _REMOVABLE:
            yield self._settled(world._replace(state=None), (_REMOVAL, past))
        for op in self._once.get(world.state, ()):
            yield self._after(world, op, past)
        for number, members in enumerate(self._members):
            if world.used[number] < len(members) and members[0].holds(world.state):
                yield self._settled(
                    world._replace(state=self._state(members[0].value), used=_one_more(world.used, number)),
                    (number, past),
                )

    def _after(self, world: World, op: Op, past: Past, done: int | None = None) -> tuple[World, Past]:
        done = world.done if done is None else done
        return self._settled(world._replace(state=self._state(op.value), done=done), (op, past))

    def _settled(self, world: World, past: Past) -> tuple[World, Past]:
        """With all that changes nothing and can be now: to take it later would be no better."""
        done = world.done
        for bit, op in self._observers.items():
            if not done & bit and op.observes(world.state):
                done |= bit
                past = op, past
        return (world if done == world.done else world._replace(done=done)), past

    def order(self) -> list[Op]:
        """All operations of one world."""
        past = next(iter(self.worlds.values()))
        steps: list[Op | int] = []
        while past is not None:
            step, past = past
            steps.append(step)
        steps.reverse()
        named = {id(step) for step in steps if isinstance(step, Op)}
        members = [[op for op in ops if id(op) not in named][::-1] for ops in self._members]
        order: list[Op] = []
        for step in steps:
            if step == _REMOVAL:
                order += self._removal(next(op.value for op in reversed(order) if op.changes))
            else:
                order.append(step if isinstance(step, Op) else members[step].pop())
        return order

    def _removal(self, value: Value) -> list[Op]:
        """Unknown operations that remove a value, the soonest."""
        removable = {None: -inf, **self._uses.removable}
        found = []
        while value is not None:
            ops = [op for op in self._once[value] if op.value in removable]
            found.append(min(ops, key=lambda op: max(op.start, removable[op.value])))
            value = found[-1].value
        return found


def _one_more(used: tuple[int, ...], number: int) -> tuple[int, ...]:
    return (*used[:number], used[number] + 1, *used[number + 1 :])


def _at_least(one: World, other: World, unknown: int) -> bool:
    """Has a world used no unknown operation that the other, alike but for these, has not?"""
    return not one.done & ~other.done & unknown and all(map(int.__le__, one.used, other.used))


def check(history: History | list[Op], first: Value = None, seconds: float = SECONDS) -> None:
    """Raises AssertionError if no order explains the history, NotDecided if the search came to its bounds."""
    ops = history if isinstance(history, list) else history.ops
    judgement = judge(ops, first, seconds)
    if judgement.verdict is Verdict.IMPOSSIBLE:
        raise AssertionError(blame(ops, first))
    if judgement.verdict is Verdict.UNDECIDED:
        raise NotDecided(f"a history of {len(ops)} operations was not decided in {seconds:g} s; last {judgement.last}")


def blame(ops: list[Op], first: Value = None, seconds: float = SECONDS / 10) -> str:
    """Text about an impossible history: the operation at whose end it became so, and those about it.

    seconds: of the search for each of some beginnings of the history; what is not decided counts as possible.
    """
    ends = sorted(op.end for op in ops if op.end < inf)
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        if judge(_until(ops, ends[middle]), first, seconds).verdict is Verdict.IMPOSSIBLE:
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
