"""Databases on a device: durability, many processes, damage, lack of space."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from objstore.core.errors import ConfigError, Conflict, Corrupt, DeviceUnavailable, LockTimeout, NoSpace, NotFound
from objstore.core.names import HashSalt, Location, Name
from objstore.core.timestamps import Timestamp
from objstore.runtime import green
from objstore.runtime.files import FILES, Files
from objstore.store.databases import ContainerStore, DatabaseSettings, ListingQuery, ObjectRow, device
from objstore.store.databases.connections import ConnectionCache, Replaced
from objstore.store.databases.container_db import NewContainer, image
from objstore.store.databases.device import Databases
from objstore.store.databases.schema import CONTAINER

PROJECT = str(Path(__file__).parents[4])
SALT = HashSalt(b"", b"salt")
QUICK = DatabaseSettings(synchronous="off", lock_timeout=0.3)

# Runs in a process of its own: arguments are the device and what to do.
PROGRAM = """
import os, sys
sys.path.insert(0, {project!r})
from objstore.core.names import HashSalt, Location, Name
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES
from objstore.store.databases import ContainerStore, DatabaseSettings, ObjectRow
name = Name("a", "c")
name_hash = HashSalt(b"", b"salt").hash(name)
at = Location(int(name_hash[:2], 16), name_hash)
root, who = sys.argv[1:]
store = ContainerStore(root, FILES, DatabaseSettings(synchronous={synchronous!r}, lock_timeout=30))
def row(number, size=1):
    return ObjectRow(f"{{who}}-{{number:06d}}", Timestamp(100), size=size, content_type="t", etag="e")
"""


def place(container: str = "c") -> Location:
    name_hash = SALT.hash(Name("a", container))
    return Location(int(name_hash[:2], 16), name_hash)


AT = place()


def at(raw: int) -> Timestamp:
    return Timestamp(raw)


def make(store: ContainerStore, container: str = "c", when: int = 10, policy: int = 0) -> bool:
    return store.create(place(container), Name("a", container), at(when), policy, {})


def row(name: str, when: int = 20) -> ObjectRow:
    return ObjectRow(name, at(when), size=1, content_type="t", etag="e")


def names(store: ContainerStore) -> list[str]:
    return [item.name for item in store.list(AT, ListingQuery()).items]


def start(root: Path, who: str, body: str, synchronous: str = "off") -> subprocess.Popen[str]:
    program = PROGRAM.format(project=PROJECT, synchronous=synchronous) + body
    return subprocess.Popen([sys.executable, "-c", program, str(root), who], stdout=subprocess.PIPE, text=True)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Callable[..., ContainerStore]]:
    """Stores of one device; several of them stand for several processes."""
    made: list[ContainerStore] = []

    def store(files: Files = FILES, settings: DatabaseSettings = QUICK) -> ContainerStore:
        made.append(ContainerStore(str(tmp_path), files, settings))
        return made[-1]

    yield store
    for one in made:
        one.close()


# Several processes


def test_processes_that_write_to_one_container_lose_nothing(tmp_path: Path) -> None:
    body = """
store.create(at, name, Timestamp(10), 0, {})
for number in range(60):
    store.merge_rows(at, [row(number, 2), row(number + 1000, 3)])
print("done")
"""
    writers = [start(tmp_path, str(number), body) for number in range(4)]
    assert [writer.communicate()[0] for writer in writers] == ["done\n"] * 4
    store = ContainerStore(str(tmp_path), FILES, QUICK)
    info = store.info(AT)
    assert (info.object_count, info.bytes_used) == (480, 1200)
    assert len(store.list(AT, ListingQuery()).items) == 480
    assert store.max_row(AT) == 480
    store.close()


def test_of_processes_that_create_at_once_one_is_first(tmp_path: Path) -> None:
    creators = [
        start(tmp_path, str(number), "print(store.create(at, name, Timestamp(10), 0, {}))") for number in "1234"
    ]
    answers = sorted(creator.communicate()[0] for creator in creators)
    assert answers == ["False\n", "False\n", "False\n", "True\n"]
    assert not list(tmp_path.glob("tmp/*"))


def test_writer_that_is_killed_loses_nothing_acknowledged(tmp_path: Path) -> None:
    body = """
store.create(at, name, Timestamp(10), 0, {})
for number in range(100000):
    store.merge_rows(at, [row(number)])
    print(number, flush=True)
