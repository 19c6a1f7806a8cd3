"""`objstore ok-to-stop`: check that every partition keeps a majority of its replicas if hosts or disks stop."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable

import click

from objstore.assembly import inside
from objstore.core.errors import InvalidInput
from objstore.health.copies import judge_copies
from objstore.health.hosts import reports
from objstore.health.probe import ask, servers_of
from objstore.health.stopping import StopReport, device_ids, judge_stop
from objstore.ring import Ring

EXAMPLES = """\b
Examples:
  objstore ok-to-stop 10.0.0.1
  objstore ok-to-stop 10.0.0.1 10.0.0.2 --ring-dir ./cluster
  objstore ok-to-stop 10.0.0.1/d3
  objstore ok-to-stop 10.0.0.1 && ssh 10.0.0.1 reboot
"""
NOT_OK = 1  # exit status


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
    report = judge_stop(hosts, rings, answers, copies)
    if as_json:
        facts = {"away": report.away, "may_lack_copies": report.lacking, "needed": report.needed}
        judgements = [one._asdict() for one in report.rings]
        click.echo(json.dumps({"ok": report.ok, **facts, "moving": report.moving, "rings": judgements}, indent=2))
    else:
        click.echo("\n".join([*_reasons(report), *_lines(report)]))
    if not report.ok:
        raise SystemExit(NOT_OK)


def _check_names(hosts: Iterable[str], rings: Iterable[tuple[str, Ring]]) -> None:
    """Refuse unknown names: a misspelt host would seem safe to stop."""
    for host in hosts:
        if not any(device_ids(ring.devices, [host]) for _, ring in rings):
            raise InvalidInput(f"no ring has devices of {host}; give IP, IP:PORT or IP/DEVICE as in the rings")


def _reasons(report: StopReport) -> Iterable[str]:
    for device, why in report.away.items():
        yield f"away already: {device}: {why}"
    for device, why in report.lacking.items():
        yield f"may lack copies: {device}: {why}"
    for device, why in report.needed.items():
        yield f"may hold the only copies: {device}: {why}"
    for name in report.moving:
        yield f"{name}.ring: copies are still moving to where this ring places them"


def _lines(report: StopReport) -> Iterable[str]:
    for one in report.rings:
        if one.without_majority:
            also = f", {one.without_any} without any copy" if one.without_any else ""
            now = f" ({one.already} already have none)" if one.already else ""
            yield f"{one.ring}: {one.without_majority} of {one.partitions} partitions without a majority{also}{now}"
        else:
            yield f"{one.ring}: all {one.partitions} partitions keep a majority"
    yield "ok to stop" if report.ok else "NOT ok to stop"
