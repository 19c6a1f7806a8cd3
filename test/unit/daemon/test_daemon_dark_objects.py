"""Objects that no container lists: which they are, and what is done about them."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from harness.in_process import Breakable, InProcess, run_pass

from objstore.assembly.duties import auditors, cleaners, updaters
from objstore.core.expiry_queue import ExpiryQueue
from objstore.core.names import Location, Name
from objstore.core.timestamps import TICKS, Timestamp
from objstore.core.versions import UNLISTED
from objstore.daemon.delivery import Peers
from objstore.daemon.duties.dark_objects import (
    DarkObjects,
    DarkObjectsRules,
    ObjectVerdict,
    Other,
    PrimaryAnswer,
    has_ended,
    is_listed,
    is_newest,
    is_queued,
    judge,
    queue_timestamp,
)
from objstore.daemon.rounds import Round, SearchedPlace
from objstore.store.databases import ListingQuery, ObjectRow
from objstore.store.interface import ObjectData, ObjectInfo, ObjectMetadata
from objstore.wire.named_rows import RowStamp
from objstore.wire.rows import OVERRIDE

NAME = Name("a", "c", "o")
OLD = 10_000 * TICKS
NOW = 1_000_000.0


def at(seconds: int) -> Timestamp:
    return Timestamp(OLD + seconds * TICKS)


def row(seconds: int, deleted: bool = False, name: str = "o", policy: int = 0) -> RowStamp:
    return RowStamp(name, at(seconds), deleted, policy)


NOTHING = PrimaryAnswer(())
HAS_NONE = PrimaryAnswer(None)
DELETED = PrimaryAnswer(None, deleted=True)


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ([NOTHING] * 3, ObjectVerdict.DARK),
        ([NOTHING, NOTHING, None], ObjectVerdict.DARK),
        ([NOTHING, NOTHING, HAS_NONE], ObjectVerdict.DARK),  # a new disk, to which it was not brought yet
        ([NOTHING], ObjectVerdict.DARK),
        ([NOTHING, None, None], ObjectVerdict.UNCERTAIN),
        ([None] * 3, ObjectVerdict.UNCERTAIN),
        ([], ObjectVerdict.UNCERTAIN),
        ([NOTHING, None], ObjectVerdict.UNCERTAIN),
        ([NOTHING, HAS_NONE, HAS_NONE], ObjectVerdict.UNCERTAIN),
        ([NOTHING, NOTHING, DELETED], ObjectVerdict.UNCERTAIN),
        ([HAS_NONE] * 3, ObjectVerdict.NO_CONTAINER),
        ([DELETED, DELETED, None], ObjectVerdict.NO_CONTAINER),
        ([HAS_NONE, None, None], ObjectVerdict.UNCERTAIN),
        ([PrimaryAnswer((row(5),)), NOTHING, NOTHING], ObjectVerdict.LISTED),
        ([PrimaryAnswer((row(5),)), None, None], ObjectVerdict.LISTED),
        ([PrimaryAnswer((row(5, deleted=True),)), NOTHING, NOTHING], ObjectVerdict.LISTED),
        ([PrimaryAnswer((row(9, deleted=True),)), NOTHING, NOTHING], ObjectVerdict.LISTED),
        ([PrimaryAnswer((row(9, policy=1),)), NOTHING, NOTHING], ObjectVerdict.LISTED),
        ([PrimaryAnswer((row(4),))] * 3, ObjectVerdict.DARK),  # of what was there before
        ([PrimaryAnswer((row(4, deleted=True),))] * 3, ObjectVerdict.DARK),
        ([PrimaryAnswer((row(5, name="other"),))] * 3, ObjectVerdict.DARK),
    ],
)
def test_what_containers_say_of_an_object(answers: list[PrimaryAnswer | None], verdict: ObjectVerdict) -> None:
    assert judge(answers, "o", at(5)) is verdict


def info(seconds: int = 0, **metadata: str) -> ObjectInfo:
    stamp = at(seconds)
    return ObjectInfo(
        NAME.path, stamp, stamp, stamp, 1, "e", "a/b", {k.replace("_", "-"): v for k, v in metadata.items()}
    )


def test_what_ought_to_be_listed() -> None:
    then = at(0).seconds
    assert is_listed(info(), then + 100, 50)
    assert not is_listed(info(), then + 40, 50)
    assert is_listed(info(X_Delete_At=str(int(then) + 101)), then + 100, 50)
    assert not is_listed(info(X_Delete_At=str(int(then) + 99)), then + 100, 50)
    assert not is_listed(info()._replace(metadata={UNLISTED: "true"}), then + 100, 50)


@pytest.mark.parametrize(
    ("others", "newest"),
    [
        ([], True),
        ([Other(at(5)), Other(at(5))], True),
        ([Other(at(4)), Other(None)], True),
        ([Other(None), None], True),
        ([None, None], False),
        ([Other(at(6)), Other(at(5))], False),
        ([Other(at(6)), None], False),
    ],
)
def test_whether_a_copy_is_the_newest(others: list[Other | None], newest: bool) -> None:
    assert is_newest(others, info(5)) is newest


def test_when_an_object_has_ended() -> None:
    assert has_ended(info(X_Delete_At="100"), 100)
    assert not has_ended(info(X_Delete_At="101"), 100)
    assert not has_ended(info(), 100)
    assert not has_ended(info(X_Delete_At="\u00b2"), 100)


@pytest.mark.parametrize(
    ("answers", "queued"),
    [
        ([], False),
        ([None, HAS_NONE, NOTHING], False),
        ([None, HAS_NONE, PrimaryAnswer((row(5),))], True),
        ([PrimaryAnswer((row(6),))], True),
        ([PrimaryAnswer((row(4),))], False),
        ([PrimaryAnswer((row(5, name="other"),))], False),
        ([PrimaryAnswer((row(5, deleted=True),))], False),
        ([PrimaryAnswer((row(5),)), PrimaryAnswer((row(5, deleted=True),))], False),  # not everywhere removed yet
        ([PrimaryAnswer((row(7),)), PrimaryAnswer((row(6, deleted=True),))], True),
    ],
)
def test_whether_a_row_is_in_the_queue(answers: list[PrimaryAnswer | None], queued: bool) -> None:
    assert is_queued(answers, "o", at(5)) is queued


def test_a_row_told_again_wins_over_its_removal_and_loses_to_what_clients_did_later() -> None:
    first, second = (queue_timestamp(at(5), 100, 200.0 + seconds) for seconds in (0, 10))
    assert at(5) < first < second < at(5).next()
    assert queue_timestamp(at(5), 100, 99.0) == at(5)


class World:
    """A container in which nothing is listed yet, and objects in its account."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.container = cluster.make_container("a", "c")

    def put(self, text: str = "o", seconds: int = 0, metadata: dict[str, str] | None = None) -> Location:
        """On all devices, without a word to the container."""
        name = Name("a", "c", text)
        location: Location = self.cluster.location(name)
        for device in self.cluster.all:
            with device.objects(0).create(location, 7) as writer:
                writer.write(b"content")
                writer.commit(ObjectData(name.path, at(seconds), "text/plain", metadata or {}))
        return location

    def list(self, *rows: ObjectRow) -> None:
        for device in self.cluster.all:
            device.containers.merge_rows(self.container, rows)

    def listed(self) -> list[list[tuple[str, int]]]:
        stores = [device.containers for device in self.cluster.all]
        return [[(each.name, each.size) for each in s.list(self.container, ListingQuery()).items] for s in stores]

    def search(self, repair: bool = False, containers: Peers | None = None, recent: float = 0.0) -> Round:
        """One round of every device, its counts together. containers: their servers. recent: as of dangling rows."""
        whole = Round()
        for device in self.cluster.devices.names():
            found = Round()
            search = DarkObjects(
                lambda policy: self.cluster.peers,
                containers or self.cluster.peers,
                lambda node: True,
                DarkObjectsRules(0, 3600, repair, recent=recent, repair_recent=recent > 0),
                lambda: None,
                logging.getLogger("test.daemon"),
                lambda: NOW,
            )
            place = SearchedPlace(device, self.cluster.device(device).path, {0: self.cluster.device(device).objects(0)})
            for _ in search.recent(place, found) if recent else search.tour(place, found):
                pass
            whole.count(**found.counts)
            whole.findings += found.findings
        return whole


