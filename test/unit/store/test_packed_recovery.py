"""The index after kills and power cuts, and without an index at all."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from awscrt.checksums import crc32c
from unit.store.faulty_files import FaultyFiles, PowerCut

from objstore.core.errors import DeviceUnavailable
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES, Files
from objstore.store.change import DATA, TOMBSTONE, Change
from objstore.store.objects.liveness import counting
from objstore.store.packed.checkpoint import checkpoint
from objstore.store.packed.index import Index
from objstore.store.packed.index_repair import repair
from objstore.store.packed.index_rows import IndexRows
from objstore.store.packed.index_state import read_state, write_state
from objstore.store.packed.page_files import DamagedIndex, StaleIndex
from objstore.store.packed.pages import PAGE, encode_entry
from objstore.store.packed.places import Entry, Place
from objstore.store.packed.recovery import open_index
from objstore.store.packed.settling import settle
from objstore.store.packed.volumes import Outgoing, Volumes


def name(number: int) -> str:
    """Hashes that share their first 8 bits, so that few make deep pages."""
    return f"77{number * 0x24000000 % (1 << 32):08x}{number:022x}"


def data(time: int) -> Change:
    return Change(Timestamp(time), DATA)


def tombstone(time: int) -> Change:
    return Change(Timestamp(time), TOMBSTONE)


class Engine:
    """The order of steps of a commit, and of removals, without names in files."""

    def __init__(self, files: Files, root: Path, boot: str = "one", most: int = 14_000) -> None:
        self.files = files
        self.directory = str(root / "packed")
        self.boot = boot
        self.volumes = Volumes(files, f"{self.directory}/volumes", most)
        self.open()

    def open(self) -> Index:
        self.index = open_index(self.files, self.directory, self.volumes, self.boot, lambda _: None, capacity=2)
        return self.index

    def put(self, name_hash: str, change: Change, content: bytes = b"content" * 40) -> Place:
        place = self.append(name_hash, change, content)
        self.show(name_hash, Entry(change, place))
        return place

    def append(self, name_hash: str, change: Change, content: bytes = b"content" * 40, is_copy: bool = False) -> Place:
        outgoing = Outgoing(name_hash, change, b"metadata", [content], crc32c(content), is_copy)
        return self.volumes.append([outgoing], [entry.place for entry in self.index.find(name_hash)])[0]

    def show(self, name_hash: str, entry: Entry) -> None:
        dead: list[Place] = []

        def change(entries: list[Entry]) -> list[Entry]:
            settled = settle([*entries, entry], self.volumes.numbers())
            dead[:] = settled.dead
            return settled.entries

        self.index.edit(name_hash, change, lambda: self.volumes.kill(dead))
        self.volumes.indexed()

    def forget(self, name_hash: str, change: Change) -> None:
        self.volumes.sync_marks()
        self.volumes.kill([each.place for each in self.index.find(name_hash) if each.change == change])
        self.volumes.sync_marks()
        self.index.edit(name_hash, lambda entries: [each for each in entries if each.change != change])

    def move(self, name_hash: str) -> None:
        """Move a name's records to the end, as before their volume is removed."""
        for old in self.index.find(name_hash):
            new = old._replace(place=self.append(name_hash, old.change, is_copy=True))
            self.index.edit(
                name_hash, lambda entries, old=old, new=new: [new if each == old else each for each in entries]
            )
            self.volumes.kill([old.place])

    def checkpoint(self) -> None:
        checkpoint(self.files, self.directory, self.volumes, self.index, self.boot)

    def unmarked(self) -> list[tuple[str, Change]]:
        """Records neither marked nor in the index: a rebuild would bring them back, whatever was removed since."""
        return [
            (header.name_hash, header.change)
            for volume in self.volumes.numbers()
            for place, header, is_sound in self.volumes.scan(volume, verify=True)
            if is_sound and header.is_change
            if place.position not in self.volumes.dead(volume)
            if Entry(header.change, place) not in self.index.find(header.name_hash)
        ]

    def changes(self, name_hash: str) -> set[Change]:
        """Those in the index; each has its record."""
        entries = self.index.find(name_hash)
        for change, place in entries:
            self.volumes.read(place, name_hash, change)
        return {entry.change for entry in entries}

    def close(self) -> None:
        self.volumes.close()
        self.index.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(FILES, tmp_path)
    yield made
    made.close()


def again(engine: Engine, boot: str = "one") -> Engine:
    """Another process, after the first has ended."""
    engine.close()
    return Engine(FILES, Path(engine.directory).parent, boot)


