"""Compaction frees the room of dead records, and neither loses nor revives a change, whatever interrupts it."""

from __future__ import annotations

import importlib.util
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from awscrt.checksums import crc32c

from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES, Files
from objstore.runtime.number_locks import NumberLocks
from objstore.store.change import DATA, TOMBSTONE, Change
from objstore.store.objects.format import encode_record
from objstore.store.objects.liveness import counting
from objstore.store.packed import compaction
from objstore.store.packed.compaction import Compactor, due
from objstore.store.packed.format import VOLUME_HEADER_SIZE, Outgoing, padded
from objstore.store.packed.index import Index
from objstore.store.packed.page_files import StaleIndex
from objstore.store.packed.places import Entry, Place
from objstore.store.packed.volumes import Usage, Volumes

_spec = importlib.util.spec_from_file_location("faulty_files", Path(__file__).with_name("faulty_files.py"))
assert _spec is not None
assert _spec.loader is not None
_faulty = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_faulty)
FaultyFiles, PowerCut = _faulty.FaultyFiles, _faulty.PowerCut

Counting = dict[str, set[Change]]  # by name


def name_of(number: int) -> str:
    return f"{number * 0x9E3779B97F4A7C15 % (1 << 64):016x}{number:016x}"


def data(seconds: int) -> Change:
    return Change(Timestamp(seconds), DATA)


def tombstone(seconds: int) -> Change:
    return Change(Timestamp(seconds), TOMBSTONE)


class Device:
    """Volumes and index of a device; writes as the engine does."""

    def __init__(self, root: Path, files: Files = FILES, most: int = 1 << 30) -> None:
        self.root = root
        self.files = files
        self.packed = f"{root}/packed"
        (root / "packed").mkdir(exist_ok=True)
        (root / "leases").mkdir(exist_ok=True)
        self.most = most
        self.volumes = self.some_volumes()
        if not Path(f"{self.packed}/index").exists():
            Index.create(files, f"{self.packed}/index")
        self.index = Index(files, f"{self.packed}/index")

    def some_volumes(self) -> Volumes:
        return Volumes(self.files, f"{self.packed}/volumes", self.most)

    def write(self, number: int, change: Change, size: int = 300) -> Place:
        content = bytes([number]) * size if change.kind == DATA else b""
        record = encode_record({"name": f"/a/c/{number}"})
        outgoing = Outgoing(name_of(number), change, record, (content,), crc32c(content))
        (place,) = self.volumes.append([outgoing])
        dead: list[Place] = []

        def add(entries: list[Entry]) -> list[Entry]:
            every = [*entries, Entry(change, place)]
            live = counting(entry.change for entry in every)
            dead[:] = [entry.place for entry in every if entry.change not in live]
            return [entry for entry in every if entry.change in live]

        self.index.edit(name_of(number), add)
        self.volumes.kill(dead)
        self.volumes.indexed()
        return place

    def forget(self, number: int) -> None:
        dead: list[Place] = []

        def drop(entries: list[Entry]) -> list[Entry]:
            dead[:] = [entry.place for entry in entries]
            return []

        self.index.edit(name_of(number), drop)
        self.volumes.kill(dead)
        self.volumes.sync_marks()

    def compactor(self, quarantine: Callable[..., object] | None = None, most: int = 1 << 30) -> Compactor:
        def never(*args: object) -> None:
            raise AssertionError(args)

        locks = NumberLocks(f"{self.root}/leases/.locks")
        volumes = Volumes(self.files, f"{self.packed}/volumes", most)
        return Compactor(volumes, self.index, locks, quarantine or never)

    def counting(self) -> Counting:
        """By the index; each record is read."""
        found: Counting = defaultdict(set)
        for name_hash, entry in self.index.entries(0, 0):
            number = int(name_hash[16:], 16)
            record = self.volumes.read(entry.place, name_hash, entry.change)
            assert entry.change.kind != DATA or bytes(record.content) == bytes([number]) * len(record.content)
            found[name_hash].add(entry.change)
        return found

    def rebuilt(self) -> Counting:
        """By the volumes and marks alone, as after a power cut."""
        found: Counting = defaultdict(set)
        for volume in self.volumes.numbers():
            dead = self.volumes.dead(volume)
            for place, header, sound in self.volumes.scan(volume, verify=True):
                if sound and place.position not in dead and header.is_change:
                    found[header.name_hash].add(header.change)
        return {name: set(counting(changes)) for name, changes in found.items()}


