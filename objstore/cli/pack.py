"""`objstore pack`: move a host's small objects into volumes, or out of them.

Exit status: 0 success; 1 some objects could not be read; 2 some device failed.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from objstore.assembly import processes
from objstore.assembly.data_dir import DataDir, is_served
from objstore.cli.host_jobs import chosen_devices, host_dirs, host_options, run_jobs
from objstore.core.errors import InvalidInput, ObjstoreError
from objstore.core.policies import StoragePolicy, packed_dir, ring_name
from objstore.ring import Ring
from objstore.runtime import cluster_conf, owners
from objstore.runtime.files import FILES, is_directory
from objstore.runtime.settings import size as parse_size
from objstore.runtime.throttle import Throttle
from objstore.store.packed.moving import MoveCounts, Mover

EXAMPLES = """\b
Examples:
  objstore pack --devices /srv/node --ring-dir /etc/objstore
  objstore pack --devices /srv/node --ring-dir /etc/objstore --policy 1 --rate 500 --bytes-per-second 20M
  objstore pack --data ./data --unpack

\b
Exit status: 0 success, 1 some objects could not be read, 2 some device failed.
"""
_UNREADABLE, _FAILED = 1, 2
Report = Callable[[MoveCounts], object]


class PackJob(NamedTuple):
    """One policy on one device. limit: bytes of the largest object to be packed, below 0 for none."""

    root: str
    policy: int
    limit: int
    power: int

    @property
    def title(self) -> str:
        return f"{os.path.basename(self.root)}/{packed_dir(self.policy)}"


@click.command(epilog=EXAMPLES)
@host_options
@click.option("--unpack", is_flag=True, help="Move what packed_limit does not cover out of volumes, into files.")
@click.option(
    "--workers", type=click.IntRange(1), default=4, show_default=True, help="Number of devices worked on at once."
)
@click.option("--rate", type=float, default=0, help="Limit of objects per second and device. [default: no limit]")
@click.option("--bytes-per-second", default="0", help="Limit of bytes per second and device. [default: no limit]")
def pack(
    devices: str | None,
    ring_dir: str | None,
    data: str | None,
    only: tuple[str, ...],
    policies: tuple[int, ...],
    unpack: bool,
    workers: int,
    rate: float,
    bytes_per_second: str,
) -> None:
    """Move this host's small objects from files into volumes, as packed_limit in objstore.conf says.

    With --unpack, move those larger than packed_limit into files; if it is 0, all. Servers keep running. It can be
    interrupted and run again at any time.
    """
    dirs = host_dirs(devices, ring_dir, data)
    limits = dict(_limits(dirs.rings, policies, unpack))
    powers = {policy: _power(dirs.rings, policy) for policy in limits}
    jobs = [
        PackJob(os.path.join(dirs.devices, name), policy, limit, powers[policy])
        for name in chosen_devices(dirs.devices, only)
        for policy, limit in limits.items()
    ]
    if data is not None and not unpack:
        _require_restarted(DataDir(data), jobs)
    owners.act_for(dirs.devices, processes.process_defaults(dirs.rings))
    pace = rate, _bytes(bytes_per_second)
    run = partial(_run, unpack=unpack, pace=pace)
    results = run_jobs(jobs, workers, run, partial(_progress, jobs))
    sys.exit(_report(results))


def _limits(ring_dir: str, policies: tuple[int, ...], unpack: bool) -> Iterator[tuple[int, int]]:
    """Yield policies and their limits. Raises InvalidInput if there is nothing to do."""
    chosen = [each for each in cluster_conf.load(ring_dir).policies if not policies or each.index in policies]
    missing = set(policies) - {each.index for each in chosen}
    if missing:
        raise InvalidInput(f"there is no storage policy {min(missing)}")
    found = [each for each in chosen if _is_concerned(each, unpack)]
    if not found:
        raise InvalidInput("none of these policies has a packed_limit in objstore.conf, or keeps files")
    for policy in found:
        yield policy.index, policy.packed_limit or -1


def _require_restarted(data: DataDir, jobs: Iterable[PackJob]) -> None:
    """Raise InvalidInput if the server began before the policies had their limits, and a device has nothing packed yet:
    it would not look into volumes, and answer 404 for what is moved there."""
    if not is_served(data) or os.stat(data.lock).st_mtime > os.stat(data.cluster_conf).st_mtime:
        return
    if not all(is_directory(os.path.join(job.root, packed_dir(job.policy))) for job in jobs):
        raise InvalidInput(f"{data.cluster_conf} was changed after the server's start: restart the server first")


def _is_concerned(policy: StoragePolicy, unpack: bool) -> bool:
    return policy.engine == "file" and (unpack or policy.packed_limit > 0)


def _power(ring_dir: str, policy: int) -> int:
    """The partition power of a policy's ring. Raises InvalidInput while it is being changed."""
    ring = Ring.load(os.path.join(ring_dir, f"{ring_name(policy)}.ring"))
    if ring.step:
        raise InvalidInput(f"the partitions of the ring {ring_name(policy)} are being changed; run this afterwards")
    return ring.part_power


def _bytes(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} {error}", param_hint="--bytes-per-second") from None


def _run(job: PackJob, report: Report, unpack: bool, pace: tuple[float, float]) -> MoveCounts | Exception:
    changes_throttle, bytes_throttle = (Throttle(rate, sleep=time.sleep) for rate in pace)

    def step(changes: int, size: int) -> None:
        report(mover.counts)
        changes_throttle.take(changes)
        bytes_throttle.take(size)

    try:
        mover = Mover(FILES, job.root, job.policy, job.limit, job.power)
        try:
            (mover.unpack if unpack else mover.pack)(step)
        finally:
            mover.close()
    except (OSError, ObjstoreError) as error:
        return error
    return mover.counts


@contextmanager
def _progress(jobs: list[PackJob], stopped: threading.Event) -> Iterator[dict[PackJob, Report]]:
    """Show the counts of each job on a terminal. Reporting progress raises InterruptedError after a stop."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:

        def reporter(job: PackJob) -> Report:
            task = progress.add_task(job.title, total=None)

            def report(counts: MoveCounts) -> None:
                if stopped.is_set():
                    raise InterruptedError("stopped")
                progress.update(task, description=f"{job.title}: {_shown(counts)}")

            return report

        yield {job: reporter(job) for job in jobs}


def _shown(counts: MoveCounts) -> str:
    return f"{counts.names} names checked, {counts.moved} changes with {counts.bytes} bytes moved"


def _report(results: list[tuple[PackJob, MoveCounts | Exception]]) -> int:
    status = 0
    for job, found in results:
        if isinstance(found, Exception):
            click.echo(f"{job.title}: failed: {found}", err=True)
            status = _FAILED
            continue
        click.echo(f"{job.title}: {_shown(found)}")
        if found.unreadable:
            click.echo(f"{job.title}: {found.unreadable} changes could not be read, and stay", err=True)
            status = max(status, _UNREADABLE)
    return status
