"""Object lock in the Swift API: what is held stays, whatever verb is sent, and owners set and see what holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from harness.client import Answer, Client

ID = "X-Object-Version-Id"
FAR = "2040-01-01T00:00:00.000Z"
GOVERNED = {"X-Object-Lock-Mode": "GOVERNANCE", "X-Object-Lock-Retain-Until-Date": FAR}
BYPASS = {"X-Object-Lock-Bypass-Governance-Retention": "true"}


@pytest.fixture
def locked(owner: Client, new_container: Callable[[], str]) -> Iterator[str]:
    name = new_container()
    assert owner.post(name, {"X-Object-Lock-Enabled": "true"}).status == 204
    yield name
    for row in owner.get(name, versions="", format="json").json:
        path, query = f"{name}/{row['name']}", {"version-id": row["version_id"]}
        owner.request("POST", path, {"X-Object-Lock-Legal-Hold": "OFF"}, b"", query)
        owner.request("DELETE", path, BYPASS, query=query)


def put(owner: Client, path: str, data: bytes = b"data", headers: dict[str, str] | None = None) -> str:
    answer = owner.put(path, data, headers)
    assert answer.status == 201, answer
    return answer[ID]


def at_version(owner: Client, method: str, path: str, version: str, headers: dict[str, str] | None = None) -> Answer:
    return owner.request(method, path, headers or {}, b"" if method == "POST" else None, {"version-id": version})


def test_a_container_gets_object_lock_and_versions_and_keeps_both(owner: Client, locked: str) -> None:
    shown = owner.head(locked)
    assert (shown["X-Object-Lock-Enabled"], shown["X-Versions-Enabled"]) == ("True", "True")
    assert owner.post(locked, {"X-Object-Lock-Enabled": "false"}).status == 400
    assert owner.post(locked, {"X-Object-Lock-Enabled": "maybe"}).status == 400
    assert owner.post(locked, {"X-Versions-Enabled": "false"}).status == 409
    assert owner.put(locked, headers={"X-Versions-Enabled": "false"}).status == 409
    assert owner.head(locked)["X-Versions-Enabled"] == "True"


def test_owners_set_and_see_what_holds_an_object(owner: Client, locked: str) -> None:
    path = f"{locked}/o"
    version = put(owner, path, headers={**GOVERNED, "X-Object-Lock-Legal-Hold": "ON"})
    shown = owner.head(path)
    assert shown["X-Object-Lock-Mode"] == "GOVERNANCE"
    assert shown["X-Object-Lock-Retain-Until-Date"] == FAR
    assert shown["X-Object-Lock-Legal-Hold"] == "ON"
    assert owner.post(path, {"X-Object-Lock-Legal-Hold": "OFF", "X-Object-Meta-Color": "red"}).status == 202
    shown = owner.get(path)
    assert (shown["X-Object-Lock-Legal-Hold"], shown["X-Object-Meta-Color"]) == ("OFF", "red")
    assert shown["X-Object-Lock-Mode"] == "GOVERNANCE"
    assert owner.post(path, {"X-Object-Meta-Color": "blue"}).status == 202
    assert owner.head(path)["X-Object-Lock-Mode"] == "GOVERNANCE"
    put(owner, path)
    assert at_version(owner, "POST", path, version, {"X-Object-Lock-Legal-Hold": "ON"}).status == 202
    shown = at_version(owner, "HEAD", path, version)
    assert (shown["X-Object-Lock-Legal-Hold"], shown["X-Object-Meta-Color"]) == ("ON", "blue")
    assert at_version(owner, "POST", path, version, {"X-Object-Meta-Color": "none"}).status == 400


@pytest.mark.parametrize("hold", [GOVERNED, {"X-Object-Lock-Legal-Hold": "ON"}, {"X-Object-Lock-Event-Hold": "ON"}])
def test_no_verb_removes_or_changes_what_is_held(owner: Client, locked: str, hold: dict[str, str]) -> None:
    path = f"{locked}/o"
    version = put(owner, path, b"held", hold)
    refused = at_version(owner, "DELETE", path, version)
    assert refused.status == 403
    assert "the version is held by" in refused.text
    put(owner, path, b"newer")
    assert owner.copy(path, path, {"X-Fresh-Metadata": "true"}).status == 201
    assert owner.post(path, {"X-Delete-After": "1"}).status == 202
    assert owner.delete(path).status in (204, 404)
    bulk = owner.request("POST", "", {"Content-Type": "text/plain"}, path.encode(), {"bulk-delete": ""})
    assert bulk.status == 200
    assert owner.delete(locked).status == 409
    kept = at_version(owner, "GET", path, version)
    assert (kept.status, kept.body) == (200, b"held")
    assert at_version(owner, "DELETE", path, version).status == 403


def test_a_copy_does_not_take_the_lock_of_its_source(owner: Client, locked: str, container: str) -> None:
    put(owner, f"{locked}/o", headers=GOVERNED)
    for target in (f"{locked}/copy", f"{container}/copy"):
        assert owner.copy(f"{locked}/o", target).status == 201
        assert owner.head(target).get("X-Object-Lock-Mode") is None


def test_governance_gives_way_to_an_owner_who_says_so(owner: Client, locked: str) -> None:
    path = f"{locked}/o"
    version = put(owner, path, headers=GOVERNED)
    later = {**GOVERNED, "X-Object-Lock-Retain-Until-Date": "2039-01-01T00:00:00Z"}
    assert owner.post(path, later).status == 403
    assert owner.post(path, {**later, **BYPASS}).status == 202
    assert at_version(owner, "DELETE", path, version).status == 403
    assert at_version(owner, "DELETE", path, version, BYPASS).status == 204
    assert owner.head(path).status == 404


def test_only_owners_set_locks(owner: Client, anonymous: Client, locked: str) -> None:
    assert owner.post(locked, {"X-Container-Read": ".r:*"}).status == 204
    version = put(owner, f"{locked}/o", headers=GOVERNED)
    shown = anonymous.get(f"{locked}/o")
    assert shown.status == 200
    assert shown.get("X-Object-Lock-Mode") is None
    assert at_version(anonymous, "POST", f"{locked}/o", version, {"X-Object-Lock-Legal-Hold": "ON"}).status == 401
    assert at_version(anonymous, "DELETE", f"{locked}/o", version, BYPASS).status == 401


def test_other_containers_take_no_lock(owner: Client, container: str) -> None:
    assert owner.put(f"{container}/o", b"", GOVERNED).status == 400
    assert owner.put(f"{container}/o", b"").status == 201
    assert owner.post(f"{container}/o", GOVERNED).status == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Object-Lock-Mode": "GOVERNANCE"},
        {"X-Object-Lock-Retain-Until-Date": FAR},
        {**GOVERNED, "X-Object-Lock-Retain-Until-Date": "2020-01-01T00:00:00Z"},
        {**GOVERNED, "X-Object-Lock-Retain-Until-Date": "soon"},
        {**GOVERNED, "X-Object-Lock-Mode": ""},
        {"X-Object-Lock-Legal-Hold": "yes"},
        {"X-Object-Lock-Legal-Hold": ""},
        {"X-Object-Lock-Event-Hold-Duration-Days": "5"},
    ],
)
def test_headers_that_make_no_sense_are_refused(owner: Client, locked: str, headers: dict[str, str]) -> None:
    assert owner.put(f"{locked}/o", b"", headers).status == 400
    assert owner.head(f"{locked}/o").status == 404
