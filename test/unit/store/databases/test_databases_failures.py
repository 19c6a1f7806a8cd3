"""An I/O error of a database is one of its device: it is not damage, and not absence."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from objstore.core.errors import Corrupt, DeviceUnavailable, NotFound
from objstore.core.names import HashSalt, Location, Name
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES, Files
from objstore.store.databases import ContainerStore, DatabaseSettings, ListingQuery, ObjectRow
from objstore.store.databases.failures import FailureKind, classify, damage_of
from objstore.store.interface import Quarantined

SALT = HashSalt(b"", b"salt")
NAME = Name("a", "c")
AT = Location(5, SALT.hash(NAME))
QUICK = DatabaseSettings(synchronous="off", lock_timeout=0.3)
NOT_OF_THE_DEVICE = {"SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_NOMEM", "SQLITE_IOERR_BLOCKED"}
IO_ERRORS = [name for name in dir(sqlite3) if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN"))]


def failure(name: str) -> FailureKind:
    error = sqlite3.OperationalError(name)
    error.sqlite_errorcode = getattr(sqlite3, name)
    return classify(error)


@pytest.mark.parametrize("name", [name for name in IO_ERRORS if name not in NOT_OF_THE_DEVICE])
def test_an_io_error_is_no_damage(name: str) -> None:
    """SQLite calls EIO in a read SQLITE_IOERR_CORRUPTFS; databases were quarantined for it at once."""
    assert failure(name) is FailureKind.UNREADABLE


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("SQLITE_CORRUPT", FailureKind.CORRUPT),
        ("SQLITE_CORRUPT_INDEX", FailureKind.CORRUPT),
        ("SQLITE_NOTADB", FailureKind.CORRUPT),
        ("SQLITE_FULL", FailureKind.FULL),
        ("SQLITE_IOERR_SHMSIZE", FailureKind.FULL),
        ("SQLITE_BUSY", FailureKind.BUSY),
        ("SQLITE_BUSY_RECOVERY", FailureKind.BUSY),
        ("SQLITE_BUSY_SNAPSHOT", FailureKind.BUSY),
        ("SQLITE_LOCKED", FailureKind.BUSY),
        ("SQLITE_READONLY_DBMOVED", FailureKind.BUSY),
        ("SQLITE_READONLY", FailureKind.UNREADABLE),
        ("SQLITE_CONSTRAINT", FailureKind.OTHER),
    ],
)
def test_other_codes(name: str, meaning: FailureKind) -> None:
    assert failure(name) is meaning


def test_an_integrity_check_that_could_not_read_says_nothing() -> None:
    assert damage_of("ok") == ""
    assert damage_of("Tree 2 page 7: unable to get the page. error code=11")
    assert damage_of("row 5 missing from index names")
    with pytest.raises(OSError, match="unable to get"):
        damage_of(f"Tree 2 page 7: unable to get the page. error code={sqlite3.SQLITE_IOERR_CORRUPTFS}")


def store_at(root: Path, files: Files = FILES, seen: list[str] | None = None) -> ContainerStore:
    return ContainerStore(str(root), files, QUICK, lambda _, why: seen.append(why) if seen is not None else None)


def fill(store: ContainerStore, *names: str) -> None:
    store.create(AT, NAME, Timestamp(10), 0, {})
    store.merge_rows(AT, [ObjectRow(name, Timestamp(20), size=1, content_type="t", etag="e") for name in names])


def names(store: ContainerStore) -> list[str]:
    return [item.name for item in store.list(AT, ListingQuery()).items]


class FailingStat(Files):
    """The device does not say what is there."""

    def exists(self, path: str) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    is_dir = exists


def test_a_device_that_fails_is_not_empty(tmp_path: Path) -> None:
    """os.path.exists is False for EIO: containers were 404, and accounts empty."""
    store = store_at(tmp_path, FailingStat())
    for call in (
        lambda: store.info(AT),
        lambda: store.list(AT, ListingQuery()),
        lambda: store.merge_rows(AT, []),
        lambda: store.create(AT, NAME, Timestamp(10), 0, {}),
    ):
        with pytest.raises(DeviceUnavailable):
            call()


def test_a_report_of_damage_that_is_not_confirmed_quarantines_nothing(tmp_path: Path) -> None:
    seen: list[str] = []
    store = store_at(tmp_path, seen=seen)
    fill(store, "o1")

    def report(connection: sqlite3.Connection) -> None:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    with pytest.raises(DeviceUnavailable):
        store._databases.read(AT, report)
    assert names(store) == ["o1"]
    assert seen == []


def spoil(store: ContainerStore) -> bytes:
    """Damage the database so that it is quarantined; its bytes before."""
    store.close()
    path = Path(store.path(AT))
    sound = path.read_bytes()
    path.write_bytes(b"damaged" + sound[7:])
    with pytest.raises(Corrupt):
        store.info(AT)
    assert not path.exists()
    return sound


def quarantined(store: ContainerStore, sound: bytes | None = None) -> Quarantined:
    (found,) = store.quarantined()
    if sound is not None:
        Path(f"{found.path}/{found.hash}.db").write_bytes(sound)
    return found


def test_damage_is_quarantined_and_reported(tmp_path: Path) -> None:
    seen: list[str] = []
    store = store_at(tmp_path, seen=seen)
    fill(store, "o1")
    spoil(store)
    assert len(seen) == 1
    assert abs(quarantined(store).at - time.time()) < 60


def test_a_database_that_proves_sound_comes_back(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    fill(store, "o1", "o2")
    sound = spoil(store)
    with pytest.raises(NotFound):
        store.info(AT)
    assert store.restore(quarantined(store, sound), 5, lambda info: info.name == NAME)
    assert names(store) == ["o1", "o2"]
    assert store.quarantined() == []


def test_its_rows_join_those_of_a_database_that_was_made_since(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    fill(store, "o1", "o2")
    sound = spoil(store)
    fill(store, "o3")
    assert store.restore(quarantined(store, sound), 5, lambda info: info.name == NAME)
    assert names(store) == ["o1", "o2", "o3"]


def test_the_log_of_a_quarantined_database_is_read_too(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    fill(store, "o1")
    directory = Path(store.path(AT)).parent  # a connection is open, so that the rows are in its log
    assert (directory / f"{AT.hash}.db-wal").stat().st_size
    target = tmp_path / "quarantined" / "containers" / AT.hash
    shutil.copytree(directory, target)
    store.close()
    shutil.rmtree(directory)
    assert store.restore(quarantined(store), 5, lambda info: info.name == NAME)
    assert names(store) == ["o1"]


def test_a_damaged_or_foreign_database_stays_in_quarantine(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    fill(store, "o1")
    sound = spoil(store)
    assert not store.restore(quarantined(store), 5, lambda info: info.name == NAME)
    assert not store.restore(quarantined(store, sound), 5, lambda info: False)
    with pytest.raises(NotFound):
        store.info(AT)
    assert len(store.quarantined()) == 1


class Disk:
    """A database whose reads fail on demand, as if the device failed."""

    def __init__(self, root: Path) -> None:
        self.store = store_at(root)
        fill(self.store, "o1")

    def fail(self) -> None:
        def broken(connection: sqlite3.Connection) -> None:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_CORRUPTFS
            raise error

        with pytest.raises(DeviceUnavailable):
            self.store._databases.read(AT, broken)


def test_a_database_that_reads_well_again_stays(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.fail()
    assert disk.store._databases._connections._idle == {}  # what they remember of the disk may be wrong
    (noted,) = disk.store.unreadable()
    assert (noted.location, time.time() - noted.at < 60) == (AT, True)
    assert disk.store.look_again(noted) == "readable"
    assert disk.store.unreadable() == []
    assert names(disk.store) == ["o1"]


def test_a_database_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.fail()
    shutil.rmtree(Path(disk.store.path(AT)).parent)
    (noted,) = disk.store.unreadable()
    assert disk.store.look_again(noted) == "gone"
