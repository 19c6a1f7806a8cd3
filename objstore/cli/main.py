"""The `objstore` command."""

from __future__ import annotations

import click

import objstore
from objstore.cli.serve import serve

EXAMPLES = """\b
Examples:
  objstore serve --data ./data
  objstore user add backup:nightly --data ./data
"""


@click.group(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(objstore.__version__)
def main() -> None:
    """A replicated object store that speaks the Swift and S3 APIs."""


main.add_command(serve)
