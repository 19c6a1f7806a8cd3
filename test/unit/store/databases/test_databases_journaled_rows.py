"""Rows that go by the journal: at once in listings, in the way of deletions, counted by quotas, and never lost."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from objstore.core.errors import Conflict, Corrupt, LifeEnded, NotFound
from objstore.core.names import HashSalt, Location, Name
from objstore.core.quota_rooms import RoomRelease, RoomRequest
from objstore.core.quotas import EXCEEDED, GRANTED, Amount
from objstore.core.timestamps import ZERO, Clock, Timestamp
from objstore.runtime.files import FILES, Files
from objstore.store.databases import ContainerStore, DatabaseSettings, ListingQuery, ObjectRow, Writer
from objstore.store.databases.journal_segments import DIRECTORY
from objstore.store.databases.journaled_rows import Accepting

PROJECT = str(Path(__file__).parents[4])
SALT = HashSalt(b"", b"salt")
CLOCK = Clock()
PATIENT = DatabaseSettings(journal_interval=3600.0)  # nothing is merged before it is asked for
BRISK = DatabaseSettings(journal_interval=0.05, journal_size=4096)

Opener = Callable[..., ContainerStore]


def place(container: str = "c") -> Location:
    return Location(5, SALT.hash(Name("a", container)))


AT = place()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Opener]:
    """Opens stores of the device, each as a process of its own would have it."""
    with contextlib.ExitStack() as stack:

        def store(settings: DatabaseSettings = PATIENT, files: Files = FILES) -> ContainerStore:
            return stack.enter_context(contextlib.closing(ContainerStore(str(tmp_path), files, settings)))

        yield store


def make(store: ContainerStore, container: str = "c", **metadata: str) -> None:
    store.create(place(container), Name("a", container), CLOCK.now(), 0, metadata)


def put(store: ContainerStore, name: str, at: Location = AT, size: int = 1, deleted: bool = False) -> None:
    row = ObjectRow(name, CLOCK.now(), deleted, size=size, content_type="t", etag="e")
    store.merge_rows(at, [row], writer=Writer(ZERO, time.time()))


def names(store: ContainerStore, at: Location = AT) -> list[str]:
    return [item.name for item in store.list(at, ListingQuery()).items]


def stored(store: ContainerStore, at: Location = AT) -> list[str]:
    """The live names in the database itself, as SQLite has them."""
    with contextlib.closing(sqlite3.connect(f"file:{store.path(at)}?mode=ro", uri=True)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM object WHERE deleted = 0 ORDER BY name")]


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def journal_sizes(root: Path) -> list[int]:
    return [path.stat().st_size for path in (root / DIRECTORY).glob("*.journal")]


# What is seen


def test_a_row_that_is_only_in_the_journal_is_listed_by_all_at_once(process: Opener) -> None:
    one, two = process(), process()
    make(one)
    put(one, "first")  # opens the gate
    put(one, "second")
    assert stored(two) == ["first"]
    assert names(two) == ["first", "second"]
    assert stored(two) == ["first", "second"]
    put(two, "third")
    put(two, "fourth")
    assert names(one) == names(process()) == ["first", "fourth", "second", "third"]
    assert one.info(AT).object_count == 4


def test_rows_that_follow_objects_are_accepted_together_and_listed(process: Opener) -> None:
    store = process()
    for container in ("c", "d"):
        make(store, container)
    assert (
        store.row_after(AT, ObjectRow("early", CLOCK.now()), ZERO) is None
    )  # nothing tells that the container takes rows
    for container in ("c", "d"):
        put(store, "gate", place(container))
    sequels = [
        store.row_after(place(container), ObjectRow(name, CLOCK.now(), content_type="t", etag="e"), life)
        for container, name, life in [("c", "1", ZERO), ("d", "2", ZERO), ("c", "3", ZERO), ("c", "4", None)]
    ]
    (accept,) = {sequel.accept for sequel in sequels if sequel is not None}
    assert accept([sequel.item for sequel in sequels if sequel is not None]) == [True] * 4
    assert names(store) == ["1", "3", "4", "gate"]
    assert names(store, place("d")) == ["2", "gate"]


def test_rows_that_follow_objects_are_refused_once_the_container_is_shut(process: Opener) -> None:
    store = process()
    make(store)
    put(store, "gate")
    put(store, "gate", deleted=True)
    sequel = store.row_after(AT, ObjectRow("late", CLOCK.now(), content_type="t", etag="e"), ZERO)
    store.shut(AT, time.time() + 60)
    assert sequel is not None and sequel.accept([sequel.item]) == [False]
    assert names(store) == []


def test_rows_that_follow_objects_on_a_failing_disk_are_left_to_the_database(process: Opener) -> None:
    class Failing(Files):
        broken = False

        def fdatasync(self, fd: int) -> None:
            if self.broken:
                raise OSError(errno.EIO, "the disk")
            super().fdatasync(fd)

    files = Failing()
    store = process(files=files)
    make(store)
    put(store, "gate")
    sequel = store.row_after(AT, ObjectRow("o", CLOCK.now(), content_type="t", etag="e"), ZERO)
    files.broken = True
    assert sequel is not None and sequel.accept([sequel.item]) == [False]


def test_each_name_has_its_newest_row_however_rows_come(process: Opener) -> None:
    one, two = process(), process()
    make(one)
    for store in (one, two):
        put(store, "gate")
    put(one, "o", size=1)
    put(two, "o", size=2)
    put(one, "gone", size=5)
    put(two, "gone", deleted=True)
    put(one, "o", size=3)
    assert names(two) == ["gate", "o"]
    assert one.info(AT).bytes_used == 1 + 3
    assert one.info(AT).object_count == 2


def test_rows_are_merged_and_segments_removed_in_time(process: Opener, tmp_path: Path) -> None:
    one, two = process(BRISK), process(BRISK)
    make(one)
    make(one, "d")
    for number in range(100):
        put(one, f"one-{number:03d}")
        put(two, f"two-{number:03d}", place("d"))
    wait_for(lambda: len(stored(one)) == 100 and len(stored(one, place("d"))) == 100)
    wait_for(lambda: sum(journal_sizes(tmp_path)) < 500)
    assert one.info(AT).object_count == two.info(place("d")).object_count == 100
    one.audit(AT)


def test_a_process_merges_what_others_left_when_it_is_asked_to(process: Opener, tmp_path: Path) -> None:
    one, two = process(), process()
    make(one)
    make(one, "d")
    for name in ("a", "b"):
        put(one, name)
        put(one, name, place("d"))
    assert stored(two) == ["a"]
    two.merge_pending()
    assert stored(two) == stored(two, place("d")) == ["a", "b"]
    assert sum(journal_sizes(tmp_path)) < 500
    one.merge_pending()


def test_many_rows_and_old_ones_are_written_to_the_database(process: Opener) -> None:
    store = process()
    make(store)
    put(store, "gate")
    old = Timestamp.from_seconds(time.time() - 7200)
    store.merge_rows(AT, [ObjectRow("old", old, size=1, content_type="t", etag="e")])
    assert stored(store) == ["gate", "old"]
    store.merge_rows(AT, [ObjectRow(f"{n:03d}", CLOCK.now(), size=1, content_type="t", etag="e") for n in range(100)])
    assert len(stored(store)) == 102


def test_without_an_interval_there_is_no_journal_but_what_is_there_is_read(process: Opener, tmp_path: Path) -> None:
    plain = process(DatabaseSettings(journal_interval=0.0))
    make(plain)
    put(plain, "one")
    put(plain, "two")
    assert stored(plain) == ["one", "two"]
    assert not (tmp_path / DIRECTORY).exists()
    other = process()
    put(other, "three")
    put(other, "four")
    assert names(plain) == ["four", "one", "three", "two"]


def test_a_released_store_goes_on_afterwards(process: Opener) -> None:
    store = process()
    make(store)
    put(store, "one")
    put(store, "two")
    store.release()
    put(store, "three")
    assert names(store) == ["one", "three", "two"]


# Deletions


def test_a_container_is_not_deleted_for_rows_in_the_journal_of_another_process(process: Opener) -> None:
    one, two = process(), process()
    make(one)
    put(one, "o")
    put(one, "o", deleted=True)
    put(one, "late")
    with pytest.raises(Conflict):
        two.shut(AT, time.time() + 10)
    with pytest.raises(Conflict):
        two.delete(AT, CLOCK.now())
    assert names(one) == ["late"]


def test_no_row_is_taken_after_the_deletion_whatever_the_gate_was(process: Opener) -> None:
    one, two = process(), process()
    make(one)
    put(one, "o")
    put(one, "o", deleted=True)
    two.delete(AT, CLOCK.now())
    with pytest.raises(LifeEnded):
        put(one, "late")
    with pytest.raises(NotFound):
        one.info(AT)


def test_no_row_is_taken_while_the_container_is_shut(process: Opener) -> None:
    one, two = process(), process()
    make(one)
    put(one, "o")
    put(one, "o", deleted=True)
    two.shut(AT, time.time() + 60)
    with pytest.raises(LifeEnded):
        put(one, "late")
    two.shut(AT, 0.0)
    put(one, "later")
    put(one, "latest")
    assert names(two) == ["later", "latest"]


def test_a_row_of_an_earlier_life_is_refused_by_the_next(process: Opener) -> None:
    one, two = process(), process()
    make(one)
    put(one, "o")
    put(one, "o", deleted=True)
    two.delete(AT, CLOCK.now())
    make(two)
    life = two.status(AT).delete_timestamp
    new = [ObjectRow("new", CLOCK.now(), size=1, content_type="t", etag="e")]
    two.merge_rows(AT, new, writer=Writer(life, time.time()))
    with pytest.raises(LifeEnded):
        put(two, "old")
    assert names(one) == ["new"]


def test_a_database_that_was_moved_is_not_removed_with_rows_in_the_journal(process: Opener) -> None:
    one, two = process(), process()
    make(one)
    put(one, "o")
    summary = two.summaries([AT])[AT.hash]
    put(one, "late")
    assert not two.remove_moved(AT, summary)
    assert names(one) == ["late", "o"]
    assert two.remove_moved(AT, two.summaries([AT])[AT.hash])
    with pytest.raises(NotFound):
        put(one, "later")


def test_a_summary_has_the_rows_of_the_journal(process: Opener) -> None:
    one, two = process(), process()
    make(one)
    put(one, "o")
    before = two.summaries([AT])[AT.hash].max_row
    put(one, "late")
    assert two.summaries([AT])[AT.hash].max_row == before + 1


# Quotas


def test_room_is_reserved_and_ended_with_the_rows_of_the_journal(process: Opener) -> None:
    one, two = process(), process()
    make(one, **{"X-Container-Meta-Quota-Count": "2"})
    put(one, "one")
    put(one, "two")

    def reserve(name: str, id: str) -> str:
        return two.reserve(AT, RoomRequest(id, name, Amount(1, 1), 60.0, None))

    assert reserve("three", "a") == EXCEEDED
    put(one, "two", deleted=True)
    assert reserve("three", "b") == GRANTED
    put(one, "three")
    two.end_reservation(AT, RoomRelease("b", "three", Amount(1, 1), 60.0, CLOCK.now()))
    assert reserve("four", "c") == EXCEEDED


# Databases that go


def test_rows_outlive_the_quarantine_of_their_database(process: Opener) -> None:
    writer = process(BRISK)
    make(writer)
    put(writer, "gate")
    reader = process(DatabaseSettings(journal_interval=0.0))
    late = process()
    put(late, "opens")
    reader.info(AT)
    writer.close()
    row = ObjectRow("late", CLOCK.now(), size=1, content_type="t", etag="e").normal()
    late._databases.write_rows(Accepting(AT, [row], ZERO, True))  # as a process whose gate is still open
    path = Path(late.path(AT))
    late.close()
    path.write_bytes(b"SQLite format 3\0" + b"?" * 8192)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}{suffix}")
    brisk = process(BRISK)
    with pytest.raises(Corrupt):
        brisk.info(AT)
    with pytest.raises(NotFound):
        brisk.info(AT)
    time.sleep(0.3)  # some passes without a database
    make(brisk)
    assert names(brisk) == names(process()) == ["late"]


# Errors of the device


class Full(Files):
    def __init__(self) -> None:
        self.full = False

    def write_at(self, fd: int, pieces: Any, offset: int) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write_at(fd, pieces, offset)


def test_a_row_that_the_journal_cannot_take_goes_to_the_database(process: Opener) -> None:
    files = Full()
    store = process(PATIENT, files)
    make(store)
    put(store, "gate")
    put(store, "one")
    files.full = True
    put(store, "two")
    assert stored(store) == ["gate", "one", "two"]
    files.full = False
    put(store, "three")
    assert names(store) == ["gate", "one", "three", "two"]


# Processes

PROGRAM = """
import os, sys, time
sys.path.insert(0, {project!r})
from objstore.core.errors import Conflict, LifeEnded
from objstore.core.names import HashSalt, Location, Name
from objstore.core.timestamps import ZERO, Clock
from objstore.runtime import green
from objstore.runtime.files import FILES
from objstore.store.databases import ContainerStore, DatabaseSettings, ListingQuery, ObjectRow, Writer
SALT, CLOCK = HashSalt(b"", b"salt"), Clock()
root, who = sys.argv[1:]
store = ContainerStore(root, FILES, DatabaseSettings(journal_interval=0.1, journal_size=20000, lock_timeout=30))
def place(container):
    return Location(5, SALT.hash(Name("a", container)))
