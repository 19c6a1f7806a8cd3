"""What replicators and auditors ask of the file engine."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.core.errors import Conflict, Corrupt, DeviceUnavailable, InvalidInput, NoSpace, NotFound
from objstore.core.names import Location
from objstore.core.timestamps import TICKS, Timestamp
from objstore.runtime.files import Files
from objstore.store.interface import ObjectData, ObjectMetadata, ReplicaStore
from objstore.store.objects.changes import HEADER_SIZE, encode_header
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


def test_hashes_that_are_kept_are_had_without_a_look(store: FileReplicaStore) -> None:
    put(store, 1)
    assert store.kept_hashes([5, 6]) == {}
    found = store.partition_hash(5)
    assert store.kept_hashes([5, 6]) == {5: found}
    put(store, 2)
    assert store.kept_hashes([5, 6]) == {}


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


def test_a_record_without_room_among_the_attributes_arrives_in_the_trailer(
    store: FileReplicaStore, peer: FileReplicaStore
) -> None:
    headers = {f"X-Object-Meta-{number}": "x" * 250 for number in range(80)}
    with store.create(HERE, 5) as writer:
        writer.write(b"hello")
        writer.commit(ObjectData(NAME, at(1), "text/plain", headers))
    exchange(store, peer)
    assert (peer.info(HERE), read(peer)) == (store.info(HERE), b"hello")


def test_only_what_would_count_is_missing(store: FileReplicaStore) -> None:
    put(store, 5)
    old, new, later = FileName(at(4), "data"), FileName(at(6), "ts"), FileName(at(7), "meta")
    assert store.missing(5, {HERE.hash: [old]}) == {}
    assert store.missing(5, {HERE.hash: [FileName(at(5), "data")]}) == {}
    assert store.missing(5, {HERE.hash: [old, new, later]}) == {HERE.hash: (new, later)}
    assert store.missing(5, {BESIDE.hash: [old]}) == {BESIDE.hash: (old,)}
    with pytest.raises(InvalidInput):
        store.missing(5, {"../../etc": [old]})


def test_a_change_that_is_not_there_is_not_found(store: FileReplicaStore) -> None:
    with pytest.raises(NotFound):
        store.read_change(HERE, FileName(at(1), "data"))
    with pytest.raises(NotFound):
        store.verify(HERE, lambda size: None)


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_rotten_content_is_never_handed_over(store: FileReplicaStore, size: int) -> None:
    put(store, 1, bytes(size))
    (path,) = Path(store.layout.hash_dir(HERE)).iterdir()
    with open(path, "r+b") as file:
        file.seek(size // 2)
        file.write(b"x")
    before = store.partition_hash(5)
    with pytest.raises(Corrupt), store.read_change(HERE, FileName(at(1), "data")) as change:
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
        store.read_change(HERE, FileName(at(2), "meta"))
    with pytest.raises(NotFound):
        store.info(HERE)


@pytest.mark.parametrize("size", [0, 10, 70_000, 1_000_000])
def test_a_change_that_was_damaged_on_its_way_is_refused(
    store: FileReplicaStore, peer: FileReplicaStore, size: int
) -> None:
    put(store, 1, os.urandom(size))
    name = FileName(at(1), "data")
    stream = change_bytes(store, HERE, name)
    places = {0, 9, 23, 30, 60, len(stream) - 1, len(stream) - 10, len(stream) - 30, len(stream) // 2}
    for place in places:
        damaged = bytearray(stream)
        damaged[place] ^= 1
        with pytest.raises(InvalidInput), peer.write_change(HERE, name, len(stream)) as writer:
            writer.write(damaged)
            writer.commit()
    for length in (0, 10, 50, len(stream) // 2, len(stream) - 1):
        with pytest.raises(InvalidInput), peer.write_change(HERE, name, len(stream)) as writer:
            writer.write(stream[:length])
            writer.commit()
    with pytest.raises(InvalidInput), peer.write_change(HERE, name, len(stream)) as writer:
        writer.write(stream + b"x")
    with pytest.raises(NotFound) as caught:
        peer.info(HERE)
    assert caught.value.timestamp is None
    with peer.write_change(HERE, name, len(stream)) as writer:
        for place in range(0, len(stream), 777):
            writer.write(stream[place : place + 777])
        writer.commit()
    assert read(peer) == read(store)


@pytest.mark.parametrize(
    "name",
    [FileName(at(2), "data"), FileName(at(1), "ts"), FileName(at(1), "meta"), FileName(at(1), "meta", at(1))],
)
def test_a_change_under_another_name_is_refused(
    store: FileReplicaStore, peer: FileReplicaStore, name: FileName
) -> None:
    put(store, 1)
    stream = change_bytes(store, HERE, FileName(at(1), "data"))
    with pytest.raises(InvalidInput), peer.write_change(HERE, name, len(stream)) as writer:
        writer.write(stream)
        writer.commit()
    assert peer.file_names(HERE) == []


@pytest.mark.parametrize("header", [(1 << 31, 0), (10, 1 << 62), (0, 0)])
def test_a_header_that_lies_of_lengths_is_refused(store: FileReplicaStore, header: tuple[int, int]) -> None:
    with pytest.raises(InvalidInput), store.write_change(HERE, FileName(at(1), "data"), 1000) as writer:
        writer.write(encode_header(*header) + bytes(1000 - HEADER_SIZE))
        writer.commit()
    with pytest.raises(InvalidInput):
        store.write_change(HERE, FileName(at(1), "data"), 3)


def test_the_same_change_again_is_no_conflict_and_another_of_its_time_is(
    store: FileReplicaStore, peer: FileReplicaStore
) -> None:
    name = FileName(at(1), "data")
    put(store, 1)
    put(peer, 1, b"another")
    copy(store, store, HERE, name)
    with pytest.raises(Conflict):
        copy(store, peer, HERE, name)
    assert read(peer) == b"another"


def test_a_change_obsolete_on_arrival_is_taken_and_leaves_nothing(
    store: FileReplicaStore, peer: FileReplicaStore
) -> None:
    put(store, 1)
    put(peer, 2, b"newer")
    copy(store, peer, HERE, FileName(at(1), "data"))
    assert len(names_at(peer)) == 1
    assert read(peer) == b"newer"


def test_forgetting_takes_these_changes_only_and_directories_left_empty(store: FileReplicaStore) -> None:
    put(store, 1)
    put(store, 1, location=BESIDE)
    store.forget(HERE, [FileName(at(2), "data"), FileName(at(1), "ts")])
    assert len(names_at(store)) == 1
    store.forget(HERE, [FileName(at(1), "data")])
    assert not os.path.exists(store.layout.hash_dir(HERE))
    store.forget(HERE, [FileName(at(1), "data")])
    store.forget(BESIDE, store.file_names(BESIDE))
    assert store.partitions() == []
    put(store, 3)
    assert read(store) == b"content"


def test_old_tombstones_go_and_young_ones_stay(store: FileReplicaStore) -> None:
    delete(store, 1)
    delete(store, 9, BESIDE)
    put(store, 1, location=THERE)
    before = store.partition_hash(5)
    assert store.reclaim(5, at(1)) == 0
    assert store.partition_hash(5) == before
    assert store.reclaim(5, at(5)) == 1
    assert (names_at(store), len(names_at(store, BESIDE))) == ([], 1)
    assert store.partition_hash(5) != before
    assert read(store, THERE) == b"content"


def test_old_metadata_that_waits_for_data_goes_too(store: FileReplicaStore, peer: FileReplicaStore) -> None:
    put(store, 1)
    post(store, 3)
    (meta,) = [name for name in store.file_names(HERE) if name.kind == "meta"]
    copy(store, peer, HERE, meta)
    delete(peer, 2)
    assert len(names_at(peer)) == 2
    assert peer.reclaim(5, at(3)) == 1
    assert names_at(peer) == [str(meta)]
    assert peer.reclaim(5, at(4)) == 1
    assert peer.partitions() == []
    assert store.reclaim(5, at(9)) == 0


def test_a_full_device_takes_deletions_from_peers_and_no_data(tmp_path: Path, store: FileReplicaStore) -> None:
    put(store, 1)
    (tmp_path / "full").mkdir()
    full = FileReplicaStore(str(tmp_path / "full"), settings=FileStoreSettings(Reserve(1 << 60)))
    with pytest.raises(NoSpace):
        copy(store, full, HERE, FileName(at(1), "data"))
    delete(store, 2)
    copy(store, full, HERE, FileName(at(2), "ts"))
    assert full.file_names(HERE) == [FileName(at(2), "ts")]


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


def test_verifying_reads_everything_at_the_callers_pace(store: FileReplicaStore) -> None:
    asked: list[int] = []
    put(store, 1, bytes(3_000_000))
    post(store, 2)
    assert store.verify(HERE, asked.append) == sum(asked) == 3_000_000
    assert store.verify(HERE, asked.append, content=False) == 0
    delete(store, 3)
    assert store.verify(HERE, asked.append) == 0


def test_what_the_pacing_raises_ends_the_check(store: FileReplicaStore) -> None:
    def refuse(size: int) -> None:
        raise KeyboardInterrupt

    put(store, 1)
    with pytest.raises(KeyboardInterrupt):
        store.verify(HERE, refuse)
    assert read(store) == b"content"


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
    name = FileName(at(1), "data")
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


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(("put", "post", "typed post", "delete")),
        st.integers(1, 6),
        st.sampled_from((HERE, BESIDE, THERE)),
        st.sampled_from((0, 1, 2)),
    ),
    max_size=14,
)


@settings(max_examples=40, deadline=None)
@given(changes=CHANGES, hashing=st.sets(st.integers(0, 14)))
def test_stores_that_exchange_what_they_lack_end_the_same(
    changes: list[tuple[str, int, Location, int]], hashing: set[int]
) -> None:
    """Each change reaches one store or both."""
    with tempfile.TemporaryDirectory() as root:
        stores = [new_store(Path(root) / name) for name in ("d1", "d2")]
        for number, (kind, when, location, where) in enumerate(changes):
            for store in stores if where == 2 else stores[where : where + 1]:
                with contextlib.suppress(NotFound):
                    if kind == "put":
                        put(store, when, location=location)
                    elif kind == "delete":
                        delete(store, when, location)
                    else:
                        post(store, when, "image/png" if kind == "typed post" else None, location)
                if number in hashing:
                    store.partition_hash(5)
        for source, target in (stores, stores[::-1]):
            exchange(source, target)
        assert stores[0].partition_hash(5) == stores[1].partition_hash(5)
        assert stores[0].suffix_hashes(5) == stores[1].suffix_hashes(5)
        for location in (HERE, BESIDE, THERE):
            assert names_at(stores[0], location) == names_at(stores[1], location)
            states = []
            for store in stores:
                try:
                    states.append((store.info(location), read(store, location)))
                except NotFound as error:
                    states.append((error.timestamp, b""))  # type: ignore[arg-type]
            assert states[0] == states[1]
