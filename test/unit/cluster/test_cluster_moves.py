"""Requests for names whose partition has moved, before replicators have brought anything to its new place."""

from __future__ import annotations

import importlib.util
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objstore.cli.relink import step_for
from objstore.core.names import Name
from objstore.core.timestamps import Timestamp
from objstore.ring import Ring, increase
from objstore.runtime.files import FILES
from objstore.store.objects.relink import relink_device
from objstore.wire.messages import NodeRequest

_spec = importlib.util.spec_from_file_location("cluster_faults", Path(__file__).with_name("test_cluster_faults.py"))
assert _spec is not None and _spec.loader is not None
faults = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(faults)
ACCOUNT, CONTAINER, OBJECT = faults.ACCOUNT, faults.CONTAINER, faults.OBJECT
OTHER = Name("AUTH_t", "c", "other")
BODIES = pytest.mark.parametrize("body", [b"new", bytes(200_000)], ids=["small", "large"])
REPLICAS = pytest.mark.parametrize("replicas", [1, 2, 3])


def made(tmp_path: Path, replicas: int, **conf: str) -> Any:
    """A store with an object, whose devices are half of what is to come."""
    store = faults.Store(tmp_path, 2 * replicas, replicas, **conf)
    assert store("PUT", OBJECT, b"old", X_Object_Meta_A="1").status == 201
    return store


def move(store: Any, name: Name, count: int) -> list[str]:
    """Move so many replicas of a name's partition to other devices; those where they were."""
    builder = store.builder
    partition = store.cluster.place(name).partition
    used = [int(row[partition]) for row in builder.rows]
    free = [device for device in range(len(builder.devices)) if device not in used]
    for row, device in zip(builder.rows[:count], free, strict=False):
        row[partition] = device
    builder.moves = builder.moves.with_moves(np.full(count, partition), np.array(used[:count]), int(time.time()), 1)
    store.ring = Ring(builder.contents())
    return [builder.devices[device].device for device in used[:count]]


def new_primaries(store: Any, before: list[str], name: Name) -> list[str]:
    return [device for device in store.primaries(name) if device not in before]


def listed(store: Any) -> list[str]:
    return [row["name"] for row in json.loads(store("GET", CONTAINER).read())]


def direct(store: Any, device: str, method: str, name: Name) -> Any:
    place = store.cluster.place(name)
    (node,) = [node for node in store.ring.devices if node is not None and node.device == device]
    response = store.net._transport.call(node, NodeRequest(method, place.partition, name, {}))
    return response.status, response.read()


@REPLICAS
def test_all_can_be_read_while_every_replica_moves(tmp_path: Path, replicas: int) -> None:
    store = made(tmp_path, replicas)
    for name in (ACCOUNT, CONTAINER, OBJECT):
        move(store, name, replicas)
    assert store("GET", OBJECT).read() == b"old"
    assert store("HEAD", OBJECT).headers["X-Object-Meta-A"] == "1"
    assert listed(store) == ["o"]
    assert [row["name"] for row in json.loads(store("GET", ACCOUNT).read())] == ["c"]
    assert store("GET", OBJECT, X_Newest="true").read() == b"old"
    assert store("GET", OTHER).status == 404


@REPLICAS
@pytest.mark.parametrize("moved", [1, 2, 3])
def test_metadata_are_laid_over_what_has_not_come_yet(tmp_path: Path, replicas: int, moved: int) -> None:
    store = made(tmp_path, replicas)
    before = store.primaries()
    former = move(store, OBJECT, min(moved, replicas))
    assert store("POST", OBJECT, X_Object_Meta_A="2").status == 202
    for _ in range(5):
        answer = store("GET", OBJECT, X_Newest="true")
        assert (answer.headers["X-Object-Meta-A"], answer.read()) == ("2", b"old")
    for device in new_primaries(store, before, OBJECT):  # and they are there when the data come
        metas = list((tmp_path / "devices" / device).glob("objects/*/*/*/*.meta"))
        assert len(metas) == (1 if len(former) == replicas else len(metas))


@REPLICAS
def test_metadata_of_what_is_nowhere_or_deleted_are_refused(tmp_path: Path, replicas: int) -> None:
    store = made(tmp_path, replicas)
    move(store, OBJECT, replicas)
    assert store("POST", OTHER, X_Object_Meta_A="2").status == 404
    assert store("DELETE", OBJECT).status == 204
    assert store("POST", OBJECT, X_Object_Meta_A="2").status == 404
    assert store("GET", OBJECT).status == 404


@REPLICAS
@pytest.mark.parametrize("concurrent", ["no", "yes"])
def test_what_is_deleted_is_not_found_in_the_former_place(tmp_path: Path, replicas: int, concurrent: str) -> None:
    store = made(tmp_path, replicas, concurrent_gets=concurrent, concurrency_timeout="0")
    move(store, OBJECT, replicas)
    assert store("DELETE", OBJECT).status == 204
    for _ in range(5):
        assert store("GET", OBJECT).status == 404
        assert store("GET", OBJECT, X_Newest="true").status == 404
    assert store("DELETE", OBJECT).status == 404
    assert listed(store) == []


