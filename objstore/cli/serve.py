"""`objstore serve`: everything in one place, on embedded storage."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial

import click

from objstore.cli import conf_settings, daemons, processes
from objstore.cli.apps import StorageApps, in_process, remote_transports
from objstore.cli.config_check import check_pipeline
from objstore.cli.data_dir import LOCAL_ADDRESSES, DataDir, locked, prepare, write_credentials
from objstore.cli.failures import STATUS, clean_errors
from objstore.cli.kinds import chosen_daemons
from objstore.cli.surroundings import DAEMON_SETTINGS, Surroundings
from objstore.core.errors import ConfigError
from objstore.http.server import SERVER_SETTINGS
from objstore.runtime import log, owners, settings
from objstore.runtime.owners import Owner
from objstore.runtime.supervisor import Supervisor
from objstore.runtime.workers import Role, Worker
from objstore.swift.app import ProxyApp
from objstore.wire.local import LocalTransport

EXAMPLES = """\b
Examples:
  objstore serve --data ./data
  objstore serve --data /srv/objstore --bind 0.0.0.0:8080 --workers 4
  objstore serve --data ./cluster --devices 4 --replicas 3
"""
_KEYS = """\
objstore is ready.

  endpoint     {endpoint}
  Swift        {auth_url}  user {user}  key {key}
  S3           {endpoint}  access key {access_key}  secret key {secret_key}
  credentials  {path}

These keys are shown once; they stay in that file. A token:
  curl -i -H 'X-Auth-User: {user}' -H 'X-Auth-Key: {key}' {auth_url}
"""
_NO_KEYS = """\
objstore is ready.

  endpoint     {endpoint}
  Swift        {auth_url}  user {user}
  S3           {endpoint}
  credentials  {path}  {holds}
"""
_SPARE_SECONDS = 5.0  # after drain_timeout, before a worker is killed
# Accounts show what was stored after a few seconds. With all devices at hand a pass is cheap.
_DAEMON_DEFAULTS = {"container_updater_interval": "5s", "object_updater_interval": "5s", "daemon_processes": "2"}


def parse_address(text: str) -> tuple[str, int]:
    """`HOST:PORT`, an IPv6 host in brackets; raises click.BadParameter."""
    host, colon, port = text.rpartition(":")
    host = host.strip("[]")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"{text!r} is not HOST:PORT", param_hint="--bind")
    return host or "0.0.0.0", int(port)


@click.command(epilog=EXAMPLES)
@click.option(
    "--data", "root", required=True, type=click.Path(file_okay=False), help="Directory that holds everything."
)
@click.option(
    "--bind", default="127.0.0.1:8080", show_default=True, help="Address to listen on; port 0 takes a free one."
)
@click.option("--workers", type=click.IntRange(1), default=None, help="Worker processes.  [default: one a core]")
@click.option("--devices", type=click.IntRange(1), default=None, help="Devices at the first start.  [default: 1]")
@click.option("--replicas", type=click.IntRange(1), default=None, help="Copies of everything.  [default: 1]")
def serve(root: str, bind: str, workers: int | None, devices: int | None, replicas: int | None) -> None:
    """Run a whole object store in one place.

    The first start makes devices, rings, configuration and a user with keys under the data
    directory; the keys are written to DIR/credentials.json, and shown on a terminal. SIGTERM lets requests under
    way end; SIGHUP reads the configuration anew.
    """
    address = parse_address(bind)
    data = DataDir(os.path.abspath(root))
    owner = owners.of_devices(data.devices) or owners.of_path(data.root)
    with clean_errors(), ExitStack() as stack:
        with owners.acting_as(owner):  # root may be needed for the port
            stack.enter_context(locked(data))
            first = prepare(data, devices, replicas)
        sys.exit(run(data, address, workers or os.cpu_count() or 1, owner, first))


def run(data: DataDir, address: tuple[str, int], workers: int, owner: Owner | None, first: bool) -> int:
    """Serve a prepared directory until told to end; the exit status. Raises ConfigError.

    owner: of the directory. first: is this the first start, at which its keys are shown?
    """
    with owners.acting_as(owner):
        conf_settings.refuse(data.proxy_conf, data.storage_conf)
        conf = processes.read_defaults(data.proxy_conf)
        options = settings.read((*SERVER_SETTINGS, *owners.SETTINGS), conf, data.proxy_conf)
        os.umask(options.umask)
        logger = log.from_conf(conf)
        owners.tighten(data.private_paths(), options.umask, logger)
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
        on_ready=lambda: _announce(supervisor, data, first),
    )
    owners.become(owner, keep_kernel_log=True)
    gc.freeze()  # what workers share is then not written to by their collectors
    return supervisor.run()


def _daemon_roles(data: DataDir) -> list[Role]:
    conf = _DAEMON_DEFAULTS | processes.read_defaults(data.storage_conf)
    table = (chosen_daemons(tuple(daemons.DUTIES)), *DAEMON_SETTINGS)
    values = settings.read(table, conf, data.storage_conf)
    daemons.forget(set(daemons.DUTIES) - set(values.daemons), conf)
    return daemons.roles(values.daemons, values.daemon_processes, partial(_guarded_daemons, data))


def _guarded(run_role: Callable[[Worker, DataDir, logging.Logger], None], data: DataDir, worker: Worker) -> None:
    """A role whose configuration is wrong ends with a line instead of a traceback, told by one process."""
    logger = log.from_conf(processes.read_defaults(data.proxy_conf))
    try:
        conf_settings.refuse(data.proxy_conf, data.storage_conf)
        run_role(worker, data, logger)
    except ConfigError as error:
        if worker.index == 0:
            logger.critical("%s", error)
        sys.exit(STATUS)


def run_worker(worker: Worker, data: DataDir, logger: logging.Logger) -> None:
    """One worker: the proxy's pipeline, and the storage servers of all devices called in process."""
    _, local = _storage(data)
    shown = {"device_metrics": "yes", "devices": data.devices, "mount_check": "no"}
    pipeline = processes.load_pipeline(data.proxy_conf, shown)
    proxy = processes.find_app(pipeline, ProxyApp)
    if proxy is None:
        raise ConfigError(f"{data.proxy_conf}: the pipeline does not end in egg:objstore#proxy")
    proxy.cluster.transports.use_local(local, LOCAL_ADDRESSES)
    processes.serve_app(worker, pipeline, processes.read_defaults(data.proxy_conf), logger)


