"""Containers: made, described, deleted."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator

import pytest
from harness.client import Client


@pytest.fixture
def name(owner: Client) -> Iterator[str]:
    """Of a container that is not there."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    if owner.head(name).status != 404:
        owner.wipe(name)


def test_a_container_is_created_once_and_accepted_again(owner: Client, name: str) -> None:
    assert owner.head(name).status == 404
    assert owner.put(name).status == 201
    assert owner.put(name).status == 202
    assert owner.head(name).status == 204


def test_an_empty_container_is_deleted(owner: Client, container: str) -> None:
    assert owner.delete(container).status == 204
    for method in ("GET", "HEAD", "POST", "DELETE"):
        assert owner.request(method, container, {"Content-Length": "0"}).status == 404, method


def test_a_container_with_objects_is_not_deleted(owner: Client, container: str) -> None:
    owner.put(f"{container}/object", b"x")
    assert owner.delete(container).status == 409
    assert owner.get(f"{container}/object").body == b"x"
    owner.delete(f"{container}/object")
    assert owner.delete(container).status == 204


def test_a_container_made_anew_is_empty_and_knows_nothing(owner: Client, name: str) -> None:
    owner.put(name, headers={"X-Container-Meta-Color": "blue", "X-Container-Read": ".r:*"})
    owner.put(f"{name}/object", b"x")
    owner.delete(f"{name}/object")
    assert owner.delete(name).status == 204
    assert owner.put(name).status == 201
    head = owner.head(name)
    assert head.get("X-Container-Meta-Color") is None
    assert head.get("X-Container-Read") is None
    assert head["X-Container-Object-Count"] == "0"


def test_what_head_tells(owner: Client, container: str) -> None:
    head = owner.head(container)
    assert (head.status, head.body) == (204, b"")
    assert head["X-Container-Object-Count"] == "0"
    assert head["X-Container-Bytes-Used"] == "0"
    assert re.fullmatch(r"\d{10}\.\d{5}", head["X-Timestamp"])
    assert head["Accept-Ranges"] == "bytes"
    assert head["X-Storage-Policy"]
    assert head["Last-Modified"].endswith(" GMT")
    assert re.fullmatch(r"tx[0-9a-f]{21}-[0-9a-f]{10}.*", head["X-Trans-Id"])
    got = owner.get(container)
    for header in ("X-Container-Object-Count", "X-Timestamp", "X-Storage-Policy", "Last-Modified"):
        assert got[header] == head[header]


def test_metadata_is_set_by_put_and_post(owner: Client, name: str) -> None:
    assert owner.put(name, headers={"X-Container-Meta-A": "1"}).status == 201
    assert owner.put(name, headers={"X-Container-Meta-B": "für"}).status == 202
    assert owner.post(name, {"X-Container-Meta-C": "3"}).status == 204
    head = owner.head(name)
    assert [head[f"X-Container-Meta-{key}"] for key in "ABC"] == ["1", "für", "3"]


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_metadata_is_removed_by_an_empty_value_or_by_remove(owner: Client, container: str, method: str) -> None:
    owner.post(container, {"X-Container-Meta-A": "1", "X-Container-Meta-B": "2", "X-Container-Meta-C": "3"})
    owner.request(method, container, {"X-Container-Meta-A": "", "Content-Length": "0"})
    owner.request(method, container, {"X-Remove-Container-Meta-B": "x", "Content-Length": "0"})
    head = owner.head(container)
    assert head.get("X-Container-Meta-A") is None
    assert head.get("X-Container-Meta-B") is None
    assert head["X-Container-Meta-C"] == "3"


def test_setting_wins_over_removing_in_one_request(owner: Client, container: str) -> None:
    owner.post(container, {"X-Container-Meta-A": "1", "X-Remove-Container-Meta-A": "x"})
    assert owner.head(container)["X-Container-Meta-A"] == "1"


def test_headers_that_are_not_a_containers_are_dropped(owner: Client, container: str) -> None:
    owner.post(container, {"X-Object-Meta-A": "1", "X-Account-Meta-A": "1", "X-Container-Sysmeta-A": "1", "X-A": "1"})
    names = {name.lower() for name in owner.head(container).headers}
    assert not names & {"x-object-meta-a", "x-account-meta-a", "x-container-sysmeta-a", "x-a"}


def test_a_container_that_is_not_there_takes_no_post(owner: Client, name: str) -> None:
    assert owner.post(name, {"X-Container-Meta-A": "1"}).status == 404


@pytest.mark.parametrize("odd", ["a b", "ä", "日本語", "..", ".", "%41", "a?b", "a#b", "a+b", "-", "\x7f", "c" * 256])
def test_names_are_any_text_without_a_slash(owner: Client, odd: str) -> None:
    try:
        assert owner.put(odd).status in (201, 202)
        assert owner.put(f"{odd}/object", b"x").status == 201
        assert owner.names(odd) == ["object"]
        assert odd in owner.names(prefix=odd)
    finally:
        owner.wipe(odd)


@pytest.mark.parametrize("name", ["c" * 257, "ä" * 129])
def test_longer_names_are_refused(owner: Client, name: str) -> None:
    refused = owner.put(name)
    assert refused.status == 400
    assert "256" in refused.text


def test_a_slash_at_the_end_says_nothing(owner: Client, container: str) -> None:
    assert owner.head(container + "/").status == 204
    assert owner.put(container + "/").status == 202


def test_the_storage_policy_is_chosen_by_name(owner: Client, name: str) -> None:
    policy = next(one for one in owner.send("GET", "/info").json["swift"]["policies"] if one.get("default"))
    assert owner.put(name, headers={"X-Storage-Policy": policy["name"].upper()}).status == 201
    assert owner.head(name)["X-Storage-Policy"] == policy["name"]
    assert owner.put(name, headers={"X-Storage-Policy": policy["name"]}).status == 202


def test_an_unknown_storage_policy_is_refused(owner: Client, name: str) -> None:
    refused = owner.put(name, headers={"X-Storage-Policy": "nonsense"})
    assert refused.status == 400
    assert "nonsense" in refused.text
    assert owner.head(name).status == 404


def test_many_containers_at_once(owner: Client, new_container: Callable[[], str]) -> None:
    names = [new_container() for _ in range(10)]
    assert set(names) <= set(owner.names(prefix="test-"))
