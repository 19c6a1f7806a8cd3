"""Changes of packed objects are read and taken many at once, with the guarantees of those that come alone."""

from __future__ import annotations

import contextlib
import errno
import gc
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from unit.store.faulty_files import FaultyFiles, Inline, PowerCut

from objstore.core.errors import ChecksumMismatch, Conflict, InvalidInput, NameHeld, NoSpace, NotFound
from objstore.core.names import Location, partition_of
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES, Buffer, Files
from objstore.runtime.threads import ThreadPool
from objstore.store.change import DATA, METADATA, Change
from objstore.store.interface import Guard, IncomingChange, IncomingRecord, Look, ObjectData, ObjectMetadata
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.space import Reserve
from objstore.store.packed.format import VOLUME_HEADER_SIZE, Outgoing, encode_head
from objstore.store.packed.recovery import open_index
from objstore.store.packed.runs import check_received, record_stream
from objstore.store.packed.store import PackedStore
from objstore.store.packed.volumes import Volumes

POWER = 3
COUNT = 20
SETTINGS = FileSettings(Reserve(), threads_per_disk=1, background_threads_per_disk=1, ballast=0)
POOL, BACKGROUND = ThreadPool("bulk", 1), ThreadPool("bulk in background", 1)  # of all stores, which are many
Named = tuple[Location, Change]


def location(number: int) -> Location:
    name_hash = hashlib.md5(b"%d" % number).hexdigest()
    return Location(partition_of(name_hash, POWER), name_hash)


def opened(root: Path) -> PackedStore:
    root.mkdir()
    return PackedStore(str(root), settings=SETTINGS, limit=1 << 20, power=lambda: POWER)


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


FORMS = ("record", "stream")
Incoming = IncomingChange | IncomingRecord


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def bytes_of(store: PackedStore, named: Named) -> bytes:
    with store.read_change(*named) as reader:
        return b"".join(map(bytes, reader))


def incoming(store: PackedStore, form: str) -> list[Incoming]:
    found = names(store)
    if form == "stream":
        return [IncomingChange(*named, bytes_of(store, named)) for named in found]
    records = zip(found, store.read_packed(found), strict=True)
    return [IncomingRecord(where.partition, record or b"", lambda *_: None) for (where, _), record in records]


def with_bytes(change: Incoming, edit: Callable[[bytes], bytes]) -> Incoming:
    if isinstance(change, IncomingRecord):
        return change._replace(record=edit(change.record))
    return change._replace(stream=edit(change.stream))


def guarded(change: Incoming, guard: Guard) -> Incoming:
    if isinstance(change, IncomingRecord):
        return change._replace(guard=lambda *_: guard)
    return change._replace(guard=guard)


def test_records_are_those_of_single_changes(source: PackedStore) -> None:
    found = names(source)
    for named, record in zip(found, source.read_packed(found), strict=True):
        assert record is not None
        assert record_stream(check_received(record)) == bytes_of(source, named)


def test_what_is_missing_large_or_damaged_is_left_to_be_read_alone(source: PackedStore) -> None:
    put(source, 30, 100_000)
    found = dict(names(source))
    (entry,) = source._names.find(location(5))
    with open(f"{source.layout.packed}/volumes/00000001.volume", "r+b") as file:
        file.seek(entry.place.position + entry.place.length - 1)
        file.write(b"x")
    asked = [(location(number), found[location(number)]) for number in (4, 5, 30)]
    asked.append((location(99), found[location(4)]))
    records = source.read_packed(asked)
    assert [record is not None for record in records] == [True, False, False, False]
    assert source.quarantined() == []


def test_a_store_that_takes_all_at_once_is_equal(source: PackedStore, target: PackedStore, form: str) -> None:
    every = incoming(source, form)
    assert target.write_packed(every) == [None] * len(every)
    assert target.write_packed(every) == [None] * len(every)  # again
    assert [target.partition_hash(each) for each in range(8)] == [source.partition_hash(each) for each in range(8)]
    with target.open(location(7)) as reader:
        assert b"".join(map(bytes, reader.read(0, 1000))) == bytes([7]) * 500


def test_each_that_is_not_sound_is_refused_alone(source: PackedStore, target: PackedStore, form: str) -> None:
    every = incoming(source, form)
    every[3] = with_bytes(every[3], lambda whole: whole[:-30] + bytes(30))
    every[5] = with_bytes(every[5], lambda _: b"short")
    outcomes = target.write_packed(every)
    assert isinstance(outcomes[3], ChecksumMismatch)
    assert isinstance(outcomes[5], InvalidInput if form == "stream" else ChecksumMismatch)
    assert [index for index, each in enumerate(outcomes) if each is not None] == [3, 5]
    assert len(names(target)) == len(every) - 2


def test_each_guard_is_asked(source: PackedStore, target: PackedStore, form: str) -> None:
    def refuse(newest: Timestamp, look: Look) -> None:
        raise Conflict("not here", newest)

    every = incoming(source, form)
    every[4] = guarded(every[4], refuse)
    outcomes = target.write_packed(every)
    assert isinstance(outcomes[4], Conflict)
    assert sum(each is None for each in outcomes) == len(every) - 1
    assert names(source)[4] not in names(target)


