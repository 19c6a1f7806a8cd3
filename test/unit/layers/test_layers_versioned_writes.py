"""Versioned writes around the layer in memory: through crashes at every step, and with changes that come in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from objstore.core.errors import NodeFailure, NotFound, PreconditionFailed
from objstore.core.limits import DEFAULT_LIMITS
from objstore.core.manifests import FORM, MANIFEST, MANIFEST_ETAG, MANIFEST_OWNS, MANIFEST_SIZE
from objstore.core.names import Name
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import ContainerOptions, DeleteOptions, Page, PutOptions, ReadOptions, RenameSource
from objstore.layers.manifests import Manifests
from objstore.layers.memory import MemoryLayer
from objstore.layers.versioned_writes import (
    HISTORY,
    LOCATION,
    MARKER_TYPE,
    MODE,
    STACK,
    Archive,
    VersionedWrites,
    archive_of,
)
from objstore.web import segments
from objstore.web.context import RequestContext
from objstore.web.write_conditions import WriteCondition

CONTAINER, ARCHIVE = Name("a", "c"), Name("a", "archive")
KEY = CONTAINER._replace(object="o")
CHANGES = ("put", "delete")
LONG = 2_000_000


class Crash(BaseException):
    """The process ended here."""


class Gate:
    """The layer in memory. left: changes that still work before a crash. before: called before each change of KEY."""

    def __init__(self) -> None:
        self._inner = Manifests(MemoryLayer(), 0.0, None)  # type: ignore[arg-type]
        self.left: int | None = None
        self.before: Callable[[], None] | None = None

    def __getattr__(self, operation: str) -> Any:
        run = getattr(self._inner, operation)

        def call(context: RequestContext, name: Name, *arguments: Any) -> Any:
            if operation in CHANGES:
                if self.left == 0:
                    raise Crash
                if self.left is not None:
                    self.left -= 1
                if name == KEY and self.before is not None:
                    before, self.before = self.before, None
                    before()
            return run(context, name, *arguments)

        return call


class World:
    def __init__(self, mode: str) -> None:
        self.gate = Gate()
        self.layer = VersionedWrites(self.gate, True, DEFAULT_LIMITS)  # type: ignore[arg-type]
        self.layer.create_container(RequestContext(), CONTAINER, ContainerOptions({LOCATION: "archive", MODE: mode}))
        self.layer.create_container(RequestContext(), ARCHIVE, ContainerOptions({}))

    def put(self, data: bytes, headers: dict[str, str] | None = None, **options: Any) -> None:
        sent = PutOptions({"Content-Type": "text/plain", **(headers or {})}, **options)
        self.layer.put(RequestContext(), KEY, sent, BytesBody(data))

    def delete(self, **options: Any) -> bool:
        return self.layer.delete(RequestContext(), KEY, DeleteOptions(**options)).existed

    def read(self, name: Name = KEY) -> bytes | None:
        try:
            return self.layer.open(RequestContext(), name, ReadOptions()).read()
        except NotFound:
            return None

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.layer.list_objects(RequestContext(), ARCHIVE, Page()).rows

    @property
    def archived(self) -> list[bytes | None]:
        return [self.read(ARCHIVE._replace(object=row["name"])) for row in self.rows]


@pytest.fixture(params=[STACK, HISTORY])
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


def test_names_in_the_archive() -> None:
    archive = Archive(ARCHIVE, STACK)
    assert archive.prefix("foo") == "003foo/"
    assert archive.prefix("é" * 10) == "014" + "é" * 10 + "/"
    assert archive_of({}, KEY) is None
    assert archive_of({"versions-location": "%C3%A9", "versions-mode": HISTORY}, KEY) == (Name("a", "é"), HISTORY)


@pytest.mark.parametrize("size", [10, LONG])
def test_a_write_that_dies_at_any_step_loses_nothing(world: World, size: int) -> None:
    world.put(b"first")
    for steps in range(10):
        current = world.read()
        assert current is not None
        world.gate.left = steps
        body = b"%d" % steps * size
        try:
            world.put(body)
        except Crash:
            world.gate.left = None
            assert world.read() == current
            continue
        world.gate.left = None
        assert world.read() == body
        assert current in world.archived
        return
    pytest.fail("it never ended")


def test_a_deletion_that_dies_at_any_step_loses_nothing(world: World) -> None:
    for steps in range(10):
        before = [b"%d" % number for number in range(3)]
        world = World(_mode(world))
        for data in before:
            world.put(data)
        world.gate.left = steps
        died = False
        try:
            assert world.delete()
        except Crash:
            died = True
        world.gate.left = None
        stored = {*world.archived, world.read()}
        if _mode(world) == HISTORY or died:
            assert {*before[:2]} <= stored
        if _mode(world) == HISTORY:
            assert before[2] in stored
        if not died:
            return
        if _mode(world) == STACK:  # what the deletion left is not an obstacle to the next one
            while world.read() == before[2] or world.read() == before[1]:
                assert world.delete()
            assert world.read() == before[0]
    pytest.fail("it never ended")


def _mode(world: World) -> str:
    return str(world.layer.container_info(RequestContext(), KEY).sysmeta["versions-mode"])


def test_a_change_between_archive_and_write_is_archived_too(world: World) -> None:
    world.put(b"first")
    inner: Any = world.gate

    def other() -> None:
        inner._inner.put(RequestContext(), KEY, PutOptions({"Content-Type": "x/y"}), BytesBody(b"other"))

    world.gate.before = other
    world.put(b"second")
    assert world.archived == [b"first", b"other"]
    world.gate.before = other
    if _mode(world) == HISTORY:
        assert world.delete()
        assert world.archived == [b"first", b"other", b"second", b"other", b""]
        assert [row["content_type"] for row in world.rows][-1] == MARKER_TYPE
        assert world.read() is None


def test_a_long_write_that_another_change_overtakes_is_refused(world: World) -> None:
    world.put(b"first")
    inner: Any = world.gate
    world.gate.before = lambda: inner._inner.put(
        RequestContext(), KEY, PutOptions({"Content-Type": "x/y"}), BytesBody(b"other")
    )
    # The layer in memory asks for late headers after it was entered: what came before is archived.
    world.put(b"x" * LONG)
    assert world.archived == [b"first", b"other"]

    def late() -> dict[str, str]:
        inner._inner.put(RequestContext(), KEY, PutOptions({"Content-Type": "x/y"}), BytesBody(b"last"))
        return {}

    with pytest.raises(NodeFailure):
        world.put(b"y" * LONG, late=late)
    assert world.read() == b"last"


def test_conditions_of_clients(world: World) -> None:
    world.put(b"first", condition=WriteCondition(if_none_match="*"))
    with pytest.raises(PreconditionFailed):
        world.put(b"second", condition=WriteCondition(if_none_match="*"))
    with pytest.raises(PreconditionFailed):
        world.delete(condition=WriteCondition(if_match='"other"'))
    assert world.rows == []
    world.put(b"second", condition=WriteCondition(if_match="*"))
    assert world.archived == [b"first"]


def test_an_object_that_owns_its_segments_is_archived_as_its_content(world: World) -> None:
    parts = CONTAINER._replace(container="parts")
    world.layer.create_container(RequestContext(), parts, ContainerOptions({}))
    part = parts._replace(object="u/1")
    etag = world.layer.put(RequestContext(), part, PutOptions({"Content-Type": "x/y"}), BytesBody(b"content")).etag
    manifest = segments.dump([{"name": "/parts/u/1", "hash": etag, "bytes": 7}])
    headers = {MANIFEST: FORM, MANIFEST_ETAG: "e-1", MANIFEST_SIZE: "7", MANIFEST_OWNS: "parts/u/"}
    world.put(manifest, {**headers, "X-Object-Meta-A": "1"}, keep_segments=True)
    assert world.read() == b"content"
    world.put(b"next", keep_segments=True)
    (row,) = world.rows
    reply = world.layer.open(RequestContext(), ARCHIVE._replace(object=row["name"]), ReadOptions(raw=True))
    assert (reply.read(), reply.headers["X-Object-Meta-A"]) == (b"content", "1")
    assert MANIFEST not in reply.headers


def test_a_renamed_object_is_archived(world: World) -> None:
    other = KEY._replace(object="new")
    world.put(b"old name")
    options = PutOptions({"Content-Type": "x/y"}, rename=RenameSource("o"))
    world.layer.put(RequestContext(), other, options, BytesBody(b"old name"))
    assert (world.read(), world.read(other)) == (None, b"old name")
    assert len(world.rows) == (2 if _mode(world) == HISTORY else 0)


def test_other_objects_of_the_archive_are_not_restored() -> None:
    world = World(STACK)
    for name in ("001o/readme", "001o/1795827675.00487.txt", "001p/1795827675.00487"):
        options = PutOptions({"Content-Type": "x/y"})
        world.layer.put(RequestContext(), ARCHIVE._replace(object=name), options, BytesBody(b"theirs"))
    world.put(b"first")
    assert world.delete()
    assert world.read() is None
    assert len(world.rows) == 3
