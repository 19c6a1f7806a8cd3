"""Objects whose time has come, and those that only seem so."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.in_process import InProcess, run_pass

from objstore.assembly.duties import cleaners
from objstore.assembly.surroundings import Work
from objstore.core.errors import NotFound
from objstore.core.manifests import MANIFEST_OWNS, owns
from objstore.core.names import Name
from objstore.core.timestamps import Timestamp
from objstore.daemon.duties.expirer import finished, may_be_kept, turn
from objstore.daemon.replica_client import Fate, ReplicaReply, fate
from objstore.layers import documents
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import (
    ContainerOptions,
    DeleteOptions,
    PutOptions,
    ReadOptions,
    UpdateOptions,
    Version,
    VersionsPage,
)
from objstore.layers.manifests import Manifests
from objstore.layers.versions import CONFIG, ENABLED, Versions
from objstore.runtime import green
from objstore.web.context import RequestContext
from objstore.web.responses import Answer
from objstore.web.write_conditions import WriteCondition

CONTAINER = Name("AUTH_t", "c")
OBJECT = Name("AUTH_t", "c", "o")
QUEUE = ".expiring_objects"
PROMPT = {"object_expirer_margin": "0", "object_expirer_takeover": "1h", "object_expirer_free_delay": "0"}


@pytest.fixture
def store(tmp_path: Path) -> InProcess:
    made = InProcess(tmp_path)
    assert made("PUT", CONTAINER).status == 201
    return made


@pytest.fixture
def expirer(store: InProcess) -> Work:
    return cleaners.OBJECT_EXPIRER.make(store.around(**PROMPT))


@pytest.fixture
def run(store: InProcess) -> Callable[[Work], dict[str, Any]]:
    """Lets the account of the queue learn of its containers, runs a pass, and gives what is told afterwards."""

    def run_one(work: Work) -> dict[str, Any]:
        tell_account(store)
        run_pass(work)
        return dict(work.status())

    return run_one


def tell_account(store: InProcess) -> None:
    from objstore.assembly.duties import updaters

    run_pass(updaters.CONTAINER_UPDATER.make(store.around()))


def queued(store: InProcess) -> list[list[str]]:
    """The rows that each replica of the queue's containers has."""
    answer = store("GET", Name(QUEUE), query="format=json")
    names = [part.split('"')[0] for part in answer.read().decode().split('"name":"')[1:]]
    return [rows for name in names for rows in store.rows(Name(QUEUE, name))]


def put_ending(store: InProcess, *names: Name, then: Callable[[], Answer] | None = None, **headers: str) -> int:
    """PUT objects that end in a moment, however slow the machine is; when. then: a change that must come before."""
    seconds = 1.0
    while True:
        at = int(time.time() + seconds) + 1
        answers = [store("PUT", name, b"content", X_Delete_At=str(at), **headers) for name in names]
        if all(answer.status == 201 for answer in answers) and (then is None or then().status == 202):
            return at
        seconds *= 2


def wait_for(at: int) -> None:
    time.sleep(max(0.0, at - time.time()) + 0.01)


def put_expired(store: InProcess, *names: Name, **headers: str) -> int:
    """PUT objects and wait until their time has come; that time."""
    at = put_ending(store, *names, **headers)
    wait_for(at)
    return at


def test_an_object_goes_when_its_time_has_come(store: InProcess, expirer: Work, run: Any) -> None:
    put_expired(store, OBJECT)
    assert len(store.copies(OBJECT)) == 3
    report = run(expirer)
    assert (report["expired_total"], report["dropped_total"], report["failed_total"]) == (1, 1, 0)
    assert store.copies(OBJECT) == []
    assert store.rows(CONTAINER) == [[], [], []]
    assert not any(queued(store))


def delete_later(store: InProcess) -> None:
    store.proxy.layer.delete(RequestContext(), OBJECT, DeleteOptions(later=True))


