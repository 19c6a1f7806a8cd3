"""A clock that does not follow the jumps of the host's."""

from __future__ import annotations

from objstore.runtime.steady_clock import CLOCK, TOLERANCE, SteadyClock


class Host:
    def __init__(self) -> None:
        self.wall = 1_000_000.0
        self.boot = 50.0

    def wait(self, seconds: float) -> None:
        self.wall += seconds
        self.boot += seconds

    @property
    def clock(self) -> SteadyClock:
        return SteadyClock(lambda: self.wall, lambda: self.boot)


def test_without_jumps_both_readings_are_the_time() -> None:
    host = Host()
    clock = host.clock
    host.wait(10)
    assert clock.earliest() == clock.latest() == 1_000_010_000


def test_a_jump_ahead_does_not_move_the_earliest() -> None:
    host = Host()
    clock = host.clock
    host.wall += 10 * 365 * 86400
    host.wait(10)
    assert clock.earliest() == 1_000_010_000 + TOLERANCE * 1000
    host.wait(10 * 86400)
    assert clock.earliest() == (1_000_010 + 10 * 86400 + TOLERANCE) * 1000


def test_a_jump_back_moves_the_earliest_and_not_the_latest() -> None:
    host = Host()
    clock = host.clock
    host.wall -= 3600
    assert clock.earliest() == (1_000_000 - 3600) * 1000
    assert clock.latest() == 1_000_000_000


def test_the_clock_of_the_process_runs() -> None:
    assert CLOCK.earliest() > 1_700_000_000_000
