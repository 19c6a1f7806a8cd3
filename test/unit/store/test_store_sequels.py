"""What follows a change: durable only after it, once it is made, and together with what follows others of its group."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from objstore.core.errors import Conflict, NameHeld, NotFound, ObjstoreError
from objstore.core.names import Location
from objstore.core.timestamps import ZERO, Timestamp
from objstore.runtime import green
from objstore.runtime.threads import ThreadPool
from objstore.store.databases.journal import RowJournal
from objstore.store.databases.journal_format import JournalRows
from objstore.store.interface import Guard, ObjectData, Sequel
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.objects.space import Reserve
from objstore.store.packed.index import Index
from objstore.store.packed.recovery import open_index
from objstore.store.packed.store import PackedStore

_spec = importlib.util.spec_from_file_location("faulty_files", Path(__file__).with_name("faulty_files.py"))
assert _spec is not None and _spec.loader is not None
faulty_files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(faulty_files)

HERE = Location(5, "0123456789abcdef0123456789abcdef")
CONTAINER = Location(7, "fedcba98765432100123456789abcdef")
SETTINGS = FileSettings(Reserve(), ballast=0)
POOL = ThreadPool("sequel-tests", 1)


def open_store(kind: str, root: str, **options: Any) -> Any:
    if kind == "file":
        return FileReplicaStore(root, settings=SETTINGS, **options)
    return Packed(root, settings=SETTINGS, limit=65536, power=lambda: 3, **options)


class Packed(PackedStore):
    """boot: identity of the boot."""

    boot = "before"

    def _open_index(self) -> Index:
        return open_index(self._files, self.layout.packed, self.volumes, self.boot, lambda _: None)


def put(
    store: Any, sequel: Sequel | None, when: int = 1, guard: Guard | None = None, location: Location = HERE
) -> None:
    with store.create(location, 5) as writer:
        writer.write(b"hello")
        writer.commit(ObjectData("/a/c/o", Timestamp(when), "text/plain", {}), guard, sequel)


class Accepted:
    """Takes items that are true, and notes the groups in which they come."""

    def __init__(self) -> None:
        self.groups: list[list[Any]] = []

    def __call__(self, items: list[Any]) -> Sequence[bool]:
        self.groups.append(items)
        return [bool(item) for item in items]


@pytest.fixture(params=["file", "packed"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return open_store(request.param, str(tmp_path))


def test_a_change_is_followed_by_its_sequel(store: Any) -> None:
    accept = Accepted()
    first, second = Sequel(accept, "row"), Sequel(accept, "tombstone")
    put(store, first)
    store.delete(HERE, "/a/c/o", Timestamp(2), None, second)
    assert first.accepted and second.accepted
    assert accept.groups == [["row"], ["tombstone"]]


def test_a_change_stands_though_its_sequel_is_refused(store: Any) -> None:
    sequel = Sequel(Accepted(), "")
    put(store, sequel)
    assert not sequel.accepted
    assert store.info(HERE).size == 5


def test_nothing_follows_a_change_that_is_refused(store: Any) -> None:
    def refuse(newest: Timestamp, look: object) -> None:
        raise Conflict("no", newest)

    accept = Accepted()
    sequel = Sequel(accept, "row")
    with pytest.raises(Conflict):
        put(store, sequel, guard=refuse)
    assert accept.groups == [] and not sequel.accepted


def test_what_waits_for_its_name_is_followed_once(store: Any) -> None:
    held = iter([True, True, False])

    def hold(newest: Timestamp, look: object) -> None:
        if next(held):
            raise NameHeld("wait", 0.001)

    accept = Accepted()
    put(store, Sequel(accept, "row"), guard=hold)
    assert accept.groups == [["row"]]


def test_sequels_of_a_group_are_accepted_at_once(store: Any) -> None:
    accept = Accepted()
    sequels = [Sequel(accept, number) for number in range(1, 30)]
    waits = [
        green.spawn(put, store, sequel, location=Location(5, f"{number:032x}")) for number, sequel in enumerate(sequels)
    ]
    for wait in waits:
        wait.wait()
    assert all(sequel.accepted for sequel in sequels)
    assert sorted(item for group in accept.groups for item in group) == list(range(1, 30))
    assert len(accept.groups) < 29


@pytest.mark.parametrize("kind", ["file", "packed"])
def test_after_a_power_cut_no_row_is_without_its_object_and_both_are_there_if_answered(
    kind: str, tmp_path: Path
) -> None:
    """A row of the journal follows a put; the power is cut at every step."""

    def act(root: str, files: Any) -> bool:
        """Was the change answered, and its row accepted?"""
        journal = RowJournal(files, root)

        def accept(items: list[Any]) -> Sequence[bool]:
            return journal.append(items, [ZERO] * len(items))

        sequel = Sequel(accept, JournalRows(CONTAINER, 1, b'[["o"]]'))
        store = open_store(kind, root, files=files, batching=faulty_files.Inline, pool=POOL)
        try:
            journal.open_gate(CONTAINER, ZERO)
            put(store, sequel)
            return sequel.accepted
        except (faulty_files.PowerCut, ObjstoreError, OSError):
            return False
        finally:
            with contextlib.suppress(faulty_files.PowerCut):
                store.release()
            with contextlib.suppress(faulty_files.PowerCut):
                journal.release()

    step, answered = 0, False
    while not answered:
        step += 1
        root = tmp_path / f"device{step}"
        root.mkdir()
        files = faulty_files.FaultyFiles(str(root))
        files.cut_at = step
        answered = act(str(root), files)
        for seed in (None, 1):
            outcome = files.outcome(tmp_path / f"outcome{step}-{seed}", seed)
            store = open_store(kind, outcome)
            if kind == "packed":
                store.boot = "after"
            rows = RowJournal(faulty_files.Files(), outcome).pending(CONTAINER)
            try:
                assert store.info(HERE).size == 5
            except NotFound:
                assert not answered and not rows, (step, files.steps)
            assert rows or not answered, (step, files.steps)
            store.release()
            shutil.rmtree(outcome)
        shutil.rmtree(root)
    assert step > 5
