"""Units of several devices, as a runner does them."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from objstore.core.errors import DeviceUnavailable
from objstore.daemon.lanes import Lane, take_turns
from objstore.daemon.runner import Daemon, DaemonPace
from objstore.runtime import green


def run(lanes: list[Lane[str]], most: int = 2, concurrency: int = 4) -> None:
    pace = DaemonPace(60.0, concurrency=concurrency)
    Daemon("test", lambda: take_turns(lanes, most), pace, logging.getLogger("test.lanes")).run_once()


class Log:
    """What was done, in order. gates: tasks that wait for an event."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.ended: list[tuple[str, bool]] = []
        self.gates: dict[str, object] = {}
        self.most = self.under_way = 0

    def lane(self, name: str, first: int, rest: int, do: Callable[[str], bool] | None = None) -> Lane[str]:
        def plan() -> tuple[list[str], list[str]]:
            return [f"{name}-first-{number}" for number in range(first)], [f"{name}-{number}" for number in range(rest)]

        def one(task: str) -> bool:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            gate = self.gates.get(task)
            if gate is not None:
                gate.wait()  # type: ignore[attr-defined]
            green.sleep(0)
            self.under_way -= 1
            self.done.append(task)
            return do(task) if do else True

        return Lane(plan, one, lambda sound: self.ended.append((name, sound)))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.mark.parametrize("concurrency", [1, 4])
def test_all_is_done_and_what_comes_first_comes_first(log: Log, concurrency: int) -> None:
    lanes = [log.lane("a", 2, 3), log.lane("b", 1, 1)]
    run(lanes, most=1, concurrency=concurrency)
    assert [task for task in log.done if task[0] == "a"] == ["a-first-0", "a-first-1", "a-0", "a-1", "a-2"]
    assert sorted(log.ended) == [("a", True), ("b", True)]
    assert [(lane.done, lane.total, lane.first, lane.first_left, lane.failures) for lane in lanes] == [
        (5, 5, 2, 0, 0),
        (2, 2, 1, 0, 0),
    ]


def test_a_slow_device_holds_up_itself_alone(log: Log) -> None:
    gate = green.Event()
    log.gates = {f"slow-{number}": gate for number in range(4)}
    lanes = [log.lane("slow", 0, 4), log.lane("fast", 0, 50)]
    running = green.spawn(run, lanes)
    while len(log.done) < 50:
        green.sleep(0)
    assert lanes[0].under_way == 2
    assert log.ended == [("fast", True)]
    gate.send(None)
    running.wait()
    assert len(log.done) == 54
    assert log.most > 2


def test_a_device_that_goes_away_ends_its_lane(log: Log) -> None:
    def gone(task: str) -> bool:
        raise DeviceUnavailable("gone")

    lanes = [log.lane("a", 0, 5, gone), log.lane("b", 0, 5)]
    run(lanes, most=1)
    assert [task[0] for task in log.done].count("a") == 1
    assert sorted(log.ended) == [("a", False), ("b", True)]
    assert lanes[0].failures == 1


def test_a_task_that_fails_leaves_the_rest(log: Log) -> None:
    def failing(task: str) -> bool:
        if task == "a-1":
            raise ValueError(task)
        return task != "a-first-0"

    lane = log.lane("a", 1, 3, failing)
    run([lane])
    assert len(log.done) == 4
    assert (lane.failures, lane.first_left) == (2, 1)
    assert log.ended == [("a", True)]


def test_a_device_that_cannot_be_looked_at_is_told_of() -> None:
    ended = []

    def broken() -> tuple[list[str], list[str]]:
        raise DeviceUnavailable("gone")

    run([Lane(broken, lambda task: True, ended.append)])
    assert ended == [False]


def test_nothing_to_do_is_done() -> None:
    ended: list[bool] = []
    run([Lane(lambda: ([], []), lambda task: True, ended.append)])
    assert ended == [True]
    run([])
