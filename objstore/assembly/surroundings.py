"""What daemons are made of: this host's devices, the rings, and the ways to other hosts."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple, TypeVar

from objstore.assembly.apps import StorageSettings, proxy_app
from objstore.cluster.cluster import Transports
from objstore.core.errors import DeviceUnavailable
from objstore.core.nodes import Node
from objstore.daemon.delivery import Peers
from objstore.daemon.runner import Pace, Pass
from objstore.ring import Ring, RingLoader
from objstore.runtime import cluster_conf, settings
from objstore.runtime.addresses import own_ips
from objstore.runtime.metrics import MetricsSettings
from objstore.runtime.priority import PrioritySettings
from objstore.runtime.recon_files import ReconSettings
from objstore.runtime.settings import duration, positive, setting, table
from objstore.runtime.statsd import StatsdSettings
from objstore.server.devices import Device, Devices
from objstore.swift.app import ProxyApp

Address = tuple[str, int]


@dataclass(frozen=True)
class DaemonSettings:
    """Settings that all daemons share."""

    own_ips: str = setting(str.strip, "", "addresses by which rings name this host; empty: bind_ip, or all it has")
    daemon_processes: int = setting(positive, "3", "in how many processes they run at most; some 30 MB each")


@dataclass(frozen=True)
class RingSettings:
    """How daemons follow the rings."""

    ring_check_interval: float = setting(duration, "15s", "how often to look for a newer ring file")


DAEMON_SETTINGS = (*table(DaemonSettings), *table(PrioritySettings))
# Of what is seen of daemons, and of servers too.
TOLD_SETTINGS = (*table(ReconSettings), *table(StatsdSettings), *table(MetricsSettings))
_Settings = TypeVar("_Settings", bound=settings.Dataclass)


class Surroundings:
    """addresses: at which rings name the server whose daemons these are; None: from `own_ips` and bind_ip.

    at_once: what is done in cycles of days is done now, for one who asked for it.

    Raises ConfigError for settings. Rings are loaded when first asked for.
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
        """The settings of a duty; raises ConfigError."""
        return settings.read(cls, self.conf, "daemons", prefix)

    def _ring(self, name: str) -> Callable[[], Ring]:
        """Gives the current ring: `account`, `container`, `object`, `object-N`. Raises ConfigError."""
        path = os.path.join(self._ring_dir, f"{name}.ring")
        return RingLoader(path, self.logger, self._ring_check_interval).get

    def peers(self, kind: str) -> Peers:
        """The servers of accounts or containers, to tell them rows."""
        return Peers(self.transport, self.ring(kind), self.cluster.salt, self.logger)

    def is_own(self, node: Node) -> bool:
        """Is the node a device of this very server?"""
        return node.address in self._addresses or (node.replication_ip, node.replication_port) in self._addresses

    def available(self) -> Iterator[tuple[str, Device]]:
        """The devices that can be used now, by name."""
        for name in self.devices.names():
            try:
                yield name, self.devices.get(name)
            except DeviceUnavailable as error:
                self.logger.debug("%s", error)

    @cached_property
    def store(self) -> ProxyApp:
        """A proxy without filters and layers, in this process: for what clients could do as well."""
        return proxy_app(self.conf, self.transport, layers=())


class Work(NamedTuple):
    """What a daemon is to do, see `daemon.runner`.

    told: numbers and texts by name, of its progress, for monitoring; a name that ends in `_total` is that of
    a number that only grows. `devices` may hold such by the name of a device. stop: lets units that take long
    know that the daemon is to end.
    """

    begin_pass: Pass
    pace: Pace
    told: Callable[[], Mapping[str, object]] = dict
    stop: Callable[[], None] | None = None


class Duty(NamedTuple):
    """One daemon: name as in `object-updater`; settings of its own, none of which another duty has."""

    name: str
    settings: settings.Table
    make: Callable[[Surroundings], Work]
