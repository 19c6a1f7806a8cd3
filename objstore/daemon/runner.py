"""The loop of a daemon: passes at a pace, a unit of work at a time or several at once, until told to stop.

A pass is a generator that yields after each unit: None for one it has done itself, or a callable
that does it. Callables are run in up to `Pace.concurrency` green threads, while the generator looks for more;
the pass ends when all have ended. A unit that raises is logged and counted, and the pass goes on; what the
generator itself raises breaks the pass off, and it is tried again soon, later each time.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import NamedTuple

from objstore.core.errors import ObjstoreError
from objstore.runtime import green
from objstore.runtime.throttle import Throttle

Pass = Callable[[], Iterator[object]]
StatusSource = Callable[[], Mapping[str, object]]

_FIRST_RETRY = 5.0  # seconds after the first pass in a row that broke off
_LAST_RETRY = 60.0


class DaemonPace(NamedTuple):
    """interval: seconds from the end of a pass to the beginning of the next.

    rest: minimum pause as a multiple of the duration of the pass, so that a long one leaves the host time for its other
    work. jitter: share by which the pause varies, so that hosts do not synchronise. rate: limit of units per second; 0
    for no limit. concurrency: units run at once, if they are callables.
    """

    interval: float
    rest: float = 0.0
    jitter: float = 0.2
    rate: float = 0.0
    concurrency: int = 1


class Report(NamedTuple):
    """The report of a pass. units: number done, of which `failures` raised. seconds: duration.

    broke_off: it ended with an error. stopped: it was stopped before its end. began, ended: seconds since the epoch.
    """

    units: int
    seconds: float
    broke_off: bool = False
    failures: int = 0
    stopped: bool = False
    began: float = 0.0
    ended: float = 0.0

    @property
    def failed(self) -> bool:
        """Is anything left undone?"""
        return self.broke_off or self.failures > 0

    @property
    def complete(self) -> bool:
        """Did it see all there was to do?"""
        return not self.broke_off and not self.stopped


def pause(pace: DaemonPace, duration: float, chance: float) -> float:
    """Seconds to wait after a pass that took `duration`. chance: from 0 to 1, by chance."""
    return max(pace.interval, pace.rest * duration) * (1 + pace.jitter * (2 * chance - 1))


def retry_pause(pace: DaemonPace, broken: int, chance: float) -> float:
    """Return the seconds to wait after a number of passes in a row that ended with an error."""
    longest = max(pace.interval, _LAST_RETRY)
    wait = min(min(pace.interval, _FIRST_RETRY) * 2.0 ** min(broken - 1, 32), longest)
    return wait * (1 + pace.jitter * (2 * chance - 1))


class _Crew:
    """Green threads that do units, up to `size` at once."""

    def __init__(self, size: int, do: Callable[[Callable[[], object]], None]) -> None:
        self._size = size
        self._do = do
        self._free = green.Semaphore(size)

    def begin(self, unit: Callable[[], object]) -> None:
        """Wait until fewer than `size` are under way, and begin another."""
        if self._size <= 1:
            self._do(unit)
            return
        self._free.acquire()
        green.spawn(self._run, unit)

    def _run(self, unit: Callable[[], object]) -> None:
        try:
            self._do(unit)
        finally:
            self._free.release()

    def wait(self) -> None:
        """Wait until all units under way have ended."""
        if self._size > 1:
            for _ in range(self._size):
                self._free.acquire()
            for _ in range(self._size):
                self._free.release()


class Daemon:
    """Runs the passes of one duty, in the green thread that calls `run`."""

    def __init__(
        self,
        name: str,
        begin_pass: Pass,
        pace: DaemonPace,
        logger: logging.Logger,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        status: StatusSource = dict,
        now: Callable[[], float] = time.time,
        on_pass_end: Callable[[Daemon], None] | None = None,
    ) -> None:
        """begin_pass: makes the generator of one pass. status: numbers and texts by name, for monitoring.

        on_pass_end: called after each pass, and must not raise.
        """
        self.name = name
        self.status = status
        self.on_pass_end = on_pass_end
        self.on_stop: Callable[[], None] | None = None  # lets a unit that takes long know that it is to end
        self.started = now()
        self.began: float | None = None  # of the pass under way, seconds since the epoch
        self.units = 0  # done of the pass under way, or of the last
        self.failures = 0
        self.last: Report | None = None
        self.last_complete: Report | None = None
        self.passes_total = 0
        self.broken_total = 0
        self.units_total = 0
        self.failures_total = 0
        self._begin_pass = begin_pass
        self._pace = pace
        self._logger = logger
        self._monotonic = monotonic
        self._now = now
        self._stopping = green.Event()
        self._broken = 0  # passes in a row
        self._throttle = Throttle(pace.rate, monotonic, self._stopping.wait)

    def run(self) -> None:
        """Run passes until `stop` is called."""
        while not self._stopping.ready():
            report = self.run_once()
            if self._broken:
                wait = retry_pause(self._pace, self._broken, random.random())
            else:
                wait = pause(self._pace, report.seconds, random.random())
            self._stopping.wait(wait)

    def stop(self) -> None:
        """Let `run` return after the units under way. May be called again."""
        if not self._stopping.ready():
            self._stopping.send(None)
            if self.on_stop is not None:
                self.on_stop()

    @property
    def stopped(self) -> bool:
        """Was it told to stop?"""
        return bool(self._stopping.ready())

    def run_once(self) -> Report:
        """One pass."""
        began, self.began = self._monotonic(), self._now()
        self.units = self.failures = 0
        broke_off = self._one_pass()
        report = Report(
            self.units,
            self._monotonic() - began,
            broke_off,
            self.failures,
            self._stopping.ready(),
            self.began,
            self._now(),
        )
        self._note(report)
        return report

    def _one_pass(self) -> bool:
        """Did it break off?"""
        crew = _Crew(self._pace.concurrency, self._do)
        units: Iterator[object] = iter(())
        try:
            units = self._begin_pass()
            for unit in units:
                if callable(unit):
                    crew.begin(unit)
                else:
                    self.units += 1
                    self.units_total += 1
                green.sleep(0)
                self._throttle.take()
                if self._stopping.ready():
                    break
        except (ObjstoreError, OSError) as error:
            self._logger.error("%s: a pass stopped on an error: %s", self.name, error)
            return True
        except Exception:
            self._logger.exception("%s: a pass stopped on an error", self.name)
            return True
        finally:
            crew.wait()
            self._close(units)
        return False

    def _close(self, units: Iterator[object]) -> None:
        try:
            if isinstance(units, Generator):
                units.close()
        except Exception:  # which would end the daemon, and nobody would know
            self._logger.exception("%s: the end of a pass failed", self.name)

    def _do(self, unit: Callable[[], object]) -> None:
        failed = True
        try:
            unit()
            failed = False
        except (ObjstoreError, OSError) as error:
            self._logger.error("%s: %s: %s", self.name, type(error).__name__, error)
        except Exception:
            self._logger.exception("%s: a unit failed", self.name)
        self.units += 1
        self.units_total += 1
        self.failures += failed
        self.failures_total += failed

    def _note(self, report: Report) -> None:
        self.last = report
        self.passes_total += 1
        self.broken_total += report.broke_off
        self._broken = self._broken + 1 if report.broke_off else 0
        if report.complete:
            self.last_complete = report
        self.began = None
        if report.units:
            self._logger.debug(
                "%s: %d units in %.2f s, %d failed", self.name, report.units, report.seconds, report.failures
            )
        if self.on_pass_end is not None:
            self.on_pass_end(self)
