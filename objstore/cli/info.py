"""`objstore info`: show and check the contents of the store's files."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click

from objstore.cli.describe import PathPart, describe, plain
from objstore.core.errors import ObjstoreError
from objstore.runtime.log import one_line

EXAMPLES = """\b
Examples:
  objstore info data/devices/d1/objects/623/e38/9be9a460a21fa9e2a08bd6b388392e38
  objstore info /srv/node/d1/containers/31/d26/01fb4ad66932bf261514cb0b528a1d26/*.db
  objstore info /etc/objstore/object.ring --json
  objstore info /srv/node/d1/packed/volumes/00000001.volume --at 8192
  objstore info /srv/node/d1/packed --hash 9be9a460a21fa9e2a08bd6b388392e38
"""
UNSOUND = 1  # exit status


@click.command(epilog=EXAMPLES)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path())
@click.option(
    "--json", "as_json", is_flag=True, help="As a list of JSON objects, for scripts; with each record of a volume."
)
@click.option("--at", type=click.IntRange(0), metavar="POSITION", help="Show the record at this position of a volume.")
@click.option(
    "--hash", "name_hash", metavar="HASH", help="Show the records of a name in a directory of packed objects."
)
def info(paths: tuple[str, ...], as_json: bool, at: int | None, name_hash: str | None) -> None:
    """Show the contents of .data, .meta, .ts, .db, .ring, .builder and .volume files, of hash directories and
    directories of packed objects.

    Objects and volumes are read completely and checked against their checksums; of a directory of packed objects, its
    index. Nothing is changed. Exit status: 0 all valid, 1 some are not.
    """
    part = PathPart(at, name_hash, as_json)
    found = [_described(path, part) for path in paths]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo("\n\n".join("\n".join(map(one_line, _lines(facts))) for facts in found))
    if not all(facts["sound"] for facts in found):
        raise SystemExit(UNSOUND)


def _described(path: str, part: PathPart) -> dict[str, object]:
    try:
        facts: dict[str, object] = plain(describe(path, part))
        return facts
    except (ObjstoreError, OSError) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return {"path": path, "problems": [text.removeprefix(f"{path}: ")], "sound": False}


def _lines(facts: dict[str, object], indent: str = "") -> Iterator[str]:
    """Yield one line per fact; nested facts are indented below."""
    width = max((len(key) for key in facts), default=0)
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{key}"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, list) and value:
            yield f"{indent}{key}"
            for item in value:
                if isinstance(item, dict):
                    yield from _lines(item, indent + "  ")
                else:
                    yield f"{indent}  {item}"
        else:
            yield f"{indent}{key:<{width}}  {_formatted(value)}".rstrip()


def _formatted(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value in ({}, []):
        return "-"
    return str(value)