@pytest.fixture
def world(cluster: Any) -> World:
    return World(cluster)


def test_each_object_is_looked_at_by_one_device(world: World) -> None:
    for number in range(120):
        world.put(f"o{number}")
    found = world.search()
    assert found.counts == {"objects": 120, "dark": 120}
    assert len(found.findings) == 120


def test_a_listed_object_is_none_of_them(world: World) -> None:
    world.put()
    world.list(ObjectRow("o", at(0), size=7))
    assert world.search().counts == {"objects": 1, "listed": 1}


def test_a_round_of_recent_objects_repairs_them_and_leaves_out_the_others(world: World) -> None:
    """After a power cut an object may be there whose container was never told."""
    world.put()
    age = NOW - at(0).seconds
    assert world.search(recent=age - 60).counts == {}
    assert world.search(recent=age + 60).counts == {"objects": 1, "dark": 1, "repaired": 1}
    assert world.listed() == [[("o", 7)]] * 3


def test_without_the_setting_it_is_reported_only(world: World) -> None:
    world.put()
    found = world.search()
    assert found.counts == {"objects": 1, "dark": 1}
    assert "/a/c/o" in found.findings[0]
    assert world.listed() == [[], [], []]


def test_a_dark_object_is_listed_again(world: World) -> None:
    world.put("dark/\u00e9")
    assert world.search(repair=True).counts == {"objects": 1, "dark": 1, "repaired": 1}
    assert world.listed() == [[("dark/\u00e9", 7)]] * 3
    assert world.search().counts == {"objects": 1, "listed": 1}


