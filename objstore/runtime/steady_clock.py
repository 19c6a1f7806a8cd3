"""A clock for judgements that must not come too early: whether a retention has ended.

A host's clock can be set, or jump. Within a process the time that has passed is known better: the system counts it
since the boot, and setting the clock does not change it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

TOLERANCE = 60.0  # seconds by which the clock may run ahead of the time that has passed, as by corrections of NTP


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SteadyClock:
    """The earlier, and the later, of two clocks: the host's, and its reading at the start plus the time since.

    wall: the host's clock, in seconds since the epoch. passed: seconds since some moment.
    """

    def __init__(self, wall: Callable[[], float] = time.time, passed: Callable[[], float] = _since_boot) -> None:
        self._wall = wall
        self._passed = passed
        self._start = wall() - passed()

    def earliest(self) -> int:
        """Return a time, in milliseconds since the epoch, that a jump of the clock has not moved ahead.

        A process that starts with a wrong clock does not notice.
        """
        return int(min(self._wall(), self._start + self._passed() + TOLERANCE) * 1000)

    def latest(self) -> int:
        """Return a time that a jump of the clock has not moved back."""
        return int(max(self._wall(), self._start + self._passed()) * 1000)


CLOCK = SteadyClock()
