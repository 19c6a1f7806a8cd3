"""Rows whose object is gone: which they are, and what is done about them."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from objstore.core.names import Location, Name
from objstore.core.timestamps import TICKS, Timestamp
from objstore.daemon.duties.dangling_rows import DanglingRows, DanglingRowsRules, Look, RowVerdict, is_old, judge
from objstore.daemon.rounds import Round, SearchedPlace
from objstore.store.databases import ListingQuery, ObjectRow
from objstore.store.interface import ObjectData

F, M, S = Look.FOUND, Look.MISSING, Look.SILENT
NOW = 1_000_000.0


def at(seconds: int) -> Timestamp:
    return Timestamp((10_000 + seconds) * TICKS)


@pytest.mark.parametrize(
    ("primaries", "others", "verdict"),
    [
        ([F], [], RowVerdict.SOUND),
        ([M, M, F], [], RowVerdict.SOUND),
        ([S, S, F], [], RowVerdict.SOUND),
        ([M, M, M], [F], RowVerdict.SOUND),
        ([M, M, M], [S, F], RowVerdict.SOUND),
        ([M, M, M], [], RowVerdict.DANGLING),
        ([M, M, M], [M, M], RowVerdict.DANGLING),
        ([M, M, M], [M, S], RowVerdict.UNSEEN),
        ([M, M, S], [], RowVerdict.UNCERTAIN),
        ([M, M, S], [M], RowVerdict.UNCERTAIN),
        ([], [], RowVerdict.UNCERTAIN),
    ],
)
def test_what_devices_say_of_an_object(primaries: list[Look], others: list[Look], verdict: RowVerdict) -> None:
    assert judge(primaries, others) is verdict


def test_a_row_is_as_old_as_its_last_change() -> None:
    assert is_old(ObjectRow("o", at(0)), at(0).seconds + 100, 100)
    assert not is_old(ObjectRow("o", at(0)), at(0).seconds + 99, 100)
    assert not is_old(ObjectRow("o", at(0), meta_timestamp=at(50)), at(0).seconds + 120, 100)


class World:
    """A container and objects, on devices that all hold all."""

    def __init__(self, cluster: Any, account: str = "a") -> None:
        self.cluster = cluster
        self.name = Name(account, "c")
        self.container = cluster.make_container(*self.name[:2])
        self.rounds = {name: Round() for name in cluster.devices.names()}

    def list(self, *rows: ObjectRow) -> None:
        for device in self.cluster.all:
            device.containers.merge_rows(self.container, rows)

    def put(self, text: str, *devices: str) -> None:
        name = self.name._replace(object=text)
        location: Location = self.cluster.location(name)
        for device in devices:
            with self.cluster.device(device).objects(0).create(location, 7) as writer:
                writer.write(b"content")
                writer.commit(ObjectData(name.path, at(0), "text/plain", {}))

    def names(self) -> list[list[str]]:
        stores = [device.containers for device in self.cluster.all]
        return [[each.name for each in store.list(self.container, ListingQuery()).items] for store in stores]

    def delete(self, text: str, raw: int, *devices: str) -> None:
        name = self.name._replace(object=text)
        for device in devices:
            self.cluster.device(device).objects(0).delete(self.cluster.location(name), name.path, at(raw))

    def search(self, repair: bool = False, deletions: bool = False, recent: float = 0.0) -> Round:
        """One more round of every device, its counts together. recent: of rows no older, in seconds; 0: of all."""
        whole = Round()
        for device, found in self.rounds.items():
            search = DanglingRows(
                {0: self.cluster.peers}.get,
                self.cluster.peers,
                lambda node: True,
                DanglingRowsRules(0, 3600, repair, deletions, recent),
                lambda: None,
                logging.getLogger("test.daemon"),
                lambda: NOW,
            )
            found.begin(NOW)
            tour = search.recent if recent else search.tour
            for position in tour(SearchedPlace(device, "", self.cluster.device(device).containers), found):
                found.position = position
            found.end(NOW)
            whole.count(**found.last_counts)
            whole.findings += found.last_findings
        return whole


@pytest.fixture
def world(cluster: Any) -> World:
    return World(cluster)


def test_rows_of_objects_that_are_there_are_sound(world: World) -> None:
    for number in range(250):
        world.put(f"o{number}", "d1", "d2", "d3")
    world.list(*(ObjectRow(f"o{number}", at(0)) for number in range(250)))
    assert world.search().counts == {"rows": 250, "sound": 250}


@pytest.mark.parametrize("device", ["d1", "d2", "d3"])
def test_one_copy_is_enough(world: World, device: str) -> None:
    world.put("o", device)
    world.list(ObjectRow("o", at(0)))
    assert world.search(repair=True).counts == {"rows": 1, "sound": 1}


def test_without_the_setting_a_row_is_reported_only(world: World) -> None:
    world.list(ObjectRow("o", at(0)))
    for _ in range(3):
        found = world.search()
        assert found.counts == {"rows": 1, "dangling": 1}
        assert "/a/c/o" in found.findings[0]
    assert world.names() == [["o"]] * 3


def test_a_row_is_taken_out_in_the_second_round_that_finds_it(world: World) -> None:
    world.list(ObjectRow("gone", at(0)), ObjectRow("there", at(0)))
    world.put("there", "d2")
    assert world.search(repair=True).counts == {"rows": 2, "sound": 1, "dangling": 1}
    assert world.names() == [["gone", "there"]] * 3
    assert world.search(repair=True).counts == {"rows": 2, "sound": 1, "dangling": 1, "repaired": 1}
    assert world.names() == [["there"]] * 3
    assert world.search(repair=True).counts == {"rows": 1, "sound": 1}


def test_what_is_written_between_look_and_repair_stays(world: World) -> None:
    world.list(ObjectRow("o", at(0)))
    world.search(repair=True)
    world.search(repair=True)
    assert world.names() == [[]] * 3
    world.list(ObjectRow("o", Timestamp(at(0).raw + 1)))  # as if it had come just before
    assert world.names() == [["o"]] * 3


def test_with_a_primary_down_nothing_is_touched(world: World) -> None:
    world.list(ObjectRow("o", at(0)))
    world.cluster.transport.down = {"d3"}
    for _ in range(2):
        assert world.search(repair=True).counts == {"rows": 1, "uncertain": 1}
    assert world.names() == [["o"]] * 3


def test_a_row_of_late_is_left_alone(world: World) -> None:
    world.list(ObjectRow("o", Timestamp.from_seconds(NOW - 60)), ObjectRow("gone", at(0), deleted=True))
    assert world.search(repair=True).counts == {}


def test_a_row_of_a_policy_that_is_not_known_is_left_alone(world: World) -> None:
    world.list(ObjectRow("o", at(0), policy_index=7))
    for _ in range(2):
        assert world.search(repair=True).counts == {"rows": 1, "uncertain": 1}


def test_queues_of_the_system_stand_for_no_objects(cluster: Any) -> None:
    world = World(cluster, ".expiring_objects")
    world.list(ObjectRow("1234567890-a/c/o", at(0)))
    assert world.search(repair=True).counts == {}


def test_a_round_goes_on_within_a_container(world: World) -> None:
    world.list(*(ObjectRow(f"o{number}", at(0)) for number in range(30)))
    search = DanglingRows(
        {0: world.cluster.peers}.get,
        world.cluster.peers,
        lambda node: True,
        DanglingRowsRules(0, 3600, False),
        lambda: None,
        logging.getLogger("test.daemon"),
        lambda: NOW,
    )
    first = world.cluster.ring.primaries(world.container.partition)[0].device
    place = SearchedPlace(first, "", world.cluster.device(first).containers)
    positions = list(search.tour(place, Round()))
    assert len(positions) == 30
    again = Round()
    again.position = positions[19]
    assert list(search.tour(place, again)) == positions[20:]
    assert again.counts["rows"] == 10


def test_a_row_whose_object_is_known_to_be_deleted_goes_at_once(world: World) -> None:
    """After a power cut a deletion may be there whose container was never told."""
    world.delete("o", 5, "d1", "d2", "d3")
    world.list(ObjectRow("o", at(0)))
    assert world.search().counts == {"rows": 1, "deleted": 1}
    assert world.names() == [["o"]] * 3
    assert world.search(deletions=True).counts == {"rows": 1, "deleted": 1, "repaired": 1}
    assert world.names() == [[]] * 3


def test_a_row_that_is_newer_than_the_deletion_stays(world: World) -> None:
    world.delete("o", 0, "d1", "d2", "d3")
    world.list(ObjectRow("o", at(5)))
    assert world.search(deletions=True).counts == {"rows": 1, "dangling": 1}
    assert world.names() == [["o"]] * 3


def test_a_round_of_recent_rows_leaves_out_the_others(world: World) -> None:
    world.list(ObjectRow("o", at(0)))
    age = NOW - at(0).seconds
    assert world.search(recent=age + 60).counts == {"rows": 1, "dangling": 1}
    assert world.search(recent=age - 60).counts == {}
