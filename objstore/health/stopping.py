"""The question whether hosts or disks can be stopped: would every partition keep a majority of its replicas? Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from objstore.cluster.quorum import quorum_size
from objstore.core.nodes import Node
from objstore.health.copies import Copies, may_lack
from objstore.health.probe import ServerAnswer, StorageHost, server_of
from objstore.ring import Ring


class StopJudgement(NamedTuple):
    """The judgement of one ring: numbers of partitions without a majority, and without any replica.

    already: number of partitions that have no majority now.
    """

    ring: str
    partitions: int
    without_majority: int
    without_any: int
    already: int


def judge_ring(
    name: str, ring: Ring, away: frozenset[int], stopping: frozenset[int], is_moving: bool = False
) -> StopJudgement:
    """Judge one ring. away: ids of devices that cannot be used now or may lack copies; stopping: ids of devices about
    to stop.

    is_moving: replicas moved by this ring may not have arrived on their new devices.
    """
    gone = away | stopping
    lacking = lost = already = 0
    for partition in range(ring.partition_count):
        ids = [node.id for node in ring.primaries(partition)]
        moved = len(ring.previous(partition)) if is_moving else 0
        left = max(0, sum(device not in gone for device in ids) - moved)
        if left >= quorum_size(len(ids)):
            continue
        lacking += 1
        lost += not left
        already += max(0, sum(device not in away for device in ids) - moved) < quorum_size(len(ids))
    return StopJudgement(name, ring.partition_count, lacking, lost, already)


def device_ids(nodes: Iterable[Node | None], what: Iterable[str]) -> frozenset[int]:
    """Return the ids of devices on the given hosts, servers (IP:PORT) or disks (IP/DEVICE). Unknown names are
    ignored."""
    wanted = set(what)
    return frozenset(
        node.id
        for node in nodes
        if node and wanted & {node.ip, f"{node.ip}:{node.port}", f"{node.ip}/{node.device}", str(node)}
    )


def away_now(kind: str, ring: Ring, answers: Mapping[StorageHost, ServerAnswer]) -> dict[int, str]:
    """Return the devices that cannot be used now, by id, with the reason."""
    found = {}
    for node in ring.devices:
        if node is None:
            continue
        answer = answers[server_of(kind, node)]
        if answer.report is None:
            found[node.id] = answer.error
        else:
            device = answer.report["devices"].get(node.device)
            if not device or not device["mounted"]:
                found[node.id] = "is not mounted"
    return found


class StopReport(NamedTuple):
    """The answer for some hosts or disks. rings: judgement of each ring.

    away: devices that cannot be used now; lacking: devices that may lack copies; needed: devices to stop that may hold
    the only copies; each by name with the reason. moving: names of rings whose copies still move.
    """

    rings: Sequence[StopJudgement]
    away: Mapping[str, str]
    lacking: Mapping[str, str]
    needed: Mapping[str, str]
    moving: Sequence[str]

    @property
    def ok(self) -> bool:
        return not self.needed and not any(ring.without_majority for ring in self.rings)


def judge_stop(
    hosts: Iterable[str],
    rings: Iterable[tuple[str, Ring]],
    answers: Mapping[StorageHost, ServerAnswer],
    copies: Copies,
) -> StopReport:
    """Judge a stop of hosts, servers (IP:PORT) or disks (IP/DEVICE). answers: of all servers of the rings."""
    hosts = list(hosts)
    reasons = {gap.disk: gap.why for gap in copies.lacking}
    judgements = []
    away: dict[str, str] = {}
    lacking: dict[str, str] = {}
    needed: dict[str, str] = {}
    for name, ring in rings:
        unusable = away_now(name.partition("-")[0], ring, answers)
        stopping = device_ids(ring.devices, hosts)
        incomplete = frozenset(may_lack(copies, ring)) - unusable.keys()
        judgements.append(judge_ring(name, ring, incomplete | unusable.keys(), stopping, name in copies.moving))
        away |= {str(ring.devices[device]): why for device, why in unusable.items() if device not in stopping}
        for device in incomplete - stopping:
            node = ring.devices[device]
            assert node is not None
            lacking[f"{node.ip}/{node.device}"] = reasons[node.ip, node.device]
        ours = {(node.ip, node.device) for node in ring.devices if node is not None and node.id in stopping}
        needed |= {"/".join(gap.disk): gap.why for gap in copies.unfinished if gap.disk in ours}
    return StopReport(judgements, away, lacking, needed, tuple(copies.moving))
