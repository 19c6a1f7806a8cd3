"""`objstore daemon`: run daemons by hand, in the foreground of one process."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence

import click

from objstore.assembly import daemons, embedded, processes
from objstore.assembly.apps import remote_transports, storage_servers
from objstore.assembly.data_dir import DataDir
from objstore.assembly.kinds import KINDS
from objstore.assembly.surroundings import Surroundings
from objstore.core.errors import ConfigError
from objstore.daemon.monitor import Monitor
from objstore.daemon.runner import Daemon, Report
from objstore.runtime import green, log, owners
from objstore.runtime.signals import on_signals

FAILED = 1  # exit status

_EXAMPLES = """\b
Examples:
  objstore daemon /etc/objstore/object-server.conf object-replicator --once
  objstore daemon /etc/objstore/container-server.conf --once --verbose
  objstore daemon ./data/etc/storage-server.conf object-auditor
"""


def _daemon_list() -> str:
    lines = [f"  {kind.server}: {', '.join(kind.daemons)}" for kind in KINDS.values() if kind.daemons]
    return "\b\nDaemons:\n" + "\n".join(lines)


@click.command(
    epilog=_EXAMPLES,
    help="Run the daemons NAME of the server that CONF is for; without names, all of them.\n\n"
    "CONF is the configuration file of an account, container or object server, or the storage-server.conf of a "
    "directory of `objstore serve`. They may run beside the server's own daemons: work done twice does no harm.\n\n"
    "With --once auditors and searches make a whole round of each device, even if it is not due.\n\n"
    "Exit status with --once: 0 success, 1 something failed.\n\n" + _daemon_list(),
)
@click.argument("conf", type=click.Path(dir_okay=False))
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--once", is_flag=True, help="Run one pass of each, one after the other, then exit.")
@click.option("--verbose", is_flag=True, help="Log at level DEBUG.")
@click.option("--devices", help="Directory under which the devices are mounted.")
def daemon(conf: str, names: tuple[str, ...], once: bool, verbose: bool, devices: str | None) -> None:
    overrides = {"log_to": "stderr", "log_level": "DEBUG" if verbose else "INFO", "log_name": "objstore-daemon"}
    if devices:
        overrides["devices"] = devices
    known, around = _prepared(conf, overrides, at_once=once)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f"{conf} has no daemon {unknown[0]}, but {', '.join(known) or 'none'}")
    green.after_fork()
    monitor = daemons.make_monitor(around, by_hand=True)
    made = daemons.make(names or known, around, monitor)
    reports = _run(made, monitor, once)
    if once:
        for each, report in reports:
            click.echo(_line(each.name, report))
        sys.exit(0 if all(report.complete and not report.failed for _, report in reports) else FAILED)


def _line(name: str, report: Report) -> str:
    how = "stopped on an error" if report.broke_off else "was stopped" if report.stopped else "is finished"
    return f"{name} {how}: {report.units} units in {report.seconds:.1f} s, {report.failures} failed"


def _prepared(path: str, overrides: Mapping[str, str], at_once: bool) -> tuple[Sequence[str], Surroundings]:
    """Return the daemons of a configuration file and their surroundings. Raises ConfigError."""
    parser = processes.open_conf(path).parser
    defaults = processes.read_defaults(path)
    logger = log.from_conf(defaults | dict(overrides))
    uses = [parser.get(section, "use", fallback="") for section in parser.sections()]
    kinds = [kind for kind in KINDS.values() if f"egg:objstore#{kind.name}" in uses]
    if not kinds:
        return tuple(daemons.DUTIES), _of_data_dir(path, overrides, logger, at_once)
    conf = kinds[0].defaults | defaults | dict(overrides)
    owners.act_for(os.path.normpath(conf.get("devices", "/srv/node")), conf)
    transports = remote_transports(conf)
    devices = storage_servers(conf, transports).devices
    return kinds[0].daemons, Surroundings(conf, devices, transports, logger, at_once=at_once)


def _of_data_dir(path: str, overrides: Mapping[str, str], logger: logging.Logger, at_once: bool) -> Surroundings:
    etc = os.path.dirname(os.path.abspath(path))
    data = DataDir(os.path.dirname(etc))
    if os.path.abspath(path) != data.storage_conf:
        raise ConfigError(
            f"{path} is not the configuration of any of "
            f"{', '.join(kind.server for kind in KINDS.values() if kind.daemons)}"
        )
    owners.act_for(data.devices, processes.process_defaults(data.etc))
    return embedded.surroundings(data, logger, overrides, at_once)


def _run(made: list[Daemon], monitor: Monitor, once: bool) -> list[tuple[Daemon, Report]]:
    """Run until stopped, or for one pass each; return the last pass of each."""

    def stop(number: int) -> None:
        for each in made:
            each.stop()

    on_signals((signal.SIGINT, signal.SIGTERM), stop)
    if once:
        for each in made:
            if not each.stopped:
                each.run_once()
    else:
        watching = green.spawn(monitor.run, made)
        for thread in [green.spawn(each.run) for each in made]:
            thread.wait()
        green.kill(watching)
    monitor.tell_all(made)
    return [(each, each.last) for each in made if each.last is not None]
