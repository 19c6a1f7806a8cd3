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
from typing import NamedTuple

from objstore.assembly import conf_settings, daemons, processes
from objstore.assembly.apps import StorageSettings, remote_transports, storage_servers
from objstore.assembly.kinds import ProcessSettings, ServerKind, chosen_daemons
from objstore.assembly.surroundings import DaemonSettings, Surroundings
from objstore.core.errors import ConfigError
from objstore.http.server import ServerSettings
from objstore.http.tls import server_context
from objstore.runtime import green, log, owners, recon_files, settings
from objstore.runtime.device_counts import device_paths
from objstore.runtime.files import exists
from objstore.runtime.log import LogSettings
from objstore.runtime.owners import OwnerSettings
from objstore.runtime.supervisor import Supervisor
from objstore.runtime.workers import Role, Worker

# Paths of data shared by the workers of one server, used unless a section sets them.
_SHARED = {"metrics_directory": "metrics", "shared_file": "cache.generations", "ratelimit_file": "ratelimit.state"}
_SPARE_SECONDS = 5.0  # after drain_timeout, before a worker is killed


class _Values(NamedTuple):
    """The settings of a server's process. daemons: their names. daemon_processes: how many they share."""

    process: ProcessSettings
    owner: OwnerSettings
    log: LogSettings
    server: ServerSettings
    daemons: tuple[str, ...]
    daemon_processes: int


class Launch(NamedTuple):
    """A server to run. overrides: settings that take precedence over the file's [DEFAULT]."""

    kind: ServerKind
    path: str
    overrides: Mapping[str, str]

    def conf(self) -> dict[str, str]:
        return self.kind.defaults | processes.read_defaults(self.path) | dict(self.overrides)


def run(launch: Launch) -> int:
    """Serve until stopped; return the exit status. Raises ConfigError for problems found before any worker starts."""
    conf_settings.refuse(launch.path)
    values = _values(launch)
    os.umask(values.owner.umask)
    processes.import_pipeline(launch.path)
    processes.raise_file_limit()
    _remove_left_behind(_memory_dir() or tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix=f"objstore-{os.getpid()}-", dir=_memory_dir()) as shared:
        launch = launch._replace(overrides={**_shared(launch.path, shared), **launch.overrides})
        logger = log.get_logger(values.log)
        roles = _roles(launch, values)
        supervisor = Supervisor(
            roles,
            logger,
            graceful_timeout=values.server.drain_timeout + _SPARE_SECONDS,
            backlog=values.server.backlog,
            on_ready=lambda: _ready(supervisor, roles[0], logger),
        )
        log_files = [values.log.log_to] if values.log.log_to.startswith("/") else []
        _leave_root(launch, values, [shared, *log_files])
        processes.run_apart(partial(rehearse, launch))
        gc.freeze()  # memory shared by workers is then not written to by their garbage collectors
        return supervisor.run()


def _leave_root(launch: Launch, values: _Values, paths: list[str]) -> None:
    """Switch to the servers' user, with access to its files. paths: existing ones, which get that owner."""
    if not launch.kind.daemons:
        owner = owners.owner_named(values.owner.user) if values.owner.user else None
        owners.prepare(paths, owner)
        owners.become(owner)
        return
    devices = settings.read(StorageSettings, launch.conf(), launch.path).devices
    recon_cache_path = settings.read(recon_files.ReconSettings, launch.conf(), launch.path).recon_cache_path
    owner = owners.of_devices(devices, values.owner.user)
    state = {*owners.state_directories(devices), recon_files.directory(recon_cache_path, devices)}
    owners.prepare([*paths, *state], owner)
    owners.become(owner, keep_kernel_log="drive-audit" in values.daemons)
    owners.tighten(device_paths(devices), values.owner.umask, log.get_logger(values.log))


def _values(launch: Launch) -> _Values:
    """Raises ConfigError."""
    conf, path, names = launch.conf(), launch.path, launch.kind.daemons
    return _Values(
        settings.read(ProcessSettings, conf, path),
        settings.read(OwnerSettings, conf, path),
        settings.read(LogSettings, conf, path),
        settings.read(ServerSettings, conf, path),
        chosen_daemons(names).read(conf, path) if names else (),
        settings.read(DaemonSettings, conf, path).daemon_processes,
    )


def _roles(launch: Launch, values: _Values) -> list[Role]:
    """Return the server's workers, and processes for the daemons of the same data."""
    count = values.process.workers or os.cpu_count() or 1
    roles = [Role(launch.kind.server, count, partial(_guarded, _work, launch), [_address(values.process)])]
    if launch.kind.daemons:
        daemons.forget(set(launch.kind.daemons) - set(values.daemons), launch.conf())
        roles += daemons.roles(values.daemons, values.daemon_processes, partial(_guarded_daemons, launch))
    return roles


def _address(values: ProcessSettings) -> tuple[str, int]:
    return values.bind_ip.strip("[]"), values.bind_port


def rehearse(launch: Launch) -> None:
    """Make the pipeline once, so that its problems are reported once and not by each worker."""
    green.after_fork()
    values = _values(launch)
    if values.server.cert_file:
        server_context(values.server.cert_file, values.server.key_file)
    processes.load_pipeline(launch.path, launch.overrides)
    if launch.kind.daemons:
        daemons.make(values.daemons, _surroundings(launch))


def _surroundings(launch: Launch) -> Surroundings:
    conf = launch.conf()
    transports = remote_transports(conf)
    devices = storage_servers(conf, transports).devices
    return Surroundings(conf, devices, transports, log.from_conf(conf))


def _guarded_daemons(launch: Launch, group: daemons.DaemonGroup, worker: Worker) -> None:
    _guarded(partial(_run_daemons, group), launch, worker)


def _run_daemons(group: daemons.DaemonGroup, launch: Launch, worker: Worker) -> None:
    around = _surroundings(launch)
    daemons.lower_priority(around, group)
    monitor = daemons.make_monitor(around)
    daemons.run(worker, daemons.make(group.names, around, monitor), monitor)


def _guarded(run_role: Callable[[Launch, Worker], None], launch: Launch, worker: Worker) -> None:
    """Wrap a role: if its configuration became wrong, it ends with a line instead of a traceback, written by one
    process."""
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
    processes.serve_app(worker, app, conf, log.from_conf(conf))


def _ready(supervisor: Supervisor, role: Role, logger: logging.Logger) -> None:
    host, port = supervisor.addresses[role.name][0]
    logger.info("%s is ready on %s:%d, %d workers", role.name, host, port, role.count)
    processes.tell_systemd("READY=1")


def _shared(path: str, directory: str) -> dict[str, str]:
    """Return settings for data shared by the workers, unless the file sets them."""
    parser = processes.open_conf(path).parser
    options = {option for section in parser.sections() for option in parser.options(section)} | parser.defaults().keys()
    return {name: os.path.join(directory, entry) for name, entry in _SHARED.items() if name not in options}


def _remove_left_behind(directory: str) -> None:
    """Remove the shared data of servers that were killed."""
    for entry in os.scandir(directory):
        owner = re.match(r"objstore-(\d+)-", entry.name)
        if owner and not exists(f"/proc/{owner[1]}"):
            with contextlib.suppress(FileNotFoundError):  # another server that starts now was faster
                if entry.stat().st_uid == os.getuid():
                    shutil.rmtree(entry.path, ignore_errors=True)


def _memory_dir() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