def test_a_hidden_name_is_asked_for_like_any_other(world: World) -> None:
    world.put("key\x00tail")
    world.list(ObjectRow("key\x00tail", at(0), size=7))
    assert world.search().counts == {"objects": 1, "listed": 1}


def test_what_its_row_is_to_say_instead_is_said(world: World) -> None:
    world.put(metadata={OVERRIDE + "Size": "99"})
    world.search(repair=True)
    assert world.listed() == [[("o", 99)]] * 3


def test_one_that_is_to_have_no_row_gets_none(world: World) -> None:
    world.put(metadata={UNLISTED: "true"})
    assert world.search(repair=True).counts == {"objects": 1}
    assert world.listed() == [[], [], []]


def test_a_row_of_an_older_object_is_brought_up_to_date(world: World) -> None:
    world.put(seconds=5)
    world.list(ObjectRow("o", at(3), size=1))
    assert world.search(repair=True).counts["repaired"] == 1
    assert world.listed() == [[("o", 7)]] * 3


def test_one_of_late_is_left_alone(world: World) -> None:
    world.put(seconds=int(NOW - at(0).seconds) - 60)
    assert world.search(repair=True).counts == {"objects": 1}


def test_one_that_was_changed_of_late_is_left_alone(world: World) -> None:
    location = world.put()
    for device in world.cluster.all:
        device.objects(0).post(location, ObjectMetadata(Timestamp.from_seconds(NOW - 60), {}))
    assert world.search(repair=True).counts == {"objects": 1}


def test_a_deletion_that_not_every_copy_knows_is_waited_for(world: World) -> None:
    location = world.put()
    first = world.cluster.ring.primaries(location.partition)[0].device
    other = next(name for name in world.cluster.devices.names() if name != first)
    world.cluster.device(other).objects(0).delete(location, NAME.path, at(9))
    assert world.search(repair=True).counts == {"objects": 1, "uncertain": 1}
    assert world.listed() == [[], [], []]