def without_index(engine: Engine) -> Engine:
    shutil.rmtree(f"{engine.directory}/index")
    return again(engine)


# Rules for the entries of one name


def test_of_the_same_change_at_two_places_the_later_counts() -> None:
    first, second = (Entry(data(1), Place(volume, 10, 5, 1)) for volume in (1, 2))
    assert settle([second, first], {1, 2}) == ([second], [first.place])


def test_of_the_same_change_at_two_places_the_one_in_a_volume_that_exists_counts() -> None:
    first, second = (Entry(data(1), Place(volume, 10, 5, 1)) for volume in (1, 2))
    assert settle([first, second], {1}) == ([first], [second.place])


def test_a_replaced_change_is_dead() -> None:
    first, second = Entry(data(1), Place(1, 10, 5, 1)), Entry(tombstone(2), Place(1, 5, 5, 1))
    assert settle([first, second], {1}) == ([second], [first.place])


# Without an index


def test_a_new_device_gets_an_index(engine: Engine) -> None:
    engine.put(name(1), data(1))
    assert engine.changes(name(1)) == {data(1)}


def test_an_index_that_is_missing_is_rebuilt_of_what_counts(engine: Engine) -> None:
    for number in range(60):
        engine.put(name(number), data(1))
    engine.put(name(1), data(2))
    engine.put(name(2), tombstone(2))
    engine.forget(name(3), data(1))
    assert len(engine.volumes.numbers()) > 2
    engine = without_index(engine)
    expected = {name(1): {data(2)}, name(2): {tombstone(2)}, name(3): set()}
    for number in range(60):
        assert engine.changes(name(number)) == expected.get(name(number), {data(1)})


def test_what_a_rebuild_finds_obsolete_is_marked(engine: Engine) -> None:
    old = engine.put(name(1), data(1))
    new = engine.append(name(1), data(2))
    engine = without_index(engine)
    assert engine.changes(name(1)) == {data(2)}
    assert old.position in engine.volumes.dead(old.volume)
    assert new.position not in engine.volumes.dead(new.volume)


def test_more_entries_than_memory_is_meant_for_are_sorted_in_files(tmp_path: Path, engine: Engine) -> None:
    chosen = random.Random(1)
    rows = [encode_entry(chosen.randbytes(16), Entry(data(number), Place(1, 2, 3, 4))) for number in range(2000)]
    with IndexRows(FILES, str(tmp_path / "rows"), 10_000) as sorted_rows:
        for row in rows:
            sorted_rows.add(row)
        assert (tmp_path / "rows").exists()
        batches = list(sorted_rows.batches())
    assert [row for _, batch in batches for row in batch] == sorted(rows)
    assert all(row[0] == first for first, batch in batches for row in batch)
    assert not (tmp_path / "rows").exists()


def test_a_damaged_index_is_rebuilt_and_other_processes_go_on_with_the_new_one(engine: Engine) -> None:
    engine.put(name(1), data(1))
    other = Engine(FILES, Path(engine.directory).parent)
    assert other.changes(name(1)) == {data(1)}
    with open(f"{engine.directory}/index/8", "r+b") as file:
        file.seek(0x77 * PAGE + 80)
        file.write(b"damage")
    with pytest.raises(DamagedIndex):
        engine.index.find(name(1))
    engine.open()
    assert engine.changes(name(1)) == {data(1)}
    with pytest.raises(StaleIndex):
        other.put(name(2), data(1))
    other.open()
    assert other.changes(name(2)) == set()
    other.put(name(2), data(2))
    assert engine.changes(name(2)) == {data(2)}
    assert [each for each in os.listdir(engine.directory) if each.startswith("index.")] == []


def test_while_one_process_makes_the_index_ready_others_are_refused(engine: Engine) -> None:
    with open(f"{engine.directory}/.rebuild") as lock:
        assert FILES.try_lock(lock.fileno())
        with pytest.raises(DeviceUnavailable, match="being rebuilt"):
            engine.open()
    engine.open()


def test_an_index_comes_to_its_place_a_second_after_the_old_one_left(engine: Engine) -> None:
    """Until then another process may read the old one."""
    engine.put(name(1), data(1))
    shutil.rmtree(f"{engine.directory}/index")
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        assert not os.path.exists(f"{engine.directory}/index")
        waits.append(seconds)

    open_index(FILES, engine.directory, engine.volumes, "one", sleep)
    assert 0.5 < waits[0] <= 1


# Killed


def test_records_that_a_killed_process_did_not_put_in_are_put_in(engine: Engine) -> None:
    engine.put(name(1), data(1))
    engine.append(name(1), data(2))
    engine.append(name(2), data(2))
    engine = again(engine)
    assert engine.changes(name(1)) == {data(2)}
    assert engine.changes(name(2)) == {data(2)}


