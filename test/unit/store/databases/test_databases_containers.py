"""Container databases on a device."""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.core.errors import Conflict, Corrupt, InvalidInput, LifeEnded, NotFound
from objstore.core.names import HashSalt, Location, Name
from objstore.core.timestamps import Timestamp
from objstore.core.versions import MARKER_TYPE
from objstore.runtime import green
from objstore.runtime.files import FILES
from objstore.store.databases import (
    ContainerStore,
    DatabaseSettings,
    ListingQuery,
    NewContainer,
    ObjectItem,
    ObjectRow,
    PolicyTotals,
    Subdir,
    Writer,
    describe_database,
    live_metadata,
)
from objstore.store.databases.layout import position
from objstore.store.databases.status import status_of

NAME = Name("AUTH_a", "c")
FAST = DatabaseSettings(synchronous="off")


def place(name: Name) -> Location:
    name_hash = HashSalt(b"", b"salt").hash(name)
    return Location(int(name_hash[:2], 16), name_hash)


AT = place(NAME)


def at(raw: int) -> Timestamp:
    return Timestamp(raw)


def put(name: str, when: int, size: int = 1, policy: int = 0) -> ObjectRow:
    return ObjectRow(name, at(when), size=size, content_type="text/plain", etag="e" * 32, policy_index=policy)


def gone(name: str, when: int, policy: int = 0) -> ObjectRow:
    return ObjectRow(name, at(when), deleted=True, policy_index=policy)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ContainerStore]:
    store = ContainerStore(str(tmp_path), FILES, FAST)
    yield store
    store.close()


@pytest.fixture
def container(store: ContainerStore) -> ContainerStore:
    assert store.create(AT, NAME, at(10), 0, {"X-Container-Meta-Color": "red"})
    return store


def names(store: ContainerStore, query: ListingQuery | None = None) -> list[str]:
    return [item.name for item in store.list(AT, query or ListingQuery()).items]


# Creation and deletion


def test_info_of_a_new_container_is_that_of_its_database(store: ContainerStore) -> None:
    made = store.put(AT, NewContainer(NAME, at(10), 3, {"X-Container-Meta-Color": "red"}))
    assert made == (True, store.info(AT)._replace(id=""))
    again = store.put(AT, NewContainer(NAME, at(20), 3, {}))
    assert again == (False, store.info(AT))


def test_new_container_says_what_it_is(container: ContainerStore) -> None:
    info = container.info(AT)
    assert info.name == NAME
    assert info.created_at == info.put_timestamp == info.status_changed_at == at(10)
    assert (info.policy_index, info.object_count, info.bytes_used, info.deleted) == (0, 0, 0, False)
    assert live_metadata(info.metadata) == {"X-Container-Meta-Color": "red"}
    assert container.path(AT).endswith(f"/containers/{AT.partition}/{AT.suffix}/{AT.hash}/{AT.hash}.db")
    assert list(container.locations()) == [AT]


def test_container_never_made_is_not_found(store: ContainerStore) -> None:
    for call in (store.info, store.policy_totals, lambda location: store.list(location, ListingQuery())):
        with pytest.raises(NotFound) as caught:
            call(AT)
        assert caught.value.timestamp is None


def test_second_put_merges_metadata_and_keeps_creation_and_policy(container: ContainerStore) -> None:
    assert not container.create(AT, NAME, at(20), 1, {"X-Container-Meta-Size": "big"})
    info = container.info(AT)
    assert (info.created_at, info.put_timestamp, info.status_changed_at) == (at(10), at(20), at(10))
    assert info.policy_index == 0
    assert live_metadata(info.metadata) == {"X-Container-Meta-Color": "red", "X-Container-Meta-Size": "big"}


def test_late_put_does_not_set_the_time_back(container: ContainerStore) -> None:
    assert not container.create(AT, NAME, at(5), 0, {"X-Container-Meta-Color": "blue"})
    info = container.info(AT)
    assert info.put_timestamp == at(10)
    assert live_metadata(info.metadata) == {"X-Container-Meta-Color": "red"}


