"""Work on the devices of this host, one job for each policy of each: options, and running jobs side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeVar

import click

from objstore.core.errors import InvalidInput
from objstore.runtime.device_counts import device_names
from objstore.runtime.files import is_directory

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Job = TypeVar("_Job")
_Report = TypeVar("_Report")
_Result = TypeVar("_Result")

_OPTIONS = (
    click.option("--devices", help="Directory under which this host's devices are mounted."),
    click.option("--ring-dir", help="Directory of objstore.conf and the rings."),
    click.option("--data", help="Data directory of `objstore serve`, instead of these two."),
    click.option("--device", "only", multiple=True, help="Only this device; can be repeated.  [default: all]"),
    click.option(
        "--policy", "policies", type=int, multiple=True, help="Only the policy of this index; can be repeated."
    ),
)


class HostDirs(NamedTuple):
    """devices: the directory under which the devices are mounted. rings: that of objstore.conf and the rings."""

    devices: str
    rings: str


def host_options(command: _Command) -> _Command:
    """Give a command the options that choose devices and policies."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def host_dirs(devices: str | None, ring_dir: str | None, data: str | None) -> HostDirs:
    """Return the directories that the options name. Raises InvalidInput if one is missing."""
    if data is not None:
        return HostDirs(os.path.join(data, "devices"), os.path.join(data, "etc"))
    if devices is None or ring_dir is None:
        raise InvalidInput("--devices and --ring-dir are needed, or --data")
    return HostDirs(devices, ring_dir)


def chosen_devices(devices: str, only: tuple[str, ...]) -> list[str]:
    """Return the names of a host's devices, or of some of them. Raises InvalidInput if one is missing."""
    if not is_directory(devices):
        raise InvalidInput(f"there is no directory {devices}")
    there = device_names(devices)
    missing = [name for name in only if name not in there]
    if missing:
        raise InvalidInput(f"{devices} has no {', '.join(missing)}")
    return [name for name in there if not only or name in only]


def run_jobs(
    jobs: Iterable[_Job],
    workers: int,
    run: Callable[[_Job, _Report], _Result],
    progress: Callable[[threading.Event], AbstractContextManager[Mapping[_Job, _Report]]],
) -> list[tuple[_Job, _Result]]:
    """Run jobs in threads, and return the result of each.

    progress: given an event that is set when the operator interrupts, gives the report of each job, which must then
    raise, so that a job ends after its current step.
    """
    stopped = threading.Event()
    with progress(stopped) as reports, ThreadPoolExecutor(workers) as pool:
        waits = [(job, pool.submit(run, job, reports[job])) for job in jobs]
        try:
            return [(job, wait.result()) for job, wait in waits]
        except BaseException:
            stopped.set()
            raise
