"""`objstore serve`: everything in one place, on embedded storage."""

from __future__ import annotations

import os
import sys

import click
from paste.deploy import loadapp

from objstore.cli.apps import remote_transports, storage_apps
from objstore.cli.data_dir import LOCAL_ADDRESSES, DataDir, prepare, write_credentials
from objstore.cli.processes import find_app, read_defaults, serve_app
from objstore.core.errors import ConfigError
from objstore.proxy.app import ProxyApp
from objstore.runtime import log
from objstore.runtime.workers import Role, Supervisor, Worker
from objstore.wire.local import LocalTransport

EXAMPLES = """\b
Examples:
  objstore serve --data ./data
  objstore serve --data /srv/objstore --bind 0.0.0.0:8080 --workers 4
  objstore serve --data ./cluster --devices 4 --replicas 3
"""


def parse_address(text: str) -> tuple[str, int]:
    """`HOST:PORT`, an IPv6 host in brackets; raises click.BadParameter."""
    host, colon, port = text.rpartition(":")
    host = host.strip("[]")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"{text!r} is not HOST:PORT")
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
    directory; they are printed, and written to DIR/credentials.json.
    """
    address = parse_address(bind)
    data = DataDir(os.path.abspath(root))
    try:
        prepare(data, devices or 1, replicas or 1)
        logger = log.from_conf(read_defaults(data.storage_conf), "objstore")
        role = Role("worker", workers or os.cpu_count() or 1, lambda worker: run_worker(worker, data), [address])
        supervisor = Supervisor([role], logger, on_ready=lambda: _announce(supervisor, data))
    except (ConfigError, OSError) as error:
        raise click.ClickException(str(error)) from None
    sys.exit(supervisor.run())


def run_worker(worker: Worker, data: DataDir) -> None:
    """One worker: the proxy's pipeline, and the storage servers of all devices called in process."""
    conf = read_defaults(data.storage_conf)
    logger = log.from_conf(conf, "objstore")
    transports = remote_transports(conf)
    storage = storage_apps(conf, transports)
    apps = {"account": storage.account, "container": storage.container, "object": storage.object}
    local = LocalTransport(apps)
    transports.use_local(local, LOCAL_ADDRESSES)
    pipeline = loadapp(f"config:{data.proxy_conf}")
    find_app(pipeline, ProxyApp).cluster.transports.use_local(local, LOCAL_ADDRESSES)
    serve_app(worker, pipeline, read_defaults(data.proxy_conf), logger)


def _announce(supervisor: Supervisor, data: DataDir) -> None:
    host, port = supervisor.addresses["worker"][0]
    shown = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host
    known = write_credentials(data, f"http://{shown}:{port}")
    click.echo(
        f"""\
objstore is ready.

  endpoint     {known["endpoint"]}
  Swift        {known["auth_url"]}  user {known["user"]}  key {known["key"]}
  S3           {known["endpoint"]}  access key {known["access_key"]}  secret key {known["secret_key"]}
  credentials  {data.credentials}

A token:
  curl -i -H 'X-Auth-User: {known["user"]}' -H 'X-Auth-Key: {known["key"]}' {known["auth_url"]}
"""
    )
    sys.stdout.flush()
