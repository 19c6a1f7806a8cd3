"""What is seen of daemons."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from objstore.core.errors import DeviceUnavailable
from objstore.daemon.monitor import Monitor, MonitorMeans, numbers
from objstore.daemon.runner import Daemon, DaemonPace
from objstore.runtime import green, recon_files
from objstore.runtime.metrics import Metrics

LOGGER = logging.getLogger("test.monitor")


class Sent:
    """What would go to statsd."""

    def __init__(self) -> None:
        self.counted: dict[str, float] = {}
        self.gauges: dict[str, float] = {}

    def count(self, name: str, amount: float) -> None:
        self.counted[name] = self.counted.get(name, 0) + amount

    def gauge(self, name: str, value: float) -> None:
        self.gauges[name] = value


class Duty:
    """Two units a pass, the last of which fails."""

    def __init__(self) -> None:
        self.fails = True
        self.status: Mapping[str, Any] = {}

    def begin(self) -> Iterator[object]:
        yield
        yield self.unit

    def unit(self) -> None:
        if self.fails:
            raise DeviceUnavailable("d1")


@pytest.fixture
def duty() -> Duty:
    return Duty()


@pytest.fixture
def daemon(duty: Duty) -> Daemon:
    return Daemon(
        "object-auditor", duty.begin, DaemonPace(3600), LOGGER, status=lambda: duty.status, now=lambda: 1000.0
    )


def means(directory: Path, registry: Metrics, also: Sent | None = None) -> MonitorMeans:
    path = str(directory)
    return MonitorMeans(
        partial(recon_files.write, path), partial(recon_files.read, path), "h1", 42, LOGGER, registry, also
    )


@pytest.fixture
def registry() -> Metrics:
    return Metrics(LOGGER)


@pytest.fixture
def monitor(tmp_path: Path, registry: Metrics) -> Monitor:
    return Monitor(means(tmp_path, registry))


def test_the_state_of_a_daemon_is_told(daemon: Daemon, duty: Duty, monitor: Monitor, tmp_path: Path) -> None:
    duty.status = {"phase": "round 3", "done": 5}
    daemon.run_once()
    monitor.write(daemon)
    report = recon_files.read(str(tmp_path), "object-auditor")
    assert (report["name"], report["pid"], report["host"], report["started"]) == ("object-auditor", 42, "h1", 1000.0)
    assert report["pass"] is None
    assert report["last"].items() >= {"began": 1000.0, "ended": 1000.0, "units": 2, "failures": 1}.items()
    assert report["told"] == {"phase": "round 3", "done": 5}


def test_a_pass_under_way_is_told_of(monitor: Monitor, tmp_path: Path) -> None:
    def begin() -> Iterator[object]:
        yield
        monitor.write(daemon)
        yield

    daemon = Daemon("relinker", begin, DaemonPace(1), LOGGER, now=lambda: 5.0)
    daemon.run_once()
    assert recon_files.read(str(tmp_path), "relinker")["pass"] == {"began": 5.0, "units": 1, "failures": 0}


def test_the_last_complete_pass_is_known_after_a_restart(daemon: Daemon, tmp_path: Path) -> None:
    daemon.run_once()
    Monitor(means(tmp_path, Metrics(LOGGER))).write(daemon)
    again = Daemon("object-auditor", lambda: iter(()), DaemonPace(1), LOGGER)
    Monitor(means(tmp_path, Metrics(LOGGER))).write(again)
    report = recon_files.read(str(tmp_path), "object-auditor")
    assert report["last"]["units"] == 2
    assert report["passes_total"] == 0


def test_numbers_become_metrics_and_those_of_devices_have_a_label(
    daemon: Daemon, duty: Duty, registry: Metrics, monitor: Monitor
) -> None:
    duty.status = {
        "left": 4,
        "phase": "second",
        "hashed": {"bytes_total": 10},
        "peers": {"10.0.0.1:6200": 3},
        "devices": {"d1": {"objects_total": 3, "rate": 1.5, "deep": {"er": True}}},
    }
    daemon.run_once()
    monitor.write(daemon)
    duty.status = {**duty.status, "left": 1, "hashed": {"bytes_total": 25}}
    monitor.write(daemon)
    page = registry.render().decode()
    for line in (
        'objstore_daemon_left{daemon="object-auditor",device=""} 1.0',
        'objstore_daemon_hashed_bytes_total{daemon="object-auditor",device=""} 25.0',
        'objstore_daemon_objects_total{daemon="object-auditor",device="d1"} 3.0',
        'objstore_daemon_rate{daemon="object-auditor",device="d1"} 1.5',
        'objstore_daemon_deep_er{daemon="object-auditor",device="d1"} 1.0',
        'objstore_daemon_units_total{daemon="object-auditor",device=""} 2.0',
        'objstore_daemon_unit_failures_total{daemon="object-auditor",device=""} 1.0',
        'objstore_daemon_last_pass_ended_seconds{daemon="object-auditor",device=""} 1000.0',
    ):
        assert line in page
    assert "phase" not in page
    assert "6200" not in page


def test_a_counter_that_begins_anew_goes_on_from_where_it_was(
    daemon: Daemon, duty: Duty, registry: Metrics, monitor: Monitor
) -> None:
    for value in (10, 12, 3):
        duty.status = {"objects_total": value}
        monitor.write(daemon)
    assert b'objstore_daemon_objects_total{daemon="object-auditor",device=""} 15.0' in registry.render()


def test_statsd_hears_of_what_has_grown(daemon: Daemon, duty: Duty, tmp_path: Path) -> None:
    sent = Sent()
    monitor = Monitor(means(tmp_path, Metrics(LOGGER), sent))
    duty.status = {"left": 4, "devices": {"d1": {"objects_total": 3}}}
    daemon.run_once()
    monitor.write(daemon)
    monitor.write(daemon)
    assert sent.counted["object-auditor.d1.objects"] == 3
    assert sent.counted["object-auditor.units"] == 2
    assert sent.gauges["object-auditor.left"] == 4


def test_states_are_told_at_the_end_of_passes_and_during_long_ones(tmp_path: Path) -> None:
    gate = green.Event()

    def begin() -> Iterator[object]:
        yield
        gate.wait()
        yield

    monitor = Monitor(means(tmp_path, Metrics(LOGGER)), interval=0.02)
    daemon = Daemon("slow", begin, DaemonPace(3600), LOGGER, on_pass_end=monitor.note_end)
    threads = [green.spawn(monitor.run, [daemon]), green.spawn(daemon.run)]

    def status() -> Any:
        return recon_files.read(str(tmp_path), "slow") or {"pass": None, "passes_total": -1}

    with green.deadline(5, AssertionError("nothing was told")):
        while status()["pass"] is None:
            green.sleep(0.005)
        assert status()["pass"]["units"] == 1
        gate.send(None)
        while status()["passes_total"] != 1:
            green.sleep(0.005)
    daemon.stop()
    threads[1].wait()
    green.kill(threads[0])


def test_a_state_that_cannot_be_written_stops_nothing(
    daemon: Daemon, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monitor = Monitor(means(tmp_path / "file" / "below", Metrics(LOGGER)))
    monitor.write(daemon)
    monitor.write(daemon)
    assert len([record for record in caplog.records if "cannot write its state" in record.message]) == 1


def test_a_fault_in_what_a_daemon_tells_stops_nothing(monitor: Monitor, tmp_path: Path) -> None:
    def status() -> Mapping[str, Any]:
        raise KeyError("a fault of ours")

    monitor.write(Daemon("faulty", lambda: iter(()), DaemonPace(1), LOGGER, status=status))
    assert recon_files.read(str(tmp_path), "faulty")["told"] == {}


def test_the_runners_own_numbers_stand_before_what_a_daemon_calls_the_same() -> None:
    own = {"passes_total": 3, "passes_broken_total": 0, "units_total": 7, "failures_total": 0, "last": None}
    assert numbers({**own, "told": {"units_total": 99}})["units_total", ""] == 7


@pytest.mark.parametrize("last", [{}, {"seconds": "long"}, [1], 7])
def test_state_that_no_daemon_wrote_is_passed_over(
    tmp_path: Path, registry: Metrics, daemon: Daemon, last: Any
) -> None:
    recon_files.write(str(tmp_path), daemon.name, {"last": last})
    Monitor(means(tmp_path, registry)).write(daemon)
    assert recon_files.read(str(tmp_path), daemon.name)["last"] is None


def test_one_daemon_that_tells_nonsense_does_not_hide_the_others(
    tmp_path: Path, registry: Metrics, daemon: Daemon, duty: Duty, caplog: pytest.LogCaptureFixture
) -> None:
    duty.status = {"amount_total": float("inf")} | {"devices": {"d1": {"again_total": 1}}}
    other = Daemon("other", duty.begin, DaemonPace(3600), LOGGER)

    class Failing(Metrics):
        def counters(self, *args: Any, **options: Any) -> Any:
            if "again" in args[0]:
                raise ValueError("a name of something else")
            return super().counters(*args, **options)

    Monitor(means(tmp_path, Failing(LOGGER))).tell_all([daemon, other])
    assert recon_files.read(str(tmp_path), "other")["name"] == "other"
    assert any(record.levelno == logging.ERROR for record in caplog.records)
