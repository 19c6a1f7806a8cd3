"""Changes as operations with values: what they return, and the errors that they raise."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from harness.in_process import InProcess

from objstore.cluster.layer import ClusterLayer
from objstore.cluster.object_change import ObjectChange, ObjectPlace
from objstore.core.errors import (
    BodyTruncated,
    ChecksumMismatch,
    Conflict,
    LimitExceeded,
    NoContainer,
    NotFound,
    PreconditionFailed,
    TooManyContainers,
)
from objstore.core.names import Name
from objstore.core.timestamps import DECIDED, Timestamp
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import (
    AccountOptions,
    ContainerOptions,
    DeleteOptions,
    ObjectLayer,
    PutOptions,
    ReadOptions,
    UpdateOptions,
)
from objstore.web.context import RequestContext
from objstore.web.write_conditions import WriteCondition

CONTAINER = Name("AUTH_t", "c")
OBJECT = Name("AUTH_t", "c", "o")
PLAIN = PutOptions({"Content-Type": "text/plain"})
BODIES = pytest.mark.parametrize("body", [b"small", bytes(200_000)], ids=["small", "large"])


@pytest.fixture(params=[1, 3])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> InProcess:
    made = InProcess(tmp_path, replicas=request.param, max_containers_per_account="2")
    assert made.proxy.layer.create_container(RequestContext(), CONTAINER, ContainerOptions({}))
    return made


@pytest.fixture
def layer(world: InProcess) -> ObjectLayer:
    return world.proxy.layer


def read(layer: ObjectLayer, name: Name = OBJECT) -> bytes:
    return layer.open(RequestContext(), name, ReadOptions(newest=True)).read()


@BODIES
def test_put_returns_what_was_stored(layer: ObjectLayer, body: bytes) -> None:
    result = layer.put(RequestContext(), OBJECT, PLAIN, BytesBody(body))
    assert result.etag == hashlib.md5(body).hexdigest()
    reply = layer.open(RequestContext(), OBJECT, ReadOptions(newest=True))
    assert (reply.read(), reply.headers["X-Timestamp"]) == (body, result.timestamp.normal)


@BODIES
def test_late_headers_are_kept(layer: ObjectLayer, body: bytes) -> None:
    late = {"X-Object-Sysmeta-Sum": "1"}
    layer.put(RequestContext(), OBJECT, PLAIN._replace(late=lambda: late), BytesBody(body))
    reply = layer.open(RequestContext(), OBJECT, ReadOptions(head=True, newest=True))
    assert reply.headers["X-Object-Sysmeta-Sum"] == "1"


@BODIES
def test_body_that_is_not_the_one_that_was_meant_is_refused(layer: ObjectLayer, body: bytes) -> None:
    with pytest.raises(ChecksumMismatch):
        layer.put(RequestContext(), OBJECT, PLAIN._replace(etag="0" * 32), BytesBody(body))
    with pytest.raises(NotFound):
        read(layer)


class Compared(BytesBody):
    """A body that compares its MD5 with this one when it is read. Here it is one of other bytes, which it overlooks."""

    md5 = "0" * 32


def test_a_body_that_compares_its_md5_is_hashed_by_nobody_else(layer: ObjectLayer) -> None:
    assert layer.put(RequestContext(), OBJECT, PLAIN, Compared(bytes(200_000))).etag == Compared.md5
    with pytest.raises(ChecksumMismatch):
        layer.put(RequestContext(), OBJECT, PLAIN._replace(etag="1" * 32), Compared(bytes(200_000)))


class Announced(BytesBody):
    """A body whose length is not what was announced."""

    def __init__(self, data: bytes, length: int | None) -> None:
        super().__init__(data)
        self.length = length


@pytest.mark.parametrize("length", [100, 1_000_000])
def test_body_that_ends_early_is_refused(layer: ObjectLayer, length: int) -> None:
    with pytest.raises(BodyTruncated):
        layer.put(RequestContext(), OBJECT, PLAIN, Announced(b"short", length))


def test_body_above_the_limit_is_refused(world: InProcess) -> None:
    layer = ClusterLayer(world.proxy.cluster, 100_000)
    with pytest.raises(LimitExceeded):
        layer.put(RequestContext(), OBJECT, PLAIN, Announced(bytes(200_000), None))


def test_a_missing_container_is_an_error_of_its_own(layer: ObjectLayer) -> None:
    for name in (Name("AUTH_t", "none", "o"), Name("AUTH_none", "c", "o")):
        with pytest.raises(NoContainer) as caught:
            layer.put(RequestContext(), name, PLAIN, BytesBody(b"x"))
        assert not caught.value.ended
        with pytest.raises(NoContainer):
            layer.update(RequestContext(), name, UpdateOptions({}))
        with pytest.raises(NoContainer):
            layer.delete(RequestContext(), name, DeleteOptions())


@BODIES
def test_a_final_timestamp_that_is_older_is_a_conflict(layer: ObjectLayer, body: bytes) -> None:
    layer.put(RequestContext(), OBJECT, PLAIN, BytesBody(b"newer"))
    with pytest.raises(Conflict):
        layer.put(RequestContext(), OBJECT, PLAIN._replace(timestamp=Timestamp(1)), BytesBody(body))
    assert read(layer) == b"newer"


@BODIES
def test_a_condition_that_does_not_hold(layer: ObjectLayer, body: bytes) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        layer.put(RequestContext(), OBJECT, PLAIN._replace(condition=WriteCondition("*")), BytesBody(body))
    assert caught.value.missing
    absent = PLAIN._replace(condition=WriteCondition(None, "*"))
    layer.put(RequestContext(), OBJECT, absent, BytesBody(body))
    with pytest.raises(PreconditionFailed):
        layer.put(RequestContext(), OBJECT, absent, BytesBody(body))


def test_update_needs_an_object_and_delete_does_not(layer: ObjectLayer) -> None:
    with pytest.raises(NotFound):
        layer.update(RequestContext(), OBJECT, UpdateOptions({}))
    assert not layer.delete(RequestContext(), OBJECT, DeleteOptions()).existed
    layer.put(RequestContext(), OBJECT, PLAIN, BytesBody(b"x"))
    layer.update(RequestContext(), OBJECT, UpdateOptions({"X-Object-Meta-A": "1"}))
    assert layer.delete(RequestContext(), OBJECT, DeleteOptions()).existed


def test_delete_of_what_expires_at_another_time_is_refused(layer: ObjectLayer) -> None:
    options = PutOptions({**PLAIN.headers, "X-Delete-At": "4000000000"})
    layer.put(RequestContext(), OBJECT, options, BytesBody(b"x"))
    with pytest.raises(PreconditionFailed):
        layer.delete(RequestContext(), OBJECT, DeleteOptions(delete_at=4000000001))
    assert layer.delete(RequestContext(), OBJECT, DeleteOptions(delete_at=4000000000)).existed


def test_containers(layer: ObjectLayer) -> None:
    other = Name("AUTH_t", "d")
    assert layer.create_container(RequestContext(), other, ContainerOptions({}, policy=1))
    assert not layer.create_container(RequestContext(), other, ContainerOptions({}))
    with pytest.raises(Conflict):
        layer.create_container(RequestContext(), other, ContainerOptions({}, policy=0))
    layer.update_container(RequestContext(), other, ContainerOptions({"X-Container-Meta-A": "1"}))
    assert layer.container_info(RequestContext(), other).meta == {"a": "1"}
    layer.put(RequestContext(), other._replace(object="o"), PLAIN, BytesBody(b"x"))
    with pytest.raises(Conflict):
        layer.delete_container(RequestContext(), other)
    layer.delete(RequestContext(), other._replace(object="o"), DeleteOptions())
    assert layer.delete_container(RequestContext(), other)
    for name in (other, Name("AUTH_none", "c")):
        with pytest.raises(NoContainer):
            layer.update_container(RequestContext(), name, ContainerOptions({}))
        with pytest.raises(NotFound):
            layer.delete_container(RequestContext(), name)


def test_an_account_takes_no_more_containers_than_are_allowed(layer: ObjectLayer) -> None:
    assert layer.create_container(RequestContext(), Name("AUTH_t", "second"), ContainerOptions({}))
    with pytest.raises(TooManyContainers):
        layer.create_container(RequestContext(), Name("AUTH_t", "third"), ContainerOptions({}))
    assert not layer.create_container(RequestContext(), CONTAINER, ContainerOptions({}))


def test_accounts(layer: ObjectLayer) -> None:
    name = Name("AUTH_new")
    layer.update_account(RequestContext(), name, AccountOptions({"X-Account-Meta-A": "1"}))
    assert layer.account_info(RequestContext(), "AUTH_new").meta == {"a": "1"}
    assert not layer.create_account(RequestContext(), name, AccountOptions({}))
    layer.delete_account(RequestContext(), name, AccountOptions({}))
    with pytest.raises(NotFound):
        layer.account(RequestContext(), name)


# The change as a value


def change(world: InProcess, timestamp: Timestamp | None = None) -> ObjectChange:
    place = ObjectPlace.of(world.proxy.cluster, OBJECT, 0, {})
    return ObjectChange.of(place, "PUT", PLAIN.headers, timestamp)


def test_a_change_moves_past_what_a_node_holds(world: InProcess) -> None:
    first = change(world)
    later = world.proxy.cluster.clock.after(Timestamp(first.timestamp.raw + 1000))
    assert first.newer_than(Timestamp(first.timestamp.raw - 1)) is None
    newer = first.newer_than(later)
    assert newer is not None
    assert newer.timestamp > later
    assert change(world, first.timestamp).newer_than(later) is None  # its timestamp is final


def test_a_decided_change_keeps_to_its_bounds(world: InProcess) -> None:
    first = change(world)
    floor = Timestamp(first.timestamp.raw + 1000)
    decided = first.within(floor, Timestamp(floor.raw + 100_000_000))
    assert decided is not None
    assert decided.timestamp > floor
    assert decided.timestamp.offset == DECIDED
    assert first.within(floor, floor) is None
    with pytest.raises(Conflict):
        change(world, floor).within(floor, Timestamp(floor.raw + 1))
    own = change(world, Timestamp(5)).within(Timestamp(4), Timestamp(5))
    assert own is not None
    assert own.timestamp == Timestamp(5)
