"""Replicas of containers and accounts on three devices, with nodes that are down, lost and new."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objstore.core.errors import Conflict, NodeFailure, NotFound
from objstore.core.names import Location, Name
from objstore.core.nodes import Node
from objstore.core.timestamps import Timestamp
from objstore.daemon.duties.database_replicator import (
    Around,
    DatabaseReplicationOptions,
    DatabaseReplicator,
    DeviceReplicas,
    is_due,
)
from objstore.replication.databases import DatabaseBounds
from objstore.ring import Ring
from objstore.ring.builder import RingBuilder
from objstore.store.databases import ContainerRow, ListingQuery, ObjectRow

AGE = 1000.0
NAME = Name("a", "c")


class World:
    """A replicator for each device, which stands for a host. ring: the one that all of them have."""

    def __init__(self, cluster, ring: Ring) -> None:
        self.cluster = cluster
        self.ring = ring
        self.time = 1_700_000_000.0
        self.options = DatabaseReplicationOptions(
            AGE, reclaim_interval=1.0, bounds=DatabaseBounds(rows=7, file_rows=1000)
        )
        self.replicators = {name: self.replicator(name, "containers") for name in cluster.devices.names()}

    def replicator(self, name: str, kind: str) -> DatabaseReplicator:
        def devices() -> Iterator[DeviceReplicas]:
            yield DeviceReplicas(name, getattr(self.cluster.device(name), kind))

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

    def status(self, name: str, what: str):
        return self.replicators[name].status()[what]

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
    (summary,) = store.summaries([place]).values()
    rows = sorted(numbered.row for numbered in store.rows_since(place, 0, 100_000))
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
    before = world.status("d1", "rows_sent_total")
    world.store("d1").merge_rows(place, [world.row("new"), world.row("n003", True)])
    world.run("d1")
    assert world.status("d1", "rows_sent_total") == before + 4
    assert_equal(world, place)
    assert "n003" not in names(world, "d3", place)
    assert world.status("d1", "files_sent_total") == 0


def test_large_database_that_misses_a_thousand_rows_gets_a_thousand_rows(world: World, place: Location) -> None:
    for device in ("d2", "d3"):
        lose(world, device, place)
    world.store("d1").merge_rows(place, [world.row(f"n{number:05d}") for number in range(50_000)])
    world.run("d1")
    assert (world.status("d1", "files_sent_total"), world.status("d1", "rows_sent_total")) == (2, 0)
    world.cluster.transport.down.add("d3")
    world.store("d1").merge_rows(place, [world.row(f"late{number}") for number in range(1000)])
    world.run()
    world.run()
    assert [world.status(device, "rows_sent_total") for device in world.replicators] == [1000, 0, 0]
    assert world.status("d1", "files_sent_total") == 2
    assert world.store("d2").info(place).object_count == 51_000


def lose(world: World, device: str, place: Location) -> None:
    replicas = world.store(device)
    assert replicas.remove_moved(place, replicas.summaries([place])[place.hash])


def test_equal_replicas_cost_nothing_more(world: World, place: Location) -> None:
    for device in ("d1", "d2", "d3"):
        world.store(device).merge_rows(place, [world.row("a"), world.row("b")])
    world.run()
    world.run()
    sent = [world.status(device, "rows_sent_total") for device in world.replicators]
    differences = [world.status(device, "differences_total") for device in world.replicators]
    world.run()
    assert sent == [world.status(device, "rows_sent_total") for device in world.replicators]
    assert differences == [world.status(device, "differences_total") for device in world.replicators]


def test_rows_told_to_all_at_once_go_to_each_peer_once(world: World, place: Location) -> None:
    """What a peer has told need not be told to it: three replicas that know all send half of what they could."""
    for device in world.replicators:
        world.store(device).merge_rows(place, [world.row("a"), world.row("b")])
    rows = [numbered.row for numbered in world.store("d1").rows_since(place, 0, 10)]
    for device in world.replicators:
        world.store(device).merge_rows(place, rows)
    world.run()
    world.run()
    rows = [world.row(f"n{number}") for number in range(20)]
    for device in world.replicators:
        world.store(device).merge_rows(place, rows)
    before = sum(world.status(device, "rows_sent_total") for device in world.replicators)
    world.run()
    world.run()
    assert sum(world.status(device, "rows_sent_total") for device in world.replicators) == before + 3 * len(rows)


def test_peer_that_was_down_catches_up(world: World, place: Location) -> None:
    world.cluster.transport.down.add("d3")
    for device in ("d1", "d2"):
        world.store(device).merge_rows(place, [world.row("a")])
        world.store(device).set_metadata(place, {"X-Container-Meta-Color": "blue"}, world.cluster.clock.now())
    world.run("d1", "d2")
    assert world.status("d1", "failures_total") == 1
    world.cluster.transport.down.clear()
    world.run()
    assert_equal(world, place)


def test_lost_database_comes_back_as_a_file_with_an_id_of_its_own(world: World, place: Location) -> None:
    rows = [world.row(f"n{number:03d}") for number in range(500)]
    for device in world.replicators:
        world.store(device).merge_rows(place, rows)
    world.run()
    world.run()
    lost = world.store("d2").status(place).id
    assert world.store("d2").remove_moved(place, world.store("d2").summaries([place])[place.hash])
    world.run("d1")
    assert world.status("d1", "files_sent_total") == 1
    assert_equal(world, place)
    ids = {world.store(device).status(place).id for device in world.replicators}
    assert len(ids) == 3 and lost not in ids
    before = sum(world.status(device, "rows_sent_total") for device in world.replicators)
    world.run()
    world.run()
    # The copy's peers are known to have all of its rows, and it all of theirs.
    assert sum(world.status(device, "rows_sent_total") for device in world.replicators) == before
    assert not list(Path(world.store("d2").path(place)).parents[4].glob("tmp/*/*"))


def test_many_missing_rows_come_as_a_file_that_is_merged(world: World, place: Location) -> None:
    world.store("d1").merge_rows(place, [world.row(f"n{number:04d}") for number in range(1500)])
    world.store("d2").merge_rows(place, [world.row("own"), world.row("n0007", True)])
    world.run("d1")
    assert world.status("d1", "files_sent_total") == 2
    world.run()
    world.run()
    assert_equal(world, place)
    listed = names(world, "d1", place)
    assert "own" in listed and "n0007" not in listed and len(listed) == 1500
    assert world.status("d3", "rows_sent_total") < 10 and not world.status(
        "d3", "files_sent_total"
    )  # it has little to say


def test_deletion_travels_and_a_replica_that_was_away_does_not_bring_the_container_back(
    world: World, place: Location
) -> None:
    world.cluster.transport.down.add("d3")
    for device in ("d1", "d2"):
        world.store(device).delete(place, world.cluster.clock.now())
    world.run("d1", "d2")
    world.cluster.transport.down.clear()
    world.run("d3")
    assert all(world.store(device).status(place).deleted for device in world.replicators)
    assert_equal(world, place)


def test_deleted_database_is_removed_when_old_known_to_all_and_reported(world: World, place: Location) -> None:
    _delete_at(world, place, Timestamp.from_seconds(world.time))
    world.run()
    assert all(os.path.exists(world.store(device).path(place)) for device in world.replicators)
    world.time += AGE
    world.run()
    assert all(os.path.exists(world.store(device).path(place)) for device in world.replicators)  # not reported yet
    for device in world.replicators:
        row = world.store(device).unreported(place, world.cluster.clock.now())
        world.store(device).set_reported(place, row)
    world.cluster.transport.down.add("d2")
    world.run("d1", "d3")
    assert os.path.exists(world.store("d1").path(place))  # d2 may not know
    world.cluster.transport.down.clear()
    world.run()
    world.run()
    assert not any(os.path.exists(world.store(device).path(place)) for device in world.replicators)


def _delete_at(world: World, place: Location, deleted: Timestamp) -> None:
    """As if the container had been made and deleted at the beginning of the world's time."""
    for device in world.replicators:
        world.store(device).close()
        with sqlite3.connect(world.store(device).path(place)) as connection:
            connection.execute(
                "UPDATE info SET created_at = ?, put_timestamp = ?, status_changed_at = ?, delete_timestamp = ?",
                (*[Timestamp(10**5).internal] * 2, deleted.internal, deleted.internal),
            )
        connection.close()


