"""The loop of a daemon: passes at a pace, one unit of work at a time, until told to stop."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from objstore.core.errors import ObjstoreError
from objstore.runtime import green

Pass = Callable[[], Iterator[object]]


class Pace(NamedTuple):
    """interval: seconds from the end of a pass to the beginning of the next.

    rest: at least so many times the duration of the pass, so that a long one leaves the host time for its
    other work. jitter: by which part the pause may be longer or shorter, so that hosts do not fall into step.
    """

    interval: float
    rest: float = 0.0
    jitter: float = 0.2


class Report(NamedTuple):
    """Of one pass. units: how many were done; seconds: how long it took; failed: did it end by an error?"""

    units: int
    seconds: float
    failed: bool


def pause(pace: Pace, duration: float, chance: float) -> float:
    """Seconds to wait after a pass that took `duration`. chance: from 0 to 1, by chance."""
    return max(pace.interval, pace.rest * duration) * (1 + pace.jitter * (2 * chance - 1))


class Daemon:
    """Runs the passes of one duty, in the green thread that calls `run`."""

    def __init__(
        self,
        name: str,
        begin_pass: Pass,
        pace: Pace,
        logger: logging.Logger,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """begin_pass: makes the generator of one pass."""
        self.name = name
        self.last: Report | None = None
        self._begin_pass = begin_pass
        self._pace = pace
        self._logger = logger
        self._monotonic = monotonic
        self._stopping = green.Event()

    def run(self) -> None:
        """Until `stop` is called."""
        while not self._stopping.ready():
            self.last = report = self._one_pass()
            if report.units:
                self._logger.debug("%s: %d units in %.2f s", self.name, report.units, report.seconds)
            self._stopping.wait(pause(self._pace, report.seconds, random.random()))

    def stop(self) -> None:
        """Let `run` return after the unit under way. May be called again."""
        if not self._stopping.ready():
            self._stopping.send(None)

    def _one_pass(self) -> Report:
        began = self._monotonic()
        units, failed = 0, False
        try:
            for _ in self._begin_pass():
                units += 1
                green.sleep(0)
                if self._stopping.ready():
                    break
        except (ObjstoreError, OSError) as error:
            failed = True
            self._logger.error("%s: a pass broke off: %s", self.name, error)
        except Exception:
            failed = True
            self._logger.exception("%s: a pass broke off", self.name)
        return Report(units, self._monotonic() - began, failed)
