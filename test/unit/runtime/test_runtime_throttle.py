"""Bounds on what background work takes."""

from __future__ import annotations

from objstore.runtime.throttle import Throttle


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def throttle(rate: float) -> tuple[Throttle, Clock]:
    clock = Clock()
    return Throttle(rate, lambda: clock.now, clock.sleep), clock


def test_what_is_taken_in_a_long_time_keeps_to_the_rate() -> None:
    limit, clock = throttle(100)
    began = clock.now
    for _ in range(1000):
        limit.take(1)
    assert 8.9 <= clock.now - began <= 10.1


def test_a_large_piece_delays_what_comes_after_it() -> None:
    limit, clock = throttle(10)
    limit.take(50)
    began = clock.now
    limit.take(1)
    assert clock.now - began >= 4


def test_a_pause_saves_up_no_more_than_a_second() -> None:
    limit, clock = throttle(10)
    limit.take(1)
    clock.now += 3600
    began = clock.now
    limit.take(100)
    limit.take(1)
    assert clock.now - began >= 9


def test_a_rate_of_zero_sets_no_bound() -> None:
    limit, clock = throttle(0)
    began = clock.now
    limit.take(1e12)
    limit.take(1e12)
    assert clock.now == began