def test_what_a_live_process_appends_is_left_to_it(engine: Engine) -> None:
    place = engine.append(name(1), data(1))
    other = Engine(FILES, Path(engine.directory).parent)
    assert other.changes(name(1)) == set()
    engine.show(name(1), Entry(data(1), place))
    assert other.changes(name(1)) == {data(1)}


def test_a_forgotten_record_of_a_tail_stays_away(engine: Engine) -> None:
    engine.put(name(1), data(1))
    engine.forget(name(1), data(1))
    engine = again(engine)
    assert engine.changes(name(1)) == set()


def test_a_tail_is_put_in_once(engine: Engine) -> None:
    place = engine.append(name(1), data(1))
    engine = again(engine)
    assert engine.volumes.noted(place.volume) > place.position
    engine.put(name(2), data(1))  # into the same volume
    engine = again(engine)
    assert engine.changes(name(1)) == engine.changes(name(2)) == {data(1)}


def test_a_copy_in_a_tail_does_not_bring_back_what_was_removed(engine: Engine) -> None:
    for number in (1, 2):
        engine.put(name(number), data(1))
    engine.volumes.indexed()
    engine.volumes.roll()
    places = {number: engine.append(name(number), data(1), is_copy=True) for number in (1, 2)}
    engine.forget(name(1), data(1))
    engine = again(engine)
    assert engine.changes(name(1)) == set()
    assert engine.changes(name(2)) == {data(1)}
    assert places[1].position in engine.volumes.dead(places[1].volume)
    engine = without_index(engine)
    assert engine.changes(name(1)) == set()


def test_a_record_cut_short_by_a_kill_is_not_put_in_by_any_recovery(engine: Engine) -> None:
    engine.put(name(1), data(1))
    place = engine.append(name(1), data(2))
    path = f"{engine.directory}/volumes/{place.volume:08d}.volume"
    with open(path, "r+b") as file:
        file.seek(place.position + place.head + 10)
        file.write(bytes(20))
    engine = again(engine)
    assert engine.changes(name(1)) == {data(1)}
    engine = again(engine, "two")
    assert engine.changes(name(1)) == {data(1)}
    engine = without_index(engine)
    assert engine.changes(name(1)) == {data(1)}


def test_a_record_damaged_after_it_was_acknowledged_hides_what_it_replaced(engine: Engine) -> None:
    """Its reader must find the damage, not the older content."""
    engine.put(name(1), data(1))
    place = engine.put(name(1), data(2))
    engine.volumes.roll()
    with open(f"{engine.directory}/volumes/{place.volume:08d}.volume", "r+b") as file:
        file.seek(place.position + place.head + 10)
        file.write(bytes(20))
    engine = without_index(engine)
    assert [each.change for each in engine.index.find(name(1))] == [data(2)]


# Power cuts


def test_after_a_power_cut_what_came_after_the_checkpoint_is_put_in(engine: Engine) -> None:
    for number in range(20):
        engine.put(name(number), data(1))
    engine.checkpoint()
    shutil.copytree(f"{engine.directory}/index", f"{engine.directory}/old")
    engine.put(name(1), data(2))
    engine.forget(name(2), data(1))
    engine.put(name(50), data(2))
    for number in range(20):
        engine.put(name(100 + number), data(3))
    shutil.rmtree(f"{engine.directory}/index")
    os.rename(f"{engine.directory}/old", f"{engine.directory}/index")
    engine = again(engine, "two")
    expected = {name(1): {data(2)}, name(2): set(), name(50): {data(2)}}
    for number in range(50):
        assert engine.changes(name(number)) == expected.get(name(number), {data(1)} if number < 20 else set())
    for number in range(20):
        assert engine.changes(name(100 + number)) == {data(3)}
    state = read_state(FILES, f"{engine.directory}/index")
    assert state is not None and state.boot == "two"


def test_a_mark_that_a_power_cut_took_is_made_again(engine: Engine) -> None:
    """Else a rebuild would bring the record back once what replaced it was removed."""
    old = engine.put(name(1), data(1))
    engine.volumes.roll()
    engine.checkpoint()
    engine.put(name(1), tombstone(2))
    engine.put(name(1), tombstone(3))
    os.unlink(f"{engine.directory}/volumes/{old.volume:08d}.dead")
    engine = again(engine, "two")
    assert engine.unmarked() == []
    engine.forget(name(1), tombstone(3))
    engine = without_index(engine)
    assert engine.changes(name(1)) == set()


