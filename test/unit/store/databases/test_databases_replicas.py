"""Databases as replicas: summaries, rows taken from peers, whole files on their way."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from objstore.core.errors import Conflict, Corrupt, InvalidInput, LockTimeout, NoSpace, NotFound
from objstore.core.names import HashSalt, Location, Name
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES, Files
from objstore.store.databases import AccountStore, ContainerStore, DatabaseSettings, ObjectRow
from objstore.store.databases.contents import Rows
from objstore.store.databases.replicas import Replicas
from objstore.store.databases.summaries import Known

SALT = HashSalt(b"", b"salt")
NAME = Name("a", "c")
AT = Location(3, SALT.hash(NAME))
FAST = DatabaseSettings(synchronous="off")


class Journal(Files):
    """Writes down what is made durable, and in which order."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def fsync(self, fd: int) -> None:
        self.calls.append("sync")
        super().fsync(fd)

    def link_again(self, path: str, new: str) -> None:
        self.calls.append("link")
        super().link_again(path, new)


def opened(root: Path, files: Files = FILES, settings: DatabaseSettings = FAST) -> ContainerStore:
    root.mkdir(exist_ok=True)
    return ContainerStore(str(root), files, settings)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[ContainerStore]:
    store = opened(tmp_path / "source")
    store.create(AT, NAME, Timestamp(10), 0, {"X-Container-Meta-A": "b"})
    store.merge_rows(AT, [row(f"n{number:03d}") for number in range(300)])
    yield store
    store.close()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[ContainerStore]:
    store = opened(tmp_path / "target")
    yield store
    store.close()


def row(name: str, when: int = 20, size: int = 1) -> ObjectRow:
    return ObjectRow(name, Timestamp(when), False, size, "text/plain", "e").normal()


def is_ours(info: Any) -> bool:
    return SALT.hash(info.name) == AT.hash


def send(source: ContainerStore, target: ContainerStore, change: Any = None) -> bool:
    """Bring a whole file over; `change` may do something to its bytes."""
    snapshot = source.snapshot(AT)
    received = target.receive(AT)
    try:
        content = b"".join(snapshot.pieces())
        assert len(content) == snapshot.size
        received.write(change(content) if change else content)
        return target.place(AT, received, is_ours, 50).new
    finally:
        received.close()
        snapshot.close()


def left(store: Replicas) -> list[str]:
    temporary = Path(store.path(AT)).parents[4] / "tmp"
    return os.listdir(temporary) if temporary.exists() else []


def test_copy_has_the_same_rows_and_status_and_another_id(source: ContainerStore, target: ContainerStore) -> None:
    source.set_sync_point(AT, source.info(AT).id, True, "third", 7)
    source.set_sync_point(AT, source.info(AT).id, False, "third", 200)
    assert send(source, target)
    mine, theirs = source.info(AT), target.info(AT)
    assert mine.id != theirs.id
    assert mine._replace(id="") == theirs._replace(id="")
    assert source.rows_since(AT, 0, 999) == target.rows_since(AT, 0, 999)
    assert target.sync_points(AT, True) == {"third": 7, mine.id: 300}
    assert target.sync_points(AT, False) == {"third": 200, mine.id: 300}
    assert not left(source) and not left(target)
    target.merge_rows(AT, [row("more")])
    target.audit(AT)


def test_what_is_known_of_one_database_is_not_noted_of_the_one_that_took_its_place(source: ContainerStore) -> None:
    id_ = source.info(AT).id
    assert source.page_since(AT, id_, 0, 5).rows == 5
    assert source.renew_id(AT, 301)
    with pytest.raises(Conflict):
        source.page_since(AT, id_, 0, 5)
    with pytest.raises(Conflict):
        source.set_sync_point(AT, id_, False, "peer", 300)
    assert not source.renew_id(AT, 300)  # it has given out all of these