def test_deleted_container_is_not_found_with_its_time(container: ContainerStore) -> None:
    container.delete(AT, at(20))
    for call in (container.info, lambda location: container.list(location, ListingQuery())):
        with pytest.raises(NotFound) as caught:
            call(AT)
        assert caught.value.timestamp == at(20)
    with pytest.raises(NotFound):
        container.delete(AT, at(30))
    assert container.status(AT).deleted


def test_container_with_objects_cannot_be_deleted(container: ContainerStore) -> None:
    container.merge_rows(AT, [put("o", 11)])
    with pytest.raises(Conflict):
        container.delete(AT, at(20))
    container.merge_rows(AT, [gone("o", 12)])
    container.delete(AT, at(20))


def test_objects_of_another_policy_keep_a_container_too(container: ContainerStore) -> None:
    container.merge_rows(AT, [put("o", 11, policy=3)])
    with pytest.raises(Conflict):
        container.delete(AT, at(20))


@pytest.mark.parametrize("when", [9, 10])
def test_deletion_not_newer_than_the_creation_is_refused(container: ContainerStore, when: int) -> None:
    with pytest.raises(Conflict) as caught:
        container.delete(AT, at(when))
    assert caught.value.timestamp == at(10)
    assert not container.info(AT).deleted


def test_made_anew_after_deletion_with_another_policy_and_fresh_metadata(container: ContainerStore) -> None:
    container.delete(AT, at(20))
    with pytest.raises(Conflict) as caught:
        container.create(AT, NAME, at(20), 1, {})
    assert caught.value.timestamp == at(20)
    assert container.create(AT, NAME, at(30), 1, {"X-Container-Meta-Size": "small"})
    info = container.info(AT)
    assert (info.policy_index, info.put_timestamp, info.status_changed_at) == (1, at(30), at(30))
    assert live_metadata(info.metadata) == {"X-Container-Meta-Size": "small"}


def test_object_stored_while_the_container_was_deleted_is_not_lost(container: ContainerStore) -> None:
    container.delete(AT, at(20))
    container.merge_rows(AT, [put("o", 19)])
    assert names(container) == ["o"]


# Metadata


def test_removed_metadata_stays_removed_when_an_older_value_comes(container: ContainerStore) -> None:
    container.set_metadata(AT, {"X-Container-Meta-Color": ""}, at(30))
    container.set_metadata(AT, {"X-Container-Meta-Color": "blue"}, at(20))
    metadata = container.info(AT).metadata
    assert metadata["X-Container-Meta-Color"] == ("", at(30))
    assert live_metadata(metadata) == {}


def test_metadata_older_than_a_deletion_does_not_come_back(container: ContainerStore) -> None:
    container.delete(AT, at(20))
    container.create(AT, NAME, at(30), 0, {})
    container.merge_metadata(AT, {"X-Container-Meta-Old": ("x", at(19)), "X-Container-Meta-New": ("y", at(21))})
    assert live_metadata(container.info(AT).metadata) == {"X-Container-Meta-New": "y"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerStore]:
    """One store for all examples: each makes containers of its own by `fresh`."""
    store = ContainerStore(str(tmp_path_factory.mktemp("device")), FILES, FAST)
    yield store
    store.close()


NUMBERS = itertools.count()


def fresh(store: ContainerStore) -> Location:
    location = place(Name("AUTH_a", str(next(NUMBERS))))
    assert store.create(location, NAME, at(10), 0, {})
    return location


CHANGES = st.lists(
    st.tuples(st.sampled_from("AB"), st.sampled_from(["", "x", "y"]), st.integers(1, 4)), min_size=1, max_size=6
)


