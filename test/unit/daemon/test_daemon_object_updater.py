"""Updates on their way from spools to containers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from objstore.core.errors import InvalidInput, NotFound
from objstore.core.names import Location, Name
from objstore.core.timestamps import Timestamp
from objstore.daemon.duties.object_updater import GIVE_UP_AFTER, ObjectUpdater, remaining, target_of
from objstore.store.databases import ListingQuery
from objstore.store.spool import Spool, SpooledUpdate
from objstore.wire.messages import RECREATE
from objstore.wire.rows import ListedObject, object_row, tombstone_row

RunPass = Callable[..., int]


@pytest.fixture
def updater(cluster: Any) -> ObjectUpdater:
    return ObjectUpdater(lambda: [device.spool(0) for device in cluster.all], cluster.peers)


def listed_row(name: str, at: Timestamp, size: int = 1) -> dict[str, Any]:
    return object_row(ListedObject(name, at, at, at, size, "0" * 32, "a/b", {}), 0)


def spool(
    cluster: Any, container: Name, row: dict[str, Any], replicas: list[int], headers: dict[str, str] | None = None
) -> None:
    payload = {"container": container.path, "row": row, "headers": headers or {}, "replicas": replicas}
    name_hash = cluster.salt.hash(Name(container.account, container.container, row["name"]))
    cluster.device("d1").spool(0).put(SpooledUpdate(name_hash, Timestamp.parse(row["timestamp"]), payload))


def names(cluster: Any, place: Location) -> list[list[str]]:
    """What each replica of a container lists."""
    stores = [device.containers for device in cluster.all]
    return [[item.name for item in store.list(place, ListingQuery()).items] for store in stores]


def by_replica(cluster: Any, place: Location, lists: list[list[str]]) -> list[list[str]]:
    devices = cluster.devices.names()
    return [lists[devices.index(node.device)] for node in cluster.ring.primaries(place.partition)]


def test_updates_reach_the_replicas_they_are_for(cluster: Any, updater: ObjectUpdater, run_pass: RunPass) -> None:
    place = cluster.make_container("a", "c")
    for number in range(10):
        spool(cluster, Name("a", "c"), listed_row(f"o{number}", cluster.clock.now()), [0, 2])
    assert run_pass(updater) == 1  # ten updates, one request to each replica
    assert cluster.transport.calls == 2
    wanted = [f"o{number}" for number in range(10)]
    assert by_replica(cluster, place, names(cluster, place)) == [wanted, [], wanted]
    assert cluster.device("d1").spool(0).count() == 0
    assert run_pass(updater) == 0


def test_what_one_replica_has_not_taken_stays_for_it(cluster: Any, updater: ObjectUpdater, run_pass: RunPass) -> None:
    place = cluster.make_container("a", "c")
    spool(cluster, Name("a", "c"), listed_row("o", cluster.clock.now()), [0, 1, 2])
    nodes = cluster.ring.primaries(place.partition)
    cluster.transport.down = {nodes[1].device}
    run_pass(updater)
    assert [update.payload["replicas"] for update in cluster.device("d1").spool(0).iter()] == [[1]]
    cluster.transport.down = set()
    cluster.transport.calls = 0
    run_pass(updater)
    assert cluster.transport.calls == 1
    assert names(cluster, place) == [["o"]] * 3
    assert cluster.device("d1").spool(0).count() == 0


def test_a_deletion_after_its_object_leaves_nothing(cluster: Any, updater: ObjectUpdater, run_pass: RunPass) -> None:
    place = cluster.make_container("a", "c")
    first, second = cluster.clock.now(), cluster.clock.now()
    spool(cluster, Name("a", "c"), tombstone_row("o", second, 0), [0, 1, 2])
    spool(cluster, Name("a", "c"), listed_row("o", first), [0, 1, 2])
    run_pass(updater)
    assert names(cluster, place) == [[]] * 3


def test_update_for_a_replica_that_the_ring_has_no_more_goes_to_all(
    cluster: Any, updater: ObjectUpdater, run_pass: RunPass
) -> None:
    place = cluster.make_container("a", "c")
    spool(cluster, Name("a", "c"), listed_row("o", cluster.clock.now()), [5])
    run_pass(updater)
    assert names(cluster, place) == [["o"]] * 3
    assert cluster.device("d1").spool(0).count() == 0


def without(cluster: Any, place: Location, index: int) -> Any:
    """The device of a replica, which has lost, or not got yet, its database."""
    device = cluster.device(cluster.ring.primaries(place.partition)[index].device)
    replicas = device.containers
    assert replicas.remove_moved(place, replicas.summaries([place])[place.hash])
    return device


def test_update_for_a_primary_that_has_no_database_yet_waits_for_it(
    cluster: Any, updater: ObjectUpdater, run_pass: RunPass
) -> None:
    place = cluster.make_container("a", "c")
    device = without(cluster, place, 1)
    spool(cluster, Name("a", "c"), listed_row("o", cluster.clock.now()), [1])
    run_pass(updater)
    assert cluster.device("d1").spool(0).count() == 1
    device.containers.create(place, Name("a", "c"), cluster.clock.now(), 0, {})
    run_pass(updater)
    assert [item.name for item in device.containers.list(place, ListingQuery()).items] == ["o"]
    assert cluster.device("d1").spool(0).count() == 0


def test_old_update_for_a_primary_without_a_database_goes_to_others(cluster: Any, run_pass: RunPass) -> None:
    place = cluster.make_container("a", "c")
    without(cluster, place, 1)
    at = cluster.clock.now()
    spool(cluster, Name("a", "c"), listed_row("o", at), [1])
    spools = [device.spool(0) for device in cluster.all]
    run_pass(ObjectUpdater(lambda: spools, cluster.peers, now=lambda: at.seconds + GIVE_UP_AFTER + 1))
    for index in (0, 2):
        store = cluster.device(cluster.ring.primaries(place.partition)[index].device).containers
        assert [item.name for item in store.list(place, ListingQuery()).items] == ["o"]
    assert cluster.device("d1").spool(0).count() == 0


def test_the_headers_of_an_update_are_sent_with_it(cluster: Any, updater: ObjectUpdater, run_pass: RunPass) -> None:
    name = Name(".expiring_objects", "123")
    spool(cluster, name, listed_row("o", cluster.clock.now()), [0, 1, 2], {RECREATE: "0"})
    run_pass(updater)
    assert names(cluster, cluster.location(name)) == [["o"]] * 3


def test_an_update_of_a_missing_container_waits(cluster: Any, updater: ObjectUpdater, run_pass: RunPass) -> None:
    spool(cluster, Name("a", "gone"), listed_row("o", cluster.clock.now()), [0, 1, 2])
    run_pass(updater)
    assert cluster.device("d1").spool(0).count() == 1
    with pytest.raises(NotFound):
        cluster.device("d1").containers.info(cluster.location(Name("a", "gone")))


def test_an_old_update_of_a_missing_container_is_given_up(
    cluster: Any, updater: ObjectUpdater, run_pass: RunPass
) -> None:
    old = Timestamp.from_seconds(cluster.clock.now().seconds - GIVE_UP_AFTER - 60)
    spool(cluster, Name("a", "gone"), listed_row("o", old), [0, 1, 2])
    run_pass(updater)
    assert cluster.device("d1").spool(0).count() == 0


def test_an_update_that_says_nothing_stops_nothing(cluster: Any, updater: ObjectUpdater, run_pass: RunPass) -> None:
    place = cluster.make_container("a", "c")
    cluster.device("d1").spool(0).put(SpooledUpdate("0" * 32, cluster.clock.now(), {"what": "else"}))
    spool(cluster, Name("a", "c"), listed_row("o", cluster.clock.now()), [0, 1, 2])
    run_pass(updater)
    assert names(cluster, place) == [["o"]] * 3
    assert cluster.device("d1").spool(0).count() == 1


@pytest.mark.parametrize(
    ("answers", "age", "left"),
    [
        ({0: 202, 1: 202}, 0, []),
        ({0: 202, 1: 0}, 0, [1]),
        ({0: 507, 1: 404}, 0, [0, 1]),
        ({0: 404, 1: 404}, 50, [0, 1]),
        ({0: 404, 1: 404}, 101, []),
        ({0: 404, 1: 0}, 101, [0, 1]),
        ({}, 101, []),
    ],
)
def test_who_still_has_to_be_told(answers: dict[int, int], age: float, left: list[int]) -> None:
    assert remaining(answers, age, 100) == left


@pytest.mark.parametrize(
    "payload",
    [{}, {"container": "/a/c", "headers": {}, "replicas": ["x"]}, {"container": "a", "headers": {}, "replicas": []}],
)
def test_payloads_of_no_object_server_are_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        target_of(payload)


def test_a_new_update_of_an_unknown_container_waits_though_an_old_one_is_given_up(
    cluster: Any, updater: ObjectUpdater, run_pass: RunPass
) -> None:
    now = cluster.clock.now()
    spool(cluster, Name("a", "gone"), listed_row("old", Timestamp.from_seconds(now.seconds - GIVE_UP_AFTER - 60)), [0])
    spool(cluster, Name("a", "gone"), listed_row("new", now), [0])
    run_pass(updater)
    left = [update.payload["row"]["name"] for update in cluster.device("d1").spool(0).iter()]
    assert "new" in left


def test_an_update_is_as_old_as_the_change_not_as_the_object(
    cluster: Any, updater: ObjectUpdater, run_pass: RunPass
) -> None:
    """The metadata of an object that was stored a year ago was changed just now."""
    now = cluster.clock.now()
    old = Timestamp.from_seconds(now.seconds - 365 * 86400.0)
    row = object_row(ListedObject("o", now, old, old, 1, "0" * 32, "a/b", {}), 0)
    payload = {"container": "/a/gone", "row": row, "headers": {}, "replicas": [0, 1, 2]}
    cluster.device("d1").spool(0).put(SpooledUpdate("0" * 32, now, payload))
    run_pass(updater)
    assert cluster.device("d1").spool(0).count() == 1


def test_a_container_server_that_does_not_answer_is_waited_for_a_few_times_in_a_pass(
    cluster: Any, updater: ObjectUpdater, run_pass: RunPass
) -> None:
    for number in range(9):
        cluster.make_container("a", f"c{number}")
        spool(cluster, Name("a", f"c{number}"), listed_row("o", cluster.clock.now()), [0, 1, 2])
    cluster.transport.down = {"d2"}
    run_pass(updater)
    assert cluster.transport.calls == 9 * 2 + 3
    assert cluster.device("d1").spool(0).count() == 9
    cluster.transport.down = set()
    run_pass(updater)
    assert cluster.device("d1").spool(0).count() == 0


def test_a_spool_that_cannot_be_read_holds_up_no_other(cluster: Any, run_pass: RunPass) -> None:
    class Unreadable(Spool):
        def iter(self) -> Any:
            raise OSError(5, "Input/output error")
            yield

    place = cluster.make_container("a", "c")
    spool(cluster, Name("a", "c"), listed_row("o", cluster.clock.now()), [0, 1, 2])
    good, bad = cluster.device("d1").spool(0), Unreadable(cluster.device("d2").path)
    run_pass(ObjectUpdater(lambda: [bad, good], cluster.peers))
    assert names(cluster, place) == [["o"]] * 3
