"""The index of packed records."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.store.faulty_files import FaultyFiles, PowerCut

from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES, Files
from objstore.store.change import DATA, Change
from objstore.store.packed.index import Index
from objstore.store.packed.page_files import DamagedIndex, StaleIndex
from objstore.store.packed.pages import PAGE, SPLIT, decode_page
from objstore.store.packed.places import Entry, Place


def entry(number: int) -> Entry:
    return Entry(Change(Timestamp(number), DATA), Place(number % 7, number, 100, 50))


def name(first: int, rest: int = 0) -> str:
    """A hash by its first 32 bits and the others."""
    return f"{first:08x}{rest:024x}"


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index.create(FILES, str(tmp_path / "index"))


def small(path: Path, capacity: int = 2, files: Files = FILES) -> Index:
    if not path.exists():
        Index.create(files, str(path))
    return Index(files, str(path), capacity=capacity)


def content(index: Index, prefix: int = 0, bits: int = 0) -> list[tuple[str, Entry]]:
    return list(index.entries(prefix, bits))


# Look-ups and changes


def test_what_was_added_is_found(index: Index) -> None:
    index.edit(name(5), lambda entries: [*entries, entry(1)])
    assert index.find(name(5)) == [entry(1)]
    assert index.find_cached(name(5)) == [entry(1)]
    assert index.find(name(5, 1)) == []
    assert index.find_cached(name(5, 1)) == []


def test_a_name_has_all_its_entries_and_loses_those_that_are_left_out(index: Index) -> None:
    index.edit(name(5), lambda _: [entry(1), entry(3), entry(2)])
    assert sorted(index.find(name(5))) == [entry(1), entry(2), entry(3)]
    index.edit(name(5), lambda entries: [each for each in entries if each != entry(2)])
    assert sorted(index.find(name(5))) == [entry(1), entry(3)]
    index.edit(name(5), lambda _: [])
    assert index.find(name(5)) == []


def test_what_does_not_change_is_not_written(tmp_path: Path) -> None:
    files = FaultyFiles(str(tmp_path))
    index = Index.create(files, str(tmp_path / "index"))
    index.edit(name(5), lambda _: [entry(1), entry(2)])
    steps = len(files.steps)
    index.edit(name(5), lambda entries: entries[::-1])
    assert files.steps[steps:] == []


def test_an_error_of_the_change_leaves_the_name_and_its_lock(index: Index) -> None:
    index.edit(name(5), lambda _: [entry(1)])
    with pytest.raises(ZeroDivisionError):
        index.edit(name(5), lambda _: [entry(1 // 0)])
    index.edit(name(5), lambda entries: [*entries, entry(2)])
    assert sorted(index.find(name(5))) == [entry(1), entry(2)]


@pytest.mark.parametrize("text", ["", "00", "g" * 32, "0" * 31, "0" * 34, " " + "0" * 32])
def test_what_is_no_hash_is_refused(index: Index, text: str) -> None:
    with pytest.raises(ValueError):
        index.find(text)


def test_there_is_no_index_where_none_was_made(tmp_path: Path) -> None:
    index = Index(FILES, str(tmp_path / "index"))
    with pytest.raises(FileNotFoundError):
        index.find(name(1))
    with pytest.raises(FileNotFoundError):
        index.edit(name(1), lambda entries: entries)
    assert index.find_cached(name(1)) is None
    assert not index.is_current()


def test_an_index_is_not_made_over_another(index: Index, tmp_path: Path) -> None:
    index.edit(name(5), lambda _: [entry(1)])
    with pytest.raises(OSError):
        Index.create(FILES, str(tmp_path / "index"))
    assert index.find(name(5)) == [entry(1)]


# Random changes against a model

# Few different first bits, so that pages split deep; the last digits make names.
NAMES = st.builds(
    lambda base, low, rest: name((base ^ low) & 0xFFFFFFFF, rest),
    st.sampled_from([0, 0xFFFFFFFF, 0x12345678, 0x80000000]),
    st.one_of(st.integers(0, 0xFFFFFFFF), st.integers(4, 0xFFFF), st.integers(0, 3).map(lambda bit: 4 << (bit * 8))),
    st.integers(0, 1),
)
RANGES = st.integers(0, 32).flatmap(lambda bits: st.tuples(st.integers(0, (1 << bits) - 1), st.just(bits)))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(NAMES, st.integers(0, 2)), max_size=60),
    st.lists(st.tuples(NAMES, st.integers(3, 4)), max_size=40),
    st.lists(RANGES, max_size=6),
    st.sampled_from([8, 20]),
)
def test_it_is_as_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory,
    edits: list[tuple[str, int]],
    bulk: list[tuple[str, int]],
    ranges: list[tuple[int, int]],
    capacity: int,
) -> None:
    directory = tmp_path_factory.mktemp("model")
    index = small(directory / "index", capacity)
    other = Index(FILES, str(directory / "index"), capacity=capacity)
    model: dict[str, set[Entry]] = {}
    for number, (name_hash, kind) in enumerate(edits):
        old = model.get(name_hash, set())
        new = {entry(number)} if kind == 0 else old | {entry(number)} if kind == 1 and len(old) < 3 else set()
        (index if number % 2 else other).edit(name_hash, lambda found, old=old, new=new: _swap(found, old, new))
        model[name_hash] = new
    index.add(sorted((name_hash, entry(number)) for name_hash, number in bulk))
    for name_hash, number in bulk:
        model.setdefault(name_hash, set()).add(entry(number))
    model = {name_hash: entries for name_hash, entries in model.items() if entries}
    for each in (index, other, Index(FILES, str(directory / "index"))):
        _agrees(each, model, ranges)
    shutil.rmtree(directory)


def _swap(found: list[Entry], old: set[Entry], new: set[Entry]) -> list[Entry]:
    assert set(found) == old
    return list(new)


def _agrees(index: Index, model: dict[str, set[Entry]], ranges: list[tuple[int, int]]) -> None:
    for name_hash, entries in model.items():
        assert set(index.find(name_hash)) == entries
        assert index.find_cached(name_hash) in (None, index.find(name_hash))
    for prefix, bits in [(0, 0), *ranges]:
        within = {key: value for key, value in model.items() if int(key[:8], 16) >> (32 - bits) == prefix}
        rows = content(index, prefix, bits)
        assert [key for key, _ in rows] == [key for key in sorted(within) for _ in within[key]]
        assert set(rows) == {(key, value) for key, values in within.items() for value in values}
        if bits:
            assert (prefix in index.prefixes(bits)) == bool(within)
    for bits in {bits for _, bits in ranges if bits}:
        assert index.prefixes(bits) == sorted({int(key[:8], 16) >> (32 - bits) for key in model})


# Growth


def test_many_thousands_of_names_go_deep_and_stay_in_order(index: Index, tmp_path: Path) -> None:
    chosen = random.Random(3)
    names = [f"{chosen.getrandbits(128):032x}" for _ in range(40_000)]
    half = sorted(names[:20_000])
    assert index.add((each, entry(int(each[:6], 16))) for each in half) == 20_000
    for each in names[20_000:]:
        index.edit(each, lambda found, each=each: [*found, entry(int(each[:6], 16))])
    assert (tmp_path / "index" / "9").exists()
    assert [key for key, _ in index.entries(0, 0)] == sorted(names)
    fresh = Index(FILES, str(tmp_path / "index"))
    for each in chosen.sample(names, 500):
        assert fresh.find(each) == [entry(int(each[:6], 16))]
        assert fresh.find_cached(each) == [entry(int(each[:6], 16))]
    assert index.prefixes(12) == sorted({int(each[:3], 16) for each in names})


def test_names_that_share_a_long_prefix_have_room_by_the_page(tmp_path: Path) -> None:
    index = small(tmp_path / "index", 4)
    shared = [name(0xABCDEF0C, rest) for rest in range(4)]
    for number, each in enumerate(shared):
        index.edit(each, lambda _, number=number: [entry(number)])
    near = name(0xABCDEF0B)
    index.edit(near, lambda _: [entry(9)])
    with pytest.raises(OSError) as refused:
        index.edit(name(0xABCDEF0C, 99), lambda _: [entry(9)])
    assert refused.value.errno == errno.ENOSPC
    assert [index.find(each) for each in (*shared, near)] == [[entry(number)] for number in (0, 1, 2, 3, 9)]
    index.edit(shared[0], lambda _: [])
    index.edit(name(0xABCDEF0C, 99), lambda _: [entry(9)])
    assert index.find(name(0xABCDEF0C, 99)) == [entry(9)]


def test_a_full_disk_leaves_a_page_that_is_not_split(tmp_path: Path) -> None:
    files = FaultyFiles(str(tmp_path))
    index = small(tmp_path / "index", 1, files)
    index.edit(name(1), lambda _: [entry(1)])
    index.edit(name(1 << 31), lambda _: [entry(3)])
    files.failure = OSError(errno.ENOSPC, "full")
    files.fail_at = len(files.steps) + 2
    with pytest.raises(OSError):
        index.edit(name(1 << 23), lambda _: [entry(2)])
    assert files.steps[-2:] == ["create", "preallocate"]
    assert index.find_cached(name(1)) == [entry(1)]
    index.edit(name(1 << 23), lambda _: [entry(2)])
    assert index.find(name(1 << 23)) == [entry(2)]


def test_what_is_to_be_done_before_a_change_is_done_only_if_there_is_room(tmp_path: Path) -> None:
    files = FaultyFiles(str(tmp_path))
    index = small(tmp_path / "index", 1, files)
    done: list[list[Entry]] = []
    index.edit(name(1), lambda _: [entry(1)], lambda: done.append(small(tmp_path / "index").find(name(1))))
    index.edit(name(1), lambda _: [entry(1)], lambda: done.append([]))  # changes nothing
    files.failure = OSError(errno.ENOSPC, "full")
    files.fail_at = len(files.steps) + 2
    with pytest.raises(OSError):
        index.edit(name(1 << 23), lambda _: [entry(2)], lambda: done.append([entry(98)]))
    assert done == [[], []]


# Many names


def test_many_names_are_edited_page_by_page_and_found_at_once(tmp_path: Path) -> None:
    index = small(tmp_path / "index", 4)
    names = [name(number * 0x00157913 & 0xFFFFFFFF) for number in range(200)]
    for number, each in enumerate(names[:50]):
        index.edit(each, lambda _, number=number: [entry(number)])
    written: list[list[str]] = []
    changes = {each: lambda found, number=number: [*found, entry(1000 + number)] for number, each in enumerate(names)}
    index.edit_all(changes, lambda _: None, lambda some: written.append(list(some)))
    assert [each for some in written for each in some] == sorted(names)
    assert max(map(len, written)) > 1
    expected = {each: [entry(1000 + number)] for number, each in enumerate(names)}
    for number, each in enumerate(names[:50]):
        expected[each].insert(0, entry(number))
    found = index.find_all([*names, name(77)])
    assert {each: sorted(entries) for each, entries in found.items()} == {**expected, name(77): []}
    assert found == {each: index.find(each) for each in found}
    assert index.find_all([]) == {}


def test_pages_of_many_names_are_changed_in_order_until_the_disk_is_full(tmp_path: Path) -> None:
    files = FaultyFiles(str(tmp_path))
    index = small(tmp_path / "index", 1, files)
    first, second, third = name(1), name(1 << 24), name(2 << 24)
    index.edit(second, lambda _: [entry(1)])
    before: list[str] = []
    after: list[str] = []

    def fail_for_second(names: Sequence[str]) -> None:
        before.extend(names)
        if second in names:
            raise OSError(errno.ENOSPC, "full")

    changes = {each: lambda _: [entry(2)] for each in (first, second, third)}
    with pytest.raises(OSError):
        index.edit_all(changes, fail_for_second, after.extend)
    assert (before, after) == ([first, second], [first])
    assert [index.find(each) for each in (first, second, third)] == [[entry(2)], [entry(1)], []]


# Ranges


def test_a_fingerprint_is_of_the_entries_alone(tmp_path: Path) -> None:
    one, two = small(tmp_path / "one", 2), small(tmp_path / "two", 60)
    names = [name(number * 0x01357913 & 0xFFFFFFFF) for number in range(50)]
    for number, each in enumerate(names):
        one.edit(each, lambda _, number=number: [entry(number)])
    for number, each in reversed(list(enumerate(names))):
        two.edit(each, lambda _, number=number: [entry(number)])
    for bits in (0, 3, 8, 10, 20):
        prefix = int(names[7][:8], 16) >> (32 - bits)
        assert one.fingerprint(prefix, bits) == two.fingerprint(prefix, bits)
    before = one.fingerprint(int(names[7][:2], 16), 8)
    one.edit(names[7], lambda _: [entry(99)])
    assert one.fingerprint(int(names[7][:2], 16), 8) != before
    one.edit(names[7], lambda _: [entry(7)])
    assert one.fingerprint(int(names[7][:2], 16), 8) == before


@pytest.mark.parametrize(("prefix", "bits"), [(1, 0), (4, 2), (-1, 4), (0, 33)])
def test_what_is_no_prefix_is_refused(index: Index, prefix: int, bits: int) -> None:
    with pytest.raises(ValueError):
        content(index, prefix, bits)


def test_names_out_of_order_are_not_added(index: Index) -> None:
    with pytest.raises(ValueError, match="order"):
        index.add([(name(2), entry(1)), (name(1), entry(1))])


# Damage


def depths(directory: Path) -> list[int]:
    return sorted(int(each) for each in os.listdir(directory))


def test_a_damaged_page_is_reported_and_others_are_read(index: Index, tmp_path: Path) -> None:
    index.edit(name(0x05000000), lambda _: [entry(1)])
    index.edit(name(0x06000000), lambda _: [entry(2)])
    with open(tmp_path / "index" / "8", "r+b") as file:
        file.seek(5 * PAGE + 70)
        file.write(b"?")
    assert index.find_cached(name(0x05000000)) is None
    for call in (
        lambda: index.find(name(0x05000000)),
        lambda: index.edit(name(0x05000000), lambda entries: entries),
        lambda: index.add([(name(0x05000000), entry(3))]),
        lambda: content(index, 5, 8),
        lambda: index.fingerprint(0, 0),
        lambda: index.prefixes(4),
    ):
        with pytest.raises(DamagedIndex):
            call()
    assert index.find(name(0x06000000)) == [entry(2)]
    index.edit(name(0x06000000), lambda _: [])


@pytest.mark.parametrize("damage", ["hole", "missing file"])
def test_a_lost_page_below_a_split_one_is_damage(tmp_path: Path, damage: str) -> None:
    index = small(tmp_path / "index", 1)
    names = [name(0), name(0x00800000)]
    for each in names:
        index.edit(each, lambda _: [entry(1)])
    if damage == "hole":
        with open(tmp_path / "index" / "9", "r+b") as file:
            file.write(bytes(PAGE))
    else:
        os.unlink(tmp_path / "index" / "9")
    fresh = small(tmp_path / "index")
    assert fresh.find_cached(names[0]) is None
    with pytest.raises(DamagedIndex, match="missing"):
        fresh.find(names[0])
    with pytest.raises(DamagedIndex):
        content(fresh)


def test_a_page_read_while_it_is_written_is_read_again(tmp_path: Path) -> None:
    class Torn(Files):
        tears = 0

        def read_at(self, fd: int, buffer: bytearray | memoryview, offset: int) -> int:
            count = super().read_at(fd, buffer, offset)
            if self.tears:
                self.tears -= 1
                memoryview(buffer)[64:128] = bytes(64)
            return count

    files = Torn()
    index = small(tmp_path / "index", 4, files)
    index.edit(name(5), lambda _: [entry(1)])
    for tears in range(1, 4):
        files.tears = tears
        assert index.find(name(5)) == [entry(1)]
    files.tears = 1
    assert content(index, 0, 8) == [(name(5), entry(1))]
    files.tears = 1000
    with pytest.raises(DamagedIndex):
        index.find(name(5))


# Another index in its place


@pytest.mark.parametrize("how", ["removed", "replaced", "closed"])
def test_an_index_that_went_is_stale(tmp_path: Path, how: str) -> None:
    now = [0.0]
    Index.create(FILES, str(tmp_path / "index"))
    index = Index(FILES, str(tmp_path / "index"), monotonic=lambda: now[0])
    index.edit(name(5), lambda _: [entry(1)])
    assert index.is_current()
    if how == "closed":
        index.close()
    else:
        os.rename(tmp_path / "index", tmp_path / "old")
    if how == "replaced":
        Index.create(FILES, str(tmp_path / "index"))
    with pytest.raises(StaleIndex):
        index.edit(name(5), lambda entries: entries)
    now[0] += 1.5
    assert index.find_cached(name(5)) is None
    for call in (lambda: index.find(name(5)), lambda: content(index), index.sync):
        with pytest.raises(StaleIndex):
            call()
    assert not index.is_current()


# Several at once


def _count_up(directory: str, seed: int, names: list[str], capacity: int) -> None:
    index = Index(FILES, directory, capacity=capacity)
    chosen = random.Random(seed)
    for _ in range(600):
        index.edit(chosen.choice(names), _one_more)


def _one_more(entries: list[Entry]) -> list[Entry]:
    return [entry(entries[0].place.position + 1)] if entries else [entry(1)]


def test_processes_and_threads_that_edit_at_once_lose_nothing(tmp_path: Path) -> None:
    small(tmp_path / "index")
    chosen = random.Random(1)
    names = [name(chosen.getrandbits(10) << 20 | chosen.getrandbits(4)) for _ in range(150)]
    directory = str(tmp_path / "index")
    fork = multiprocessing.get_context("fork")
    shared = Index(FILES, directory, capacity=2)
    shared.find(names[0])
    processes = [fork.Process(target=_count_up, args=(directory, seed, names, 2)) for seed in range(3)]
    for process in processes:
        process.start()
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            own = random.Random(seed)
            for _ in range(300):
                shared.edit(own.choice(names), _one_more)
                shared.find(own.choice(names))
                shared.find_cached(own.choice(names))
                list(shared.entries(own.getrandbits(8), 8))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(10, 12)]
    for thread in threads:
        thread.start()
    for each in (*processes, *threads):
        each.join(60)
    assert not errors
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sum(each.place.position for _, each in shared.entries(0, 0)) == 3 * 600 + 2 * 300


# Killed and cut off


def _grow(index: Index, acknowledged: dict[str, Entry]) -> None:
    for number, each in enumerate([name(0), name(0x00800000), name(0x00400000), name(0x00200000), name(0x00A00000)]):
        index.edit(each, lambda _, number=number: [entry(number)])
        acknowledged[each] = entry(number)


def _steps(tmp_path: Path) -> int:
    root = tmp_path / "whole"
    root.mkdir()
    files = FaultyFiles(str(root))
    _grow(small(root / "index", 1, files), {})
    return len(files.steps)


def test_a_process_killed_at_any_step_leaves_an_index_to_go_on_with(tmp_path: Path) -> None:
    for step in range(1, _steps(tmp_path) + 1):
        root = tmp_path / str(step)
        root.mkdir()
        Index.create(FILES, str(root / "index"))
        files = FaultyFiles(str(root))
        files.cut_at = step
        acknowledged: dict[str, Entry] = {}
        with pytest.raises(PowerCut):
            _grow(small(root / "index", 1, files), acknowledged)
            files.cut()
        # What a kill leaves is what was written: the files as they are.
        readers = [Index(FILES, str(root / "index"), capacity=1) for _ in range(3)]
        assert {each: readers[0].find(each) for each in acknowledged} == {
            each: [value] for each, value in acknowledged.items()
        }
        rows = dict(content(readers[1]))
        assert rows.items() >= acknowledged.items()
        again: dict[str, Entry] = {}
        _grow(readers[2], again)
        assert dict(content(readers[0])) == again == dict(content(small(root / "index")))


def test_a_split_that_a_killed_process_began_is_ended_by_whoever_edits(tmp_path: Path) -> None:
    """One half was written, and changed by a process that met it first."""
    Index.create(FILES, str(tmp_path / "index"))
    files = FaultyFiles(str(tmp_path))
    index = small(tmp_path / "index", 1, files)
    left, right = name(0), name(0x00800000)
    index.edit(left, lambda _: [entry(1)])
    while files.steps.count("write_at") < 2:  # up to: SPLITTING, left half
        files.cut_at = len(files.steps) + 5
        with pytest.raises(PowerCut):
            index.edit(right, lambda _: [entry(2)])
    deep = small(tmp_path / "index", 1)
    deep._depths[:] = bytes((9,)) * len(deep._depths)
    deep.edit(left, lambda _: [entry(7)])
    assert small(tmp_path / "index", 1).find(left) == [entry(7)]
    small(tmp_path / "index", 1).edit(right, lambda _: [entry(2)])
    for reader in (deep, small(tmp_path / "index", 1)):
        assert content(reader) == [(left, entry(7)), (right, entry(2))]
    page = decode_page((tmp_path / "index" / "8").read_bytes()[:PAGE], 8, 0)
    assert page is not None and page.state == SPLIT


def _edit_forever(directory: str) -> None:
    index = Index(FILES, directory, capacity=2)
    chosen = random.Random(os.getpid())
    while True:
        index.edit(name(chosen.getrandbits(32)), _one_more)


def test_processes_killed_while_they_edit_leave_a_sound_index(tmp_path: Path) -> None:
    index = small(tmp_path / "index")
    fork = multiprocessing.get_context("fork")
    for _ in range(8):
        before = content(index)
        processes = [fork.Process(target=_edit_forever, args=(str(tmp_path / "index"),)) for _ in range(2)]
        for process in processes:
            process.start()
        give_up = time.monotonic() + 60
        while content(index) == before and time.monotonic() < give_up:
            time.sleep(0.01)
        time.sleep(0.1)
        for process in processes:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join(10)
        rows = content(index)
        assert rows
        for name_hash, value in rows[:: max(1, len(rows) // 50)]:
            assert small(tmp_path / "index").find(name_hash) == [value]


def test_what_was_synced_is_there_after_a_power_cut(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    files = FaultyFiles(str(root))
    index = small(root / "index", 1, files)
    acknowledged: dict[str, Entry] = {}
    _grow(index, acknowledged)
    index.sync()
    index.edit(name(7), lambda _: [entry(70)])
    with pytest.raises(PowerCut):
        files.cut()
    left = files.outcome(tmp_path / "left", None)
    assert dict(content(small(Path(left) / "index"))) == acknowledged
