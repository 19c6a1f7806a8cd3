"""Requests about quotas to the servers of containers and accounts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness.in_process import InProcess

from objstore.core.names import Name
from objstore.core.quota_rooms import RoomRequest
from objstore.core.quotas import EXCEEDED, GRANTED, Amount
from objstore.wire import quotas

CONTAINER = Name("a", "c")
ACCOUNT = Name("a")


@pytest.fixture
def store(tmp_path: Path) -> InProcess:
    made = InProcess(tmp_path, devices=1, replicas=1)
    assert made("PUT", CONTAINER, X_Container_Meta_Quota_Bytes="10").status == 201
    return made


def body_of(room: RoomRequest) -> bytes:
    return quotas.reserve_request(CONTAINER, 0, room, {}).body


def test_room_is_given_by_the_metadata_of_the_database(store: InProcess) -> None:
    """A proxy may not know yet that there is a quota, or another one."""
    rooms = [RoomRequest("1", "o", Amount(1, size), 60.0) for size in (11, 10)]
    verdicts = [store.ask("d1", "POST", CONTAINER, body=body_of(room), query="quota=reserve") for room in rooms]
    assert [verdict.headers[quotas.ANSWER] for verdict in verdicts] == [EXCEEDED, GRANTED]


@pytest.mark.parametrize("name", [CONTAINER, ACCOUNT], ids=["container", "account"])
@pytest.mark.parametrize("query", ["quota=", "quota=reserve", "quota=release", "quota=standing", "quota=grant"])
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"\xff", b"[1, 2]", json.dumps(["id", "o", [1, 2], "x", None, [0, 0], True]).encode()]
)
def test_bad_requests(store: InProcess, name: Name, query: str, body: bytes) -> None:
    assert store.ask("d1", "POST", name, body=body, query=query).status == 400


def test_a_missing_container(store: InProcess) -> None:
    missing = CONTAINER._replace(container="none")
    for query, body in (("reserve", body_of(RoomRequest("1", "o", Amount(1, 1), 60.0))), ("standing", b'"o"')):
        assert store.ask("d1", "POST", missing, body=body, query=f"quota={query}").status == 404