def filled(device: Device) -> Counting:
    """Volume 1 with 8 names, of which some were overwritten, deleted, or forgotten since; what counts then."""
    for number in range(8):
        device.write(number, data(100 + number))
    device.volumes.roll()
    for number in (0, 3):
        device.write(number, data(200))
    device.write(5, tombstone(200))
    device.write(6, tombstone(201))
    device.forget(1)
    device.forget(6)
    device.volumes.roll()
    expected = {name_of(number): {data(100 + number)} for number in (2, 4, 7)}
    expected |= {name_of(number): {data(200)} for number in (0, 3)}
    return expected | {name_of(5): {tombstone(200)}}


def finish(compactor: Compactor, *numbers: int) -> None:
    for number in numbers:
        for _ in compactor.compact(number):
            pass


def test_live_records_move_and_the_volume_goes(tmp_path: Path) -> None:
    device = Device(tmp_path)
    expected = filled(device)
    compactor = device.compactor()
    size = device.volumes.usage(1).size
    finish(compactor, 1)
    assert device.volumes.numbers() == [2, 3]
    assert device.counting() == expected == device.rebuilt()
    counts = compactor.counts
    assert (counts.records_copied, counts.records_dropped, counts.volumes_removed) == (3, 5, 1)
    assert counts.bytes_freed == size - counts.bytes_copied > 0
    assert all(header.is_copy for _, header in device.volumes.scan(3) if header.is_change)
    assert not any(header.is_copy for _, header in device.volumes.scan(2))


def test_the_volume_of_the_copies_can_be_appended_to_and_compacted(tmp_path: Path) -> None:
    device = Device(tmp_path)
    expected = filled(device)
    compactor = device.compactor()
    finish(compactor, 1)
    device.write(2, data(300))
    finish(compactor, 3)  # the one that it appends to
    assert device.counting() == expected | {name_of(2): {data(300)}} == device.rebuilt()
    assert 3 not in device.volumes.numbers()
    compactor.close()
    finish(device.compactor(), *device.volumes.numbers())
    assert device.counting() == expected | {name_of(2): {data(300)}} == device.rebuilt()


