"""The `objstore` command. The modules of a command are imported when it runs, so that each starts fast."""

from __future__ import annotations

import os
from importlib import import_module
from typing import NamedTuple

import click

import objstore
from objstore.cli.failures import clean_errors
from objstore.runtime import owners

EXAMPLES = """\b
Examples:
  objstore serve --data ./data
  objstore user add backup:nightly --data ./data
  objstore init ./cluster --host 10.0.0.1 --host 10.0.0.2 --host 10.0.0.3
  objstore config check ./cluster/*.conf
  objstore ring show ./cluster/object.builder
  objstore locate AUTH_admin photos cat.jpg --data ./data
  objstore info ./data/devices/d1/objects/*/*/*

See objstore COMMAND --help for details and examples.
"""


class Command(NamedTuple):
    """A command: its definition as `module:attribute`, and its line in the list of commands."""

    target: str
    help: str


COMMANDS = {
    "serve": Command("objstore.cli.serve:serve", "Run a whole object store in one place."),
    "user": Command("objstore.cli.user:user", "Add, list and remove users, even while the server runs."),
    "init": Command("objstore.cli.init:init", "Create the configuration and rings of a cluster."),
    "daemon": Command("objstore.cli.daemon:daemon", "Run daemons by hand."),
    "ring": Command("objstore.cli.ring:ring", "Build and inspect rings."),
    "relink": Command("objstore.cli.relink:relink", "Link a host's objects into the partitions of a doubled ring."),
    "pack": Command("objstore.cli.pack:pack", "Move a host's small objects into volumes, or out of them."),
    "config": Command("objstore.cli.config:config", "Check configuration files, print samples."),
    "locate": Command("objstore.cli.locate:locate", "Show where a name is stored."),
    "info": Command("objstore.cli.info:info", "Show the contents of a file of the store, and check it."),
    "status": Command("objstore.cli.status:status", "Show the problems of the store and the progress of repairs."),
    "disk": Command("objstore.cli.disk:disk", "Take disks of this host out of service, and put them back."),
    "drain": Command("objstore.cli.drain:drain", "Move all data off devices, so that they can be removed."),
    "ok-to-stop": Command("objstore.cli.ok_to_stop:ok_to_stop", "Check whether hosts or disks can be stopped safely."),
    "dispersion": Command("objstore.cli.dispersion:dispersion", "Measure with samples how complete the copies are."),
}


class Main(click.Group):
    """The group of all commands; errors are printed in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = COMMANDS.get(cmd_name)
        if found is None:
            return None
        module, _, attribute = found.target.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        os.umask(owners.PRIVATE)
        with clean_errors():
            return super().invoke(ctx)


@click.group(cls=Main, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(objstore.__version__)
def main() -> None:
    """A replicated object store that speaks the Swift and S3 APIs."""
