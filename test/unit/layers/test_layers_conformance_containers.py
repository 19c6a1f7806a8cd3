"""The contract of accounts and containers, over each stack of layers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from harness.layer_stacks import Shelf

from objstore.core.errors import AccountDeleted, Conflict, InvalidInput, NoContainer, NotFound
from objstore.core.headers import DELETE_TIMESTAMP, POLICY, POLICY_NAME
from objstore.core.names import Name
from objstore.core.timestamps import Timestamp
from objstore.layers.interface import AccountOptions, ContainerOptions, ObjectLayer, Page

PAST = Timestamp.from_seconds(1_500_000_000)


def create(shelf: Shelf, name: Name, headers: Mapping[str, str] | None = None, **options: object) -> bool:
    return shelf.layer.create_container(shelf.context, name, ContainerOptions(headers or {}, **options))  # type: ignore[arg-type]


def headers_of(shelf: Shelf, name: Name | None = None) -> dict[str, str]:
    name = name or shelf.container
    show = shelf.layer.account if name.container is None else shelf.layer.container
    return show(shelf.context, name).headers


@pytest.fixture
def other(shelf: Shelf) -> Name:
    """A container that does not exist."""
    return shelf.container._replace(container="other")


# Containers


def test_a_container_is_made_once(shelf: Shelf, other: Name) -> None:
    assert create(shelf, other, {"X-Container-Meta-A": "1"})
    assert not create(shelf, other, {"X-Container-Meta-B": "2"})
    headers = headers_of(shelf, other)
    assert headers["X-Container-Meta-A"] == "1" and headers["X-Container-Meta-B"] == "2"


def test_a_container_that_is_not_there(shelf: Shelf, other: Name) -> None:
    with pytest.raises(NoContainer):
        shelf.layer.container(shelf.context, other)
    with pytest.raises(NoContainer):
        shelf.layer.list_objects(shelf.context, other, Page())
    with pytest.raises(NoContainer):
        shelf.layer.update_container(shelf.context, other, ContainerOptions({}))
    with pytest.raises(NotFound):
        shelf.layer.delete_container(shelf.context, other)
    info = shelf.layer.container_info(shelf.context, other)
    assert not info.exists and info.status == 404


def test_metadata_is_changed_key_by_key(shelf: Shelf) -> None:
    def update(headers: Mapping[str, str]) -> None:
        shelf.layer.update_container(shelf.context, shelf.container, ContainerOptions(headers))

    update(
        {"X-Container-Meta-A": "1", "X-Container-Meta-B": "2", "X-Container-Read": ".r:*", "X-Container-Sysmeta-S": "3"}
    )
    update({"X-Container-Meta-A": "", "X-Container-Meta-B": "4", "X-Anything": "5"})
    headers = headers_of(shelf)
    assert headers["X-Container-Meta-B"] == "4" and headers["X-Container-Sysmeta-S"] == "3"
    assert not {"X-Container-Meta-A", "X-Anything"} & headers.keys()
    info = shelf.layer.container_info(shelf.context, shelf.container)
    assert info.meta == {"b": "4"} and info.sysmeta == {"s": "3"} and info.read_acl == ".r:*"


def test_of_two_values_of_a_key_the_one_of_the_newer_change_counts(shelf: Shelf, other: Name) -> None:
    create(shelf, other, timestamp=PAST)
    for seconds, value in ((30, "late"), (20, "early")):
        stamp = Timestamp.from_seconds(PAST.seconds + seconds)
        options = ContainerOptions({"X-Container-Meta-A": value}, timestamp=stamp)
        shelf.layer.update_container(shelf.context, other, options)
    assert headers_of(shelf, other)["X-Container-Meta-A"] == "late"


def test_metadata_that_no_answer_could_have(shelf: Shelf) -> None:
    with pytest.raises(InvalidInput):
        shelf.layer.update_container(shelf.context, shelf.container, ContainerOptions({"X-Container-Meta-A": "a\nb"}))


def test_policies(shelf: Shelf, other: Name) -> None:
    assert headers_of(shelf)[POLICY_NAME] == "gold" and headers_of(shelf)[POLICY] == "0"
    create(shelf, other, policy=1)
    assert headers_of(shelf, other)[POLICY_NAME] == "silver"
    assert shelf.layer.container_info(shelf.context, other).policy_index == 1
    assert not create(shelf, other) and not create(shelf, other, policy=1)
    with pytest.raises(Conflict):
        create(shelf, other, policy=0)


def test_only_an_empty_container_is_deleted(shelf: Shelf) -> None:
    shelf.put("o")
    with pytest.raises(Conflict):
        shelf.layer.delete_container(shelf.context, shelf.container)
    shelf.put("p")  # it takes objects as before
    shelf.delete("o")
    shelf.delete("p")
    assert shelf.layer.delete_container(shelf.context, shelf.container)
    with pytest.raises(NotFound):
        shelf.layer.delete_container(shelf.context, shelf.container)


def test_an_expired_object_keeps_its_container_until_it_is_deleted(shelf: Shelf) -> None:
    shelf.put("o", b"", {"X-Delete-At": "1500000000"})
    with pytest.raises(Conflict):
        shelf.layer.delete_container(shelf.context, shelf.container)
    shelf.delete("o")
    assert shelf.layer.delete_container(shelf.context, shelf.container)


def test_a_container_that_is_made_again_starts_anew(shelf: Shelf, other: Name) -> None:
    create(shelf, other, {"X-Container-Meta-A": "1"})
    shelf.layer.delete_container(shelf.context, other)
    with pytest.raises(NoContainer) as missing:
        shelf.layer.container(shelf.context, other)
    deleted = missing.value.timestamp
    assert create(shelf, other, policy=1)
    headers = headers_of(shelf, other)
    assert "X-Container-Meta-A" not in headers and headers[POLICY_NAME] == "silver"
    assert isinstance(deleted, Timestamp) and headers[DELETE_TIMESTAMP] == deleted.internal


def test_final_timestamps_of_containers(shelf: Shelf, other: Name) -> None:
    create(shelf, other, timestamp=PAST)
    assert Timestamp.parse(headers_of(shelf, other)["X-Timestamp"]) == PAST
    with pytest.raises(Conflict):
        shelf.layer.delete_container(shelf.context, other, PAST)
    shelf.layer.delete_container(shelf.context, other, PAST.next())
    with pytest.raises(Conflict):
        create(shelf, other, timestamp=PAST.next())
    assert create(shelf, other, timestamp=PAST.next().next())


def test_a_request_sees_a_container_in_one_state_but_for_its_own_changes(shelf: Shelf, other: Name) -> None:
    context = shelf.context
    assert not shelf.layer.container_info(context, other).exists
    create(shelf, other)
    assert not shelf.layer.container_info(context, other).exists
    assert shelf.layer.container_info(shelf.context, other).exists
    shelf.layer.create_container(context, other, ContainerOptions({"X-Container-Meta-A": "1"}))
    assert shelf.layer.container_info(context, other).meta == {"a": "1"}


# Accounts


def test_an_account_that_nobody_made_is_there_and_empty(layer: ObjectLayer, shelf: Shelf) -> None:
    account = Name("nobody")
    listing = layer.list_containers(shelf.context, account, Page())
    assert listing.rows == [] and listing.headers["X-Account-Container-Count"] == "0"
    assert layer.account_info(shelf.context, "nobody").exists


def test_the_first_container_makes_its_account(shelf: Shelf) -> None:
    headers = headers_of(shelf, shelf.container.of_account)
    assert headers["X-Account-Container-Count"] == "1"
    assert not shelf.layer.create_account(shelf.context, shelf.container.of_account, AccountOptions({}))


def test_an_account_s_metadata(shelf: Shelf) -> None:
    account = Name(f"{shelf.container.account}-new")
    assert shelf.layer.create_account(shelf.context, account, AccountOptions({"X-Account-Meta-A": "1"}))
    shelf.layer.update_account(
        shelf.context, account, AccountOptions({"X-Account-Meta-A": "", "X-Account-Meta-B": "2"})
    )
    headers = headers_of(shelf, account)
    assert headers["X-Account-Meta-B"] == "2" and "X-Account-Meta-A" not in headers
    assert shelf.layer.account_info(shelf.context, account.account).meta == {"b": "2"}


def test_an_update_makes_the_account(shelf: Shelf) -> None:
    account = Name(f"{shelf.container.account}-updated")
    shelf.layer.update_account(shelf.context, account, AccountOptions({"X-Account-Meta-A": "1"}))
    assert headers_of(shelf, account)["X-Account-Meta-A"] == "1"


def test_a_deleted_account_is_gone_with_its_containers(shelf: Shelf) -> None:
    account = shelf.container.of_account
    shelf.layer.delete_account(shelf.context, account, AccountOptions({}))
    for show in (
        lambda: shelf.layer.account(shelf.context, account),
        lambda: shelf.layer.list_containers(shelf.context, account, Page()),
        lambda: shelf.layer.container(shelf.context, shelf.container),
        lambda: shelf.rows(),
        lambda: shelf.layer.delete_account(shelf.context, account, AccountOptions({})),
    ):
        with pytest.raises(NotFound):
            show()
    for change in (
        lambda: shelf.layer.create_account(shelf.context, account, AccountOptions({})),
        lambda: shelf.layer.update_account(shelf.context, account, AccountOptions({"X-Account-Meta-A": "1"})),
        lambda: shelf.layer.create_container(shelf.context, account._replace(container="new"), ContainerOptions({})),
    ):
        with pytest.raises(AccountDeleted):
            change()
    assert shelf.layer.account_info(shelf.context, account.account).status == 410
    assert not shelf.layer.container_info(shelf.context, shelf.container).exists
