"""`objstore serve`: everything in one place, on embedded storage."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from functools import partial

import click

from objstore.assembly import processes
from objstore.assembly.data_dir import DataDir, locked, prepare, write_credentials
from objstore.assembly.embedded import run
from objstore.assembly.surroundings import Address
from objstore.cli.failures import clean_errors
from objstore.runtime import owners

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

These keys are shown only now; the credentials file holds them. To get a token:
  curl -i -H 'X-Auth-User: {user}' -H 'X-Auth-Key: {key}' {auth_url}
"""
_NO_KEYS = """\
objstore is ready.

  endpoint     {endpoint}
  Swift        {auth_url}  user {user}
  S3           {endpoint}
  credentials  {path}  {holds}
"""


def parse_address(text: str) -> tuple[str, int]:
    """`HOST:PORT`, an IPv6 host in brackets; raises click.BadParameter."""
    host, colon, port = text.rpartition(":")
    host = host.strip("[]")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"{text!r} is not HOST:PORT", param_hint="--bind")
    return host or "0.0.0.0", int(port)


@click.command(epilog=EXAMPLES)
@click.option(
    "--data", "root", required=True, type=click.Path(file_okay=False), help="Directory of all data and configuration."
)
@click.option(
    "--bind", default="127.0.0.1:8080", show_default=True, help="Address to listen on; port 0 chooses a free one."
)
@click.option(
    "--workers", type=click.IntRange(1), default=None, help="Number of worker processes. [default: one per core]"
)
@click.option(
    "--devices", type=click.IntRange(1), default=None, help="Number of devices, at the first start. [default: 1]"
)
@click.option("--replicas", type=click.IntRange(1), default=None, help="Number of copies of all data. [default: 1]")
def serve(root: str, bind: str, workers: int | None, devices: int | None, replicas: int | None) -> None:
    """Run a whole object store in one place.

    The first start creates devices, rings, configuration and a user with keys under the data directory; the keys are
    written to DIR/credentials.json, and shown on a terminal. SIGTERM finishes the requests under way and stops; SIGHUP
    reloads the configuration.
    """
    address = parse_address(bind)
    data = DataDir(os.path.abspath(root))
    owner = owners.of_devices(data.devices) or owners.of_path(data.root)
    with clean_errors(), ExitStack() as stack:
        with owners.acting_as(owner):  # root may be needed for the port
            stack.enter_context(locked(data))
            first = prepare(data, devices, replicas)
        sys.exit(run(data, address, workers or os.cpu_count() or 1, owner, partial(_announce, data, first)))


def _announce(data: DataDir, first: bool, address: Address) -> None:
    """Print the store's address. Its keys are shown once, and only on a terminal: a program that reads the output may
    store it."""
    host, port = address
    shown = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host
    scheme = "https" if processes.read_defaults(data.proxy_conf).get("cert_file") else "http"
    known = write_credentials(data, f"{scheme}://{shown}:{port}")
    holds = "has the keys" if known["user"] else "has no keys: its user was removed, see `objstore user list`"
    show = first and sys.stdout.isatty()
    click.echo((_KEYS if show else _NO_KEYS).format(**known, path=data.credentials, holds=holds))
    sys.stdout.flush()
