"""Swift's object versioning: X-Versions-Enabled, listings of versions, and requests for one version."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness.client import Answer, Client

MARKER_TYPE = "application/x-deleted;swift_versions_deleted=1"
ID = "X-Object-Version-Id"


def empty(owner: Client, container: str) -> None:
    """Delete all versions of a container."""
    if owner.head(container).status == 404:
        return
    for row in versions(owner, container):
        owner.request("DELETE", f"{container}/{row['name']}", query={"version-id": row["version_id"]})


@pytest.fixture
def versioned(owner: Client, new_container: Callable[[], str]) -> Iterator[str]:
    name = new_container()
    assert owner.post(name, {"X-Versions-Enabled": "true"}).status == 204
    yield name
    empty(owner, name)


def versions(owner: Client, container: str, **query: str | int) -> list[dict[str, Any]]:
    answer = owner.get(container, versions="", format="json", **query)
    assert answer.status == 200
    rows: list[dict[str, Any]] = answer.json
    return rows


def shown(owner: Client, container: str, **query: str | int) -> list[tuple[str, str, bool]]:
    rows = versions(owner, container, **query)
    return [
        (row["name"], row["version_id"], row["is_latest"]) if "name" in row else (row["subdir"], "", False)
        for row in rows
    ]


def write(owner: Client, path: str, data: bytes = b"", **headers: str) -> str:
    answer = owner.put(path, data, {name.replace("_", "-"): value for name, value in headers.items()})
    assert answer.status == 201, answer
    return answer.get(ID) or "null"


def of_version(owner: Client, method: str, path: str, version: str, **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return owner.request(method, path, sent, b"" if method == "PUT" else None, {"version-id": version})


def test_the_state_of_a_container(owner: Client, new_container: Callable[[], str]) -> None:
    container = new_container()
    assert owner.head(container).get("X-Versions-Enabled") is None
    assert owner.post(container, {"X-Versions-Enabled": "false"}).status == 204
    assert owner.put(f"{container}/o", b"x").get(ID) is None
    assert owner.post(container, {"X-Versions-Enabled": "true"}).status == 204
    assert owner.head(container)["X-Versions-Enabled"] == "True"
    assert owner.post(container, {"X-Versions-Enabled": "maybe"}).status == 400
    assert owner.get(container)["X-Versions-Enabled"] == "True"
    assert owner.put(container, b"", {"X-Versions-Enabled": "off"}).status == 202
    assert owner.head(container)["X-Versions-Enabled"] == "False"
    made = container + "-made"
    assert owner.put(made, b"", {"X-Versions-Enabled": "true"}).status == 201
    assert owner.head(made)["X-Versions-Enabled"] == "True"
    assert owner.delete(made).status == 204


def test_versions_are_kept_listed_and_read(owner: Client, versioned: str) -> None:
    first = write(owner, f"{versioned}/o", b"one", X_Object_Meta_A="1", Content_Type="text/one")
    second = write(owner, f"{versioned}/o", b"four", Content_Type="text/two")
    current, old = versions(owner, versioned)
    assert (current["version_id"], current["is_latest"], current["bytes"]) == (second, True, 4)
    assert (old["version_id"], old["is_latest"], old["bytes"]) == (first, False, 3)
    assert (old["hash"], old["content_type"]) == (hashlib.md5(b"one").hexdigest(), "text/one")
    read = of_version(owner, "GET", f"{versioned}/o", first)
    assert (read.status, read.body, read[ID], read["X-Object-Meta-A"]) == (200, b"one", first, "1")
    assert of_version(owner, "HEAD", f"{versioned}/o", first)["Content-Type"] == "text/one"
    assert of_version(owner, "GET", f"{versioned}/o", first, Range="bytes=1-1").body == b"n"
    latest = owner.get(f"{versioned}/o")
    assert (latest.body, latest[ID]) == (b"four", second)
    assert latest["Content-Location"] == f"{owner.root}/{versioned}/o?version-id={second}"
    head = owner.head(versioned)
    assert (head["X-Container-Object-Count"], head["X-Container-Bytes-Used"]) == ("1", "7")


def test_a_deletion_is_a_marker(owner: Client, versioned: str) -> None:
    first = write(owner, f"{versioned}/o", b"one")
    deleted = owner.delete(f"{versioned}/o")
    assert deleted.status == 204
    marker, old = versions(owner, versioned)
    assert marker["version_id"] == deleted[ID]
    assert (marker["content_type"], marker["bytes"], marker["hash"]) == (MARKER_TYPE, 0, hashlib.md5().hexdigest())
    assert (marker["is_latest"], old["version_id"], old["is_latest"]) == (True, first, False)
    assert owner.get(f"{versioned}/o").status == 404
    read = of_version(owner, "GET", f"{versioned}/o", deleted[ID])
    assert (read.status, read["Content-Type"], read[ID]) == (404, MARKER_TYPE, deleted[ID])
    assert owner.names(versioned) == []
    assert owner.head(versioned)["X-Container-Object-Count"] == "0"
    assert owner.delete(f"{versioned}/o").status == 404  # and no further marker
    assert len(versions(owner, versioned)) == 2
    never = owner.delete(f"{versioned}/never")
    assert never.status == 404
    assert shown(owner, versioned)[0] == ("never", never[ID], True)
    assert owner.delete(versioned).status == 409
    assert of_version(owner, "DELETE", f"{versioned}/o", deleted[ID]).status == 204
    assert owner.get(f"{versioned}/o").body == b"one"


def test_deleting_the_current_version_makes_the_next_one_current(owner: Client, versioned: str) -> None:
    first, second = write(owner, f"{versioned}/o", b"one"), write(owner, f"{versioned}/o", b"two")
    gone = of_version(owner, "DELETE", f"{versioned}/o", second)
    assert (gone.status, gone[ID]) == (204, second)
    assert shown(owner, versioned) == [("o", first, True)]
    assert owner.get(f"{versioned}/o").body == b"one"
    assert of_version(owner, "DELETE", f"{versioned}/o", second).status == 404
    assert of_version(owner, "DELETE", f"{versioned}/o", first).status == 204
    assert owner.get(f"{versioned}/o").status == 404
    assert owner.delete(versioned).status == 204


def test_an_older_version_is_made_current(owner: Client, versioned: str) -> None:
    first, second = write(owner, f"{versioned}/o", b"one", X_Object_Meta_A="1"), write(owner, f"{versioned}/o", b"two")
    marker = owner.delete(f"{versioned}/o")[ID]
    restored = of_version(owner, "PUT", f"{versioned}/o", first)
    assert (restored.status, restored[ID], restored["Etag"]) == (201, first, hashlib.md5(b"one").hexdigest())
    current = owner.get(f"{versioned}/o")
    assert (current.body, current[ID], current["X-Object-Meta-A"]) == (b"one", first, "1")
    assert shown(owner, versioned) == [("o", marker, False), ("o", second, False), ("o", first, True)]
    assert shown(owner, versioned, reverse="true") == [("o", first, True), ("o", second, False), ("o", marker, False)]
    assert owner.get(versioned, format="json").json[0]["hash"] == hashlib.md5(b"one").hexdigest()
    third = write(owner, f"{versioned}/o", b"three")
    assert shown(owner, versioned)[:2] == [("o", third, True), ("o", marker, False)]
    assert of_version(owner, "PUT", f"{versioned}/o", second).status == 201
    assert of_version(owner, "DELETE", f"{versioned}/o", second).status == 204
    assert owner.get(f"{versioned}/o").body == b"three"


def test_what_cannot_be_made_current(owner: Client, versioned: str) -> None:
    first = write(owner, f"{versioned}/o", b"one")
    marker = owner.delete(f"{versioned}/o")[ID]
    assert of_version(owner, "PUT", f"{versioned}/o", marker).status == 400
    assert of_version(owner, "PUT", f"{versioned}/o", "null").status == 400
    assert of_version(owner, "PUT", f"{versioned}/o", "nonsense").status == 400
    assert of_version(owner, "PUT", f"{versioned}/other", first).status == 404
    with_body = owner.request("PUT", f"{versioned}/o", {}, b"body", {"version-id": first})
    assert with_body.status == 400
    assert owner.get(f"{versioned}/o").status == 404
    write(owner, f"{versioned}/o", b"two")
    assert of_version(owner, "PUT", f"{versioned}/o", first, If_None_Match="*").status == 412
    assert owner.get(f"{versioned}/o").body == b"two"
    assert of_version(owner, "POST", f"{versioned}/o", first, X_Object_Meta_A="1").status == 400


@pytest.mark.parametrize(
    "version",
    [
        "nonsense",
        "1795826283.35499",
        "1795826283.35499_0000000000000001",
        "v" * 21,
        "v" + "%" * 20,
        "é" * 21,
        "x" * 5000,
    ],
)
def test_ids_that_no_version_has(owner: Client, versioned: str, version: str) -> None:
    current = write(owner, f"{versioned}/o", b"one")
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        assert of_version(owner, method, f"{versioned}/o", version).status in (400, 404)
    assert of_version(owner, "COPY", f"{versioned}/o", version, Destination=f"{versioned}/p").status in (400, 404)
    assert shown(owner, versioned) == [("o", current, True)]


def test_a_copy_of_a_version(owner: Client, versioned: str) -> None:
    first = write(owner, f"{versioned}/o", b"one", X_Object_Meta_A="1")
    write(owner, f"{versioned}/o", b"two")
    copied = of_version(owner, "COPY", f"{versioned}/o", first, Destination=f"{versioned}/p")
    assert (copied.status, copied["X-Copied-From-Version-Id"]) == (201, first)
    assert (owner.get(f"{versioned}/p").body, owner.get(f"{versioned}/p")["X-Object-Meta-A"]) == (b"one", "1")
    copied = of_version(owner, "PUT", f"{versioned}/q", first, X_Copy_From=f"{versioned}/o")
    assert copied.status == 201
    assert owner.get(f"{versioned}/q").body == b"one"


def test_a_container_without_versions(owner: Client, container: str) -> None:
    assert owner.put(f"{container}/o", b"one").status == 201
    assert shown(owner, container) == [("o", "null", True)]
    read = of_version(owner, "GET", f"{container}/o", "null")
    assert (read.status, read.body, read[ID]) == (200, b"one", "null")
    for method in ("GET", "PUT", "DELETE"):
        assert of_version(owner, method, f"{container}/o", "v" + "A" * 20).status == 400
    assert of_version(owner, "POST", f"{container}/o", "null").status == 400
    assert owner.get(f"{container}/o").body == b"one"
    assert of_version(owner, "DELETE", f"{container}/o", "null").status == 204
    assert owner.get(f"{container}/o").status == 404
    assert owner.get(f"{container}-missing", versions="").status == 404


def test_disabled_again(owner: Client, versioned: str) -> None:
    first = write(owner, f"{versioned}/o", b"one")
    assert owner.post(versioned, {"X-Versions-Enabled": "false"}).status == 204
    assert write(owner, f"{versioned}/o", b"two") == "null"
    assert write(owner, f"{versioned}/o", b"three") == "null"
    assert shown(owner, versioned) == [("o", "null", True), ("o", first, False)]
    assert of_version(owner, "DELETE", f"{versioned}/o", "null").status == 204
    assert shown(owner, versioned) == [("o", first, True)]
    assert owner.delete(f"{versioned}/o").status == 204
    assert owner.get(f"{versioned}/o").status == 404
    assert shown(owner, versioned) == [("o", first, False)]  # no marker, as in Swift
    assert of_version(owner, "GET", f"{versioned}/o", first).body == b"one"
    assert owner.delete(versioned).status == 409
    assert of_version(owner, "DELETE", f"{versioned}/o", first).status == 204
    assert owner.delete(versioned).status == 204


NAMES = ("a/1", "a/2", "b", "c", "é")


@pytest.fixture
def tree(owner: Client, versioned: str) -> tuple[str, list[tuple[str, str, bool]]]:
    """A container with two versions of each name, and these."""
    rows = []
    for name in NAMES:
        old, new = (write(owner, f"{versioned}/{name}", data) for data in (b"x", b"xx"))
        rows += [(name, new, True), (name, old, False)]
    return versioned, rows


def test_pages_of_versions(owner: Client, tree: tuple[str, list[tuple[str, str, bool]]]) -> None:
    container, rows = tree
    assert shown(owner, container) == rows
    assert shown(owner, container, reverse="true") == rows[::-1]
    for reverse, expected in (({}, rows), ({"reverse": "true"}, rows[::-1])):
        for limit in (1, 2, 3):
            found: list[tuple[str, str, bool]] = []
            marker: dict[str, str] = {}
            while page := shown(owner, container, limit=limit, **marker, **reverse):
                found += page
                marker = {"marker": page[-1][0], "version_marker": page[-1][1]}
            assert found == expected
    assert shown(owner, container, limit=0) == []


def test_selections_of_versions(owner: Client, tree: tuple[str, list[tuple[str, str, bool]]]) -> None:
    container, rows = tree
    assert shown(owner, container, prefix="a/") == rows[:4]
    assert shown(owner, container, delimiter="/") == [("a/", "", False), *rows[4:]]
    assert shown(owner, container, delimiter="/", reverse="1") == [*rows[4:][::-1], ("a/", "", False)]
    assert shown(owner, container, prefix="a/", delimiter="/") == rows[:4]
    assert shown(owner, container, marker="a/2") == rows[4:]
    assert shown(owner, container, marker="a/1", end_marker="c") == rows[2:6]
    assert shown(owner, container, reverse="on", marker="c", end_marker="a/1") == rows[2:6][::-1]
    assert shown(owner, container, marker="c", end_marker="b") == []
    assert shown(owner, container, marker="a/0", version_marker=rows[0][1]) == rows


@pytest.mark.parametrize("query", [{"version_marker": "null"}, {"marker": "a", "version_marker": "nonsense"},
                                   {"marker": "a", "version_marker": ""}])  # fmt: skip
def test_markers_that_are_refused(owner: Client, versioned: str, query: dict[str, str]) -> None:
    assert owner.get(versioned, versions="", **query).status == 400


def test_versions_are_listed_as_json_alone(owner: Client, versioned: str) -> None:
    version = write(owner, f"{versioned}/o", b"x")
    for headers in ({}, {"Accept": "*/*"}, {"Accept": "application/*"}):
        answer = owner.get(versioned, headers, versions="")
        assert answer["Content-Type"] == "application/json; charset=utf-8"
        assert answer.json[0]["version_id"] == version
    for format in ("plain", "xml", "other"):
        assert owner.get(versioned, versions="", format=format).status == 406
    for accept in ("text/plain", "application/xml", "image/png"):
        assert owner.get(versioned, {"Accept": accept}, versions="").status == 406
    assert owner.head(versioned, versions="").status == 204


def test_access(owner: Client, anonymous: Client, versioned: str) -> None:
    old, _ = write(owner, f"{versioned}/o", b"secret"), write(owner, f"{versioned}/o", b"public")
    assert of_version(anonymous, "GET", f"{versioned}/o", old).status == 401
    assert anonymous.get(versioned, versions="").status == 401
    assert owner.post(versioned, {"X-Container-Read": ".r:*"}).status == 204
    assert anonymous.get(f"{versioned}/o").body == b"public"
    assert of_version(anonymous, "GET", f"{versioned}/o", old).status == 401  # versions are for owners
    assert anonymous.get(versioned, versions="").status == 401
    assert owner.post(versioned, {"X-Container-Read": ".r:*,.rlistings"}).status == 204
    assert len(anonymous.get(versioned, versions="").json) == 2
    for method in ("PUT", "DELETE"):
        assert of_version(anonymous, method, f"{versioned}/o", old).status == 401
    assert anonymous.post(versioned, {"X-Versions-Enabled": "false"}).status == 401
    assert owner.head(versioned)["X-Versions-Enabled"] == "True"


def test_a_version_that_expires(owner: Client, versioned: str) -> None:
    first = write(owner, f"{versioned}/o", b"one")
    second = write(owner, f"{versioned}/o", b"two", X_Delete_After="2")
    third = write(owner, f"{versioned}/p", b"p")
    assert owner.post(f"{versioned}/p", {"X-Delete-After": "2"}).status == 202
    ends = max(int(owner.head(f"{versioned}/{name}")["X-Delete-At"]) for name in "op")
    time.sleep(max(0.0, ends - time.time()) + 0.2)
    for name in "op":
        assert owner.get(f"{versioned}/{name}").status == owner.head(f"{versioned}/{name}").status == 404
        assert owner.post(f"{versioned}/{name}", {"X-Object-Meta-A": "1"}).status == 404
    assert of_version(owner, "GET", f"{versioned}/o", second).body == b"two"  # it is kept, like a deleted one
    assert shown(owner, versioned) == [("o", second, True), ("o", first, False), ("p", third, True)]
    deleted = owner.delete(f"{versioned}/o")
    assert deleted.status == 404
    assert shown(owner, versioned)[0] == ("o", deleted[ID], True)
    assert owner.names(versioned) == ["p"]
    assert owner.put(f"{versioned}/p", b"again", {"If-None-Match": "*"}).status == 201
    assert owner.get(f"{versioned}/p").body == b"again"
    assert of_version(owner, "PUT", f"{versioned}/o", second).status == 201
    restored = owner.get(f"{versioned}/o")
    assert (restored.body, restored.get("X-Delete-At")) == (b"two", None)


def test_a_post_of_a_type_shows_in_listings(owner: Client, versioned: str) -> None:
    first = write(owner, f"{versioned}/o", b"one", Content_Type="text/one", X_Object_Meta_A="1")
    assert owner.post(f"{versioned}/o", {"Content-Type": "text/posted", "X-Object-Meta-B": "2"}).status == 202
    row = owner.get(versioned, format="json").json[0]
    assert (row["content_type"], row["bytes"], row["hash"]) == ("text/posted", 3, hashlib.md5(b"one").hexdigest())
    assert versions(owner, versioned)[0]["content_type"] == "text/posted"
    assert shown(owner, versioned) == [("o", first, True)]
    now = owner.get(f"{versioned}/o")
    assert (now["Content-Type"], now.get("X-Object-Meta-A"), now["X-Object-Meta-B"]) == ("text/posted", None, "2")
    second = write(owner, f"{versioned}/o", b"two", Content_Type="text/two")
    assert of_version(owner, "PUT", f"{versioned}/o", first).status == 201
    assert owner.post(f"{versioned}/o", {"Content-Type": "text/again"}).status == 202
    assert owner.get(versioned, format="json").json[0]["content_type"] == "text/again"
    assert shown(owner, versioned) == [("o", second, False), ("o", first, True)]


def test_a_large_object_in_versions(owner: Client, versioned: str, new_container: Callable[[], str]) -> None:
    segments = new_container()
    for name in "12":
        owner.put(f"{segments}/{name}", b"part")
    manifest = f'[{{"path": "/{segments}/1"}}, {{"path": "/{segments}/2"}}]'.encode()
    large = owner.request("PUT", f"{versioned}/o", {}, manifest, {"multipart-manifest": "put"})
    assert large.status == 201
    for row in (versions(owner, versioned)[0], owner.get(versioned, format="json").json[0]):
        assert (row["bytes"], row["slo_etag"]) == (8, large["Etag"])
    assert owner.request("DELETE", f"{versioned}/o", query={"multipart-manifest": "delete"}).status == 200
    assert owner.get(f"{versioned}/o").status == 404
    old = versions(owner, versioned)[1]
    assert old["version_id"] == large[ID]
    assert of_version(owner, "GET", f"{versioned}/o", large[ID]).body == b"partpart"
    assert of_version(owner, "PUT", f"{versioned}/o", large[ID]).status == 201
    assert owner.get(f"{versioned}/o")["Etag"] == large["Etag"]


def test_a_link_in_versions(owner: Client, versioned: str, container: str) -> None:
    owner.put(f"{container}/target", b"target")
    link = write(owner, f"{versioned}/o", b"", X_Symlink_Target=f"{container}/target")
    write(owner, f"{versioned}/o", b"plain")
    row = versions(owner, versioned)[1]
    assert (row["version_id"], row["bytes"]) == (link, 0)
    assert row["symlink_path"] == f"{owner.root}/{container}/target"
    assert of_version(owner, "GET", f"{versioned}/o", link).body == b"target"
    assert of_version(owner, "PUT", f"{versioned}/o", link).status == 201
    assert owner.get(f"{versioned}/o").body == b"target"
    current = owner.get(versioned, format="json").json[0]
    assert current["symlink_path"] == f"{owner.root}/{versioned}/o?version-id={link}"
    assert current["version_symlink"] is True


def test_info(owner: Client) -> None:
    assert "object_versioning" in owner.send("GET", "/info").json
