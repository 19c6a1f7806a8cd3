from __future__ import annotations

import time
from pathlib import Path

import pytest

from objstore.core.errors import NoSpace
from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import Files, Space
from objstore.store.interface import ObjectData
from objstore.store.objects.file_store import FileSettings, FileStore
from objstore.store.objects.room import FIRST_STEP, LARGEST_STEP, Room, next_end
from objstore.store.objects.space import Reserve, SpaceGuard

MIB = 1 << 20
GIB = 1 << 30
NO_RESERVE = FileSettings(Reserve(), threads_per_disk=2, ballast=0)
PLACE = Location(1, "0" * 32)


class Counting(Files):
    """Notes what is reserved, on a device with 10 GiB free."""

    def __init__(self) -> None:
        self.reserved: list[int] = []

    def preallocate(self, fd: int, size: int) -> None:
        self.reserved.append(size)

    def space(self, path: str) -> Space:
        return super().space(path)._replace(free=10 * GIB, total=100 * GIB)


def test_room_grows_with_what_has_come() -> None:
    assert next_end(GIB, 0, 300_000) == 300_000 + FIRST_STEP
    assert next_end(GIB, 8 * MIB, 8 * MIB) == 0
    assert next_end(GIB, 8 * MIB, 9 * MIB) == 18 * MIB
    assert next_end(GIB, 400 * MIB, 401 * MIB) == 401 * MIB + LARGEST_STEP
    assert next_end(5 * MIB, 0, 4 * MIB) == 5 * MIB
    assert next_end(5 * MIB, 5 * MIB, 5 * MIB) == 0


def test_announced_size_is_not_taken_from_the_device_at_once(tmp_path: Path) -> None:
    # 210 KB that were sent took 3 GB.
    files = Counting()
    store = FileStore(str(tmp_path), settings=NO_RESERVE, files=files)
    with store.create(PLACE, 3 * GIB) as writer:
        assert not files.reserved
        writer.write(bytes(210_000))
        writer.write(bytes(100_000))
        writer.etag()
        assert files.reserved and max(files.reserved) < 2 * MIB
        for _ in range(20):
            writer.write(bytes(MIB))
        writer.etag()
        assert 20 * MIB < max(files.reserved) < 45 * MIB
        assert len(files.reserved) < 8


def test_what_is_announced_counts_against_free_space_until_it_is_given_up() -> None:
    now = [0.0]
    guard = SpaceGuard(Counting(), "/", Reserve(), lambda: now[0])
    guard.check(6 * GIB)
    room = guard.room(6 * GIB)
    now[0] += 5
    with pytest.raises(NoSpace):
        guard.check(5 * GIB)
    guard.check(4 * GIB)
    room.close()
    now[0] += 5
    guard.check(5 * GIB)


def test_what_is_reserved_is_no_longer_promised() -> None:
    room = Room(10 * MIB, lambda _: None)
    ends: list[int] = []
    room.reserve(MIB, ends.append)
    assert ends == [2 * MIB] and room.promised == 8 * MIB
    room.reserve(10 * MIB, ends.append)
    assert ends == [2 * MIB, 10 * MIB] and room.promised == 0


@pytest.mark.parametrize("end", ["commit", "close"])
def test_ended_writer_promises_nothing(tmp_path: Path, end: str) -> None:
    store = FileStore(str(tmp_path), settings=NO_RESERVE, files=Counting())
    with store.create(PLACE, 6 * GIB) as writer:
        writer.write(bytes(MIB))
        if end == "commit":
            writer.commit(ObjectData("/a/c/o", Timestamp(1), "text/plain", {}))
    time.sleep(1.1)  # until the system is asked again
    store.create(PLACE, 6 * GIB).close()