def test_tombstones_are_reclaimed_when_all_primaries_have_them(world: World, place: Location) -> None:
    old = ObjectRow("old", Timestamp.from_seconds(world.time - 2 * AGE), True)
    new = ObjectRow("new", Timestamp.from_seconds(world.time), True)
    world.cluster.transport.down.add("d3")
    for device in ("d1", "d2"):
        world.store(device).merge_rows(place, [old, new])
    world.run("d1", "d2")
    world.run("d1", "d2")
    assert world.status("d1", "rows_reclaimed_total") == 0
    world.cluster.transport.down.clear()
    world.run()
    world.run()
    assert world.status("d1", "rows_reclaimed_total") == 1
    world.run()
    for device in world.replicators:
        rows = world.store(device).rows_since(place, 0, 10)
        assert [numbered.row.name for numbered in rows] == ["new"]


def test_moved_database_comes_to_its_new_place_and_leaves_the_old(world: World, place: Location) -> None:
    world.store("d1").merge_rows(place, [world.row("a")])
    (Path(world.cluster.devices.root) / "d4").mkdir()
    world.replicators["d4"] = world.replicator("d4", "containers")
    world.ring = ring_of("d2", "d3", "d4")
    world.run("d1")  # their statuses become equal
    world.run("d1")
    assert world.status("d1", "removed_total") == 1
    assert world.status("d1", "handoffs_left") == 0
    assert not (Path(world.cluster.devices.root) / "d1" / "containers" / str(place.partition)).exists()
    world.run()
    assert_equal(world, place, "d2", "d3", "d4")
    assert names(world, "d4", place) == ["a"]


