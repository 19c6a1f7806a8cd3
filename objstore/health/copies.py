"""Devices that may lack copies: judged by the passes of replicators, by returns of devices, and by rings. Pure.

A pass of a replicator compares all partitions of its device with their other primaries, and sends these the changes
they lack. So a device has all its copies when every device of its ring has ended such a pass that began after this
device, or its host, came back; and partitions are in their places when those passes began with the current ring and
left no misplaced partition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Any, NamedTuple

from objstore.core.nodes import Node
from objstore.health.hosts import HostReport
from objstore.ring import Ring

REPLICATORS = {"account": "account-replicator", "container": "container-replicator", "object": "object-replicator"}
_JUST_BEFORE = 0.001  # seconds

Disk = tuple[str, str]  # address of the host, name of the device


class Compared(NamedTuple):
    """The last complete pass over a device.

    since: by our clock, in seconds since the epoch; devices that came back later were not compared. rings: versions,
    None if its host does not report them. unexplained: partitions that failed although no peer failed. failed: nodes
    that could not be updated. known: whether there was a pass since the daemon started.
    """

    since: float
    rings: Mapping[str, int] | None
    unexplained: int
    failed: frozenset[str]
    known: bool = True


class Gap(NamedTuple):
    """A device that may lack copies, or holds misplaced partitions, and the reason."""

    disk: Disk
    why: str


class Copies(NamedTuple):
    """lacking: devices that may lack copies. unfinished: devices with partitions to move to others, or that do not
    report them. moving: names of rings whose copies still move."""

    lacking: Sequence[Gap]
    unfinished: Sequence[Gap]
    moving: Sequence[str]

    @property
    def are_whole(self) -> bool:
        return not (self.lacking or self.unfinished or self.moving)


def judge_copies(reports: Iterable[HostReport], rings: Sequence[tuple[str, Ring]]) -> Copies:
    """Judge the devices that can be used now; others are away, whatever they hold."""
    hosts = {report.ip: report for report in reports if report.summary is not None}
    lacking: dict[Disk, str] = {}
    unfinished: dict[Disk, str] = {}
    moving = []
    for name, ring in rings:
        kind = name.partition("-")[0]
        placed = [node for node in ring.devices if node is not None]
        if len(placed) == 1:
            continue  # there is no other device to compare with
        nodes = [node for node in placed if is_usable(hosts.get(node.ip), node.device)]
        compared = {(node.ip, node.device): compared_by(hosts[node.ip], kind, node.device) for node in nodes}
        for node in nodes:
            why = _why_lacking(node, returned(hosts[node.ip], kind, node.device), compared.values())
            if why:
                lacking.setdefault((node.ip, node.device), why)
        for disk, result in compared.items():
            why = _why_unfinished(result)
            if why:
                unfinished.setdefault(disk, f"{kind}s: {why}")
        if any(result.rings is not None and result.rings.get(name) != ring.version for result in compared.values()):
            moving.append(name)
    gaps = [Gap(disk, why) for disk, why in sorted(lacking.items())]
    return Copies(gaps, [Gap(disk, why) for disk, why in sorted(unfinished.items())], moving)


def is_usable(report: HostReport | None, device: str) -> bool:
    if report is None or report.summary is None:
        return False
    found = report.summary["devices"].get(device)
    return bool(found and found["mounted"] and found.get("out") is None)


def returned(report: HostReport, kind: str, device: str) -> float:
    """Return the time at which a device last came back, by our clock: its servers started, or it was put back or
    mounted.

    Infinite if a new device took its place so recently that no replicator has seen it yet.
    """
    assert report.summary is not None
    daemons = report.summary["daemons"]
    started = daemons.get(REPLICATORS[kind], {}).get("started", 0.0)
    found = report.summary["devices"].get(device, {})
    present = _of_device(daemons.get(REPLICATORS["object"], {}), device).get("present")
    since = present["since"] if present else 0.0
    identity = found.get("identity")
    if present and identity and identity != present["identity"]:
        return inf
    return float(max(started, found.get("returned") or 0.0, since)) - (report.offset or 0.0)


def _of_device(state: Mapping[str, Any], device: str) -> Mapping[str, Any]:
    report: Mapping[str, object] = state.get("told", {}).get("devices", {}).get(device, {})
    return report


def compared_by(report: HostReport, kind: str, device: str) -> Compared:
    assert report.summary is not None
    state: Mapping[str, Any] = report.summary["daemons"].get(REPLICATORS[kind], {})
    of_device = _of_device(state, device)
    offset = report.offset or 0.0
    if "compared" not in of_device and of_device.get("last_pass") and state.get("last"):  # of an older version
        return Compared(state["last"]["began"] - offset, None, of_device.get("handoffs_left", 0), frozenset())
    result = of_device.get("compared")
    if not result:
        # Its work before its start is unknown: this matters only for devices that came back since.
        return Compared(returned(report, kind, device) - _JUST_BEFORE, None, 0, frozenset(), known=False)
    failed = frozenset(result["failed_peers"])
    unexplained = 0 if failed else max(result["failures"], result["handoffs_left"])
    return Compared(result["began"] - offset, result["rings"], unexplained, failed)


def _why_lacking(node: Node, returned: float, passes: Iterable[Compared]) -> str:
    names = {str(node), str(node.for_replication)}
    for result in passes:
        if result.failed & names:
            return "could not be brought up to date"
        if returned > result.since:
            return "came back, and has not been compared with all other replicas since"
    return ""


def _why_unfinished(result: Compared) -> str:
    if not result.known:
        return "no complete pass over its partitions since the replicator started"
    if result.unexplained:
        return f"{result.unexplained} partitions could not be moved to their primaries"
    return ""


def may_lack(copies: Copies, ring: Ring) -> Iterator[int]:
    """Return the ids of a ring's devices that may lack copies."""
    disks = {gap.disk for gap in copies.lacking}
    return (node.id for node in ring.devices if node is not None and (node.ip, node.device) in disks)
