"""Changes of packed objects are read and taken many at once, with the guarantees of those that come alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from objstore.core.errors import ChecksumMismatch, Conflict, InvalidInput, NameHeld
from objstore.core.names import Location, partition_of
from objstore.core.timestamps import Timestamp
from objstore.store.change import Change
from objstore.store.interface import IncomingChange, Look, ObjectData, ObjectMetadata
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.space import Reserve
from objstore.store.packed.store import PackedStore

POWER = 3
COUNT = 20
Named = tuple[Location, Change]


def location(number: int) -> Location:
    name_hash = hashlib.md5(b"%d" % number).hexdigest()
    return Location(partition_of(name_hash, POWER), name_hash)


def opened(root: Path) -> PackedStore:
    root.mkdir()
    settings = FileSettings(Reserve(), threads_per_disk=1, background_threads_per_disk=1, ballast=0)
    return PackedStore(str(root), settings=settings, limit=1 << 20, power=lambda: POWER)


def put(store: PackedStore, number: int, size: int = 500) -> None:
    with store.create(location(number), None) as writer:
        writer.write(bytes([number]) * size)
        writer.commit(ObjectData(f"/a/c/{number}", Timestamp(1), "text/plain", {}))


@pytest.fixture
def source(tmp_path: Path) -> PackedStore:
    made = opened(tmp_path / "source")
    for number in range(COUNT):
        put(made, number)
    made.post(location(1), ObjectMetadata(Timestamp(2), {"X-Object-Meta-A": "b"}))
    made.delete(location(2), "/a/c/2", Timestamp(3))
    return made


@pytest.fixture
def target(tmp_path: Path) -> PackedStore:
    return opened(tmp_path / "target")


def names(store: PackedStore) -> list[Named]:
    return [
        (Location(partition, name_hash), change)
        for partition in store.partitions()
        for suffix in store.suffix_hashes(partition)
        for name_hash, changes in store.changes(partition, suffix).items()
        for change in changes
    ]


def incoming(store: PackedStore) -> list[IncomingChange]:
    found = names(store)
    return [
        IncomingChange(*named, stream)
        for named, stream in zip(found, store.read_packed(found), strict=True)
        if stream is not None
    ]


def test_streams_are_those_of_single_changes(source: PackedStore) -> None:
    found = names(source)
    for (where, change), stream in zip(found, source.read_packed(found), strict=True):
        with source.read_change(where, change) as reader:
            assert stream == b"".join(map(bytes, reader))


def test_what_is_missing_large_or_damaged_is_left_to_be_read_alone(source: PackedStore) -> None:
    put(source, 30, 100_000)
    found = dict(names(source))
    (entry,) = source._names.find(location(5))
    with open(f"{source.layout.packed}/volumes/00000001.volume", "r+b") as file:
        file.seek(entry.place.position + entry.place.length - 1)
        file.write(b"x")
    asked = [(location(number), found[location(number)]) for number in (4, 5, 30)]
    asked.append((location(99), found[location(4)]))
    streams = source.read_packed(asked)
    assert [stream is not None for stream in streams] == [True, False, False, False]
    assert source.quarantined() == []


def test_a_store_that_takes_all_at_once_is_equal(source: PackedStore, target: PackedStore) -> None:
    every = incoming(source)
    assert target.write_packed(every) == [None] * len(every)
    assert target.write_packed(every) == [None] * len(every)  # again
    assert [target.partition_hash(each) for each in range(8)] == [source.partition_hash(each) for each in range(8)]
    with target.open(location(7)) as reader:
        assert b"".join(map(bytes, reader.read(0, 1000))) == bytes([7]) * 500


def test_each_that_is_not_sound_is_refused_alone(source: PackedStore, target: PackedStore) -> None:
    every = incoming(source)
    every[3] = every[3]._replace(stream=every[3].stream[:-30] + bytes(30))
    every[5] = every[5]._replace(stream=b"short")
    outcomes = target.write_packed(every)
    assert isinstance(outcomes[3], ChecksumMismatch)
    assert isinstance(outcomes[5], InvalidInput)
    assert [index for index, each in enumerate(outcomes) if each is not None] == [3, 5]
    assert len(names(target)) == len(every) - 2


def test_each_guard_is_asked(source: PackedStore, target: PackedStore) -> None:
    def refuse(newest: Timestamp, look: Look) -> None:
        raise Conflict("not here", newest)

    every = incoming(source)
    every[4] = every[4]._replace(guard=refuse)
    outcomes = target.write_packed(every)
    assert isinstance(outcomes[4], Conflict)
    assert sum(each is None for each in outcomes) == len(every) - 1
    assert (every[4].location, every[4].change) not in names(target)


def test_a_name_that_is_held_is_tried_again(source: PackedStore, target: PackedStore) -> None:
    calls = []

    def hold_once(newest: Timestamp, look: Look) -> None:
        calls.append(newest)
        if len(calls) == 1:
            raise NameHeld(seconds=0.01)

    every = incoming(source)
    every[4] = every[4]._replace(guard=hold_once)
    assert target.write_packed(every) == [None] * len(every)
    assert len(calls) == 2
    assert target.write_packed([]) == []


def test_one_change_given_otherwise_in_one_run_is_a_conflict(source: PackedStore, target: PackedStore) -> None:
    put(target, 40, 10)
    other = source.read_packed([(location(4), dict(names(source))[location(4)])])[0]
    assert other is not None
    mine = dict(names(target))[location(40)]
    assert isinstance(target.write_packed([IncomingChange(location(40), mine, other)])[0], Conflict)