def test_a_record_that_the_index_still_has_is_not_marked_although_a_group_that_failed_names_it(engine: Engine) -> None:
    place = engine.put(name(1), data(1))
    engine.volumes.kill([engine.append(name(1), data(2))])
    for boot in ("one", "two"):
        engine = again(engine, boot)
        assert engine.changes(name(1)) == {data(1)}
        assert place.position not in engine.volumes.dead(place.volume)


def test_a_volume_that_was_removed_after_the_checkpoint_leaves_no_entries(engine: Engine) -> None:
    place = engine.put(name(1), data(1))
    engine.put(name(2), data(1))
    engine.volumes.roll()
    engine.checkpoint()
    shutil.copytree(f"{engine.directory}/index", f"{engine.directory}/old")
    engine.move(name(1))
    engine.forget(name(2), data(1))
    engine.volumes.remove(place.volume)
    shutil.rmtree(f"{engine.directory}/index")
    os.rename(f"{engine.directory}/old", f"{engine.directory}/index")
    engine = again(engine, "two")
    assert engine.changes(name(1)) == {data(1)}
    assert engine.index.find(name(2)) == []


def test_pages_below_one_that_is_not_split_are_erased(tmp_path: Path) -> None:
    """A power cut may leave the halves of a page as they were later, and the page as it was before it was split."""
    Index.create(FILES, str(tmp_path / "index")).close()
    left, right = "77" + "0" * 30, "77" + "f" * 30
    first, second, later = (Entry(data(time), Place(1, time, 5, 1)) for time in (1, 2, 3))
    index = Index(FILES, str(tmp_path / "index"), capacity=1)
    index.edit(left, lambda _: [first])
    before = (tmp_path / "index/8").read_bytes()
    index.edit(right, lambda _: [second])
    index.edit(left, lambda _: [later])
    (tmp_path / "index/8").write_bytes(before)
    repair(FILES, str(tmp_path / "index"), {1})
    index = Index(FILES, str(tmp_path / "index"), capacity=1)
    index.edit(right, lambda _: [second])
    assert [index.find(left), index.find(right)] == [[first], [second]]


def test_a_torn_page_means_a_rebuild(engine: Engine) -> None:
    for number in range(20):
        engine.put(name(number), data(1))
    engine.checkpoint()
    with open(f"{engine.directory}/index/9", "r+b") as file:
        file.seek(0xEE * PAGE)
        assert file.read(4) != bytes(4)
        file.seek(0xEE * PAGE)
        file.write(b"torn")
    engine = again(engine, "two")
    for number in range(20):
        assert engine.changes(name(number)) == {data(1)}


def test_a_mark_made_while_a_checkpoint_was_taken_is_applied_after_a_power_cut(engine: Engine) -> None:
    place = engine.put(name(1), data(1))
    engine.checkpoint()
    state = read_state(FILES, f"{engine.directory}/index")
    assert state is not None
    write_state(FILES, f"{engine.directory}/index", state._replace(at=0.0))
    engine.volumes.kill([place])
    engine.checkpoint()
    shutil.copytree(f"{engine.directory}/index", f"{engine.directory}/old")
    engine.index.edit(name(1), lambda _: [])
    shutil.rmtree(f"{engine.directory}/index")
    os.rename(f"{engine.directory}/old", f"{engine.directory}/index")
    engine = again(engine, "two")
    assert engine.index.find(name(1)) == []


# At every step


class Acknowledged:
    """What a client knows: by name, the changes that were acknowledged, and the one under way."""

    def __init__(self) -> None:
        self.changes: dict[str, set[Change]] = {}
        self.under_way: tuple[str, Change, bool] | None = None

    @contextlib.contextmanager
    def doing(self, name_hash: str, change: Change, forget: bool = False) -> Iterator[None]:
        self.under_way = (name_hash, change, forget)
        yield
        changes = self.changes.setdefault(name_hash, set())
        changes.discard(change) if forget else changes.add(change)
        self.changes[name_hash] = set(counting(changes))
        self.under_way = None

    def check(self, engine: Engine) -> None:
        for name_hash in {*self.changes, *(each[0] for each in [self.under_way] if each)}:
            known = self.changes.get(name_hash, set())
            allowed = [known]
            if self.under_way is not None and self.under_way[0] == name_hash:
                _, change, forget = self.under_way
                allowed.append(known - {change} if forget else set(counting({*known, change})))
            assert engine.changes(name_hash) in allowed, name_hash


