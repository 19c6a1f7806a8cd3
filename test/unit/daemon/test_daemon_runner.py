"""The loop of daemons."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.errors import DeviceUnavailable
from objstore.daemon.runner import Daemon, Pace, pause
from objstore.runtime import green

LOGGER = logging.getLogger("test.runner")
FAST = Pace(0.001)


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
    daemon = Daemon("idle", lambda: iter(()), Pace(3600), LOGGER)
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
    pace = Pace(interval, rest, jitter=0.2)
    wanted = max(interval, rest * duration)
    assert wanted * 0.8 - 1e-6 <= pause(pace, duration, chance) <= wanted * 1.2 + 1e-6