def put(at, name, deleted=False):
    row = ObjectRow(name, CLOCK.now(), deleted, size=1, content_type="t", etag="e")
    store.merge_rows(at, [row], writer=Writer(ZERO, time.time()))
"""


def start(root: Path, who: str, body: str) -> subprocess.Popen[str]:
    program = PROGRAM.format(project=PROJECT) + body
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", program, str(root), who], stdin=pipe, stdout=pipe, text=True)


def test_of_a_row_and_the_deletion_of_its_container_exactly_one_succeeds(process: Opener, tmp_path: Path) -> None:
    rounds = 100
    store = process()
    for number in range(rounds):
        make(store, str(number))
    begin = """
print("ready", flush=True)
begin = float(sys.stdin.readline())
def turn(number, late=0.0):
    time.sleep(max(0.0, begin + number * 0.02 + late - time.time()))
"""
    adding = f"""
for number in range({rounds}):
    put(place(str(number)), "o")
    put(place(str(number)), "o", deleted=True)
{begin}
for number in range({rounds}):
    turn(number, (number % 7) * 0.0005)
    try:
        put(place(str(number)), "late")
        print(number)
    except LifeEnded:
        pass
"""
    deleting = f"""
{begin}
for number in range({rounds}):
    turn(number, (number % 11) * 0.0004)
    try:
        store.delete(place(str(number)), CLOCK.now())
        print(number)
    except Conflict:
        pass