def _run(engine: Engine, client: Acknowledged) -> None:
    def put(number: int, change: Change) -> None:
        with client.doing(name(number), change):
            engine.put(name(number), change)

    for number in range(5):
        put(number, data(1))
    put(1, data(2))
    engine.checkpoint()
    put(2, data(2))
    put(5, data(3))
    put(3, tombstone(2))
    with client.doing(name(4), data(1), forget=True):
        engine.forget(name(4), data(1))
    engine.move(name(0))
    put(6, data(3))
    engine.checkpoint()
    put(0, data(4))
    with client.doing(name(3), tombstone(2), forget=True):
        engine.forget(name(3), tombstone(2))


def _cut_at_each_step(tmp_path: Path, check: Callable[[FaultyFiles, Path, Acknowledged], None], every: int = 1) -> None:
    step = 0
    while True:
        step += every
        root = tmp_path / f"{step}"
        root.mkdir()
        files = FaultyFiles(str(root))
        files.cut_at = step
        client = Acknowledged()
        engine: Engine | None = None
        try:
            engine = Engine(files, root)
            _run(engine, client)
            return
        except PowerCut:
            pass
        finally:
            if engine is not None:
                with contextlib.suppress(PowerCut):
                    engine.close()
        check(files, root, client)
        shutil.rmtree(root)


def test_a_process_killed_at_any_step_hides_nothing_and_brings_nothing_back(tmp_path: Path) -> None:
    def check(files: FaultyFiles, root: Path, client: Acknowledged) -> None:
        engine = Engine(FILES, root)
        client.check(engine)
        assert engine.unmarked() == []
        engine = without_index(engine)
        client.check(engine)
        engine.put(name(9), data(9))
        assert engine.changes(name(9)) == {data(9)}
        engine.close()

    _cut_at_each_step(tmp_path, check)


def test_a_power_cut_at_any_step_hides_nothing_and_brings_nothing_back(tmp_path: Path) -> None:
    def check(files: FaultyFiles, root: Path, client: Acknowledged) -> None:
        for seed in (None, 1, 2, 3):
            left = Path(files.outcome(tmp_path / f"{root.name}-left", seed))
            engine = Engine(FILES, left, "two")
            client.check(engine)
            assert engine.unmarked() == []
            engine.put(name(9), data(9))
            engine = again(engine, "three")
            client.check(engine)
            engine.close()
            shutil.rmtree(left)

    _cut_at_each_step(tmp_path, check)


def test_a_power_cut_at_any_step_of_a_recovery_changes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    engine = Engine(FILES, root)
    client = Acknowledged()
    _run(engine, client)
    engine.close()
    for boot, remove in (("two", False), ("one", True)):
        step = 0
        while True:
            step += 3
            copy = tmp_path / f"{boot}-{step}"
            shutil.copytree(root, copy)
            if remove:
                shutil.rmtree(copy / "packed/index")
            files = FaultyFiles(str(copy))
            files.cut_at = step
            try:
                client.check(Engine(files, copy, boot))
                break
            except PowerCut:
                pass
            left = Path(files.outcome(tmp_path / f"{boot}-{step}-left", step))
            client.check(Engine(FILES, left, "three"))
            client.check(Engine(FILES, copy, boot))
            shutil.rmtree(left)
            shutil.rmtree(copy)


# Killed for real


def _write_forever(root: Path, writer: Connection, seed: int) -> None:
    engine = Engine(FILES, root, most=200_000)
    for number in range(1, 1 << 30):
        name_hash, change = name(number % 40 * 10 + seed), data(number)
        engine.put(name_hash, change)
        writer.send((name_hash, change))


def test_writers_that_are_killed_lose_nothing_they_acknowledged(tmp_path: Path) -> None:
    Engine(FILES, tmp_path, most=200_000).close()
    fork = multiprocessing.get_context("fork")
    known: dict[str, Change] = {}
    for _ in range(4):
        pipes = [fork.Pipe(duplex=False) for _ in range(2)]
        processes = [
            fork.Process(target=_write_forever, args=(tmp_path, writer, seed)) for seed, (_, writer) in enumerate(pipes)
        ]
        for process in processes:
            process.start()
        assert all(reader.poll(60) for reader, _ in pipes)
        time.sleep(0.4)
        for process, (reader, writer) in zip(processes, pipes, strict=True):
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join(10)
            writer.close()
            with contextlib.suppress(EOFError, OSError):
                while reader.poll(0):
                    name_hash, change = reader.recv()
                    known[name_hash] = max(change, known.get(name_hash, change))
        engine = Engine(FILES, tmp_path, most=200_000)
        assert known
        for name_hash, change in known.items():
            (found,) = engine.changes(name_hash)
            assert found >= change
        engine.close()
