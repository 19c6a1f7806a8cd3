"""First versions of keys, which lie under the key itself until the next write."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from objstore.core.errors import NotFound, PreconditionFailed
from objstore.core.names import Name
from objstore.core.versions import IN_PLACE
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import DeleteOptions, Page, PutOptions, ReadOptions, UpdateOptions
from objstore.layers.versions.writes import IN_PLACE_SIZE
from objstore.runtime import green
from objstore.web.context import RequestContext
from objstore.web.write_conditions import WriteCondition
from test.unit.layers.test_layers_versions import BUCKET, World

KEY = BUCKET._replace(object="k")


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.set_state("Enabled")
    return world


def entries(world: World) -> list[str]:
    """Names in the container of entries."""
    container = Name(BUCKET.account, "\0versions\0b")
    try:
        rows = world.gate.layer.list_objects(RequestContext(), container, Page()).rows
    except NotFound:
        return []
    return [str(row["name"]) for row in rows]


def headers(world: World, version: str = "") -> dict[str, str]:
    return world.layer.open(RequestContext(), KEY, ReadOptions(head=True, version_id=version)).headers


def post(world: World, headers: dict[str, str], version: str = "") -> None:
    world.layer.update(RequestContext(), KEY, UpdateOptions(headers, version_id=version))


def before_the_pointer(world: World, act: Callable[[], object]) -> None:
    """Do something once, right before the next change under the key."""

    def once(changed: Name) -> None:
        if changed == KEY:
            world.gate.before = None
            act()

    world.gate.before = once


def test_a_small_first_version_has_no_entry_and_is_found_by_its_id(world: World) -> None:
    version = world.put("k", b"first")
    assert entries(world) == []
    assert world.get("k") == world.get("k", version) == (version, b"first")
    assert [one.version_id for one in world.shown("k")] == [version]
    assert isinstance(world.get("k", "null"), NotFound)


def test_the_next_write_makes_it_an_entry_of_the_same_id(world: World) -> None:
    first, second = world.put("k", b"first"), world.put("k", b"second")
    assert len(entries(world)) == 2
    assert [(one.version_id, one.data) for one in world.shown("k")] == [(second, b"second"), (first, b"first")]


def test_a_large_first_version_is_an_entry(world: World) -> None:
    world.put("k", b"x" * (IN_PLACE_SIZE + 1))
    assert len(entries(world)) == 1


def test_a_key_that_has_been_gets_an_entry(world: World) -> None:
    """A slow writer may still replace the pointer that it saw before the key was deleted, without a condition."""
    world.delete("k", world.put("k", b"first"))
    again = world.put("k", b"again")
    assert len(entries(world)) == 1
    assert [one.version_id for one in world.shown("k")] == [again]


def test_a_null_version_replaces_it_without_losing_it(world: World) -> None:
    first = world.put("k", b"first")
    world.set_state("Suspended")
    assert world.put("k", b"null") == "null"
    assert [(one.version_id, one.data) for one in world.shown("k")] == [("null", b"null"), (first, b"first")]


def test_its_headers_are_those_that_were_written(world: World) -> None:
    options = PutOptions({"Content-Type": "a/b", "X-Object-Meta-Color": "red"})
    world.layer.put(RequestContext(), KEY, options, BytesBody(b"first"))
    shown = headers(world)
    assert IN_PLACE not in shown and not any("Fields" in name for name in shown)
    assert shown["Content-Type"] == "a/b" and shown["X-Object-Meta-Color"] == "red"


def test_of_two_who_write_a_new_key_at_once_both_have_a_version(world: World) -> None:
    made: list[str] = []

    def other() -> None:
        made.append(world.put("k", b"other"))

    before_the_pointer(world, other)
    made.append(world.put("k", b"one"))
    assert {one.version_id: one.data for one in world.shown("k")} == dict(zip(made, (b"other", b"one"), strict=True))


@pytest.mark.parametrize("slow", ["marker", "large"])
def test_a_pointer_does_not_replace_one_that_was_written_since_its_writer_looked(world: World, slow: str) -> None:
    """The pointer of a writer that had seen nothing replaced it, and the version was gone."""
    made: list[str] = []
    before_the_pointer(world, lambda: made.append(world.put("k", b"first")))
    large = b"x" * (IN_PLACE_SIZE + 1)
    last = world.delete("k") if slow == "marker" else world.put("k", large)
    assert {one.version_id for one in world.shown("k")} == {*made, last}


def test_metadata_that_change_while_the_next_version_is_written_stay(world: World) -> None:
    """The entry had been copied before, and the new metadata were lost."""
    first = world.put("k", b"first")
    before_the_pointer(world, lambda: post(world, {"X-Object-Meta-Color": "red"}, first))
    world.put("k", b"second")
    assert headers(world, first)["X-Object-Meta-Color"] == "red"
    assert "X-Object-Meta-Color" not in headers(world)


def test_metadata_do_not_go_to_a_version_that_replaced_it_meanwhile(world: World) -> None:
    first = world.put("k", b"first")
    before_the_pointer(world, lambda: world.put("k", b"second"))
    post(world, {"X-Object-Meta-Color": "red"}, first)
    assert headers(world, first)["X-Object-Meta-Color"] == "red"
    assert "X-Object-Meta-Color" not in headers(world)


def test_an_expiry_ends_the_name_and_not_the_version(world: World) -> None:
    first = world.put("k", b"first")
    post(world, {"X-Delete-At": str(int(time.time()) + 1)})
    green.sleep(2.1)
    assert isinstance(world.get("k"), NotFound)
    assert world.get("k", first) == (first, b"first")


def test_it_can_be_deleted_by_its_id(world: World) -> None:
    first = world.put("k", b"first")
    options = DeleteOptions(version_id=first, condition=WriteCondition('"other"'))
    with pytest.raises(PreconditionFailed):
        world.layer.delete(RequestContext(), KEY, options)
    assert world.delete("k", first) == first
    assert world.shown("k") == [] and not world.any_left()


def test_one_that_is_deleted_does_not_come_back_with_the_version_that_was_to_replace_it(world: World) -> None:
    first = world.put("k", b"first")
    before_the_pointer(world, lambda: world.delete("k", first))
    second = world.put("k", b"second")
    assert [one.version_id for one in world.shown("k")] == [second]


def test_one_that_is_deleted_before_it_is_copied_does_not_come_back(world: World) -> None:
    """The writer had read it before the deletion, and wrote its entry afterwards."""
    first = world.put("k", b"first")

    def once(changed: Name) -> None:
        if (changed.object or "").startswith("k\0") and len(entries(world)) == 1:  # that of the second version
            world.gate.before = None
            world.delete("k", first)

    world.gate.before = once
    second = world.put("k", b"second")
    assert [one.version_id for one in world.shown("k")] == [second]


def test_the_current_one_is_made_current(world: World) -> None:
    first = world.put("k", b"first")
    assert world.restore("k", first) == first
    assert world.get("k") == (first, b"first")
    assert entries(world) == []


def test_an_older_version_can_replace_one_and_both_stay(world: World) -> None:
    first, second = world.put("k", b"first"), world.put("k", b"second")
    assert world.restore("k", first) == first
    assert {one.version_id for one in world.shown("k")} == {first, second}
