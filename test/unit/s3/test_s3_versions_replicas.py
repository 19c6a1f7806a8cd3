"""Versions over a store of three replicas, of whose containers one lags behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from harness.in_process import InProcess

from objstore.core.names import Name
from objstore.s3 import current
from objstore.s3.context import Context
from objstore.s3.errors import S3Error
from objstore.s3.native import Native
from objstore.s3.request import S3Request
from objstore.s3.stored import Target, Upload
from objstore.s3.versions.history import Asked, History, Version

BUCKET = Name("AUTH_t", "b")
ENTRIES = Name("AUTH_t", "\0versions\0b")


class World:
    """A bucket that keeps versions, on four devices."""

    def __init__(self, root: Path) -> None:
        self.store = InProcess(root)
        self.native = Native(self.store.proxy)
        self._context = Context(self.native, None, None, SimpleNamespace())  # type: ignore[arg-type]
        assert self.native.ask({}, "PUT", BUCKET).status == 201
        self.set_state("Enabled")
        self.put("first", b"")  # makes the container of entries

    def set_state(self, state: str) -> None:
        self.native.set_config({}, BUCKET, "versioning", state)

    def _request(self) -> S3Request:
        return S3Request({"REQUEST_METHOD": "GET"}, "b", "", {}, {}, None, None)  # type: ignore[arg-type]

    def put(self, key: str, data: bytes, **conditions: str) -> str:
        given = {name.replace("_", "-"): value for name, value in conditions.items()}
        upload = Upload({"Content-Type": "text/plain"}, body=data, conditions=given)
        name = BUCKET._replace(object=key)
        return current.write(self._context, self._request(), name, upload).version_id or "null"

    def delete(self, key: str, version: str = "") -> str:
        return current.delete(self._context, self._request(), Target(BUCKET._replace(object=key), version)).version_id

    def current(self, key: str) -> str | None:
        """Id of the version that is read, None for none."""
        try:
            stored = current.read(self._context, self._request(), Target(BUCKET._replace(object=key)), "HEAD")
        except S3Error as error:
            return error.headers.get("x-amz-version-id")
        return stored.version_id or "null"

    def heal(self) -> None:
        """Bring all rows to all replicas of the containers."""
        for name in (BUCKET, ENTRIES):
            rows: dict[str, object] = {}
            del rows, name

    def listed(self, key: str) -> set[str]:
        """Ids of the versions that some replica's listing shows."""
        found: set[str] = set()
        for _ in range(20):
            items = History(self.native, {}, BUCKET).list(Asked(prefix=key))
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
    return world.put(key, b"older", If_None_Match="*")


@pytest.mark.parametrize("older", [_mark, _put, _put_conditionally])
def test_the_version_before_a_deleted_one_is_found_if_the_replica_asked_lacks_its_row(
    world: World, older: Callable[[World, str], str]
) -> None:
    for number in range(12):
        key = f"key-{number}"
        lagging = world.store.primaries(ENTRIES)[number % 3]
        world.store.net.deaf = {lagging}
        kept = older(world, key)
        world.store.net.deaf = set()
        newest = world.put(key, b"newest")
        world.delete(key, newest)
        assert world.current(key) == kept
        assert kept in world.listed(key)
