"""Files in partitions of two part powers: writers give them two names, relinking and cleaning up the rest.

The power is cut at every step; what was acknowledged is found by both part powers, or by that which is left.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.engines import present
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.core.errors import Corrupt, NotFound, ObjstoreError
from objstore.core.names import Location, partition_of
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES, Files
from objstore.runtime.threads import ThreadPool
from objstore.store.interface import ObjectData, ObjectMetadata
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.layout import Layout
from objstore.store.objects.relink import RelinkCounts, Relinker, Step, relink_device
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.objects.space import Reserve

_spec = importlib.util.spec_from_file_location("faulty_files", Path(__file__).with_name("faulty_files.py"))
assert _spec is not None and _spec.loader is not None
faulty_files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(faulty_files)
FaultyFiles, Inline, PowerCut = faulty_files.FaultyFiles, faulty_files.Inline, faulty_files.PowerCut

POWER = 4
RELINK = Step(POWER + 1, (POWER,), False)
CLEAN = Step(POWER + 1, (POWER,), True)
CANCEL = Step(POWER, (POWER + 1,), True)
HASH = next(h for h in (hashlib.md5(bytes([n])).hexdigest() for n in range(99)) if partition_of(h, 5) > 1)
OLD = Location(partition_of(HASH, POWER), HASH)
NEW = Location(partition_of(HASH, POWER + 1), HASH)
FROM_OLD, FROM_NEW = OLD._replace(twin=NEW.partition), NEW._replace(twin=OLD.partition)
NAME = "/a/c/o"
POOL = ThreadPool("relink-tests", 1)


def store_at(root: Any, files: Any = FILES) -> FileReplicaStore:
    options = FileSettings(Reserve(), ballast=0)
    return FileReplicaStore(str(root), files=files, settings=options, batching=Inline, pool=POOL, background=POOL)


def put(store: Any, when: int, at: Location, content: bytes = b"") -> None:
    content = content or b"content %d" % when
    with store.create(at, len(content)) as writer:
        writer.write(content)
        writer.commit(ObjectData(NAME, Timestamp(when), "text/plain", {"X-Object-Meta-When": str(when)}))


def post(store: Any, when: int, at: Location) -> None:
    store.post(at, ObjectMetadata(Timestamp(when), {"X-Object-Meta-When": str(when)}))


def delete(store: Any, when: int, at: Location) -> None:
    store.delete(at, NAME, Timestamp(when))


def state(store: Any, at: Location) -> Any:
    try:
        reader = store.open(at)
    except NotFound as error:
        return error.timestamp
    with reader:
        return reader.info, b"".join(bytes(piece) for piece in reader.read(0, 1 << 40))


def relinked(root: Any, step: Step, files: Any = FILES) -> RelinkCounts:
    relinker = Relinker(files, Layout(str(root), 0), step)
    counts = RelinkCounts()
    try:
        for partition in relinker.partitions():
            counts = counts.plus(relinker.relink(partition))
        return counts
    finally:
        relinker.close()


def names(store: Any, at: Location) -> list[str]:
    return sorted(map(str, present(store, at)))


@pytest.mark.parametrize("at", [FROM_OLD, FROM_NEW], ids=["old ring", "new ring"])
def test_every_change_is_found_by_both_rings(tmp_path: Path, at: Location) -> None:
    store = store_at(tmp_path)
    for act, when in ((put, 1), (post, 2), (put, 3), (delete, 4), (put, 5), (post, 6)):
        act(store, when, at)
        assert state(store, OLD) == state(store, NEW)
        assert names(store, OLD) == names(store, NEW)  # what is obsolete is gone in both
    first = next((tmp_path / "objects").glob("*/*/*/*.data"))
    assert first.stat().st_nlink == 2


def test_a_large_object_has_two_names(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    put(store, 1, FROM_OLD, bytes(3_000_000))
    assert state(store, OLD) == state(store, NEW)


def test_the_same_change_again_does_no_harm(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    put(store, 1, OLD)
    put(store, 1, FROM_OLD)
    put(store, 1, FROM_NEW)
    assert names(store, OLD) == names(store, NEW) == ["0000000000.00001.data"]


def test_a_bad_file_is_put_away_under_both_names(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    put(store, 1, FROM_OLD)
    path = next((tmp_path / "objects").glob("*/*/*/*.data"))
    path.write_bytes(b"X" + path.read_bytes()[1:])
    with pytest.raises(Corrupt):
        state(store, FROM_NEW)
    assert names(store, OLD) == names(store, NEW) == []


def test_relinking_brings_what_counts_and_cleaning_up_removes_the_rest(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    hashes = [hashlib.md5(str(number).encode()).hexdigest() for number in range(60)]
    for number, name_hash in enumerate(hashes):
        at = Location(partition_of(name_hash, POWER), name_hash)
        put(store, 1, at)
        if number % 3 == 1:
            post(store, 2, at)
        if number % 3 == 2:
            delete(store, 2, at)
    before = {h: state(store, Location(partition_of(h, POWER), h)) for h in hashes}
    kept = {p: store.partition_hash(p) for p in store.partitions()}
    counts = relink_device(FILES, str(tmp_path), 0, RELINK)
    assert counts.linked and not counts.removed and not counts.strays
    for ring in (POWER, POWER + 1):
        assert {h: state(store, Location(partition_of(h, ring), h)) for h in hashes} == before
    assert relink_device(FILES, str(tmp_path), 0, RELINK).linked == 0
    assert any(store.partition_hash(p) != known for p, known in kept.items() if p * 2 in kept)  # hashes are made anew
    counts = relink_device(FILES, str(tmp_path), 0, CLEAN)
    assert counts.removed and not counts.linked
    assert {h: state(store, Location(partition_of(h, POWER + 1), h)) for h in hashes} == before
    found = list((tmp_path / "objects").glob("*/*/*"))
    assert sorted(path.name for path in found) == sorted(hashes)
    assert all(int(path.parts[-3]) == partition_of(path.name, POWER + 1) for path in found)
    for partition in store.partitions():
        assert store.partition_hash(partition) == store_at(tmp_path).partition_hash(partition) != ""
    assert not (tmp_path / "relink-objects.json").exists()


def test_cleaning_up_brings_what_a_writer_of_the_old_ring_left(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    put(store, 1, OLD)
    relinked(tmp_path, RELINK)
    put(store, 5, OLD)  # no twin: its proxy had not heard
    after = state(store, OLD)
    assert relinked(tmp_path, CLEAN).linked == 1
    assert state(store, NEW) == after
    assert names(store, OLD) == []


def test_no_second_names_are_made_once_cleaning_up_has_begun(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    put(store, 1, OLD)
    relink_device(FILES, str(tmp_path), 0, RELINK)
    relink_device(FILES, str(tmp_path), 0, CLEAN)
    put(store, 5, FROM_NEW)
    assert names(store, OLD) == []
    relink_device(FILES, str(tmp_path), 0, Step(POWER + 2, (POWER + 1,), False))
    put(store, 6, FROM_NEW)
    assert len(names(store, OLD)) == 1


def test_what_a_writer_of_one_ring_left_is_found_by_the_other(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    for act, when in ((put, 1), (put, 3), (post, 4), (delete, 5), (put, 7)):
        act(store, when, OLD)  # its proxy had not heard, or its body was long on the way
        newest, found = store.exclusively(FROM_NEW, lambda newest, look: (newest, look()))
        assert newest == Timestamp(when)
        assert (found is None) == (act is delete)
        assert state(store, FROM_NEW) == state(store, OLD)
    delete(store, 8, OLD)
    with pytest.raises(NotFound):
        post(store, 9, FROM_NEW)
    assert relinked(tmp_path, CLEAN).linked == 0


def test_a_cancelled_change_leaves_nothing_behind(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    put(store, 1, OLD)
    relinked(tmp_path, RELINK)
    put(store, 2, FROM_OLD)
    before = state(store, OLD)
    assert relinked(tmp_path, CANCEL).removed
    assert (state(store, OLD), names(store, NEW)) == (before, [])


def test_names_in_partitions_of_neither_part_power_are_left_alone(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    astray = OLD._replace(partition=(OLD.partition + 5) % 16)
    put(store, 1, astray)
    for step in (RELINK, CLEAN):
        assert relinked(tmp_path, step).strays == 1
    assert len(names(store, astray)) == 1


def test_work_that_broke_off_goes_on_where_it_was(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    for number in range(40):
        name_hash = hashlib.md5(str(number).encode()).hexdigest()
        put(store, 1, Location(partition_of(name_hash, POWER), name_hash))
    looked: list[int] = []

    def stop_at(done: int, total: int) -> None:
        looked.append(done)
        if done == total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        relink_device(FILES, str(tmp_path), 0, RELINK, report=stop_at)
    relink_device(FILES, str(tmp_path), 0, RELINK)
    for path in (tmp_path / "objects").glob("*/*/*"):
        assert state(store, Location(partition_of(path.name, POWER + 1), path.name)) is not None


Act = Callable[[Any], object]
Case = tuple[tuple[Act, ...], Act]


def crash_cases() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for ring, at in (("old", FROM_OLD), ("new", FROM_NEW)):
        first = (lambda s, at=at: put(s, 1, at), lambda s, at=at: post(s, 2, at))
        cases[f"put by the {ring} ring"] = (), lambda s, at=at: put(s, 5, at)
        cases[f"overwrite by the {ring} ring"] = first, lambda s, at=at: put(s, 5, at)
        cases[f"post by the {ring} ring"] = first, lambda s, at=at: post(s, 5, at)
        cases[f"delete by the {ring} ring"] = first, lambda s, at=at: delete(s, 5, at)
    return cases


CASES = crash_cases()


@pytest.mark.parametrize("ordered", [False, True], ids=["any order", "ordered"])
@pytest.mark.parametrize("case", CASES)
def test_a_power_cut_leaves_what_was_acknowledged_under_both_names(tmp_path: Path, case: str, ordered: bool) -> None:
    before, act = CASES[case]
    numbers = itertools.count()

    def device() -> Any:
        root = tmp_path / str(next(numbers))
        root.mkdir()
        for each in before:
            each(store_at(root))
        return FaultyFiles(str(root), True, ordered)

    plain = device()
    old = state(store_at(plain.root), OLD)
    assert old == state(store_at(plain.root), NEW)
    act(store_at(plain.root, plain))
    new = state(store_at(plain.root), OLD)
    for cut in range(1, len(plain.steps) + 2):
        files = device()
        files.cut_at = cut
        answered = True
        try:
            act(store_at(files.root, files))
        except (PowerCut, ObjstoreError):
            answered = False
        for seed in (None, 1, 2, 3):
            left = store_at(files.outcome(tmp_path / str(next(numbers)), seed))
            for at in (OLD, NEW):
                assert state(left, at) in ((new,) if answered else (old, new)), (case, cut, seed, at)
            shutil.rmtree(left.root)


def several(store: Any) -> None:
    put(store, 1, OLD)
    post(store, 2, OLD)
    other = HASH[:-1] + ("0" if HASH[-1] != "0" else "1")
    put(store, 1, OLD._replace(hash=other))
    delete(store, 3, OLD._replace(hash=other))
    third = HASH[:20] + "0" * 12
    put(store, 1, OLD._replace(hash=third))


def everything(root: str, power: int) -> dict[str, Any]:
    store = store_at(root)
    hashes = (HASH, HASH[:-1] + ("0" if HASH[-1] != "0" else "1"), HASH[:20] + "0" * 12)
    return {h: state(store, Location(partition_of(h, power), h)) for h in hashes}


@pytest.mark.parametrize("ordered", [False, True], ids=["any order", "ordered"])
@pytest.mark.parametrize("step", [RELINK, CLEAN, CANCEL], ids=["relink", "clean up", "clean up after cancel"])
def test_a_power_cut_while_names_are_brought_or_removed_loses_nothing(
    tmp_path: Path, step: Step, ordered: bool
) -> None:
    numbers = itertools.count()

    def device() -> Any:
        root = tmp_path / str(next(numbers))
        root.mkdir()
        several(store_at(root))
        if step is not RELINK:
            relinked(root, RELINK)
        return FaultyFiles(str(root), True, ordered)

    plain = device()
    wanted = everything(plain.root, POWER)
    relinked(plain.root, step, plain)
    readers = (POWER,) if step.right == POWER else (POWER + 1,) if step.clean else (POWER,)
    for cut in range(1, len(plain.steps) + 2):
        files = device()
        files.cut_at = cut
        done = True
        try:
            relinked(files.root, step, files)
        except PowerCut:
            done = False
        for seed in (None, 1, 2, 3):
            left = files.outcome(tmp_path / str(next(numbers)), seed)
            for power in (*readers, *((step.right,) if done else ())):
                assert everything(left, power) == wanted, (cut, seed, power)
            relinked(left, step)  # once more, to the end
            assert everything(left, step.right) == wanted, (cut, seed)
            shutil.rmtree(left)


def test_what_another_process_has_linked_is_durable_before_the_first_name_goes(tmp_path: Path) -> None:
    (tmp_path / "device").mkdir()
    put(store_at(tmp_path / "device"), 1, OLD)
    files = FaultyFiles(str(tmp_path / "device"), True, False)
    layout = Layout(files.root, 0)
    old, new = layout.hash_dir(OLD), layout.hash_dir(NEW)
    for directory in (layout.partition_dir(NEW.partition), layout.suffix_dir(NEW.partition, HASH[-3:]), new):
        files.mkdir(directory)
    (name,) = files.list(old)
    files.link_again(f"{old}/{name}", f"{new}/{name}")
    assert relinked(files.root, CLEAN, files).removed == 1
    left = store_at(files.outcome(tmp_path / "left", None))
    assert names(left, NEW) == [name]


class Unordered(Files):
    """Notes which directories are synced, on a file system that orders nothing."""

    def __init__(self) -> None:
        self.synced: list[str] = []

    def orders_names(self, path: str) -> bool:
        return False

    def fsync_dir(self, path: str) -> None:
        self.synced.append(path)
        super().fsync_dir(path)


@pytest.mark.parametrize("when", ["between two names", "before the sync"])
def test_directories_that_others_removed_and_made_again_are_synced_again(tmp_path: Path, when: str) -> None:
    """Their names were taken for durable, as they had been once."""
    store = store_at(tmp_path, Unordered())
    beside = HASH[:20] + "0" * 12
    put(store, 1, OLD)
    put(store, 1, OLD._replace(hash=beside))
    files = Unordered()
    relinker = Relinker(files, Layout(str(tmp_path), 0), RELINK)
    relinker.bring(OLD, NEW)

    def remove_and_make_again() -> None:
        store.forget(NEW, present(store, NEW))
        assert NEW.partition not in store.partitions()
        (tmp_path / "objects" / str(NEW.partition)).mkdir()
        files.synced.clear()

    if when == "between two names":
        remove_and_make_again()
        relinker.bring(OLD._replace(hash=beside), NEW._replace(hash=beside))
    else:
        source, target = OLD._replace(hash=beside), NEW._replace(hash=beside)
        relinker._locked(source, target, relinker._carry)
        files.synced.clear()
        files.count_up(Layout(str(tmp_path), 0).removals)
        relinker._sync()
    relinker.close()
    assert {str(tmp_path), str(tmp_path / "objects")} <= set(files.synced)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "post", "delete", "relink", "clean"]),
            st.integers(1, 9),
            st.sampled_from([OLD, FROM_OLD, FROM_NEW]),
        ),
        max_size=12,
    )
)
def test_whatever_comes_in_whatever_order_is_the_same_in_the_end(
    tmp_path_factory: Any, acts: list[tuple[str, int, Location]]
) -> None:
    root, plain_root = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    store, plain = store_at(root), store_at(plain_root)
    for number, (act, when, at) in enumerate(acts):
        if act in ("relink", "clean"):
            relinked(root, RELINK if act == "relink" else CLEAN)
            continue
        stamp = when * 100 + number
        for each, place in ((store, at), (plain, OLD)):
            if act == "post":
                each.post(place, ObjectMetadata(Timestamp(stamp), {"X-Object-Meta-When": "post"}), None, True)
            else:
                (put if act == "put" else delete)(each, stamp, place)
    relinked(root, CLEAN)
    assert state(store, NEW) == state(plain, OLD)
    assert names(store, OLD) == []
