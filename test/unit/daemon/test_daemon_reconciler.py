"""Objects that stand under another policy than their container has."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from harness.in_process import InProcess, run_pass

from objstore.assembly.duties import cleaners
from objstore.assembly.surroundings import Work
from objstore.core.manifests import MANIFEST_OWNS, owns
from objstore.core.names import Name
from objstore.core.nodes import Node
from objstore.core.timestamps import Timestamp
from objstore.daemon.duties.reconciler import agreed, plan
from objstore.daemon.replica_client import ReplicaReply
from objstore.store.databases import ObjectRow
from objstore.wire.rows import tombstone_row

CONTAINER = Name("AUTH_t", "c")
OBJECT = Name("AUTH_t", "c", "o")
GOLD, SILVER = 0, 1  # the container is of gold
PROMPT = {"container_reconciler_takeover": "1h", "container_reconciler_free_delay": "0"}


@pytest.fixture
def store(tmp_path: Path) -> InProcess:
    made = InProcess(tmp_path)
    assert made("PUT", CONTAINER, X_Storage_Policy="gold").status == 201
    return made


@pytest.fixture
def reconciler(store: InProcess) -> Work:
    return cleaners.CONTAINER_RECONCILER.make(store.around(**PROMPT))


def at(seconds: float) -> Timestamp:
    """So long after now."""
    return Timestamp.from_seconds(time.time() + seconds)


def put_silver(
    store: InProcess, body: bytes, stamp: Timestamp, name: Name = OBJECT, devices: Any = None, **headers: str
) -> None:
    """As a proxy does that takes the container for one of silver."""
    sent = {"Content_Type": "a/b", "X_Timestamp": stamp.internal, "Content_Length": str(len(body)), **headers}
    for device in devices or store.primaries(name, SILVER):
        assert store.ask(device, "PUT", name, SILVER, body, **sent).status == 201
    row = ObjectRow(name.object or "", stamp, size=len(body), content_type="a/b", etag="0" * 32, policy_index=SILVER)
    for device in store.primaries(CONTAINER):
        store.device(device).containers.merge_rows(store.location(CONTAINER), [row])


def delete_silver(store: InProcess, stamp: Timestamp) -> None:
    for device in store.primaries(OBJECT, SILVER):
        assert store.ask(device, "DELETE", OBJECT, SILVER, X_Timestamp=stamp.internal).status in (204, 404)
    send_rows(store, tombstone_row("o", stamp, SILVER))


def send_rows(store: InProcess, row: dict[str, Any]) -> None:
    body = json.dumps([row]).encode()
    for device in store.primaries(CONTAINER):
        store.ask(device, "POST", CONTAINER, body=body, query="rows=1", X_Timestamp=row["timestamp"])


def waiting(store: InProcess) -> list[int]:
    """Rows that each replica of the container has to be done with."""
    location = store.location(CONTAINER)
    replicas = [store.device(device).containers for device in store.primaries(CONTAINER)]
    return [len(containers.misplaced(location, None, 100).rows) for containers in replicas]


def test_an_object_is_moved_to_the_containers_policy(store: InProcess, reconciler: Work) -> None:
    body = bytes(range(256)) * 5000
    stamp = at(-100)
    put_silver(store, body, stamp, X_Object_Meta_Color="blue", X_Delete_At="9999999999")
    assert store("GET", OBJECT).status == 404
    assert waiting(store) == [1, 1, 1]
    run_pass(reconciler)
    found = store("GET", OBJECT)
    assert (found.status, found.read()) == (200, body)
    assert found.headers["X-Object-Meta-Color"] == "blue"
    assert found.headers["X-Delete-At"] == "9999999999"
    assert found.headers["X-Timestamp"] == stamp.normal
    assert len(store.copies(OBJECT, GOLD)) == 3
    assert store.copies(OBJECT, SILVER) == []
    assert store.rows(CONTAINER) == [["o"]] * 3
    assert waiting(store) == [0, 0, 0]
    info = store.device(store.primaries(CONTAINER)[0]).containers.info(store.location(CONTAINER))
    assert (info.object_count, info.bytes_used, info.row_count) == (1, len(body), 1)
    report = reconciler.status()
    assert (report["moved_total"], report["failed_total"], report["bytes_total"]) == (1, 0, len(body))
    run_pass(reconciler)
    assert reconciler.status()["waiting"] == 0


def test_what_a_post_said_goes_along(store: InProcess, reconciler: Work) -> None:
    put_silver(store, b"x", at(-100), X_Object_Meta_Color="blue")
    posted = at(-50)
    for device in store.primaries(OBJECT, SILVER):
        sent = {"X_Timestamp": posted.internal, "X_Object_Meta_Shape": "round"}
        assert store.ask(device, "POST", OBJECT, SILVER, **sent).status == 202
    run_pass(reconciler)
    headers = store("HEAD", OBJECT).headers
    assert "X-Object-Meta-Color" not in headers
    assert headers["X-Object-Meta-Shape"] == "round"
    assert headers["X-Timestamp"] == posted.normal
    assert waiting(store) == [0, 0, 0]


@pytest.mark.parametrize("gold_at, expected", [(-200, b"silver"), (-50, b"gold")], ids=["older", "newer"])
def test_of_two_objects_the_newer_counts(store: InProcess, reconciler: Work, gold_at: float, expected: bytes) -> None:
    store("PUT", OBJECT, b"gold", X_Timestamp=at(gold_at).internal)
    put_silver(store, b"silver", at(-100))
    run_pass(reconciler)
    assert store("GET", OBJECT).read() == expected
    assert store.copies(OBJECT, SILVER) == []
    assert waiting(store) == [0, 0, 0]
    assert store.rows(CONTAINER) == [["o"]] * 3


def test_a_deletion_later_than_the_object_counts(store: InProcess, reconciler: Work) -> None:
    store("PUT", OBJECT, b"gold", X_Timestamp=at(-200).internal)
    store("DELETE", OBJECT, X_Timestamp=at(-50).internal)
    put_silver(store, b"silver", at(-100))
    run_pass(reconciler)
    assert store.copies(OBJECT, GOLD) == store.copies(OBJECT, SILVER) == []
    assert waiting(store) == [0, 0, 0]
    assert store.rows(CONTAINER) == [[], [], []]


@pytest.mark.parametrize("deleted_at, expected", [(-50, 404), (-300, 200)], ids=["newer", "older"])
def test_a_deletion_under_a_wrong_policy_is_made_under_the_right_one(
    store: InProcess, reconciler: Work, deleted_at: float, expected: int
) -> None:
    store("PUT", OBJECT, b"gold", X_Timestamp=at(-200).internal)
    delete_silver(store, at(deleted_at))
    run_pass(reconciler)
    assert store("GET", OBJECT).status == expected
    assert waiting(store) == [0, 0, 0]
    assert reconciler.status()["deleted_total"] == (expected == 404)


def test_a_row_whose_object_was_deleted_meanwhile_goes(store: InProcess, reconciler: Work) -> None:
    store("PUT", OBJECT, b"gold", X_Timestamp=at(-200).internal)
    put_silver(store, b"silver", at(-100))
    for device in store.primaries(OBJECT, SILVER):
        store.ask(device, "DELETE", OBJECT, SILVER, X_Timestamp=at(-50).internal)
    for _ in range(2):
        run_pass(reconciler)
    assert store.copies(OBJECT, GOLD) == []
    assert waiting(store) == [0, 0, 0]
    assert store.rows(CONTAINER) == [[], [], []]


def test_what_is_written_after_the_move_is_newer(store: InProcess, reconciler: Work) -> None:
    put_silver(store, b"silver", at(-100))
    run_pass(reconciler)
    store("PUT", OBJECT, b"new")
    run_pass(reconciler)
    assert store("GET", OBJECT).read() == b"new"
    store("DELETE", OBJECT)
    run_pass(reconciler)
    assert store("GET", OBJECT).status == 404


def test_an_object_written_under_the_wrong_policy_again_is_moved_again(store: InProcess, reconciler: Work) -> None:
    put_silver(store, b"one", at(-100))
    run_pass(reconciler)
    put_silver(store, b"two", at(-50))
    run_pass(reconciler)
    assert store("GET", OBJECT).read() == b"two"
    assert store.copies(OBJECT, SILVER) == []
    assert waiting(store) == [0, 0, 0]


def test_the_newest_of_unequal_copies_is_moved(store: InProcess, reconciler: Work) -> None:
    put_silver(store, b"old", at(-100))
    put_silver(store, b"new", at(-50), devices=store.primaries(OBJECT, SILVER)[2:])
    run_pass(reconciler)
    assert store("GET", OBJECT).read() == b"new"
    assert store.copies(OBJECT, SILVER) == []


def test_nothing_is_deleted_before_a_majority_has_the_copy(store: InProcess, reconciler: Work) -> None:
    put_silver(store, b"silver", at(-100))
    store.net.down.update(store.primaries(OBJECT, GOLD)[:2])
    run_pass(reconciler)
    store.net.down.clear()
    assert len(store.copies(OBJECT, SILVER)) == 3
    assert sum(waiting(store)) > 0


def test_a_promise_to_another_write_is_not_taken_for_the_copy(store: InProcess, reconciler: Work) -> None:
    """A conditional write that failed leaves promises: everything older is refused for a while."""
    put_silver(store, b"silver", at(-100))
    for device in store.primaries(OBJECT, GOLD):
        sent = {"X_Backend_Lease": "abc", "X_Timestamp": at(0).internal}
        assert store.ask(device, "LOCK", OBJECT, GOLD, **sent).ok
        assert store.ask(device, "UNLOCK", OBJECT, GOLD, X_Backend_Lease_Abandon="true", **sent).ok
    run_pass(reconciler)
    assert store.copies(OBJECT, GOLD) == []
    assert len(store.copies(OBJECT, SILVER)) == 3
    assert reconciler.status()["failed_total"] == 1


def test_a_replica_that_is_away_keeps_the_row(store: InProcess, reconciler: Work) -> None:
    put_silver(store, b"silver", at(-100))
    away = store.primaries(OBJECT, SILVER)[0]
    store.net.down.add(away)
    run_pass(reconciler)
    store.net.down.clear()
    assert store("GET", OBJECT).read() == b"silver"
    assert store.copies(OBJECT, SILVER) == [away]
    run_pass(reconciler)
    assert store.copies(OBJECT, SILVER) == []
    assert len(store.copies(OBJECT, GOLD)) >= 2  # the replicator brings the third
    assert waiting(store) == [0, 0, 0]


def test_nothing_moves_while_replicas_disagree_on_the_policy(tmp_path: Path) -> None:
    store = InProcess(tmp_path)
    for index, device in enumerate(store.primaries(CONTAINER)):
        containers, policy = store.device(device).containers, (GOLD, GOLD, SILVER)[index]
        containers.create(store.location(CONTAINER), CONTAINER, at(-300 + index), policy, {})
    put_silver(store, b"silver", at(-100))
    work = cleaners.CONTAINER_RECONCILER.make(store.around(**PROMPT))
    run_pass(work)
    assert len(store.copies(OBJECT, SILVER)) == 3
    assert store.copies(OBJECT, GOLD) == []
    first, _, last = (store.device(device).containers for device in store.primaries(CONTAINER))
    last.merge_status(store.location(CONTAINER), first.status(store.location(CONTAINER)))
    run_pass(work)
    assert len(store.copies(OBJECT, GOLD)) == 3


def test_segments_go_along_with_their_manifest(store: InProcess, reconciler: Work) -> None:
    parts = Name("AUTH_t", "\x00parts\x00c")
    part = Name("AUTH_t", "\x00parts\x00c", "p/1/00001/x")
    store("PUT", parts)
    store("PUT", part, b"part")
    owned = {MANIFEST_OWNS.replace("-", "_"): owns(parts.container or "", "p/1/")}
    put_silver(store, b"[]", at(-100), X_Object_Sysmeta_Manifest="json", **owned)
    run_pass(reconciler)
    time.sleep(0.2)
    assert len(store.copies(part)) == 3
    assert store("HEAD", OBJECT).headers[MANIFEST_OWNS] == owns(parts.container or "", "p/1/")


def test_many_rows_are_done_in_one_pass(store: InProcess, reconciler: Work) -> None:
    for number in range(30):
        put_silver(store, b"x", at(-100), CONTAINER._replace(object=f"o{number:02d}"))
    run_pass(reconciler)
    assert waiting(store) == [0, 0, 0]
    assert store.rows(CONTAINER) == [[f"o{number:02d}" for number in range(30)]] * 3


def test_a_pass_with_nothing_to_do_asks_no_one(store: InProcess, reconciler: Work) -> None:
    store("PUT", OBJECT, b"gold")
    run_pass(reconciler)
    store.net.asked.clear()
    run_pass(reconciler)
    assert store.net.asked == []


# Decisions

HERE, THERE = Node(1, 1, 1, "127.0.0.1", 6200, "d1"), Node(2, 1, 1, "127.0.0.2", 6200, "d2")


def has(raw: int) -> ReplicaReply:
    return ReplicaReply(200, {"X-Backend-Timestamp": Timestamp(raw).internal})


def gone(raw: int = 0) -> ReplicaReply:
    return ReplicaReply(404, {"X-Backend-Timestamp": Timestamp(raw).internal} if raw else {})


DOWN = ReplicaReply(0)


@pytest.mark.parametrize(
    "wrong, right, expected",
    [
        ([has(5), gone()], [gone()] * 3, (5, HERE)),
        ([has(5), has(6)], [gone()] * 3, (6, THERE)),
        ([has(5), gone(6)], [gone()] * 3, None),  # deleted since
        ([gone(), gone()], [gone()] * 3, None),
        ([has(5), has(5), DOWN], [gone(), gone(), DOWN], (5, THERE)),
        ([has(5), DOWN], [gone()] * 3, None),  # which may have a newer one
        ([has(5), DOWN, DOWN], [gone()] * 3, None),
        ([has(5), gone()], [gone(), DOWN, DOWN], None),
        ([has(5), gone()], [has(5)] * 3, (5, None)),
        ([has(5), gone()], [has(5), has(7), gone(9)], (5, None)),
        ([has(5), gone()], [has(5), has(5), gone()], (5, HERE)),
        ([has(5), gone()], [has(5), has(5), DOWN], (5, HERE)),
        ([has(5), gone()], [has(4)] * 3, (5, HERE)),
    ],
)
def test_what_is_to_be_done_with_an_object(wrong: list[ReplicaReply], right: list[ReplicaReply], expected: Any) -> None:
    found = plan(list(zip((HERE, THERE, HERE), wrong, strict=False)), right)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        newest, source = expected
        assert found.newest == Timestamp(newest)
        assert (found.source[0] if found.source else None) == source


def says(policy: int) -> ReplicaReply:
    return ReplicaReply(204, {"X-Backend-Storage-Policy-Index": str(policy)})


@pytest.mark.parametrize(
    "replies, expected",
    [
        ([says(1)] * 3, True),
        ([says(1), says(1), DOWN], True),
        ([says(1), DOWN, DOWN], False),
        ([says(1), says(1), says(0)], False),
        ([says(0)] * 3, False),
        ([says(1), gone(), gone()], False),
    ],
)
def test_when_replicas_agree_on_a_policy(replies: list[ReplicaReply], expected: bool) -> None:
    assert agreed(replies, 1) is expected