"""
    programs = [start(tmp_path, "adder", adding), start(tmp_path, "deleter", deleting)]
    for program in programs:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
    at = f"{time.time() + 0.2}\n"
    for program in programs:
        assert program.stdin is not None
        program.stdin.write(at)
        program.stdin.flush()
    added, deleted = ({int(line) for line in program.communicate()[0].split()} for program in programs)
    assert not added & deleted
    assert added | deleted == set(range(rounds))
    for number in added:
        assert names(store, place(str(number))) == ["late"]


def test_processes_that_are_killed_lose_no_row_that_they_acknowledged(process: Opener, tmp_path: Path) -> None:
    containers = 5
    store = process()
    for number in range(containers):
        make(store, str(number))
    body = f"""
def work(client):
    for number in range(1000000):
        container = str((number + client) % {containers})
        name = f"{{who}}-{{client}}-{{number}}"
        put(place(container), name)
        print(container, name, flush=True)
for thread in [green.spawn(work, client) for client in range(4)]:
    thread.wait()
"""
    acknowledged: set[tuple[str, str]] = set()
    for turn in range(3):
        writers = [start(tmp_path, f"{turn}{who}", body) for who in "ab"]
        for writer in writers:
            assert writer.stdout is not None
            for _ in range(200):
                container, name = writer.stdout.readline().split()
                acknowledged.add((container, name))
        assert {name for container, name in acknowledged if container == "0"} <= set(names(store, place("0")))
        for writer in writers:
            writer.kill()
        for writer in writers:
            assert writer.stdout is not None
            lines = writer.stdout.read().split("\n")[:-1]
            writer.wait()
            acknowledged |= {(container, name) for container, name in map(str.split, lines)}
    fresh = process(BRISK)
    for number in range(containers):
        listed = {item.name for item in fresh.list(place(str(number)), ListingQuery()).items}
        assert {name for container, name in acknowledged if container == str(number)} <= listed
        assert fresh.info(place(str(number))).object_count == len(listed)
        fresh.audit(place(str(number)))
    for name in ("opens the gate", "goes by it"):
        put(fresh, name, place("0"))
    wait_for(lambda: sum(journal_sizes(tmp_path)) < 1000)


def test_a_child_process_uses_a_journal_of_its_own(process: Opener, tmp_path: Path) -> None:
    make(process())
    body = """
at = place("c")
put(at, "1")
put(at, "2")
child = os.fork()
if not child:
    green.after_fork()
    put(at, "3")
    put(at, "4")
    os._exit(store.info(at).object_count)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
put(at, "5")
print(store.info(at).object_count)
"""
    assert start(tmp_path, "w", body).communicate()[0] == "5\n"
