"""Damaged volumes are found by an audit and by reads, and what was lost comes back from a peer."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from objstore.core.errors import Corrupt, NotFound, Unreadable
from objstore.core.names import Location, partition_of
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES, Files
from objstore.store.change import DATA, Change
from objstore.store.interface import ObjectData
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.space import Reserve
from objstore.store.packed.format import HEADER_SIZE, VOLUME_HEADER_SIZE
from objstore.store.packed.store import PackedStore

POWER = 3
SETTINGS = FileSettings(Reserve(), threads_per_disk=1, background_threads_per_disk=1, ballast=0)
COUNT = 30


def location(number: int) -> Location:
    name_hash = hashlib.md5(b"%d" % number).hexdigest()
    return Location(partition_of(name_hash, POWER), name_hash)


def content(number: int) -> bytes:
    return b"%d of 30 " % number * 100


def put(store: PackedStore, number: int, when: int = 1, etag: str = "") -> None:
    with store.create(location(number), None) as writer:
        writer.write(content(number))
        writer.commit(ObjectData(f"/a/c/{number}", Timestamp(when), "text/plain", {}, etag))


def get(store: PackedStore, number: int) -> bytes:
    with store.open(location(number)) as reader:
        return b"".join(map(bytes, reader.read(0, 1 << 20)))


class FailingFiles(Files):
    """failing: bytes of volumes that the device fails to read; nothing of volumes is in memory then."""

    failing = range(0)

    def read_at(self, fd: int, buffer: bytearray | memoryview, offset: int) -> int:
        if self._is_volume(fd) and offset < self.failing.stop and offset + len(buffer) > self.failing.start:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read_at(fd, buffer, offset)

    def read_cached(self, fd: int, buffer: bytearray | memoryview, offset: int) -> int:
        if self._is_volume(fd):
            raise BlockingIOError
        return super().read_cached(fd, buffer, offset)

    def _is_volume(self, fd: int) -> bool:
        return bool(self.failing) and os.readlink(f"/proc/self/fd/{fd}").endswith(".volume")


def opened(root: Path, files: Files = FILES, volume_size: int = 1 << 30) -> PackedStore:
    root.mkdir(exist_ok=True)
    return PackedStore(
        str(root), files=files, settings=SETTINGS, limit=65536, power=lambda: POWER, volume_size=volume_size
    )


@pytest.fixture
def store(tmp_path: Path) -> PackedStore:
    made = opened(tmp_path / "d1")
    for number in range(COUNT):
        put(made, number)
    return made


def volume(store: PackedStore, number: int = 1) -> Path:
    return Path(f"{store.layout.packed}/volumes/{number:08d}.volume")


def place(store: PackedStore, number: int) -> tuple[int, int]:
    """From where to where the record of an object lies."""
    (entry,) = store._names.find(location(number))
    return entry.place.position, entry.place.position + entry.place.length


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data[offset : offset + 1])


class Audited:
    """The result of an audit. bad: names that were quarantined by it; objects, size: sound ones."""

    def __init__(self, store: PackedStore, content: bool = True, hashed_since: float = float("inf")) -> None:
        self.bad: list[str] = []
        self.objects = self.size = self.read = 0
        self.positions: list[Sequence[int]] = []
        position: Sequence[int] = ()
        while (step := store.audit_packed(position, self._count, content, hashed_since)) is not None:
            position = step.position
            self.positions.append(position)
            self.objects += step.objects
            self.size += step.size
            for suspect in step.suspects:
                try:
                    store.verify(suspect, lambda _: None, content, hashed_since)
                except Corrupt:
                    self.bad.append(suspect.hash)
                except NotFound:
                    pass

    def _count(self, count: int) -> None:
        self.read += count


def hashes(numbers: Sequence[int]) -> list[str]:
    return sorted(location(number).hash for number in numbers)


def bring(source: PackedStore, target: PackedStore) -> None:
    """As replicators do."""
    for partition in source.partitions():
        for suffix in source.suffix_hashes(partition):
            missing = target.missing(partition, source.changes(partition, suffix))
            for name_hash, changes in missing.items():
                where = Location(partition, name_hash)
                for change in changes:
                    with (
                        source.read_change(where, change) as reader,
                        target.write_change(where, change, reader.length) as writer,
                    ):
                        for piece in reader:
                            writer.write(piece)
                        writer.commit()


def test_sound_volumes_are_read_whole(store: PackedStore) -> None:
    found = Audited(store)
    assert (found.objects, found.bad) == (COUNT, [])
    assert found.size == sum(len(content(number)) for number in range(COUNT))
    assert found.positions == sorted(found.positions)
    assert Audited(store, content=False).objects == 0


def test_an_audit_goes_on_where_another_process_has_stopped(store: PackedStore) -> None:
    flip(volume(store), place(store, 3)[0])
    step = store.audit_packed([1, 1, 0], lambda _: None)
    assert step is not None
    assert hashes([3]) == sorted(each.hash for each in step.suspects)


@pytest.mark.parametrize("offset", [0, 30, HEADER_SIZE + 20, HEADER_SIZE + 300])
def test_a_flipped_bit_is_found_and_nothing_else_is_lost(store: PackedStore, offset: int) -> None:
    flip(volume(store), place(store, 5)[0] + offset)
    found = Audited(store)
    assert (found.bad, found.objects) == (hashes([5]), COUNT - 1)
    assert Audited(store).bad == []
    with pytest.raises(NotFound):
        store.info(location(5))
    assert get(store, 6) == content(6)
    assert [each.hash for each in store.quarantined()] == [location(5).hash]


@pytest.mark.parametrize("offset", [0, 30, HEADER_SIZE + 20, HEADER_SIZE + 300])
def test_a_flipped_bit_is_found_by_a_read(store: PackedStore, offset: int) -> None:
    flip(volume(store), place(store, 5)[0] + offset)
    with pytest.raises(Corrupt):
        get(store, 5)
    with pytest.raises(NotFound):
        get(store, 5)
    assert get(store, 6) == content(6)


def test_content_that_never_was_that_of_its_etag_is_found_if_it_is_hashed(store: PackedStore) -> None:
    put(store, 4, when=2, etag="0" * 32)
    assert Audited(store).bad == []
    assert Audited(store, hashed_since=0.0).bad == hashes([4])


@pytest.mark.parametrize("within", [0, HEADER_SIZE - 5, HEADER_SIZE + 50])
def test_what_a_volume_that_was_cut_short_has_lost_is_found(store: PackedStore, within: int) -> None:
    places = {number: place(store, number) for number in range(COUNT)}
    cut = places[20][0] + within
    lost = [number for number, (_, end) in places.items() if end > cut]
    os.truncate(volume(store), cut)
    assert sorted(Audited(store, content=False).bad) == hashes(lost)
    assert Audited(store).objects == COUNT - len(lost)


def test_records_that_became_zeros_are_found(store: PackedStore) -> None:
    start, _ = place(store, 10)
    data = volume(store).read_bytes()
    with open(volume(store), "r+b") as file:
        file.seek(start)
        file.write(bytes(len(data) - start))
    assert sorted(Audited(store).bad) == hashes(range(10, COUNT))


def test_all_of_a_volume_that_was_removed_is_found(store: PackedStore) -> None:
    volume(store).unlink()
    again = opened(Path(store.root))  # a descriptor may be used for a second
    assert sorted(Audited(again, content=False).bad) == hashes(range(COUNT))


def test_a_volume_that_was_removed_is_found_by_reads(store: PackedStore) -> None:
    volume(store).unlink()
    again = opened(Path(store.root))
    with pytest.raises(Corrupt):
        get(again, 1)
    with pytest.raises(NotFound):
        get(again, 1)
    with pytest.raises(Corrupt), again.read_change(location(2), Change(Timestamp(1), DATA)):
        pass
    put(again, 3, when=2)
    assert get(again, 3) == content(3)


def test_a_volume_without_a_header_is_lost_whole(store: PackedStore) -> None:
    with open(volume(store), "r+b") as file:
        file.write(bytes(VOLUME_HEADER_SIZE))
    again = opened(Path(store.root))
    assert sorted(Audited(again).bad) == hashes(range(COUNT))


def test_dead_records_are_nobodys(store: PackedStore) -> None:
    start, _ = place(store, 5)
    put(store, 5, when=2)
    flip(volume(store), start + 20)
    found = Audited(store)
    assert (found.objects, found.bad) == (COUNT, [])
    assert store.quarantined() == []


def test_volumes_are_read_one_after_the_other(tmp_path: Path) -> None:
    store = opened(tmp_path / "d1", volume_size=VOLUME_HEADER_SIZE + 4096)
    for number in range(COUNT):
        put(store, number)
    assert len(store.volumes.numbers()) > 3
    os.unlink(volume(store, 2))
    found = Audited(opened(tmp_path / "d1"))
    assert found.objects + len(found.bad) == COUNT
    assert 0 < len(found.bad) < COUNT


def test_what_the_device_fails_to_read_is_noted_and_quarantined_by_a_second_look(tmp_path: Path) -> None:
    files = FailingFiles()
    store = opened(tmp_path / "d1", files)
    for number in range(COUNT):
        put(store, number)
    start, _ = place(store, 5)
    files.failing = range(start + 10, start + 11)
    step = store.audit_packed([1, 1, 0], lambda _: None)
    assert step is not None
    assert location(5).hash in {each.hash for each in step.suspects}
    with pytest.raises(Unreadable):
        store.verify(location(5), lambda _: None)
    store._quarantine(location(5), Change(Timestamp(1), DATA), "cannot be read")
    assert [each.hash for each in store.quarantined()] == [location(5).hash]
    assert get(store, 6) == content(6)


def test_names_with_files_alone_are_listed_beside_volumes(store: PackedStore) -> None:
    assert store.unpacked().partitions() == []
    with store.create(location(99), 100_000) as writer:
        writer.write(bytes(100_000))
        writer.commit(ObjectData("/a/c/99", Timestamp(1), "text/plain", {}))
    listing = store.unpacked()
    assert listing.partitions() == [location(99).partition]
    assert list(listing.suffix_hashes(location(99).partition)) == [location(99).suffix]
    assert list(listing.changes(location(99).partition, location(99).suffix)) == [location(99).hash]


def cut(store: PackedStore) -> None:
    os.truncate(volume(store), place(store, 11)[0] + 7)


def remove(store: PackedStore) -> None:
    volume(store).unlink()


def flip_some(store: PackedStore) -> None:
    for number in range(0, COUNT, 7):
        flip(volume(store), place(store, number)[0] + 5 * number)


@pytest.mark.parametrize("damage", [cut, remove, flip_some])
def test_what_an_audit_has_quarantined_comes_back_from_a_peer(
    store: PackedStore, tmp_path: Path, damage: Callable[[PackedStore], None]
) -> None:
    peer = opened(tmp_path / "peer")
    bring(store, peer)
    damage(store)
    again = opened(Path(store.root))
    assert Audited(again).bad
    assert any(again.partition_hash(each) != peer.partition_hash(each) for each in peer.partitions())
    bring(peer, again)
    assert [again.partition_hash(each) for each in range(8)] == [peer.partition_hash(each) for each in range(8)]
    assert [get(again, number) for number in range(COUNT)] == [content(number) for number in range(COUNT)]
    found = Audited(again)
    assert (found.objects, found.bad) == (COUNT, [])
