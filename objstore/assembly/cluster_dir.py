"""The directory of `objstore init`: the configuration and rings of a cluster, the same on all its hosts.

DIR/objstore.conf      hash salt and storage policies
DIR/*-server.conf      one file for each of the four servers
DIR/*.ring, *.builder  the placement of everything; `objstore ring` changes the builders
DIR/users.json         users and their keys
DIR/token.key          the secret that signs tokens
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
import secrets
import time
from typing import NamedTuple

from objstore.assembly.conf_text import Values, config_text
from objstore.assembly.kinds import KINDS, ServerKind
from objstore.assembly.processes import run_apart
from objstore.auth.users import User
from objstore.auth.users_file import TOKEN_KEY_NAME, USERS_NAME, ensure_first_user, ensure_token_key
from objstore.core.errors import InvalidInput
from objstore.core.nodes import Node
from objstore.core.policies import ring_name
from objstore.runtime.cluster_conf import FILE_NAME, PACKED_LIMIT_OF_NEW
from objstore.runtime.files import FILES, exists

_HOST = re.compile(r"(?:r(?P<region>\d+))?(?:z(?P<zone>\d+))?(?(region)-|(?(zone)-))(?P<address>.+)")
# Port offsets of the object, container and account server of a host.
PORT_OFFSETS = {"object": 0, "container": 1, "account": 2}
FIRST_PORT = 6200
_PARTITIONS_A_DEVICE = 100  # fewer make devices fill unevenly
_GROWTH = 16  # factor by which devices can be added before the partitions are too few
_LEAST_POWER = 10


class PlannedHost(NamedTuple):
    """port: of its object server; the container server has the next, the account server the one after."""

    region: int
    zone: int
    ip: str
    port: int = FIRST_PORT


class ClusterPlan(NamedTuple):
    """The plan of a new cluster. policies: names, by index. devices: on each host, named d1, d2, ..."""

    hosts: tuple[PlannedHost, ...]
    devices: int
    replicas: float
    part_power: int
    policies: tuple[str, ...] = ("Policy-0",)
    devices_root: str = "/srv/node"
    mount_check: bool = True
    proxy_port: int = 8080

    @property
    def device_names(self) -> list[str]:
        return [f"d{number}" for number in range(1, self.devices + 1)]


def parse_host(text: str) -> PlannedHost:
    """Parse `[r<region>z<zone>-]<ip>[:<port>]`, an IPv6 address with a port in brackets. Raises InvalidInput."""
    match = _HOST.fullmatch(text.strip())
    address = match["address"] if match else text
    port = ""
    if address.startswith("["):
        address, _, port = address[1:].partition("]")
        port = port.removeprefix(":")
    elif address.count(":") == 1:
        address, _, port = address.partition(":")
    try:
        ip = str(ipaddress.ip_address(address))
        number = int(port or FIRST_PORT)
    except ValueError:
        raise InvalidInput(f"not a host: {text!r}; the form is [r<region>z<zone>-]<ip>[:<port>]") from None
    assert match is not None  # the rest is not an address
    return PlannedHost(int(match["region"] or 1), int(match["zone"] or 1), ip, number)


def usual_part_power(devices: int) -> int:
    """Return a part power with which the cluster can grow many times."""
    return max(_LEAST_POWER, math.ceil(math.log2(max(1, devices) * _GROWTH * _PARTITIONS_A_DEVICE)))


def make(directory: str, plan: ClusterPlan) -> User:
    """Write everything; return the first user, whose keys are stored nowhere else. Raises InvalidInput, OSError."""
    devices = len(plan.hosts) * plan.devices
    if plan.replicas > devices:
        raise InvalidInput(f"{plan.replicas:g} replicas need as many devices, not {devices}")
    if len(set(plan.hosts)) < len(plan.hosts):
        raise InvalidInput("a host is given twice")
    path = os.path.join(directory, FILE_NAME)
    if exists(path):
        raise InvalidInput(f"{path} exists already: a cluster's hash salt must never change")
    os.makedirs(directory, exist_ok=True)
    run_apart(lambda: write_rings(directory, plan))
    for kind in KINDS.values():
        text = config_text(kind, _INTRO.format(server=kind.server), _values(kind, plan))
        FILES.replace(os.path.join(directory, kind.conf_name), text.encode())
    ensure_token_key(os.path.join(directory, TOKEN_KEY_NAME))
    user = ensure_first_user(os.path.join(directory, USERS_NAME))
    if user is None:
        raise InvalidInput(f"{os.path.join(directory, USERS_NAME)} exists already")
    # Last: its presence shows that the directory is complete.
    FILES.replace(path, cluster_text(plan.policies).encode(), 0o600)
    return user


_INTRO = "The {server} of this cluster. `objstore config sample` lists all settings."


def _values(kind: ServerKind, plan: ClusterPlan) -> Values:
    default = {"ring_dir": "%(here)s"}
    if kind.name == "proxy":
        default |= {"bind_port": str(plan.proxy_port)}
        users = {"users_file": f"%(here)s/{USERS_NAME}", "token_key_file": f"%(here)s/{TOKEN_KEY_NAME}"}
        return {"DEFAULT": default, "app": {"allow_account_management": "yes"}, "tempauth": users}
    default |= {
        "bind_port": str(plan.hosts[0].port + PORT_OFFSETS[kind.name]),
        "devices": plan.devices_root,
        "mount_check": "yes" if plan.mount_check else "no",
    }
    return {"DEFAULT": default}


def cluster_text(policies: tuple[str, ...]) -> str:
    """Return the text of objstore.conf with a new salt; the first policy is the default."""
    lines = [
        "# Settings that all processes of the cluster share. The hash salt must never change.",
        "[hash]",
        f"prefix = {secrets.token_hex(16)}",
        f"suffix = {secrets.token_hex(16)}",
    ]
    for index, name in enumerate(policies):
        lines += ["", f"[storage-policy:{index}]", f"name = {name}", f"default = {'no' if index else 'yes'}"]
        lines += [f"packed_limit = {PACKED_LIMIT_OF_NEW}"]
    return "\n".join(lines) + "\n"


def ring_names(policies: int) -> dict[str, str]:
    """Return the kind of server of each ring, by the ring's name."""
    return {"account": "account", "container": "container"} | {ring_name(index): "object" for index in range(policies)}


def write_rings(directory: str, plan: ClusterPlan) -> None:
    from objstore.ring.builder import RingBuilder  # numpy, which servers do without
    from objstore.ring.builder_file import save_builder, write_ring

    for name, kind in ring_names(len(plan.policies)).items():
        builder = RingBuilder(plan.part_power, plan.replicas, 1)
        for host in plan.hosts:
            port = host.port + PORT_OFFSETS[kind]
            for device in plan.device_names:
                builder.add(Node(-1, host.region, host.zone, host.ip, port, device, host.ip, port, 100.0))
        builder.rebalance(time.time(), seed=0)
        save_builder(builder, os.path.join(directory, f"{name}.builder"))
        write_ring(builder, os.path.join(directory, f"{name}.ring"))
