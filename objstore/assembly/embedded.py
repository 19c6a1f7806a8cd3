"""A complete store in one process tree: the proxy and the storage servers of all devices."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial

from objstore.assembly import conf_settings, daemons, processes
from objstore.assembly.apps import StorageServers, in_process, remote_transports
from objstore.assembly.config_check import check_pipeline
from objstore.assembly.data_dir import LOCAL_ADDRESSES, DataDir
from objstore.assembly.kinds import chosen_daemons
from objstore.assembly.surroundings import Address, DaemonSettings, Surroundings
from objstore.core.errors import ConfigError
from objstore.http.server import ServerSettings
from objstore.runtime import log, owners, settings
from objstore.runtime.owners import Owner
from objstore.runtime.supervisor import Supervisor
from objstore.runtime.workers import Role, Worker
from objstore.swift.app import ProxyApp
from objstore.web import pipeline
from objstore.wire.local import LocalTransport

_SPARE_SECONDS = 5.0  # after drain_timeout, before a worker is killed
# Accounts show new totals after a few seconds. With only local devices a pass is cheap.
_DAEMON_DEFAULTS = {"container_updater_interval": "5s", "object_updater_interval": "5s", "daemon_processes": "2"}


def run(
    data: DataDir,
    address: Address,
    workers: int,
    owner: Owner | None,
    announce: Callable[[Address], None],
) -> int:
    """Serve a prepared directory until stopped; return the exit status. Raises ConfigError.

    owner: of the directory. announce: called with the address when workers are ready, before systemd is notified.
    """
    with owners.acting_as(owner):
        conf_settings.refuse(data.proxy_conf, data.storage_conf)
        conf = processes.read_defaults(data.proxy_conf)
        options = settings.read(ServerSettings, conf, data.proxy_conf)
        umask = settings.read(owners.OwnerSettings, conf, data.proxy_conf).umask
        os.umask(umask)
        logger = log.from_conf(conf)
        owners.tighten(data.private_paths(), umask, logger)
        processes.import_pipeline(data.proxy_conf)
        for problem in check_pipeline(data.proxy_conf):  # written at the first start, perhaps by an older version
            logger.warning("%s", problem)
        processes.raise_file_limit()
        roles = [
            Role("worker", workers, partial(_guarded, run_worker, data), [address]),
            *_daemon_roles(data),
        ]
    supervisor = Supervisor(
        roles,
        logger,
        graceful_timeout=options.drain_timeout + _SPARE_SECONDS,
        backlog=options.backlog,
        on_ready=lambda: _ready(supervisor, announce),
    )
    owners.become(owner, keep_kernel_log=True)
    gc.freeze()  # memory shared by workers is then not written to by their garbage collectors
    return supervisor.run()


def _daemon_roles(data: DataDir) -> list[Role]:
    conf = _DAEMON_DEFAULTS | processes.read_defaults(data.storage_conf)
    chosen = chosen_daemons(tuple(daemons.DUTIES)).read(conf, data.storage_conf)
    most = settings.read(DaemonSettings, conf, data.storage_conf).daemon_processes
    daemons.forget(set(daemons.DUTIES) - set(chosen), conf)
    return daemons.roles(chosen, most, partial(_guarded_daemons, data))


def _guarded(run_role: Callable[[Worker, DataDir, logging.Logger], None], data: DataDir, worker: Worker) -> None:
    """Wrap a role: if its configuration is wrong, it ends with a line instead of a traceback, printed by one
    process."""
    logger = log.from_conf(processes.read_defaults(data.proxy_conf))
    try:
        conf_settings.refuse(data.proxy_conf, data.storage_conf)
        run_role(worker, data, logger)
    except ConfigError as error:
        if worker.index == 0:
            logger.critical("%s", error)
        sys.exit(processes.CANNOT_START)


def run_worker(worker: Worker, data: DataDir, logger: logging.Logger) -> None:
    """Run a worker: the proxy's pipeline, and the storage servers of all devices called in process."""
    _, local = _storage(data)
    shown = {
        "device_metrics": "yes",
        "devices": data.devices,
        "mount_check": "no",
        "bucket_log_spool": data.bucket_logs,
    }
    app = processes.load_pipeline(data.proxy_conf, shown)
    proxy = pipeline.find_app(app, ProxyApp)
    if proxy is None:
        raise ConfigError(f"{data.proxy_conf}: the pipeline does not end in egg:objstore#proxy")
    proxy.cluster.transports.use_local(local, LOCAL_ADDRESSES)
    processes.serve_app(worker, app, processes.read_defaults(data.proxy_conf), logger)


def _guarded_daemons(data: DataDir, group: daemons.DaemonGroup, worker: Worker) -> None:
    _guarded(partial(run_daemons, group), data, worker)


def run_daemons(group: daemons.DaemonGroup, worker: Worker, data: DataDir, logger: logging.Logger) -> None:
    """Run the daemons of all devices."""
    around = surroundings(data, logger)
    daemons.lower_priority(around, group)
    monitor = daemons.make_monitor(around)
    daemons.run(worker, daemons.make(group.names, around, monitor), monitor)


def surroundings(
    data: DataDir, logger: logging.Logger, overrides: Mapping[str, str] | None = None, at_once: bool = False
) -> Surroundings:
    """Return the surroundings of daemons, which call the storage servers in process too. overrides: of
    storage-server.conf."""
    storage, local = _storage(data)
    shown = {"metrics_directory": processes.read_defaults(data.proxy_conf).get("metrics_directory", "")}
    conf = shown | _DAEMON_DEFAULTS | processes.read_defaults(data.storage_conf) | dict(overrides or {})
    transports = remote_transports(conf)
    transports.use_local(local, LOCAL_ADDRESSES)
    return Surroundings(conf, storage.devices, transports, logger, LOCAL_ADDRESSES, at_once)


def _storage(data: DataDir) -> tuple[StorageServers, LocalTransport]:
    """Make the storage servers of all devices, connected in process."""
    storage, local, _ = in_process(processes.read_defaults(data.storage_conf), LOCAL_ADDRESSES)
    return storage, local


def _ready(supervisor: Supervisor, announce: Callable[[Address], None]) -> None:
    announce(supervisor.addresses["worker"][0])
    processes.tell_systemd("READY=1")
