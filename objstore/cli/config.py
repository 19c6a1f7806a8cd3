"""`objstore config`: check configuration files, print samples."""

from __future__ import annotations

import os
import tempfile
from functools import partial

import click

from objstore.assembly import conf_text, processes
from objstore.assembly.conf_settings import Conf, ConfProblem, kind_of
from objstore.assembly.config_check import check as problems_of
from objstore.assembly.config_check import owner_of
from objstore.core.errors import ConfigError
from objstore.runtime import owners

_EXAMPLES = """\b
Examples:
  objstore config check /etc/objstore/*.conf
  objstore config sample proxy > proxy-server.conf
"""
FAULTY = 1  # exit status


@click.group(epilog=_EXAMPLES)
def config() -> None:
    """Check configuration files, print samples."""


@config.command(
    epilog="""\b
Examples:
  objstore config check /etc/objstore/proxy-server.conf
  objstore config check ./data/etc/*.conf
"""
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def check(files: tuple[str, ...]) -> None:
    """Report what is wrong with configuration files, and with the rings, keys and devices they name.

    It reports every problem that would make a start or a reload fail. If root runs it, files are opened as the servers'
    user.

    Exit status: 0 valid (perhaps with warnings), 1 invalid.
    """
    found = [problem for path in files for problem in problems_of(path) or _rehearsed(path)]
    for problem in found:
        click.echo(str(problem))
    faulty = {problem.path for problem in found if problem.serious}
    if faulty:
        raise SystemExit(FAULTY)
    click.echo(f"{len(files)} {'file is' if len(files) == 1 else 'files are'} valid")


def _rehearsed(path: str) -> list[ConfProblem]:
    """Return the problems found by making everything that a server makes at its start, in another process."""
    from objstore.assembly.servers import Launch, rehearse

    kind, owner = kind_of(Conf(path)), owner_of(path)
    if kind is None:
        return []
    who = owners.current()
    if owner is not None and who.uid not in (0, owner.uid):
        return [ConfProblem(path, "", f"{who} cannot try all that {owner} does at a start: run this as root", False)]
    try:
        with tempfile.TemporaryDirectory() as shared, owners.acting_as(owner):
            processes.run_apart(partial(rehearse, Launch(kind, path, {"metrics_directory": shared})))
    except ConfigError as error:
        return [ConfProblem(path, "", str(error).removeprefix(f"{path}: "))]
    return []


@config.command(
    epilog="""\b
Examples:
  objstore config sample proxy
  objstore config sample cluster > objstore.conf
  objstore config sample --write ./etc
"""
)
@click.argument("kind", required=False, type=click.Choice(conf_text.SAMPLES))
@click.option("--write", "directory", type=click.Path(exists=True, file_okay=False), help="Write all to a directory.")
def sample(kind: str | None, directory: str | None) -> None:
    """Print a sample file with every setting at its default; `cluster` is objstore.conf."""
    if (kind is None) == (directory is None):
        raise click.UsageError("give either a kind of sample or --write")
    if kind is not None:
        click.echo(conf_text.sample(kind), nl=False)
        return
    for each in conf_text.SAMPLES:
        with open(os.path.join(directory or "", conf_text.sample_name(each)), "w") as file:
            file.write(conf_text.sample(each))


@config.command("s3-support", epilog="\b\nExample:\n  objstore config s3-support > doc/s3_support.md")
def s3_support() -> None:
    """Print the table of S3 operations: which are supported."""
    from objstore.s3 import support  # imports all operations

    click.echo(support.document(), nl=False)
