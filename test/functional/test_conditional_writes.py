"""Conditional writes: atomic against every other writer of the name (RFC 9110, section 13)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest
from harness.client import Client
from harness.contention import Mixture, at_once, count_up, etag, race_to_create
from harness.linearizable import check
from harness.store import Store

BODY = b"some content"
SIZES = pytest.mark.parametrize("size", [20, 200_000], ids=["small", "large"])


@pytest.fixture
def make(owner: Client) -> Callable[[], Client]:
    return lambda: owner.with_token(owner.token)


@SIZES
def test_put_over_what_was_read(owner: Client, container: str, size: int) -> None:
    path = f"{container}/object"
    assert owner.put(path, b"1" * size).status == 201
    first = owner.head(path)["Etag"]
    for other in ('"other"', "other", f'W/"{first}"'):
        assert owner.put(path, b"2" * size, {"If-Match": other}).status == 412
    assert owner.get(path).body == b"1" * size
    for same in (first, f'"{etag(b"2" * size)}", "x"', "*"):
        assert owner.put(path, b"2" * size, {"If-Match": same}).status == 201
    assert owner.get(path).body == b"2" * size
    assert owner.put(path, b"3" * size, {"If-Match": first}).status == 412


@SIZES
def test_put_over_what_is_missing(owner: Client, container: str, size: int) -> None:
    path = f"{container}/object"
    for wanted in ("*", '"other"'):
        assert owner.put(path, b"1" * size, {"If-Match": wanted}).status == 412
    assert owner.head(path).status == 404
    owner.put(path, BODY)
    owner.delete(path)
    assert owner.put(path, b"1" * size, {"If-Match": "*"}).status == 412
    assert owner.put(path, b"1" * size, {"If-None-Match": "*"}).status == 201


def test_delete_what_was_read(owner: Client, container: str) -> None:
    path = f"{container}/object"
    assert owner.delete(path, {"If-Match": "*"}).status == 412
    owner.put(path, BODY)
    assert owner.delete(path, {"If-Match": '"other"'}).status == 412
    assert owner.delete(path, {"If-None-Match": "*"}).status == 412
    assert owner.get(path).body == BODY
    assert owner.delete(path, {"If-Match": f'"{etag(BODY)}"'}).status == 204
    assert owner.head(path).status == 404
    assert owner.delete(path, {"If-Match": "*"}).status == 412
    assert owner.names(container) == []


def test_post_to_what_was_read(owner: Client, container: str) -> None:
    path = f"{container}/object"
    owner.put(path, BODY)
    assert owner.post(path, {"If-Match": '"other"', "X-Object-Meta-Color": "red"}).status == 412
    assert owner.post(path, {"If-Match": etag(BODY), "X-Object-Meta-Color": "blue"}).status == 202
    assert owner.head(path)["X-Object-Meta-Color"] == "blue"


def test_an_expired_object_is_missing(owner: Client, container: str) -> None:
    path = f"{container}/object"
    assert owner.put(path, BODY, {"X-Delete-After": "3"}).status == 201
    assert owner.put(path, BODY, {"If-None-Match": "*"}).status == 412
    threading.Event().wait(4.1)
    assert owner.put(path, BODY, {"If-Match": "*"}).status == 412
    assert owner.put(path, b"new", {"If-None-Match": "*"}).status == 201
    assert owner.get(path).body == b"new"


@SIZES
def test_a_listing_has_what_was_put_on_a_condition(owner: Client, container: str, size: int) -> None:
    path = f"{container}/object"
    owner.put(path, b"1" * size, {"If-None-Match": "*"})
    owner.put(path, b"2" * size, {"If-Match": etag(b"1" * size)})
    (row,) = owner.get(container, format="json").json
    assert (row["hash"], row["bytes"]) == (etag(b"2" * size), size)


def test_a_chunked_body_without_length(make: Callable[[], Client], container: str) -> None:
    """Each on a connection of its own: an early answer may end one."""
    path = f"{container}/object"
    pieces = [b"x" * 1000] * 100
    assert make().put(path, iter(pieces), {"If-None-Match": "*"}).status == 201
    assert make().put(path, iter(pieces), {"If-None-Match": "*"}).status == 412
    assert make().put(path, iter(pieces), {"If-Match": etag(b"".join(pieces))}).status == 201


def test_a_body_that_is_not_what_it_says_changes_nothing_and_holds_nothing(owner: Client, container: str) -> None:
    path = f"{container}/object"
    for size in (20, 200_000):
        wrong = {"If-None-Match": "*", "Etag": etag(b"other")}
        assert owner.put(path, b"1" * size, wrong).status == 422
        assert owner.head(path).status == 404
    assert owner.put(path, BODY, {"If-None-Match": "*"}).status == 201


def test_of_many_that_create_an_object_one_does(make: Callable[[], Client], container: str) -> None:
    race_to_create(make, [f"{container}/{number}" for number in range(25)], 16)


def test_of_many_that_create_a_large_object_one_does(make: Callable[[], Client], container: str) -> None:
    race_to_create(make, [f"{container}/{number}" for number in range(4)], 8, 300_000)


@pytest.mark.parametrize(("clients", "wins", "padding"), [(16, 6, 0), (4, 4, 100_000)], ids=["small", "large"])
def test_a_counter_counts(make: Callable[[], Client], container: str, clients: int, wins: int, padding: int) -> None:
    value, told = count_up(make, f"{container}/counter", clients, wins, padding=padding)
    assert value == told == clients * wins


def test_of_many_that_delete_what_they_read_one_does(make: Callable[[], Client], owner: Client, container: str) -> None:
    path = f"{container}/object"
    clients = [make() for _ in range(8)]
    for number in range(10):
        body = b"%d" % number
        assert owner.put(path, body).status == 201
        wanted = {"If-Match": etag(body)}
        answers = at_once(8, lambda client, wanted=wanted: clients[client].delete(path, wanted).status)
        assert sorted(answers) == [204] + [412] * 7


def test_plain_writers_are_not_lost_nor_seen_twice(store: Store, make: Callable[[], Client], container: str) -> None:
    """Everything at once on one name. Where there are several copies reads are not noted: they promise less."""
    alone = "one_device" in str(store.server.data) if store.server else False
    seen = Counter[str]()
    for number in range(3):
        mixture = Mixture(make, f"{container}/{number}", reads=alone)
        mixture.run(clients=8, each=25)
        check(mixture.history)
        seen += Counter(mixture.history.statuses())
    assert min(seen["swap made"], seen["write made"]) > 5, seen
    assert not any("unknown" in kind for kind in seen), seen


def test_plain_writers_of_large_objects(store: Store, make: Callable[[], Client], container: str) -> None:
    mixture = Mixture(make, f"{container}/large", reads=False, size=150_000)
    mixture.run(clients=6, each=12)
    check(mixture.history)
