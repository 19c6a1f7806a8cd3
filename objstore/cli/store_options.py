"""The options by which a command names the store to look into: --data or --ring-dir."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from objstore.assembly.inside import USUAL_DIRECTORY, Inside, of_cluster, of_data

_Function = TypeVar("_Function", bound=Callable[..., object])


def options(command: _Function) -> _Function:
    """The options --data and --ring-dir of a command, as parameters of `opened`."""
    for option in (
        click.option("--ring-dir", type=click.Path(file_okay=False), help=f"Rings and objstore.conf of a cluster."
                     f"  [default: {USUAL_DIRECTORY}]"),
        click.option("--data", type=click.Path(file_okay=False), help="Directory of `objstore serve`."),
    ):  # fmt: skip
        command = option(command)
    return command


def opened(data: str | None, ring_dir: str | None) -> Inside:
    """Raises ConfigError, click.UsageError."""
    if data and ring_dir:
        raise click.UsageError("give either --data or --ring-dir")
    return of_data(data) if data else of_cluster(ring_dir or USUAL_DIRECTORY)
