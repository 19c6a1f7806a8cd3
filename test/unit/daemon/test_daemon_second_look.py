"""What a device failed to read once is not lost: it is read again later, in place or in quarantine."""

from __future__ import annotations

import errno
import logging
import os
import time
from pathlib import Path

import pytest

from objstore.core.errors import Corrupt, DeviceUnavailable, NotFound, Unreadable
from objstore.core.names import HashSalt, Location, Name, partition_of
from objstore.core.timestamps import TICKS, Timestamp
from objstore.daemon.duties.object_auditor import FIRST, ObjectAuditor, ObjectRates
from objstore.daemon.duties.second_look import Retries, SecondLook
from objstore.daemon.rounds import Round, SearchedPlace
from objstore.runtime import green
from objstore.runtime.files import Files, OpenFile
from objstore.runtime.throttle import Throttle
from objstore.store.interface import ObjectData
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.objects.space import Reserve

SALT = HashSalt(b"", b"salt")
LOGGER = logging.getLogger("test.daemon")
WEEK = 7 * 86400.0


class FailingFiles(Files):
    """Fails to open files whose path holds one of `bad`."""

    def __init__(self) -> None:
        self.bad: list[str] = []

    def open(self, path: str) -> OpenFile:
        if any(each in path for each in self.bad):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().open(path)


class World:
    """One device with ten objects, on a disk that fails as is wanted."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root
        self.files = FailingFiles()
        self.store = FileReplicaStore(str(root), 0, self.files, FileSettings(Reserve(), threads_per_disk=2, ballast=0))
        self.place = SearchedPlace("d1", str(root), {0: self.store})
        self.now = time.time()
        self.look = SecondLook(
            lambda policy, name_hash: partition_of(name_hash, 4),
            SALT.hash,
            300.0,
            WEEK,
            lambda: Throttle(0),
            lambda: None,
            LOGGER,
            lambda: self.now,
        )
        for number in range(10):
            self.put(f"o{number}", 1000)

    def at(self, text: str) -> Location:
        name_hash = SALT.hash(Name("a", "c", text))
        return Location(partition_of(name_hash, 4), name_hash)

    def put(self, text: str, seconds: int) -> None:
        with self.store.create(self.at(text), 7) as writer:
            writer.write(b"content")
            writer.commit(ObjectData(f"/a/c/{text}", Timestamp(seconds * TICKS), "text/plain", {}))

    def read(self, text: str) -> bytes:
        with self.store.open(self.at(text)) as reader:
            return b"".join(map(bytes, reader.read(0, 100)))

    def fail(self, *texts: str) -> None:
        self.files.bad = [self.at(text).hash for text in texts]

    def pass_over(self, seconds: float) -> Round:
        """A second look so much later."""
        green.sleep(0.05)  # notes are written in a thread
        self.now += seconds
        found = Round()
        for _ in self.look.objects(self.place, found):
            pass
        return found

    def quarantined(self) -> list[Path]:
        return list(self.root.glob("quarantined/objects/*"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "d1")


def test_a_file_that_reads_well_again_stays(world: World) -> None:
    world.fail("o1")
    with pytest.raises(Unreadable):
        world.read("o1")
    world.fail()
    assert world.pass_over(100).counts == {}  # too early
    assert world.pass_over(300).counts == {"readable": 1}
    assert world.read("o1") == b"content"
    assert world.pass_over(300).counts == {}
    assert world.quarantined() == []


def test_a_file_that_alone_fails_again_is_quarantined(world: World) -> None:
    world.fail("o1")
    with pytest.raises(Unreadable):
        world.read("o1")
    assert world.pass_over(301).counts == {"quarantined": 1}
    with pytest.raises(NotFound):
        world.read("o1")
    assert world.read("o2") == b"content"


def test_nothing_is_quarantined_while_the_whole_device_fails(world: World) -> None:
    """All copies of an object may meet one controller's fault at the same time: it was lost."""
    world.fail(*(f"o{number}" for number in range(10)))
    with pytest.raises(Unreadable):
        world.read("o1")
    assert world.pass_over(301).counts == {"unclear": 1}
    world.fail()
    assert world.pass_over(301).counts == {"readable": 1}
    assert world.read("o1") == b"content"


