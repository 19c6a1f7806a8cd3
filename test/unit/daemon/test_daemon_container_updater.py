"""Totals on their way from containers to accounts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from objstore.core.names import Location, Name
from objstore.core.timestamps import TICKS, Timestamp
from objstore.daemon.changed import looked_at
from objstore.daemon.duties.container_updater import ReportedContainers, TotalsUpdater
from objstore.store.databases import ContainerRow, ObjectRow

RunPass = Callable[..., int]


class Time:
    """The clock of the daemon, behind which files seem to be as old as is wanted."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def now() -> Time:
    return Time()


@pytest.fixture
def updater(cluster: Any, now: Time) -> TotalsUpdater:
    def devices() -> list[ReportedContainers]:
        return [ReportedContainers(name, cluster.device(name).containers) for name in cluster.devices.names()]

    return TotalsUpdater(devices, cluster.is_primary, cluster.peers, cluster.clock, now=now)


def put_object(cluster: Any, location: Location, name: str, size: int) -> None:
    row = ObjectRow(name, cluster.clock.now(), size=size, content_type="a/b", etag="0" * 32)
    for device in cluster.all:
        device.containers.merge_rows(location, [row])


def totals(cluster: Any, account: Location) -> list[tuple[int, int, int]]:
    """Containers, objects and bytes that each replica of the account knows of."""
    found = [cluster.device(name).accounts.info(account) for name in ("d1", "d2", "d3")]
    return [(info.container_count, info.object_count, info.bytes_used) for info in found]


def test_an_account_learns_what_its_containers_hold(cluster: Any, updater: TotalsUpdater, run_pass: RunPass) -> None:
    account = cluster.make_account("a")
    one, two = cluster.make_container("a", "one"), cluster.make_container("a", "two")
    put_object(cluster, one, "x", 10)
    put_object(cluster, one, "y", 20)
    put_object(cluster, two, "z", 5)
    run_pass(updater)
    assert totals(cluster, account) == [(2, 3, 35)] * 3
    for device in cluster.all:
        assert device.containers.unreported(one, Timestamp(1)) is None


def test_a_container_made_by_a_clock_that_was_ahead_is_reported_all_the_same(
    cluster: Any, updater: TotalsUpdater, run_pass: RunPass
) -> None:
    """When it is made its account is told that it is empty, as of that time; what is told later must be newer."""
    account = cluster.make_account("a")
    one = cluster.location(Name("a", "one"))
    later = Timestamp(cluster.clock.now().raw + 20 * TICKS)
    for device in cluster.all:
        device.containers.create(one, Name("a", "one"), later, 0, {})
        device.accounts.merge_rows(account, [ContainerRow("one", later, reported_at=later)])
    put_object(cluster, one, "x", 10)
    run_pass(updater)
    assert totals(cluster, account) == [(1, 1, 10)] * 3


def test_what_a_clock_that_was_ahead_has_reported_does_not_last(
    cluster: Any, updater: TotalsUpdater, run_pass: RunPass
) -> None:
    account, one = cluster.make_account("a"), cluster.make_container("a", "one")
    put_object(cluster, one, "x", 10)
    ahead = Timestamp(cluster.clock.now().raw + 20 * TICKS)
    for device in cluster.all:
        row = device.containers.unreported(one, ahead)
        device.containers.set_reported(one, row)
        for other in cluster.all:
            other.accounts.merge_rows(account, [row])
    put_object(cluster, one, "y", 20)
    run_pass(updater)
    assert totals(cluster, account) == [(1, 2, 30)] * 3


def test_an_account_is_not_told_of_bytes_that_count_elsewhere(
    cluster: Any, updater: TotalsUpdater, run_pass: RunPass
) -> None:
    account = cluster.make_account("a")
    one = cluster.make_container("a", "one")
    put_object(cluster, one, "x", 10)
    pointer = ObjectRow("y", cluster.clock.now(), size=20, elsewhere=True)
    for device in cluster.all:
        device.containers.merge_rows(one, [pointer])
    run_pass(updater)
    assert totals(cluster, account) == [(1, 2, 10)] * 3
    assert cluster.device("d1").containers.info(one).bytes_used == 30
    assert cluster.device("d1").containers.unreported(one, Timestamp(1)) is None


def test_a_pass_looks_only_at_what_has_changed(
    cluster: Any, updater: TotalsUpdater, now: Time, run_pass: RunPass
) -> None:
    cluster.make_account("a")
    for number in range(5):
        cluster.make_container("a", f"c{number}")
    assert run_pass(updater) == 15
    now.ahead = 10
    run_pass(updater)
    sent = cluster.transport.calls
    assert run_pass(updater) == 0
    assert cluster.transport.calls == sent


def test_a_database_has_changed_when_its_log_has(cluster: Any) -> None:
    place = cluster.make_container("a", "c")
    other = cluster.make_container("a", "other")
    containers = cluster.device("d1").containers
    database = containers.path(place)
    since = max(os.stat(containers.path(each)).st_ctime for each in (place, other)) + 0.02
    time.sleep(0.05)
    put_object(cluster, place, "x", 7)
    assert os.stat(database).st_ctime < since  # what was written is in the log
    assert set(looked_at(containers, since)) == {place, None}
    assert set(looked_at(containers, 0.0)) == {place, other}


def test_every_so_often_a_pass_looks_at_all(cluster: Any, updater: TotalsUpdater, now: Time, run_pass: RunPass) -> None:
    cluster.make_account("a")
    cluster.make_container("a", "c")
    run_pass(updater)
    now.ahead = 60
    run_pass(updater)
    assert run_pass(updater) == 0
    now.ahead = 4000
    assert run_pass(updater) == 3