def test_an_object_that_was_deleted_to_go_later_goes(store: InProcess, expirer: Work, run: Any) -> None:
    store("PUT", OBJECT, b"content")
    delete_later(store)
    answer = store("GET", OBJECT)
    assert answer.read() == b"content" and "X-Delete-At" not in answer.headers
    assert store.rows(CONTAINER) == [["o"]] * 3
    report = run(expirer)
    assert (report["expired_total"], report["dropped_total"], report["failed_total"]) == (1, 1, 0)
    assert store.copies(OBJECT) == [] and store.rows(CONTAINER) == [[], [], []]
    assert not any(queued(store))


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_one_that_was_written_since_it_was_deleted_to_go_later_stays(
    store: InProcess, expirer: Work, run: Any, method: str
) -> None:
    store("PUT", OBJECT, b"content")
    delete_later(store)
    assert store(method, OBJECT, b"content" if method == "PUT" else b"", X_Object_Meta_Color="blue").status < 300
    report = run(expirer)
    assert (report["expired_total"], report["dropped_total"]) == (0, 1)
    answer = store("GET", OBJECT)
    assert (answer.read(), answer.headers["X-Object-Meta-Color"]) == (b"content", "blue")
    assert store.rows(CONTAINER) == [["o"]] * 3


def test_one_whose_time_has_not_come_stays(store: InProcess, expirer: Work, run: Any) -> None:
    store("PUT", OBJECT, b"", X_Delete_At=str(int(time.time()) + 100))
    report = run(expirer)
    assert (report["expired_total"], report["oldest_due_seconds"]) == (0, 0)
    assert len(store.copies(OBJECT)) == 3


def test_clocks_are_given_a_margin(store: InProcess, run: Any) -> None:
    put_expired(store, OBJECT)
    work = cleaners.OBJECT_EXPIRER.make(store.around(**PROMPT | {"object_expirer_margin": "1h"}))
    run(work)
    assert len(store.copies(OBJECT)) == 3


@pytest.mark.parametrize("headers", [{}, {"X_Delete_At": "9999999999"}], ids=["for good", "for longer"])
def test_an_object_written_again_stays(store: InProcess, expirer: Work, run: Any, headers: dict[str, str]) -> None:
    at = put_ending(store, OBJECT)
    store("PUT", OBJECT, b"new", **headers)
    wait_for(at)
    report = run(expirer)
    assert (report["expired_total"], report["dropped_total"]) == (0, 1)
    assert store("GET", OBJECT).read() == b"new"
    assert store.rows(CONTAINER) == [["o"]] * 3
    assert all(len(rows) == bool(headers) for rows in queued(store) if rows)


def test_an_object_whose_time_was_taken_back_stays(store: InProcess, expirer: Work, run: Any) -> None:
    at = put_ending(store, OBJECT, then=lambda: store("POST", OBJECT))
    wait_for(at)
    assert run(expirer)["dropped_total"] == 1
    assert store("GET", OBJECT).read() == b"content"


def test_one_whose_time_was_taken_back_while_a_replica_was_away_stays(
    store: InProcess, expirer: Work, run: Any
) -> None:
    """The replica that has not heard of it must not delete its copy: as of that time all others have the same data."""

    def take_back() -> Answer:
        store.net.down.add(store.primaries(OBJECT)[1])
        answer = store("POST", OBJECT)
        store.net.down.clear()
        return answer

    at = put_ending(store, OBJECT, then=take_back)
    wait_for(at)
    assert run(expirer)["dropped_total"] == 1
    for device in store.primaries(OBJECT):
        assert store.device(device).objects(0).info(store.location(OBJECT)).size == 7


def test_an_object_given_its_time_by_a_post_goes(store: InProcess, expirer: Work, run: Any) -> None:
    store("PUT", OBJECT, b"old")
    at = int(time.time()) + 3
    assert store("POST", OBJECT, X_Delete_At=str(at)).status == 202
    wait_for(at)
    assert run(expirer)["expired_total"] == 1
    assert store.copies(OBJECT) == []


def test_a_version_that_is_newer_than_its_row_goes_too(store: InProcess, expirer: Work, run: Any) -> None:
    """As one is that was moved to another policy."""
    at = put_expired(store, OBJECT)
    stamp = Timestamp.from_seconds(time.time()).internal
    for device in store.primaries(OBJECT):
        sent = {"X_Timestamp": stamp, "Content_Type": "a/b", "Content_Length": "1", "X_Delete_At": str(at)}
        assert store.ask(device, "PUT", OBJECT, body=b"n", **sent).status == 201
    assert run(expirer)["dropped_total"] == 1
    assert store.copies(OBJECT) == []
    assert not any(queued(store))


