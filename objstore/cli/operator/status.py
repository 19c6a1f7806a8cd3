"""`objstore status`: what is wrong, what is being done about it, and when it will be finished."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator

import click
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from objstore.cli.operator import inside
from objstore.cli.operator.hosts import gather
from objstore.cli.operator.inside import Inside
from objstore.cli.operator.problems import CRITICAL, NOTE, WARNING, Problem, problems
from objstore.cli.operator.servers import TIMEOUT
from objstore.cli.operator.state import ClusterState, Device, judge

EXAMPLES = """\b
Examples:
  objstore status --data ./data
  objstore status --ring-dir /etc/objstore
  objstore status --watch 5
  objstore status --json | jq .problems
"""
NOT_WELL = 1  # exit status
_COLOURS = {CRITICAL: "bold red", WARNING: "yellow", NOTE: "cyan"}
_WIDTH = 160  # of tables that no terminal bounds


@click.command(epilog=EXAMPLES)
@inside.options
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.option("--watch", type=click.FloatRange(0.5), metavar="SECONDS", help="Look again and again, until interrupted.")
@click.option("--timeout", default=TIMEOUT, show_default=True, help="Seconds to wait for a server.")
def status(data: str | None, ring_dir: str | None, as_json: bool, watch: float | None, timeout: float) -> None:
    """Show servers, devices, replication, daemons and rings, and what is wrong with them.

    Exit status: 0 all is well or being seen to, 1 there are warnings or worse.
    """
    found = inside.opened(data, ring_dir)
    if watch is not None:
        _watch(found, watch, timeout)
        return
    state, wrong = look(found, timeout)
    if as_json:
        click.echo(json.dumps(as_plain(state, wrong), indent=2))
    else:
        console = Console()
        if not console.is_terminal:
            console = Console(width=_WIDTH)
        console.print(view(state, wrong))
    if any(problem.severity != NOTE for problem in wrong):
        raise SystemExit(NOT_WELL)


def look(found: Inside, timeout: float) -> tuple[ClusterState, list[Problem]]:
    """The state now, and what is wrong."""
    rings = [(name, found.ring(name)) for name in found.ring_names]
    state = judge(gather(found, rings, timeout), rings, time.time())
    return state, problems(state, found.cluster.reclaim_age)


def _watch(found: Inside, seconds: float, timeout: float) -> None:
    with Live(auto_refresh=False, screen=False) as live:
        try:
            while True:
                live.update(view(*look(found, timeout)), refresh=True)
                time.sleep(seconds)
        except KeyboardInterrupt:
            pass


def as_plain(state: ClusterState, wrong: Iterable[Problem]) -> dict[str, object]:
    """For JSON. Times are seconds since the epoch, sizes bytes."""
    return {
        "time": state.at,
        "hosts": [
            {
                "host": host.ip,
                "answers": host.summary is not None,
                "silent": dict(host.silent),
                "version": (host.summary or {}).get("version"),
                "clock_offset": host.offset,
                "load": (host.summary or {}).get("load"),
            }
            for host in state.hosts
        ],
        "devices": [device._asdict() for device in state.devices],
        "daemons": [duty._asdict() for duty in state.duties],
        "progress": [progress._asdict() for progress in state.progress],
        "rings": [ring._asdict() for ring in state.rings],
        "problems": [problem._asdict() for problem in wrong],
    }


def view(state: ClusterState, wrong: list[Problem]) -> RenderableType:
    parts: list[RenderableType] = [Text(headline(state, wrong), style="bold")]
    parts += [_problems(wrong)] if wrong else []
    parts += [_progress(state)] if state.progress else []
    parts += [_devices(state), _duties(state), _rings(state)]
    return Group(*parts)


def headline(state: ClusterState, wrong: Iterable[Problem]) -> str:
    answering = sum(host.summary is not None for host in state.hosts)
    usable = sum(device.state in ("ok", "slow") for device in state.devices)
    size, used = sum(device.size or 0 for device in state.devices), sum(device.used or 0 for device in state.devices)
    worst = {problem.severity for problem in wrong}
    verdict = next((text for severity, text in _VERDICTS.items() if severity in worst), "All is well")
    full = f", {shown_size(used)} of {shown_size(size)} used" if size else ""
    return f"{verdict}: {answering} of {len(state.hosts)} hosts, {usable} of {len(state.devices)} devices{full}"


_VERDICTS = {
    CRITICAL: "Data or clients are at risk",
    WARNING: "Something is to be done",
    NOTE: "All is being seen to",
}


def _problems(wrong: Iterable[Problem]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="What is wrong", title_justify="left")
    for name in ("", "where", "what"):
        table.add_column(name, overflow="fold")
    for problem in wrong:
        table.add_row(Text(problem.severity, style=_COLOURS[problem.severity]), problem.where, problem.what)
    return table


def _progress(state: ClusterState) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Under way", title_justify="left")
    for name in ("what", "", "done", "left", "finished in about"):
        table.add_column(name)
    for one in state.progress:
        done = one.total - one.left
        percent = f"{100 * done / one.total:.0f}%" if one.total else ""
        bar = ProgressBar(total=max(1, one.total), completed=done, width=24)
        table.add_row(one.what, bar, percent, str(one.left), shown_age(one.eta))
    return table


def _devices(state: ClusterState) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Devices", title_justify="left")
    for name in ("host", "device", "state"):
        table.add_column(name)
    for name in ("used", "of", "full", "quarantined", "spooled", "partitions", "handoffs", "replicated", "audited"):
        table.add_column(name, justify="right")
    for device in state.devices:
        table.add_row(*_device_cells(device, state.at))
    return table


def _device_cells(device: Device, now: float) -> Iterator[RenderableType]:
    yield device.host
    yield device.name
    good = device.state == "ok"
    yield Text("draining" if good and device.draining else device.state, style="" if good else "bold red")
    yield shown_size(device.used)
    yield shown_size(device.size)
    yield f"{100 * device.fullness:.0f}%" if device.fullness is not None else "-"
    for number in (device.quarantined, device.spooled):
        yield Text(str(number), style="yellow" if number else "")
    yield str(device.partitions)
    yield str(device.handoffs)
    for time_ in (device.replicated, device.audited):
        yield f"{shown_age(now - time_)} ago" if time_ else "-"


def _duties(state: ClusterState) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Daemons", title_justify="left")
    table.add_column("name")
    for name in ("hosts", "at work", "last pass ended", "took", "failures"):
        table.add_column(name, justify="right")
    for duty in state.duties:
        ended = f"{shown_age(state.at - duty.ended)} ago" if duty.ended else "-"
        failures = Text(str(duty.failures), style="yellow" if duty.failures else "")
        table.add_row(duty.name, str(duty.hosts), str(duty.running), ended, shown_age(duty.seconds), failures)
    return table


def _rings(state: ClusterState) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Rings", title_justify="left")
    for name in ("ring", "version here", "on hosts"):
        table.add_column(name)
    for ring in state.rings:
        held = "; ".join(f"{version}: {len(hosts)}" for version, hosts in sorted(ring.versions.items()))
        table.add_row(ring.name, str(ring.ours), held or "-")
    return table


def shown_size(size: float | None) -> str:
    """Bytes in a unit that leaves at most four digits."""
    if size is None:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} PiB"


_UNITS = ((86_400.0 * 2, 86_400.0, "days"), (7_200.0, 3_600.0, "hours"), (120.0, 60.0, "min"))


def shown_age(seconds: float | None) -> str:
    """A time span for people; `?` where it is not known."""
    if seconds is None:
        return "?"
    for least, unit, name in _UNITS:
        if seconds >= least:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
