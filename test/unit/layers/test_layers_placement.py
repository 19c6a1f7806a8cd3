"""Objects whose data another policy keeps: what becomes of the data if the manifest is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from harness.in_process import InProcess

from objstore.core import errors
from objstore.core.errors import ObjstoreError
from objstore.core.names import Name, hidden
from objstore.layers import placement
from objstore.layers.bodies import BytesBody, ObjectBody
from objstore.layers.interface import ContainerOptions, Page, PutOptions, PutResult, ReadOptions
from objstore.layers.placement import PlacementLayer
from objstore.layers.versions import Versions
from objstore.web.context import RequestContext

NAME = Name("AUTH_t", "b", "k")
OPTIONS = PutOptions({"Content-Type": "text/plain"}, data_policy=1)
COLD = Name(NAME.account, hidden(placement.kind(placement.DATA, 1), "b"))


class Refusing(Versions):
    """Fails when the object itself is written. seen: the data that were there then; committed: its options."""

    def __init__(self, world: World) -> None:
        super().__init__(world.store.proxy.layer)
        self._world = world
        self.failure: ObjstoreError | None = None
        self.seen: list[list[bytes]] = []
        self.committed: list[PutOptions] = []

    def put(self, context: RequestContext, name: Name, options: PutOptions, body: ObjectBody) -> PutResult:
        if name == NAME:
            self.seen.append(self._world.data())
            self.committed.append(options)
            if self.failure is not None:
                raise self.failure
        return super().put(context, name, options, body)


class World:
    """A cluster of two policies, and a container whose objects the second can keep."""

    def __init__(self, root: Path) -> None:
        self.store = InProcess(root)
        self.inner = Refusing(self)
        self.layer: Any = PlacementLayer(self.inner)
        assert self.layer.create_container(RequestContext(), NAME.of_container, ContainerOptions({}))

    def write(self, options: PutOptions = OPTIONS) -> PutResult:
        result: PutResult = self.layer.put(RequestContext(), NAME, options, BytesBody(b"data"))
        return result

    def data(self) -> list[bytes]:
        """All that the other policy keeps."""
        layer = self.store.proxy.layer
        try:
            rows = layer.list_objects(RequestContext(), COLD, Page()).rows
        except errors.NotFound:
            return []
        names = [COLD._replace(object=row["name"]) for row in rows]
        return [layer.open(RequestContext(), name, ReadOptions()).read() for name in names]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_data_are_there_before_their_manifest_is_committed(world: World) -> None:
    result = world.write()
    assert result.etag == hashlib.md5(b"data").hexdigest()
    assert world.inner.seen == [[b"data"]] == [world.data()]


@pytest.mark.parametrize("kind", [errors.PreconditionFailed, errors.NoContainer, errors.Conflict])
def test_data_are_dropped_after_a_refusal(world: World, kind: type[ObjstoreError]) -> None:
    world.inner.failure = kind("refused")
    with pytest.raises(kind):
        world.write()
    assert world.data() == []


@pytest.mark.parametrize("kind", [errors.NodeFailure, errors.NodeTimeout, errors.NoSpace, errors.LockTimeout])
def test_data_are_kept_after_an_error_as_their_manifest_may_be_there(world: World, kind: type[ObjstoreError]) -> None:
    """It would point to nothing; the rule had no test."""
    world.inner.failure = kind("nobody answered")
    with pytest.raises(kind):
        world.write()
    assert world.data() == [b"data"]


@pytest.mark.parametrize("policy", [None, 0])
def test_an_object_of_the_containers_own_policy_is_written_as_it_is(world: World, policy: int | None) -> None:
    world.write(OPTIONS._replace(data_policy=policy))
    assert world.inner.committed == [OPTIONS._replace(data_policy=None)]
    assert world.data() == []
