"""`objstore status`: the problems of a store, and the progress of repairs."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import click
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from objstore.assembly.inside import Inside
from objstore.cli import store_options
from objstore.health.hosts import gather
from objstore.health.probe import TIMEOUT
from objstore.health.problems import CRITICAL, NOTE, UNDER_WAY, WARNING, Problem, problems
from objstore.health.state import ClusterState, DeviceState, judge

EXAMPLES = """\b
Examples:
  objstore status --data ./data
  objstore status --ring-dir /etc/objstore
  objstore status --watch 5
  objstore status --json | jq .problems
  objstore status --wait --timeout 3600 && ssh 10.0.0.2 reboot
"""
NOT_WELL, COPIES_UNDER_WAY = 1, 3  # exit statuses
_WAIT_INTERVAL = 2.0  # seconds between checks
_LONGEST_WAIT = 86_400.0
_COLOURS = {CRITICAL: "bold red", WARNING: "yellow", UNDER_WAY: "magenta", NOTE: "cyan"}
_WIDTH = 160  # width of tables without a terminal


class Seconds(click.FloatRange):
    """The type of an option: a number of seconds with a minimum."""

    name = "seconds"

    def __init__(self, least: float) -> None:
        super().__init__(min=least)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value} is not a number of seconds", param, ctx)
        return seconds


@click.command(epilog=EXAMPLES)
@store_options.options
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.option("--watch", type=Seconds(0.5), metavar="SECONDS", help="Refresh the display until interrupted.")
@click.option("--wait", is_flag=True, help="Wait until all servers answer and all copies are in place.")
@click.option(
    "--timeout",
    type=Seconds(0.1),
    default=None,
    metavar="SECONDS",
    help="Timeout per server in seconds; with --wait, in total.  [default: 5; with --wait, a day]",
)
def status(
    data: str | None, ring_dir: str | None, as_json: bool, watch: float | None, wait: bool, timeout: float | None
) -> None:
    """Show servers, devices, replication, daemons and rings, and their problems.

    Exit status: 0 all is well; 1 action required, or a server does not answer; 2 the command failed; 3 no action
    required, but some copies are still being restored or moved.
    """
    if as_json and watch is not None:
        raise click.UsageError("give either --json or --watch")
    if wait and watch is not None:
        raise click.UsageError("give either --wait or --watch")
    found = store_options.opened(data, ring_dir)
    if wait:
        _wait(found, timeout or _LONGEST_WAIT)
    timeout = min(TIMEOUT, timeout) if timeout and wait else timeout or TIMEOUT
    if watch is not None:
        _watch(found, watch, timeout)
        return
    state, wrong = look(found, timeout)
    if as_json:
        click.echo(json.dumps(as_plain(state, wrong), indent=2))
    else:
        console = _console()
        console.print(view(state, wrong, console.width))
    raise SystemExit(exit_status(wrong))


def exit_status(wrong: Iterable[Problem]) -> int:
    severities = {problem.severity for problem in wrong}
    if severities & {CRITICAL, WARNING}:
        return NOT_WELL
    return COPIES_UNDER_WAY if UNDER_WAY in severities else 0


def _wait(found: Inside, timeout: float) -> None:
    """Wait until all servers answer and all copies are in place, with a timeout in seconds."""
    until = time.monotonic() + timeout
    shown = ""
    while True:
        _, wrong = look(found, min(TIMEOUT, timeout))
        if not {problem.severity for problem in wrong} & {CRITICAL, UNDER_WAY}:
            return
        line = f"{wrong[0].where}: {wrong[0].what}"
        if line != shown:
            click.echo(line, err=True)
            shown = line
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(_WAIT_INTERVAL, left))


def look(found: Inside, timeout: float) -> tuple[ClusterState, list[Problem]]:
    """Return the current state and its problems."""
    rings = [(name, found.ring(name)) for name in found.ring_names]
    digests = {name: found.ring_md5(name) for name in found.ring_names}
    state = judge(gather(found, rings, timeout), rings, time.time(), digests)
    return state, problems(state, found.cluster.reclaim_age)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH)


def _watch(found: Inside, seconds: float, timeout: float) -> None:
    """Show the state again and again: in place on a terminal, else one after the other."""
    console = _console()
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        show: Callable[[RenderableType], object] = console.print
        if console.is_terminal:
            live = stack.enter_context(Live(console=console, auto_refresh=False, screen=False))
            show = partial(live.update, refresh=True)
        while True:
            show(view(*look(found, timeout), console.width))
            time.sleep(seconds)


def as_plain(state: ClusterState, wrong: Iterable[Problem]) -> dict[str, object]:
    """Return the state for JSON. Times are seconds since the epoch, sizes bytes."""
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
        "copies_whole": state.copies.are_whole,
        "exit_status": exit_status(wrong),
    }


def view(state: ClusterState, wrong: list[Problem], width: int) -> RenderableType:
    """Render the state. width: of the terminal, in columns."""
    parts: list[RenderableType] = [Text(headline(state, wrong), style="bold")]
    parts += [_problems(wrong)] if wrong else []
    parts += [_progress(state)] if state.progress else []
    parts += [_devices(state, width), _duties(state), _rings(state)]
    return Group(*parts)


def headline(state: ClusterState, wrong: Iterable[Problem]) -> str:
    answering = sum(host.summary is not None for host in state.hosts)
    usable = sum(device.state in ("ok", "slow") for device in state.devices)
    rooms = _rooms(state.devices)
    size, used = sum(device.size or 0 for device in rooms), sum(device.used or 0 for device in rooms)
    worst = {problem.severity for problem in wrong}
    verdict = next((text for severity, text in _VERDICTS.items() if severity in worst), "All is well")
    full = f", {shown_size(used)} of {shown_size(size)} used" if size else ""
    return f"{verdict}: {answering} of {len(state.hosts)} hosts, {usable} of {len(state.devices)} devices{full}"


def _rooms(devices: Iterable[DeviceState]) -> Iterable[DeviceState]:
    """Return one device of each file system: those on the same one share its space."""
    return {(one.host, one.file_system or one.name): one for one in devices if one.size}.values()


_VERDICTS = {
    CRITICAL: "Data or clients are at risk",
    WARNING: "Action required",
    UNDER_WAY: "Copies are being restored or moved",
    NOTE: "All is well, with notes",
}


def _problems(wrong: Iterable[Problem]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Problems", title_justify="left")
    for name in ("", "where", "what"):
        table.add_column(name, overflow="fold")
    for problem in wrong:
        table.add_row(Text(problem.severity, style=_COLOURS[problem.severity]), problem.where, problem.what)
    return table


def _progress(state: ClusterState) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="In progress", title_justify="left")
    for name in ("what", "", "done", "left", "finished in about"):
        table.add_column(name)
    for one in state.progress:
        done = one.total - one.left
        percent = f"{100 * done / one.total:.0f}%" if one.total else ""
        bar = ProgressBar(total=max(1, one.total), completed=done, width=24)
        table.add_row(one.what, bar, percent, str(one.left), shown_age(one.eta if one.left else 0.0))
    return table


# Columns of the table of devices: title, whether narrow terminals show it, whether it is a number, and its cells.
_COLUMNS: tuple[tuple[str, bool, bool, Callable[[DeviceState, float], RenderableType]], ...] = (
    ("host", True, False, lambda device, _: device.host),
    ("device", True, False, lambda device, _: device.name),
    ("state", True, False, lambda device, _: _shown_state(device)),
    ("used", False, True, lambda device, _: shown_size(device.used)),
    ("of", False, True, lambda device, _: shown_size(device.size)),
    ("full", True, True, lambda device, _: f"{100 * device.fullness:.0f}%" if device.fullness is not None else "-"),
    ("quarantined", True, True, lambda device, _: _unless_none(device.quarantined)),
    ("spooled", False, True, lambda device, _: _unless_none(device.spooled)),
    ("partitions", False, True, lambda device, _: str(device.partitions)),
    ("handoffs", True, True, lambda device, _: str(device.handoffs)),
    ("packed", False, True, lambda device, _: shown_size(device.packed_live) if device.volumes else "-"),
    ("dead", False, True, lambda device, _: shown_size(device.packed_dead) if device.volumes else "-"),
    ("replicated", True, True, lambda device, now: _shown_time(device.replicated, now)),
    ("audited", False, True, lambda device, now: _shown_time(device.audited, now)),
)
_WIDE = 156  # columns that the whole table needs


def _devices(state: ClusterState, width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Devices", title_justify="left")
    columns = [column for column in _COLUMNS if width >= _WIDE or column[1]]
    for name, _, number, _ in columns:
        table.add_column(name, justify="right" if number else "left")
    for device in state.devices:
        table.add_row(*(cell(device, state.at) for *_, cell in columns))
    return table


def _shown_state(device: DeviceState) -> Text:
    good = device.state == "ok"
    return Text("draining" if good and device.draining else device.state, style="" if good else "bold red")


def _unless_none(number: int) -> Text:
    return Text(str(number), style="yellow" if number else "")


def _shown_time(time_: float | None, now: float) -> str:
    return f"{shown_age(now - time_)} ago" if time_ else "-"


def _duties(state: ClusterState) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Daemons", title_justify="left")
    table.add_column("name")
    for name in ("hosts", "running", "last pass ended", "took", "failures"):
        table.add_column(name, justify="right")
    for duty in state.duties:
        ended = _shown_time(duty.ended, state.at)
        failures = Text(str(duty.failures), style="yellow" if duty.failures else "")
        table.add_row(duty.name, str(duty.hosts), str(duty.running), ended, shown_age(duty.seconds), failures)
    return table


def _rings(state: ClusterState) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Rings", title_justify="left")
    for name in ("ring", "local version", "on hosts"):
        table.add_column(name)
    for ring in state.rings:
        held = "; ".join(f"{version}: {len(hosts)}" for version, hosts in sorted(ring.versions.items()))
        table.add_row(ring.name, str(ring.ours), held or "-")
    return table


def shown_size(size: float | None) -> str:
    """Format bytes in a unit that leaves at most four digits."""
    if size is None:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} PiB"


_UNITS = ((86_400.0 * 2, 86_400.0, "days"), (7_200.0, 3_600.0, "hours"), (120.0, 60.0, "min"))


def shown_age(seconds: float | None) -> str:
    """Format a time span for people; `?` if it is unknown."""
    if seconds is None:
        return "?"
    for least, unit, name in _UNITS:
        if seconds >= least:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
