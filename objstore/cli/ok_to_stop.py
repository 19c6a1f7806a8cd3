"""`objstore ok-to-stop`: check that every partition keeps a majority of its replicas if hosts or disks stop."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import click

from objstore.assembly import inside
from objstore.cluster.quorum import quorum_size
from objstore.core.errors import InvalidInput
from objstore.core.nodes import Node
from objstore.health.copies import judge_copies, may_lack
from objstore.health.hosts import reports
from objstore.health.probe import ServerAnswer, StorageHost, ask, server_of, servers_of
from objstore.ring import Ring

EXAMPLES = """\b
Examples:
  objstore ok-to-stop 10.0.0.1
  objstore ok-to-stop 10.0.0.1 10.0.0.2 --ring-dir ./cluster
  objstore ok-to-stop 10.0.0.1/d3
  objstore ok-to-stop 10.0.0.1 && ssh 10.0.0.1 reboot
"""
NOT_OK = 1  # exit status


class Judgement(NamedTuple):
    """The judgement of one ring: numbers of partitions without a majority, and without any replica.

    already: number of partitions that have no majority now.
    """

    ring: str
    partitions: int
    without_majority: int
    without_any: int
    already: int


def judge(name: str, ring: Ring, away: frozenset[int], stopping: frozenset[int], is_moving: bool = False) -> Judgement:
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
    return Judgement(name, ring.partition_count, lacking, lost, already)


def named(nodes: Iterable[Node | None], what: Iterable[str]) -> frozenset[int]:
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


@click.command("ok-to-stop", epilog=EXAMPLES)
@click.argument("hosts", nargs=-1, required=True, metavar="HOST...")
@click.option("--ring-dir", default=inside.USUAL_DIRECTORY, show_default=True, help="Rings and objstore.conf.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def ok_to_stop(hosts: tuple[str, ...], ring_dir: str, as_json: bool) -> None:
    """Check whether hosts, or single disks (IP/DEVICE), can be stopped safely.

    They can if every partition of every ring keeps a majority of its replicas on devices that can be used now and have
    all their copies: then clients can read and write everything meanwhile. A device that came back counts after all
    others have been compared with it, and a host must not hold the only copies of anything.

    Exit status: 0 yes, 1 no, 2 the command failed.
    """
    found = inside.of_cluster(os.path.abspath(ring_dir))
    rings = [(name, found.ring(name)) for name in found.ring_names]
    _check_names(hosts, rings)
    began = time.time()
    answers = ask(servers_of(rings), "summary")
    copies = judge_copies(reports(answers.values(), (began + time.time()) / 2), rings)
    whys = {gap.disk: gap.why for gap in copies.lacking}
    judgements = []
    away: dict[str, str] = {}
    lacking: dict[str, str] = {}
    needed: dict[str, str] = {}
    for name, ring in rings:
        unusable = away_now(name.partition("-")[0], ring, answers)
        stopping = named(ring.devices, hosts)
        incomplete = frozenset(may_lack(copies, ring)) - unusable.keys()
        judgements.append(judge(name, ring, incomplete | unusable.keys(), stopping, name in copies.moving))
        away |= {str(ring.devices[device]): why for device, why in unusable.items() if device not in stopping}
        for device in incomplete - stopping:
            node = ring.devices[device]
            assert node is not None
            lacking[f"{node.ip}/{node.device}"] = whys[node.ip, node.device]
        ours = {(node.ip, node.device) for node in ring.devices if node is not None and node.id in stopping}
        needed |= {"/".join(gap.disk): gap.why for gap in copies.unfinished if gap.disk in ours}
    ok = not needed and not any(one.without_majority for one in judgements)
    if as_json:
        found_out = {"ok": ok, "away": away, "may_lack_copies": lacking, "needed": needed, "moving": copies.moving}
        click.echo(json.dumps({**found_out, "rings": [one._asdict() for one in judgements]}, indent=2))
    else:
        click.echo("\n".join([*_reasons(away, lacking, needed, copies.moving), *_lines(judgements, ok)]))
    if not ok:
        raise SystemExit(NOT_OK)


def _check_names(hosts: Iterable[str], rings: Iterable[tuple[str, Ring]]) -> None:
    """Refuse unknown names: a misspelt host would seem safe to stop."""
    for host in hosts:
        if not any(named(ring.devices, [host]) for _, ring in rings):
            raise InvalidInput(f"no ring has devices of {host}; give IP, IP:PORT or IP/DEVICE as in the rings")


def _reasons(
    away: Mapping[str, str], lacking: Mapping[str, str], needed: Mapping[str, str], moving: Iterable[str]
) -> Iterable[str]:
    for device, why in away.items():
        yield f"away already: {device}: {why}"
    for device, why in lacking.items():
        yield f"may lack copies: {device}: {why}"
    for device, why in needed.items():
        yield f"may hold the only copies: {device}: {why}"
    for name in moving:
        yield f"{name}.ring: copies are still moving to where this ring places them"


def _lines(judgements: Iterable[Judgement], ok: bool) -> Iterable[str]:
    for one in judgements:
        if one.without_majority:
            also = f", {one.without_any} without any copy" if one.without_any else ""
            now = f" ({one.already} already have none)" if one.already else ""
            yield f"{one.ring}: {one.without_majority} of {one.partitions} partitions without a majority{also}{now}"
        else:
            yield f"{one.ring}: all {one.partitions} partitions keep a majority"
    yield "ok to stop" if ok else "NOT ok to stop"
