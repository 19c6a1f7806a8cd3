"""Takes failing disks out: those with errors in the kernel's log, and those that fail a write/read check.

A device taken out is treated like one that is not mounted: other servers skip it at once, and replicators restore its
copies on other devices. Taking out several because of one faulty cable would do more harm than good, so only a limited
number is taken out automatically; others are reported to the operator.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from objstore.runtime import green
from objstore.runtime.drives import KernelLine, Outs, failures
from objstore.runtime.threads import ThreadPool


class DriveRules(NamedTuple):
    """errors: lines of the kernel about a drive within `window` seconds that are too many. probes: failures to write
    and read in a row that are. patience: seconds that a probe may take. most: devices to be out at a time at most;
    0 only tells."""

    errors: int = 10
    window: float = 3600.0
    probes: int = 3
    patience: float = 30.0
    most: int = 1


class DriveCondition(NamedTuple):
    """The condition of a device. errors: number of log lines about its drive; last: one of them. failed: number of
    failed probes in a row, and why."""

    errors: int = 0
    last: str = ""
    failed: int = 0
    why: str = ""


def verdict(condition: DriveCondition, rules: DriveRules) -> str:
    """Return why the device must be taken out; empty if it may stay."""
    if condition.failed >= rules.probes:
        return f"it failed {condition.failed} write/read checks in a row: {condition.why}"
    if condition.errors >= rules.errors:
        return f"{condition.errors} errors in the kernel's log, the last: {condition.last}"
    return ""


class DriveChecks(NamedTuple):
    """The checks of drives; all except `report` may block. devices: path by name, of those in use.

    lines: of the kernel's log. drives: the drive of each device. probe: why a path cannot be used, or ''.
    """

    devices: Callable[[], Mapping[str, str]]
    lines: Callable[[], Iterable[KernelLine]]
    drives: Callable[[Iterable[str]], Mapping[str, str]]
    probe: Callable[[str], str]
    outs: Outs
    report: Callable[[Mapping[str, object]], None]


class DriveAudit:
    """Its `passes` are for a `runner.Daemon`; a unit is one device."""

    def __init__(
        self, means: DriveChecks, rules: DriveRules, logger: logging.Logger, now: Callable[[], float] = time.time
    ) -> None:
        self._means = means
        self._rules = rules
        self._logger = logger
        self._now = now
        self._threads = ThreadPool("drive-audit", 1)
        self._probing: dict[str, ThreadPool] = {}  # a thread for each device: one that hangs holds up no other
        self._hanging: set[str] = set()
        self._failed: Counter[str] = Counter()
        self._log_unreadable = ""
        self._unwritable = ""
        self.conditions: dict[str, DriveCondition] = {}
        self.taken_out = 0

    def status(self) -> dict[str, object]:
        devices = {
            name: {"errors": condition.errors, "failed_probes": condition.failed}
            for name, condition in self.conditions.items()
        }
        return {
            "taken_out_total": self.taken_out,
            "log_unreadable": self._log_unreadable,
            "outs_unwritable": self._unwritable,
            "devices": devices,
        }

    def passes(self) -> Iterator[object]:
        """One pass over the devices in use."""
        devices = self._threads.run(self._means.devices)
        errors = self._threads.run(self._errors, sorted(devices))
        self._threads.run(self._check_outs)
        self.conditions = {name: self.conditions[name] for name in devices if name in self.conditions}
        looks = [
            green.spawn(self._look, name, path, errors.get(name, [])) for name, path in sorted(devices.items())
        ]  # fmt: skip
        for look in looks:
            look.wait()
            yield None
        self._threads.run(self._report)

    def _report(self) -> None:
        """In a thread."""
        devices = {name: condition._asdict() for name, condition in self.conditions.items()}
        self._means.report(
            {"devices": devices, "log_unreadable": self._log_unreadable, "outs_unwritable": self._unwritable}
        )

    def _check_outs(self) -> None:
        """Could a device be taken out? Better known before one fails; in a thread."""
        why = self._means.outs.unwritable()
        if why and not self._unwritable:
            self._logger.error("cannot take out a failing device: %s", why)
        self._unwritable = why

    def _errors(self, names: list[str]) -> dict[str, list[KernelLine]]:
        """Lines about each device's drive, later than its return if it was out before; in a thread."""
        try:
            found = failures(self._means.lines(), self._now() - self._rules.window)
            self._log_unreadable = ""
        except OSError as error:
            if not self._log_unreadable:
                self._logger.warning("cannot read the kernel's log, devices are only probed: %s", error)
            self._log_unreadable = str(error)
            return {}
        returned = self._means.outs.returned()
        return {
            name: [line for line in found[drive] if line.at >= returned.get(name, 0.0)]
            for name, drive in self._means.drives(names).items()
            if drive in found
        }

    def _look(self, name: str, path: str, lines: list[KernelLine]) -> None:
        why = self._probe(name, path)
        self._failed[name] = self._failed[name] + 1 if why else 0
        last = lines[-1].text if lines else ""
        condition = self.conditions[name] = DriveCondition(len(lines), last, self._failed[name], why)
        if why:
            self._logger.warning("%s failed its write/read check: %s", name, why)
        reason = verdict(condition, self._rules)
        if reason:
            self._threads.run(self._take_out, name, reason)

    def _probe(self, name: str, path: str) -> str:
        if name in self._hanging:
            return "it does not answer"
        pool = self._probing.setdefault(name, ThreadPool(f"probe-{name}", 1))
        answer = green.Event()

        def ask() -> None:
            why = "the probe failed"
            try:
                why = pool.run(self._means.probe, path)
            except Exception as error:  # one that never ended would count as a device that hangs
                why = f"the probe failed: {error!r}"
            finally:
                self._hanging.discard(name)
                if not answer.ready():
                    answer.send(why)

        self._hanging.add(name)
        green.spawn(ask)
        found = answer.wait(self._rules.patience)
        return found if found is not None else f"it did not answer within {self._rules.patience:g} s"

    def _take_out(self, name: str, reason: str) -> None:
        """In a thread."""
        outs = self._means.outs
        if name in outs:
            return
        if len(outs.all()) >= self._rules.most:
            self._logger.error(
                "%s fails, but stays in use because %d devices are out: %s", name, len(outs.all()), reason
            )
            return
        try:
            outs.take_out(name, reason, self._now())
        except OSError as error:
            self._logger.error("%s fails, but cannot be taken out (%s): %s", name, error, reason)
            return
        self.taken_out += 1
        self._failed[name] = 0
        self._logger.error("%s was taken out: %s. `objstore disk in %s` puts it back", name, reason, name)
