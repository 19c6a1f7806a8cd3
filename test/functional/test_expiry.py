"""Objects that end by themselves: X-Delete-At and X-Delete-After."""

from __future__ import annotations

import time

import pytest
from harness.client import Client


@pytest.fixture
def path(container: str) -> str:
    return f"{container}/object"


def gone(owner: Client, path: str) -> bool:
    return owner.head(path).status == owner.get(path).status == 404


def test_an_object_ends_at_its_time(owner: Client, container: str, path: str) -> None:
    assert owner.put(path, b"x", {"X-Delete-After": "2"}).status == 201
    ends = int(owner.head(path)["X-Delete-At"])
    assert ends - time.time() <= 2
    assert owner.get(path).body == b"x"
    time.sleep(max(0, ends - time.time()) + 0.2)
    assert gone(owner, path)
    assert owner.post(path, {"X-Object-Meta-A": "1"}).status == 404
    assert owner.get(path, {"Range": "bytes=0-"}).status == 404
    assert owner.copy(path, f"{container}/copy").status == 404


def test_the_time_is_kept_as_given(owner: Client, path: str) -> None:
    ends = int(time.time()) + 1000
    owner.put(path, b"x", {"X-Delete-At": str(ends)})
    assert owner.head(path)["X-Delete-At"] == str(ends)
    assert owner.get(path)["X-Delete-At"] == str(ends)


def test_after_wins_over_at(owner: Client, path: str) -> None:
    owner.put(path, b"x", {"X-Delete-At": str(int(time.time()) + 9000), "X-Delete-After": "60"})
    assert int(owner.head(path)["X-Delete-At"]) < time.time() + 100


def test_a_post_sets_and_takes_back(owner: Client, path: str) -> None:
    owner.put(path, b"x")
    owner.post(path, {"X-Delete-After": "1000"})
    assert owner.head(path)["X-Delete-At"]
    owner.post(path, {"X-Object-Meta-A": "1"})
    assert owner.head(path).get("X-Delete-At") is None
    owner.put(path, b"x", {"X-Delete-After": "1000"})
    owner.post(path, {"X-Remove-Delete-At": "x"})
    assert owner.head(path).get("X-Delete-At") is None


def test_a_put_without_it_lasts(owner: Client, path: str) -> None:
    owner.put(path, b"x", {"X-Delete-After": "1"})
    owner.put(path, b"y")
    time.sleep(1.3)
    assert owner.get(path).body == b"y"


def test_an_ended_object_can_be_put_anew(owner: Client, path: str) -> None:
    owner.put(path, b"x", {"X-Delete-After": "1"})
    time.sleep(2.1)
    assert gone(owner, path)
    assert owner.put(path, b"y", {"If-None-Match": "*"}).status == 201
    assert owner.get(path).body == b"y"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Delete-At": "1"},
        {"X-Delete-At": "-1"},
        {"X-Delete-At": "tomorrow"},
        {"X-Delete-At": "1.5"},
        {"X-Delete-After": "-1"},
        {"X-Delete-After": "0"},
        {"X-Delete-After": "soon"},
        {"X-Delete-After": "9" * 5000},
        {"X-Delete-At": "1_000_000_000_000"},
        {"X-Delete-At": "\u0661" * 12},
    ],
    ids=str,
)
def test_times_that_make_no_sense_are_refused(owner: Client, path: str, headers: dict[str, str]) -> None:
    assert owner.put(path, b"x", headers).status == 400
    assert owner.head(path).status == 404
    owner.put(path, b"x")
    assert owner.post(path, headers).status == 400


@pytest.mark.parametrize("header", ["X-Delete-At", "X-Delete-After"])
def test_a_time_too_far_away_is_the_last_there_is(owner: Client, path: str, header: str) -> None:
    assert owner.put(path, b"x", {header: "9" * 30}).status == 201
    assert owner.head(path)["X-Delete-At"] == "9" * 10


def test_a_copy_keeps_the_time(owner: Client, container: str, path: str) -> None:
    owner.put(path, b"x", {"X-Delete-After": "1000"})
    owner.copy(path, f"{container}/copy")
    assert owner.head(f"{container}/copy")["X-Delete-At"] == owner.head(path)["X-Delete-At"]