def test_with_most_container_servers_down_nothing_is_said(world: World) -> None:
    world.put()
    world.cluster.transport.down = {"d1", "d2"}
    assert world.search(repair=True).counts == {"objects": 1, "uncertain": 1}


def test_an_object_without_a_container_is_reported_only(world: World) -> None:
    world.put()
    for device in world.cluster.all:
        device.containers.delete(world.container, world.cluster.clock.now())
    found = world.search(repair=True)
    assert found.counts == {"objects": 1, "without_container": 1}
    assert found.findings
    for device in world.cluster.all:
        assert device.containers.status(world.container).deleted


def test_an_object_in_the_place_of_another_is_told(world: World) -> None:
    wrong = Location(0, "0" * 32)
    for device in world.cluster.all:
        with device.objects(0).create(wrong, 0) as writer:
            writer.commit(ObjectData("/a/c/o", at(0), "text/plain", {}))
    assert world.search(repair=True).counts == {"objects": 1, "misplaced": 1}


def test_the_objects_of_other_hosts_are_left_to_them(world: World) -> None:
    world.put()
    search = DarkObjects(
        lambda policy: world.cluster.peers,
        world.cluster.peers,
        lambda node: False,
        DarkObjectsRules(0, 3600, False),
        lambda: None,
        logging.getLogger("test.daemon"),
    )
    found = Round()
    device = world.cluster.device("d1")
    assert not list(search.tour(SearchedPlace("d1", device.path, {0: device.objects(0)}), found))
    assert not found.counts


DUE = int(NOW) - 2 * 86400
QUEUE = ExpiryQueue()


def queued(world: World, location: Location) -> list[list[str]]:
    """The rows that the replicas of the queue's container have; nothing for one without it."""
    found = world.cluster.location(QUEUE.container(DUE, location.hash))
    stores = [device.containers for device in world.cluster.all]
    made = [store for store in stores if found in list(store.locations())]
    return [[each.name for each in store.list(found, ListingQuery()).items] for store in made]


def test_an_object_that_should_have_gone_is_reported(world: World) -> None:
    location = world.put(metadata={"X-Delete-At": str(DUE)})
    found = world.search()
    assert found.counts == {"objects": 1, "overdue": 1}
    assert found.findings == [f"overdue: /a/c/o of {at(0)} in policy 0"]
    assert queued(world, location) == []


def test_its_row_is_put_into_the_queue_again(world: World) -> None:
    location = world.put(metadata={"X-Delete-At": str(DUE)})
    assert world.search(repair=True).counts == {"objects": 1, "overdue": 1, "requeued": 1}
    assert queued(world, location) == [[f"{DUE:010d}-a/c/o"]] * 3
    assert world.search(repair=True).counts == {"objects": 1, "overdue": 1, "queued": 1}
    assert queued(world, location) == [[f"{DUE:010d}-a/c/o"]] * 3


def test_one_that_is_to_have_no_row_in_its_container_goes_too(world: World) -> None:
    world.put(metadata={"X-Delete-At": str(DUE), UNLISTED: "true"})
    assert world.search(repair=True).counts == {"objects": 1, "overdue": 1, "requeued": 1}


def test_the_expirer_is_given_its_time(world: World) -> None:
    world.put(metadata={"X-Delete-At": str(int(NOW) - 86400 + 1)})
    assert world.search(repair=True).counts == {"objects": 1}


def test_one_whose_end_was_taken_back_elsewhere_is_left_alone(world: World) -> None:
    location = world.put(metadata={"X-Delete-At": str(DUE)})
    first = world.cluster.ring.primaries(location.partition)[0].device
    other = next(name for name in world.cluster.devices.names() if name != first)
    world.cluster.device(other).objects(0).post(location, ObjectMetadata(at(9), {}))
    assert world.search(repair=True).counts == {"objects": 1, "uncertain": 1}
    assert queued(world, location) == []


