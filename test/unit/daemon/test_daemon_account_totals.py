"""Account totals end as what containers hold, whatever was lost, moved or deleted while they were reported."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objstore.core.errors import Conflict, NotFound
from objstore.core.names import Location, Name
from objstore.core.nodes import Node
from objstore.daemon.duties.container_updater import ReportedContainers, TotalsUpdater
from objstore.daemon.duties.database_replicator import (
    Around,
    DatabaseReplicationOptions,
    DatabaseReplicator,
    DeviceReplicas,
)
from objstore.ring import Ring
from objstore.ring.builder import RingBuilder
from objstore.store.databases import ContainerStore, ObjectRow

NAME = Name("a", "c")
DEVICES = ("d1", "d2", "d3", "d4")


class World:
    """Four devices, each of a host of its own, of which the ring of the moment has three."""

    def __init__(self, cluster) -> None:
        self.cluster = cluster
        self.account = cluster.make_account("a")
        cluster.cluster_device("d4")
        self.rings = [ring_of(*(device for device in DEVICES if device != spare)) for spare in DEVICES]
        self.ring = self.rings[3]
        self.place = cluster.location(NAME)
        self.replicators = {name: self._replicator(name) for name in DEVICES}
        self.updaters = {name: self._updater(name) for name in DEVICES}

    def store(self, name: str) -> ContainerStore:
        return self.cluster.device(name).containers

    def _replicator(self, name: str) -> DatabaseReplicator:
        def is_own(node: Node) -> bool:
            return node.device == name

        around = Around(
            lambda: [DeviceReplicas(name, self.store(name))],
            lambda: self.ring,
            is_own,
            self.cluster.transport,
            logging.getLogger("test"),
        )
        return DatabaseReplicator(around, DatabaseReplicationOptions())

    def _updater(self, name: str) -> TotalsUpdater:
        def is_primary(device: str, place: Location) -> bool:
            return any(node.device == device for node in self.ring.primaries(place.partition))

        devices = [ReportedContainers(name, self.store(name))]
        return TotalsUpdater(lambda: devices, is_primary, self.cluster.peers, self.cluster.clock, full_interval=0.0)

    def run(self, daemon) -> None:
        for unit in daemon.passes():
            unit()

    def apply(self, step: tuple[str, str, int]) -> None:
        what, device, number = step
        store, now = self.store(device), self.cluster.clock.now
        with contextlib.suppress(NotFound, Conflict, KeyError):
            match what:
                case "row":
                    store.merge_rows(self.place, [ObjectRow(f"o{number}", now(), False, number, "t", "e")])
                case "tombstone":
                    store.merge_rows(self.place, [ObjectRow(f"o{number}", now(), True)])
                case "create":
                    store.create(self.place, NAME, now(), 0, {})
                case "delete":
                    store.delete(self.place, now())
                case "lose":
                    store.remove_moved(self.place, store.summaries([self.place])[self.place.hash])
                case "replicate":
                    self.run(self.replicators[device])
                case "report":
                    self.run(self.updaters[device])
                case "move":
                    self.ring = self.rings[number]


def ring_of(*devices: str) -> Ring:
    builder = RingBuilder(4, 3, 1)
    for device in devices:
        builder.add(Node(-1, 1, 1, "127.0.0.1", 6200, device, weight=1.0))
    builder.rebalance(0, seed=0)
    return Ring(builder.contents())


_WHATS = ("row", "row", "tombstone", "create", "delete", "lose", "replicate", "replicate", "report", "report", "move")
_steps = st.tuples(st.sampled_from(_WHATS), st.sampled_from(DEVICES), st.integers(0, 3))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_steps, max_size=30))
def test_totals_end_as_what_the_container_holds(cluster, steps: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        world = World(type(cluster)(Path(root)))
        for device in DEVICES[:3]:
            world.apply(("create", device, 0))
        for step in steps:
            world.apply(step)
        for _ in range(4):
            for device in DEVICES:
                world.run(world.replicators[device])
        for device in DEVICES:
            world.run(world.updaters[device])
        check(world)
        for device in DEVICES:
            world.store(device).close()


def check(world: World) -> None:
    held = set()
    for node in world.ring.primaries(world.place.partition):
        with contextlib.suppress(NotFound):
            info = world.store(node.device).status(world.place)
            held.add((0 if info.deleted else 1, info.object_count, info.bytes_used))
    assert len(held) <= 1
    for device in DEVICES[:3] if held else ():
        account = world.cluster.device(device).accounts.info(world.account)
        assert (account.container_count, account.object_count, account.bytes_used) in held