@BODIES
@REPLICAS
def test_what_is_written_anew_is_read(tmp_path: Path, replicas: int, body: bytes) -> None:
    store = made(tmp_path, replicas, concurrent_gets="yes", concurrency_timeout="0")
    move(store, OBJECT, replicas)
    assert store("PUT", OBJECT, body).status == 201
    for _ in range(5):
        assert store("GET", OBJECT).read() == body


@BODIES
@REPLICAS
def test_a_write_behind_what_is_in_the_former_place_is_made_newer(tmp_path: Path, replicas: int, body: bytes) -> None:
    store = made(tmp_path, replicas)
    stored = Timestamp.parse(store("HEAD", OBJECT).headers["X-Backend-Timestamp"])
    ahead = Timestamp(stored.raw + 10_000_000)  # by 100 seconds: of a proxy whose clock is fast
    assert store("PUT", OBJECT, b"fast", X_Timestamp=ahead.internal).status == 201
    former = move(store, OBJECT, replicas)
    assert store("PUT", OBJECT, body).status == 201
    (data,) = {path.name for path in tmp_path.glob("devices/*/objects/*/*/*/*.data") if path.parts[-6] not in former}
    assert Timestamp.parse(data.removesuffix(".data")) > ahead


@REPLICAS
def test_conditions_see_what_is_in_the_former_place(tmp_path: Path, replicas: int) -> None:
    store = made(tmp_path, replicas)
    etag = store("HEAD", OBJECT).headers["Etag"]
    former = move(store, OBJECT, replicas)
    assert store("PUT", OBJECT, b"new", If_None_Match="*").status == 412
    assert store("PUT", OBJECT, b"new", If_Match="other").status == 412
    store.net.faults = dict.fromkeys(former, "down")
    assert store("PUT", OBJECT, b"new", If_None_Match="*").status == 503
    store.net.faults = {}
    assert store("PUT", OBJECT, b"new", If_Match=etag).status == 201
    assert store("GET", OBJECT).read() == b"new"


@REPLICAS
def test_metadata_under_a_condition_are_laid_over_what_has_not_come_yet(tmp_path: Path, replicas: int) -> None:
    store = made(tmp_path, replicas)
    etag = store("HEAD", OBJECT).headers["Etag"]
    move(store, OBJECT, replicas)
    assert store("POST", OBJECT, X_Object_Meta_A="2", If_Match="other").status == 412
    assert store("POST", OBJECT, X_Object_Meta_A="2", If_Match=etag).status == 202
    assert store("GET", OBJECT, X_Newest="true").headers["X-Object-Meta-A"] == "2"
    assert store("PUT", OBJECT, b"new", If_Match=etag).status == 201  # no lease was left
    assert store("GET", OBJECT).read() == b"new"


@REPLICAS
def test_nothing_is_said_to_be_missing_while_its_former_place_is_silent(tmp_path: Path, replicas: int) -> None:
    store = made(tmp_path, replicas)
    store.net.databases_too = True
    for name in (ACCOUNT, CONTAINER, OBJECT):
        former = move(store, name, replicas)
        store.net.faults = dict.fromkeys(former, "down")
        assert store("HEAD", name).status == 503, name
        assert store("POST", name, X_Object_Meta_A="2").status == 503, name
        if name is not OBJECT:
            assert store("DELETE", name).status in (405, 503)
            assert store("PUT", name).status in (405, 503)
        store.net.faults = {}


def test_one_former_place_of_three_may_be_silent(tmp_path: Path) -> None:
    store = made(tmp_path, 3)
    former = move(store, OBJECT, 1)
    store.net.faults = dict.fromkeys(former, "down")
    assert store("GET", OTHER).status == 404
    assert store("GET", OBJECT, X_Newest="true").status == 200
    still = [device for device in store.primaries() if device not in new_primaries(store, store.primaries(), OBJECT)]
    store.net.faults[still[-1]] = "down"
    assert store("GET", OBJECT, X_Newest="true").status == 503  # what is newest may be where nobody answers


@REPLICAS
@pytest.mark.parametrize("moved", [1, 3])
def test_a_container_keeps_its_listing_when_it_is_put_again(tmp_path: Path, replicas: int, moved: int) -> None:
    store = made(tmp_path, replicas)
    before = store.primaries(CONTAINER)
    move(store, CONTAINER, min(moved, replicas))
    move(store, ACCOUNT, min(moved, replicas))
    assert store("PUT", CONTAINER, X_Container_Meta_B="2").status == 202
    assert store("POST", CONTAINER, X_Container_Meta_C="3").status == 204
    assert store("PUT", Name("AUTH_t", "second")).status == 201
    for _ in range(6):
        assert listed(store) == ["o"]
        answer = store("HEAD", CONTAINER)
        assert (answer.headers["X-Container-Meta-B"], answer.headers["X-Container-Meta-C"]) == ("2", "3")
        assert [row["name"] for row in json.loads(store("GET", ACCOUNT).read())] == ["c", "second"]
    for device in new_primaries(store, before, CONTAINER):
        assert direct(store, device, "HEAD", CONTAINER)[0] == 404  # for replication to bring it whole


