"""`objstore ring`: build rings. `bin/objstore-ring-builder` is the same with the builder file named first.

Exit status: 0 success; 1 success with a warning (nothing changed, or the ring is not well balanced); 2 failure.
"""

from __future__ import annotations

import time

import click

from objstore.cli import ring_increase
from objstore.cli import ring_report as report
from objstore.cli.ring_arguments import (
    LOOSE,
    builder_argument,
    changing,
    confirm,
    field_options,
    found_devices,
    given_fields,
    number,
    pairs,
    yes_option,
)
from objstore.core.errors import ConfigError, InvalidInput, ObjstoreError
from objstore.core.nodes import Node
from objstore.ring import Ring, search
from objstore.ring.builder import RingBuilder
from objstore.ring.builder_file import keep, load_builder, locked, ring_path, save_builder, write_ring
from objstore.ring.checks import is_balanced, validate
from objstore.runtime.files import exists

WARNING = 1
ERROR = 2
# Percent of imbalance that a rebalance reports as a warning.
POOR_BALANCE = 5.0

EXAMPLES = """
\b
Examples:
  objstore ring create object.builder 10 3 1
  objstore ring add object.builder r1z1-10.0.0.1:6200/sdb1 100
  objstore ring add object.builder --zone 2 --ip 10.0.0.2 --port 6200 --device sdb1 --weight 100
  objstore ring rebalance object.builder
  objstore ring show object.builder
  objstore ring set-weight object.builder z2 50 --yes
  objstore ring set-weight object.builder d3 0        (empty a device: rebalance after it)
  objstore ring remove object.builder d3
  objstore ring prepare-increase object.builder       (twice as many partitions)

\b
Devices are named by (parts of)
  d<id>r<region>z<zone>-<ip>:<port>R<replication ip>:<replication port>/<device>_<meta>

Exit status: 0 success, 1 success with a warning, 2 failure.
"""


class _Failure(click.ClickException):
    exit_code = ERROR


class RingGroup(click.Group):
    """The group of ring commands. Commands may be spelt with underscores, as in Swift; our errors end with status 2 and
    one line."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name.replace("_", "-"))

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ObjstoreError as error:
            raise _Failure(str(error)) from error


@click.group("ring", cls=RingGroup, help="Build and inspect rings.\n" + EXAMPLES)
def ring() -> None:
    pass


for _command in ring_increase.COMMANDS:
    ring.add_command(_command)


@ring.command()
@builder_argument
@click.argument("part_power", type=int)
@click.argument("replicas", type=float)
@click.argument("min_part_hours", type=float)
def create(builder_file: str, part_power: int, replicas: float, min_part_hours: float) -> None:
    """Create a new builder of 2^PART_POWER partitions.

    After one of its replicas has moved, a partition stays for MIN_PART_HOURS.
    """
    with locked(builder_file):
        if exists(builder_file):
            raise InvalidInput(f"{builder_file}: exists already")
        save_builder(RingBuilder(part_power, replicas, min_part_hours), builder_file)


@ring.command()
@builder_argument
@click.option("--hours", type=float, help="Show moves of the last N hours.  [default: min_part_hours, or 1]")
def show(builder_file: str, hours: float | None) -> None:
    """Print a ring's figures, moves under way, and a table of its devices."""
    builder = load_builder(builder_file)
    now = time.time()
    report.print_summary(builder, builder_file, _ring_version(builder_file), now)
    report.print_moves(builder, now, max(1.0, builder.min_part_hours) if hours is None else hours)
    report.print_devices(builder)


@ring.command(context_settings=LOOSE)
@builder_argument
@click.argument("devices", nargs=-1, metavar="[DEVICE WEIGHT]...")
@field_options("", ("weight", float))
def add(builder_file: str, devices: tuple[str, ...], **fields: object) -> None:
    """Add devices, each as a description and a weight, or one by options."""
    nodes = [search.parse_new(value, number(weight, "weight")) for value, weight in pairs(devices, "DEVICE WEIGHT")]
    given = given_fields(fields)
    if given:
        if "weight" not in given:
            raise InvalidInput("the new device needs --weight")
        nodes.append(search.new_node(search.normalised(given)))
    if not nodes:
        raise InvalidInput("no device is named; see --help")
    with changing(builder_file) as builder:
        added = builder.add_all(nodes)
    for device in added:
        click.echo(f"Device {report.described(builder, device)} has the id {device}.")
    click.echo("Rebalance to use it.")


