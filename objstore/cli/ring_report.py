"""The output of `objstore ring`: tables for people, plain columns if the output is not a terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Container, Sequence
from datetime import timedelta

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from objstore.core.errors import InvalidInput
from objstore.ring.builder import Rebalance, RingBuilder
from objstore.ring.checks import Load, balance, dispersion, loads, spreads

_DEVICE_COLUMNS = (
    "id",
    "region",
    "zone",
    "address",
    "replication",
    "device",
    "weight",
    "partitions",
    "balance",
    "meta",
)
_TEXT_COLUMNS = frozenset({"address", "replication", "device", "meta", "level", "domain"})


def print_summary(builder: RingBuilder, path: str, ring_version: int | None, now: float) -> None:
    """Print a ring's figures. ring_version: of the ring file, None if there is none. now: Unix seconds."""
    nodes = builder.present
    counts = (
        f"{builder.partition_count} partitions",
        f"{builder.replicas:f} replicas",
        f"{len({node.region for node in nodes})} regions",
        f"{len({(node.region, node.zone) for node in nodes})} zones",
        f"{len(nodes)} devices",
        f"{balance(builder):.2f} balance",
        f"{dispersion(builder):.2f} dispersion",
    )
    click.echo(f"{path}, build version {builder.version}")
    click.echo(", ".join(counts))
    left = _seconds_held(builder, now)
    click.echo(
        f"A partition stays for {builder.min_part_hours:g} hours after a move ({timedelta(seconds=left)} remaining)"
    )
    click.echo(f"The overload factor is {100 * builder.overload:.2f}% ({builder.overload:f})")
    states = {None: "has not been written", builder.version: "is up to date"}
    click.echo(f"The ring file {states.get(ring_version, 'is older than the builder')}")
    if builder.step:
        click.echo(f"A change of the part power is {builder.step}: no partition may move until it is finished")
    if builder.removed:
        click.echo(f"{len(builder.removed)} devices will be removed by the next rebalance")


def print_moves(builder: RingBuilder, now: float, hours: float) -> None:
    """Print the replicas that moved in the last hours, and their sources: their data may still be moving. now: Unix
    seconds."""
    recent = builder.moves.time > now - hours * 3600
    if not recent.any():
        click.echo(f"No partition has moved in the last {hours:g} hours")
        return
    moved, sources = builder.moves.partition[recent], builder.moves.device[recent]
    click.echo(f"{len(np.unique(moved))} partitions have moved in the last {hours:g} hours; replicas moved from:")
    for device, count in zip(*np.unique(sources, return_counts=True), strict=True):
        click.echo(f"  {described(builder, int(device))}  {count}")


def print_devices(builder: RingBuilder, only: Container[int] | None = None) -> None:
    """Print a table of devices. only: ids of the devices to list."""
    chosen = [load for load in loads(builder) if only is None or load.node.id in only]
    chosen.sort(key=lambda load: load.node[1:6])
    if chosen:
        _print_table(_DEVICE_COLUMNS, [_device_row(load) for load in chosen])
    else:
        click.echo("There are no devices.")


def print_partitions(builder: RingBuilder, devices: set[int]) -> None:
    if not builder.rows:
        raise InvalidInput("the ring has never been rebalanced")
    matches = np.zeros(builder.partition_count, dtype=np.int64)
    for row in builder.rows:
        matches[: len(row)] += np.isin(row, list(devices))
    order = np.argsort(-matches, kind="stable")[: int(np.count_nonzero(matches))]
    _print_table(("partition", "matches"), [(str(part), str(matches[part])) for part in order])


def print_rebalance(builder: RingBuilder, done: Rebalance) -> None:
    replicas = builder.slot_count
    click.echo(
        f"Assigned {done.moved} of {replicas} replicas ({100 * done.moved / replicas:.2f}%). "
        f"Balance is now {balance(builder):.2f}, dispersion {dispersion(builder):.2f}."
    )


def held_back(done: Rebalance) -> str:
    return f" {done.held} partitions may not move yet (min_part_hours)." if done.held else ""


def print_dispersion(builder: RingBuilder, pattern: str | None, verbose: bool) -> bool:
    """Print the spread over matching domains; return whether every partition is spread as well as possible."""
    if not builder.rows:
        raise InvalidInput("the ring has never been rebalanced")
    try:
        wanted = re.compile(pattern or "")
    except re.error as error:
        raise InvalidInput(f"not a regular expression: {pattern}: {error}") from error
    found = [spread for spread in spreads(builder) if wanted.search(spread.name)]
    bad = [spread for spread in found if spread.excess]
    click.echo(f"Dispersion is {dispersion(builder):.6f}, balance is {balance(builder):.6f}")
    shown = found if verbose or pattern else bad
    if shown:
        most = len(builder.rows)
        columns = ("level", "domain", "partitions", "too many", "allowed", *map(str, range(most + 1)))
        rows = [
            (s.level, s.name, str(sum(s.histogram[1:])), str(s.excess), str(s.allowed), *map(str, s.histogram))
            for s in shown
        ]
        _print_table(columns, rows)
    return not bad


def described(builder: RingBuilder, device: int) -> str:
    node = builder.devices[device]
    if node is None:
        return f"d{device}"
    meta = f"_{node.meta}" if node.meta else ""
    replication = f"R{_address(node.replication_ip, node.replication_port)}"
    return f"d{device}r{node.region}z{node.zone}-{_address(node.ip, node.port)}{replication}/{node.device}{meta}"


def _seconds_held(builder: RingBuilder, now: float) -> int:
    """Return the seconds until the last partition may move."""
    last = int(builder.last_moved.max())
    return max(0, int(last + builder.min_part_hours * 3600 - now)) if last else 0


def _address(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _device_row(load: Load) -> tuple[str, ...]:
    node = load.node
    return (
        str(node.id),
        str(node.region),
        str(node.zone),
        _address(node.ip, node.port),
        _address(node.replication_ip, node.replication_port),
        node.device,
        f"{node.weight:.2f}",
        str(load.partitions),
        f"{load.balance:.2f}",
        node.meta,
    )


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not sys.stdout.isatty():
        _print_columns(columns, rows)
        return
    table = Table()
    for name in columns:
        table.add_column(name, justify="left" if name in _TEXT_COLUMNS else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _print_columns(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        cells = [
            text.ljust(width) if name in _TEXT_COLUMNS else text.rjust(width)
            for name, text, width in zip(columns, row, widths, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())