def test_a_file_that_was_deleted_meanwhile_is_forgotten(world: World) -> None:
    world.fail("o1")
    with pytest.raises(Unreadable):
        world.read("o1")
    (path,) = Path(world.store.layout.hash_dir(world.at("o1"))).iterdir()
    path.unlink()
    world.fail()
    assert world.pass_over(301).counts == {"gone": 1}
    assert world.pass_over(301).counts == {}


def test_the_auditor_notes_what_it_cannot_read_and_goes_on(world: World) -> None:
    world.fail("o1", "o2")
    found = Round()
    for _ in ObjectAuditor(ObjectRates(), FIRST, lambda: None, LOGGER).full(world.place, found):
        pass
    assert found.counts == {"objects": 8, "bytes": 56, "errors": 2}
    assert world.pass_over(301).counts == {"quarantined": 2}


def test_the_auditor_stops_when_file_after_file_cannot_be_read(world: World) -> None:
    world.fail(*(f"o{number}" for number in range(10)))
    with pytest.raises(DeviceUnavailable):
        list(ObjectAuditor(ObjectRates(), FIRST, lambda: None, LOGGER).full(world.place, Round()))
    assert world.quarantined() == []


def spoil(world: World, text: str) -> tuple[Path, int]:
    """Flip a bit, and read, so that the object is quarantined; where it is now, and the bit's byte."""
    (path,) = Path(world.store.layout.hash_dir(world.at(text))).glob("*.data")
    content = path.read_bytes()
    with open(path, "r+b") as file:
        file.write(bytes([content[0] ^ 1]))
    with pytest.raises(Corrupt):
        world.read(text)
    (path,) = world.root.glob(f"quarantined/objects/{world.at(text).hash}/*.data")
    return path, content[0]


def mend(path: Path, byte: int) -> None:
    with open(path, "r+b") as file:
        file.write(bytes([byte]))


def test_what_proves_sound_comes_back_from_quarantine(world: World) -> None:
    path, byte = spoil(world, "o1")
    assert world.pass_over(301).counts == {}
    mend(path, byte)
    assert world.pass_over(301).counts == {"restored": 1}
    assert world.read("o1") == b"content"
    assert world.quarantined() == []


def test_what_is_bad_stays_in_quarantine_and_is_read_less_and_less_often(world: World) -> None:
    retries = Retries(300.0)
    assert not retries.is_due("x", 0.0, 299.0)
    retries.failed("x", 300.0)
    assert retries.is_due("x", 0.0, 600.0)
    retries.failed("x", 600.0)
    assert not retries.is_due("x", 0.0, 1199.0)
    assert retries.is_due("x", 0.0, 1200.0)


def test_what_was_replaced_since_is_not_brought_back(world: World) -> None:
    path, byte = spoil(world, "o1")
    mend(path, byte)
    world.store.delete(world.at("o1"), "/a/c/o1", Timestamp(2000 * TICKS))
    assert world.pass_over(301).counts == {"restored": 1}
    with pytest.raises(NotFound):
        world.read("o1")


def test_what_may_have_been_deleted_long_ago_is_not_brought_back(world: World) -> None:
    path, byte = spoil(world, "o1")
    mend(path, byte)
    assert world.pass_over(WEEK + 301).counts == {}
    assert len(world.quarantined()) == 1


def test_a_quarantined_file_that_cannot_be_read_holds_up_no_other(world: World) -> None:
    for text in ("o1", "o2"):
        mend(*spoil(world, text))
    world.fail("o1")
    assert world.pass_over(301).counts == {"restored": 1}
    world.fail()
    assert world.pass_over(301).counts == {"restored": 1}
    assert (world.read("o1"), world.read("o2")) == (b"content", b"content")
