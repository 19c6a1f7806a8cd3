"""Accounts: totals, metadata and the list of containers."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from harness.client import Client
from harness.store import Store


@pytest.fixture
def fresh(store: Store) -> Client:
    """The owner of an account that nobody has used."""
    return store.add_user(f"acc{uuid.uuid4().hex[:8]}:owner", "--admin")


@pytest.fixture
def filled(fresh: Client) -> Client:
    """Its containers: a, a/... cannot be; names that sort by their bytes."""
    for name in ("apple", "banana", "b-1", "b-2", "b-2-x", "ä", "日本", "Z"):
        assert fresh.put(name).status == 201
    return fresh


SORTED = ["Z", "apple", "b-1", "b-2", "b-2-x", "banana", "ä", "日本"]


def test_an_unused_account_is_empty(fresh: Client) -> None:
    head = fresh.head()
    assert head.status == 204
    for total in ("Container-Count", "Object-Count", "Bytes-Used"):
        assert head[f"X-Account-{total}"] == "0"
    assert re.fullmatch(r"\d{10}\.\d{5}", head["X-Timestamp"])
    assert (fresh.get().status, fresh.get().body) == (204, b"")
    assert fresh.get(format="json").json == []
    assert fresh.get(format="json").status == 200
    assert ElementTree.fromstring(fresh.get(format="xml").body).get("name") == fresh.account


def test_totals_follow_containers_and_objects(fresh: Client) -> None:
    fresh.put("one")
    fresh.put("two")
    fresh.put("two/object", b"12345")

    def totals() -> tuple[str, str, str]:
        head = fresh.head()
        return head["X-Account-Container-Count"], head["X-Account-Object-Count"], head["X-Account-Bytes-Used"]

    assert totals()[0] == "2"
    fresh.delete("one")
    assert totals()[0] == "1"


def test_an_account_is_listed_in_three_formats(filled: Client) -> None:
    plain = filled.get()
    assert plain.status == 200
    assert plain["Content-Type"] == "text/plain; charset=utf-8"
    assert plain.text.split("\n") == [*SORTED, ""]

    rows = filled.get(format="json")
    assert rows["Content-Type"] == "application/json; charset=utf-8"
    assert [row["name"] for row in rows.json] == SORTED
    assert all({"name", "count", "bytes", "last_modified"} <= row.keys() for row in rows.json)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", rows.json[0]["last_modified"])

    xml = filled.get(format="xml")
    assert xml["Content-Type"] == "application/xml; charset=utf-8"
    tree = ElementTree.fromstring(xml.body)
    assert tree.tag == "account"
    assert [row.findtext("name") for row in tree.findall("container")] == SORTED


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "application/json"),
        ("application/xml", "application/xml"),
        ("text/xml", "text/xml"),
        ("text/plain", "text/plain"),
        ("*/*", "text/plain"),
        ("application/*", "application/json"),
        ("application/xml;q=0.5, application/json", "application/json"),
        ("image/png, application/json;q=0.1", "application/json"),
    ],
)
def test_the_accept_header_chooses_the_format(filled: Client, accept: str, kind: str) -> None:
    assert filled.get("", {"Accept": accept})["Content-Type"].partition(";")[0] == kind


def test_a_format_that_is_none_of_ours_is_not_acceptable(filled: Client) -> None:
    assert filled.get("", {"Accept": "image/png"}).status == 406
    assert filled.get("", {"Accept": "image/png"}, format="json").status == 200


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"limit": 2}, SORTED[:2]),
        ({"limit": 0}, []),
        ({"marker": "b-1"}, SORTED[3:]),
        ({"marker": "b"}, SORTED[2:]),
        ({"end_marker": "b-2"}, SORTED[:3]),
        ({"marker": "Z", "end_marker": "b-2", "limit": 1}, ["apple"]),
        ({"prefix": "b"}, ["b-1", "b-2", "b-2-x", "banana"]),
        ({"prefix": "日"}, ["日本"]),
        ({"prefix": "nothing"}, []),
        ({"reverse": "true"}, SORTED[::-1]),
        ({"reverse": "true", "marker": "b-2"}, ["b-1", "apple", "Z"]),
        ({"reverse": "true", "end_marker": "b-2", "limit": 2}, ["日本", "ä"]),
        ({"delimiter": "-"}, ["Z", "apple", "b-", "banana", "ä", "日本"]),
        ({"delimiter": "-", "prefix": "b-"}, ["b-1", "b-2", "b-2-"]),
    ],
)
def test_parameters_choose_containers(filled: Client, query: dict[str, str | int], names: list[str]) -> None:
    assert filled.names(**query) == names


def test_a_limit_above_the_largest_is_refused(filled: Client) -> None:
    most = filled.send("GET", "/info").json["swift"]["account_listing_limit"]
    assert filled.get(limit=most).status == 200
    assert filled.get(limit=most + 1).status == 412


def test_metadata_is_set_changed_and_removed(fresh: Client) -> None:
    assert fresh.post("", {"X-Account-Meta-Color": "blue", "X-Account-Meta-Size": "groß"}).status == 204
    assert fresh.head()["X-Account-Meta-Color"] == "blue"
    assert fresh.post("", {"X-Account-Meta-Shape": "round"}).status == 204
    head = fresh.head()
    assert (head["X-Account-Meta-Color"], head["X-Account-Meta-Shape"]) == ("blue", "round")
    assert head["X-Account-Meta-Size"] == "groß"
    assert fresh.get()["X-Account-Meta-Color"] == "blue"
    fresh.post("", {"X-Account-Meta-Color": ""})
    fresh.post("", {"X-Remove-Account-Meta-Shape": "x"})
    head = fresh.head()
    assert head.get("X-Account-Meta-Color") is None
    assert head.get("X-Account-Meta-Shape") is None


def test_only_a_reseller_admin_makes_and_deletes_accounts(owner: Client, store: Store, fresh: Client) -> None:
    assert fresh.request("PUT", "", {"Content-Length": "0"}).status == 403
    assert fresh.delete().status == 403
    fresh.put("container")
    reseller = fresh.with_token(owner.token)
    assert reseller.request("PUT", "", {"Content-Length": "0"}).status == 202
    assert reseller.head()["X-Account-Container-Count"] == "1"
    assert reseller.request("DELETE", query="format=json").status == 400
    assert reseller.delete().status == 204
    assert fresh.get().status == 410
    assert fresh.get("container").status == 404


def test_a_deleted_account_is_refused_and_not_made_again(owner: Client, store: Store, fresh: Client) -> None:
    assert fresh.put("container").status == 201
    assert fresh.put("container/object", b"x").status == 201
    reseller = fresh.with_token(owner.token)
    answer = reseller.delete()
    assert (answer.status, answer["X-Account-Status"]) == (204, "Deleted")
    for method, status, body in (
        ("HEAD", 410, b""),
        ("GET", 410, b""),
        ("PUT", 403, b"Recently deleted"),
        ("POST", 404, b""),
        ("DELETE", 404, b""),
    ):
        answer = reseller.request(method, "", {"Content-Length": "0"})
        assert (answer.status, answer["X-Account-Status"], answer.body) == (status, "Deleted", body), method
    for name in ("container", "new"):
        assert fresh.put(name).status == 503
    for method in ("HEAD", "GET", "POST", "DELETE"):
        assert fresh.request(method, "container", {"Content-Length": "0"}).status == 404, method
    assert fresh.put("container/object", b"new").status == 404
    assert fresh.put("container/other", b"", {"X-Copy-From": "container/object"}).status == 404


def test_the_deletion_of_an_account_that_never_was(owner: Client, fresh: Client) -> None:
    answer = fresh.with_token(owner.token).delete()
    assert (answer.status, answer.get("X-Account-Status")) == (404, None)


def test_an_account_tells_its_use_by_policy(fresh: Client) -> None:
    fresh.put("container")
    policy = next(policy for policy in fresh.send("GET", "/info").json["swift"]["policies"] if policy.get("default"))
    head = fresh.head()
    assert head[f"X-Account-Storage-Policy-{policy['name']}-Container-Count"] == "1"
    assert head[f"X-Account-Storage-Policy-{policy['name']}-Object-Count"] == "0"


def test_a_container_made_and_deleted_is_listed_and_not(owner: Client, new_container: Callable[[], str]) -> None:
    name = new_container()
    assert name in owner.names(prefix=name)
    owner.delete(name)
    assert name not in owner.names(prefix=name)
