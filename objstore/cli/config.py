"""`objstore config`: check configuration files, print samples."""

from __future__ import annotations

import click

from objstore.cli import conf_text
from objstore.cli.config_check import check as problems_of
from objstore.cli.kinds import KINDS

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
    """Report what is wrong with configuration files, and with the rings and files they name.

    Exit status: 0 sound (there may be warnings), 1 not sound.
    """
    found = [problem for path in files for problem in problems_of(path)]
    for problem in found:
        click.echo(str(problem))
    faulty = {problem.path for problem in found if problem.serious}
    if faulty:
        raise SystemExit(FAULTY)
    click.echo(f"{len(files)} {'file is' if len(files) == 1 else 'files are'} sound")


@config.command(
    epilog="""\b
Examples:
  objstore config sample proxy
  objstore config sample cluster > objstore.conf
"""
)
@click.argument("kind", type=click.Choice([*KINDS, conf_text.CLUSTER]))
def sample(kind: str) -> None:
    """Print a sample file with every setting at its default; `cluster` is objstore.conf."""
    click.echo(conf_text.sample(kind), nl=False)