def test_what_was_removed_is_not_remembered(source: ContainerStore) -> None:
    os.utime(source.path(AT))
    known = source._summary_cache
    source.close()
    known.put(AT.hash, ((1, 2, 3),), source.summaries([AT])[AT.hash])
    assert source.remove_moved(AT, source.summaries([AT])[AT.hash])
    assert not known._cache


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE policy_stat SET object_count = 0, bytes_used = 0",
        "UPDATE policy_stat SET object_count = 1",
        "DELETE FROM object WHERE name = 'n007'",
        "DELETE FROM policy_stat",
        "INSERT INTO policy_stat (policy_index, object_count) VALUES (7, 1)",
        "UPDATE policy_stat SET last_row = 299",
    ],
)
def test_audit_finds_totals_and_numbers_that_are_not_those_of_the_rows(source: ContainerStore, harm: str) -> None:
    source.audit(AT)
    source.close()
    connection = sqlite3.connect(source.path(AT))
    with connection:
        connection.execute(harm)
    connection.close()
    with pytest.raises(Corrupt):
        source.audit(AT)
    with pytest.raises(NotFound):
        source.info(AT)


def test_file_for_a_database_that_is_there_is_merged(source: ContainerStore, target: ContainerStore) -> None:
    target.create(AT, NAME, Timestamp(5), 0, {"X-Container-Meta-B": "c"})
    target.merge_rows(AT, [row("own"), row("n007", 30, 9)])
    id_ = target.info(AT).id
    assert not send(source, target)
    info = target.info(AT)
    assert (info.id, info.object_count, info.bytes_used) == (id_, 301, 309)
    assert set(info.metadata) == {"X-Container-Meta-A", "X-Container-Meta-B"}
    assert target.sync_points(AT, True) == {source.info(AT).id: 300}
    target.audit(AT)
    assert not left(target)


def test_file_is_durable_before_it_has_its_name(source: ContainerStore, tmp_path: Path) -> None:
    journal = Journal()
    target = opened(tmp_path / "target", journal)
    assert send(source, target)
    assert journal.calls == ["sync", "link"]
    target.close()


def damaged(content: bytes) -> bytes:
    return content[:8192] + b"\xff" * 4096 + content[12288:]


@pytest.mark.parametrize(
    "change", [damaged, lambda content: content[:-4096], lambda content: b"", lambda content: b"x" * 10_000]
)
def test_damaged_file_is_refused(source: ContainerStore, target: ContainerStore, change: Any) -> None:
    with pytest.raises(InvalidInput):
        send(source, target, change)
    with pytest.raises(NotFound):
        target.info(AT)
    assert not left(target)


def test_file_of_another_kind_or_name_is_refused(tmp_path: Path, target: ContainerStore) -> None:
    accounts = AccountStore(str(tmp_path), FILES, FAST)
    accounts.create(AT, Name("a"), Timestamp(1), {})
    with pytest.raises(InvalidInput, match="not a container"):
        send(accounts, target)  # type: ignore[arg-type]
    accounts.close()
    other = opened(tmp_path / "other")
    other.create(AT, Name("a", "other"), Timestamp(1), 0, {})
    with pytest.raises(InvalidInput, match="a/other"):
        send(other, target)
    other.close()


def test_snapshot_is_of_one_instant_while_writers_go_on(source: ContainerStore, target: ContainerStore) -> None:
    stop = threading.Event()
    path = source.path(AT)

    def write() -> None:
        connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        while not stop.is_set():
            connection.execute("UPDATE info SET reported_object_count = reported_object_count + 1")
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert send(source, target)
    finally:
        stop.set()
        thread.join()
    target.audit(AT)
    assert target.info(AT).object_count == 300


