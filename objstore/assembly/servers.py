"""A server with a configuration file: pre-forked workers that serve its pipeline, and its daemons."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from objstore.assembly import conf_settings, daemons, processes
from objstore.assembly.apps import STORAGE_SETTINGS, remote_transports, storage_servers
from objstore.assembly.kinds import Kind, process_settings, server_settings
from objstore.assembly.surroundings import Surroundings
from objstore.core.errors import ConfigError
from objstore.http.tls import server_context
from objstore.runtime import green, log, owners, recon_files, settings
from objstore.runtime.device_counts import device_paths
from objstore.runtime.files import exists
from objstore.runtime.supervisor import Supervisor
from objstore.runtime.workers import Role, Worker

# Where the workers of one server keep what they share, each set unless a section says otherwise.
_SHARED = {"metrics_directory": "metrics", "shared_file": "cache.generations"}
_SPARE_SECONDS = 5.0  # after drain_timeout, before a worker is killed


class Launch(NamedTuple):
    """What to serve. overrides: settings that stand before those of the file's [DEFAULT]."""

    kind: Kind
    path: str
    overrides: Mapping[str, str]

    def conf(self) -> dict[str, str]:
        return {"log_name": self.kind.server} | processes.read_defaults(self.path) | dict(self.overrides)


def run(launch: Launch) -> int:
    """Serve until told to end; the exit status. Raises ConfigError, before any worker starts, for what stands in the
    way."""
    conf_settings.refuse(launch.path)
    values = _values(launch)
    os.umask(values.umask)
    processes.import_pipeline(launch.path)
    processes.raise_file_limit()
    _remove_left_behind(_memory_dir() or tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix=f"objstore-{os.getpid()}-", dir=_memory_dir()) as shared:
        launch = launch._replace(overrides={**_shared(launch.path, shared), **launch.overrides})
        logger = log.get_logger(values)
        roles = _roles(launch, values)
        supervisor = Supervisor(
            roles,
            logger,
            graceful_timeout=values.drain_timeout + _SPARE_SECONDS,
            backlog=values.backlog,
            on_ready=lambda: _ready(supervisor, roles[0], logger),
        )
        log_files = [values.log_to] if values.log_to.startswith("/") else []
        _leave_root(launch, values, [shared, *log_files])
        processes.run_apart(partial(rehearse, launch))
        gc.freeze()  # what workers share is then not written to by their collectors
        return supervisor.run()


def _leave_root(launch: Launch, values: Any, paths: list[str]) -> None:
    """Go on as the servers' user, with what it needs. paths: made already, which are to be that user's."""
    if not launch.kind.daemons:
        owner = owners.named(values.user) if values.user else None
        owners.prepare(paths, owner)
        owners.become(owner)
        return
    places = settings.read((*STORAGE_SETTINGS, *recon_files.SETTINGS), launch.conf(), launch.path)
    owner = owners.of_devices(places.devices, values.user)
    state = {*owners.state_directories(places.devices), recon_files.directory(places.recon_cache_path, places.devices)}
    owners.prepare([*paths, *state], owner)
    owners.become(owner, keep_kernel_log="drive-audit" in values.daemons)
    owners.tighten(device_paths(places.devices), values.umask, log.get_logger(values))


def _values(launch: Launch) -> Any:
    return settings.read(process_settings(launch.kind), launch.conf(), launch.path)


def _roles(launch: Launch, values: Any) -> list[Role]:
    """The server's workers, and processes for the daemons that work on the same part of the devices."""
    count = values.workers or os.cpu_count() or 1
    roles = [Role(launch.kind.server, count, partial(_guarded, _work, launch), [_address(values)])]
    if launch.kind.daemons:
        daemons.forget(set(launch.kind.daemons) - set(values.daemons), launch.conf())
        roles += daemons.roles(values.daemons, values.daemon_processes, partial(_guarded_daemons, launch))
    return roles


def _address(values: Any) -> tuple[str, int]:
    return values.bind_ip.strip("[]"), values.bind_port


def rehearse(launch: Launch) -> None:
    """Make the pipeline once, so that what is wrong with it is told once and not by each worker."""
    green.after_fork()
    values = _values(launch)
    if values.cert_file:
        server_context(values.cert_file, values.key_file)
    processes.load_pipeline(launch.path, launch.overrides)
    if launch.kind.daemons:
        daemons.make(values.daemons, _surroundings(launch))


def _surroundings(launch: Launch) -> Surroundings:
    conf = launch.conf()
    transports = remote_transports(conf)
    devices = storage_servers(conf, transports).devices
    return Surroundings(conf, devices, transports, log.from_conf(conf))


def _guarded_daemons(launch: Launch, group: daemons.Group, worker: Worker) -> None:
    _guarded(partial(_run_daemons, group), launch, worker)


def _run_daemons(group: daemons.Group, launch: Launch, worker: Worker) -> None:
    around = _surroundings(launch)
    daemons.lower_priority(around, group)
    monitor = daemons.make_monitor(around)
    daemons.run(worker, daemons.make(group.names, around, monitor), monitor)


def _guarded(run_role: Callable[[Launch, Worker], None], launch: Launch, worker: Worker) -> None:
    """A role whose configuration became wrong ends with a line instead of a traceback, written by one process."""
    try:
        conf_settings.refuse(launch.path)
        run_role(launch, worker)
    except ConfigError as error:
        if worker.index == 0:
            log.from_conf(launch.overrides, launch.kind.server).critical("%s", error)
        sys.exit(processes.CANNOT_START)


def _work(launch: Launch, worker: Worker) -> None:
    conf = launch.conf()  # perhaps changed since the parent read it
    app = processes.load_pipeline(launch.path, launch.overrides)
    processes.serve_app(worker, app, conf, log.from_conf(conf), server_settings(launch.kind))


def _ready(supervisor: Supervisor, role: Role, logger: logging.Logger) -> None:
    host, port = supervisor.addresses[role.name][0]
    logger.info("%s is ready on %s:%d, %d workers", role.name, host, port, role.count)
    processes.tell_systemd("READY=1")


def _shared(path: str, directory: str) -> dict[str, str]:
    """Settings for what the workers share, as far as the file says nothing of them."""
    parser = processes.open_conf(path).parser
    said = {option for section in parser.sections() for option in parser.options(section)} | parser.defaults().keys()
    return {name: os.path.join(directory, entry) for name, entry in _SHARED.items() if name not in said}


def _remove_left_behind(directory: str) -> None:
    """Remove what servers that were killed kept for their workers."""
    for entry in os.scandir(directory):
        owner = re.match(r"objstore-(\d+)-", entry.name)
        if owner and not exists(f"/proc/{owner[1]}"):
            with contextlib.suppress(FileNotFoundError):  # another server that starts now was faster
                if entry.stat().st_uid == os.getuid():
                    shutil.rmtree(entry.path, ignore_errors=True)


def _memory_dir() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
