"""Deletions on a device whose last free blocks are its ballast."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from objstore.core.errors import NoSpace, NotFound
from objstore.core.names import Location, Name
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import Buffer, Files, Space
from objstore.store import ballast
from objstore.store.databases.containers import ContainerStore
from objstore.store.databases.device import Databases
from objstore.store.databases.schema import CONTAINER
from objstore.store.databases.settings import DatabaseSettings
from objstore.store.interface import ObjectData
from objstore.store.objects.file_store import FileSettings, FileStore
from objstore.store.objects.space import Reserve
from objstore.store.spool import Spool, SpooledUpdate

HERE = Location(5, "0123456789abcdef0123456789abcdef")
SIZE = 1 << 20


class Device(Files):
    """One with plenty of room until `full`, when nothing but the blocks of the ballast can be had."""

    def __init__(self, root: Path) -> None:
        self.ballast = root / ballast.BALLAST
        self.full = False

    def write(self, fd: int, pieces: Sequence[Buffer]) -> None:
        if self.full and self.ballast.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(fd, pieces)

    def space(self, path: str) -> Space:
        return Space(1 << 30, 0 if self.full else 1 << 29)


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


@pytest.fixture
def store(tmp_path: Path, device: Device) -> FileStore:
    return FileStore(str(tmp_path), files=device, settings=FileSettings(Reserve(), threads_per_disk=2, ballast=SIZE))


def put(store: FileStore, when: int) -> None:
    with store.create(HERE, 4) as writer:
        writer.write(b"data")
        writer.commit(ObjectData("/a/c/o", Timestamp(when), "text/plain", {}))


def test_a_device_gets_its_ballast_with_the_first_write(store: FileStore, device: Device) -> None:
    put(store, 1)
    status = os.stat(device.ballast)
    assert status.st_size == 0 and status.st_blocks * 512 >= SIZE


def test_without_room_or_when_switched_off_there_is_none(tmp_path: Path, device: Device) -> None:
    narrow = Reserve((1 << 29) - SIZE)
    for settings in (FileSettings(narrow, ballast=SIZE), FileSettings(Reserve(), ballast=0)):
        put(FileStore(str(tmp_path), files=device, settings=settings), 1)
        assert not device.ballast.exists()


def test_a_deletion_takes_the_ballast_of_a_full_device(store: FileStore, device: Device) -> None:
    """A tombstone needs a block before the object's are free."""
    put(store, 1)
    device.full = True
    store.delete(HERE, "/a/c/o", Timestamp(2))
    with pytest.raises(NotFound):
        store.info(HERE)
    assert not device.ballast.exists()


def test_a_full_device_without_ballast_refuses_a_deletion(store: FileStore, device: Device) -> None:
    put(store, 1)
    device.ballast.unlink()

    class Full(Device):
        def write(self, fd: int, pieces: Sequence[Buffer]) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    full = FileStore(store.root, files=Full(Path(store.root)), settings=store.settings)
    with pytest.raises(NoSpace):
        full.delete(HERE, "/a/c/o", Timestamp(2))
    assert full.info(HERE).timestamp == Timestamp(1)


def test_the_ballast_is_made_again_when_there_is_room(store: FileStore, device: Device, tmp_path: Path) -> None:
    put(store, 1)
    ballast.release(device, str(tmp_path))
    put(FileStore(str(tmp_path), files=device, settings=store.settings), 2)
    assert device.ballast.exists()


def test_an_update_is_spooled_on_a_full_device(tmp_path: Path, device: Device) -> None:
    ballast.keep(device, str(tmp_path), SIZE)
    device.full = True
    update = SpooledUpdate(HERE.hash, Timestamp(1), {"op": "DELETE"})
    Spool(str(tmp_path), device).put(update)
    assert list(Spool(str(tmp_path)).iter()) == [update]


def test_rows_that_free_space_take_the_ballast_and_growing_ones_do_not(tmp_path: Path, device: Device) -> None:
    def write_many(connection: sqlite3.Connection, arguments: list[Any]) -> list[Any]:
        if device.ballast.exists():
            raise NoSpace("full")
        return arguments

    databases = Databases(str(tmp_path), CONTAINER, device, DatabaseSettings())
    ContainerStore(str(tmp_path), files=device).create(HERE, Name("a", "c"), Timestamp(1), 0, {})
    ballast.keep(device, str(tmp_path), SIZE)
    with pytest.raises(NoSpace):
        databases.write(HERE, write_many, 1, growing=True)
    assert device.ballast.exists()
    assert databases.write(HERE, write_many, 2) == 2
    assert not device.ballast.exists()