def test_what_was_written_while_replicas_were_away_is_not_lost(store: InProcess, expirer: Work, run: Any) -> None:
    """Two of three primaries have but the object that has expired; the newer one is older than the deletion."""
    at = put_ending(store, OBJECT)
    newer = Timestamp.from_seconds(time.time()).internal
    last = store.primaries(OBJECT)[2]
    sent = {"X_Timestamp": newer, "Content_Type": "a/b", "Content_Length": "3"}
    assert store.ask(last, "PUT", OBJECT, body=b"new", **sent).status == 201
    wait_for(at)
    run(expirer)
    assert last in store.copies(OBJECT)
    for device in store.primaries(OBJECT)[:2]:
        assert store.ask(device, "PUT", OBJECT, body=b"new", **sent).status == 201  # as a replicator would bring it
    assert store("GET", OBJECT).read() == b"new"


def test_a_row_stays_until_every_replica_has_answered(store: InProcess, expirer: Work, run: Any) -> None:
    put_expired(store, OBJECT)
    tell_account(store)
    away = store.primaries(OBJECT)[0]
    store.net.down.add(away)
    run_pass(expirer)
    report = expirer.status()
    assert (report["expired_total"], report["dropped_total"], report["failed_total"]) == (1, 0, 1)
    store.net.down.clear()
    assert store.copies(OBJECT) == [away]
    assert any(queued(store))
    assert run(expirer)["waiting"] == 1  # not tried again at once
    again = cleaners.OBJECT_EXPIRER.make(store.around(**PROMPT))
    assert run(again)["dropped_total"] == 1
    assert store.copies(OBJECT) == []
    assert not any(queued(store))


def test_a_row_whose_object_is_nowhere_yet_waits(store: InProcess, expirer: Work, run: Any) -> None:
    """It may be on its way: a device that was away has the only copy."""
    put_expired(store, OBJECT)
    for device in store.primaries(OBJECT):
        objects = store.device(device).objects(0)
        location = store.location(OBJECT)
        info = objects.info(location)
        (name,) = objects.changes(location.partition, location.suffix)[location.hash]
        objects.forget(location, [name])
        assert info.metadata["X-Delete-At"]
    report = run(expirer)
    assert (report["dropped_total"], report["failed_total"]) == (0, 1)
    assert any(queued(store))


def test_hosts_share_the_rows(store: InProcess, run: Any) -> None:
    names = [Name("AUTH_t", "c", f"o{number}") for number in range(12)]
    put_expired(store, *names)
    tell_account(store)
    done = []
    for host in (1, 2, 3, 4):
        work = cleaners.OBJECT_EXPIRER.make(store.around(host, **PROMPT))
        run_pass(work)
        done.append(work.status()["expired_total"])
    assert sum(done) == 12
    assert max(done) < 12
    assert not any(store.copies(name) for name in names)


def test_another_host_takes_over(store: InProcess) -> None:
    put_expired(store, OBJECT)
    tell_account(store)
    time.sleep(2.1)
    done = []
    for host in (1, 2, 3, 4):
        work = cleaners.OBJECT_EXPIRER.make(store.around(host, **PROMPT | {"object_expirer_takeover": "1"}))
        run_pass(work)
        done.append(work.status()["expired_total"])
    first = next(index for index, count in enumerate(done) if count)
    assert sum(done) == 1
    assert first <= 1  # of four hosts three have the row: the first or second is one of these


def test_segments_of_a_manifest_go_with_it(store: InProcess, expirer: Work, run: Any) -> None:
    segments = Name("AUTH_t", "\x00parts\x00c")
    part = Name("AUTH_t", "\x00parts\x00c", "p/1/00001/x")
    store("PUT", segments)
    store("PUT", part, b"part")
    put_expired(
        store, OBJECT, X_Object_Sysmeta_Manifest="json", **{MANIFEST_OWNS: owns(segments.container or "", "p/1/")}
    )
    run(expirer)
    for _ in range(100):
        if not store.copies(part):
            break
        green.sleep(0.02)
    assert store.copies(part) == []


def test_old_empty_containers_of_the_queue_go(store: InProcess, expirer: Work, run: Any) -> None:
    old, new = Name(QUEUE, f"{int(time.time()) - 4 * 86400:010d}"), Name(QUEUE, f"{int(time.time()) - 3600:010d}")
    for name in (old, new):
        assert store("PUT", name).status == 201
    run(expirer)
    assert store("HEAD", old).status == 404
    assert store("HEAD", new).status == 204


