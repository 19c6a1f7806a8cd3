"""`objstore-proxy-server` and the other commands that run a server with a configuration file."""

from __future__ import annotations

import sys

import click

from objstore.assembly.kinds import KINDS, ServerKind
from objstore.assembly.servers import Launch, run
from objstore.cli.failures import clean_errors

_HELP = """\
Serve the pipeline of the configuration file CONF.

Options override [DEFAULT] of the file. SIGTERM finishes the requests under way and stops;
SIGHUP reloads the file without refusing a connection.
"""
_EXAMPLES = """\b
Examples:
  objstore-{server} /etc/objstore/{conf}
  objstore-{server} ./cluster/{conf} --bind-ip 127.0.0.2 --workers 1
  objstore config sample {kind} > {conf}
"""


def command(kind: ServerKind) -> click.Command:
    """The command that runs one kind of server."""

    def callback(conf: str, **options: str | None) -> None:
        overrides = {name: value for name, value in options.items() if value is not None}
        with clean_errors():
            sys.exit(run(Launch(kind, conf, overrides)))

    return click.Command(
        f"objstore-{kind.server}",
        callback=callback,
        params=[
            click.Argument(["conf"], type=click.Path(dir_okay=False)),
            click.Option(["--bind-ip"], help="Address to listen on."),
            click.Option(["--bind-port"], help="Port to listen on; 0 chooses a free one."),
            click.Option(["--workers"], help="Number of worker processes, or auto: one per core."),
            click.Option(["--devices"], help="Directory under which the devices are mounted."),
            click.Option(["--log-to"], help="Log: stdout, stderr, syslog, none, or the path of a file."),
        ],
        help=_HELP,
        epilog=_EXAMPLES.format(server=kind.server, conf=kind.conf_name, kind=kind.name),
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def main(kind: str) -> None:
    command(KINDS[kind]).main(prog_name=f"objstore-{kind}-server")
