"""The daemons of a host's devices, made from a configuration and run in a process of their own."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from objstore.cli.apps import STORAGE_SETTINGS
from objstore.cli.kinds import DAEMON_SETTINGS
from objstore.core.errors import DeviceUnavailable
from objstore.core.timestamps import Clock
from objstore.daemon.container_updater import ContainerUpdater, DeviceContainers
from objstore.daemon.delivery import Peers
from objstore.daemon.object_updater import ObjectUpdater
from objstore.daemon.runner import Daemon, Pace, Pass
from objstore.ring import RingLoader
from objstore.runtime import cluster_conf, green, settings
from objstore.runtime.cluster_conf import ClusterConf
from objstore.runtime.settings import Setting, duration
from objstore.runtime.workers import Worker
from objstore.server.devices import Devices
from objstore.wire.messages import Transport

SETTINGS = (
    *DAEMON_SETTINGS.values(),
    Setting("ring_check_interval", duration, "15s", "how often to look for a newer ring file"),
)


class Surroundings(NamedTuple):
    """What daemons are made of."""

    values: Any  # of SETTINGS and STORAGE_SETTINGS
    cluster: ClusterConf
    devices: Devices
    transport: Transport
    logger: logging.Logger

    def peers(self, kind: str) -> Peers:
        path = os.path.join(self.values.ring_dir, f"{kind}.ring")
        loader = RingLoader(path, self.values.ring_check_interval, logger=self.logger)
        return Peers(self.transport, loader.get, self.cluster.salt, self.logger)

    def available(self) -> Iterator[tuple[str, Any]]:
        """The devices that can be used now, by name."""
        for name in self.devices.names():
            try:
                yield name, self.devices.get(name)
            except DeviceUnavailable as error:
                self.logger.debug("%s", error)


def _container_updater(around: Surroundings) -> tuple[Pass, Pace]:
    def containers() -> Iterator[DeviceContainers]:
        return (DeviceContainers(name, device.containers) for name, device in around.available())

    # Looking for changes takes time where there are many containers, so that it must rest.
    pace = Pace(around.values.container_updater_interval, rest=4.0)
    return ContainerUpdater(containers, around.peers("account"), Clock()).passes, pace


def _object_updater(around: Surroundings) -> tuple[Pass, Pace]:
    def spools() -> Iterator[Any]:
        for _, device in around.available():
            for policy in around.cluster.policies:
                yield device.spool(policy.index)

    return ObjectUpdater(spools, around.peers("container")).passes, Pace(around.values.object_updater_interval, 1.0)


_MAKERS: dict[str, Callable[[Surroundings], tuple[Pass, Pace]]] = {
    "container-updater": _container_updater,
    "object-updater": _object_updater,
}
ALL = tuple(_MAKERS)


def make(
    names: tuple[str, ...], conf: Mapping[str, str], devices: Devices, transport: Transport, logger: logging.Logger
) -> list[Daemon]:
    """Raises ConfigError for settings and rings."""
    values = settings.read((*SETTINGS, *STORAGE_SETTINGS), conf, "daemons")
    around = Surroundings(values, cluster_conf.load(values.ring_dir), devices, transport, logger)
    return [Daemon(name, *_MAKERS[name](around), logger) for name in names]


def run(worker: Worker, daemons: list[Daemon]) -> None:
    """Run until the supervisor says otherwise; units under way are ended."""
    running = [green.spawn(daemon.run) for daemon in daemons]
    worker.ready()
    worker.wait_for_drain()
    for daemon in daemons:
        daemon.stop()
    for thread in running:
        thread.wait()
