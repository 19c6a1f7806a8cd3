"""Arguments that the commands of `objstore ring` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click

from objstore.core.errors import InvalidInput
from objstore.core.nodes import Node
from objstore.ring import search
from objstore.ring.builder import RingBuilder
from objstore.ring.builder_file import load_builder, locked, save_builder

_Function = TypeVar("_Function", bound=Callable[..., object])

builder_argument = click.argument("builder_file", metavar="BUILDER")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask if several devices match.")
# A description may begin with "-" (an address), which is not an option.
LOOSE = {"ignore_unknown_options": True}

_FIELDS: dict[str, type] = {
    "region": int,
    "zone": int,
    "ip": str,
    "port": int,
    "replication_ip": str,
    "replication_port": int,
    "device": str,
    "meta": str,
}


def field_options(prefix: str = "", *more: tuple[str, type]) -> Callable[[_Function], _Function]:
    """Add an option for each field of a device; they arrive as `<prefix><field>`, None if not given."""

    def decorate(function: _Function) -> _Function:
        for name, cast in reversed([*more, *_FIELDS.items()]):
            flag = "--" + (prefix + name).replace("_", "-")
            function = click.option(flag, prefix + name, type=cast, help=f"{name.replace('_', ' ')} of the device")(
                function
            )
        return function

    return decorate


@contextmanager
def changing(builder_file: str) -> Iterator[RingBuilder]:
    """Open a builder for changes: it is locked, and saved unless an error leaves the block."""
    with locked(builder_file):
        builder = load_builder(builder_file)
        yield builder
        save_builder(builder, builder_file)


def found_devices(builder: RingBuilder, values: tuple[str, ...], fields: dict[str, object]) -> list[Node]:
    """Return the devices that match any of the descriptions, or all of the options; raises InvalidInput if none
    match."""
    wanted = [search.parse(value) for value in values]
    if given_fields(fields):
        wanted.append(given_fields(fields))
    if not wanted:
        raise InvalidInput("no device is named; see --help")
    found = {node.id: node for entry in wanted for node in search.matching(builder.present, entry)}
    if not found:
        raise InvalidInput("no device matches")
    return [found[device] for device in sorted(found)]


def confirm(nodes: list[Node], what: str, yes: bool) -> None:
    if len(nodes) > 1 and not yes:
        for node in nodes:
            click.echo(f"  d{node.id} {node}")
        if not click.confirm(f"Do you want to {what} these {len(nodes)} devices?"):
            raise InvalidInput("nothing was changed")


def given_fields(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def pairs(values: tuple[str, ...], form: str) -> list[tuple[str, str]]:
    if len(values) % 2:
        raise InvalidInput(f"arguments come in pairs: {form}")
    return list(zip(values[::2], values[1::2], strict=True))


def number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(f"{what} is not a number: {text!r}") from None
