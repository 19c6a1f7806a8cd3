"""`objstore locate`: show where a name is stored, and how to inspect each copy."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import click

from objstore.assembly.data_dir import LOCAL_ADDRESSES, DataDir
from objstore.assembly.processes import read_defaults
from objstore.core.errors import ConfigError, InvalidInput
from objstore.core.names import Location, Name
from objstore.core.nodes import Node
from objstore.core.policies import Policies, objects_dir, ring_name
from objstore.ring import Ring
from objstore.runtime import cluster_conf
from objstore.runtime.files import exists
from objstore.wire.messages import POLICY, NodeRequest, target

EXAMPLES = """\b
Examples:
  objstore locate AUTH_admin --data ./data
  objstore locate AUTH_admin photos --ring-dir /etc/objstore
  objstore locate AUTH_admin photos cats/tom.jpg --ring-dir /etc/objstore --policy 1
"""
_DIRECTORIES = {"account": "accounts", "container": "containers"}


class LocatedDevice(NamedTuple):
    """A device that holds, or may hold, a name. path: its directory on that device's host."""

    role: str
    node: Node
    path: str


class LocatedName(NamedTuple):
    name: Name
    location: Location
    ring_name: str
    places: tuple[LocatedDevice, ...]


@click.command(epilog=EXAMPLES)
@click.argument("account")
@click.argument("container", required=False)
@click.argument("object_", metavar="[OBJECT]", required=False)
@click.option("--data", type=click.Path(exists=True, file_okay=False), help="Data directory of `objstore serve`.")
@click.option("--ring-dir", type=click.Path(exists=True, file_okay=False), help="Directory of rings and objstore.conf.")
@click.option("--policy", metavar="INDEX|NAME", help="The container's storage policy.  [default: the default policy]")
@click.option(
    "--devices", "devices_root", help="Directory under which hosts mount their devices. [default: as configured]"
)
@click.option("--all", "all_handoffs", is_flag=True, help="Show all handoffs, not only as many as there are replicas.")
def locate(
    account: str,
    container: str | None,
    object_: str | None,
    data: str | None,
    ring_dir: str | None,
    policy: str | None,
    devices_root: str | None,
    all_handoffs: bool,
) -> None:
    """Show the partition, the devices and the paths of an account, container or object.

    Each primary holds a copy; handoffs replace primaries that do not answer.
    """
    if (data is None) == (ring_dir is None):
        raise click.UsageError("give either --data or --ring-dir")
    name = Name(account, container, object_)
    if "" in name or "/" in account or "/" in (container or ""):
        raise click.UsageError("names of accounts and containers must not contain a slash, and no name may be empty")
    directory = ring_dir or DataDir(os.path.abspath(data or "")).etc
    root = devices_root or (DataDir(os.path.abspath(data)).devices if data else _devices_root(directory))
    found = find(name, directory, root, policy, all_handoffs)
    click.echo("\n".join(_lines(found, data is not None)))


def find(name: Name, directory: str, devices_root: str, policy: str | None, all_handoffs: bool) -> LocatedName:
    """Return the places of a name. Raises ConfigError for rings and configuration, InvalidInput for an unknown
    policy."""
    cluster = cluster_conf.load(directory)
    index = _policy_index(cluster.policies, policy)
    kind = ring_name(index) if name.object is not None else "container" if name.container is not None else "account"
    ring = Ring.load(os.path.join(directory, f"{kind}.ring"))
    name_hash = cluster.salt.hash(name)
    partition = ring.partition(name_hash)
    location = Location(partition, name_hash, index)
    primaries = ring.primaries(partition)
    handoffs = islice(ring.handoffs(partition), None if all_handoffs else len(primaries))
    parts = (_DIRECTORIES.get(kind) or objects_dir(index), str(partition), location.suffix, name_hash)

    def places(role: str, nodes: Iterable[Node]) -> Iterator[LocatedDevice]:
        return (LocatedDevice(role, node, os.path.join(devices_root, node.device, *parts)) for node in nodes)

    moved = places("before", ring.previous(partition))
    return LocatedName(name, location, kind, (*places("primary", primaries), *moved, *places("handoff", handoffs)))


def _policy_index(policies: Policies, text: str | None) -> int:
    if text is None:
        return policies.default.index
    found = policies.get(int(text)) if text.isdigit() else policies.by_name(text)
    if found is None:
        raise InvalidInput(f"there is no storage policy {text!r}")
    return found.index


def _devices_root(directory: str) -> str:
    """Return the directory of devices in a cluster's configuration."""
    try:
        conf = read_defaults(os.path.join(directory, "object-server.conf"))
    except ConfigError:
        conf = {}
    return os.path.normpath(conf.get("devices", "/srv/node"))


def _lines(found: LocatedName, in_process: bool) -> Iterator[str]:
    """Yield the lines of output. in_process: the servers of this host's devices have no port."""
    for part, text in zip(("account", "container", "object"), found.name, strict=True):
        if text is not None:
            yield f"{part:<10} {text}"
    if found.name.object is not None:
        yield f"{'policy':<10} {found.location.policy}"
    yield f"{'ring':<10} {found.ring_name}"
    yield f"{'partition':<10} {found.location.partition}"
    yield f"{'hash':<10} {found.location.hash}"
    yield ""
    for place in found.places:
        yield f"{place.role:<8} r{place.node.region}z{place.node.zone} {place.node}"
    yield ""
    remote = [place for place in found.places if not (in_process and place.node.address in LOCAL_ADDRESSES)]
    yield from (_curl(found, place) for place in remote)
    if len(remote) < len(found.places):
        yield "# The servers of this host's devices are called in process: they have no port to ask."
    yield ""
    for place in found.places:
        here = place not in remote
        command = f"ls -l {shlex.quote(place.path)}"
        yield (command if here else f"ssh {place.node.ip} {shlex.quote(command)}") + _note(place, here)


def _note(place: LocatedDevice, here: bool) -> str:
    notes = [place.role] if place.role != "primary" else []
    if here and not exists(place.path):
        notes.append("missing")
    return f"  # {', '.join(notes)}" if notes else ""


def _curl(found: LocatedName, place: LocatedDevice) -> str:
    host = f"[{place.node.ip}]" if ":" in place.node.ip else place.node.ip
    request = NodeRequest("HEAD", found.location.partition, found.name, {})
    url = f"http://{host}:{place.node.port}{target(place.node, request)}"
    header = f" -H '{POLICY}: {found.location.policy}'" if found.name.object is not None else ""
    note = f"  # {place.role}" if place.role != "primary" else ""
    return f"curl -g -I{header} {shlex.quote(url)}{note}"
