"""Which devices the drive audit takes out."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from objstore.core.errors import DeviceUnavailable
from objstore.daemon.duties.drive_audit import DriveAudit, DriveChecks, DriveCondition, DriveRules, verdict
from objstore.runtime.drives import KernelLine, Outs
from objstore.server.devices import Devices, Makers

RULES = DriveRules(errors=3, window=60, probes=2, patience=0.2, most=1)
NOW = 1000.0
LOGGER = logging.getLogger("test")


@pytest.mark.parametrize(
    ("condition", "out"),
    [
        (DriveCondition(), False),
        (DriveCondition(errors=2, last="I/O error"), False),
        (DriveCondition(errors=3, last="I/O error"), True),
        (DriveCondition(failed=1, why="Input/output error"), False),
        (DriveCondition(failed=2, why="Input/output error"), True),
    ],
)
def test_a_device_goes_out_after_enough_errors_or_failed_probes(condition: DriveCondition, out: bool) -> None:
    assert bool(verdict(condition, RULES)) is out


class Host:
    """Devices d1 and d2 on drives sda and sdb, which do as they are told."""

    def __init__(self, root: Path, rules: DriveRules = RULES) -> None:
        self.lines: list[KernelLine] = []
        self.bad: dict[str, Callable[[], str]] = {}
        self.status: Mapping[str, Any] = {}
        self.outs = Outs(str(root))
        for name in ("d1", "d2"):
            (root / name).mkdir()
        self.servers = Devices(str(root), Makers(*[None] * 4), False, check_interval=0)  # type: ignore[arg-type]
        self.audit = DriveAudit(
            DriveChecks(self._devices, lambda: self.lines, self._drives, self._probe, self.outs, self._tell),
            rules,
            LOGGER,
            lambda: NOW,
        )

    def _devices(self) -> dict[str, str]:
        return {name: name for name in ("d1", "d2") if name not in self.outs}

    def _drives(self, names: Iterable[str]) -> dict[str, str]:
        return {name: {"d1": "sda", "d2": "sdb"}[name] for name in names}

    def _probe(self, path: str) -> str:
        return self.bad[path]() if path in self.bad else ""

    def _tell(self, told: Mapping[str, Any]) -> None:
        self.status = told

    def run(self, times: int = 1) -> None:
        for _ in range(times):
            for _ in self.audit.passes():
                pass


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_sound_devices_stay(host: Host) -> None:
    host.lines = [KernelLine(NOW, "EXT4-fs (sda1): mounted filesystem")]
    host.run(3)
    assert host.outs.all() == {}
    assert host.status["devices"]["d1"]["errors"] == 0


def test_a_drive_that_the_kernel_complains_of_goes_out_and_servers_refuse_it(host: Host) -> None:
    host.lines = [KernelLine(NOW - 1, f"I/O error, dev sdb, sector {number}") for number in range(3)]
    host.run()
    assert list(host.outs.all()) == ["d2"]
    with pytest.raises(DeviceUnavailable):
        host.servers.get("d2")
    assert host.servers.get("d1")
    assert host.audit.status()["taken_out_total"] == 1


def test_errors_of_long_ago_do_not_count(host: Host) -> None:
    host.lines = [KernelLine(NOW - 100, "I/O error, dev sdb, sector 1")] * 3
    host.run()
    assert host.outs.all() == {}


def test_errors_before_a_device_was_put_back_do_not_count(host: Host, tmp_path: Path) -> None:
    """A disk with a new cable was taken out again at the next look, for the errors that it had before."""
    host.lines = [KernelLine(NOW - 30, "I/O error, dev sdb, sector 1")] * 3
    host.run()
    assert host.outs.put_back("d2")
    os.utime(tmp_path / ".out" / ".d2.returned", (NOW - 20, NOW - 20))
    host.run()
    assert host.outs.all() == {}
    host.lines += [KernelLine(NOW - 10, "I/O error, dev sdb, sector 1")] * 3
    host.run()
    assert list(host.outs.all()) == ["d2"]


def test_a_device_that_does_not_write_goes_out_after_several_tries(host: Host) -> None:
    host.bad["d1"] = lambda: "Read-only file system"
    host.run()
    assert host.outs.all() == {}
    host.run()
    assert "Read-only file system" in host.outs.all()["d1"]["why"]


def test_one_good_answer_in_between_begins_the_count_anew(host: Host) -> None:
    host.bad["d1"] = lambda: "Input/output error"
    host.run()
    del host.bad["d1"]
    host.run()
    host.bad["d1"] = lambda: "Input/output error"
    host.run()
    assert host.outs.all() == {}


def test_a_device_that_hangs_goes_out_and_holds_up_no_other(host: Host) -> None:
    release = threading.Event()

    def hang() -> str:
        release.wait()
        return ""

    host.bad["d1"] = hang
    host.run(2)
    assert list(host.outs.all()) == ["d1"]
    assert host.audit.conditions["d2"] == DriveCondition()
    release.set()


def test_no_more_than_the_operator_allows_go_out_by_themselves(host: Host) -> None:
    for name in ("d1", "d2"):
        host.bad[name] = lambda: "Input/output error"
    host.run(3)
    assert len(host.outs.all()) == 1


def test_with_none_allowed_failures_are_only_told(tmp_path: Path) -> None:
    host = Host(tmp_path, RULES._replace(most=0))
    host.bad["d1"] = lambda: "Input/output error"
    host.run(3)
    assert host.outs.all() == {}
    assert host.status["devices"]["d1"]["failed"] == 3


def test_a_log_that_cannot_be_read_leaves_the_probes(host: Host) -> None:
    def unreadable() -> list[KernelLine]:
        raise PermissionError(1, "Operation not permitted")

    host.audit._means = host.audit._means._replace(lines=unreadable)
    host.bad["d2"] = lambda: "Input/output error"
    host.run(2)
    assert list(host.outs.all()) == ["d2"]
    assert "not permitted" in host.status["log_unreadable"]


def test_a_device_put_back_is_used_again(host: Host) -> None:
    host.outs.take_out("d1", "by hand", NOW)
    with pytest.raises(DeviceUnavailable):
        host.servers.get("d1")
    host.outs.put_back("d1")
    assert host.servers.get("d1")


def test_a_probe_that_fails_in_an_unforeseen_way_is_not_one_that_hangs(host: Host) -> None:
    """It never ended, so that the device hung for good."""

    def probe() -> str:
        raise RuntimeError("a fault")

    host.bad["d1"] = probe
    host.run()
    assert "RuntimeError" in host.audit.conditions["d1"].why
    del host.bad["d1"]
    host.run()
    assert host.audit.conditions["d1"].why == ""
