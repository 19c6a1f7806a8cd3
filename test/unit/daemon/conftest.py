"""A small cluster in this process: three devices behind the servers' apps, rings, and a way to break nodes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from objstore.assembly.apps import remote_transports, storage_servers
from objstore.core.errors import NodeUnreachable
from objstore.core.names import HashSalt, Location, Name
from objstore.core.nodes import Node
from objstore.core.timestamps import Clock
from objstore.daemon.delivery import Peers
from objstore.ring import Ring
from objstore.ring.builder import RingBuilder
from objstore.server.devices import Device
from objstore.wire.local import LocalTransport
from objstore.wire.messages import NodeRequest, NodeResponse, Upload


class Breakable:
    """The in-process transport, with nodes that can be down. calls: how many requests were sent."""

    def __init__(self, local: LocalTransport) -> None:
        self._local = local
        self.down: set[str] = set()
        self.calls = 0

    def call(self, node: Node, request: NodeRequest) -> NodeResponse:
        self.calls += 1
        if node.device in self.down:
            raise NodeUnreachable(str(node))
        return self._local.call(node, request)

    def upload(self, node: Node, request: NodeRequest, length: int | None) -> Upload:
        return self._local.upload(node, request, length)


class Cluster:
    """Three devices, each of which holds a replica of everything."""

    def __init__(self, root: Path) -> None:
        (root / "objstore.conf").write_text("[hash]\nprefix = a\n")
        names = ["d1", "d2", "d3"]
        for name in names:
            (root / "devices" / name).mkdir(parents=True)
        conf = {"ring_dir": str(root), "devices": str(root / "devices"), "mount_check": "no", "log_to": "none"}
        transports = remote_transports(conf)
        storage = storage_servers(conf, transports)
        self.devices = storage.devices
        self.transport = Breakable(LocalTransport(storage.by_kind))
        self.salt = HashSalt(b"a", b"")
        self.clock = Clock()
        self.ring = ring_of(names)
        self.peers = Peers(self.transport, lambda: self.ring, self.salt, logging.getLogger("test.daemon"))

    def device(self, name: str) -> Device:
        return self.devices.get(name)

    def cluster_device(self, name: str) -> Device:
        """A further device, that no ring has."""
        (Path(self.devices.root) / name).mkdir()
        return self.device(name)

    def is_primary(self, device: str, location: Location) -> bool:
        return any(node.device == device for node in self.ring.primaries(location.partition))

    @property
    def all(self) -> list[Device]:
        return [self.device(name) for name in self.devices.names()]

    def location(self, name: Name) -> Location:
        name_hash = self.salt.hash(name)
        return Location(self.ring.partition(name_hash), name_hash)

    def make_account(self, account: str) -> Location:
        name = Name(account)
        for device in self.all:
            device.accounts.create(self.location(name), name, self.clock.now(), {})
        return self.location(name)

    def make_container(self, account: str, container: str) -> Location:
        name = Name(account, container)
        for device in self.all:
            device.containers.create(self.location(name), name, self.clock.now(), 0, {})
        return self.location(name)


def ring_of(devices: list[str]) -> Ring:
    builder = RingBuilder(4, len(devices), 1)
    for device in devices:
        builder.add(Node(-1, 1, 1, "127.0.0.1", 6200, device, weight=1.0))
    builder.rebalance(0, seed=0)
    return Ring(builder.contents())


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


@pytest.fixture
def run_pass() -> Callable[..., int]:
    """Runs one pass of a daemon to its end; how many units there were."""

    def run(daemon: object) -> int:
        units = 0
        for unit in daemon.passes():  # type: ignore[attr-defined]
            if callable(unit):
                unit()
            units += 1
        return units

    return run
