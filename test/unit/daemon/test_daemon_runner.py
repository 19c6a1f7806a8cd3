"""The loop of daemons."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.errors import DeviceUnavailable
from objstore.daemon.runner import Daemon, DaemonPace, pause, retry_pause
from objstore.runtime import green

LOGGER = logging.getLogger("test.runner")
FAST = DaemonPace(0.001)


class Duty:
    """Counts its passes and units; ends the daemon after so many."""

    def __init__(self, units: int, stop_after: int, error: BaseException | None = None) -> None:
        self.units = units
        self.stop_after = stop_after
        self.error = error
        self.passes = 0
        self.done = 0
        self.daemon = Daemon("duty", self.begin, FAST, LOGGER)

    def begin(self) -> Iterator[None]:
        self.passes += 1
        for _ in range(self.units):
            self.done += 1
            if self.done >= self.stop_after:
                self.daemon.stop()
            yield
            if self.error is not None and self.done < self.stop_after:
                raise self.error


def test_passes_follow_each_other_until_told_to_stop() -> None:
    duty = Duty(units=3, stop_after=9)
    duty.daemon.run()
    assert (duty.passes, duty.done) == (3, 9)


def test_a_daemon_told_to_stop_ends_after_the_unit_under_way() -> None:
    duty = Duty(units=100, stop_after=5)
    duty.daemon.run()
    assert duty.done == 5


@pytest.mark.parametrize("error", [DeviceUnavailable("d1"), OSError(5, "broken"), KeyError("a fault of ours")])
def test_a_pass_that_fails_does_not_end_the_daemon(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    duty = Duty(units=2, stop_after=4, error=error)
    duty.daemon.run()
    assert duty.passes == 4
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 3


def test_a_waiting_daemon_stops_at_once() -> None:
    daemon = Daemon("idle", lambda: iter(()), DaemonPace(3600), LOGGER)
    thread = green.spawn(daemon.run)
    green.sleep(0.01)
    daemon.stop()
    daemon.stop()
    with green.deadline(2, AssertionError("it went on")):
        thread.wait()
    assert daemon.last is not None
    assert daemon.last.units == 0


def test_others_get_their_turn_between_units() -> None:
    turns = []
    duty = Duty(units=5, stop_after=5)
    other = green.spawn(lambda: turns.append(duty.done))
    duty.daemon.run()
    other.wait()
    assert turns[0] < 5


@given(st.floats(0, 1e4), st.floats(0, 10), st.floats(0, 1e3), st.floats(0, 1))
def test_pauses_keep_the_pace(interval: float, rest: float, duration: float, chance: float) -> None:
    pace = DaemonPace(interval, rest, jitter=0.2)
    wanted = max(interval, rest * duration)
    assert wanted * 0.8 - 1e-6 <= pause(pace, duration, chance) <= wanted * 1.2 + 1e-6


class Gate:
    """Units that wait until they are let through, and tell how many waited at once."""

    def __init__(self) -> None:
        self.open = green.Event()
        self.inside = 0
        self.most = 0
        self.through = 0

    def unit(self) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.open.wait()
        green.sleep(0.001)
        self.inside -= 1
        self.through += 1


def parallel(gate: Gate, units: int, concurrency: int, **options: object) -> Daemon:
    def begin() -> Iterator[object]:
        for _ in range(units):
            yield gate.unit

    return Daemon("gate", begin, DaemonPace(3600, concurrency=concurrency, **options), LOGGER)  # type: ignore[arg-type]


@pytest.mark.parametrize("concurrency", [1, 3, 50])
def test_as_many_units_are_under_way_as_are_allowed_and_the_pass_waits_for_all(concurrency: int) -> None:
    gate = Gate()
    daemon = parallel(gate, 10, concurrency)
    green.later(0.01, gate.open.send, None)
    report = daemon.run_once()
    assert gate.most == min(10, concurrency)
    assert (gate.through, report.units, report.failures) == (10, 10, 0)


def test_a_unit_that_raises_is_counted_and_the_pass_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    done = []

    def unit(number: int) -> None:
        if number == 1:
            raise KeyError("a fault of ours")
        if number == 2:
            raise DeviceUnavailable("d1")
        done.append(number)

    for concurrency in (1, 2):
        done.clear()
        daemon = Daemon(
            "units", lambda: (partial(unit, n) for n in range(5)), DaemonPace(1, concurrency=concurrency), LOGGER
        )
        report = daemon.run_once()
        assert sorted(done) == [0, 3, 4]
        assert (report.units, report.failures, report.broke_off, report.failed) == (5, 2, False, True)
        assert daemon.last_complete is report
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 4


def test_a_daemon_told_to_stop_lets_the_units_under_way_end() -> None:
    gate = Gate()
    daemon = parallel(gate, 100, 4)
    thread = green.spawn(daemon.run)
    green.sleep(0.01)
    daemon.stop()
    gate.open.send(None)
    thread.wait()
    assert 4 <= gate.through <= 5
    assert daemon.last is not None
    assert daemon.last.stopped
    assert daemon.last_complete is None


def test_a_pass_is_bound_in_units_a_second_and_stops_while_it_waits() -> None:
    daemon = Daemon("slow", lambda: iter([None] * 1000), DaemonPace(0, rate=10), LOGGER)
    thread = green.spawn(daemon.run)
    green.sleep(0.05)
    assert 0 < daemon.units <= 12  # what was not used of the second before may be caught up
    daemon.stop()
    with green.deadline(1, AssertionError("it waited on")):
        thread.wait()


def test_the_generator_is_closed_after_its_units_have_ended() -> None:
    order = []

    def begin() -> Iterator[object]:
        try:
            while True:
                yield unit
        finally:
            order.append("closed")

    def unit() -> None:
        green.sleep(0.005)
        order.append("unit")
        daemon.stop()

    daemon = Daemon("closing", begin, DaemonPace(0, concurrency=2), LOGGER)
    daemon.run()
    assert order[-1] == "closed"
    assert order.count("closed") == 1


def test_a_pass_that_broke_off_is_told_as_such() -> None:
    def begin() -> Iterator[object]:
        yield
        raise DeviceUnavailable("d1")

    ended = []
    daemon = Daemon("broken", begin, FAST, LOGGER, on_pass_end=lambda daemon: ended.append(daemon.last))
    report = daemon.run_once()
    assert (report.units, report.broke_off, report.failed, report.complete) == (1, True, True, False)
    assert daemon.last_complete is None
    assert (daemon.passes_total, daemon.broken_total, daemon.units_total) == (1, 1, 1)
    assert ended == [report]


@given(st.floats(0, 1e5), st.integers(1, 100), st.floats(0, 1))
def test_what_broke_off_is_tried_again_soon_then_later_and_later(interval: float, broken: int, chance: float) -> None:
    pace = DaemonPace(interval, jitter=0.2)
    wait = retry_pause(pace, broken, chance)
    assert wait <= max(interval, 60) * 1.2
    assert broken > 1 or wait <= 6
    assert retry_pause(pace, broken + 1, chance) >= wait


def test_a_pass_whose_generator_fails_at_its_end_does_not_end_the_daemon(caplog: pytest.LogCaptureFixture) -> None:
    passes = 0

    def begin() -> Iterator[None]:
        nonlocal passes
        passes += 1
        daemon.stop()
        try:
            yield
        finally:
            raise OSError(5, "broken")

    daemon = Daemon("duty", begin, FAST, LOGGER)
    daemon.run()
    assert passes == 1 and daemon.passes_total == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