"""
    writer = start(tmp_path, "w", body, synchronous="full")
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(150)]
    writer.kill()
    acknowledged += [int(line) for line in writer.stdout.read().split("\n")[:-1] if line]
    writer.wait()
    store = ContainerStore(str(tmp_path), FILES, QUICK)
    found = [item.name for item in store.list(AT, ListingQuery()).items]
    assert set(found) >= {f"w-{number:06d}" for number in acknowledged}
    assert store.info(AT).object_count == len(found)
    connection = sqlite3.connect(store.path(AT))
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    store.close()


def test_child_of_a_process_with_open_databases_opens_its_own(tmp_path: Path) -> None:
    body = """
store.create(at, name, Timestamp(10), 0, {})
store.merge_rows(at, [row(1)])
child = os.fork()
if not child:
    import objstore.runtime.green as green
    green.after_fork()
    store.merge_rows(at, [row(2)])
    os._exit(store.info(at).object_count)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
store.merge_rows(at, [row(3)])
print(store.info(at).object_count)
"""
    assert start(tmp_path, "w", body).communicate()[0] == "3\n"


def test_reader_goes_on_and_writer_gives_up_while_another_holds_the_lock(
    stores: Callable[..., ContainerStore],
) -> None:
    store = stores()
    make(store)
    holder = sqlite3.connect(store.path(AT), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(LockTimeout):
        store.merge_rows(AT, [row("o")])
    assert store.info(AT).object_count == 0
    holder.execute("ROLLBACK")
    holder.close()
    store.merge_rows(AT, [row("o")])
    assert names(store) == ["o"]


def test_writer_that_waits_for_the_lock_gets_it(stores: Callable[..., ContainerStore]) -> None:
    store = stores(settings=replace(QUICK, lock_timeout=10))
    make(store)
    holder = sqlite3.connect(store.path(AT), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    waiting = green.spawn(store.merge_rows, AT, [row("o")])
    green.sleep(0.05)
    holder.execute("COMMIT")
    waiting.wait()
    holder.close()
    assert names(store) == ["o"]


def test_writes_that_queue_up_share_a_transaction_but_not_their_errors(
    stores: Callable[..., ContainerStore],
) -> None:
    store = stores()
    make(store)
    make(store, "d")

    def deleting(location: Location) -> str:
        try:
            store.delete(location, at(5))
        except Conflict:
            return "conflict"
        return "deleted"

    threads = [green.spawn(store.merge_rows, AT, [row(str(number))]) for number in range(20)]
    late = green.spawn(deleting, AT)
    threads += [green.spawn(store.merge_rows, place("d"), [row(str(number))]) for number in range(20)]
    missing = green.spawn(store.merge_rows, place("none"), [row("x")])
    for thread in threads:
        thread.wait()
    with pytest.raises(NotFound):
        missing.wait()
    assert late.wait() == "conflict"
    assert store.info(AT).object_count == store.info(place("d")).object_count == 20


# Files that change under open connections


def test_database_removed_and_made_anew_elsewhere_is_noticed(stores: Callable[..., ContainerStore]) -> None:
    mine, other = stores(), stores()
    make(mine)
    mine.merge_rows(AT, [row("o"), row("o", 30)._replace(deleted=True)])
    mine.delete(AT, at(40))
    report = other.unreported(AT, at(50))
    assert report is not None
    other.set_reported(AT, report)
    assert other.remove(AT, at(60))
    with pytest.raises(NotFound) as caught:
        mine.info(AT)
    assert caught.value.timestamp is None
    assert make(other, when=70, policy=1)
    other.merge_rows(AT, [row("new", 80)._replace(policy_index=1)])
    # Closing a connection to the removed file must leave the log of the new one alone.
    assert mine.info(AT).policy_index == 1
    mine.merge_rows(AT, [row("newer", 80)._replace(policy_index=1)])
    assert names(other) == ["new", "newer"]
    mine.close()
    assert names(stores()) == ["new", "newer"]


def exchange(one: str, other: str) -> None:
    """Swap two paths in one step."""
    at_cwd, swap = -100, 2
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.renameat2(at_cwd, one.encode(), at_cwd, other.encode(), swap) == 0, ctypes.get_errno()


def test_rows_are_not_written_to_a_database_that_was_replaced_while_they_waited_for_its_lock(
    stores: Callable[..., ContainerStore], tmp_path: Path
) -> None:
    """Rows that were acknowledged went with the removed file; the rule had no test."""
    store = stores()
    make(store)
    (tmp_path / "second").mkdir()
    second = ContainerStore(str(tmp_path / "second"), FILES, QUICK)
    make(second)
    second.close()
    path = store.path(AT)
    waiting = ConnectionCache(CONTAINER, QUICK).take(path)
    exchange(os.path.dirname(path), os.path.dirname(second.path(AT)))
    with pytest.raises(Replaced):
        device._begin(waiting)
    waiting.connection.close()
    store.merge_rows(AT, [row("acknowledged")])
    store.close()
    assert names(stores()) == ["acknowledged"]


def test_rows_are_not_written_to_a_database_that_was_removed_while_they_waited_for_its_lock(
    stores: Callable[..., ContainerStore], tmp_path: Path
) -> None:
    store = stores()
    make(store)
    waiting = ConnectionCache(CONTAINER, QUICK).take(store.path(AT))
    os.rename(os.path.dirname(store.path(AT)), tmp_path / "removed")
    with pytest.raises(Replaced):
        device._begin(waiting)
    waiting.connection.close()


def test_connections_kept_open_are_limited(stores: Callable[..., ContainerStore]) -> None:
    store = stores(settings=replace(QUICK, open_databases=2))
    for number in range(8):
        make(store, str(number))
        store.merge_rows(place(str(number)), [row("o")])

    def open_files() -> int:
        links = (os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd"))
        return sum(os.path.dirname(store.path(place("0"))).split("/containers/")[0] in link for link in links)

    assert open_files() <= 2 * 3
    assert store.info(place("0")).object_count == 1


# Damage


def damage(path: str, start: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(data)


@pytest.mark.parametrize("how", ["garbage", "pages", "empty"])
def test_damaged_database_is_quarantined_and_can_be_made_anew(
    stores: Callable[..., ContainerStore], tmp_path: Path, how: str
) -> None:
    first = stores()
    make(first)
    first.merge_rows(AT, [row(f"{number:05d}") for number in range(1000)])
    first.close()
    path = first.path(AT)
    match how:
        case "garbage":
            damage(path, 0, b"x" * 100)
        case "pages":
            damage(path, 4096, os.urandom(os.path.getsize(path) - 4096))
        case "empty":
            os.truncate(path, 0)
    store = stores()
    with pytest.raises(Corrupt):
        names(store)
    assert (tmp_path / "quarantined" / "containers" / AT.hash / f"{AT.hash}.db").exists()
    with pytest.raises(NotFound):
        store.info(AT)
    assert make(store)
    assert names(store) == []
    damage(path, 0, b"y" * 100)
    os.utime(path)
    with pytest.raises(Corrupt):
        stores().merge_rows(AT, [row("o")])
    assert len(list((tmp_path / "quarantined" / "containers").iterdir())) == 2


def test_log_without_its_database_is_moved_away_before_a_new_one_is_made(
    stores: Callable[..., ContainerStore], tmp_path: Path
) -> None:
    store = stores()
    directory = Path(store.path(AT)).parent
    directory.mkdir(parents=True)
    (directory / f"{AT.hash}.db-wal").write_bytes(b"old")
    assert make(store)
    assert (tmp_path / "quarantined" / "containers" / AT.hash / f"{AT.hash}.db-wal").read_bytes() == b"old"
    assert names(store) == []


def test_database_of_a_later_version_is_refused_but_left_in_place(stores: Callable[..., ContainerStore]) -> None:
    store = stores()
    make(store)
    connection = sqlite3.connect(store.path(AT))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigError, match="version 99"):
        store.info(AT)
    assert os.path.exists(store.path(AT))


# Space and devices


def test_device_that_is_not_there(tmp_path: Path) -> None:
    store = ContainerStore(str(tmp_path / "unmounted"), FILES, QUICK)
    for call in (store.info, lambda location: make(store), lambda location: store.merge_rows(location, [row("o")])):
        with pytest.raises(DeviceUnavailable):
            call(AT)
    assert not (tmp_path / "unmounted").exists()


def test_reserve_of_free_space_is_kept_but_deletions_pass(stores: Callable[..., ContainerStore]) -> None:
    make(stores())
    store = stores(settings=replace(QUICK, reserve=1 << 62))
    with pytest.raises(NoSpace):
        make(store, "d")
    with pytest.raises(NoSpace):
        store.merge_rows(AT, [row("o")])
    store.merge_rows(AT, [row("o")._replace(deleted=True)])
    assert store.info(AT).object_count == 0


class FullDisk(Files):
    def write(self, fd: int, pieces: object) -> None:
        raise OSError(28, "No space left on device")


def test_full_device_leaves_no_half_made_database(stores: Callable[..., ContainerStore], tmp_path: Path) -> None:
    with pytest.raises(NoSpace):
        make(stores(files=FullDisk()))
    assert not list(tmp_path.rglob("*.db"))


class Journal(Files):
    """Writes down what is made durable, and in which order."""

    def __init__(self, root: str, ordered: bool) -> None:
        self._root = root
        self._ordered = ordered
        self.calls: list[str] = []

    def orders_names(self, path: str) -> bool:
        return self._ordered

    def fsync(self, fd: int) -> None:
        self.calls.append("sync file")
        super().fsync(fd)

    def fsync_dir(self, path: str) -> None:
        self.calls.append(f"sync {os.path.relpath(path, self._root)}")
        super().fsync_dir(path)

    def link_again(self, path: str, new: str) -> None:
        self.calls.append("link")
        super().link_again(path, new)


def test_new_database_has_its_name_only_when_all_above_is_durable(
    stores: Callable[..., ContainerStore], tmp_path: Path
) -> None:
    journal = Journal(str(tmp_path), ordered=False)
    make(stores(files=journal))
    partition = f"containers/{AT.partition}"
    assert journal.calls == [
        "sync file",
        "sync .",
        "sync containers",
        f"sync {partition}",
        f"sync {partition}/{AT.suffix}",
        "link",
        f"sync {partition}/{AT.suffix}/{AT.hash}",
    ]


def test_new_database_needs_one_sync_of_a_directory_where_names_become_durable_in_their_order(
    stores: Callable[..., ContainerStore], tmp_path: Path
) -> None:
    journal = Journal(str(tmp_path), ordered=True)
    make(stores(files=journal))
    assert journal.calls == ["sync file", "link", f"sync containers/{AT.partition}/{AT.suffix}/{AT.hash}"]


class LooksForDescriptors(Files):
    """Notes how many descriptors of a file this process has when it gets a name."""

    def __init__(self) -> None:
        self.found: list[int] = []

    def link_again(self, path: str, new: str) -> None:
        self.found.append(descriptors(path))
        super().link_again(path, new)


def descriptors(path: str) -> int:
    found, wanted = 0, os.stat(path)
    for fd in os.listdir("/proc/self/fd"):
        try:
            found += os.path.samestat(os.fstat(int(fd)), wanted)
        except OSError:
            pass
    return found


def test_new_database_is_closed_before_it_has_its_name(stores: Callable[..., ContainerStore]) -> None:
    """To close a descriptor later ended the locks of those who had opened the database meanwhile: the next
    process that closed it deleted the log that they went on writing to, and acknowledged rows were lost."""
    files = LooksForDescriptors()
    store = stores(files=files)
    make(store)
    assert files.found == [0]
    snapshot = store.snapshot(AT)
    content = b"".join(snapshot.pieces())
    snapshot.close()
    received = store.receive(AT)
    received.write(content)
    assert store.remove_moved(AT, store.summaries([AT])[AT.hash])
    assert store.place(AT, received, lambda info: True, 10)
    received.close()
    assert files.found == [0, 0]
    assert os.stat(store.path(AT)).st_nlink == 1


def test_sweep_deletes_a_new_database_that_was_not_put_in_place(
    stores: Callable[..., ContainerStore], tmp_path: Path
) -> None:
    store = stores()
    make(store)
    left = tmp_path / "tmp" / f"{AT.hash}-0123456789ab"
    left.write_bytes(b"half")
    assert store.receive(AT)  # it is not taken for another peer's transfer
    os.utime(left, (1, 1))
    assert store.sweep(before=2) == 1
    assert not left.exists()


def test_reader_lets_go_of_a_device_that_does_not_answer(tmp_path: Path) -> None:
    patient = Databases(str(tmp_path), CONTAINER, FILES, DatabaseSettings(synchronous="off"))
    patient.create(AT, lambda: image(NewContainer(Name("a", "c"), at(10))))  # on a busy machine this takes a while
    patient.close()
    databases = Databases(str(tmp_path), CONTAINER, FILES, DatabaseSettings(synchronous="off", patience=0.1))
    answers = threading.Event()
    began = time.monotonic()
    with pytest.raises(DeviceUnavailable):
        databases.read(AT, lambda connection: answers.wait(10))
    assert time.monotonic() - began < 5
    answers.set()
    databases.close()


def test_new_database_is_in_wal_mode_and_takes_32_bits_of_identity(stores: Callable[..., ContainerStore]) -> None:
    store = stores()
    make(store)
    connection = sqlite3.connect(store.path(AT))
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA application_id").fetchone() == (0x4F534354,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_sweep_deletes_what_a_killed_removal_left(stores: Callable[..., ContainerStore], tmp_path: Path) -> None:
    store = stores()
    left = tmp_path / "tmp" / f"{AT.hash}-0123456789ab"
    left.mkdir(parents=True)
    (left / "x.db").write_bytes(b"x")
    (tmp_path / "tmp" / "another").write_bytes(b"y")
    assert store.sweep(time.time() - 100) == 0
    assert store.sweep(time.time() + 100) == 1
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["another"]