def test_moved_database_stays_while_a_primary_lacks_it(world: World, place: Location) -> None:
    (Path(world.cluster.devices.root) / "d4").mkdir()
    world.ring = ring_of("d2", "d3", "d4")
    world.cluster.transport.down.add("d3")
    world.run("d1")
    assert world.status("d1", "handoffs_left") == 1
    assert os.path.exists(world.store("d1").path(place))
    world.cluster.transport.down.clear()
    world.run("d1")
    world.run("d1")
    assert not os.path.exists(world.store("d1").path(place))


def test_change_after_the_push_keeps_a_moved_database(world: World, place: Location) -> None:
    replicas = world.store("d1")
    pushed = replicas.summaries([place])[place.hash]
    world.store("d1").merge_rows(place, [world.row("late")])
    assert not replicas.remove_moved(place, pushed)
    world.store("d1").set_metadata(place, {"X-Container-Meta-A": "b"}, world.cluster.clock.now())
    assert not replicas.remove_moved(place, pushed._replace(max_row=1))
    assert replicas.remove_moved(place, replicas.summaries([place])[place.hash])


def test_next_handoff_stands_in_for_a_device_that_is_gone(world: World, place: Location) -> None:
    world.store("d1").merge_rows(place, [world.row("a")])
    root = Path(world.cluster.devices.root)
    (root / "d4").mkdir()
    world.ring = ring_of("d1", "d2", "d3", "d4")
    primaries = [node.device for node in world.ring.primaries(place.partition)]
    (spare,) = {"d1", "d2", "d3", "d4"} - set(primaries)
    source, gone = primaries[0], primaries[1]
    for device in primaries:
        world.cluster.device(device).containers.create(place, NAME, world.cluster.clock.now(), 0, {})
    (root / gone).rename(root.parent / "away")
    world.cluster.devices._checked.clear()
    world.replicators = {source: world.replicator(source, "containers")}
    world.run(source)
    assert os.path.exists(world.store(spare).path(place))
    world.cluster.devices._checked.clear()


def test_damaged_database_is_not_taken_and_its_sender_quarantines_it(world: World, place: Location) -> None:
    rows = [world.row(f"n{number:05d}" + "x" * 200) for number in range(2000)]
    for device in ("d1", "d3"):
        world.store(device).merge_rows(place, rows)
    path = world.store("d1").path(place)
    world.store("d1").close()
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096)
    assert world.store("d2").remove_moved(place, world.store("d2").summaries([place])[place.hash])
    world.run("d1")
    assert not os.path.exists(world.store("d2").path(place))
    assert not os.path.exists(path)
    assert list(Path(path).parents[4].glob("quarantined/containers/*"))
    world.run("d3")
    world.run()
    assert_equal(world, place)


