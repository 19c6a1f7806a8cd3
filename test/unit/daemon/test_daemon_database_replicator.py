"""Replicas of containers and accounts on three devices, with nodes that are down, lost and new."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from objstore.core.names import Location, Name
from objstore.core.nodes import Node
from objstore.core.timestamps import Timestamp
from objstore.daemon.database_replicator import (
    Around,
    DatabaseReplicator,
    DeviceReplicas,
    Options,
)
from objstore.replication.databases import Bounds
from objstore.ring import Ring
from objstore.ring.builder import RingBuilder
from objstore.store.databases import ListingQuery, ObjectRow

AGE = 1000.0
NAME = Name("a", "c")


class World:
    """A replicator for each device, which stands for a host. ring: the one that all of them have."""

    def __init__(self, cluster, ring: Ring) -> None:
        self.cluster = cluster
        self.ring = ring
        self.time = 1_700_000_000.0
        self.options = Options(AGE, reclaim_interval=1.0, bounds=Bounds(rows=7, file_rows=1000))
        self.replicators = {name: self.replicator(name, "containers") for name in cluster.devices.names()}

    def replicator(self, name: str, kind: str) -> DatabaseReplicator:
        def devices() -> Iterator[DeviceReplicas]:
            yield DeviceReplicas(name, getattr(self.cluster.device(name), kind).replicas)

        def is_own(node: Node) -> bool:
            return node.device == name

        around = Around(devices, lambda: self.ring, is_own, self.cluster.transport, logging.getLogger("test"))
        return DatabaseReplicator(around, self.options, lambda: self.time)

    def run(self, *names: str) -> None:
        """A pass on each of these hosts, on all without names."""
        self.time += 10
        for name in names or self.replicators:
            for unit in self.replicators[name].passes():
                unit()

    def told(self, name: str, what: str):
        return self.replicators[name].told()[what]

    def store(self, name: str):
        return self.cluster.device(name).containers

    def at(self, seconds: float) -> Timestamp:
        return Timestamp.from_seconds(self.time + seconds)

    def row(self, name: str, deleted: bool = False) -> ObjectRow:
        return ObjectRow(name, self.cluster.clock.now(), deleted, 0 if deleted else 5, "text/plain", "e")


def ring_of(*devices: str, replicas: int = 3) -> Ring:
    builder = RingBuilder(4, replicas, 1)
    for device in devices:
        builder.add(Node(-1, 1, 1, "127.0.0.1", 6200, device, weight=1.0))
    builder.rebalance(0, seed=0)
    return Ring(builder.contents())


@pytest.fixture
def world(cluster) -> World:
    return World(cluster, cluster.ring)


@pytest.fixture
def place(world: World) -> Location:
    return world.cluster.make_container("a", "c")


def names(world: World, device: str, place: Location) -> list[str]:
    return [item.name for item in world.store(device).list(place, ListingQuery()).items]


def said(world: World, device: str, place: Location) -> tuple[object, ...]:
    """What replicas have to agree on."""
    store = world.store(device)
    (summary,) = store.replicas.summaries([place]).values()
    rows = sorted(numbered.row for numbered in store.replicas.rows_since(place, 0, 100_000))
    return summary.digest, summary.totals, rows


def assert_equal(world: World, place: Location, *devices: str) -> None:
    first, *others = [said(world, device, place) for device in devices or ("d1", "d2", "d3")]
    assert all(other == first for other in others)


def test_replica_that_missed_rows_gets_those_alone(world: World, place: Location) -> None:
    rows = [world.row(f"n{number:03d}") for number in range(100)]
    for device in ("d1", "d2", "d3"):
        world.store(device).merge_rows(place, rows)
    world.run()
    world.run()
    before = world.told("d1", "rows_sent_total")
    world.store("d1").merge_rows(place, [world.row("new"), world.row("n003", True)])
    world.run("d1")
    assert world.told("d1", "rows_sent_total") == before + 4
    assert_equal(world, place)
    assert "n003" not in names(world, "d3", place)
    assert world.told("d1", "files_sent_total") == 0


def test_equal_replicas_cost_nothing_more(world: World, place: Location) -> None:
    for device in ("d1", "d2", "d3"):
        world.store(device).merge_rows(place, [world.row("a"), world.row("b")])
    world.run()
    world.run()
    sent = [world.told(device, "rows_sent_total") for device in world.replicators]
    differences = [world.told(device, "differences_total") for device in world.replicators]
    world.run()
    assert sent == [world.told(device, "rows_sent_total") for device in world.replicators]
    assert differences == [world.told(device, "differences_total") for device in world.replicators]
