"""Guards: what engines ask before they make a change, at the instant at which they make it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objstore.core.errors import Conflict, NameHeld, NotFound, PreconditionFailed
from objstore.core.names import Location
from objstore.core.timestamps import ZERO, Timestamp
from objstore.runtime import green
from objstore.store.interface import Guard, Look, ObjectData, ObjectInfo, ObjectMetadata
from objstore.store.objects.file_store import FileSettings, FileStore
from objstore.store.objects.memory_store import MemoryStore
from objstore.store.objects.space import Reserve
from objstore.store.packed.store import PackedStore

LIMITS = {"packed": 1 << 20, "packed and files": 2}  # bytes of the largest object that is packed
HERE = Location(0, "0123456789abcdef0123456789abcdef")
NAME = "/a/c/o"


NO_RESERVE = FileSettings(Reserve(), ballast=0)


@pytest.fixture(params=["file", "memory", *LIMITS])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return new_store(request.param, tmp_path)


def new_store(engine: str, root: Path) -> Any:
    if engine in LIMITS:
        return PackedStore(str(root), settings=NO_RESERVE, limit=LIMITS[engine], power=lambda: 3)
    return MemoryStore() if engine == "memory" else FileStore(str(root), settings=NO_RESERVE)


def put(store: Any, when: int, content: bytes = b"content", guard: Guard | None = None) -> ObjectInfo:
    with store.create(HERE, len(content)) as writer:
        writer.write(content)
        return writer.commit(ObjectData(NAME, Timestamp(when), "text/plain", {}), guard)


def post(store: Any, when: int, guard: Guard | None = None) -> None:
    store.post(HERE, ObjectMetadata(Timestamp(when), {"X-Object-Meta-When": str(when)}), guard)


def delete(store: Any, when: int, guard: Guard | None = None) -> None:
    store.delete(HERE, NAME, Timestamp(when), guard)


class Note:
    """A guard that lets all pass and notes what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[Timestamp, str | None]] = []

    def __call__(self, newest: Timestamp, look: Look) -> None:
        found = look()
        self.given.append((newest, found and found.etag))


def test_a_guard_is_given_what_is_there(store: Any) -> None:
    note = Note()
    first = put(store, 1, b"one", note)
    post(store, 2, note)
    put(store, 3, bytes(3_000_000), note)
    delete(store, 4, note)
    put(store, 5, b"five", note)
    assert [newest for newest, _ in note.given] == [ZERO, *map(Timestamp, (1, 2, 3, 4))]
    etags = [etag for _, etag in note.given]
    assert etags[:3] == [None, first.etag, first.etag]
    assert etags[3] not in (None, first.etag)
    assert etags[4] is None


@pytest.mark.parametrize("change", [put, post, delete], ids=["put", "post", "delete"])
def test_what_a_guard_raises_is_raised_and_nothing_changes(store: Any, change: Callable[..., Any]) -> None:
    def refuse(newest: Timestamp, look: Look) -> None:
        raise PreconditionFailed("no")

    put(store, 1)
    before = store.info(HERE)
    with pytest.raises(PreconditionFailed):
        change(store, 2, guard=refuse)
    assert store.info(HERE) == before


def test_a_refused_first_put_leaves_no_directory(tmp_path: Path) -> None:
    def refuse(newest: Timestamp, look: Look) -> None:
        raise PreconditionFailed("no")

    store = FileStore(str(tmp_path), settings=NO_RESERVE)
    for size in (10, 1_000_000):
        with pytest.raises(PreconditionFailed):
            put(store, 1, bytes(size), refuse)
    assert not os.path.exists(store.layout.hash_dir(HERE))
    put(store, 2)
    assert store.info(HERE).timestamp == Timestamp(2)


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_name_that_is_held_is_tried_again_until_it_is_free(store: Any, size: int) -> None:
    asked: list[Timestamp] = []

    def held_at_first(newest: Timestamp, look: Look) -> None:
        asked.append(newest)
        if len(asked) < 3:
            raise NameHeld("wait", 0.01)

    put(store, 1, bytes(size), held_at_first)
    assert len(asked) == 3
    assert store.info(HERE).size == size
    reader = store.open(HERE)
    assert b"".join(bytes(piece) for piece in reader.read(0, size)) == bytes(size)
    reader.close()


