"""The monitoring of daemons: their state for /recon, and their numbers as metrics.

A daemon's state is written at the end of each pass, and every few seconds during a pass. The last complete pass
survives restarts, as the previous state is read at the start.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from objstore.daemon.runner import Daemon, Report
from objstore.runtime import green
from objstore.runtime.metrics import Counters, Metrics
from objstore.runtime.threads import ThreadPool

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")  # of a number; other keys, such as addresses, would be names without end
_HELP = "Reported by a daemon; see doc/daemons.md."
_LABELS = ("daemon", "device")

Series = tuple[str, str]  # name, device; without a device it is ''


class NumberReceiver(Protocol):
    """Another receiver of numbers, such as statsd."""

    def count(self, name: str, amount: float) -> None: ...

    def gauge(self, name: str, value: float) -> None: ...


class MonitorMeans(NamedTuple):
    """write, read: of a daemon's state by its name; may block, and raise OSError. host: this one's name."""

    write: Callable[[str, Mapping[str, object]], None]
    read: Callable[[str], object]
    host: str
    pid: int
    logger: logging.Logger
    registry: Metrics
    also: NumberReceiver | None = None


def state(daemon: Daemon, status: Mapping[str, object], before: object) -> dict[str, object]:
    """The state of a daemon. Times are seconds since the epoch.

    before: state written by an earlier process.
    """
    known = _report(daemon.last_complete)
    if known is None and isinstance(before, Mapping):
        known = _valid_report(before.get("last"))
    under_way = None
    if daemon.began is not None:
        under_way = {"began": daemon.began, "units": daemon.units, "failures": daemon.failures}
    return {
        "name": daemon.name,
        "started": daemon.started,
        "pass": under_way,
        "last": known,
        "broke_off": daemon.last is not None and daemon.last.broke_off,
        "passes_total": daemon.passes_total,
        "passes_broken_total": daemon.broken_total,
        "units_total": daemon.units_total,
        "failures_total": daemon.failures_total,
        "told": status,
    }


def _valid_report(report: object) -> dict[str, object] | None:
    """Return the report of a pass in a file; None if it is invalid."""
    names = ("began", "ended", "seconds", "units", "failures")
    if not isinstance(report, Mapping) or not all(isinstance(report.get(name), int | float) for name in names):
        return None
    return dict(report)


def _report(report: Report | None) -> dict[str, object] | None:
    if report is None:
        return None
    return {
        "began": report.began,
        "ended": report.ended,
        "seconds": report.seconds,
        "units": report.units,
        "failures": report.failures,
    }


def numbers(state: Mapping[str, Any]) -> dict[Series, float]:
    """The metrics that a state holds, by name and device: the runner's own, and all numbers told."""
    found = dict(_flat(state["told"]))
    own = {"passes_total": state["passes_total"], "passes_broken_total": state["passes_broken_total"]}
    own |= {"units_total": state["units_total"], "unit_failures_total": state["failures_total"]}
    if state["last"]:
        own |= {"last_pass_seconds": state["last"]["seconds"], "last_pass_ended_seconds": state["last"]["ended"]}
        own |= {"last_pass_units": state["last"]["units"], "last_pass_failures": state["last"]["failures"]}
    return found | {(name, ""): float(value) for name, value in own.items()}


def _flat(status: Mapping[str, object], prefix: str = "", device: str = "") -> Iterator[tuple[Series, float]]:
    for key, value in status.items():
        if key == "devices" and not device and isinstance(value, Mapping):
            for name, of_device in value.items():
                if isinstance(of_device, Mapping):
                    yield from _flat(of_device, prefix, str(name))
        elif not _NAME.fullmatch(str(key)):
            continue
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}_", device)
        elif isinstance(value, (int, float)):
            yield (f"{prefix}{key}".lower().replace("-", "_"), device), float(value)


class Monitor:
    """Tells of daemons. `run` is for a green thread of its own."""

    def __init__(
        self, means: MonitorMeans, interval: float = 5.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """interval: seconds between writes of the state during a pass."""
        self._means = means
        self._interval = interval
        self._monotonic = monotonic
        self._ended: green.Queue = green.Queue()
        self._threads = ThreadPool("recon", 1)
        self._before: dict[str, object] = {}
        self._families: dict[str, Counters] = {}
        self._counted: dict[tuple[str, str, str], float] = {}
        self._silent: set[str] = set()  # daemons whose state could not be written

    def note_end(self, daemon: Daemon) -> None:
        """A pass has ended: for `Daemon`, as on_pass_end."""
        self._ended.put(daemon)

    def run(self, daemons: Iterable[Daemon]) -> None:
        """Run until killed."""
        daemons = list(daemons)
        self.tell_all(daemons)
        due = self._monotonic() + self._interval
        while True:
            try:
                self.write(self._ended.get(timeout=max(0.0, due - self._monotonic())))
            except green.QueueEmpty:
                pass
            if self._monotonic() >= due:
                due = self._monotonic() + self._interval
                self.tell_all(daemon for daemon in daemons if daemon.began is not None)

    def tell_all(self, daemons: Iterable[Daemon]) -> None:
        for daemon in daemons:
            self.write(daemon)

    def write(self, daemon: Daemon) -> None:
        """Write and count the state of a daemon as it is now."""
        try:
            self._write(daemon)
        except Exception:  # one that tells nonsense must not hide the others
            self._means.logger.exception("%s: cannot report its state", daemon.name)

    def _write(self, daemon: Daemon) -> None:
        means = self._means
        if daemon.name not in self._before:
            self._before[daemon.name] = self._threads.run(means.read, daemon.name)
        current = state(daemon, self._status(daemon), self._before[daemon.name])
        self._count(daemon.name, numbers(current))
        try:
            whole = {**current, "pid": means.pid, "host": means.host, "updated": time.time()}
            self._threads.run(means.write, daemon.name, whole)
            self._silent.discard(daemon.name)
        except OSError as error:
            if daemon.name not in self._silent:
                means.logger.warning("%s: cannot write its state: %s", daemon.name, error)
            self._silent.add(daemon.name)

    def _status(self, daemon: Daemon) -> Mapping[str, object]:
        try:
            return daemon.status()
        except Exception:
            self._means.logger.exception("%s: cannot collect its status", daemon.name)
            return {}

    def _count(self, daemon: str, found: Mapping[Series, float]) -> None:
        for (name, device), value in found.items():
            full = f"objstore_daemon_{name}"
            dotted = ".".join(filter(None, (daemon, device, name)))
            if not name.endswith("_total"):
                self._family(full)[daemon, device].set(value)
                if self._means.also is not None:
                    self._means.also.gauge(dotted, value)
                continue
            before = self._counted.get((daemon, name, device), 0.0)
            self._counted[daemon, name, device] = value
            grown = value - before if value >= before else value  # a counter that was reset
            self._family(full)[daemon, device].inc(grown)
            if grown and self._means.also is not None:
                self._means.also.count(dotted.removesuffix("_total"), grown)

    def _family(self, name: str) -> Counters:
        family = self._families.get(name)
        if family is None:
            make = self._means.registry.counters if name.endswith("_total") else self._means.registry.gauges
            family = self._families[name] = make(name, _HELP, _LABELS)
        return family
