"""The suite that every engine passes for its replication half: what `store.interface.ReplicaStore` promises."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.core.errors import Conflict, InvalidInput, NotFound
from objstore.core.names import Location
from objstore.core.timestamps import TICKS, Timestamp
from objstore.store.change import DATA, METADATA, TOMBSTONE, Change
from objstore.store.interface import Look, ObjectData, ObjectMetadata, ReplicaStore
from objstore.store.objects.change_stream import HEADER_SIZE, encode_header
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.memory_store import MemoryStore
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.objects.space import Reserve
from objstore.store.packed.store import PackedStore

HERE = Location(0, "0123456789abcdef0123456789abcdef")
BESIDE = Location(0, "1123456789abcdef0123456789abcdef")
THERE = Location(0, "0123456789abcdef0123456789abc123")
NAME = "/a/c/o"
POWER = 3  # of partitions: names whose hashes begin with the same three bits share one
LIMITS = {"packed": 1 << 20, "packed and files": 8}  # bytes of the largest object that is packed
ENGINES = ("file", "memory", *LIMITS)


def new_store(engine: str, root: Path) -> ReplicaStore:
    if engine == "memory":
        return MemoryStore()
    root.mkdir()
    settings = FileSettings(Reserve(), threads_per_disk=2, ballast=0)
    if engine in LIMITS:
        return PackedStore(str(root), settings=settings, limit=LIMITS[engine], power=lambda: POWER)
    return FileReplicaStore(str(root), settings=settings)


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ReplicaStore:
    return new_store(request.param, tmp_path / "d1")


@pytest.fixture(params=ENGINES)
def peer(request: pytest.FixtureRequest, tmp_path: Path) -> ReplicaStore:
    return new_store(request.param, tmp_path / "d2")


def at(seconds: int) -> Timestamp:
    return Timestamp(seconds * TICKS)


def data(when: int) -> Change:
    return Change(at(when), DATA)


def meta(when: int, typed: int | None = None) -> Change:
    return Change(at(when), METADATA, None if typed is None else at(typed))


def gone(when: int) -> Change:
    return Change(at(when), TOMBSTONE)


def put(store: ReplicaStore, when: int, content: bytes = b"content", location: Location = HERE) -> None:
    with store.create(location, len(content)) as writer:
        writer.write(content)
        writer.commit(ObjectData(NAME, at(when), "text/plain", {"X-Object-Meta-When": str(when)}))


def post(store: ReplicaStore, when: int, content_type: str | None = None, location: Location = HERE) -> None:
    store.post(location, ObjectMetadata(at(when), {"X-Object-Meta-When": str(when)}, content_type))


def delete(store: ReplicaStore, when: int, location: Location = HERE) -> None:
    store.delete(location, NAME, at(when))


def read(store: ReplicaStore, location: Location = HERE) -> bytes:
    with store.open(location) as reader:
        return b"".join(bytes(piece) for piece in reader.read(0, 1 << 60))


def changes_at(store: ReplicaStore, location: Location = HERE) -> tuple[Change, ...]:
    return store.changes(location.partition, location.suffix).get(location.hash, ())


def stream_of(store: ReplicaStore, change: Change, location: Location = HERE) -> bytes:
    with store.read_change(location, change) as reader:
        stream = b"".join(bytes(piece) for piece in reader)
        assert len(stream) == reader.length
    return stream


def write(store: ReplicaStore, change: Change, stream: bytes, location: Location = HERE, guard: Any = None) -> None:
    with store.write_change(location, change, len(stream), guard) as writer:
        writer.write(stream)
        writer.commit()


def exchange(source: ReplicaStore, target: ReplicaStore, partition: int = 0) -> None:
    for suffix in source.suffix_hashes(partition):
        for name_hash, changes in target.missing(partition, source.changes(partition, suffix)).items():
            for change in changes:
                location = Location(partition, name_hash)
                write(target, change, stream_of(source, change, location), location)


def state(store: ReplicaStore, location: Location = HERE) -> Any:
    """All that can be seen at a location."""
    try:
        return store.info(location), read(store, location)
    except NotFound as error:
        return error.timestamp


# Hashes


def test_nothing_has_no_hash(store: ReplicaStore) -> None:
    assert (store.partitions(), store.partition_hash(0), store.suffix_hashes(0)) == ([], "", {})
    assert (store.changes(0, "def"), store.kept_hashes([0])) == ({}, {})


def test_equal_changes_have_equal_hashes_in_whatever_order_they_came(store: ReplicaStore, peer: ReplicaStore) -> None:
    put(store, 1)
    put(store, 3, b"new")
    post(store, 4, "image/png")
    delete(store, 2, BESIDE)
    delete(peer, 2, BESIDE)
    put(peer, 3, b"new")
    post(peer, 4, "image/png")
    assert store.partition_hash(0) == peer.partition_hash(0) != ""
    assert store.suffix_hashes(0) == peer.suffix_hashes(0)
    assert list(store.suffix_hashes(0)) == ["def"]


@pytest.mark.parametrize("change", [delete, post, put])
def test_a_change_that_counts_changes_the_hashes_above_it_alone(
    store: ReplicaStore, change: Callable[[ReplicaStore, int], None]
) -> None:
    put(store, 1)
    put(store, 1, location=THERE)
    put(store, 1, location=HERE._replace(partition=7, hash="f" * 32))
    before = store.partition_hash(0), store.suffix_hashes(0), store.partition_hash(7)
    change(store, 2)
    assert store.partition_hash(0) != before[0]
    assert store.suffix_hashes(0)["def"] != before[1]["def"]
    assert store.suffix_hashes(0)["123"] == before[1]["123"]
    assert store.partition_hash(7) == before[2]
    assert store.partitions() == [0, 7]


def test_a_change_that_counts_for_nothing_changes_no_hash(store: ReplicaStore) -> None:
    put(store, 5)
    before = store.partition_hash(0)
    put(store, 3)
    delete(store, 4)
    assert store.partition_hash(0) == before


def test_hashes_that_were_asked_for_are_at_hand_until_something_changes(store: ReplicaStore) -> None:
    put(store, 1)
    before = store.partition_hash(0)
    assert store.kept_hashes([0, 7]) == {0: before}
    put(store, 2)
    assert store.kept_hashes([0, 7]).get(0) != before


@pytest.mark.parametrize("sizes", [(1, 70_000), (70_000, 1), (70_000, 70_001), (1, 2)])
def test_a_hash_at_hand_is_of_what_is_there_also_after_the_first_large_or_small_object(
    store: ReplicaStore, sizes: tuple[int, int]
) -> None:
    """Where objects are packed by size, that of before the first file was taken for that of now: no replica got it."""
    put(store, 1, bytes(sizes[0]))
    before = store.partition_hash(0)
    put(store, 2, bytes(sizes[1]), BESIDE)
    assert store.kept_hashes([0]).get(0) != before
    now = store.partition_hash(0)
    assert store.kept_hashes([0]) == {0: now}
    store.forget(BESIDE, [data(2)])
    assert store.kept_hashes([0]).get(0) != now
    assert store.partition_hash(0) == before


# Changes


def test_the_changes_that_count_are_listed_in_order(store: ReplicaStore) -> None:
    put(store, 1)
    post(store, 3, "image/png")
    post(store, 4)
    put(store, 2, location=BESIDE)
    delete(store, 3, BESIDE)
    assert store.changes(0, "def") == {HERE.hash: (data(1), meta(4, 3)), BESIDE.hash: (gone(3),)}
    assert store.changes(0, "123") == {}


def test_only_what_would_count_is_missing(store: ReplicaStore) -> None:
    put(store, 5)
    assert store.missing(0, {HERE.hash: [data(4)]}) == {}
    assert store.missing(0, {HERE.hash: [data(5)]}) == {}
    assert store.missing(0, {HERE.hash: [data(4), gone(6), meta(7)]}) == {HERE.hash: (gone(6), meta(7))}
    assert store.missing(0, {BESIDE.hash: [data(4)]}) == {BESIDE.hash: (data(4),)}
    with pytest.raises(InvalidInput):
        store.missing(0, {"../../etc": [data(4)]})


def test_a_change_that_is_not_there_is_not_found(store: ReplicaStore) -> None:
    for _ in range(2):
        with pytest.raises(NotFound):
            store.read_change(HERE, data(1))
        with pytest.raises(NotFound):
            store.verify(HERE, lambda size: None)
        put(store, 1)
        store.forget(HERE, [data(1)])


def test_what_a_peer_lacks_is_copied(store: ReplicaStore, peer: ReplicaStore) -> None:
    sizes = (0, 1, 65536, 65537, 1_000_000)
    for size in sizes:
        location = Location(0, f"{size:032x}")
        put(store, 1, os.urandom(size), location)
        post(store, 2, "image/png", location)
    delete(store, 7)
    exchange(store, peer)
    assert peer.partition_hash(0) == store.partition_hash(0)
    for size in sizes:
        location = Location(0, f"{size:032x}")
        assert state(peer, location) == state(store, location)
        assert stream_of(peer, data(1), location) == stream_of(store, data(1), location)
    assert stream_of(peer, gone(7)) == stream_of(store, gone(7))


def test_an_open_change_is_read_to_its_end_also_if_it_is_replaced(store: ReplicaStore, peer: ReplicaStore) -> None:
    content = os.urandom(3_000_000)
    put(store, 1, content)
    with store.read_change(HERE, data(1)) as reader, peer.write_change(HERE, data(1), reader.length) as writer:
        put(store, 2, b"newer")
        for piece in reader:
            writer.write(piece)
        writer.commit()
    assert read(peer) == content


@pytest.mark.parametrize("size", [0, 10, 70_000, 1_000_000])
def test_a_change_that_was_damaged_on_its_way_is_refused(store: ReplicaStore, peer: ReplicaStore, size: int) -> None:
    put(store, 1, os.urandom(size))
    stream = stream_of(store, data(1))
    places = {0, 9, 23, 30, 60, len(stream) - 1, len(stream) - 10, len(stream) - 30, len(stream) // 2}
    for place in places:
        damaged = bytearray(stream)
        damaged[place] ^= 1
        with pytest.raises(InvalidInput):
            write(peer, data(1), bytes(damaged))
    for length in (0, 10, 50, len(stream) // 2, len(stream) - 1):
        with pytest.raises(InvalidInput), peer.write_change(HERE, data(1), len(stream)) as writer:
            writer.write(stream[:length])
            writer.commit()
    with pytest.raises(InvalidInput), peer.write_change(HERE, data(1), len(stream)) as writer:
        writer.write(stream + b"x")
    assert (state(peer), peer.partition_hash(0)) == (None, "")
    with peer.write_change(HERE, data(1), len(stream)) as writer:
        for place in range(0, len(stream), 777):
            writer.write(stream[place : place + 777])
        writer.commit()
    assert read(peer) == read(store)


@pytest.mark.parametrize("change", [data(2), gone(1), meta(1), meta(1, 1)])
def test_a_change_under_another_name_is_refused(store: ReplicaStore, peer: ReplicaStore, change: Change) -> None:
    put(store, 1)
    with pytest.raises(InvalidInput):
        write(peer, change, stream_of(store, data(1)))
    assert changes_at(peer) == ()


@pytest.mark.parametrize("header", [(1 << 31, 0), (10, 1 << 62), (0, 0)])
def test_a_header_that_lies_of_lengths_is_refused(store: ReplicaStore, header: tuple[int, int]) -> None:
    with pytest.raises(InvalidInput):
        write(store, data(1), encode_header(*header) + bytes(1000 - HEADER_SIZE))
    with pytest.raises(InvalidInput):
        store.write_change(HERE, data(1), 3)


def test_a_change_that_is_not_committed_leaves_nothing(store: ReplicaStore, peer: ReplicaStore) -> None:
    put(store, 1, bytes(1_000_000))
    stream = stream_of(store, data(1))
    with peer.write_change(HERE, data(1), len(stream)) as writer:
        writer.write(stream)
    assert (changes_at(peer), peer.partition_hash(0)) == ((), "")


def test_the_same_change_again_is_no_conflict_and_another_of_its_time_is(
    store: ReplicaStore, peer: ReplicaStore
) -> None:
    put(store, 1)
    put(peer, 1, b"another")
    write(store, data(1), stream_of(store, data(1)))
    with pytest.raises(Conflict):
        write(peer, data(1), stream_of(store, data(1)))
    assert read(peer) == b"another"


def test_a_change_obsolete_on_arrival_is_taken_and_leaves_nothing(store: ReplicaStore, peer: ReplicaStore) -> None:
    put(store, 1)
    put(peer, 2, b"newer")
    write(peer, data(1), stream_of(store, data(1)))
    assert changes_at(peer) == (data(2),)
    assert read(peer) == b"newer"


@pytest.mark.parametrize("kind", [DATA, METADATA, TOMBSTONE])
def test_a_guard_is_asked_before_a_change_and_may_refuse_it(store: ReplicaStore, peer: ReplicaStore, kind: str) -> None:
    put(store, 2)
    post(store, 3)
    delete(store, 2, BESIDE)
    put(peer, 1, b"older")
    newest: list[Timestamp] = []

    def refuse(stored: Timestamp, look: Look) -> None:
        newest.append(stored)
        raise Conflict("refused")

    change = Change(at(3 if kind == METADATA else 2), kind)
    stream = stream_of(store, change, BESIDE if kind == TOMBSTONE else HERE)
    with pytest.raises(Conflict):
        write(peer, change, stream, guard=refuse)
    assert (newest, changes_at(peer)) == ([at(1)], (data(1),))
    write(peer, change, stream, guard=lambda stored, look: None)
    assert change in changes_at(peer)


def test_a_guard_that_refuses_the_first_change_of_a_name_leaves_nothing(
    store: ReplicaStore, peer: ReplicaStore
) -> None:
    def refuse(stored: Timestamp, look: Look) -> None:
        raise Conflict("refused")

    delete(store, 1)
    with pytest.raises(Conflict):
        write(peer, gone(1), stream_of(store, gone(1)), guard=refuse)
    assert (peer.partition_hash(0), changes_at(peer)) == ("", ())
    with pytest.raises(NotFound):
        peer.verify(HERE, lambda size: None)


# Upkeep


def test_forgetting_takes_these_changes_only(store: ReplicaStore) -> None:
    put(store, 1)
    put(store, 1, location=BESIDE)
    store.forget(HERE, [data(2), gone(1)])
    assert changes_at(store) == (data(1),)
    store.forget(HERE, [data(1)])
    store.forget(HERE, [data(1)])
    assert (changes_at(store), store.partitions()) == ((), [0])
    store.forget(BESIDE, [data(1)])
    assert (store.partitions(), store.partition_hash(0)) == ([], "")
    put(store, 3)
    assert read(store) == b"content"


def test_forgetting_what_was_offered_leaves_what_came_since(store: ReplicaStore) -> None:
    put(store, 1)
    offered = changes_at(store)
    put(store, 2, b"since")
    store.forget(HERE, offered)
    assert read(store) == b"since"


def test_old_tombstones_go_and_young_ones_stay(store: ReplicaStore) -> None:
    delete(store, 1)
    delete(store, 9, BESIDE)
    put(store, 1, location=THERE)
    before = store.partition_hash(0)
    assert store.reclaim(0, at(1)) == 0
    assert store.partition_hash(0) == before
    assert store.reclaim(6, at(5)) == 0
    assert store.reclaim(0, at(5)) == 1
    assert (changes_at(store), changes_at(store, BESIDE)) == ((), (gone(9),))
    assert store.partition_hash(0) != before
    assert read(store, THERE) == b"content"


def test_old_metadata_that_waits_for_data_goes_too(store: ReplicaStore, peer: ReplicaStore) -> None:
    put(store, 1)
    post(store, 3)
    write(peer, meta(3), stream_of(store, meta(3)))
    delete(peer, 2)
    assert changes_at(peer) == (gone(2), meta(3))
    assert peer.reclaim(0, at(3)) == 1
    assert changes_at(peer) == (meta(3),)
    assert peer.reclaim(0, at(4)) == 1
    assert peer.partitions() == []
    assert store.reclaim(0, at(9)) == 0


def test_metadata_that_came_first_lie_over_data_that_come_later(store: ReplicaStore, peer: ReplicaStore) -> None:
    put(store, 1)
    post(store, 3, "image/png")
    write(peer, meta(3, 3), stream_of(store, meta(3, 3)))
    assert state(peer) is None
    write(peer, data(1), stream_of(store, data(1)))
    assert state(peer) == state(store)


def test_verifying_reads_all_content_at_the_callers_pace(store: ReplicaStore) -> None:
    asked: list[int] = []
    put(store, 1, bytes(3_000_000))
    post(store, 2)
    assert store.verify(HERE, asked.append) == sum(asked) == 3_000_000
    assert store.verify(HERE, asked.append, content=False) == 0
    delete(store, 3)
    assert store.verify(HERE, asked.append) == 0
    assert sum(asked) == 3_000_000


def test_what_the_pacing_raises_ends_the_check(store: ReplicaStore) -> None:
    def refuse(size: int) -> None:
        raise KeyboardInterrupt

    put(store, 1)
    with pytest.raises(KeyboardInterrupt):
        store.verify(HERE, refuse)
    assert read(store) == b"content"


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(("put", "post", "typed post", "delete")),
        st.integers(1, 6),
        st.sampled_from((HERE, BESIDE, THERE)),
        st.sampled_from((0, 1, 2)),
    ),
    max_size=14,
)


@pytest.mark.parametrize(
    "engines",
    [
        ("file", "file"),
        ("file", "memory"),
        ("memory", "memory"),
        ("file", "packed"),
        ("packed", "packed"),
        ("packed", "packed and files"),
    ],
)
@settings(max_examples=30, deadline=None)
@given(changes=CHANGES, hashing=st.sets(st.integers(0, 14)))
def test_stores_that_exchange_what_they_lack_end_the_same(
    engines: tuple[str, str], changes: list[tuple[str, int, Location, int]], hashing: set[int]
) -> None:
    """Each change reaches one store or both."""
    with tempfile.TemporaryDirectory() as root:
        stores = [new_store(engine, Path(root) / str(number)) for number, engine in enumerate(engines)]
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
                    store.partition_hash(0)
        for source, target in (stores, stores[::-1]):
            exchange(source, target)
        assert stores[0].partition_hash(0) == stores[1].partition_hash(0)
        assert stores[0].suffix_hashes(0) == stores[1].suffix_hashes(0)
        for location in (HERE, BESIDE, THERE):
            assert changes_at(stores[0], location) == changes_at(stores[1], location)
            assert state(stores[0], location) == state(stores[1], location)