def test_an_object_of_a_container_that_is_gone_is_given_up_late(store: InProcess, expirer: Work, run: Any) -> None:
    put_expired(store, OBJECT)
    for device in store.device_names[:]:
        if device in store.primaries(CONTAINER):
            rows = (
                b'[{"name":"o","timestamp":"9999999999.00000","deleted":true,"size":0,"content_type":"","etag":"",'
                b'"policy_index":0,"content_type_timestamp":"9999999999.00000","meta_timestamp":"9999999999.00000"}]'
            )
            store.ask(device, "POST", CONTAINER, query="rows=1", body=rows, X_Timestamp="9999999999.00000")
    assert store("DELETE", CONTAINER).status == 204
    report = run(expirer)
    assert (report["dropped_total"], report["failed_total"]) == (0, 1)


# Decisions


STAMP = Timestamp(100, 1)
WHEN, ENDS, LATER = 50, {"X-Delete-At": "50"}, {"X-Delete-At": "60"}
AT_ROW, AT_POST = {"X-Backend-Timestamp": Timestamp(100).internal}, {"X-Backend-Timestamp": Timestamp(200).internal}


@pytest.mark.parametrize(
    "looks, expected",
    [
        ([ReplicaReply(200, AT_ROW | ENDS)] * 3, False),
        ([ReplicaReply(200, AT_ROW | ENDS), ReplicaReply(404), ReplicaReply(404)], False),
        (
            [ReplicaReply(200, AT_ROW | ENDS), ReplicaReply(200, AT_POST | LATER), ReplicaReply(200, AT_POST | LATER)],
            True,
        ),
        ([ReplicaReply(200, AT_ROW | ENDS), ReplicaReply(200, AT_POST), ReplicaReply(0)], True),
        ([ReplicaReply(200, AT_ROW | ENDS), ReplicaReply(200, AT_POST | ENDS), ReplicaReply(404)], False),
        ([ReplicaReply(200, AT_ROW | ENDS), ReplicaReply(200, AT_ROW | ENDS), ReplicaReply(0)], False),
        ([ReplicaReply(200, AT_ROW | ENDS), ReplicaReply(507), ReplicaReply(0)], True),
        ([ReplicaReply(404), ReplicaReply(404, AT_POST), ReplicaReply(404)], False),
    ],
)
def test_an_end_that_may_have_been_taken_back_ends_nothing(looks: list[ReplicaReply], expected: bool) -> None:
    assert may_be_kept(looks, WHEN, STAMP, 3) is expected


def test_each_row_has_a_turn_for_every_replica() -> None:
    for row in ("a", "b", "\udc80"):
        assert sorted(turn(row, index, 3) for index in range(3)) == [0, 1, 2]


OLDER, NEWER = ({"X-Backend-Timestamp": Timestamp(raw).internal} for raw in (99, 200))


@pytest.mark.parametrize(
    "deletion, look, expected",
    [
        (ReplicaReply(204), None, Fate.ENDED),
        (ReplicaReply(412), None, Fate.ABSENT),
        (ReplicaReply(0), None, Fate.UNKNOWN),
        (ReplicaReply(507), None, Fate.UNKNOWN),
        (ReplicaReply(409), ReplicaReply(200, NEWER), Fate.NEWER),
        (ReplicaReply(409), ReplicaReply(404, NEWER), Fate.ENDED),
        (
            ReplicaReply(409),
            ReplicaReply(200, OLDER),
            Fate.UNKNOWN,
        ),  # promised to a conditional write, which may never come
        (ReplicaReply(409), ReplicaReply(404), Fate.ABSENT),
        (ReplicaReply(409), ReplicaReply(0), Fate.UNKNOWN),
    ],
)
def test_what_answers_say_of_an_object(deletion: ReplicaReply, look: ReplicaReply | None, expected: Fate) -> None:
    assert fate(deletion, look, STAMP) is expected


@pytest.mark.parametrize(
    "fates, row_age, due_age, expected",
    [
        ({Fate.ENDED}, 10, 1, True),
        ({Fate.ENDED, Fate.ABSENT}, 10, 1, True),
        ({Fate.ENDED, Fate.UNKNOWN}, 1000, 1, False),
        ({Fate.ENDED, Fate.UNKNOWN}, 1000, 101, True),
        ({Fate.ABSENT}, 99, 1, False),
        ({Fate.ABSENT}, 101, 1, True),
        (set(), 1000, 1, False),
    ],
)
def test_when_a_row_is_done_with(fates: set[Fate], row_age: float, due_age: float, expected: bool) -> None:
    assert finished(fates, row_age, due_age, 100) is expected