def test_totals_that_do_not_agree_make_all_rows_be_sent_again(world: World, place: Location) -> None:
    """A replica that lost rows which it had told it has, as by a power cut without synchronous writing."""
    rows = [world.row(f"n{number}") for number in range(5)]
    for device in world.replicators:
        world.store(device).merge_rows(place, rows)
    world.run()
    world.run()
    path = world.store("d2").path(place)
    world.store("d2").close()
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM object WHERE name = 'n3'")
        connection.execute("UPDATE policy_stat SET object_count = 4, bytes_used = 20, quota_bytes = 20")
    connection.close()
    world.run("d1")
    assert_equal(world, place)


def test_totals_of_many_rows_that_do_not_agree_are_mended_row_by_row(world: World, place: Location) -> None:
    """As a file all rows were taken for known, as their numbers are."""
    world.options = world.options._replace(bounds=DatabaseBounds(rows=7, file_rows=10))
    world.replicators = {name: world.replicator(name, "containers") for name in world.replicators}
    rows = [world.row(f"n{number:02d}") for number in range(30)]
    for device in world.replicators:
        world.store(device).merge_rows(place, rows)
    world.run()
    world.run()
    forget_row(world, "d2", place, "n03")
    world.run("d1")
    assert_equal(world, place)


def forget_row(world: World, device: str, place: Location, name: str) -> None:
    world.store(device).close()
    connection = sqlite3.connect(world.store(device).path(place))
    with connection:
        connection.execute("DELETE FROM object WHERE name = ?", (name,))
        connection.execute(
            "UPDATE policy_stat SET object_count = object_count - 1,"
            " bytes_used = bytes_used - 5, quota_bytes = quota_bytes - 5"
        )
    connection.close()


def test_rows_are_sent_again_though_the_first_try_failed(world: World, place: Location) -> None:
    for device in world.replicators:
        world.store(device).merge_rows(place, [world.row("a")])
    world.run()
    world.run()
    forget_row(world, "d2", place, "a")
    call = world.cluster.transport.call

    def busy(node: Node, request):
        if "step=rows" in request.query:
            raise NodeFailure("busy")
        return call(node, request)

    world.cluster.transport.call = busy
    world.run("d1")
    world.cluster.transport.call = call
    world.run("d1")
    assert_equal(world, place)


def checkpointed(world: World, device: str, place: Location) -> Path:
    """The path of a database that is all in one file."""
    world.store(device).close()
    path = Path(world.store(device).path(place))
    assert not Path(f"{path}-wal").exists()
    return path


@pytest.mark.parametrize("also_new", [False, True])
def test_database_restored_from_a_backup_gets_what_it_lost_and_loses_nothing_new(
    world: World, place: Location, also_new: bool
) -> None:
    """Its rows had numbers again that peers took for those they had, and theirs were taken for known. Totals say
    nothing of it here: they are equal."""
    for device in world.replicators:
        world.store(device).merge_rows(place, [world.row("a"), world.row("b")])
    world.run()
    world.run()
    path = checkpointed(world, "d2", place)
    backup = path.read_bytes()
    for device in world.replicators:
        world.store(device).merge_rows(place, [world.row("a"), world.row("gone", deleted=True)])
    world.run()
    world.run()
    checkpointed(world, "d2", place).write_bytes(backup)
    if also_new:
        world.store("d2").merge_rows(place, [world.row("new")])
    for _ in range(3):
        world.run()
    assert_equal(world, place)
    assert names(world, "d1", place) == (["a", "b", "new"] if also_new else ["a", "b"])
    assert world.store("d2").unreported(place, Timestamp(1)) is not None


def test_handoff_that_lost_rows_is_not_removed_before_its_new_ones_are_elsewhere(world: World, place: Location) -> None:
    world.store("d1").merge_rows(place, [world.row("a"), world.row("b")])
    world.run()
    world.run()
    path = checkpointed(world, "d1", place)
    backup = path.read_bytes()
    world.store("d1").merge_rows(place, [world.row("c"), world.row("d")])
    world.run()
    checkpointed(world, "d1", place).write_bytes(backup)
    world.store("d1").merge_rows(place, [world.row("new")])
    (Path(world.cluster.devices.root) / "d4").mkdir()
    world.ring = ring_of("d2", "d3", "d4")
    for _ in range(3):
        world.run("d1")
    assert world.status("d1", "removed_total") == 1
    assert names(world, "d2", place) == names(world, "d3", place) == ["a", "b", "c", "d", "new"]


