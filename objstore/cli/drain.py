"""`objstore drain`: move all data off devices, so that they can be removed without losing a copy."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import click

from objstore.assembly.inside import Inside
from objstore.cli import store_options
from objstore.core.errors import InvalidInput
from objstore.core.nodes import Node
from objstore.health.stopping import device_ids
from objstore.ring.builder import RingBuilder
from objstore.ring.builder_file import keep, load_builder, locked

EXAMPLES = """\b
Examples:
  objstore drain 10.0.0.1/d3
  objstore drain 10.0.0.1 --ring-dir ./cluster
  objstore drain 10.0.0.1/d3 --dry-run
  objstore drain 10.0.0.1/d3 --back
  objstore drain 127.0.0.1/d2 --data ./data
"""
# The former weight of a device, kept in its note while it is drained.
_NOTE = "drained from "


class DrainedRing(NamedTuple):
    """The effect of draining on one ring. moved: replicas; stay: replicas that must move but may not yet."""

    ring: str
    devices: tuple[Node, ...]
    moved: int
    stay: int


@click.command(epilog=EXAMPLES)
@click.argument("devices", nargs=-1, required=True, metavar="DEVICE...")
@store_options.options
@click.option("--back", is_flag=True, help="Restore the former weights of the devices.")
@click.option("--dry-run", is_flag=True, help="Show what would move, without changing anything.")
def drain(devices: tuple[str, ...], data: str | None, ring_dir: str | None, back: bool, dry_run: bool) -> None:
    """Set the weights of disks (IP/DEVICE) or whole hosts (IP) to 0 in all rings, and rebalance.

    Replicators then move their partitions to other devices; no copy is removed before the new one is complete.
    `objstore status` shows the progress. Remove empty devices with `objstore ring remove`.
    """
    found = store_options.opened(data, ring_dir)
    paths = {name: os.path.join(found.directory, f"{name}.builder") for name in found.ring_names}
    with contextlib.ExitStack() as locks:
        for path in paths.values():
            locks.enter_context(locked(path))
        builders = {name: load_builder(path) for name, path in paths.items()}
        _check(builders.values(), devices)
        changes = [change for name in paths if (change := _change(name, builders[name], devices, back)) is not None]
        if not dry_run:  # all errors of any ring have been raised by now
            for change in changes:
                keep(builders[change.ring], paths[change.ring], time.time())
    lines = _lines(changes, found, data is not None, back) if not dry_run else _would(changes)
    click.echo("\n".join(lines))


def _check(builders: Iterable[RingBuilder], devices: Iterable[str]) -> None:
    """Raises InvalidInput for a device that no ring has."""
    known = [builder.present for builder in builders]
    for device in devices:
        if not any(device_ids(nodes, [device]) for nodes in known):
            raise InvalidInput(f"no ring has {device}; give IP/DEVICE or IP as `objstore ring show` shows them")


def _change(name: str, builder: RingBuilder, devices: Iterable[str], back: bool) -> DrainedRing | None:
    chosen = [node for node in builder.present if node.id in device_ids(builder.present, devices)]
    if not chosen:
        return None
    for node in chosen:
        if back:
            give_back(builder, node)
        else:
            set_aside(builder, node)
    done = builder.rebalance(time.time())
    stay = done.held if back else held_by(builder, [node.id for node in chosen])
    return DrainedRing(name, tuple(chosen), done.moved, stay)


def set_aside(builder: RingBuilder, node: Node) -> None:
    """Set the weight to 0 and note the former one. Raises InvalidInput if too few devices would remain."""
    if not node.weight:
        return
    builder.set_info(node.id, weight=0.0, meta=f"{node.meta} {_NOTE}{node.weight:g}".strip())
    left = sum(other.weight > 0 for other in builder.present)
    if left < math.ceil(builder.replicas):
        raise InvalidInput(f"{left} devices would remain for {builder.replicas:g} replicas: add others first")


def give_back(builder: RingBuilder, node: Node) -> None:
    """Restore the weight from before `set_aside`. Raises InvalidInput if none is noted."""
    meta, noted, weight = node.meta.rpartition(_NOTE)
    if not noted:
        raise InvalidInput(f"{node} is not being drained; `objstore ring set-weight` sets its weight")
    builder.set_info(node.id, weight=float(weight), meta=meta.strip())


def held_by(builder: RingBuilder, ids: Iterable[int]) -> int:
    """Return the number of replicas that the ring still assigns to devices."""
    wanted = set(ids)
    return sum(int(device) in wanted for row in builder.rows for device in row)


def _would(changes: Iterable[DrainedRing]) -> Iterator[str]:
    for change in changes:
        yield from _moves(change, "would move")


def _moves(change: DrainedRing, move: str) -> Iterator[str]:
    devices = ", ".join(f"{node} (weight was {node.weight:g})" for node in change.devices)
    yield f"{change.ring}: {devices}"
    yield f"  {change.moved} replicas {move}, {change.stay} stay for now"


def _lines(changes: Iterable[DrainedRing], found: Inside, one_place: bool, back: bool) -> Iterator[str]:
    waits = False
    for change in changes:
        yield from _moves(change, "move")
        waits |= bool(change.stay)
    yield ""
    if not one_place:
        yield f"Now copy {found.directory}/*.ring to all hosts."
    if waits and back:
        yield "Partitions moved recently stay for min_part_hours: `objstore ring rebalance` each builder after that."
    elif waits:
        yield "Partitions moved recently stay for min_part_hours: drain again after that."
    yield "`objstore status` shows the progress."
