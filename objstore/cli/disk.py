"""`objstore disk`: take disks of this host out of service, and put them back."""

from __future__ import annotations

import os
import time

import click

from objstore.assembly import processes
from objstore.assembly.data_dir import DataDir
from objstore.assembly.inside import USUAL_DIRECTORY
from objstore.cli.status import shown_age
from objstore.core.errors import InvalidInput
from objstore.runtime import owners
from objstore.runtime.device_counts import device_names
from objstore.runtime.drives import Outs, probe
from objstore.runtime.files import exists, is_directory

_CONF = os.path.join(USUAL_DIRECTORY, "object-server.conf")
EXAMPLES = """\b
Examples:
  objstore disk list
  objstore disk out d3 --why "makes noises"
  objstore disk in d3
  objstore disk out d2 --data ./data
"""


@click.group(epilog=EXAMPLES)
def disk() -> None:
    """Take disks of this host out of service, and put them back.

    All servers of this host treat a disk that is out like one that is not mounted: they neither read nor write it, and
    replicators restore its copies elsewhere. The drive audit takes failing disks out by itself.
    """


_devices = click.option("--devices", help="Directory of the devices.  [default: from object-server.conf]")
_data = click.option("--data", type=click.Path(file_okay=False), help="Directory of `objstore serve`.")


@disk.command("list")
@_devices
@_data
def list_command(devices: str | None, data: str | None) -> None:
    """Show this host's disks, which of them are out and why."""
    root = _root(devices, data)
    outs = Outs(root).all()
    for name in sorted({*device_names(root), *outs}):
        noted = outs.get(name)
        if noted is None:
            click.echo(f"{name}  in use")
        else:
            since = f" for {shown_age(time.time() - noted['at'])}" if "at" in noted else ""
            click.echo(f"{name}  out{since}: {noted.get('why', '')}")


@disk.command()
@click.argument("name")
@click.option("--why", default="by hand", show_default=True, help="Reason, shown by `objstore status`.")
@_devices
@_data
def out(name: str, why: str, devices: str | None, data: str | None) -> None:
    """Take a disk out; servers notice within two seconds."""
    root = _root(devices, data)
    _check(root, name)
    owners.act_for(root, _settings(data))
    Outs(root).take_out(name, why, time.time())
    click.echo(f"{name} is out.")


@disk.command("in")
@click.argument("name")
@click.option("--force", is_flag=True, help="Even if it fails its write/read check.")
@_devices
@_data
def in_command(name: str, force: bool, devices: str | None, data: str | None) -> None:
    """Put a disk back into use if it passes a write/read check."""
    root = _root(devices, data)
    _check(root, name)
    path = os.path.join(root, name)
    conf = _settings(data)
    owner = owners.of_devices(root, conf.get("user", ""))
    if _is_new(path) and owners.give(path, owner):
        click.echo(f"{name} is empty, and now belongs to {owner}.")
    owners.act_for(root, conf)
    why = probe(path)
    if why and not force:
        raise InvalidInput(f"{name}: {why}, as user {owner} of the servers")
    click.echo(f"{name} is in use again." if Outs(root).put_back(name) else f"{name} was not taken out.")


def _root(devices: str | None, data: str | None) -> str:
    if devices and data:
        raise click.UsageError("give either --devices or --data")
    if data:
        found = DataDir(os.path.abspath(data))
        if not exists(found.cluster_conf):
            raise InvalidInput(f"{data} was not created by `objstore serve`")
        return found.devices
    if devices:
        if not is_directory(devices):
            raise InvalidInput(f"there is no directory {devices}")
        return devices
    if not exists(_CONF):
        raise InvalidInput(f"there is no {_CONF}: --devices names the directory of this host's devices,"
                           " --data that of `objstore serve`")  # fmt: skip
    return processes.read_defaults(_CONF).get("devices", "/srv/node")


def _settings(data: str | None) -> dict[str, str]:
    """Return the settings with the user of this host's servers: the servers must be able to use the files this command
    makes."""
    return processes.process_defaults(DataDir(os.path.abspath(data)).etc if data else USUAL_DIRECTORY)


def _is_new(path: str) -> bool:
    """Return whether this is an empty file system that root has just made."""
    return os.stat(path).st_uid == 0 and not set(os.listdir(path)) - {"lost+found"}


def _check(root: str, name: str) -> None:
    if name not in device_names(root):
        raise InvalidInput(f"there is no {name} in {root}")
