"""The daemons of a host's devices, made from a configuration and run in processes of their own."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from objstore.assembly.apps import StorageSettings
from objstore.assembly.duties import (
    auditors,
    cleaners,
    compaction,
    drives,
    object_replication,
    replicators_databases,
    synchronisation,
    updaters,
)
from objstore.assembly.surroundings import Duty, Surroundings
from objstore.daemon.monitor import Monitor, MonitorMeans
from objstore.daemon.runner import Daemon
from objstore.runtime import green, metrics, priority, recon_files, settings, statsd
from objstore.runtime.host_report import is_alive
from objstore.runtime.workers import Role, Worker

# In the order of servers whose devices they work on, see `assembly.kinds`.
DUTIES: dict[str, Duty] = {
    duty.name: duty
    for duty in (
        auditors.ACCOUNT_AUDITOR,
        cleaners.ACCOUNT_REAPER,
        replicators_databases.ACCOUNT_REPLICATOR,
        auditors.CONTAINER_AUDITOR,
        cleaners.CONTAINER_RECONCILER,
        replicators_databases.CONTAINER_REPLICATOR,
        synchronisation.CONTAINER_SYNC,
        updaters.CONTAINER_UPDATER,
        auditors.DANGLING_ROWS,
        cleaners.OBJECT_EXPIRER,
        auditors.DARK_OBJECTS,
        drives.DRIVE_AUDIT,
        auditors.OBJECT_AUDITOR,
        compaction.OBJECT_COMPACTOR,
        compaction.OBJECT_PACKER,
        object_replication.OBJECT_REPLICATOR,
        updaters.OBJECT_UPDATER,
    )
}


class DaemonGroup(NamedTuple):
    """Daemons that share a process. heavy: they keep a core or a disk busy for long."""

    title: str
    names: tuple[str, ...]
    heavy: bool


# Daemons that read and hash all data run apart from those that deliver waiting updates. Others are light.
_HEAVY = {
    "account-auditor": "databases",
    "account-replicator": "databases",
    "container-auditor": "databases",
    "container-replicator": "databases",
    "dangling-rows": "databases",
    "dark-objects": "object-auditor",
    "object-auditor": "object-auditor",
    "object-compactor": "object-auditor",
    "object-packer": "object-auditor",
    "object-replicator": "object-replicator",
    "relinker": "object-auditor",
}
_LIGHT = "daemons"
_ALL_HEAVY = "heavy daemons"


def grouped(names: Iterable[str], most: int) -> list[DaemonGroup]:
    """Group daemons into at most `most` processes; light ones are combined last."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_HEAVY.get(name, _LIGHT), []).append(name)
    groups = [DaemonGroup(title, tuple(members), title != _LIGHT) for title, members in found.items()]
    groups.sort(key=lambda group: group.heavy)
    while len(groups) > max(1, most):
        last, before = groups.pop(), groups.pop()
        heavy = before.heavy and last.heavy  # light daemons must not wait for the processor
        groups.append(DaemonGroup(_ALL_HEAVY if heavy else _LIGHT, before.names + last.names, heavy))
    return groups


def roles(names: Iterable[str], most: int, run: Callable[[DaemonGroup, Worker], None]) -> list[Role]:
    """Return the processes of these daemons, for the supervisor."""
    return [Role(group.title, 1, partial(run, group)) for group in grouped(names, most)]


def forget(names: Iterable[str], conf: Mapping[str, str]) -> None:
    """Remove the status of daemons that no longer run, so that they do not look like dead ones."""
    devices = settings.read(StorageSettings, conf, "daemons").devices
    recon_cache_path = settings.read(recon_files.ReconSettings, conf, "daemons").recon_cache_path
    directory = recon_files.directory(recon_cache_path, devices)
    for name in names:
        with contextlib.suppress(OSError):
            recon_files.forget(directory, name)


def make(names: Iterable[str], around: Surroundings, monitor: Monitor | None = None) -> list[Daemon]:
    """Make daemons. Raises ConfigError for settings and rings."""
    made = []
    for name in names:
        work = DUTIES[name].make(around)
        daemon = Daemon(name, work.begin_pass, work.pace, around.logger, status=work.status)
        daemon.on_stop = work.stop
        if monitor is not None:
            daemon.on_pass_end = monitor.note_end
        made.append(daemon)
    return made


def make_monitor(around: Surroundings, by_hand: bool = False) -> Monitor:
    """Make the monitor of the daemons of these surroundings. Raises ConfigError.

    by_hand: the status of daemons that a server runs too is not written.
    """
    directory = recon_files.directory(around.read(recon_files.ReconSettings).recon_cache_path, around.devices.root)
    means = MonitorMeans(
        partial(_write_unless_running if by_hand else recon_files.write, directory),
        partial(recon_files.read, directory),
        platform.node(),
        os.getpid(),
        around.logger,
        metrics.Metrics(around.logger, around.read(metrics.MetricsSettings).metrics_directory),
        statsd.of(around.read(statsd.StatsdSettings), around.logger),
    )
    return Monitor(means)


def _write_unless_running(directory: str, name: str, status: Mapping[str, object]) -> None:
    """Raises OSError."""
    before = recon_files.read(directory, name)
    if not isinstance(before, dict) or before.get("pid") == status["pid"] or not is_alive(before):
        recon_files.write(directory, name, status)


def lower_priority(around: Surroundings, group: DaemonGroup) -> None:
    """Lower the priority of this process as configured. Raises ConfigError."""
    if group.heavy:
        values = around.read(priority.PrioritySettings)
        priority.lower(values.daemon_nice, values.daemon_io_priority)


def run(worker: Worker, daemons: list[Daemon], monitor: Monitor) -> None:
    """Run until the supervisor stops it; units under way are finished."""
    watching = green.spawn(monitor.run, daemons)
    running = [green.spawn(daemon.run) for daemon in daemons]
    worker.ready()
    worker.wait_for_drain()
    for daemon in daemons:
        daemon.stop()
    for thread in running:
        thread.wait()
    green.kill(watching)
    monitor.tell_all(daemons)