@ring.command(context_settings=LOOSE)
@builder_argument
@click.argument("values", nargs=-1, metavar="[SEARCH]...")
@field_options("", ("id", int), ("weight", float))
@yes_option
def remove(builder_file: str, values: tuple[str, ...], yes: bool, **fields: object) -> None:
    """Remove devices permanently, such as those that are lost.

    To empty one first, set its weight to 0 and rebalance until it has no partitions left (min_part_hours apart); remove
    it after its host has moved all its data. Data on a removed device is not searched for.
    """
    with changing(builder_file) as builder:
        found = found_devices(builder, values, fields)
        confirm(found, "remove", yes)
        for node in found:
            builder.remove(node.id)
    for node in found:
        click.echo(f"Device d{node.id} {node} is marked for removal by the next rebalance.")


@ring.command("set-weight", context_settings=LOOSE)
@builder_argument
@click.argument("values", nargs=-1, metavar="[SEARCH WEIGHT]... | WEIGHT")
@field_options("", ("id", int))
@yes_option
def set_weight(builder_file: str, values: tuple[str, ...], yes: bool, **fields: object) -> None:
    """Set weights, by descriptions or by options and one weight; 0 empties a device in the next rebalances."""
    options = given_fields(fields)
    if options and len(values) != 1:
        raise InvalidInput("with options, give one weight")
    with changing(builder_file) as builder:
        chosen: list[tuple[list[Node], float]] = []
        if options:
            chosen.append((found_devices(builder, (), options), number(values[0], "weight")))
        else:
            for value, weight in pairs(values, "SEARCH WEIGHT"):
                chosen.append((found_devices(builder, (value,), {}), number(weight, "weight")))
        confirm([node for nodes, _ in chosen for node in nodes], "change the weight of", yes)
        for nodes, new_weight in chosen:
            for node in nodes:
                builder.set_weight(node.id, new_weight)
                click.echo(f"Device d{node.id} {node} now has the weight {new_weight:g}.")


@ring.command("set-info", context_settings=LOOSE)
@builder_argument
@click.argument("values", nargs=-1, metavar="[SEARCH CHANGE]...")
@field_options("", ("id", int), ("weight", float))
@field_options("change_")
@yes_option
def set_info(builder_file: str, values: tuple[str, ...], yes: bool, **fields: object) -> None:
    """Change the name or address of a device.

    CHANGE is a description of the new fields, such as 10.0.0.9:6200, /sdc1 or _rack7; or use the --change options.
    """
    changes = {
        name.removeprefix("change_"): value
        for name, value in given_fields(fields).items()
        if name.startswith("change_")
    }
    options = {name: value for name, value in given_fields(fields).items() if not name.startswith("change_")}
    if bool(changes) == bool(values):
        raise InvalidInput("give either SEARCH and CHANGE, or options and --change options")
    with changing(builder_file) as builder:
        chosen: list[tuple[list[Node], dict[str, object]]] = []
        if changes:
            chosen.append((found_devices(builder, (), options), search.normalised(changes)))
        for value, change in pairs(values, "SEARCH CHANGE"):
            chosen.append((found_devices(builder, (value,), {}), search.parse_change(change)))
        confirm([node for nodes, _ in chosen for node in nodes], "change", yes)
        for nodes, change_of in chosen:
            for node in nodes:
                builder.set_info(node.id, **change_of)
                click.echo(f"Device d{node.id} {node} is now {report.described(builder, node.id)}.")


@ring.command("set-replicas")
@builder_argument
@click.argument("replicas", type=float)
def set_replicas(builder_file: str, replicas: float) -> None:
    """Set the number of replicas, which may be fractional (2.5: half of the partitions have a third)."""
    with changing(builder_file) as builder:
        builder.set_replicas(replicas)
    click.echo(f"The replica count is now {replicas:g}. Rebalance to put it into effect.")


@ring.command("set-overload")
@builder_argument
@click.argument("overload")
def set_overload(builder_file: str, overload: str) -> None:
    """Set how much more than its weight's share a device may take for a better spread (0.1, or 10%)."""
    value = number(overload.removesuffix("%"), "overload") / (100 if overload.endswith("%") else 1)
    with changing(builder_file) as builder:
        builder.set_overload(value)
    click.echo(f"The overload is now {100 * value:.2f}% ({value:f}). Rebalance to put it into effect.")
    if value > 1:
        click.echo("Warning: this is more than 100%; did you mean percent?", err=True)
        click.get_current_context().exit(WARNING)


@ring.command("set-min-part-hours")
@builder_argument
@click.argument("hours", type=float)
def set_min_part_hours(builder_file: str, hours: float) -> None:
    """Set the number of hours that a partition stays after a move."""
    with changing(builder_file) as builder:
        builder.set_min_part_hours(hours)
    click.echo(f"min_part_hours is now {hours:g}.")


