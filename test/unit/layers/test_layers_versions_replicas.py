"""Versions over a store of three replicas, of whose containers one lags behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness.in_process import InProcess

from objstore.core.errors import DeleteMarker, NodeFailure, NotFound
from objstore.core.listed import LISTED_ETAG
from objstore.core.manifests import FORM, MANIFEST, MANIFEST_ETAG, MANIFEST_OWNS, MANIFEST_SIZE, owns
from objstore.core.names import Name
from objstore.layers import documents
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import (
    ContainerOptions,
    DeleteOptions,
    PutOptions,
    ReadOptions,
    Version,
    VersionsPage,
)
from objstore.layers.versions import CONFIG, Versions
from objstore.web.context import RequestContext
from objstore.web.write_conditions import WriteCondition
from objstore.wire.messages import NodeRequest

BUCKET = Name("AUTH_t", "b")
ENTRIES = Name("AUTH_t", "\0versions\0b")


class World:
    """A bucket that keeps versions, on four devices."""

    def __init__(self, root: Path) -> None:
        self.store = InProcess(root)
        self.layer = Versions(self.store.proxy.layer)
        assert self.layer.create_container(RequestContext(), BUCKET, ContainerOptions({}))
        self.set_state("Enabled")
        self.put("first", b"")  # makes the container of entries

    def set_state(self, state: str) -> None:
        documents.keep(self.layer, RequestContext(), BUCKET, CONFIG, state)

    def put(self, key: str, data: bytes, headers: Mapping[str, str] | None = None, **conditions: str) -> str:
        condition = WriteCondition(**conditions) if conditions else None
        options = PutOptions({"Content-Type": "text/plain", **(headers or {})}, condition=condition)
        name = BUCKET._replace(object=key)
        return self.layer.put(RequestContext(), name, options, BytesBody(data)).version_id or "null"

    def earlier(self, key: str, prefix: str) -> str | None:
        """Id of the version that an upload has become."""
        reply = self.layer.find_owner(RequestContext(), BUCKET._replace(object=key), prefix)
        return reply and reply.version_id

    def delete(self, key: str, version: str = "") -> str:
        options = DeleteOptions(version_id=version)
        return self.layer.delete(RequestContext(), BUCKET._replace(object=key), options).version_id

    def current(self, key: str) -> str | None:
        """Id of the version that a majority of the replicas has as the current one, None for none."""
        try:
            reply = self.layer.open(RequestContext(), BUCKET._replace(object=key), ReadOptions(head=True, newest=True))
        except DeleteMarker as marker:
            return marker.version_id
        except NotFound:
            return None
        return reply.version_id or "null"

    @contextmanager
    def rows_lost(self, *replicas: int) -> Iterator[None]:
        """For a while some replicas of the container of entries, by their indexes, take no rows."""
        primaries = self.store.primaries(ENTRIES)
        deaf = {primaries[index] for index in replicas}
        with self.broken(lambda device, request: device in deaf and request.query.startswith("rows")):
            yield

    @contextmanager
    def broken(self, breaks: Callable[[str, NodeRequest], bool]) -> Iterator[None]:
        self.store.net.breaks = breaks
        yield
        self.store.net.breaks = None

    def listed(self, key: str) -> set[str]:
        """Ids of the versions that some replica's listing shows."""
        found: set[str] = set()
        for _ in range(20):
            items = self.layer.list_versions(RequestContext(), BUCKET, VersionsPage(prefix=key))
            found.update(item.version_id for item in items if isinstance(item, Version) and item.key == key)
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def _mark(world: World, key: str) -> str:
    return world.delete(key)


def _put(world: World, key: str) -> str:
    return world.put(key, b"older")


def _put_conditionally(world: World, key: str) -> str:
    return world.put(key, b"older", if_none_match="*")


OLDER = pytest.mark.parametrize("older", [_mark, _put, _put_conditionally])


@OLDER
def test_the_version_before_a_deleted_one_is_found_if_the_replica_asked_lacks_its_row(
    world: World, older: Callable[[World, str], str]
) -> None:
    """An older one became current, or none: the version was lost though a majority listed it."""
    for number in range(12):
        key = f"key-{number}"
        with world.rows_lost(number % 3):
            kept = older(world, key)
        newest = world.put(key, b"newest")
        world.delete(key, newest)
        assert world.current(key) == kept
        assert kept in world.listed(key)


@OLDER
def test_a_version_that_too_few_replicas_list_is_not_acknowledged(
    world: World, older: Callable[[World, str], str]
) -> None:
    first = world.put("k", b"first")
    with world.rows_lost(0, 1), pytest.raises(NodeFailure):
        older(world, "k") if older is not _put_conditionally else world.put("k", b"x", if_match="*")
    assert world.current("k") == first
    assert world.listed("k") == {first}
    assert older(world, "k2")  # all is well again


def test_a_version_is_not_deleted_while_too_few_replicas_list_the_others(world: World) -> None:
    older, newest = world.put("k", b"older"), world.put("k", b"newest")
    away = set(world.store.primaries(ENTRIES)[:2])
    with (
        world.broken(lambda device, request: device in away and request.name.kind == "container"),
        pytest.raises(NodeFailure),
    ):
        world.delete("k", newest)
    assert world.current("k") == newest
    assert world.listed("k") == {older, newest}


def test_the_null_version_is_deleted_if_the_replica_asked_lacks_its_row(world: World) -> None:
    """The deletion was acknowledged, and the version came back with its row."""
    for number in range(12):
        key = f"key-{number}"
        world.set_state("Suspended")
        with world.rows_lost(number % 3):
            assert world.put(key, b"null") == "null"
        world.set_state("Enabled")
        newest = world.put(key, b"newest")
        world.delete(key, "null")
        world.delete(key, newest)
        assert world.current(key) is None


def test_a_pointer_that_one_replica_has_after_an_unclear_answer_is_written_again(world: World) -> None:
    """It was acknowledged as soon as it was seen on one: with that disk the version was lost."""
    pointer = BUCKET._replace(object="k")
    world.put("k", b"first")
    alone = world.store.primaries(pointer)[0]
    failures = 0

    def breaks(device: str, request: NodeRequest) -> bool:
        nonlocal failures
        failing = request.method == "PUT" and request.name == pointer and device != alone and failures < 3
        failures += failing
        return failing

    with world.broken(breaks):
        second = world.put("k", b"second")
    assert failures == 3
    world.store.net.down = {alone}
    assert world.current("k") == second


def test_an_upload_that_one_replica_alone_has_as_current_is_written_again_when_it_is_completed_again(
    world: World,
) -> None:
    """The first completion was answered 503; the second found its version and acknowledged it."""
    pointer = BUCKET._replace(object="k")
    alone = world.store.primaries(pointer)[0]
    headers = {
        MANIFEST: FORM,
        MANIFEST_ETAG: "0-1",
        MANIFEST_SIZE: "0",
        MANIFEST_OWNS: owns("parts", "prefix"),
        LISTED_ETAG: "0-1",
    }

    def breaks(device: str, request: NodeRequest) -> bool:
        return request.method == "PUT" and request.name == pointer and device != alone

    with world.broken(breaks), pytest.raises(NodeFailure):
        world.put("k", b"[]", headers=headers)
    done = world.earlier("k", "prefix")
    world.store.net.down = {alone}
    assert done is not None
    assert world.current("k") == done
