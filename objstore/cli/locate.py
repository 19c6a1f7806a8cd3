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
from objstore.core.policies import Policies, objects_dir, packed_dir, ring_name
from objstore.ring import Ring
from objstore.runtime import cluster_conf
from objstore.runtime.addresses import own_ips
from objstore.runtime.files import exists, is_directory
from objstore.store.packed.describe import packed_changes
from objstore.store.packed.page_files import DamagedIndex
from objstore.store.packed.places import Entry
from objstore.store.packed.volume_directory import volume_name
from objstore.wire.messages import POLICY, NodeRequest, target

EXAMPLES = """\b
Examples:
  objstore locate AUTH_admin --data ./data
  objstore locate AUTH_admin photos --ring-dir /etc/objstore
  objstore locate AUTH_admin photos cats/tom.jpg --ring-dir /etc/objstore --policy 1
"""
_DIRECTORIES = {"account": "accounts", "container": "containers"}


class LocatedDevice(NamedTuple):
    """A device that holds, or may hold, a name. path, packed: on that device's host, the directory of the name and that
    of the policy's packed objects; packed is empty for containers and accounts."""

    role: str
    node: Node
    path: str
    packed: str = ""


class LocatedName(NamedTuple):
    """packed_limit: bytes of the largest object that the policy packs, 0 for none, and for containers and accounts."""

    name: Name
    location: Location
    ring_name: str
    places: tuple[LocatedDevice, ...]
    packed_limit: int = 0


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
        for node in nodes:
            device = os.path.join(devices_root, node.device)
            packed = os.path.join(device, packed_dir(index)) if name.object is not None else ""
            yield LocatedDevice(role, node, os.path.join(device, *parts), packed)

    found = cluster.policies.get(index)
    limit = found.packed_limit if found is not None and name.object is not None else 0
    devices = *places("primary", primaries), *places("before", ring.previous(partition)), *places("handoff", handoffs)
    return LocatedName(name, location, kind, devices, limit)


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
        yield from _commands(found, place, place not in remote)


def _commands(found: LocatedName, place: LocatedDevice, here: bool) -> Iterator[str]:
    """Yield the commands that show a copy. here: its server is called in process."""
    files = f"ls -l {shlex.quote(place.path)}"
    packed = f"objstore info {shlex.quote(place.packed)} --hash {found.location.hash}"
    role = [place.role] if place.role != "primary" else []
    if not here and not (place.node.ip in own_ips("") and is_directory(os.path.dirname(place.packed))):
        yield f"ssh {place.node.ip} {shlex.quote(files)}" + _note(role)
        if found.packed_limit:
            notes = [*role, f"if it has no more than {found.packed_limit} bytes"]
            yield f"ssh {place.node.ip} {shlex.quote(packed)}" + _note(notes)
        return
    changes = _packed_changes(found, place)
    if exists(place.path) or not changes:
        yield files + _note(role if exists(place.path) else [*role, "missing"])
    for entry, counts in changes:
        volume = os.path.join(place.packed, "volumes", volume_name(entry.place.volume))
        notes = [*role, str(entry.change), f"{entry.place.length} bytes", *([] if counts else ["obsolete"])]
        yield f"objstore info {shlex.quote(volume)} --at {entry.place.position}" + _note(notes)


def _packed_changes(found: LocatedName, place: LocatedDevice) -> list[tuple[Entry, bool]]:
    """Return the packed changes of a name on a device of this host, and whether each counts among them."""
    if not place.packed or not is_directory(place.packed):
        return []
    try:
        return packed_changes(place.packed, found.location.hash)
    except DamagedIndex as error:
        raise InvalidInput(f"the index of {place.packed} is damaged: {error}") from error


def _note(notes: list[str]) -> str:
    return f"  # {', '.join(notes)}" if notes else ""


def _curl(found: LocatedName, place: LocatedDevice) -> str:
    host = f"[{place.node.ip}]" if ":" in place.node.ip else place.node.ip
    request = NodeRequest("HEAD", found.location.partition, found.name, {})
    url = f"http://{host}:{place.node.port}{target(place.node, request)}"
    header = f" -H '{POLICY}: {found.location.policy}'" if found.name.object is not None else ""
    note = f"  # {place.role}" if place.role != "primary" else ""
    return f"curl -g -I{header} {shlex.quote(url)}{note}"