@ring.command("pretend-min-part-hours-passed")
@builder_argument
def pretend_min_part_hours_passed(builder_file: str) -> None:
    """Let all partitions move in the next rebalance. Data that has not arrived yet may be hard to find for a while."""
    with changing(builder_file) as builder:
        builder.pretend_min_part_hours_passed()


@ring.command()
@builder_argument
@click.argument("seed", type=int, required=False)
@click.option("--seed", "seed_option", type=int, help="Random seed; the same seed gives the same assignment.")
@click.option("--force", "-f", is_flag=True, help="Save even if nothing changed.")
def rebalance(builder_file: str, seed: int | None, seed_option: int | None, force: bool) -> None:
    """Reassign partitions to devices with as few moves as possible, and write the ring file."""
    now = time.time()
    with locked(builder_file):
        builder = load_builder(builder_file)
        removed = len(builder.removed)
        done = builder.rebalance(now, seed_option if seed_option is not None else seed)
        if not (done.moved or removed or force):
            _write_if_outdated(builder_file)
            click.echo("Nothing to do: no partition would be better placed elsewhere." + report.held_back(done))
            click.get_current_context().exit(WARNING)
        keep(builder, builder_file, now)
    report.print_rebalance(builder, done)
    if not is_balanced(builder, max(POOR_BALANCE, 100 * builder.overload)):
        click.echo(
            f"The ring is not balanced yet. Distribute it, wait {builder.min_part_hours:g} hours or more, "
            "and rebalance again." + report.held_back(done)
        )
        click.get_current_context().exit(WARNING)


@ring.command("write-ring")
@builder_argument
def write_ring_command(builder_file: str) -> None:
    """Write the ring file from the current builder."""
    with locked(builder_file):
        write_ring(load_builder(builder_file), ring_path(builder_file))
    click.echo(f"Wrote {ring_path(builder_file)}.")


@ring.command("validate")
@builder_argument
def validate_command(builder_file: str) -> None:
    """Check that every replica has a device, and show warnings."""
    findings = validate(load_builder(builder_file))
    for line in findings.errors:
        click.echo(f"Error: {line}", err=True)
    for line in findings.warnings:
        click.echo(f"Warning: {line}", err=True)
    if findings.errors or findings.warnings:
        click.get_current_context().exit(ERROR if findings.errors else WARNING)
    click.echo("The ring is valid.")


@ring.command("search", context_settings=LOOSE)
@builder_argument
@click.argument("values", nargs=-1, metavar="[SEARCH]...")
@field_options("", ("id", int), ("weight", float))
def search_command(builder_file: str, values: tuple[str, ...], **fields: object) -> None:
    """List the devices that match."""
    builder = load_builder(builder_file)
    report.print_devices(builder, {node.id for node in found_devices(builder, values, fields)})


@ring.command("list-parts", context_settings=LOOSE)
@builder_argument
@click.argument("values", nargs=-1, metavar="[SEARCH]...")
@field_options("", ("id", int), ("weight", float))
def list_parts(builder_file: str, values: tuple[str, ...], **fields: object) -> None:
    """List the partitions of the devices that match, those with most of their replicas there first."""
    builder = load_builder(builder_file)
    report.print_partitions(builder, {node.id for node in found_devices(builder, values, fields)})


@ring.command("dispersion")
@builder_argument
@click.argument("pattern", required=False)
@click.option("--verbose", "-v", is_flag=True, help="Show also domains without a problem.")
def dispersion_command(builder_file: str, pattern: str | None, verbose: bool) -> None:
    """Show how partitions are spread over failure domains; PATTERN is a regular expression for their names."""
    if not report.print_dispersion(load_builder(builder_file), pattern, verbose):
        click.get_current_context().exit(WARNING)


def _write_if_outdated(builder_file: str) -> None:
    """Write the ring if it is outdated: device changes that move nothing (a new address) reach the ring too."""
    builder = load_builder(builder_file)
    if builder.rows and _ring_version(builder_file) != builder.version:
        write_ring(builder, ring_path(builder_file))
        click.echo(f"Wrote {ring_path(builder_file)} with the devices as they are now.")


def _ring_version(builder_file: str) -> int | None:
    try:
        return Ring.load(ring_path(builder_file)).version
    except ConfigError:
        return None


def builder_first(arguments: list[str]) -> list[str]:
    """Convert Swift's order of arguments, `BUILDER [COMMAND [ARGUMENT]...]`, to that of the `ring` command."""
    if not arguments or arguments[0].startswith("-"):
        return arguments or ["--help"]
    if len(arguments) == 1:
        return ["show", *arguments]
    return [arguments[1], arguments[0], *arguments[2:]]