def test_a_queue_that_cannot_be_told_is_told_of(world: World) -> None:
    world.put(metadata={"X-Delete-At": str(DUE)})
    silent = Breakable(world.cluster.transport)  # as where hosts of their own keep containers
    silent.down = set(world.cluster.devices.names())
    found = world.search(repair=True, containers=world.cluster.peers._replace(transport=silent))
    assert found.counts == {"objects": 1, "overdue": 1, "failed": 1}


def put_without_row(store: InProcess, name: Name, when: int, timestamp: Timestamp) -> None:
    """On its primaries, with no word to the queue."""
    sent = {"X_Timestamp": timestamp.internal, "Content_Type": "a/b", "Content_Length": "1", "X_Delete_At": str(when)}
    for device in store.primaries(name):
        assert store.ask(device, "PUT", name, body=b"x", **sent).status == 201
    assert len(store.copies(name)) == 3


def search_and_expire(store: InProcess) -> tuple[int, int]:
    """A round of all devices, and a pass of the expirer; objects that were told to the queue, and that it deleted."""
    around = store.around(dark_objects_action="repair", dark_objects_overdue="1h", object_expirer_margin="0")
    around.at_once = True
    search = auditors.DARK_OBJECTS.make(around)
    run_pass(search)
    run_pass(updaters.CONTAINER_UPDATER.make(around))
    expirer = cleaners.OBJECT_EXPIRER.make(around)
    run_pass(expirer)
    return search.status().get("requeued_total", 0), expirer.status()["expired_total"]


def test_an_object_whose_row_was_lost_goes_in_the_end(tmp_path: Path) -> None:
    store, name = InProcess(tmp_path), Name("AUTH_t", "c", "o")
    assert store("PUT", name.of_container).status == 201
    when = int(time.time()) - 7200
    put_without_row(store, name, when, Timestamp.from_seconds(when - 10))
    assert search_and_expire(store) == (1, 1)
    assert store.copies(name) == []
    assert search_and_expire(store) == (0, 0)


@pytest.mark.parametrize("age", [7200, 3 * 86400], ids=["container is there", "container was deleted"])
def test_one_that_comes_back_with_an_old_device_goes_again(tmp_path: Path, age: int) -> None:
    """The queue has a removal of its row then, or had in a container that is old; objects forgot their deletion."""
    store, name = InProcess(tmp_path), Name("AUTH_t", "c", "o")
    assert store("PUT", name.of_container).status == 201
    when = int(time.time()) - age
    for _ in range(2):
        put_without_row(store, name, when, Timestamp.from_seconds(when - 10))
        assert search_and_expire(store) == (1, 1)
        assert store.copies(name) == []
        assert search_and_expire(store) == (0, 0)
        queue = QUEUE.container(when, store.location(name).hash)
        assert store.ask(store.primaries(queue)[0], "HEAD", queue).status == (204 if age == 7200 else 404)
        for device in store.primaries(name):
            objects, location = store.device(device).objects(0), store.location(name)
            objects.forget(location, list(objects.changes(location.partition, location.suffix)[location.hash]))


def test_one_whose_row_is_in_the_queue_is_told_of_and_left_to_the_expirer(tmp_path: Path) -> None:
    """As a client's PUT has put it there."""
    store, name = InProcess(tmp_path), Name("AUTH_t", "c", "o")
    assert store("PUT", name.of_container).status == 201
    when = int(time.time()) + 2
    assert store("PUT", name, b"x", X_Delete_At=str(when)).status == 201
    time.sleep(max(0.0, when - time.time()) + 0.01)
    search = auditors.DARK_OBJECTS.make(store.around(dark_objects_action="repair", dark_objects_overdue="0"))
    run_pass(search)
    report = search.status()
    assert (report["overdue_total"], report["queued_total"], report.get("requeued_total", 0)) == (1, 1, 0)