def test_a_container_is_not_made_again_while_most_of_its_former_places_are_silent(tmp_path: Path) -> None:
    """One of them has lost its database: an empty container would hide what the others list."""
    store = made(tmp_path, 3)
    store.net.databases_too = True
    former = move(store, CONTAINER, 3)
    shutil.rmtree(tmp_path / "devices" / former[0] / "containers")
    store.net.faults = dict.fromkeys(former[1:], "down")
    assert store("PUT", CONTAINER).status == 503
    store.net.faults = {}
    for device in new_primaries(store, former, CONTAINER):
        assert direct(store, device, "HEAD", CONTAINER)[0] == 404
    assert listed(store) == ["o"]


@REPLICAS
def test_listings_have_what_is_written_while_the_container_moves(tmp_path: Path, replicas: int) -> None:
    store = made(tmp_path, replicas)
    move(store, CONTAINER, replicas)
    assert store("PUT", OTHER, b"x").status == 201
    assert store("DELETE", OBJECT).status == 204
    assert listed(store) == ["other"]


@REPLICAS
def test_a_container_that_moves_is_deleted_only_if_it_is_empty(tmp_path: Path, replicas: int) -> None:
    store = made(tmp_path, replicas)
    move(store, CONTAINER, replicas)
    assert store("DELETE", CONTAINER).status == 409
    assert store("DELETE", OBJECT).status == 204
    assert store("DELETE", CONTAINER).status == 204
    assert store("HEAD", CONTAINER).status == 404
    assert store("PUT", CONTAINER).status == 201
    assert listed(store) == []


@REPLICAS
def test_an_expiring_object_that_moves_is_deleted_later(tmp_path: Path, replicas: int) -> None:
    store = made(tmp_path, replicas)
    when = str(int(time.time()) + 1000)
    assert store("POST", OBJECT, X_Delete_At=when).status == 202
    move(store, OBJECT, replicas)
    assert store("DELETE", OBJECT, X_If_Delete_At=when).status == 503
    assert store("GET", OBJECT).status == 200


def relink(store: Any, tmp_path: Path, clean: bool) -> None:
    step = step_for(store.object_ring, clean, False)
    assert step is not None
    for device in sorted((tmp_path / "devices").iterdir()):
        relink_device(FILES, str(device), 0, step)


def test_proxies_with_rings_of_different_steps_see_the_same(tmp_path: Path) -> None:
    store = faults.Store(tmp_path, 4, 3)
    names = [Name("AUTH_t", "c", str(number)) for number in range(12)]
    versions: dict[Name, bytes] = {}
    counter = 0

    def change(ring: Ring) -> None:
        nonlocal counter
        store.object_ring = ring
        for number, name in enumerate(names):
            counter += 1
            body = b"version %d" % counter
            if number % 4 == 1 and name in versions:
                assert store("DELETE", name).status == 204
                del versions[name]
            else:
                assert store("PUT", name, body).status == 201
                versions[name] = body
            if number % 4 == 2:
                assert store("POST", name, X_Object_Meta_A=str(counter)).status == 202

    def look(*several: Ring) -> None:
        for ring in several:
            store.object_ring = ring
            for name in names:
                answer = store("GET", name)
                body = answer.read()
                assert answer.status == (200 if name in versions else 404)
                assert body == versions.get(name, body)

    builder = store.builder
    change(Ring(builder.contents()))
    increase.prepare(builder)
    prepared = Ring(builder.contents())
    change(prepared)
    relink(store, tmp_path, clean=False)
    change(prepared)
    increase.increase(builder)
    increased = Ring(builder.contents())
    look(prepared, increased)
    for _ in range(2):
        change(increased)
        look(prepared, increased)
        change(prepared)
        look(prepared, increased)
    store.object_ring = increased
    relink(store, tmp_path, clean=True)
    look(increased)
    change(increased)
    increase.finish(builder)
    finished = Ring(builder.contents())
    look(finished)
    change(finished)
    look(finished)
    for path in (tmp_path / "devices").glob("*/objects/*/*/*"):
        assert int(path.parts[-3]) == finished.partition(path.name)


def test_a_twin_that_is_none_is_refused(tmp_path: Path) -> None:
    store = made(tmp_path, 1)
    place = store.cluster.place(OBJECT)
    for twin in (place.partition + 3, "x"):
        sent = NodeRequest("HEAD", place.partition, OBJECT, {"X-Backend-Twin-Partition": str(twin)})
        assert store.net._transport.call(place.primaries[0], sent).status == 400