def test_copy_of_a_container_reports_its_totals_itself(world: World, place: Location) -> None:
    """The account may have been told wrong ones by the database that was there before."""
    world.store("d1").merge_rows(place, [world.row("a")])
    world.run("d1")
    for device in world.replicators:
        store = world.store(device)
        store.set_reported(place, store.unreported(place, world.cluster.clock.now()))
    world.run()
    lose(world, "d3", place)
    world.run()
    row = world.store("d3").unreported(place, world.cluster.clock.now())
    assert (row.object_count, row.bytes_used) == (1, 5)
    assert world.store("d1").unreported(place, world.cluster.clock.now()) is None


def test_account_deleted_long_ago_is_not_forgotten_while_it_has_containers(world: World) -> None:
    """Primaries that had never heard of it counted as if they had forgotten it, and its handoff was removed."""
    place = world.cluster.make_account("a")
    row = ContainerRow("c", world.cluster.clock.now())
    for device in ("d1", "d2", "d3"):
        world.cluster.device(device).accounts.merge_rows(place, [row])
        world.cluster.device(device).accounts.delete(place, world.cluster.clock.now())
    world.time = world.cluster.clock.now().seconds + 10 * AGE
    for device in ("d4", "d5"):
        (Path(world.cluster.devices.root) / device).mkdir()
    world.replicators = {name: world.replicator(name, "accounts") for name in ("d1", "d2", "d3")}
    world.ring = ring_of("d3", "d4", "d5")
    for _ in range(3):
        world.run()
    for device in ("d3", "d4", "d5"):
        assert world.cluster.device(device).accounts.status(place).container_count == 1
    for device in ("d1", "d2"):
        with pytest.raises(NotFound):
            world.cluster.device(device).accounts.status(place)


def test_replicator_told_to_end_leaves_the_rest_of_a_partition(world: World, place: Location) -> None:
    world.store("d1").merge_rows(place, [world.row(f"n{number:02d}") for number in range(30)])
    call = world.cluster.transport.call

    def stopping(node: Node, request):
        if "step=rows" in request.query:
            world.replicators["d1"].stop()
        return call(node, request)

    world.cluster.transport.call = stopping
    world.run("d1")
    assert 0 < world.status("d1", "rows_sent_total") <= 7  # one page
    world.cluster.transport.call = call
    world.replicators["d1"] = world.replicator("d1", "containers")
    world.run("d1")
    assert len(names(world, "d2", place)) == len(names(world, "d3", place)) == 30


def test_accounts_are_replicated_too(world: World) -> None:
    place = world.cluster.make_account("a")
    world.replicators = {name: world.replicator(name, "accounts") for name in world.replicators}
    store = world.cluster.device("d1").accounts
    store.merge_rows(place, [ContainerRow("c", Timestamp(20), object_count=2, bytes_used=9)])
    world.run("d1")
    for device in ("d2", "d3"):
        info = world.cluster.device(device).accounts.info(place)
        assert (info.container_count, info.object_count, info.bytes_used) == (1, 2, 9)


@pytest.mark.parametrize(
    ("since", "until", "due"), [(0, 10, True), (4, 5, True), (5, 10, False), (0, 4, False), (6, 15.5, True)]
)
def test_each_database_is_due_once_in_an_interval(since: float, until: float, due: bool) -> None:
    assert is_due("80000000" + "0" * 24, since + 100, until + 100, 10.0) is due


_DEVICES = ("d1", "d2", "d3")
_names = st.sampled_from(["a", "b", "c"])
_times = st.integers(1, 9)
_device = st.sampled_from(_DEVICES)
_steps = st.one_of(
    st.tuples(st.just("row"), _device, _names, _times, st.booleans()),
    st.tuples(st.just("meta"), _device, st.sampled_from(["X-Container-Meta-A", "X-Container-Meta-B"]), _times),
    st.tuples(st.just("delete"), _device, _times),
    st.tuples(st.just("create"), _device, _times, st.integers(0, 1)),
    st.tuples(st.just("lose"), _device),
    st.tuples(st.just("pass"), _device, st.one_of(st.none(), _device)),
)