def test_a_volume_that_someone_appends_to_is_left_alone(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.write(0, data(1))
    device.write(0, data(2))
    compactor = device.compactor()
    assert compactor.due(compactor.usages(), 0.0, 1 << 30) == []
    finish(compactor, 1, 17)
    assert device.volumes.numbers() == [1]
    device.volumes.close()
    assert compactor.due(compactor.usages(), 0.0, 1 << 30) == [1]


def test_those_with_the_most_dead_bytes_are_due_first_if_there_is_room_for_the_others() -> None:
    def usage(live: int, dead: int) -> Usage:
        return Usage(VOLUME_HEADER_SIZE + live + dead, dead)

    usages = {1: usage(60, 40), 2: usage(10, 90), 3: usage(50, 50), 4: usage(0, 0), 5: usage(0, 100)}
    spare = VOLUME_HEADER_SIZE + 100
    assert due(usages, 0.5, spare) == [5, 2, 3]
    assert due(usages, 0.95, spare) == [5]
    assert due(usages, 0.0, spare) == [5, 2, 3, 1]
    assert due(usages, 0.5, VOLUME_HEADER_SIZE - 1) == []
    assert due(usages, 0.5, VOLUME_HEADER_SIZE) == [5, 2, 3]  # what the first frees has room for the next


def test_no_group_is_larger_than_its_limits_and_each_is_announced(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(compaction, "GROUP_RECORDS", 3)
    device = Device(tmp_path)
    lengths = [device.write(number, data(1)).length for number in range(8)]
    device.volumes.roll()
    assert list(device.compactor().compact(1)) == [sum(lengths[:3]), sum(lengths[3:6]), sum(lengths[6:])]


def test_names_are_locked_while_they_are_copied_and_not_between_groups(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(compaction, "GROUP_RECORDS", 2)
    held: list[int] = []
    most = 0

    class Locks(NumberLocks):
        def acquire(self, number: int, shared: bool = False) -> None:
            nonlocal most
            assert not held or number > max(held)
            held.append(number)
            most = max(most, len(held))

        def release(self, number: int) -> None:
            held.remove(number)

    device = Device(tmp_path)
    filled(device)
    volumes = device.some_volumes()
    compactor = Compactor(volumes, device.index, Locks(""), lambda *_: None)
    for _ in compactor.compact(1):
        assert held == []
    assert (held, most) == ([], 2)


def test_an_open_reader_reads_on_and_a_new_one_finds_the_copy(tmp_path: Path) -> None:
    device = Device(tmp_path)
    filled(device)
    before = {name_of(number): device.index.find(name_of(number))[0] for number in (2, 4, 7)}
    for name_hash, entry in before.items():
        device.volumes.read(entry.place, name_hash, entry.change)
    finish(device.compactor(), 1)
    for name_hash, entry in before.items():
        device.volumes.read(entry.place, name_hash, entry.change)
        assert device.index.find(name_hash)[0].place.volume == 3


@pytest.mark.parametrize("where", ["content", "header"])
def test_a_bad_record_keeps_its_volume_until_it_is_quarantined(tmp_path: Path, where: str) -> None:
    device = Device(tmp_path)
    expected = filled(device)
    (bad,) = device.index.find(name_of(4))
    path = Path(f"{device.packed}/volumes/00000001.volume")
    damaged = bytearray(path.read_bytes())
    damaged[bad.place.position + (bad.place.length - 1 if where == "content" else 12)] ^= 1
    path.write_bytes(damaged)
    reported: list[tuple[str, Change, Place, str]] = []
    finish(device.compactor(lambda *args: reported.append(args)), 1)
    assert [(name, change, place) for name, change, place, _ in reported] == [(name_of(4), *bad)]
    assert 1 in device.volumes.numbers()
    compactor = device.compactor(lambda *_: device.forget(4))
    finish(compactor, 1)
    assert 1 not in device.volumes.numbers()
    assert compactor.counts.records_bad == 1
    del expected[name_of(4)]
    assert device.counting() == expected == device.rebuilt()


def test_a_torn_tail_keeps_nothing(tmp_path: Path) -> None:
    device = Device(tmp_path)
    expected = filled(device)
    with open(f"{device.packed}/volumes/00000001.volume", "ab") as file:
        file.write(b"torn" * 50)
    finish(device.compactor(), 1)
    assert 1 not in device.volumes.numbers()
    assert device.counting() == expected


def test_a_volume_stays_if_the_index_was_moved_away(tmp_path: Path) -> None:
    device = Device(tmp_path)
    filled(device)
    steps = device.compactor().compact(1)
    next(steps)
    os.rename(f"{device.packed}/index", f"{device.packed}/index.old")
    with pytest.raises(StaleIndex):
        list(steps)
    assert 1 in device.volumes.numbers()


def test_a_volume_without_live_records_stays_too_if_the_index_was_moved_away(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.write(0, data(1))
    device.forget(0)
    device.volumes.roll()
    real = device.index.find
    compactor = device.compactor()

    def find(name_hash: str) -> list[Entry]:
        found = real(name_hash)
        os.rename(f"{device.packed}/index", f"{device.packed}/index.old")
        return found

    device.index.find = find  # type: ignore[method-assign]
    finish(compactor, 1)
    assert device.volumes.numbers() == [1]


def test_an_error_of_the_disk_leaves_all_as_it_was(tmp_path: Path) -> None:
    files = FaultyFiles(str(tmp_path))
    device = Device(tmp_path, files)
    expected = filled(device)
    compactor = device.compactor()
    steps = compactor.compact(1)
    next(steps)
    files.fail_at = len(files.steps) + 8
    files.failure = OSError(28, "full")
    with pytest.raises(OSError, match="full"):
        list(steps)
    assert device.counting() == expected == device.rebuilt()
    finish(compactor, 1)
    assert device.counting() == expected == device.rebuilt()


# Changes amid a compaction


def test_names_overwritten_or_forgotten_amid_a_compaction_stay_so(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(compaction, "GROUP_RECORDS", 1)
    for between in range(4):
        root = tmp_path / str(between)
        root.mkdir()
        device = Device(root)
        expected = filled(device)
        for group, _ in enumerate(device.compactor().compact(1)):
            if group == between:
                device.forget(2)
                device.write(4, data(400))
        if between < 3:
            del expected[name_of(2)]
            expected[name_of(4)] = {data(400)}
        assert device.counting() == expected == device.rebuilt()


def test_a_copy_is_dead_if_its_record_was_replaced_although_the_name_was_locked(tmp_path: Path) -> None:
    device = Device(tmp_path)
    expected = filled(device)
    compactor = device.compactor()
    real = device.index.edit

    def edit(name_hash: str, change: Callable[[list[Entry]], list[Entry]], before: Callable[[], object]) -> None:
        if name_hash == name_of(2):
            real(name_hash, lambda _: [])
        real(name_hash, change, before)

    device.index.edit = edit  # type: ignore[method-assign]
    finish(compactor, 1)
    del expected[name_of(2)]
    assert device.counting() == expected == device.rebuilt()


# Crashes


def interrupted(device: Device) -> Iterator[None]:
    """A compaction of two volumes, with a name forgotten amid it; yields before and after."""
    compactor = device.compactor(most=VOLUME_HEADER_SIZE + 1500)
    for number in (1, 2):
        for group, _ in enumerate(compactor.compact(number)):
            if (number, group) == (1, 1):
                yield
                device.forget(2)
                yield
    compactor.close()


def crash(root: Path, cut_at: int) -> tuple[Any, list[Counting], bool]:
    """The files after a cut, what may count then, and whether the compaction came to its end before."""
    root.mkdir()
    quiet = FaultyFiles(str(root))
    device = Device(root, quiet)
    expected = filled(device)
    device.volumes.sync_marks(1e9)
    device.index.sync()
    files = FaultyFiles(str(root))
    files.cut_at = cut_at
    device = Device(root, files)
    later = {name: changes for name, changes in expected.items() if name != name_of(2)}
    allowed = [expected]
    try:
        for _ in interrupted(device):
            allowed = [expected, later] if allowed == [expected] else [later]
    except PowerCut:
        return files, allowed, False
    return files, allowed, True


def test_whenever_the_power_is_cut_nothing_is_lost_or_revived(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(compaction, "GROUP_RECORDS", 2)
    count = 0
    ended = False
    while not ended:
        count += 1
        files, allowed, ended = crash(tmp_path / str(count), count)
        for seed in (None, *range(6)):
            outcome = Path(files.outcome(tmp_path / f"{count}-{seed}", seed))
            assert Device(outcome).rebuilt() in allowed
    assert count > 40


def test_whenever_it_is_killed_the_next_compaction_ends_it(
    tmp_path: Path, monkeypatch: Any, collect: Callable[[], object]
) -> None:
    monkeypatch.setattr(compaction, "GROUP_RECORDS", 2)
    count = 0
    ended = False
    while not ended:
        count += 1
        root = tmp_path / str(count)
        _, allowed, ended = crash(root, count)
        collect()  # a killed process holds no lock
        device = Device(root)
        if device.index.find(name_of(2)):
            assert device.counting() in allowed
            device.forget(2)
        assert device.counting() == allowed[-1] or allowed[-1].keys() - {name_of(2)} == device.counting().keys()
        counts = device.counting()
        compactor = device.compactor()
        finish(compactor, *device.volumes.numbers())
        assert device.counting() == counts
        found = [header for volume in device.volumes.numbers() for _, header in device.volumes.scan(volume)]
        records = [header for header in found if header.is_change]
        live = [place for volume in device.volumes.numbers() for place in live_places(device, volume)]
        assert len(live) == len(counts) == len(records)


def live_places(device: Device, volume: int) -> Iterable[Place]:
    dead = device.volumes.dead(volume)
    found = device.volumes.scan(volume)
    return [place for place, header in found if place.position not in dead and header.is_change]


def test_usage_is_what_is_live_and_dead(tmp_path: Path) -> None:
    device = Device(tmp_path)
    filled(device)
    usages = device.compactor().usages()
    lengths = {place: padded(place.length) for volume in (1, 2) for place, _ in device.volumes.scan(volume)}
    live = {entry.place for _, entry in device.index.entries(0, 0)}
    for volume in (1, 2):
        dead = sum(length for place, length in lengths.items() if place.volume == volume and place not in live)
        assert usages[volume].dead == dead
