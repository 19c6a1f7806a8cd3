"""A device that does not answer any more, beside one that does."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from objstore.core.errors import DeviceUnavailable
from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.runtime import green
from objstore.runtime.files import Files, OpenFile
from objstore.store.change import Change
from objstore.store.interface import ObjectData
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.reader import AHEAD, PIECE
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.objects.space import Reserve

PATIENCE = 0.3
LONG = 30.0  # seconds
SETTINGS = FileSettings(Reserve(), threads_per_disk=2, patience=PATIENCE, ballast=0)
LOCATION = Location(3, "0123456789abcdef0123456789abcdef")


class Disk(Files):
    """Files of which nothing is in memory, and that can be made to hang.

    It goes on by itself after a while, so that a test whose caller waits for it fails instead of hanging.
    """

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.goes_on.set()
        self._is_met = threading.Event()

    def hang(self) -> None:
        self._is_met.clear()
        self.goes_on.clear()
        timer = threading.Timer(LONG, self.goes_on.set)
        timer.daemon = True
        timer.start()

    @property
    def hangs(self) -> bool:
        return not self.goes_on.is_set()

    def meet(self) -> None:
        """Wait until a call hangs."""
        while not self._is_met.is_set() and self.hangs:
            green.sleep(0.005)

    def wait(self) -> None:
        if self.hangs:
            self._is_met.set()
            self.goes_on.wait()

    def list(self, path: str) -> list[str]:
        self.wait()
        return super().list(path)

    def fsync(self, fd: int) -> None:
        self.wait()
        super().fsync(fd)

    def open(self, path: str) -> OpenFile:
        self.wait()
        return super().open(path)


class Devices:
    """bad: its disk can be made to hang."""

    def __init__(self, root: Path) -> None:
        self.disk = Disk()
        (root / "bad").mkdir()
        (root / "good").mkdir()
        self.bad = FileReplicaStore(str(root / "bad"), files=self.disk, settings=SETTINGS)
        self.good = FileReplicaStore(str(root / "good"), settings=SETTINGS)
        for store in (self.bad, self.good):
            put(store, 1)


def put(store: FileReplicaStore, at: int) -> None:
    with store.create(LOCATION, 4) as writer:
        writer.write(b"1234")
        writer.commit(ObjectData("/a/c/o", Timestamp.from_seconds(at), "text/plain", {}))


def get(store: FileReplicaStore) -> bytes:
    with store.open(LOCATION) as reader:
        return b"".join(bytes(piece) for piece in reader.read(0, reader.info.size))


def outcome(call: Callable[..., Any], *args: Any) -> Any:
    """What it gives, or the error that it raises."""
    try:
        return call(*args)
    except DeviceUnavailable as error:
        return error


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[Devices]:
    made = Devices(tmp_path)
    yield made
    made.disk.goes_on.set()


@pytest.mark.parametrize("call", [get, lambda store: put(store, 5)], ids=["read", "write"])
def test_after_a_while_a_stuck_device_refuses_at_once_and_later_works_again(
    devices: Devices, call: Callable[[FileReplicaStore], Any]
) -> None:
    devices.disk.hang()
    waiting = [green.spawn(outcome, call, devices.bad) for _ in range(3)]
    devices.disk.meet()
    green.sleep(2 * PATIENCE)
    late = [outcome(call, devices.bad) for _ in range(100)]
    assert all(isinstance(each, DeviceUnavailable) for each in late)
    assert devices.disk.hangs
    devices.disk.goes_on.set()
    assert not any(isinstance(wait.wait(), Exception) for wait in waiting)
    assert not isinstance(outcome(call, devices.bad), Exception)


def test_what_is_done_in_the_background_is_given_up_in_the_end(tmp_path: Path) -> None:
    """One device would else hold up for ever a pass over all."""
    disk = Disk()
    store = FileReplicaStore(str(tmp_path), files=disk, settings=replace(SETTINGS, patience=0.02))
    put(store, 1)
    disk.hang()
    calls: list[Callable[[], object]] = [
        store.partitions,
        lambda: store.partition_hash(3),
        lambda: store.read_change(LOCATION, Change(Timestamp.from_seconds(1), "data")),
        lambda: store.remove_stale_temporaries(0.0),
    ]
    waiting = [green.spawn(outcome, call) for call in calls]
    assert all(isinstance(wait.wait(), DeviceUnavailable) for wait in waiting)
    disk.goes_on.set()
    give_up = time.monotonic() + 10
    while isinstance(outcome(store.partitions), DeviceUnavailable) and time.monotonic() < give_up:
        green.sleep(0.01)
    assert store.partitions() == [3]


def test_other_devices_go_on_meanwhile(devices: Devices) -> None:
    devices.disk.hang()
    waiting = [green.spawn(outcome, get, devices.bad) for _ in range(5)]
    for at in range(2, 7):
        assert get(devices.good) == b"1234"
        put(devices.good, at)
        green.sleep(PATIENCE / 4)
    assert devices.disk.hangs
    devices.disk.goes_on.set()
    for wait in waiting:
        wait.wait()


def test_a_device_that_hangs_from_one_moment_to_the_next_does_not_hold_up_the_loop(devices: Devices) -> None:
    """A look-up was made in the loop if its directory was in memory, but the metadata of the file need not be."""
    disk = devices.disk
    get(devices.bad)
    disk.hang()
    waits = green.spawn(outcome, get, devices.bad)
    green.sleep(0.01)
    assert disk.hangs
    disk.goes_on.set()
    assert waits.wait() == b"1234"


class HangingReads(Files):
    """Reads of later pieces hang, while other calls go on."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.goes_on.set()

    def read_cached(self, fd: int, buffer: Any, offset: int) -> int:
        raise BlockingIOError

    def read_at(self, fd: int, buffer: Any, offset: int) -> int:
        if len(buffer) >= AHEAD and offset:
            self.goes_on.wait()
        return super().read_at(fd, buffer, offset)


def test_a_read_that_hangs_within_a_body_ends_in_time(tmp_path: Path) -> None:
    """The deadline covered the call, not the body: a GET got no byte for as long as the device hung."""
    disk = HangingReads()
    store = FileReplicaStore(str(tmp_path), files=disk, settings=replace(SETTINGS, patience=60, timeout=0.2))
    content = os.urandom(2 * PIECE)
    with store.create(LOCATION, len(content)) as writer:
        writer.write(content)
        writer.commit(ObjectData("/a/c/o", Timestamp.from_seconds(1), "text/plain", {}))
    disk.goes_on.clear()
    came = bytearray()
    began = time.monotonic()
    with pytest.raises(DeviceUnavailable), store.open(LOCATION) as reader:
        for piece in reader.read(0, len(content)):
            came += piece
    assert time.monotonic() - began < 5
    assert content.startswith(came)
    assert len(came) == PIECE
    disk.goes_on.set()
    assert get(store) == content


def test_a_slow_device_is_asked_in_threads(devices: Devices) -> None:
    disk = devices.disk
    disk.hang()
    writing = green.spawn(outcome, put, devices.bad, 9)
    reading = green.spawn(outcome, lambda: devices.bad._tools.pool.run(disk.wait))
    disk.meet()
    green.sleep(0.6)  # from here on it is known to be slow
    waits = green.spawn(outcome, get, devices.bad)
    green.sleep(0.01)
    assert disk.hangs
    disk.goes_on.set()
    for wait in (writing, reading, waits):
        wait.wait()
