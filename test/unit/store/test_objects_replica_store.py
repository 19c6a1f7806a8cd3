"""What replicators and auditors ask of the file engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from objstore.core.names import Location
from objstore.core.timestamps import TICKS, Timestamp
from objstore.runtime.files import Files
from objstore.store.interface import ObjectData, ObjectMetadata, ReplicaStore
from objstore.store.objects.file_store import FileStoreSettings
from objstore.store.objects.hashes import HASH_ATTRIBUTE
from objstore.store.objects.layout import FileName
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.objects.space import Reserve

HERE = Location(5, "0123456789abcdef0123456789abcdef")
BESIDE = Location(5, "1123456789abcdef0123456789abcdef")
THERE = Location(5, "0123456789abcdef0123456789abc123")
NAME = "/a/c/o"


def new_store(root: Path, files: Files | None = None) -> FileReplicaStore:
    root.mkdir(exist_ok=True)
    options: dict[str, Any] = {} if files is None else {"files": files}
    return FileReplicaStore(str(root), settings=FileStoreSettings(Reserve(), threads=2), **options)


@pytest.fixture
def store(tmp_path: Path) -> FileReplicaStore:
    return new_store(tmp_path / "d1")


@pytest.fixture
def peer(tmp_path: Path) -> FileReplicaStore:
    return new_store(tmp_path / "d2")


def at(seconds: int) -> Timestamp:
    return Timestamp(seconds * TICKS)


def put(store: FileReplicaStore, when: int, content: bytes = b"content", location: Location = HERE) -> None:
    with store.create(location, len(content)) as writer:
        writer.write(content)
        writer.commit(ObjectData(NAME, at(when), "text/plain", {"X-Object-Meta-When": str(when)}))


def post(store: FileReplicaStore, when: int, content_type: str | None = None, location: Location = HERE) -> None:
    store.post(location, ObjectMetadata(at(when), {"X-Object-Meta-When": str(when)}, content_type))


def delete(store: FileReplicaStore, when: int, location: Location = HERE) -> None:
    store.delete(location, NAME, at(when))


def read(store: FileReplicaStore, location: Location = HERE) -> bytes:
    with store.open(location) as reader:
        return b"".join(bytes(piece) for piece in reader.read(0, 1 << 60))


def kept(store: FileReplicaStore, directory: str) -> bytes:
    try:
        return os.getxattr(directory, HASH_ATTRIBUTE)
    except OSError:
        return b""


def change_bytes(store: FileReplicaStore, location: Location, name: FileName) -> bytes:
    with store.read_change(location, name) as change:
        stream = b"".join(bytes(piece) for piece in change)
        assert len(stream) == change.length
    return stream


def copy(source: FileReplicaStore, target: FileReplicaStore, location: Location, name: FileName) -> None:
    with source.read_change(location, name) as change, target.write_change(location, name, change.length) as writer:
        for piece in change:
            writer.write(piece)
        writer.commit()


def exchange(source: FileReplicaStore, target: FileReplicaStore, partition: int = 5) -> None:
    for suffix in source.suffix_hashes(partition):
        for name_hash, names in target.missing(partition, source.changes(partition, suffix)).items():
            for name in names:
                copy(source, target, Location(partition, name_hash), name)


def names_at(store: FileReplicaStore, location: Location = HERE) -> list[str]:
    return sorted(map(str, store.file_names(location)))


def the_contract(store: FileReplicaStore) -> ReplicaStore:
    return store


def test_nothing_has_no_hash(store: FileReplicaStore) -> None:
    assert (store.partitions(), store.partition_hash(5), store.suffix_hashes(5)) == ([], "", {})
    assert store.changes(5, "def") == {}


def test_equal_changes_have_equal_hashes_in_whatever_order_they_came(
    store: FileReplicaStore, peer: FileReplicaStore
) -> None:
    put(store, 1)
    put(store, 3, b"new")
    delete(store, 2, BESIDE)
    delete(peer, 2, BESIDE)
    put(peer, 3, b"new")
    assert store.partition_hash(5) == peer.partition_hash(5) != ""
    assert store.suffix_hashes(5) == peer.suffix_hashes(5)
    assert list(store.suffix_hashes(5)) == ["def"]


def test_a_hash_is_kept_until_something_changes(store: FileReplicaStore) -> None:
    put(store, 1)
    put(store, 1, location=THERE)
    directories = [store.layout.partition_dir(5), store.layout.suffix_dir(5, "def"), store.layout.suffix_dir(5, "123")]
    before = store.partition_hash(5)
    assert all(kept(store, directory) for directory in directories)
    delete(store, 2)
    assert [bool(kept(store, directory)) for directory in directories] == [False, False, True]
    assert store.partition_hash(5) != before


def test_a_change_that_counts_for_nothing_changes_no_hash(store: FileReplicaStore) -> None:
    put(store, 5)
    before = store.partition_hash(5)
    put(store, 3)
    assert store.partition_hash(5) == before


def test_what_a_peer_lacks_is_copied_byte_for_byte(store: FileReplicaStore, peer: FileReplicaStore) -> None:
    for size in (0, 1, 65536, 65537, 1_000_000):
        location = Location(5, f"{size:032x}")
        put(store, 1, os.urandom(size), location)
        post(store, 2, "image/png", location)
    delete(store, 7)
    exchange(store, peer)
    assert peer.partition_hash(5) == store.partition_hash(5)
    for size in (0, 1, 65536, 65537, 1_000_000):
        location = Location(5, f"{size:032x}")
        assert peer.info(location) == store.info(location)
        assert read(peer, location) == read(store, location)
        for name in names_at(store, location):
            mine, theirs = (Path(each.layout.hash_dir(location)) / name for each in (store, peer))
            assert mine.read_bytes() == theirs.read_bytes()
            assert [os.getxattr(mine, key) for key in os.listxattr(mine)] == [
                os.getxattr(theirs, key) for key in os.listxattr(theirs)
            ]