@settings(max_examples=15, deadline=None)
@given(CHANGES, st.data())
def test_metadata_merges_in_any_order(
    shared: ContainerStore, changes: list[tuple[str, str, int]], data: st.DataObject
) -> None:
    found = []
    for order in (changes, data.draw(st.permutations(changes))):
        location = fresh(shared)
        for key, value, when in order:
            shared.set_metadata(location, {key: value}, at(when))
        found.append(shared.info(location).metadata)
    assert found[0] == found[1]


# Rows


def test_rows_for_a_container_never_made_are_refused_unless_told_how_to_make_it(store: ContainerStore) -> None:
    with pytest.raises(NotFound):
        store.merge_rows(AT, [put("o", 5)])
    store.merge_rows(AT, [put("o", 5)], create_with=NewContainer(NAME, at(5), 2))
    assert store.info(AT).policy_index == 2
    assert store.policy_totals(AT)[0] == PolicyTotals(1, 1, 0, 0, 1)


def test_overwrite_delete_and_overwrite_keep_totals_exact(container: ContainerStore) -> None:
    container.merge_rows(AT, [put("o", 20, 5), put("p", 20, 7)])
    container.merge_rows(AT, [put("o", 21, 100)])
    assert container.policy_totals(AT) == {0: PolicyTotals(2, 107, 0, 0, 107)}
    container.merge_rows(AT, [gone("o", 22)])
    assert container.policy_totals(AT) == {0: PolicyTotals(1, 7, 0, 0, 7)}
    container.merge_rows(AT, [put("o", 21, 9), put("o", 23, 1)])
    assert container.policy_totals(AT) == {0: PolicyTotals(2, 8, 0, 0, 8)}
    assert container.info(AT)[6:8] == (2, 8)


def test_the_same_name_in_two_policies_is_two_rows(container: ContainerStore) -> None:
    container.merge_rows(AT, [put("o", 20, 5), put("o", 21, 6, policy=1)])
    assert container.policy_totals(AT) == {0: PolicyTotals(1, 5, 0, 0, 5), 1: PolicyTotals(1, 6, 0, 0, 6)}
    assert [item.size for item in container.list(AT, ListingQuery(policy_index=1)).items] == [6]
    assert [item.size for item in container.list(AT, ListingQuery()).items] == [5]


def test_row_known_already_takes_no_new_number(container: ContainerStore) -> None:
    container.merge_rows(AT, [put("o", 20), put("p", 20)])
    container.merge_rows(AT, [put("o", 20), put("p", 19)])
    assert container.max_row(AT) == 2


def test_name_that_is_no_utf8_is_refused(container: ContainerStore) -> None:
    with pytest.raises(InvalidInput):
        container.merge_rows(AT, [put("a", 1), put("\udcff", 1)])
    assert names(container) == []