def _guarded_daemons(data: DataDir, group: daemons.Group, worker: Worker) -> None:
    _guarded(partial(run_daemons, group), data, worker)


def run_daemons(group: daemons.Group, worker: Worker, data: DataDir, logger: logging.Logger) -> None:
    """Daemons of all devices."""
    around = surroundings(data, logger)
    daemons.lower_priority(around, group)
    monitor = daemons.make_monitor(around)
    daemons.run(worker, daemons.make(group.names, around, monitor), monitor)


def surroundings(
    data: DataDir, logger: logging.Logger, overrides: Mapping[str, str] | None = None, at_once: bool = False
) -> Surroundings:
    """Of daemons, which too call the storage servers in process. overrides: stand before storage-server.conf."""
    storage, local = _storage(data)
    shown = {"metrics_directory": processes.read_defaults(data.proxy_conf).get("metrics_directory", "")}
    conf = shown | _DAEMON_DEFAULTS | processes.read_defaults(data.storage_conf) | dict(overrides or {})
    transports = remote_transports(conf)
    transports.use_local(local, LOCAL_ADDRESSES)
    return Surroundings(conf, storage.devices, transports, logger, LOCAL_ADDRESSES, at_once)


def _storage(data: DataDir) -> tuple[StorageApps, LocalTransport]:
    """The storage servers of all devices, which reach each other in process too."""
    storage, local, _ = in_process(processes.read_defaults(data.storage_conf), LOCAL_ADDRESSES)
    return storage, local


def _announce(supervisor: Supervisor, data: DataDir, first: bool) -> None:
    """Say where the store is. Its keys are shown once, and to a person: what else reads this may keep it for long."""
    host, port = supervisor.addresses["worker"][0]
    shown = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host
    scheme = "https" if processes.read_defaults(data.proxy_conf).get("cert_file") else "http"
    known = write_credentials(data, f"{scheme}://{shown}:{port}")
    holds = "holds the keys" if known["user"] else "holds no keys: its user is gone, see `objstore user list`"
    show = first and sys.stdout.isatty()
    click.echo((_KEYS if show else _NO_KEYS).format(**known, path=data.credentials, holds=holds))
    sys.stdout.flush()
    processes.tell_systemd("READY=1")
