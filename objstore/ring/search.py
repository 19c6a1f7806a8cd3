"""Device descriptions, as every Swift operator types them.

    value  := [ "d" id ] [ "r" region ] [ "z" zone ] [ "-" ip ] [ ":" port ]
              [ "R" [ replication_ip ] [ ":" replication_port ] ] [ "/" device ] [ "_" meta ]
    ip     := IPv4 address, host name in lower case, or IPv6 address in brackets

To search, any part may be missing, and those given must all match; before an address in numbers the "-" may be left
out, as in 10.0.0.1/sdb1. To add a device, zone, ip, port and device must
be there; a missing region is 1.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from objstore.core.errors import InvalidInput
from objstore.core.nodes import Node

_HOST = r"\[[0-9a-fA-F:.]+\]|[0-9a-z][0-9a-z.-]*"
_VALUE = re.compile(
    rf"(?:d(?P<id>\d+))?(?:r(?P<region>\d+))?(?:z(?P<zone>\d+))?(?:-(?P<ip>{_HOST}))?(?::(?P<port>\d+))?"
    rf"(?:R(?P<replication_ip>{_HOST})?(?::(?P<replication_port>\d+))?)?(?:/(?P<device>[^_/\s]+))?(?:_(?P<meta>.+))?"
)
_ADDRESS = re.compile(r"\[|\d+\.\d+\.\d+\.\d+")
_NUMBERS = ("id", "region", "zone", "port", "replication_port")
_NEEDED = ("zone", "ip", "port", "device")
_CHANGEABLE = frozenset({"ip", "port", "replication_ip", "replication_port", "device", "meta"})
FORM = "d<id>r<region>z<zone>-<ip>:<port>R<replication ip>:<replication port>/<device>_<meta>"


def parse(value: str) -> dict[str, object]:
    """The fields of `Node` that a description names; raises InvalidInput for anything else."""
    match = _VALUE.fullmatch(f"-{value}" if _ADDRESS.match(value) else value)
    if not value or match is None:
        raise InvalidInput(f"not a device description: {value!r}; the form is {FORM}; parts may be omitted")
    fields: dict[str, object] = {name: text for name, text in match.groupdict().items() if text is not None}
    return normalised(fields)


def normalised(fields: Mapping[str, Any]) -> dict[str, object]:
    """Numbers as numbers, addresses in their one canonical form."""
    found = dict(fields)
    for name in _NUMBERS:
        if name in found:
            found[name] = int(found[name])
    for name in ("ip", "replication_ip"):
        if name in found:
            found[name] = _canonical(found[name].strip("[]"))
    return found


def parse_new(value: str, weight: float) -> Node:
    """The device that `add` names; its id is still to be given."""
    return new_node({**parse(value), "weight": weight})


def new_node(fields: Mapping[str, Any]) -> Node:
    """Make a device of these fields of `Node`; raises InvalidInput if required ones are missing."""
    missing = [name for name in _NEEDED if name not in fields]
    if missing:
        raise InvalidInput(f"the new device needs {', '.join(missing)}; the form is {FORM}")
    if "id" in fields:
        raise InvalidInput("a new device cannot choose its id")
    return Node(**{"id": -1, "region": 1, **fields})


def parse_change(value: str) -> dict[str, object]:
    """Fields that `set-info` gives a device; the leading "-" of an address may be left out."""
    fields = parse(f"-{value}" if value[:1].isdigit() or value[:1] == "[" else value)
    if not fields.keys() <= _CHANGEABLE:
        raise InvalidInput(f"only {', '.join(sorted(_CHANGEABLE))} can be changed: {value!r}")
    return fields


def matching(devices: Iterable[Node], fields: Mapping[str, object]) -> list[Node]:
    """Devices all of whose named fields are so."""
    wanted = normalised(fields)
    return [node for node in devices if all(getattr(node, name) == value for name, value in wanted.items())]


def _canonical(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host
