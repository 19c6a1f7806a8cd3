"""The options that name the store of a command: --data or --ring-dir."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from objstore.assembly.inside import USUAL_DIRECTORY, Inside, of_cluster, of_data

_Function = TypeVar("_Function", bound=Callable[..., object])


def options(command: _Function) -> _Function:
    """Add the options --data and --ring-dir to a command, as parameters of `opened`."""
    for option in (
        click.option(
            "--ring-dir",
            type=click.Path(file_okay=False),
            help=f"Directory of a cluster's rings and objstore.conf.  [default: {USUAL_DIRECTORY}]",
        ),
        click.option("--data", type=click.Path(file_okay=False), help="Directory of `objstore serve`."),
    ):
        command = option(command)
    return command


def opened(data: str | None, ring_dir: str | None) -> Inside:
    """Open the store. Raises ConfigError, click.UsageError."""
    if data and ring_dir:
        raise click.UsageError("give either --data or --ring-dir")
    return of_data(data) if data else of_cluster(ring_dir or USUAL_DIRECTORY)