def test_a_name_that_is_held_is_tried_again(source: PackedStore, target: PackedStore, form: str) -> None:
    calls = []

    def hold_once(newest: Timestamp, look: Look) -> None:
        calls.append(newest)
        if len(calls) == 1:
            raise NameHeld(seconds=0.01)

    every = incoming(source, form)
    every[4] = guarded(every[4], hold_once)
    assert target.write_packed(every) == [None] * len(every)
    assert len(calls) == 2
    assert target.write_packed([]) == []


def test_one_change_given_otherwise_in_one_run_is_a_conflict(source: PackedStore, target: PackedStore) -> None:
    put(target, 4, 10)
    (mine,) = (record for record in source.read_packed([(location(4), Change(Timestamp(1), DATA))]) if record)
    (outcome,) = target.write_packed([IncomingRecord(location(4).partition, mine, lambda *_: None)])
    assert isinstance(outcome, Conflict)


def test_metadata_of_another_change_are_refused(source: PackedStore, target: PackedStore) -> None:
    found = [(location(number), Change(Timestamp(1), DATA)) for number in (4, 5)]
    one, other = (check_received(record) for record in source.read_packed(found) if record)
    header = one.header
    later = Change(Timestamp(2), DATA)
    outgoing = Outgoing(header.name_hash, later, other.metadata, (one.content,), header.content_crc)
    record = encode_head(b"12345678", outgoing) + bytes(one.content)
    (outcome,) = target.write_packed([IncomingRecord(0, record, lambda *_: None)])
    assert isinstance(outcome, InvalidInput)
    assert names(target) == []


def test_a_run_is_written_by_one_call_and_one_sync(source: PackedStore, target: PackedStore) -> None:
    source.forget(location(1), [Change(Timestamp(2), METADATA)])  # changes of one name are made one after the other
    every = incoming(source, "record")
    target.write_packed(every[:1])  # makes the volume and the index
    calls: Counter[str] = Counter()

    class Counting(Files):
        def write_at(self, fd: int, pieces: Sequence[Buffer], offset: int) -> None:
            calls["appends"] += offset >= VOLUME_HEADER_SIZE
            super().write_at(fd, pieces, offset)

        def fdatasync(self, fd: int) -> None:
            calls["syncs"] += 1
            super().fdatasync(fd)

    target.volumes._writer._files = Counting()
    assert target.write_packed(every) == [None] * len(every)
    assert calls == {"appends": 1, "syncs": 1}


def test_a_full_device_takes_no_data_of_a_run_and_shows_none(source: PackedStore, target: PackedStore) -> None:
    every = incoming(source, "record")

    class Full(Files):
        def write_at(self, fd: int, pieces: Sequence[Buffer], offset: int) -> None:
            super().write_at(fd, [b"".join(pieces)[:3000]], offset)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target.write_packed(every[:1])
    files = target.volumes._writer._files
    target.volumes._writer._files = Full()
    outcomes = target.write_packed(every[1:])
    assert {type(outcome) for outcome in outcomes} == {NoSpace}
    assert names(target) == names(source)[:1]
    target.volumes._writer._files = files
    assert target.write_packed(every) == [None] * len(every)
    assert names(target) == names(source)


def settled(root: Path, files: Files = FILES) -> PackedStore:
    """A store whose steps are all made by the caller's thread, or in one pool that all stores share."""
    options: dict[str, Any] = {"files": files, "batching": Inline, "pool": POOL, "background": BACKGROUND}
    return PackedStore(str(root), settings=SETTINGS, limit=1 << 20, power=lambda: POWER, **options)


def contents(store: PackedStore) -> dict[int, bytes]:
    found = {}
    for number in range(5):
        with contextlib.suppress(NotFound), store.open(location(number)) as reader:
            found[number] = b"".join(map(bytes, reader.read(0, 1000)))
    return found


def test_a_run_that_is_killed_or_cut_off_leaves_whole_changes_and_is_taken_again(
    source: PackedStore, tmp_path: Path
) -> None:
    for number in range(5, COUNT):
        source.forget(location(number), [Change(Timestamp(1), DATA)])
    every = incoming(source, "record")
    whole = tmp_path / "whole"
    whole.mkdir()
    store = settled(whole)
    put(store, 3, 9)  # another one of the same time: that of the run is refused
    put(store, 4)
    store.release()
    outcome, count, ended = contents(source), 0, False
    while not ended:
        count += 1
        root = tmp_path / str(count)
        shutil.copytree(whole, root, symlinks=True)
        files = FaultyFiles(str(root))
        files.cut_at = count
        try:
            settled(root, files).write_packed(every)
            ended = True
        except PowerCut:
            gc.collect()  # a killed process holds no lock
        roots = [root]
        for seed in (None, 1, 2):
            roots.append(Path(files.outcome(tmp_path / f"{count}-{seed}", seed)))
            shutil.rmtree(roots[-1] / "packed/index", ignore_errors=True)
            volumes = Volumes(FILES, f"{roots[-1]}/packed/volumes")
            open_index(FILES, f"{roots[-1]}/packed", volumes, sleep=lambda _: None).close()
        for each in roots:
            store = settled(each)
            found = contents(store)
            assert all(found[number] in (outcome[number], bytes([number]) * 9) for number in found), count
            assert not ended or each != root or found.keys() == outcome.keys()
            refused = [type(error) for error in store.write_packed(every) if error is not None]
            assert refused == [Conflict], count
            assert contents(store) == {**outcome, 3: bytes([3]) * 9}, count
            store.release()
            shutil.rmtree(each)
    assert count > 8
