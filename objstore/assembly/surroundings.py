"""The surroundings of daemons: this host's devices, the rings, and transports to other hosts."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple, TypeVar

from objstore.assembly.apps import StorageSettings, cluster_layer
from objstore.cluster.cluster import Transports
from objstore.core.errors import DeviceUnavailable
from objstore.core.nodes import Node
from objstore.daemon.delivery import Peers
from objstore.daemon.runner import DaemonPace, Pass
from objstore.layers.interface import ObjectLayer
from objstore.ring import Ring, RingLoader
from objstore.runtime import cluster_conf, settings
from objstore.runtime.addresses import own_ips
from objstore.runtime.metrics import MetricsSettings
from objstore.runtime.priority import PrioritySettings
from objstore.runtime.recon_files import ReconSettings
from objstore.runtime.settings import duration, positive, setting, table
from objstore.runtime.statsd import StatsdSettings
from objstore.server.devices import Device, Devices

Address = tuple[str, int]


@dataclass(frozen=True)
class DaemonSettings:
    """Settings that all daemons share."""

    own_ips: str = setting(
        str.strip, "", "addresses of this host in the rings; empty: bind_ip, or all addresses it has"
    )
    daemon_processes: int = setting(positive, "3", "maximum number of daemon processes; each uses about 30 MB")


@dataclass(frozen=True)
class RingSettings:
    """Settings of how daemons follow the rings."""

    ring_check_interval: float = setting(duration, "15s", "interval to check for a newer ring file")


DAEMON_SETTINGS = (*table(DaemonSettings), *table(PrioritySettings))
# Settings shared with servers.
TOLD_SETTINGS = (*table(ReconSettings), *table(StatsdSettings), *table(MetricsSettings))
_Settings = TypeVar("_Settings", bound=settings.Dataclass)


class Surroundings:
    """The surroundings of daemons. addresses: of their server in the rings; None: from `own_ips` and bind_ip.

    at_once: work done in cycles of days is done now, on request.

    Raises ConfigError for settings. Rings are loaded at their first use.
    """

    def __init__(
        self,
        conf: Mapping[str, str],
        devices: Devices,
        transport: Transports,
        logger: logging.Logger,
        addresses: frozenset[Address] | None = None,
        at_once: bool = False,
    ) -> None:
        self.conf = conf
        self.at_once = at_once
        self.devices = devices
        self.transport = transport
        self.logger = logger
        self._ring_dir = self.read(StorageSettings).ring_dir
        self._ring_check_interval = self.read(RingSettings).ring_check_interval
        self.cluster = cluster_conf.load(self._ring_dir)
        if addresses is None:
            port = int(conf.get("bind_port", "0"))
            ips = own_ips(conf.get("bind_ip", "0.0.0.0"), self.read(DaemonSettings).own_ips)
            addresses = frozenset((ip, port) for ip in ips)
        self._addresses = addresses
        self.ring = cache(self._ring)

    def read(self, cls: type[_Settings], prefix: str = "") -> _Settings:
        """Return the settings of a duty; raises ConfigError."""
        return settings.read(cls, self.conf, "daemons", prefix)

    def _ring(self, name: str) -> Callable[[], Ring]:
        """Return a function for the current ring: `account`, `container`, `object`, `object-N`. Raises ConfigError."""
        path = os.path.join(self._ring_dir, f"{name}.ring")
        return RingLoader(path, self.logger, self._ring_check_interval).get

    def peers(self, kind: str) -> Peers:
        """Return a client of the account or container servers, to send them rows."""
        return Peers(self.transport, self.ring(kind), self.cluster.salt, self.logger)

    def is_own(self, node: Node) -> bool:
        """Return whether the node is a device of this server."""
        return node.address in self._addresses or (node.replication_ip, node.replication_port) in self._addresses

    def available(self) -> Iterator[tuple[str, Device]]:
        """Return the devices that can be used now, by name."""
        for name in self.devices.names():
            try:
                yield name, self.devices.get(name)
            except DeviceUnavailable as error:
                self.logger.debug("%s", error)

    @cached_property
    def layer(self) -> ObjectLayer:
        """The object layer of the cluster, in this process: for operations that clients could do too."""
        return cluster_layer(self.conf, self.transport)


class Work(NamedTuple):
    """The work of a daemon, see `daemon.runner`.

    status: returns numbers and texts by name, for monitoring; a number whose name ends in `_total` only grows.
    `devices`
    may hold such by the name of a device. stop: makes long units end soon.
    """

    begin_pass: Pass
    pace: DaemonPace
    status: Callable[[], Mapping[str, object]] = dict
    stop: Callable[[], None] | None = None


class Duty(NamedTuple):
    """A daemon: name as in `object-updater`; its own settings, which no other duty has."""

    name: str
    settings: settings.Table
    make: Callable[[Surroundings], Work]
