"""Every limit that /info tells is the one that is enforced; /healthcheck."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from harness.client import Client
from harness.layouts import ONE_DEVICE
from harness.store import Store

pytestmark = ONE_DEVICE

KINDS = ("Account", "Container", "Object")


@pytest.fixture(scope="module")
def limits(owner: Client) -> dict[str, Any]:
    return owner.send("GET", "/info").json["swift"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def path(owner: Client, container: str, kind: str, store: Store) -> Iterator[str]:
    """Of something of the kind."""
    found = {"Account": "", "Container": container, "Object": f"{container}/object"}[kind]
    if kind == "Object":
        owner.put(found, b"x")
    yield found
    if kind == "Account":
        given = [name for name in owner.head().headers if name.lower().startswith("x-account-meta-")]
        for first in range(0, len(given), 50):
            owner.post("", dict.fromkeys(given[first : first + 50], ""))


def post(owner: Client, kind: str, path: str, items: dict[str, str]) -> int:
    return owner.post(path, {f"X-{kind}-Meta-{name}": value for name, value in items.items()}).status


def stored(owner: Client, kind: str, path: str) -> int:
    prefix = f"x-{kind}-meta-".lower()
    return len([name for name in owner.head(path).headers if name.lower().startswith(prefix)])


def test_the_longest_metadata_name(owner: Client, kind: str, path: str, limits: dict[str, Any]) -> None:
    most = limits["max_meta_name_length"]
    assert post(owner, kind, path, {"a" * most: "x"}) in (202, 204)
    assert stored(owner, kind, path) == 1
    assert post(owner, kind, path, {"b" * (most + 1): "x"}) == 400
    assert post(owner, kind, path, {"": "x"}) == 400


def test_the_longest_metadata_value(owner: Client, kind: str, path: str, limits: dict[str, Any]) -> None:
    most = limits["max_meta_value_length"]
    assert post(owner, kind, path, {"a": "x" * most}) in (202, 204)
    assert post(owner, kind, path, {"a": "ä" * (most // 2)}) in (202, 204)
    assert post(owner, kind, path, {"a": "x" * (most + 1)}) == 400
    assert post(owner, kind, path, {"a": "ä" * (most // 2) + "xx"}) == 400


def test_the_most_metadata_items(owner: Client, kind: str, path: str, limits: dict[str, Any]) -> None:
    most = limits["max_meta_count"]
    items = {f"a{number}": "x" for number in range(most)}
    assert post(owner, kind, path, items) in (202, 204)
    assert stored(owner, kind, path) == most
    assert post(owner, kind, path, {**items, "more": "x"}) == 400


def test_the_largest_metadata_in_all(owner: Client, kind: str, path: str, limits: dict[str, Any]) -> None:
    most, each = limits["max_meta_overall_size"], limits["max_meta_value_length"]
    count = most // (each + 4)
    items = {f"{number:04}": "x" * each for number in range(count)}
    rest = most - count * (each + 4)
    if rest > 4:
        items["rest"] = "x" * (rest - 4)
    assert post(owner, kind, path, items) in (202, 204)
    assert post(owner, kind, path, {**items, "r": "x"}) == 400


@pytest.mark.parametrize("where", ["Account", "Container"])
def test_metadata_does_not_grow_without_end_by_many_posts(
    owner: Client, container: str, store: Store, where: str, limits: dict[str, Any]
) -> None:
    client = store.add_user("limits:anna", "--admin")
    client.put("grows")
    path = "" if where == "Account" else "grows"
    statuses = {post(client, where, path, {f"a{batch}-{number}": "x" for number in range(30)}) for batch in range(6)}
    assert 400 in statuses
    assert stored(client, where, path) <= limits["max_meta_count"]
    client.wipe("grows")


def test_metadata_of_a_put_is_limited_too(owner: Client, container: str, limits: dict[str, Any]) -> None:
    long = {"X-Object-Meta-A": "x" * (limits["max_meta_value_length"] + 1)}
    assert owner.put(f"{container}/object", b"x", long).status == 400
    assert owner.head(f"{container}/object").status == 404
    assert owner.put(f"{container}-2", b"", {"X-Container-Meta-A": long["X-Object-Meta-A"]}).status == 400
    assert owner.head(f"{container}-2").status == 404


def test_other_headers_have_a_limit_too(owner: Client, container: str, limits: dict[str, Any]) -> None:
    long = "x" * (limits["max_header_size"] + 1)
    assert owner.put(f"{container}/object", b"x", {"Content-Disposition": long}).status in (400, 431)
    assert owner.put(f"{container}/object", b"x", {"X-Robots-Tag": long}).status in (400, 431)


@pytest.mark.parametrize(("name", "path"), [
    ("max_container_name_length", "{}"), ("max_object_name_length", "{container}/{}"),
])  # fmt: skip
def test_the_longest_names(owner: Client, container: str, limits: dict[str, Any], name: str, path: str) -> None:
    most = limits[name]
    good, bad = (path.format("n" * length, container=container) for length in (most, most + 1))
    assert owner.put(good, b"").status in (201, 202)
    assert owner.put(bad, b"").status == 400
    owner.delete(good)


def test_info_is_for_everyone(anonymous: Client, limits: dict[str, Any]) -> None:
    answer = anonymous.send("GET", "/info")
    assert answer.status == 200
    assert answer["Content-Type"].startswith("application/json")
    assert anonymous.send("HEAD", "/info").status == 200
    for name in (
        "max_file_size", "max_meta_name_length", "max_meta_value_length", "max_meta_count", "max_meta_overall_size",
        "max_header_size", "max_object_name_length", "max_container_name_length", "max_account_name_length",
        "container_listing_limit", "account_listing_limit",
    ):  # fmt: skip
        assert isinstance(limits[name], int), name
    assert [policy["name"] for policy in limits["policies"] if policy.get("default")]
    assert limits["version"]


def test_info_takes_no_changes(anonymous: Client) -> None:
    assert anonymous.send("PUT", "/info", {"Content-Length": "0"}).status == 405


def test_healthcheck(anonymous: Client) -> None:
    answer = anonymous.send("GET", "/healthcheck")
    assert (answer.status, answer.text.strip()) == (200, "OK")


@pytest.mark.parametrize(
    "target", ["/", "/nothing", "/v1", "/v1/", "/v9/AUTH_x", "/v1//c", "/v1/AUTH_x//o", "//v1/a/c"]
)
def test_paths_that_lead_nowhere(owner: Client, target: str) -> None:
    assert owner.send("GET", target).status in (400, 403, 404, 412)


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "PROPFIND", "get", "LINK", "X"])
def test_methods_that_are_not_ours(owner: Client, container: str, method: str) -> None:
    for path in ("", container, f"{container}/object"):
        answer = owner.request(method, path, {"Content-Length": "0"})
        assert answer.status in (405, 501), path
        assert "GET" in answer["Allow"]
