"""`objstore ring prepare-increase`, `increase`, `cancel-increase`, `finish-increase`: twice as many partitions."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import click

from objstore.cli.ring_arguments import builder_argument
from objstore.core.errors import InvalidInput
from objstore.core.policies import ring_name
from objstore.ring import increase as steps
from objstore.ring.builder import RingBuilder
from objstore.ring.builder_file import keep, load_builder, locked, ring_path

_NEXT = {
    "prepared": "Copy it to all hosts, wait until all have loaded it (ring_check_interval), and run on each host\n"
    "  objstore relink --devices ... --ring-dir ...\n"
    "Then `objstore ring increase`, or `objstore ring cancel-increase`.",
    "increased": "Copy it to all hosts, wait until all have loaded it (ring_check_interval), and run on each host\n"
    "  objstore relink --cleanup --devices ... --ring-dir ...\n"
    "Then `objstore ring finish-increase`.",
    "": "Copy it to all hosts. Replicators then resume their work, and partitions may be moved again.",
}
_NEXT["cancelled"] = _NEXT["increased"]


@click.command("prepare-increase")
@builder_argument
def prepare(builder_file: str) -> None:
    """Begin to double the number of partitions of an object ring that is in use.

    Clients can read and write all the time; see doc/ring_changes.md.
    """
    if not os.path.basename(builder_file).startswith(ring_name(0)):
        raise InvalidInput(f"{builder_file}: only rings of objects can be doubled while they are in use")
    _take(builder_file, steps.prepare)


@click.command("increase")
@builder_argument
def increase(builder_file: str) -> None:
    """Double the partitions, after all hosts have relinked their devices."""
    _take(builder_file, steps.increase)


@click.command("cancel-increase")
@builder_argument
def cancel(builder_file: str) -> None:
    """Go back, after prepare-increase and before increase."""
    _take(builder_file, steps.cancel)


@click.command("finish-increase")
@builder_argument
def finish(builder_file: str) -> None:
    """End the change, after all hosts have cleaned up their devices."""
    _take(builder_file, steps.finish)


COMMANDS = (prepare, increase, cancel, finish)


def _take(builder_file: str, step: Callable[[RingBuilder], None]) -> None:
    with locked(builder_file):
        builder = load_builder(builder_file)
        step(builder)
        keep(builder, builder_file, time.time())
    state = f"the change of the part power is {builder.step}" if builder.step else "its change is finished"
    click.echo(f"Wrote {ring_path(builder_file)}: part power {builder.part_power}, {state}.")
    click.echo(_NEXT[builder.step])
