"""What daemons are made of: this host's devices, the rings, and the ways to other hosts."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from typing import Any, NamedTuple

from objstore.assembly.apps import STORAGE_SETTINGS, proxy_app
from objstore.cluster.cluster import Transports
from objstore.core.errors import DeviceUnavailable
from objstore.core.nodes import Node
from objstore.daemon.delivery import Peers
from objstore.daemon.runner import Pace, Pass
from objstore.ring import Ring, RingLoader
from objstore.runtime import cluster_conf, metrics, priority, recon_files, settings, statsd
from objstore.runtime.addresses import own_ips
from objstore.runtime.settings import Setting, duration
from objstore.server.devices import Device, Devices
from objstore.swift.app import ProxyApp

Address = tuple[str, int]

# Of all daemons.
DAEMON_SETTINGS: settings.Table = (
    Setting("own_ips", str.strip, "", "addresses by which rings name this host; empty: bind_ip, or all it has"),
    Setting("daemon_processes", settings.positive, "3", "in how many processes they run at most; some 30 MB each"),
    *priority.SETTINGS,
)
# Of what is seen of daemons, and of servers too.
TOLD_SETTINGS: settings.Table = (*recon_files.SETTINGS, *statsd.SETTINGS, *metrics.SETTINGS)
SETTINGS: settings.Table = (
    Setting("ring_check_interval", duration, "15s", "how often to look for a newer ring file"),
    *DAEMON_SETTINGS,
    *STORAGE_SETTINGS,
)


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
        self._values = settings.read(SETTINGS, conf, "daemons")
        self.cluster = cluster_conf.load(self._values.ring_dir)
        if addresses is None:
            port = int(conf.get("bind_port", "0"))
            ips = own_ips(conf.get("bind_ip", "0.0.0.0"), self._values.own_ips)
            addresses = frozenset((ip, port) for ip in ips)
        self._addresses = addresses
        self.ring = cache(self._ring)

    def read(self, table: settings.Table) -> Any:
        """The settings of a duty; raises ConfigError."""
        return settings.read(table, self.conf, "daemons")

    def _ring(self, name: str) -> Callable[[], Ring]:
        """Gives the current ring: `account`, `container`, `object`, `object-N`. Raises ConfigError."""
        path = os.path.join(self._values.ring_dir, f"{name}.ring")
        return RingLoader(path, self.logger, self._values.ring_check_interval).get

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
    told: Callable[[], Mapping[str, Any]] = dict
    stop: Callable[[], None] | None = None


class Duty(NamedTuple):
    """One daemon: name as in `object-updater`; settings of its own, none of which another duty has."""

    name: str
    settings: settings.Table
    make: Callable[[Surroundings], Work]
