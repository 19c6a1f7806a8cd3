"""`objstore relink`: link a host's files into the partitions of a ring whose part power changes.

Exit status: 0 success; 1 some names belong to neither part power; 2 some device failed.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from objstore.assembly import processes
from objstore.cli.host_jobs import chosen_devices, host_dirs, host_options, run_jobs
from objstore.core.errors import InvalidInput
from objstore.core.policies import objects_dir, ring_name
from objstore.ring import Ring
from objstore.ring.ring_file import CANCELLED, INCREASED, PREPARED
from objstore.runtime import cluster_conf, owners
from objstore.runtime.files import FILES, exists
from objstore.runtime.throttle import Throttle
from objstore.store.objects.relink import RelinkCounts, Step, relink_device

EXAMPLES = """\b
Examples:
  objstore relink --devices /srv/node --ring-dir /etc/objstore
  objstore relink --devices /srv/node --ring-dir /etc/objstore --cleanup --rate 500
  objstore relink --data ./data --cleanup --policy 0

\b
Exit status: 0 success, 1 some names belong to neither part power, 2 some device failed.
"""
_STRAYS, _FAILED = 1, 2
Report = Callable[[int, int], object]


class RelinkJob(NamedTuple):
    """One policy on one device."""

    root: str
    policy: int
    step: Step

    @property
    def title(self) -> str:
        return f"{os.path.basename(self.root)}/{objects_dir(self.policy)}"


@click.command(epilog=EXAMPLES)
@host_options
@click.option("--cleanup", is_flag=True, help="Remove names from partitions that the ring does not use any more.")
@click.option(
    "--workers", type=click.IntRange(1), default=8, show_default=True, help="Number of devices relinked at once."
)
@click.option("--rate", type=float, default=0, help="Limit of objects per second and device. [default: no limit]")
def relink(
    devices: str | None,
    ring_dir: str | None,
    data: str | None,
    only: tuple[str, ...],
    policies: tuple[int, ...],
    cleanup: bool,
    workers: int,
    rate: float,
) -> None:
    """Link this host's objects into the partitions of a ring that is being doubled.

    Run it after `objstore ring prepare-increase`; with --cleanup after `increase` or `cancel-increase`. Servers keep
    running. It can be interrupted and run again at any time. With --policy, --cleanup repairs a device that was away
    while the part power changed.
    """
    dirs = host_dirs(devices, ring_dir, data)
    steps = dict(_steps(dirs.rings, policies, cleanup))
    if not steps:
        raise InvalidInput("no ring is at a step of a part power change that needs this")
    jobs = [
        RelinkJob(os.path.join(dirs.devices, name), policy, step)
        for name in chosen_devices(dirs.devices, only)
        for policy, step in steps.items()
    ]
    owners.act_for(dirs.devices, processes.process_defaults(dirs.rings))
    results = run_jobs(jobs, workers, partial(_run, rate=rate), partial(_progress, jobs))
    sys.exit(_report(results))


def step_for(ring: Ring, cleanup: bool, asked: bool) -> Step | None:
    """Return the step that a ring needs, None for nothing. asked: required even though the part power does not
    change."""
    power = ring.part_power
    if cleanup:
        wrong: dict[str, tuple[int, ...]] = {INCREASED: (power - 1,), CANCELLED: (power + 1,)}
        if asked:
            wrong[""] = (power - 1, power + 1) if power else (power + 1,)
        return Step(power, wrong[ring.step], True) if ring.step in wrong else None
    if ring.step == PREPARED:
        return Step(power + 1, (power,), False)
    return (
        Step(power, (power - 1,), False) if ring.step == INCREASED else None
    )  # it was forgotten, or some host was left out


def _steps(ring_dir: str, policies: tuple[int, ...], cleanup: bool) -> Iterator[tuple[int, Step]]:
    for policy in cluster_conf.load(ring_dir).policies:
        if policies and policy.index not in policies:
            continue
        path = os.path.join(ring_dir, f"{ring_name(policy.index)}.ring")
        if not exists(path) and not policies:
            continue
        step = step_for(Ring.load(path), cleanup, bool(policies))
        if step is not None:
            yield policy.index, step


def _run(job: RelinkJob, report: Report, rate: float) -> RelinkCounts | OSError:
    throttle = Throttle(rate, sleep=time.sleep)
    try:
        return relink_device(FILES, job.root, job.policy, job.step, throttle.take, report)
    except OSError as error:
        return error


@contextmanager
def _progress(jobs: list[RelinkJob], stopped: threading.Event) -> Iterator[dict[RelinkJob, Report]]:
    """Show a bar for each job on a terminal; reporting progress raises InterruptedError after a stop was requested."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:

        def teller(job: RelinkJob) -> Report:
            task = progress.add_task(job.title, total=None)

            def report(done: int, total: int) -> None:
                if stopped.is_set():
                    raise InterruptedError("stopped")
                progress.update(task, completed=done, total=total)

            return report

        yield {job: teller(job) for job in jobs}


def _report(results: list[tuple[RelinkJob, RelinkCounts | OSError]]) -> int:
    status = 0
    for job, found in results:
        if isinstance(found, OSError):
            click.echo(f"{job.title}: failed: {found}", err=True)
            status = _FAILED
            continue
        click.echo(f"{job.title}: {found.names} names checked, {found.linked} files linked, {found.removed} removed")
        if found.strays:
            click.echo(f"{job.title}: {found.strays} names are in partitions of neither part power, and stay", err=True)
            status = max(status, _STRAYS)
    return status
