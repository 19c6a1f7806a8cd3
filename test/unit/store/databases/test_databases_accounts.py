"""Account databases on a device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from objstore.core.errors import AccountDeleted, Conflict, NotFound
from objstore.core.names import HashSalt, Location, Name
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES
from objstore.store.databases import (
    AccountStore,
    AccountTotals,
    ContainerRow,
    DatabaseSettings,
    ListedContainer,
    ListingQuery,
    NewAccount,
    describe_database,
    live_metadata,
)

NAME = Name("AUTH_é")
AT = Location(3, HashSalt(b"", b"salt").hash(NAME))
FAST = DatabaseSettings(synchronous="off")


def at(raw: int) -> Timestamp:
    return Timestamp(raw)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AccountStore]:
    store = AccountStore(str(tmp_path), FILES, FAST)
    yield store
    store.close()


@pytest.fixture
def account(store: AccountStore) -> AccountStore:
    assert store.create(AT, NAME, at(10), {"X-Account-Meta-Color": "red"})
    return store


def names(store: AccountStore, query: ListingQuery | None = None) -> list[str]:
    return [item.name for item in store.list(AT, query or ListingQuery()).items]


def test_new_account_is_empty(account: AccountStore) -> None:
    info = account.info(AT)
    assert info.name == NAME
    assert (info.container_count, info.object_count, info.bytes_used) == (0, 0, 0)
    assert live_metadata(info.metadata) == {"X-Account-Meta-Color": "red"}
    assert "/accounts/3/" in account.path(AT)
    assert names(account) == []


def test_account_never_made_is_not_found_unless_a_row_may_make_it(store: AccountStore) -> None:
    with pytest.raises(NotFound):
        store.info(AT)
    with pytest.raises(NotFound):
        store.merge_rows(AT, [ContainerRow("c", at(11))])
    store.merge_rows(AT, [ContainerRow("c", at(11))], create_with=NewAccount(NAME, at(11)))
    assert store.info(AT).container_count == 1


def test_totals_follow_the_newest_report_of_each_container(account: AccountStore) -> None:
    account.merge_rows(AT, [ContainerRow("c", at(11)), ContainerRow("d", at(12), policy_index=1)])
    account.merge_rows(AT, [ContainerRow("c", at(11), object_count=5, bytes_used=50, reported_at=at(30))])
    account.merge_rows(AT, [ContainerRow("c", at(11), object_count=4, bytes_used=40, reported_at=at(20))])
    account.merge_rows(AT, [ContainerRow("d", at(12), at(0), 1, 9, 1, reported_at=at(20))])
    assert account.info(AT)[5:8] == (2, 6, 59)
    assert account.policy_totals(AT) == {0: AccountTotals(1, 5, 50), 1: AccountTotals(1, 1, 9)}
    assert account.list(AT, ListingQuery()).items == [
        ListedContainer("c", at(11), 5, 50, 0),
        ListedContainer("d", at(12), 1, 9, 1),
    ]


def test_container_that_changes_its_policy_moves_its_totals(account: AccountStore) -> None:
    account.merge_rows(AT, [ContainerRow("c", at(11), object_count=5, bytes_used=50, reported_at=at(12))])
    account.merge_rows(AT, [ContainerRow("c", at(30), at(20), 2, 20, 3, reported_at=at(31))])
    assert account.policy_totals(AT) == {0: AccountTotals(0, 0, 0), 3: AccountTotals(1, 2, 20)}
    account.audit(AT)


def test_deleted_container_leaves_listing_and_totals(account: AccountStore) -> None:
    account.merge_rows(AT, [ContainerRow("c", at(11)), ContainerRow("d", at(11))])
    account.merge_rows(AT, [ContainerRow("c", at(11), at(20))])
    assert names(account) == ["d"]
    assert account.info(AT).container_count == 1
    account.merge_rows(AT, [ContainerRow("c", at(15))])
    assert names(account) == ["d"]
    account.merge_rows(AT, [ContainerRow("c", at(25))])
    assert names(account) == ["c", "d"]


def test_listing_takes_prefix_delimiter_markers_and_reverse(account: AccountStore) -> None:
    account.merge_rows(AT, [ContainerRow(name, at(11)) for name in ("a-1", "a-2", "b", "c-1", "é", "\x00x")])
    assert names(account, ListingQuery(delimiter="-")) == ["a-", "b", "c-", "é"]
    assert names(account, ListingQuery(prefix="a-", marker="a-1")) == ["a-2"]
    assert names(account, ListingQuery(marker="é", end_marker="a-2", reverse=True)) == ["c-1", "b"]
    assert names(account, ListingQuery(reserved=True, limit=1)) == ["\x00x"]


def test_deleted_account_is_not_found_and_a_reaper_still_lists_it(account: AccountStore) -> None:
    account.merge_rows(AT, [ContainerRow("c", at(11))])
    account.delete(AT, at(20))
    for call in (account.info, lambda location: account.list(location, ListingQuery())):
        with pytest.raises(NotFound) as caught:
            call(AT)
        assert caught.value.timestamp == at(20)
    assert account.status(AT).deleted
    assert [item.name for item in account.list(AT, ListingQuery(), deleted_too=True).items] == ["c"]


def test_deleted_account_is_not_created_again(account: AccountStore) -> None:
    account.delete(AT, at(20))
    for raw in (15, 30):
        with pytest.raises(AccountDeleted) as caught:
            account.create(AT, NAME, at(raw), {})
        assert caught.value.timestamp == at(20)


def test_put_of_an_existing_account_leaves_the_time_of_its_creation(account: AccountStore) -> None:
    # A replica that missed the deletion would else revive the account for all.
    assert not account.create(AT, NAME, at(30), {"X-Account-Meta-Color": "blue"})
    assert account.info(AT).put_timestamp == at(10)
    assert live_metadata(account.info(AT).metadata) == {"X-Account-Meta-Color": "blue"}


def test_account_of_the_system_is_revived_only_by_a_newer_put(account: AccountStore) -> None:
    account.delete(AT, at(20))
    with pytest.raises(Conflict):
        account.create(AT, NAME, at(15), {}, revive=True)
    assert account.create(AT, NAME, at(30), {}, revive=True)
    assert live_metadata(account.info(AT).metadata) == {}
    with pytest.raises(Conflict) as caught:
        account.delete(AT, at(25))
    assert caught.value.timestamp == at(30)


def test_account_is_removed_when_its_containers_are_gone(account: AccountStore, tmp_path: Path) -> None:
    account.merge_rows(AT, [ContainerRow("c", at(11))])
    account.delete(AT, at(20))
    assert not account.remove(AT, at(99))
    account.merge_rows(AT, [ContainerRow("c", at(11), at(30))])
    assert account.reclaim(AT, at(25)) == 0
    assert account.reclaim(AT, at(99)) == 1
    assert account.remove(AT, at(99))
    assert not list(tmp_path.rglob("*.db"))


def test_replica_given_all_rows_and_status_is_equal(account: AccountStore, tmp_path: Path) -> None:
    account.merge_rows(AT, [ContainerRow("c", at(11), at(0), 3, 30), ContainerRow("d", at(11), at(12))])
    account.set_metadata(AT, {"X-Account-Meta-Color": "", "X-Account-Meta-Size": "1"}, at(15))
    (tmp_path / "other").mkdir()
    other = AccountStore(str(tmp_path / "other"), FILES, FAST)
    other.create(AT, NAME, at(5), {})
    other.merge_rows(AT, [row for _, row in account.rows_since(AT, 0, 10)])
    mine, theirs = account.status(AT), other.status(AT)
    other.merge_status(AT, mine)
    account.merge_status(AT, theirs)
    assert account.info(AT)._replace(id="") == other.info(AT)._replace(id="")
    account.set_sync_point(AT, account.info(AT).id, False, other.info(AT).id, account.max_row(AT))
    assert account.sync_points(AT, False) == {other.info(AT).id: 2}
    other.close()


def test_description_of_an_account(account: AccountStore) -> None:
    account.merge_rows(AT, [ContainerRow("c", at(11), object_count=2, bytes_used=20)])
    found = describe_database(account.path(AT))
    assert (found["kind"], found["name"], found["container_count"]) == ("account", NAME, 1)
    assert found["policies"] == {0: AccountTotals(1, 2, 20)}
