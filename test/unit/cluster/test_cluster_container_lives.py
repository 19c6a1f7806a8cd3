"""Writes that begin before their container is deleted and end after it, on three replicas and on one."""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objstore.cluster.enlisting import Tally
from objstore.cluster.writes import WriteResult
from objstore.core.lives import ENDED, LIFE, PARTLY
from objstore.core.names import Name
from objstore.core.timestamps import ZERO
from objstore.core.versions import MARKER_TYPE, UNLISTED
from objstore.wire import messages
from objstore.wire.messages import NodeResponse
from objstore.wire.rows import rows_request, tombstone_row

_spec = importlib.util.spec_from_file_location("cluster_faults", Path(__file__).with_name("test_cluster_faults.py"))
assert _spec is not None and _spec.loader is not None
faults = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(faults)
CONTAINER, OBJECT = faults.CONTAINER, faults.OBJECT
SYSMETA = "X_Container_Sysmeta_S3_Versioning_0"


@pytest.fixture(params=[1, 3])
def store(request: Any, tmp_path: Path) -> Any:
    return faults.Store(tmp_path, 4, request.param)


class Meanwhile(io.BytesIO):
    """A body; something happens before its last byte comes."""

    def __init__(self, body: bytes, action: Callable[[], object]) -> None:
        super().__init__(body)
        self._action: Callable[[], object] | None = action

    def read(self, size: int | None = -1) -> bytes:
        self._act()
        return super().read(size)

    def readinto(self, buffer: Any) -> int:
        self._act()
        return super().readinto(buffer)

    def _act(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()


def put_while(store: Any, action: Callable[[], object], size: int = 200_000, **headers: str) -> Any:
    """A large PUT, whose container is looked at before the action and which ends after it."""
    headers.setdefault("Content_Length", str(size))
    environ = {"stream": Meanwhile(b"x" * size, action)}
    return store("PUT", OBJECT, b"x" * size, **environ, **headers)


def copies(store: Any, name: Name = OBJECT) -> int:
    """On how many devices an object is."""
    place = store.cluster.place(name)
    asked = [
        store.net.call(node, messages.NodeRequest("HEAD", place.partition, name, {})).status
        for node in (*place.primaries, *place.spares())
    ]
    return asked.count(200)


def marked(store: Any, key: str = "o") -> Any:
    """Write the pointer to a delete marker."""
    headers = {"Content_Type": MARKER_TYPE, UNLISTED.replace("-", "_"): "true"}
    return store("PUT", CONTAINER._replace(object=key), b"[]", **headers)


@pytest.mark.parametrize("size", [10, 200_000], ids=["small", "large"])
def test_put_whose_container_was_deleted_meanwhile_is_refused_and_leaves_nothing(store: Any, size: int) -> None:
    answer = put_while(store, lambda: store("DELETE", CONTAINER).close(), size)
    assert (answer.status, answer.headers[ENDED]) == (404, "true")
    assert copies(store) == 0
    assert store("HEAD", CONTAINER).status == 404
    assert store("PUT", CONTAINER).status == 201
    assert store("GET", OBJECT).status == 404
    assert store.listed() == b"[]"


def again(store: Any) -> None:
    assert store("DELETE", CONTAINER).status == 204
    assert store("PUT", CONTAINER).status == 201


def test_plain_put_becomes_part_of_the_container_that_was_made_again(store: Any) -> None:
    assert put_while(store, lambda: again(store)).status == 201
    assert b'"o"' in store.listed()
    assert len(store("GET", OBJECT).read()) == 200_000


def test_put_that_depends_on_its_life_never_becomes_part_of_another(store: Any) -> None:
    again(store)
    environ_life = {LIFE.replace("-", "_"): ZERO.internal}
    answer = faults.call(
        store.app,
        {
            "REQUEST_METHOD": "PUT",
            "PATH_INFO": f"/v1{OBJECT.path}",
            "QUERY_STRING": "",
            "CONTENT_LENGTH": "1",
            "wsgi.input": io.BytesIO(b"m"),
            "objstore.preauthorized": True,
            **{faults.ENVIRON_KEY[name.replace("_", "-")]: value for name, value in environ_life.items()},
        },
    )
    assert (answer.status, answer.headers[ENDED]) == (409, "true")
    assert copies(store) == 0
    assert store.listed() == b"[]"


def test_a_client_cannot_choose_a_life(store: Any) -> None:
    again(store)
    assert store("PUT", OBJECT, b"x", **{LIFE.replace("-", "_"): ZERO.internal}).status == 201


def test_a_container_with_a_delete_marker_cannot_be_deleted(store: Any) -> None:
    # Versions and markers of a bucket were lost by a DELETE of its container through Swift.
    assert marked(store).status == 201
    assert store.listed() == b"[]"
    assert store("DELETE", CONTAINER).status == 409
    assert store("PUT", OBJECT, b"x").status == 201  # after a refusal it takes objects as before
    assert store("DELETE", OBJECT).status == 204
    assert store("DELETE", CONTAINER).status == 204


def test_a_delete_marker_written_while_its_container_is_deleted_is_refused(store: Any) -> None:
    store("DELETE", CONTAINER).close()
    environ = store("PUT", CONTAINER)
    assert environ.status == 201
    headers = {"Content_Type": MARKER_TYPE, UNLISTED.replace("-", "_"): "true"}
    assert put_while(store, lambda: store("DELETE", CONTAINER).close(), **headers).status == 404
    assert copies(store) == 0


# Replicas that are away


def delete_replicas(store: Any, count: int) -> None:
    """Delete so many replicas of the container, as a deletion that is under way."""
    place = store.cluster.place(CONTAINER)
    stamp = store.cluster.clock.now().internal
    request = messages.NodeRequest("DELETE", place.partition, CONTAINER, {messages.TIMESTAMP: stamp})
    for node in place.primaries[:count]:
        assert store.net.call(node, request).status == 204


def test_put_that_a_majority_lists_counts_though_one_replica_was_deleted(tmp_path: Path) -> None:
    store = faults.Store(tmp_path, 4, 3)
    assert put_while(store, lambda: delete_replicas(store, 1)).status == 201
    # The replica that was deleted has the row as well: by then it is clear that the deletion did not hold.
    place = store.cluster.place(CONTAINER)
    for node in place.primaries:
        rows = store.net.call(node, messages.NodeRequest("GET", place.partition, CONTAINER, {})).read()
        assert [row["name"] for row in json.loads(rows)] == ["o"]


def test_put_while_a_majority_is_deleted_is_taken_back(tmp_path: Path) -> None:
    store = faults.Store(tmp_path, 4, 3)
    assert put_while(store, lambda: delete_replicas(store, 2)).status in (404, 503)
    assert copies(store) == 0


def test_deletion_by_handoffs_does_not_count(tmp_path: Path) -> None:
    # Handoffs know of no rows: with them a majority of the container's own replicas was outvoted.
    store = faults.Store(tmp_path, 6, 3)
    store.net.databases_too = True
    for device in store.primaries(CONTAINER)[1:]:
        store.net.faults[device] = "down"
    assert store("DELETE", CONTAINER).status == 503
    store.net.faults.clear()
    assert store("HEAD", CONTAINER).status == 204
    assert store("PUT", OBJECT, b"x").status == 201


def test_deletion_says_when_a_replica_was_away(tmp_path: Path) -> None:
    store = faults.Store(tmp_path, 6, 3)
    store.net.databases_too = True
    store.net.faults[store.primaries(CONTAINER)[1]] = "down"
    answer = store("DELETE", CONTAINER)
    assert (answer.status, answer.headers[PARTLY]) == (204, "true")
    store.net.faults.clear()
    assert store("PUT", CONTAINER).status == 201
    answer = store("DELETE", CONTAINER)
    assert (answer.status, answer.headers.get(PARTLY)) == (204, None)


def test_deletion_that_is_refused_leaves_every_replica_as_it_was(tmp_path: Path) -> None:
    store = faults.Store(tmp_path, 4, 3)
    assert store("PUT", OBJECT, b"x").status == 201
    assert store("DELETE", CONTAINER).status == 409
    place = store.cluster.place(CONTAINER)
    for node in place.primaries:
        answer = store.net.call(node, messages.NodeRequest("HEAD", place.partition, CONTAINER, {}))
        assert answer.headers[messages.DELETE_TIMESTAMP] == ZERO.internal


def test_row_that_waited_in_a_spool_brings_its_container_back_as_it_was(tmp_path: Path) -> None:
    # No container server can be reached by the PUT, which is answered; then the container is deleted.
    store = faults.Store(tmp_path, 3, 3)
    assert store("POST", CONTAINER, X_Container_Meta_Color="red").status == 204
    spooled = NodeResponse(201, {messages.UPDATED: "0,1,2", messages.SPOOLED: "0,1,2"})
    assert Tally.of(WriteResult(201, (spooled,)), {}).is_listed(3)
    assert store("DELETE", CONTAINER).status == 204
    row = {**tombstone_row("late", ZERO.next(), 0), "deleted": False}
    place = store.cluster.place(CONTAINER)
    for node in place.primaries:
        assert store.net.call(node, rows_request(CONTAINER, place.partition, [row], row["timestamp"])).status == 202
    assert b'"late"' in store.listed()
    assert store("HEAD", CONTAINER).headers["X-Container-Meta-Color"] == "red"
    assert store("PUT", OBJECT, b"x").status == 201
    assert store("PUT", CONTAINER).status == 202  # nothing of it is lost by saying again that it is to be there
    assert store("HEAD", CONTAINER).headers["X-Container-Meta-Color"] == "red"
    assert store("DELETE", CONTAINER).status == 409


@pytest.mark.parametrize(
    ("taken", "refused", "listed"),
    [
        ("0,1,2", "", True),
        ("0", "", True),
        ("0,1", "2", True),
        ("0", "1", False),
        ("", "0", False),
        ("0", "1,2", False),
    ],
)
def test_a_refusal_counts_unless_a_majority_has_the_row(taken: str, refused: str, listed: bool) -> None:
    report = ",".join(filter(None, (taken, refused)))
    answer = NodeResponse(201, {messages.UPDATED: report, messages.REFUSED: refused})
    assert Tally.of(WriteResult(201, (answer,)), {}).is_listed(3) == listed