def test_a_clock_set_back_makes_the_next_pass_look_at_all(
    cluster: Any, updater: TotalsUpdater, now: Time, run_pass: RunPass
) -> None:
    cluster.make_account("a")
    cluster.make_container("a", "c")
    now.ahead = 1000
    run_pass(updater)
    assert run_pass(updater) == 0
    now.ahead = 0
    assert run_pass(updater) == 3


def test_with_one_account_server_down_the_majority_is_enough(
    cluster: Any, updater: TotalsUpdater, run_pass: RunPass
) -> None:
    account = cluster.make_account("a")
    place = cluster.make_container("a", "c")
    put_object(cluster, place, "x", 10)
    cluster.transport.down = {"d2"}
    run_pass(updater)
    assert sorted(totals(cluster, account)) == [(0, 0, 0), (1, 1, 10), (1, 1, 10)]
    assert cluster.device("d1").containers.unreported(place, Timestamp(1)) is None


def test_without_a_majority_the_report_is_made_again(
    cluster: Any, updater: TotalsUpdater, now: Time, run_pass: RunPass
) -> None:
    account = cluster.make_account("a")
    place = cluster.make_container("a", "c")
    put_object(cluster, place, "x", 10)
    cluster.transport.down = {"d1", "d2"}
    now.ahead = 60
    run_pass(updater)
    assert cluster.device("d3").containers.unreported(place, Timestamp(1)) is not None
    cluster.transport.down = set()
    run_pass(updater)
    assert totals(cluster, account) == [(1, 1, 10)] * 3


def test_a_container_without_its_account_waits_for_the_next_full_pass(
    cluster: Any, updater: TotalsUpdater, now: Time, run_pass: RunPass
) -> None:
    place = cluster.make_container("a", "c")
    now.ahead = 60
    assert run_pass(updater) == 3
    assert run_pass(updater) == 0
    assert cluster.device("d1").containers.unreported(place, Timestamp(1)) is not None


def test_a_system_account_comes_to_be_by_its_first_container(
    cluster: Any, updater: TotalsUpdater, run_pass: RunPass
) -> None:
    place = cluster.make_container(".expiring_objects", "c")
    put_object(cluster, place, "x", 0)
    run_pass(updater)
    assert totals(cluster, cluster.location(Name(".expiring_objects"))) == [(1, 1, 0)] * 3


def test_a_deleted_container_is_reported_as_gone(cluster: Any, updater: TotalsUpdater, run_pass: RunPass) -> None:
    account = cluster.make_account("a")
    place = cluster.make_container("a", "c")
    run_pass(updater)
    assert totals(cluster, account) == [(1, 0, 0)] * 3
    for device in cluster.all:
        device.containers.delete(place, cluster.clock.now())
    run_pass(updater)
    assert totals(cluster, account) == [(0, 0, 0)] * 3


def test_a_damaged_database_stops_nothing(cluster: Any, updater: TotalsUpdater, run_pass: RunPass) -> None:
    account = cluster.make_account("a")
    bad, good = cluster.make_container("a", "bad"), cluster.make_container("a", "good")
    put_object(cluster, good, "x", 3)
    for device in cluster.all:
        path = device.containers.path(bad)
        device.containers.close()
        for suffix in ("-wal", "-shm"):
            if os.path.exists(path + suffix):
                os.unlink(path + suffix)
        with open(path, "r+b") as file:
            file.write(b"\xff" * 8192)
    run_pass(updater)
    assert totals(cluster, account) == [(1, 1, 3)] * 3


def test_what_is_on_another_device_than_a_primary_reports_nothing(cluster: Any, run_pass: RunPass, now: Time) -> None:
    """A PUT of a container that is there, while a primary is away, makes an empty database elsewhere. Its report was
    the newest, and stayed: when that database had come home nobody had anything to report."""
    account, place = cluster.make_account("a"), cluster.make_container("a", "c")
    put_object(cluster, place, "x", 7)
    handoff = cluster.cluster_device("d4")
    devices = [ReportedContainers(name, cluster.device(name).containers) for name in ("d1", "d2", "d3", "d4")]
    updater = TotalsUpdater(lambda: devices, cluster.is_primary, cluster.peers, cluster.clock, now=now)
    run_pass(updater)
    assert totals(cluster, account) == [(1, 1, 7)] * 3
    handoff.containers.create(place, Name("a", "c"), cluster.clock.now(), 0, {})
    run_pass(updater)
    assert totals(cluster, account) == [(1, 1, 7)] * 3


@pytest.mark.parametrize(("days", "settled"), [(6, False), (8, True)])
def test_a_container_deleted_long_ago_whose_account_is_gone_has_nothing_left_to_report(
    cluster: Any, updater: TotalsUpdater, now: Time, run_pass: RunPass, days: int, settled: bool
) -> None:
    """Its databases could not be forgotten else."""
    place = cluster.make_container("a", "c")
    for device in cluster.all:
        device.containers.delete(place, cluster.clock.now())
    now.ahead = days * 86400.0
    run_pass(updater)
    for device in cluster.all:
        assert (device.containers.unreported(place, Timestamp(1)) is None) is settled


def test_an_account_server_that_does_not_answer_is_waited_for_a_few_times_in_a_pass(
    cluster: Any, updater: TotalsUpdater, run_pass: RunPass
) -> None:
    cluster.make_account("a")
    for number in range(5):
        cluster.make_container("a", f"c{number}")
    cluster.transport.down = {"d3"}
    run_pass(updater)
    assert cluster.transport.calls == 3 * 3 + 12 * 2
    cluster.transport.down = set()
    cluster.transport.calls = 0
    put_object(cluster, cluster.location(Name("a", "c0")), "x", 1)
    run_pass(updater)
    assert cluster.transport.calls == 9
