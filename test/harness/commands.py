"""Commands of `objstore` run in this process: dozens of new ones would take what the cluster under test needs."""

from __future__ import annotations

import click
from click.testing import CliRunner

_NOT_DONE = 2  # exit status; 1 is a warning


def invoke(command: click.Command, *arguments: str) -> str:
    """What it prints; fails the test where it fails."""
    done = CliRunner().invoke(command, arguments)
    told = f"{command.name} {' '.join(arguments)}: {done.output}"
    assert done.exit_code < _NOT_DONE, told
    if isinstance(done.exception, Exception):
        raise AssertionError(told) from done.exception
    return done.output
