"""X-Open-Expired: clients that read and update expired objects, on a server whose setting allows it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.client import Client, log_in
from harness.processes import Serve

OPEN = {"X-Open-Expired": "true"}


@pytest.fixture(scope="module")
def opening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    place: Path = tmp_path_factory.mktemp("open-expired")
    server = Serve(place / "data", place / "log", workers=1)
    server.start()
    server.stop()
    conf = place / "data/etc/proxy-server.conf"
    text = conf.read_text()
    assert "egg:objstore#proxy\n" in text
    conf.write_text(text.replace("egg:objstore#proxy\n", "egg:objstore#proxy\nallow_open_expired = yes\n"))
    storage = place / "data/etc/storage-server.conf"
    storage.write_text(storage.read_text() + "object_expirer_interval = 1d\n")
    server.start()
    known = server.credentials
    client = log_in(known["endpoint"], known["user"], known["key"])
    assert client.put("c", b"", {"X-Container-Read": ".r:*"}).status == 201
    yield client
    client.close()
    server.stop()


@pytest.fixture
def expired(opening: Client) -> str:
    """The path of an object that has expired."""
    due = int(time.time()) + 2
    assert opening.put("c/o", b"data", {"X-Delete-At": str(due), "X-Object-Meta-A": "1"}).status == 201
    time.sleep(due - time.time() + 0.2)
    assert opening.get("c/o").status == 404
    return "c/o"


def test_reads(opening: Client, expired: str) -> None:
    answer = opening.get(expired, OPEN)
    assert (answer.status, answer.body, answer["X-Object-Meta-A"]) == (200, b"data", "1")
    assert int(answer["X-Delete-At"]) < time.time()
    assert opening.head(expired, OPEN).status == 200
    assert opening.get(expired, {**OPEN, "Range": "bytes=1-2"}).body == b"at"
    assert b"at" in opening.get(expired, {**OPEN, "Range": "bytes=0-0,1-2"}).body
    for value in ("false", "", "banana", "0"):
        assert opening.get(expired, {"X-Open-Expired": value}).status == 404
    public = opening.with_token(None)
    assert public.get(expired, OPEN).status == 200  # who may read, may read this
    public.close()


def test_a_post_brings_the_object_back(opening: Client, expired: str) -> None:
    assert opening.post(expired, {"X-Object-Meta-B": "2"}).status == 404
    public = opening.with_token(None)
    assert public.post(expired, OPEN).status == 401
    public.close()
    due = str(int(time.time()) + 1000)
    assert opening.post(expired, {**OPEN, "X-Object-Meta-B": "2", "X-Delete-At": due}).status == 202
    answer = opening.get(expired)
    assert (answer.status, answer.body, answer["X-Delete-At"], answer["X-Object-Meta-B"]) == (200, b"data", due, "2")
    assert opening.post(expired, {"X-Remove-Delete-At": "x"}).status == 202
    assert opening.head(expired).get("X-Delete-At") is None


def test_a_copy_needs_a_time_of_its_own(opening: Client, expired: str) -> None:
    assert opening.copy(expired, "c/copy", OPEN).status == 400  # X-Delete-At of the source is in the past
    assert opening.copy(expired, "c/copy", {**OPEN, "X-Delete-After": "1000"}).status == 201
    assert opening.get("c/copy").body == b"data"


def test_a_deletion_answers_as_before(opening: Client, expired: str) -> None:
    assert opening.delete(expired, OPEN).status == 404
    assert opening.get(expired, OPEN).status == 404


def test_the_setting_is_shown(opening: Client) -> None:
    assert opening.send("GET", "/info").json["swift"]["allow_open_expired"] is True


def test_it_is_off_by_default(owner: Client, container: str) -> None:
    assert owner.send("GET", "/info").json["swift"]["allow_open_expired"] is False
    due = int(time.time()) + 1
    assert owner.put(f"{container}/o", b"data", {"X-Delete-At": str(due)}).status == 201
    time.sleep(due - time.time() + 0.2)
    assert owner.get(f"{container}/o", OPEN).status == 404
    assert owner.post(f"{container}/o", OPEN).status == 404
