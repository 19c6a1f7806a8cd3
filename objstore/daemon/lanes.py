"""The skeleton of both replicators: passes over the devices of a host, side by side: a slow one delays only itself."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from objstore.core.errors import DeviceUnavailable, Unreadable
from objstore.runtime import green

Task = TypeVar("Task")
_TOLD = ("partitions_done", "partitions", "handoffs", "handoffs_left", "failures")


class PassResult(NamedTuple):
    """A complete pass over a device: all of its partitions were compared with their peers.

    began, ended: seconds since the epoch. rings: version by name, as the pass began. failures: partitions that did not
    succeed, handoffs_left of these stay on the device though they belong elsewhere. failed_peers: nodes that could not
    be brought up to date, as rings name them for replication.
    """

    began: float
    ended: float
    rings: Mapping[str, int]
    failures: int
    handoffs_left: int
    failed_peers: frozenset[str]

    def status(self) -> dict[str, object]:
        return {**self._asdict(), "failed_peers": sorted(self.failed_peers)}


def together(results: Sequence[PassResult]) -> PassResult:
    """The combined result of several passes in a row, each of which compared only a part of the unchanged items."""
    first, last = results[0], results[-1]
    failed = frozenset[str]().union(*(result.failed_peers for result in results))
    return last._replace(began=first.began, rings=first.rings, failed_peers=failed)


class Lane(Generic[Task]):
    """The work of one device in a pass, and its progress.

    plan: the tasks: urgent ones first, then the rest, both in order. do: runs one, and returns whether it succeeded.
    at_end: called at the end; with False if the device went away before. total, done: numbers of tasks. first,
    first_left: of the urgent ones. failures: tasks that failed.
    """

    def __init__(
        self,
        plan: Callable[[], tuple[Sequence[Task], Sequence[Task]]],
        do: Callable[[Task], bool],
        at_end: Callable[[bool], object],
    ) -> None:
        self._plan = plan
        self._do = do
        self._at_end = at_end
        self._tasks: deque[tuple[Task, bool]] = deque()
        self._planned = False
        self._sound = True
        self._finished = False
        self.under_way = 0
        self.total = self.done = self.first = self.first_left = self.failures = 0

    def status(self) -> dict[str, int]:
        return dict(zip(_TOLD, (self.done, self.total, self.first, self.first_left, self.failures), strict=True))

    def begin(self, most: int) -> bool:
        """Is there a unit that can be begun now? It counts as under way then. most: units under way at once."""
        can = self.under_way < most and bool(self._tasks) if self._planned else not self.under_way
        self.under_way += can
        return can

    def unit(self) -> None:
        """Do what was begun."""
        try:
            if not self._planned:
                self._make_plan()
            elif self._tasks:
                self._one(*self._tasks.popleft())
        except BaseException as error:
            self.failures += 1
            if isinstance(error, DeviceUnavailable) and not isinstance(error, Unreadable):
                self._sound = False
                self._tasks.clear()
            raise
        finally:
            self._planned = True
            self.under_way -= 1
            if not self._tasks and not self.under_way and not self._finished:
                self._finished = True
                self._at_end(self._sound)

    def _make_plan(self) -> None:
        try:
            first, rest = self._plan()
        except BaseException:
            self._sound = False
            raise
        self._tasks.extend((task, True) for task in first)
        self._tasks.extend((task, False) for task in rest)
        self.first = self.first_left = len(first)
        self.total = len(self._tasks)

    def _one(self, task: Task, first: bool) -> None:
        succeeded = self._do(task)
        self.done += 1
        self.failures += not succeeded
        self.first_left -= first and succeeded


def take_turns(lanes: Sequence[Lane[Task]], most: int) -> Iterator[Callable[[], None]]:
    """The units of all lanes, as callables for a `runner.Daemon`; of each lane `most` at once."""
    waiting = deque(lanes)
    ended = green.Event()

    def run(lane: Lane[Task]) -> None:
        nonlocal ended
        try:
            lane.unit()
        finally:
            event, ended = ended, green.Event()
            event.send(None)

    def unit_of(lane: Lane[Task]) -> Callable[[], None]:
        return lambda: run(lane)

    while True:
        lane = next((lane for lane in waiting if lane.begin(most)), None)
        if lane is not None:
            waiting.remove(lane)
            waiting.append(lane)
            yield unit_of(lane)
        elif any(lane.under_way for lane in lanes):
            ended.wait()
        else:
            return


class FailedNodes:
    """Times of the last failure to update nodes, by their replication addresses in rings."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._at: dict[str, float] = {}

    def add(self, *nodes: str) -> None:
        self._at |= dict.fromkeys(nodes, self._now())

    def since(self, moment: float) -> frozenset[str]:
        """Return the nodes that failed at or after a moment, in seconds since the epoch."""
        return frozenset(name for name, at in self._at.items() if at >= moment)


class DeviceWork(NamedTuple, Generic[Task]):
    """The work on one device in a pass; see `Lane`.

    rings: return the versions of rings by name, as the pass begins. end: called when all was tried; return whether
    everything was compared.
    """

    plan: Callable[[], tuple[Sequence[Task], Sequence[Task]]]
    do: Callable[[Task], bool]
    rings: Callable[[], Mapping[str, int]]
    end: Callable[[], bool] = lambda: True


class Passes(Generic[Task]):
    """Passes over devices, and the results of the last complete ones of each.

    per_device: units of a device at once. remembered: passes in a row that together compare all partitions.
    """

    def __init__(
        self, failed: FailedNodes, per_device: int, remembered: int = 1, now: Callable[[], float] = time.time
    ) -> None:
        self._failed = failed
        self._per_device = per_device
        self._remembered = remembered
        self._now = now
        self._lanes: dict[str, Lane[Task]] = {}
        self._results: dict[str, list[PassResult]] = {}

    def units(self, devices: Mapping[str, DeviceWork[Task]]) -> Iterator[Callable[[], None]]:
        """Begin a pass over devices by name; return its units for a `runner.Daemon`."""
        self._lanes = {name: self._lane(name, work) for name, work in devices.items()}
        return take_turns(list(self._lanes.values()), self._per_device)

    def _lane(self, device: str, work: DeviceWork[Task]) -> Lane[Task]:
        began, rings = self._now(), work.rings()

        def end(complete: bool) -> None:
            if complete and work.end():
                lane, failed = self._lanes[device], self._failed.since(began)
                result = PassResult(began, self._now(), rings, lane.failures, lane.first_left, failed)
                self._results[device] = [*self._results.get(device, []), result][-self._remembered :]

        return Lane(work.plan, work.do, end)

    def report(self) -> dict[str, Any]:
        """Return the progress of all devices together, and of each by its name, for monitoring."""
        results = {device: together(of_device) for device, of_device in self._results.items()}
        devices: dict[str, dict[str, Any]] = {}
        for name, lane in self._lanes.items():
            result = results.get(name)
            ended = {"last_pass": result.ended} if result else {}
            devices[name] = {**lane.status(), **ended, "compared": result.status() if result else None}
        sums = {key: sum(of_device[key] for of_device in devices.values()) for key in _TOLD}
        whole = self._lanes and self._lanes.keys() <= results.keys()
        oldest = {"oldest_pass": min(results[name].ended for name in self._lanes)} if whole else {}
        return {**sums, **oldest, "devices": devices}