# Versions.


class Versioned:
    """A container that keeps versions. shown: ids, newest first, and whether it is current; "" for delete markers."""

    def __init__(self, store: InProcess) -> None:
        self.layer = Versions(Manifests(store.proxy.layer, 0.0, logging.getLogger("test")))
        self.name = Name("AUTH_t", "v", "o")
        self.layer.create_container(RequestContext(), self.name.of_container, ContainerOptions({}))
        documents.keep(self.layer, RequestContext(), self.name, CONFIG, ENABLED)

    def put(self, data: bytes, **headers: str) -> str:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        options = PutOptions({"Content-Type": "text/plain", **sent})
        return self.layer.put(RequestContext(), self.name, options, BytesBody(data)).version_id

    def put_ending(self, data: bytes) -> tuple[str, int]:
        at = int(time.time()) + 2
        return self.put(data, X_Delete_At=str(at)), at

    @property
    def shown(self) -> list[tuple[str, bool]]:
        items = self.layer.list_versions(RequestContext(), self.name.of_container, VersionsPage())
        return [("" if one.marker else one.version_id, one.latest) for one in items if isinstance(one, Version)]

    def read(self, version: str = "") -> bytes | None:
        try:
            return self.layer.open(RequestContext(), self.name, ReadOptions(version_id=version)).read()
        except NotFound:
            return None


@pytest.fixture
def versioned(store: InProcess) -> Versioned:
    return Versioned(store)


def test_the_current_version_expires_and_the_name_is_deleted(
    store: InProcess, versioned: Versioned, expirer: Work, run: Any
) -> None:
    first = versioned.put(b"one")
    second, at = versioned.put_ending(b"two")
    wait_for(at)
    assert versioned.read() is None
    assert versioned.shown == [(second, True), (first, False)]
    assert run(expirer)["dropped_total"] == 1
    assert versioned.read() is None
    assert versioned.shown == [("", True), (second, False), (first, False)]
    assert versioned.read(second) == b"two"
    assert not any(queued(store))


def test_a_former_version_stays(store: InProcess, versioned: Versioned, expirer: Work, run: Any) -> None:
    first, at = versioned.put_ending(b"one")
    second = versioned.put(b"two")
    wait_for(at)
    assert run(expirer)["dropped_total"] == 1
    assert (versioned.read(), versioned.shown) == (b"two", [(second, True), (first, False)])
    versioned.layer.delete(RequestContext(), versioned.name, DeleteOptions(version_id=second))
    assert (versioned.read(), versioned.shown) == (b"one", [(first, True)])


def test_a_version_whose_end_was_taken_back_stays(versioned: Versioned, expirer: Work, run: Any) -> None:
    first, at = versioned.put_ending(b"one")
    versioned.layer.update(RequestContext(), versioned.name, UpdateOptions({}))
    wait_for(at)
    assert run(expirer)["expired_total"] == 0
    assert (versioned.read(), versioned.shown) == (b"one", [(first, True)])


def test_a_version_written_over_an_expired_one(versioned: Versioned, expirer: Work, run: Any) -> None:
    first, at = versioned.put_ending(b"one")
    wait_for(at)
    condition = WriteCondition(if_none_match="*")
    options = PutOptions({"Content-Type": "text/plain"}, condition=condition)
    second = versioned.layer.put(RequestContext(), versioned.name, options, BytesBody(b"two")).version_id
    run(expirer)
    assert versioned.read() == b"two"
    assert versioned.shown == [(second, True), ("", False), (first, False)]


def test_a_plain_object_that_expires_as_a_former_version(versioned: Versioned, expirer: Work, run: Any) -> None:
    documents.keep(versioned.layer, RequestContext(), versioned.name, CONFIG, "")
    _, at = versioned.put_ending(b"plain")
    documents.keep(versioned.layer, RequestContext(), versioned.name, CONFIG, ENABLED)
    second = versioned.put(b"two")
    assert versioned.shown == [(second, True), ("null", False)]
    wait_for(at)
    run(expirer)
    assert versioned.shown == [(second, True), ("null", False)]
    assert versioned.read("null") == b"plain"
