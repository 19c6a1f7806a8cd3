"""The daemons of a host's devices, made from a configuration and run in a process of their own."""

from __future__ import annotations

from collections.abc import Iterable

from objstore.cli.duties import updaters
from objstore.cli.surroundings import Duty, Surroundings
from objstore.daemon.runner import Daemon
from objstore.runtime import green
from objstore.runtime.workers import Worker

# In the order of servers whose devices they work on, see `cli.kinds`.
DUTIES: dict[str, Duty] = {
    duty.name: duty
    for duty in (
        updaters.CONTAINER_UPDATER,
        updaters.OBJECT_UPDATER,
    )
}


def make(names: Iterable[str], around: Surroundings) -> list[Daemon]:
    """Raises ConfigError for settings and rings."""
    made = []
    for name in names:
        work = DUTIES[name].make(around)
        made.append(Daemon(name, work.begin_pass, work.pace, around.logger, told=work.told))
    return made


def run(worker: Worker, daemons: list[Daemon]) -> None:
    """Run until the supervisor says otherwise; units under way are ended."""
    running = [green.spawn(daemon.run) for daemon in daemons]
    worker.ready()
    worker.wait_for_drain()
    for daemon in daemons:
        daemon.stop()
    for thread in running:
        thread.wait()