def apply(world: World, place: Location, step: tuple) -> None:
    what, device, *rest = step
    store = world.store(device)
    with contextlib.suppress(NotFound, Conflict, KeyError):
        match what:
            case "row":
                name, when, deleted = rest
                row = ObjectRow(name, stamp(when), deleted, 0 if deleted else when, "t", f"{device}{when}")
                store.merge_rows(place, [row])
            case "meta":
                key, when = rest
                store.set_metadata(place, {key: device if when % 3 else ""}, stamp(when))
            case "delete":
                store.delete(place, stamp(rest[0]))
            case "create":
                store.create(place, NAME, stamp(rest[0]), rest[1], {})
            case "lose":
                store.remove_moved(place, store.summaries([place])[place.hash])
            case "pass":
                world.cluster.transport.down = {rest[0]} - {None}
                world.run(device)
                world.cluster.transport.down = set()


def stamp(when: int) -> Timestamp:
    return Timestamp(1_700_000_000 * 10**5 + when)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_steps, max_size=25))
def test_replicas_that_exchange_in_any_order_end_equal(cluster, steps: list[tuple]) -> None:
    with tempfile.TemporaryDirectory() as root:
        made = type(cluster)(Path(root))  # one of its own for each example
        world = World(made, made.ring)
        place = made.location(NAME)
        for device in _DEVICES:
            world.store(device).create(place, NAME, stamp(0), 0, {})
        for step in steps:
            apply(world, place, step)
        for _ in range(4):
            world.run()
        if os.path.exists(world.store("d1").path(place)):
            assert_equal(world, place)
        else:
            assert not any(os.path.exists(world.store(device).path(place)) for device in _DEVICES)
        sent = [world.status(device, "rows_sent_total") for device in _DEVICES]
        world.run()
        assert [world.status(device, "rows_sent_total") for device in _DEVICES] == sent
        for device in _DEVICES:
            world.store(device).close()


def test_database_of_another_part_power_is_left_alone(world: World, place: Location) -> None:
    builder = RingBuilder(5, 3, 1)
    for device in _DEVICES:
        builder.add(Node(-1, 1, 1, "127.0.0.1", 6200, device, weight=1.0))
    builder.rebalance(0, seed=0)
    world.ring = Ring(builder.contents())
    assert world.ring.partition(place.hash) != place.partition
    world.store("d1").merge_rows(place, [world.row("a")])
    world.run()
    assert names(world, "d1", place) == ["a"]
    assert world.status("d1", "rows_sent_total") == 0


def test_progress_is_told_by_device(world: World, place: Location) -> None:
    world.run("d1")
    report = world.replicators["d1"].status()
    assert (
        report["partitions_done"] == report["partitions"] == 1
        and report["handoffs_left"] == report["failures_total"] == 0
    )
    assert report["devices"]["d1"]["last_pass"] == report["oldest_pass"] == world.time
    world.cluster.transport.down.add("d2")
    world.run("d1")
    assert (world.status("d1", "failures"), world.status("d1", "failures_total")) == (1, 1)


def test_unchanged_partition_is_compared_in_every_second_pass(world: World, place: Location) -> None:
    world.options = world.options._replace(compare_every=2, reclaim_interval=1e9)
    replicator = world.replicators["d1"] = world.replicator("d1", "containers")
    world.run()
    world.run()  # statuses are equal now
    calls = []
    for _ in range(4):
        world.cluster.transport.calls = 0
        world.run("d1")
        calls.append(world.cluster.transport.calls)
    assert sorted(calls) == [0, 0, 2, 2] and calls[0] != calls[1]
    if calls[-1] == 2:
        world.run("d1")
    world.store("d1").merge_rows(place, [world.row("a")])
    world.run("d1")
    assert names(world, "d3", place) == ["a"]
    lose(world, "d2", place)
    world.run("d1")
    world.run("d1")
    assert names(world, "d2", place) == ["a"]
    assert replicator.status()["failures_total"] == 0


def test_host_that_does_not_know_its_own_address_removes_nothing(world: World, place: Location) -> None:
    def devices() -> Iterator[DeviceReplicas]:
        yield DeviceReplicas("d1", world.store("d1"))

    world.ring = ring_of("d1", replicas=1)
    transport, logger = world.cluster.transport, logging.getLogger("test")
    around = Around(devices, lambda: world.ring, lambda node: False, transport, logger)
    world.replicators["d1"] = DatabaseReplicator(around, world.options, lambda: world.time)
    for rows in ([], [world.row("a")]):
        world.store("d1").merge_rows(place, rows)
        world.run("d1")
        assert os.path.exists(world.store("d1").path(place))
        assert world.status("d1", "failures_total") > 0