def test_second_sender_of_the_same_file_is_told_to_wait(source: ContainerStore, target: ContainerStore) -> None:
    first = target.receive(AT)
    with pytest.raises(LockTimeout):
        target.receive(AT)
    long_ago = time.time() - 1000
    (directory,) = (Path(target.path(AT)).parents[4] / "tmp").iterdir()
    os.utime(directory / "copy.db", (long_ago, long_ago))
    target.receive(AT).close()  # the first one seems to be dead
    first.close()
    assert send(source, target)


def test_full_device_takes_no_file(tmp_path: Path) -> None:
    store = opened(tmp_path / "full", settings=DatabaseSettings(synchronous="off", reserve=1 << 60))
    with pytest.raises(NoSpace):
        store.receive(AT)


def test_what_a_killed_transfer_left_is_swept(target: ContainerStore) -> None:
    target.receive(AT)
    assert target.sweep(time.time() - 100) == 0
    assert target.sweep(time.time() + 100) == 1
    assert not left(target)


def taken(store: ContainerStore, after: int, last: int, *rows: ObjectRow) -> int:
    return store.take_rows(AT, Rows(store.info(AT).id, "peer", after, last, rows))


def test_rows_taken_move_the_sync_point_with_them(source: ContainerStore) -> None:
    assert taken(source, 0, 5, row("a")) == 5
    assert taken(source, 5, 9) == 9
    assert taken(source, 2, 7, row("a")) == 9  # told again
    assert source.sync_points(AT, True) == {"peer": 9}


def test_rows_for_a_database_that_was_there_before_are_refused(source: ContainerStore) -> None:
    """The one there now may lack those that came before."""
    with pytest.raises(Conflict):
        source.take_rows(AT, Rows("the one before", "peer", 5, 9, [row("a")]))
    assert source.sync_points(AT, True) == {}


def test_what_the_peer_told_need_not_be_told_to_it(source: ContainerStore) -> None:
    source.set_sync_point(AT, source.info(AT).id, False, "peer", 300)
    taken(source, 0, 2, row("x"), row("y"))
    assert source.sync_points(AT, False) == {"peer": 302}


def test_what_both_got_from_others_need_not_be_told_to_it_either(source: ContainerStore) -> None:
    rows = [numbered.row for numbered in source.rows_since(AT, 0, 150)]
    taken(source, 0, 150, *reversed(rows))
    assert source.sync_points(AT, False) == {"peer": 150}


def test_row_that_is_newer_here_is_still_to_be_told(source: ContainerStore) -> None:
    source.set_sync_point(AT, source.info(AT).id, False, "peer", 300)
    source.merge_rows(AT, [row("x", 50)])
    taken(source, 0, 2, row("x", 40), row("y"))
    assert source.sync_points(AT, False) == {"peer": 300}


def test_summary_is_read_anew_only_after_a_change(source: ContainerStore) -> None:
    replicas = source
    (first,) = replicas.summaries([AT]).values()
    time.sleep(2.1)  # so long a change may leave no trace in time stamps
    (second,) = replicas.summaries([AT]).values()
    assert second == first
    assert replicas.summaries([AT])[AT.hash] is second
    source.merge_rows(AT, [row("new")])
    (third,) = replicas.summaries([AT]).values()
    assert third.max_row == 301
    assert replicas.remove_moved(AT, third)
    assert replicas.summaries([AT]) == {}


def test_no_more_summaries_are_remembered_than_may_be(tmp_path: Path, source: ContainerStore) -> None:
    (summary,) = source.summaries([AT]).values()
    path = tmp_path / "file"
    path.write_bytes(b"x")
    known = Known(2)
    for name_hash in ("a", "b", "c"):
        known.put(name_hash, ((1, 2, 3),), summary)
    assert [known._cache.get(name_hash) is not None for name_hash in ("a", "b", "c")] == [True, True, False]
    assert known.get("a", str(path)) is None  # the file is another
    assert known.stamp(str(path)) is None  # it has just changed
    known.put("a", None, summary)
    known.put("c", ((1, 2, 3),), summary)
    assert known._cache.keys() == {"b", "c"}
