"""A bad change of a name that is partly packed and partly a file: nothing that it hides comes to light."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from unit.store.test_packed_audit import POWER, SETTINGS, flip, location, volume

from objstore.core.errors import Corrupt, NotFound
from objstore.core.timestamps import Timestamp
from objstore.store.interface import ObjectData, ObjectMetadata
from objstore.store.objects.layout import changes_among
from objstore.store.packed.describe import describe_packed
from objstore.store.packed.format import HEADER_SIZE, VOLUME_HEADER_SIZE
from objstore.store.packed.store import PackedStore

HERE = location(1)
PACKED, FILES = 65536, -1  # limits
SMALL, LARGE = 100, 100_000


def opened(root: Path, limit: int = PACKED) -> PackedStore:
    root.mkdir(exist_ok=True)
    return PackedStore(str(root), settings=SETTINGS, limit=limit, power=lambda: POWER)


def put(store: PackedStore, size: int, when: int) -> None:
    with store.create(HERE, size) as writer:
        writer.write(bytes(size))
        writer.commit(ObjectData("/a/c/1", Timestamp(when), "text/plain", {"X-Object-Meta-Color": "red"}))


def post(store: PackedStore, when: int) -> None:
    store.post(HERE, ObjectMetadata(Timestamp(when), {"X-Object-Meta-Color": "blue"}))


def spoil_record(store: PackedStore, when: int) -> None:
    (entry,) = [entry for entry in store._names.find(HERE) if entry.change.timestamp == Timestamp(when)]
    flip(volume(store), entry.place.position + HEADER_SIZE + 10)


def spoil_file(store: PackedStore, when: int) -> None:
    directory = store.layout.hash_dir(HERE)
    (name,) = [name for name in os.listdir(directory) if changes_among([name])[0].timestamp == Timestamp(when)]
    flip(Path(directory) / name, 12)


def assert_all_in_quarantine(store: PackedStore) -> None:
    """Also for the next look at quarantined changes: what is sound there does not come back alone."""
    with pytest.raises(Corrupt):
        store.info(HERE)
    for _ in range(2):
        with pytest.raises(NotFound):
            store.info(HERE)
    (quarantined,) = store.quarantined()
    assert len(os.listdir(quarantined.path)) == 2
    assert not store.restore(quarantined, HERE.partition)


def test_a_packed_change_of_metadata_takes_the_file_of_its_data_along(tmp_path: Path) -> None:
    store = opened(tmp_path / "d1")
    put(store, LARGE, 1)
    post(store, 2)
    spoil_record(store, 2)
    assert_all_in_quarantine(opened(tmp_path / "d1"))


def test_a_file_of_metadata_takes_its_packed_data_along(tmp_path: Path) -> None:
    put(opened(tmp_path / "d1"), SMALL, 1)
    unpacked = opened(tmp_path / "d1", FILES)
    post(unpacked, 2)
    spoil_file(unpacked, 2)
    assert_all_in_quarantine(opened(tmp_path / "d1"))


@pytest.mark.parametrize(("size", "spoil"), [(SMALL, spoil_record), (LARGE, spoil_file)])
def test_what_is_newer_stays(tmp_path: Path, size: int, spoil: Callable[[PackedStore, int], None]) -> None:
    store = opened(tmp_path / "d1")
    put(store, size, 1)
    post(store, 3)
    spoil(store, 1)
    with pytest.raises(Corrupt):
        opened(tmp_path / "d1").verify(HERE, lambda _: None)
    (left,) = opened(tmp_path / "d1").changes(HERE.partition, HERE.suffix)[HERE.hash]
    assert left.timestamp == Timestamp(3)


def test_a_volume_without_a_header_is_described_as_such(tmp_path: Path) -> None:
    store = opened(tmp_path / "d1")
    put(store, SMALL, 1)
    with open(volume(store), "r+b") as file:
        file.write(bytes(VOLUME_HEADER_SIZE))
    facts = describe_packed(store.layout.packed)
    assert facts["problems"] == ["volume 1: no header of a volume of version 1"]
    assert facts["volumes"]["00000001.volume"]["bytes"] == volume(store).stat().st_size
