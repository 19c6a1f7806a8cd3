"""What replicators and auditors ask of the file engine, besides the suite of `test_replica_conformance`."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.engines import present

from objstore.core.errors import Corrupt, DeviceUnavailable, NoSpace, NotFound
from objstore.core.names import Location
from objstore.core.timestamps import TICKS, Timestamp
from objstore.runtime.files import Files
from objstore.store.change import Change
from objstore.store.interface import ObjectData, ObjectMetadata
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.hashes import HASH_ATTRIBUTE
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.objects.space import Reserve

HERE = Location(5, "0123456789abcdef0123456789abcdef")
BESIDE = Location(5, "1123456789abcdef0123456789abcdef")
THERE = Location(5, "0123456789abcdef0123456789abc123")
NAME = "/a/c/o"


def new_store(root: Path, files: Files | None = None) -> FileReplicaStore:
    root.mkdir(exist_ok=True)
    options: dict[str, Any] = {} if files is None else {"files": files}
    return FileReplicaStore(str(root), settings=FileSettings(Reserve(), threads_per_disk=2, ballast=0), **options)


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


def change_bytes(store: FileReplicaStore, location: Location, name: Change) -> bytes:
    with store.read_change(location, name) as change:
        stream = b"".join(bytes(piece) for piece in change)
        assert len(stream) == change.length
    return stream


def copy(source: FileReplicaStore, target: FileReplicaStore, location: Location, name: Change) -> None:
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
    return sorted(map(str, present(store, location)))


def test_a_hash_is_kept_until_something_changes(store: FileReplicaStore) -> None:
    put(store, 1)
    put(store, 1, location=THERE)
    directories = [store.layout.partition_dir(5), store.layout.suffix_dir(5, "def"), store.layout.suffix_dir(5, "123")]
    before = store.partition_hash(5)
    assert all(kept(store, directory) for directory in directories)
    delete(store, 2)
    assert [bool(kept(store, directory)) for directory in directories] == [False, False, True]
    assert store.partition_hash(5) != before


def test_hashes_that_are_kept_are_had_without_a_look(store: FileReplicaStore) -> None:
    put(store, 1)
    assert store.kept_hashes([5, 6]) == {}
    found = store.partition_hash(5)
    assert store.kept_hashes([5, 6]) == {5: found}
    put(store, 2)
    assert store.kept_hashes([5, 6]) == {}


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


def test_a_record_without_room_among_the_attributes_arrives_in_the_trailer(
    store: FileReplicaStore, peer: FileReplicaStore
) -> None:
    headers = {f"X-Object-Meta-{number}": "x" * 250 for number in range(80)}
    with store.create(HERE, 5) as writer:
        writer.write(b"hello")
        writer.commit(ObjectData(NAME, at(1), "text/plain", headers))
    exchange(store, peer)
    assert (peer.info(HERE), read(peer)) == (store.info(HERE), b"hello")


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_rotten_content_is_never_handed_over(store: FileReplicaStore, size: int) -> None:
    put(store, 1, bytes(size))
    (path,) = Path(store.layout.hash_dir(HERE)).iterdir()
    with open(path, "r+b") as file:
        file.seek(size // 2)
        file.write(b"x")
    before = store.partition_hash(5)
    with pytest.raises(Corrupt), store.read_change(HERE, Change(at(1), "data")) as change:
        for _ in change:
            pass
    assert before != store.partition_hash(5) == ""
    with pytest.raises(NotFound):
        store.info(HERE)


def test_a_rotten_record_is_quarantined_instead_of_handed_over(store: FileReplicaStore) -> None:
    put(store, 1)
    post(store, 2)
    (path,) = Path(store.layout.hash_dir(HERE)).glob("*.meta")
    path.write_bytes(b"rotten")
    with pytest.raises(Corrupt):
        store.read_change(HERE, Change(at(2), "meta"))
    with pytest.raises(NotFound):
        store.info(HERE)


def test_forgetting_takes_these_changes_only_and_directories_left_empty(store: FileReplicaStore) -> None:
    put(store, 1)
    put(store, 1, location=BESIDE)
    store.forget(HERE, [Change(at(2), "data"), Change(at(1), "ts")])
    assert len(names_at(store)) == 1
    store.forget(HERE, [Change(at(1), "data")])
    assert not os.path.exists(store.layout.hash_dir(HERE))
    store.forget(HERE, [Change(at(1), "data")])
    store.forget(BESIDE, present(store, BESIDE))
    assert store.partitions() == []
    put(store, 3)
    assert read(store) == b"content"


def test_a_full_device_takes_deletions_from_peers_and_no_data(tmp_path: Path, store: FileReplicaStore) -> None:
    put(store, 1)
    (tmp_path / "full").mkdir()
    full = FileReplicaStore(str(tmp_path / "full"), settings=FileSettings(Reserve(1 << 60), ballast=0))
    with pytest.raises(NoSpace):
        copy(store, full, HERE, Change(at(1), "data"))
    delete(store, 2)
    copy(store, full, HERE, Change(at(2), "ts"))
    assert present(full, HERE) == [Change(at(2), "ts")]


def test_reclaiming_brings_nothing_obsolete_to_light(store: FileReplicaStore) -> None:
    put(store, 1)
    (path,) = Path(store.layout.hash_dir(HERE)).iterdir()
    content, record = path.read_bytes(), os.getxattr(path, "user.objstore.metadata")
    delete(store, 2)
    path.write_bytes(content)
    os.setxattr(path, "user.objstore.metadata", record)
    store.partition_hash(5)
    assert store.reclaim(5, at(9)) == 1
    assert store.partitions() == []


def test_a_partition_without_old_tombstones_is_not_walked_to_reclaim(tmp_path: Path) -> None:
    class Counting(Files):
        lists = 0

        def list(self, path: str) -> list[str]:
            self.lists += 1
            return super().list(path)

    files = Counting()
    store = new_store(tmp_path, files)
    put(store, 1)
    delete(store, 7, BESIDE)
    store.partition_hash(5)
    files.lists = 0
    assert (store.reclaim(5, at(6)), store.partition_hash(5) != "", files.lists) == (0, True, 0)


def rot_content(path: Path) -> None:
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"rot")


def rot_record(path: Path) -> None:
    os.setxattr(path, "user.objstore.metadata", b"1 00000000 {}")


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 5)


@pytest.mark.parametrize(
    ("damage", "content"), [(rot_content, True), (rot_record, False), (cut_short, False), (cut_short, True)]
)
def test_damage_is_found_and_quarantined(
    store: FileReplicaStore, damage: Callable[[Path], None], content: bool
) -> None:
    put(store, 1, bytes(300_000))
    (path,) = Path(store.layout.hash_dir(HERE)).iterdir()
    damage(path)
    with pytest.raises(Corrupt):
        store.verify(HERE, lambda size: None, content)
    assert os.listdir(store.layout.quarantined) == [HERE.hash]
    assert store.partition_hash(5) == ""


def test_an_etag_that_is_not_the_contents_is_found_while_it_is_asked_for(store: FileReplicaStore) -> None:
    with store.create(HERE, 5, hashing=False) as writer:
        writer.write(b"hello")
        writer.commit(ObjectData(NAME, at(1), "text/plain", {}, etag="0" * 32))
    assert store.verify(HERE, lambda size: None, hashed_since=time.time() + 1000) == 5
    with pytest.raises(Corrupt):
        store.verify(HERE, lambda size: None)


def test_a_device_that_is_gone_is_unavailable_and_not_empty(store: FileReplicaStore) -> None:
    put(store, 1)
    os.rename(store.root, f"{store.root}-unmounted")
    name = Change(at(1), "data")
    calls: list[Callable[[], object]] = [
        store.partitions,
        lambda: store.partition_hash(5),
        lambda: store.kept_hashes([5]),
        lambda: store.suffix_hashes(5),
        lambda: store.changes(5, "def"),
        lambda: store.missing(5, {HERE.hash: [name]}),
        lambda: store.read_change(HERE, name),
        lambda: store.forget(HERE, [name]),
        lambda: store.reclaim(5, at(9)),
        lambda: store.verify(HERE, print),
    ]
    for call in calls:
        with pytest.raises(DeviceUnavailable):
            call()


def test_where_directories_have_no_attributes_hashes_are_computed_each_time(tmp_path: Path) -> None:
    class Plain(Files):
        def mark_dir(self, path: str, name: str, value: bytes, replace: bool = False) -> None:
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

        def is_marked(self, path: str, name: str) -> bool:
            return False

        def attribute(self, file: int | str, name: str) -> bytes | None:
            return None if isinstance(file, str) else super().attribute(file, name)

    store = new_store(tmp_path / "d1", Plain())
    other = new_store(tmp_path / "d2")
    for each in (store, other):
        put(each, 1)
        assert each.partition_hash(5)
        delete(each, 2)
    assert store.partition_hash(5) == other.partition_hash(5)
    assert kept(store, store.layout.partition_dir(5)) == b""
