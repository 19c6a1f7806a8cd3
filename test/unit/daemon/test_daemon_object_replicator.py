"""Copies of objects made equal, over real files, in one process: four devices, three replicas."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from objstore.cli.apps import remote_transports, storage_apps
from objstore.core.errors import NodeUnreachable, NotFound
from objstore.core.names import HashSalt, Location, Name
from objstore.core.nodes import Node
from objstore.core.timestamps import Clock, Timestamp
from objstore.daemon.object_partition import Options, Peers, Place
from objstore.daemon.object_replicator import Host, ObjectReplicator
from objstore.replication.objects_messages import boot_identity, device_identity
from objstore.replication.objects_sender import Bounds, Flow
from objstore.ring import Ring
from objstore.ring.builder import RingBuilder
from objstore.runtime.files import FILES
from objstore.store.interface import ObjectData, ObjectMetadata
from objstore.store.objects.layout import Layout
from objstore.wire.local import LocalTransport
from objstore.wire.messages import NodeRequest, NodeResponse, Upload

WEEK = 7 * 86400.0
SALT = HashSalt(b"a", b"")


def node(device: str) -> Node:
    return Node(-1, 1, 1, "127.0.0.1", 6200, device, weight=1.0)


class Network:
    """The in-process transport, with devices that can be cut off. steps: what was asked of which device."""

    def __init__(self, local: LocalTransport) -> None:
        self._local = local
        self.down: set[str] = set()
        self.steps: list[tuple[str, str]] = []

    def _note(self, node: Node, request: NodeRequest) -> None:
        self.steps.append((node.device, request.query.removeprefix("step=")))
        if node.device in self.down:
            raise NodeUnreachable(str(node))

    def call(self, node: Node, request: NodeRequest) -> NodeResponse:
        self._note(node, request)
        return self._local.call(node, request)

    def upload(self, node: Node, request: NodeRequest, length: int | None) -> Upload:
        self._note(node, request)
        return self._local.upload(node, request, length)


class Cluster:
    def __init__(self, root: Path, devices: int = 4) -> None:
        self.root = root
        (root / "objstore.conf").write_text("[hash]\nprefix = a\n")
        self.builder = RingBuilder(4, 3, 0)
        for number in range(1, devices + 1):
            self.add(f"d{number}")
        conf = {"ring_dir": str(root), "devices": str(root / "devices"), "mount_check": "no", "log_to": "none"}
        self.storage = storage_apps(conf, remote_transports(conf))
        self.network = Network(LocalTransport({"object": self.storage.object}))
        self.clock = Clock()
        self.ring = self.rebalanced()
        self.options = Options(WEEK, bounds=Bounds(bytes=10_000, changes=10, large=5_000))
        self.is_own: Callable[[Node], bool] = lambda node: True

    def add(self, device: str) -> None:
        (self.root / "devices" / device).mkdir(parents=True)
        self.builder.add(node(device))

    def rebalanced(self) -> Ring:
        self.builder.rebalance(0, seed=0)
        return Ring(self.builder.contents())

    def store(self, device: str) -> Any:
        return self.storage.devices.get(device).objects(0)

    def location(self, name: str) -> Location:
        name_hash = SALT.hash(Name("a", "c", name))
        return Location(self.ring.partition(name_hash), name_hash)

    def primaries(self, name: str) -> list[str]:
        return [node.device for node in self.ring.primaries(self.location(name).partition)]

    def others(self, name: str) -> list[str]:
        return [device for device in self.storage.devices.names() if device not in self.primaries(name)]

    def put(self, name: str, content: bytes = b"content", on: list[str] | None = None) -> Timestamp:
        at = self.clock.now()
        for device in self.primaries(name) if on is None else on:
            with self.store(device).create(self.location(name), len(content)) as writer:
                writer.write(content)
                writer.commit(ObjectData(f"/a/c/{name}", at, "a/b", {"X-Object-Meta-Of": name}))
        return at

    def delete(self, name: str, on: list[str], at: Timestamp | None = None) -> Timestamp:
        at = at or self.clock.now()
        for device in on:
            self.store(device).delete(self.location(name), f"/a/c/{name}", at)
        return at

    def content(self, name: str, device: str) -> bytes | None:
        try:
            with self.store(device).open(self.location(name)) as reader:
                return b"".join(map(bytes, reader.read(0, reader.info.size)))
        except NotFound:
            return None

    def holders(self, name: str) -> list[str]:
        """Devices that have a file of a name."""
        path = Layout("", 0).hash_dir(self.location(name))
        return sorted(d.name for d in (self.root / "devices").iterdir() if any((d / path.lstrip("/")).glob("*")))

    def replicator(self, *devices: str, now: Callable[[], float] = time.time) -> ObjectReplicator:
        names = devices or tuple(self.storage.devices.names())
        identity = partial(device_identity, boot_identity())

        def places() -> Iterator[Place]:
            for name in names:
                path = str(self.root / "devices" / name)
                yield Place(name, 0, self.store(name), lambda: self.ring, identity(path), lambda: None)

        logger = logging.getLogger("test.replicator")
        peers = Peers(self.network, Flow(lambda _: None, lambda _: None), 0.0, logger)
        return ObjectReplicator(Host(places, self.is_own, lambda: None), peers, self.options, now)

    def run(self, *devices: str, passes: int = 1) -> dict[str, Any]:
        """What the replicator of these devices tells after so many passes."""
        replicator = self.replicator(*devices)
        for _ in range(passes):
            for unit in replicator.passes():
                unit()
        return dict(replicator.told())


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


NAMES = [f"o{number}" for number in range(40)]


def test_an_emptied_device_is_refilled(cluster: Cluster) -> None:
    for name in NAMES:
        cluster.put(name, name.encode() * 100)
    FILES.remove_tree(str(cluster.root / "devices/d1/objects")) if hasattr(FILES, "remove_tree") else None
    import shutil

    shutil.rmtree(cluster.root / "devices/d1")
    (cluster.root / "devices/d1").mkdir()
    told = cluster.run()
    mine = [name for name in NAMES if "d1" in cluster.primaries(name)]
    assert mine
    for name in mine:
        assert cluster.content(name, "d1") == name.encode() * 100
    assert told["sent_total"] == len(mine)
    assert told["failures"] == 0
    cluster.network.steps.clear()
    told = cluster.run()
    assert {step for _, step in cluster.network.steps} == {"compare"}
    assert told["sent_total"] == 0
