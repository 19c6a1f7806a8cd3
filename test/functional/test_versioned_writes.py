"""Swift's versioned writes: former versions of objects in another container."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator

import pytest
from harness.client import Client
from harness.store import Store

MARKER_TYPE = "application/x-deleted;swift_versions_deleted=1"
Pair = tuple[str, str]


def made(owner: Client, new_container: Callable[[], str], header: str) -> Pair:
    container, archive = new_container(), new_container()
    assert owner.post(container, {header: archive}).status == 204
    return container, archive


@pytest.fixture
def stack(owner: Client, new_container: Callable[[], str]) -> Pair:
    """A container and its archive, from which deletions restore."""
    return made(owner, new_container, "X-Versions-Location")


@pytest.fixture
def history(owner: Client, new_container: Callable[[], str]) -> Iterator[Pair]:
    """A container and its archive, which keeps deletions too."""
    yield made(owner, new_container, "X-History-Location")


def archived(owner: Client, archive: str) -> list[bytes]:
    return [owner.get(f"{archive}/{name}").body for name in owner.names(archive)]


def test_what_is_replaced_is_archived(owner: Client, stack: Pair) -> None:
    container, archive = stack
    sent = {"X-Object-Meta-Color": "blue", "Content-Type": "text/x-one", "Content-Encoding": "x"}
    assert owner.put(f"{container}/é/o", b"one", sent).status == 201
    assert owner.names(archive) == []
    assert owner.put(f"{container}/é/o", b"two").status == 201
    assert owner.post(f"{container}/é/o", {"X-Object-Meta-Color": "red"}).status == 202
    (name,) = owner.names(archive)
    assert re.fullmatch(r"004é/o/\d{10}\.\d{5}", name)
    former = owner.get(f"{archive}/{name}")
    assert (former.body, former["X-Object-Meta-Color"], former["Content-Type"]) == (b"one", "blue", "text/x-one")
    assert former["Content-Encoding"] == "x"
    assert owner.put(f"{container}/é/o", b"three").status == 201
    assert archived(owner, archive) == [b"one", b"two"]
    assert owner.put(f"{container}/new", b"").status == 201
    assert owner.copy(f"{container}/new", f"{container}/é/o").status == 201
    assert archived(owner, archive) == [b"one", b"two", b"three"]


def test_a_deletion_brings_the_former_one_back(owner: Client, stack: Pair) -> None:
    container, archive = stack
    for number in range(3):
        owner.put(
            f"{container}/o", b"%d" % number, {"X-Object-Meta-Number": str(number), "Content-Type": f"x/{number}"}
        )
    for number in (1, 0):
        assert owner.delete(f"{container}/o").status == 204
        now = owner.get(f"{container}/o")
        assert (now.body, now["X-Object-Meta-Number"], now["Content-Type"]) == (
            b"%d" % number,
            str(number),
            f"x/{number}",
        )
        assert len(owner.names(archive)) == number
        row = owner.get(container, format="json").json[0]
        assert (row["hash"], row["content_type"]) == (now["Etag"], f"x/{number}")
    assert owner.delete(f"{container}/o").status == 204
    assert owner.get(f"{container}/o").status == 404
    assert owner.delete(f"{container}/o").status == 404


def test_history_keeps_deletions(owner: Client, history: Pair) -> None:
    container, archive = history
    owner.put(f"{container}/o", b"one")
    owner.put(f"{container}/o", b"two")
    assert owner.delete(f"{container}/o").status == 204
    assert owner.get(f"{container}/o").status == 404
    rows = owner.get(archive, format="json").json
    assert [row["bytes"] for row in rows] == [3, 3, 0]
    assert rows[2]["content_type"] == MARKER_TYPE
    assert owner.delete(f"{container}/o").status == 404
    assert owner.delete(f"{container}/never").status == 404
    assert len(owner.names(archive)) == 3
    # From now on deletions restore: the marker goes, and what it marked comes back.
    assert owner.post(container, {"X-Versions-Location": archive}).status == 204
    assert owner.delete(f"{container}/o").status == 204
    assert owner.get(f"{container}/o").body == b"two"
    assert owner.names(archive) == [rows[0]["name"]]


def test_a_marker_stays_while_there_is_an_object(owner: Client, history: Pair) -> None:
    container, archive = history
    owner.put(f"{container}/o", b"one")
    owner.delete(f"{container}/o")
    owner.put(f"{container}/o", b"two")
    owner.post(container, {"X-Versions-Location": archive})
    assert owner.delete(f"{container}/o").status == 204
    assert owner.get(f"{container}/o").status == 404
    assert len(owner.names(archive)) == 2


def test_the_headers_of_a_container(owner: Client, stack: Pair) -> None:
    container, archive = stack
    assert owner.head(container)["X-Versions-Location"] == archive
    assert owner.post(container, {"X-History-Location": archive}).status == 204
    shown = owner.head(container)
    assert (shown["X-History-Location"], shown.get("X-Versions-Location")) == (archive, None)
    assert owner.post(container, {"X-History-Location": archive, "X-Versions-Location": archive}).status == 400
    for header in ("X-Versions-Location", "X-History-Location"):
        assert owner.post(container, {header: "a/b"}).status == 412
        assert owner.post(container, {header: "a%2Fb"}).status == 412
        assert owner.post(container, {header: "a%00b"}).status == 412
        assert owner.post(container, {header: "%ff"}).status == 412
    assert owner.post(container, {"X-Versions-Enabled": "true"}).status == 400
    assert owner.head(container)["X-History-Location"] == archive
    assert owner.post(container, {"X-Remove-History-Location": "x"}).status == 204
    assert owner.head(container).get("X-History-Location") is None
    assert owner.post(container, {"X-Versions-Enabled": "true", "X-Versions-Location": archive}).status == 400
    assert owner.head(container).get("X-Versions-Enabled") is None
    assert owner.post(container, {"X-Versions-Enabled": "true"}).status == 204
    assert owner.post(container, {"X-Versions-Location": archive}).status == 400
    assert owner.post(container, {"X-Versions-Location": ""}).status == 204


def test_an_encoded_name_of_an_archive(owner: Client, container: str, new_container: Callable[[], str]) -> None:
    archive = new_container()
    assert owner.post(container, {"X-Versions-Location": archive.replace("-", "%2D")}).status == 204
    assert owner.head(container)["X-Versions-Location"] == archive.replace("-", "%2D")
    owner.put(f"{container}/o", b"one")
    owner.put(f"{container}/o", b"two")
    assert archived(owner, archive) == [b"one"]


def test_without_the_archive_nothing_is_replaced(owner: Client, container: str) -> None:
    for header in ("X-Versions-Location", "X-History-Location"):
        assert owner.post(container, {header: f"{container}-missing"}).status == 204
        assert owner.put(f"{container}/{header}", b"one").status == 201
        assert owner.put(f"{container}/{header}", b"two").status == 412
        assert owner.put(f"{container}/{header}", b"x" * 2_000_000).status == 412
        assert owner.get(f"{container}/{header}").body == b"one"
    assert owner.delete(f"{container}/X-History-Location").status == 412
    assert owner.post(container, {"X-Versions-Location": f"{container}-missing"}).status == 204
    assert owner.delete(f"{container}/X-Versions-Location").status == 204  # nothing to bring back


def test_a_name_too_long_for_the_archive(owner: Client, stack: Pair) -> None:
    container, _ = stack
    name = "n" * 1020
    assert owner.put(f"{container}/{name}", b"one").status == 201
    assert owner.put(f"{container}/{name}", b"two").status == 412
    assert owner.get(f"{container}/{name}").body == b"one"
    assert owner.delete(f"{container}/{name}").status == 204


def test_refused_writes_archive_nothing_that_stays_current(owner: Client, stack: Pair) -> None:
    container, archive = stack
    owner.put(f"{container}/o", b"one")
    assert owner.put(f"{container}/o", b"two", {"If-None-Match": "*"}).status == 412
    assert owner.names(archive) == []
    assert owner.put(f"{container}/o", b"two", {"Etag": "0" * 32}).status == 422
    assert owner.get(f"{container}/o").body == b"one"


def test_long_bodies(owner: Client, stack: Pair) -> None:
    container, archive = stack
    bodies = [bytes([number]) * 3_000_000 for number in range(3)]
    for body in bodies:
        assert owner.put(f"{container}/o", iter([body])).status == 201
    assert archived(owner, archive) == bodies[:2]
    assert owner.delete(f"{container}/o").status == 204
    assert owner.get(f"{container}/o").body == bodies[1]


@pytest.mark.parametrize("size", [10, 1_500_000])
def test_of_writers_at_once_each_archives_what_it_replaces(owner: Client, stack: Pair, size: int) -> None:
    container, archive = stack
    answered: list[bytes] = []

    def write(number: int) -> None:
        client = Client(owner.endpoint + owner.root, owner.token)
        for turn in range(4):
            body = b"%d.%d " % (number, turn) * (size // 4)
            if client.put(f"{container}/o", body).status == 201:
                answered.append(body)
        client.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answered
    stored = {*archived(owner, archive), owner.get(f"{container}/o").body}
    assert set(answered) <= stored


def test_of_deletions_at_once_each_goes_one_step_back(owner: Client, stack: Pair) -> None:
    container, archive = stack
    for number in range(9):
        owner.put(f"{container}/o", b"%d" % number)
    clients = [Client(owner.endpoint + owner.root, owner.token) for _ in range(4)]
    threads = [threading.Thread(target=client.delete, args=(f"{container}/o",)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert owner.get(f"{container}/o").body == b"4"
    assert [body for body in archived(owner, archive) if body != b"4"] == [b"0", b"1", b"2", b"3"]


def test_links_and_large_objects_are_archived_as_what_they_are(
    owner: Client, stack: Pair, new_container: Callable[[], str]
) -> None:
    container, archive = stack
    segments = new_container()
    for name in ("1", "2"):
        owner.put(f"{segments}/{name}", b"part")
    assert owner.put(f"{container}/link", b"", {"X-Symlink-Target": f"{segments}/1"}).status == 201
    manifest = f'[{{"path": "/{segments}/1"}}, {{"path": "/{segments}/2"}}]'.encode()
    large = owner.request("PUT", f"{container}/large", {}, manifest, {"multipart-manifest": "put"})
    assert large.status == 201
    for name in ("link", "large"):
        assert owner.put(f"{container}/{name}", b"plain").status == 201
    by_key = {name.split("/")[0]: f"{archive}/{name}" for name in owner.names(archive)}
    assert owner.head(by_key["004link"], symlink="get")["X-Symlink-Target"] == f"{segments}/1"
    former = owner.get(by_key["005large"])
    assert (former.body, former["X-Static-Large-Object"], former["Etag"]) == (b"partpart", "True", large["Etag"])
    for name in ("link", "large"):
        assert owner.delete(f"{container}/{name}").status == 204
    assert owner.get(f"{container}/link").body == b"part"
    assert owner.head(f"{container}/link", symlink="get")["X-Symlink-Target"] == f"{segments}/1"
    back = owner.get(f"{container}/large")
    assert (back.body, back["Etag"]) == (b"partpart", large["Etag"])
    assert owner.names(archive) == []


def test_who_may_write_the_container_archives(owner: Client, anonymous: Client, stack: Pair, store: Store) -> None:
    container, archive = stack
    assert owner.put(f"{container}/o", b"one").status == 201
    assert anonymous.put(f"{container}/o", b"x").status == 401
    assert anonymous.post(container, {"X-Versions-Location": "other"}).status == 401
    assert owner.names(archive) == []


def test_expiry_goes_with_the_object(owner: Client, stack: Pair) -> None:
    container, archive = stack
    due = owner.put(f"{container}/o", b"one", {"X-Delete-After": "1000"})
    assert due.status == 201
    expires = owner.head(f"{container}/o")["X-Delete-At"]
    owner.put(f"{container}/o", b"two")
    (name,) = owner.names(archive)
    assert owner.head(f"{archive}/{name}")["X-Delete-At"] == expires


def test_info(owner: Client) -> None:
    flags = owner.send("GET", "/info").json["versioned_writes"]["allowed_flags"]
    assert set(flags) == {"x-versions-location", "x-history-location"}
