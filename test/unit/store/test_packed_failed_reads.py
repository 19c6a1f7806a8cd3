"""Sectors that the device fails to read: an error at first; minutes later what is beside them is saved."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

import pytest
from unit.store.test_packed_audit import content, get, location, opened, put

from objstore.core.errors import DeviceUnavailable, NotFound
from objstore.runtime.files import Files
from objstore.store.packed.describe import describe_packed
from objstore.store.packed.failed_reads import PAUSE, FailedReads
from objstore.store.packed.format import VOLUME_HEADER_SIZE
from objstore.store.packed.recovery import open_index
from objstore.store.packed.store import PackedStore
from objstore.store.packed.volumes import Volumes

COUNT = 30


class BadSectors(Files):
    """Fails to read some sectors of files: by inode, from and up to which offset. Nothing of these is in memory."""

    def __init__(self) -> None:
        self.bad: dict[int, range] = {}

    def spoil(self, path: Path, start: int, end: int) -> None:
        self.bad[path.stat().st_ino] = range(start, end)

    def read_at(self, fd: int, buffer: bytearray | memoryview, offset: int) -> int:
        bad = self.bad.get(os.fstat(fd).st_ino, range(0))
        if bad and offset < bad.stop and offset + len(buffer) > bad.start:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read_at(fd, buffer, offset)

    def read_cached(self, fd: int, buffer: bytearray | memoryview, offset: int) -> int:
        if os.fstat(fd).st_ino in self.bad:
            raise BlockingIOError
        return super().read_cached(fd, buffer, offset)


@pytest.fixture
def files() -> BadSectors:
    return BadSectors()


@pytest.fixture
def store(tmp_path: Path, files: BadSectors) -> PackedStore:
    made: PackedStore = opened(tmp_path / "d1", files)
    for number in range(COUNT):
        put(made, number)
    return made


def later(store: PackedStore, seconds: float = PAUSE + 1) -> None:
    """Let the first error be some time ago."""
    path = Path(store.layout.packed) / "unreadable"
    path.write_text(f"{time.time() - seconds:.1f}\n")


def volume_of(store: PackedStore) -> Path:
    (volume,) = store.volumes.numbers()
    return Path(f"{store.layout.packed}/volumes/{volume:08d}.volume")


def found(store: PackedStore) -> set[int]:
    numbers = set()
    for number in range(COUNT):
        try:
            assert get(store, number) == content(number)
            numbers.add(number)
        except NotFound:
            pass
    return numbers


def test_a_page_of_the_index_that_cannot_be_read_leads_to_a_new_index_minutes_later(
    store: PackedStore, files: BadSectors
) -> None:
    files.spoil(Path(store.layout.packed) / "index/8", 0, 1 << 30)
    for _ in range(2):
        with pytest.raises(DeviceUnavailable):
            get(store, 1)
    later(store)
    assert found(store) == set(range(COUNT))


def test_listing_an_index_with_a_page_that_cannot_be_read_leads_to_a_new_one_too(
    store: PackedStore, files: BadSectors
) -> None:
    partitions = store.partitions()
    files.spoil(Path(store.layout.packed) / "index/8", 4096 * 20, 4096 * 21)
    with pytest.raises(DeviceUnavailable):
        store.partitions()
    later(store)
    assert store.partitions() == partitions


def test_an_error_of_long_ago_is_none_of_minutes_ago(store: PackedStore, files: BadSectors) -> None:
    files.spoil(Path(store.layout.packed) / "index/8", 0, 1 << 30)
    later(store, 86400)
    with pytest.raises(DeviceUnavailable):
        get(store, 1)


def test_a_recovery_goes_on_behind_a_sector_that_cannot_be_read(
    tmp_path: Path, store: PackedStore, files: BadSectors
) -> None:
    entries = [entry for number in range(COUNT) for entry in store._names.find(location(number))]
    places = sorted((entry.place.position, entry.place.length) for entry in entries)
    bad = range(VOLUME_HEADER_SIZE + 8192, VOLUME_HEADER_SIZE + 8192 + 512)
    hit = sum(at < bad.stop // 4096 * 4096 + 4096 and at + 80 > bad.start // 4096 * 4096 for at, _ in places)
    store.release()
    volume = volume_of(store)
    files.spoil(volume, bad.start, bad.stop)
    shutil.rmtree(f"{store.layout.packed}/index")
    again = opened(tmp_path / "d1", files)
    with pytest.raises(DeviceUnavailable):
        get(again, 1)
    later(again)
    open_index(files, again.layout.packed, again.volumes, sleep=lambda _: None).close()
    indexed = sum(bool(again._names.find(location(number))) for number in range(COUNT))
    assert 0 < COUNT - indexed <= hit
    assert (1, bad.start, bad.start + 4096) in FailedReads(files, again.layout.packed).stretches()
    assert any("could not be read" in each for each in describe_packed(again.layout.packed)["problems"])


def test_no_index_is_made_of_volumes_that_mostly_cannot_be_read(
    tmp_path: Path, store: PackedStore, files: BadSectors
) -> None:
    store.release()
    files.spoil(volume_of(store), VOLUME_HEADER_SIZE, 1 << 30)
    shutil.rmtree(f"{store.layout.packed}/index")
    later(store)
    volumes = Volumes(files, f"{store.layout.packed}/volumes")
    with pytest.raises(OSError, match="most"):
        open_index(files, store.layout.packed, volumes, sleep=lambda _: None)


def test_a_volume_whose_first_sector_cannot_be_read_is_read_by_its_second_header(
    tmp_path: Path, store: PackedStore, files: BadSectors
) -> None:
    store.release()
    files.spoil(volume_of(store), 0, 512)
    assert found(opened(tmp_path / "d1", files)) == set(range(COUNT))


def test_a_compaction_moves_what_can_be_read_and_leaves_the_rest_for_a_second_look(
    tmp_path: Path, store: PackedStore, files: BadSectors
) -> None:
    (entry,) = store._names.find(location(7))
    store._packing.release()
    volume = volume_of(store)
    middle = entry.place.position + entry.place.length // 2
    files.spoil(volume, middle, middle + 1)
    again = opened(tmp_path / "d1", files)
    compactor = again.compactor()
    later(again)
    assert list(compactor.compact(1))
    assert volume.exists()
    assert compactor.counts.records_unreadable == 1
    assert compactor.counts.records_copied == COUNT - 1
    again._tools.pool.run(lambda: None)
    assert [noted.location.hash for noted in again.unreadable()] == [location(7).hash]
    files.bad.clear()
    assert list(compactor.compact(1))
    compactor.close()
    assert not volume.exists()
    assert found(again) == set(range(COUNT))