ROWS = st.lists(
    st.builds(
        ObjectRow,
        name=st.sampled_from(["a", "b", 'c/\x00"é']),
        timestamp=st.builds(Timestamp, st.integers(1, 4), st.integers(0, 1)),
        deleted=st.booleans(),
        size=st.integers(0, 3),
        content_type=st.sampled_from(["s", "t"]),
        etag=st.sampled_from(["x", "y"]),
        policy_index=st.integers(0, 1),
        content_type_timestamp=st.none() | st.builds(Timestamp, st.integers(1, 6)),
        meta_timestamp=st.none() | st.builds(Timestamp, st.integers(1, 6)),
        elsewhere=st.booleans(),
        referenced=st.integers(-1, 5),
        fields=st.sampled_from(["", '{"slo_etag":"a"}']),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(ROWS, st.data())
def test_databases_given_the_same_rows_in_any_order_are_equal(
    shared: ContainerStore, rows: list[ObjectRow], data: st.DataObject
) -> None:
    found = []
    for _ in range(2):
        location = fresh(shared)
        left = [*data.draw(st.permutations(rows)), *data.draw(st.lists(st.sampled_from(rows), max_size=4))]
        while left:
            count = data.draw(st.integers(1, len(left)))
            shared.merge_rows(location, left[:count])
            left = left[count:]
        stored = sorted(numbered.row for numbered in shared.rows_since(location, 0, 1000))
        totals = shared.policy_totals(location)
        for policy in totals:
            live = [row for row in stored if row.policy_index == policy and not row.deleted]
            elsewhere = sum(row.size for row in live if row.elsewhere)
            size, referenced = sum(row.size for row in live), sum(row.referenced for row in live)
            quota = sum(row.size + row.referenced for row in live if not row.elsewhere)
            assert totals[policy] == PolicyTotals(len(live), size, elsewhere, referenced, quota)
            listing = shared.list(location, ListingQuery(policy_index=policy, reserved=True))
            assert len(listing.items) == len(live)
        found.append((stored, totals))
    assert found[0] == found[1]


# Listings (their rules are tested in test_databases_listing)


def test_listing_shows_what_lives_with_its_last_change(container: ContainerStore) -> None:
    posted = put("b", 20)._replace(meta_timestamp=at(40), content_type_timestamp=at(30), content_type="image/png")
    container.merge_rows(AT, [put("a", 20, 5), posted, put("x", 20), gone("x", 21)])
    listing = container.list(AT, ListingQuery())
    assert listing.items == [
        ObjectItem("a", at(20), 5, "text/plain", "e" * 32),
        ObjectItem("b", at(40), 1, "image/png", "e" * 32),
    ]
    assert (listing.info.object_count, listing.more) == (2, False)


def test_rows_of_a_listing_are_as_they_are_stored(container: ContainerStore) -> None:
    container.merge_rows(AT, [put("a", 20, 5), ObjectRow("b/c", Timestamp(30, 7), size=1)])
    rows = container.list_rows(AT, ListingQuery(delimiter="/")).items
    assert rows == [["a", at(20).internal, 5, "text/plain", "e" * 32, ""], Subdir("b/")]
    assert container.list_rows(AT, ListingQuery(prefix="b")).items[0][1] == Timestamp(30, 7).internal
    assert container.list_rows(AT, ListingQuery(prefix="none")).items == []


def test_an_object_that_stands_for_others_is_listed_with_their_size_and_counts_its_own(
    container: ContainerStore,
) -> None:
    fields = '{"slo_etag":"abc"}'
    container.merge_rows(AT, [put("a", 20, 5), put("b", 20, 7)._replace(referenced=100, fields=fields)])
    assert container.info(AT).bytes_used == 12
    assert container.info(AT).bytes_referenced == 100
    assert [item[2:] for item in container.list_rows(AT, ListingQuery()).items] == [
        [5, "text/plain", "e" * 32, ""],
        [107, "text/plain", "e" * 32, fields],
    ]
    container.merge_rows(AT, [put("b", 30, 1)])
    assert container.info(AT).bytes_referenced == 0
    assert container.list_rows(AT, ListingQuery()).items[1][5] == ""


@pytest.mark.parametrize("stamp", ["", "1500000000", "150000000x.00000", "1500000000,00000", "1500000000.0000"])
def test_a_row_without_a_timestamp_is_not_listed(container: ContainerStore, stamp: str) -> None:
    container.merge_rows(AT, [put("a", 20), put("b", 20)])
    with sqlite3.connect(container._databases.path(AT)) as connection:
        connection.execute("UPDATE object SET timestamp = ? WHERE name = 'b'", (stamp,))
    with pytest.raises(ValueError, match="no timestamp"):
        container.list_rows(AT, ListingQuery())


def test_listing_is_in_order_of_bytes_with_reserved_names_hidden(container: ContainerStore) -> None:
    container.merge_rows(AT, [put(name, 20) for name in ("é", "z", "Z", "\x00seg/1", "\U0001f600", "\uffee", 'q"\\')])
    assert names(container) == ["Z", 'q"\\', "z", "é", "\uffee", "\U0001f600"]
    assert names(container, ListingQuery(reserved=True))[0] == "\x00seg/1"


def test_listing_of_several_pages_of_rows_is_whole(container: ContainerStore) -> None:
    container.merge_rows(AT, [put(f"{number:05d}", 20) for number in range(2500)])
    container.merge_rows(AT, [gone(f"{number:05d}", 21) for number in range(0, 2500, 2)])
    expected = [f"{number:05d}" for number in range(1, 2500, 2)]
    assert names(container) == expected
    assert names(container, ListingQuery(reverse=True)) == expected[::-1]
    page = container.list(AT, ListingQuery(limit=1249))
    assert (len(page.items), page.more) == (1249, True)
    assert not container.list(AT, ListingQuery(limit=1250)).more


def test_listing_with_delimiter_rolls_up(container: ContainerStore) -> None:
    container.merge_rows(AT, [put(name, 20) for name in ("a/1", "a/2", "b", "c/1")])
    assert container.list(AT, ListingQuery(delimiter="/", limit=2)).items[0] == Subdir("a/")
    assert names(container, ListingQuery(delimiter="/")) == ["a/", "b", "c/"]
    assert names(container, ListingQuery(path="a")) == ["a/1", "a/2"]


# Reporting, replication, upkeep


def test_container_reports_until_the_account_knows(container: ContainerStore) -> None:
    report = container.unreported(AT, at(50))
    assert report is not None
    assert (report.name, report.put_timestamp, report.object_count, report.reported_at) == ("c", at(10), 0, at(50))
    container.set_reported(AT, report)
    assert container.unreported(AT, at(60)) is None
    container.merge_rows(AT, [put("o", 20, 5)])
    report = container.unreported(AT, at(60))
    assert report is not None
    assert (report.object_count, report.bytes_used) == (1, 5)


def test_change_after_the_report_was_made_is_reported_again(container: ContainerStore) -> None:
    report = container.unreported(AT, at(50))
    assert report is not None
    container.merge_rows(AT, [put("o", 20)])
    container.set_reported(AT, report)
    assert container.unreported(AT, at(60)) is not None


def test_rows_come_in_order_of_their_numbers(container: ContainerStore) -> None:
    container.merge_rows(AT, [put("a", 20), put("b", 20)])
    container.merge_rows(AT, [gone("a", 21)])
    assert [(number, row.name, row.deleted) for number, row in container.rows_since(AT, 0, 10)] == [
        (2, "b", False),
        (3, "a", True),
    ]
    assert [number for number, _ in container.rows_since(AT, 2, 10)] == [3]
    assert [number for number, _ in container.rows_since(AT, 0, 1)] == [2]


def test_replica_given_all_rows_and_status_is_equal(container: ContainerStore, tmp_path: Path) -> None:
    container.merge_rows(AT, [put("a", 20), put("b", 20, policy=1), gone("c", 22)])
    container.set_metadata(AT, {"X-Container-Meta-Size": "1"}, at(25))
    (tmp_path / "other").mkdir()
    other = ContainerStore(str(tmp_path / "other"), FILES, FAST)
    other.create(AT, NAME, at(15), 1, {"X-Container-Meta-Color": "blue"})
    other.merge_rows(AT, [row for _, row in container.rows_since(AT, 0, 100)])
    mine, theirs = container.status(AT), other.status(AT)
    other.merge_status(AT, mine)
    container.merge_status(AT, theirs)
    assert container.info(AT)._replace(id="") == other.info(AT)._replace(id="")
    assert container.info(AT).policy_index == 0
    assert container.info(AT).id != other.info(AT).id
    other.close()


def test_copy_made_anew_after_a_deletion_says_the_policy(container: ContainerStore, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = ContainerStore(str(tmp_path / "other"), FILES, FAST)
    other.create(AT, NAME, at(10), 0, {})
    other.delete(AT, at(20))
    other.create(AT, NAME, at(30), 1, {})
    mine, theirs = container.status(AT), other.status(AT)
    container.merge_status(AT, theirs)
    other.merge_status(AT, mine)
    assert container.info(AT).policy_index == other.info(AT).policy_index == 1
    assert live_metadata(container.info(AT).metadata) == live_metadata(other.info(AT).metadata) == {}
    other.close()


def test_sync_points_only_grow(container: ContainerStore) -> None:
    container.set_sync_point(AT, container.info(AT).id, True, "peer", 7)
    container.set_sync_point(AT, container.info(AT).id, True, "peer", 5)
    container.set_sync_point(AT, container.info(AT).id, False, "peer", 3)
    assert container.sync_points(AT, incoming=True) == {"peer": 7}
    assert container.sync_points(AT, incoming=False) == {"peer": 3}


def test_reclaim_forgets_old_tombstones_only_and_row_numbers_go_on(container: ContainerStore) -> None:
    container.merge_rows(AT, [put("live", 20), gone("new", 90), gone("old", 20, policy=1)])
    container.merge_rows(AT, [gone(f"old-{number:04d}", 30) for number in range(2100)])
    container.set_metadata(AT, {"X-Container-Meta-Color": ""}, at(40))
    assert container.reclaim(AT, at(50)) == 2101
    assert sorted(row.name for _, row in container.rows_since(AT, 0, 100)) == ["live", "new"]
    assert container.info(AT).metadata == {}
    assert container.max_row(AT) == 2103
    container.merge_rows(AT, [put("next", 60)])
    assert container.max_row(AT) == 2104


def test_audit_finds_totals_that_are_wrong(container: ContainerStore, tmp_path: Path) -> None:
    container.merge_rows(AT, [put("a", 20, 5), put("b", 20, 0, policy=1), gone("c", 20, policy=2)])
    container.audit(AT)
    connection = sqlite3.connect(container.path(AT))
    connection.execute("UPDATE policy_stat SET bytes_used = 6 WHERE policy_index = 0")
    connection.commit()
    connection.close()
    with pytest.raises(Corrupt, match="policy 0"):
        container.audit(AT)
    with pytest.raises(NotFound):
        container.info(AT)
    assert (tmp_path / "quarantined" / "containers" / AT.hash).exists()


def test_deleted_container_is_removed_when_old_and_reported(container: ContainerStore, tmp_path: Path) -> None:
    assert not container.remove(AT, at(99))
    container.delete(AT, at(20))
    assert not container.remove(AT, at(20))
    assert not container.remove(AT, at(99))
    report = container.unreported(AT, at(30))
    assert report is not None
    container.set_reported(AT, report)
    assert container.remove(AT, at(99))
    assert not list(tmp_path.rglob("*.db*"))
    assert list((tmp_path / "tmp").iterdir()) == []
    with pytest.raises(NotFound):
        container.status(AT)
    assert container.create(AT, NAME, at(100), 0, {})


def test_description_of_a_file(container: ContainerStore) -> None:
    container.merge_rows(AT, [put("a", 20, 5)])
    found = describe_database(container.path(AT))
    assert found["kind"] == "container"
    assert found["version"] == 6
    assert found["name"] == NAME
    assert found["policies"] == {0: PolicyTotals(1, 5, 0, 0, 5)}
    assert found["max_row"] == 1
    container.close()
    assert describe_database(container.path(AT)) == found
    assert os.listdir(os.path.dirname(container.path(AT))) == [f"{AT.hash}.db"]


def test_description_of_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(InvalidInput):
        describe_database(str(tmp_path / "empty"))
    with pytest.raises(NotFound):
        describe_database(str(tmp_path / "none"))


# Lives, and who may write in which


def writer(life: int = 0, now: float = 0.0) -> Writer:
    return Writer(at(life), now)


def test_row_of_a_writer_that_saw_the_container_before_its_deletion_is_refused(container: ContainerStore) -> None:
    # It brought the container back, which then was nobody's bucket.
    container.delete(AT, at(20))
    with pytest.raises(LifeEnded):
        container.merge_rows(AT, [put("late", 19)], writer=writer())
    with pytest.raises(LifeEnded):  # whatever its own clock says
        container.merge_rows(AT, [put("late", 99)], writer=writer())
    assert container.status(AT).deleted
    container.create(AT, NAME, at(30), 0, {})
    with pytest.raises(LifeEnded):
        container.merge_rows(AT, [put("late", 99)], writer=writer())
    container.merge_rows(AT, [put("new", 31)], writer=writer(20))
    assert names(container) == ["new"]


def test_refusal_concerns_one_writer_of_a_group(container: ContainerStore) -> None:
    container.delete(AT, at(20))
    container.create(AT, NAME, at(30), 0, {})
    threads = [green.spawn(container.merge_rows, AT, [put(f"o{life}", 40)], None, writer(life)) for life in (0, 20)]
    outcomes = []
    for thread in threads:
        try:
            thread.wait()
            outcomes.append("taken")
        except LifeEnded:
            outcomes.append("refused")
    assert outcomes == ["refused", "taken"]
    assert names(container) == ["o20"]


def test_shut_container_takes_no_new_objects_until_it_is_opened_or_its_time_is_over(container: ContainerStore) -> None:
    container.shut(AT, 100.0)
    with pytest.raises(LifeEnded):
        container.merge_rows(AT, [put("o", 20)], writer=writer(now=99.0))
    container.merge_rows(AT, [put("acknowledged", 20)])
    container.merge_rows(AT, [put("later", 20)], writer=writer(now=101.0))
    with pytest.raises(Conflict):
        container.shut(AT, 200.0)
    container.shut(AT, 0.0)
    container.merge_rows(AT, [put("o", 20)], writer=writer(now=99.0))
    assert names(container) == ["acknowledged", "later", "o"]


def marker(name: str, when: int) -> ObjectRow:
    return gone(name, when)._replace(content_type=MARKER_TYPE)


def test_container_with_a_delete_marker_is_not_empty(container: ContainerStore) -> None:
    container.merge_rows(AT, [put("k", 11), marker("k", 12)])
    assert names(container) == []
    assert container.markers(AT, 10) == ["k"]
    for refused in (lambda: container.delete(AT, at(20)), lambda: container.shut(AT, 100.0)):
        with pytest.raises(Conflict):
            refused()
    container.merge_rows(AT, [gone("k", 13)])
    assert not container.info(AT).markers
    container.delete(AT, at(20))


def test_row_of_a_delete_marker_is_never_forgotten(container: ContainerStore) -> None:
    container.merge_rows(AT, [marker("k", 12), gone("o", 12)])
    assert container.reclaim(AT, at(50)) == 1
    assert container.markers(AT, 10) == ["k"]


def test_container_that_comes_back_has_the_metadata_that_it_had(container: ContainerStore) -> None:
    container.set_metadata(AT, {"X-Container-Meta-Color": "blue"}, at(12))
    container.delete(AT, at(20))
    container.merge_status(AT, status_of(container.status(AT)))
    container.merge_rows(AT, [put("acknowledged", 19)])
    assert live_metadata(container.info(AT).metadata)["X-Container-Meta-Color"] == "blue"
    container.set_metadata(AT, {"X-Container-Meta-Size": "small"}, at(30))
    container.create(AT, NAME, at(40), 0, {})
    assert live_metadata(container.info(AT).metadata) == {
        "X-Container-Meta-Color": "blue",
        "X-Container-Meta-Size": "small",
    }


def test_the_walk_over_a_device_goes_on_from_any_place(store: ContainerStore) -> None:
    hashes = [f"{first}{'0' * 28}{suffix}" for first in "12" for suffix in ("abc", "abd")]
    for partition in (1, 2, 10):
        for number, name_hash in enumerate(hashes):
            store.create(Location(partition, name_hash), Name("a", str(number)), at(1), 0, {})
    every = list(store.locations())
    assert len(every) == 12
    assert every == sorted(every, key=position)
    for number, location in enumerate(every):
        assert list(store.locations(position(location))) == every[number:]
    assert list(store.locations(["2"])) == every[8:]
    assert list(store.locations(["3"])) == []