def test_one_killed_while_a_name_is_held_changes_nothing_and_leaves_nothing_open(tmp_path: Path) -> None:
    def held(newest: Timestamp, look: Look) -> None:
        raise NameHeld("wait", 5)

    store = FileStore(str(tmp_path), settings=NO_RESERVE)
    waiting = green.spawn(put, store, 1, b"x", held)
    for _ in range(100):
        green.sleep(0.01)
        if os.path.exists(store.layout.objects):
            break
    green.sleep(0.05)
    green.kill(waiting)
    links = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert not [link for link in links if link.startswith(f"{tmp_path}/objects")]
    with pytest.raises(NotFound):
        store.info(HERE)


@pytest.mark.parametrize("change", [put, delete], ids=["put", "delete"])
def test_the_same_change_again_is_not_asked_about(store: Any, change: Callable[..., Any]) -> None:
    note = Note()
    change(store, 1, guard=note)
    change(store, 1, guard=note)
    assert len(note.given) == 1


def test_the_same_change_again_is_asked_about_where_it_counts_no_more(tmp_path: Path) -> None:
    """What a replicator brought counted as made, for as long as it lay there beside what is newer."""
    store = FileStore(str(tmp_path), settings=NO_RESERVE)
    put(store, 1)
    (kept,) = Path(store.layout.hash_dir(HERE)).iterdir()
    os.link(kept, tmp_path / "kept")
    put(store, 2)
    os.link(tmp_path / "kept", kept)
    note = Note()
    put(store, 1, guard=note)
    assert [newest for newest, _ in note.given] == [Timestamp(2)]


def test_another_change_of_one_timestamp_is_a_conflict(store: Any) -> None:
    put(store, 1, b"one")
    with pytest.raises(Conflict) as caught:
        put(store, 1, b"two")
    assert caught.value.timestamp == Timestamp(1)
    assert store.info(HERE).size == 3


def test_an_exclusive_call_is_given_what_a_guard_is_given(store: Any) -> None:
    assert store.exclusively(HERE, lambda newest, look: (newest, look())) == (ZERO, None)
    info = put(store, 1)
    assert store.exclusively(HERE, lambda newest, look: (newest, look())) == (Timestamp(1), info)
    delete(store, 2)
    assert store.exclusively(HERE, lambda newest, look: (newest, look())) == (Timestamp(2), None)


def only_over(expected: Timestamp) -> Guard:
    def guard(newest: Timestamp, look: Look) -> None:
        if newest != expected:
            raise Conflict("no", newest)

    return guard


@pytest.mark.filterwarnings("ignore:Using fork:DeprecationWarning")
@pytest.mark.parametrize("engine", ["file", *LIMITS])
def test_of_many_processes_that_change_the_same_state_one_does(tmp_path: Path, engine: str) -> None:
    """Compare and swap: as many successes as there are versions."""
    rounds, workers = 30, 4
    children = []
    for which in range(workers):
        child = os.fork()
        if child == 0:
            status = 255
            try:
                green.after_fork()
                store = new_store(engine, tmp_path)
                won = 0
                for number in range(rounds):
                    expected = store.exclusively(HERE, lambda newest, look: newest)
                    stamp = Timestamp(expected.raw + 1, which + 1)
                    try:
                        with store.create(HERE, 10) as writer:
                            writer.write(b"%010d" % number)
                            writer.commit(ObjectData(NAME, stamp, "text/plain", {}), only_over(expected))
                        won += 1
                    except Conflict:
                        pass
                status = won
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(child)
    won = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert max(won) <= rounds
    assert new_store(engine, tmp_path).info(HERE).timestamp.raw == sum(won)
