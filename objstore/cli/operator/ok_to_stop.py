"""`objstore ok-to-stop`: would every partition keep a majority of its replicas?"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import click

from objstore.cli.operator import inside
from objstore.cli.operator.servers import Answer, Server, ask, server_of, servers_of
from objstore.core.errors import InvalidInput
from objstore.core.nodes import Node
from objstore.proxy.quorum import quorum_size
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
    """Of one ring: how many partitions would be left without a majority, and without any replica.

    already: of those without a majority, how many are so now.
    """

    ring: str
    partitions: int
    without_majority: int
    without_any: int
    already: int


def judge(name: str, ring: Ring, away: frozenset[int], stopping: frozenset[int]) -> Judgement:
    """away, stopping: ids of devices that cannot be used now, and that could not then."""
    gone = away | stopping
    lacking = lost = already = 0
    for partition in range(ring.partition_count):
        ids = [node.id for node in ring.primaries(partition)]
        left = sum(device not in gone for device in ids)
        if left >= quorum_size(len(ids)):
            continue
        lacking += 1
        lost += not left
        already += sum(device not in away for device in ids) < quorum_size(len(ids))
    return Judgement(name, ring.partition_count, lacking, lost, already)


def named(nodes: Iterable[Node | None], what: Iterable[str]) -> frozenset[int]:
    """Ids of devices on the hosts, servers (IP:PORT) or disks (IP/DEVICE) named. Nothing raises for names not found."""
    wanted = set(what)
    return frozenset(
        node.id
        for node in nodes
        if node and wanted & {node.ip, f"{node.ip}:{node.port}", f"{node.ip}/{node.device}", str(node)}
    )


def away_now(kind: str, ring: Ring, answers: Mapping[Server, Answer]) -> dict[int, str]:
    """Devices that cannot be used now, by id, with the reason why their server does not have them."""
    found = {}
    for node in ring.devices:
        if node is None:
            continue
        answer = answers[server_of(kind, node)]
        if answer.told is None:
            found[node.id] = answer.error
        else:
            mounted = {entry["device"] for entry in answer.told if entry["mounted"]}
            if node.device not in mounted:
                found[node.id] = "is not mounted"
    return found


@click.command("ok-to-stop", epilog=EXAMPLES)
@click.argument("hosts", nargs=-1, required=True, metavar="HOST...")
@click.option("--ring-dir", default=inside.USUAL_DIRECTORY, show_default=True, help="Rings and objstore.conf.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def ok_to_stop(hosts: tuple[str, ...], ring_dir: str, as_json: bool) -> None:
    """Tell whether hosts, or single disks (IP/DEVICE), may be stopped.

    They may where every partition of every ring keeps a majority of its replicas on devices that can be
    used now: then clients can read and write everything meanwhile. Exit status: 0 yes, 1 no.
    """
    found = inside.of_cluster(os.path.abspath(ring_dir))
    rings = [(name, found.ring(name)) for name in found.ring_names]
    _check_names(hosts, rings)
    answers = ask(servers_of(rings), "diskusage")
    judgements, away = [], {}
    for name, ring in rings:
        unusable = away_now(name.partition("-")[0], ring, answers)
        stopping = named(ring.devices, hosts)
        judgements.append(judge(name, ring, frozenset(unusable), stopping))
        for device, why in unusable.items():
            if device not in stopping:
                away[str(ring.devices[device])] = why
    ok = not any(one.without_majority for one in judgements)
    if as_json:
        click.echo(json.dumps({"ok": ok, "away": away, "rings": [one._asdict() for one in judgements]}, indent=2))
    else:
        click.echo("\n".join(_lines(judgements, away, ok)))
    if not ok:
        raise SystemExit(NOT_OK)


def _check_names(hosts: Iterable[str], rings: Iterable[tuple[str, Ring]]) -> None:
    """A host that is misspelt would be safe to stop."""
    for host in hosts:
        if not any(named(ring.devices, [host]) for _, ring in rings):
            raise InvalidInput(f"no ring has devices of {host}; give IP, IP:PORT or IP/DEVICE as rings have them")


def _lines(judgements: Iterable[Judgement], away: Mapping[str, str], ok: bool) -> Iterable[str]:
    for device, why in away.items():
        yield f"away already: {device}: {why}"
    for one in judgements:
        if one.without_majority:
            also = f", {one.without_any} without any copy" if one.without_any else ""
            now = f" ({one.already} are so already)" if one.already else ""
            yield f"{one.ring}: {one.without_majority} of {one.partitions} partitions without a majority{also}{now}"
        else:
            yield f"{one.ring}: all {one.partitions} partitions keep a majority"
    yield "ok to stop" if ok else "NOT ok to stop"
