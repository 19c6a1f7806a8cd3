"""The power is cut, or an error strikes, at every step of every change: old or new, and whole."""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import itertools
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.engines import present

from objstore.core.errors import Corrupt, DeviceUnavailable, NoSpace, NotFound, ObjstoreError
from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.runtime.threads import ThreadPool
from objstore.store.interface import ObjectData, ObjectMetadata
from objstore.store.objects.file_store import FileSettings, FileStore
from objstore.store.objects.layout import lock_number
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.objects.space import Reserve
from objstore.store.packed.index import Index
from objstore.store.packed.recovery import open_index
from objstore.store.packed.store import PackedStore

_spec = importlib.util.spec_from_file_location("faulty_files", Path(__file__).with_name("faulty_files.py"))
assert _spec is not None and _spec.loader is not None
faulty_files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(faulty_files)
FaultyFiles, Inline, PowerCut = faulty_files.FaultyFiles, faulty_files.Inline, faulty_files.PowerCut

HERE = Location(5, "0123456789abcdef0123456789abcdef")
OTHER = Location(5, "fedcba98765432100123456789abcdef")
NAME = "/a/c/o"
POOL = ThreadPool("crash-tests", 1)
SEEDS = (None, 1, 2, 3, 4)
OLD, NEW, LARGE = b"old" * 100, b"new" * 200, b"large" * 50_000
HUGE = b"blocks" * 400_000  # two blocks that are written past the page cache, and a rest


LIMITS = {"packed": 1 << 20, "packed and files": 350}  # bytes of the largest object that is packed
ENGINES = ("file", *LIMITS)


class Packed(PackedStore):
    """boot: identity of the boot."""

    boot = ""

    def _open_index(self) -> Index:
        return open_index(self._files, self.layout.packed, self.volumes, self.boot, lambda _: None)


def store_at(root: str, files: Any = None, engine: str = "file", boot: str = "before") -> Any:
    arguments = {} if files is None else {"files": files}
    settings = FileSettings(Reserve(), ballast=0)
    if engine == "file":
        return FileStore(root, settings=settings, batching=Inline, pool=POOL, **arguments)
    store = Packed(
        root, settings=settings, batching=Inline, pool=POOL, limit=LIMITS[engine], power=lambda: 3, **arguments
    )
    store.boot = boot
    return store


def put(store: FileStore, when: int, content: bytes, location: Location = HERE) -> None:
    with store.create(location, len(content)) as writer:
        for start in range(0, len(content), 100_000):
            writer.write(content[start : start + 100_000])
        writer.commit(ObjectData(NAME, Timestamp(when), "text/plain", {"X-Object-Meta-When": str(when)}))


def post(store: FileStore, when: int) -> None:
    store.post(HERE, ObjectMetadata(Timestamp(when), {"X-Object-Meta-When": str(when)}, "image/png"))


def state(store: FileStore, location: Location = HERE) -> Any:
    """All that can be seen; Corrupt, or anything else unexpected, fails the test."""
    try:
        reader = store.open(location)
    except NotFound as error:
        return error.timestamp
    with reader:
        return reader.info, b"".join(bytes(piece) for piece in reader.read(0, 1 << 40))


def is_locked(store: FileStore) -> bool:
    if not os.path.exists(store.layout.locks):
        return False
    fd = os.open(store.layout.locks, os.O_RDWR)
    try:
        number = lock_number(store.layout.hash_dir(HERE))
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0))
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(fd)


Act = Callable[[FileStore], None]
CASES: dict[str, tuple[tuple[Act, ...], Act]] = {
    "first put": ((), lambda store: put(store, 5, NEW)),
    "first large put": ((), lambda store: put(store, 5, LARGE)),
    "first put past the page cache": ((), lambda store: put(store, 5, HUGE)),
    "overwrite": ((lambda store: put(store, 1, OLD),), lambda store: put(store, 5, NEW)),
    "large overwrite": ((lambda store: put(store, 1, OLD), lambda s: post(s, 2)), lambda store: put(store, 5, LARGE)),
    "late put": ((lambda store: put(store, 7, OLD),), lambda store: put(store, 5, NEW)),
    "first post": ((lambda store: put(store, 1, OLD),), lambda store: post(store, 5)),
    "second post": ((lambda store: put(store, 1, OLD), lambda s: post(s, 2)), lambda store: post(store, 5)),
    "delete": ((lambda store: put(store, 1, OLD), lambda s: post(s, 2)), lambda s: s.delete(HERE, NAME, Timestamp(5))),
    "delete of nothing": ((), lambda store: store.delete(HERE, NAME, Timestamp(5))),
    "put after delete": ((lambda s: s.delete(HERE, NAME, Timestamp(2)),), lambda store: put(store, 5, NEW)),
}


class Trial:
    """One change over a state, to be tried again and again on fresh copies of the device."""

    def __init__(
        self, case: str, tmp_path: Path, engine: str = "file", unnamed: bool = True, ordered: bool = False
    ) -> None:
        self._before, self._act = CASES[case]
        self._engine = engine
        self._tmp_path = tmp_path
        self._unnamed = unnamed
        self._ordered = ordered
        self._numbers = itertools.count()
        plain = self.device()
        self.old = self.do(state, self.store(plain))
        self.do(self._act, self.store(plain))
        self.new = self.do(state, self.store(plain))
        counted = self.files()
        self.do(self._act, self.store(counted.root, counted))
        self.steps = len(counted.steps)

    def store(self, root: str, files: Any = None, boot: str = "before") -> Any:
        return store_at(root, files, self._engine, boot)

    def do(self, act: Callable[[Any], Any], store: Any) -> Any:
        """The result of an act, after which its process is gone, and with it its locks."""
        try:
            return act(store)
        finally:
            store.release()

    def path(self) -> Path:
        return self._tmp_path / str(next(self._numbers))

    def device(self) -> str:
        root = self.path()
        root.mkdir()
        for act in self._before:
            self.do(act, self.store(str(root)))
        return str(root)

    def files(self) -> Any:
        return FaultyFiles(self.device(), self._unnamed, self._ordered)

    def run(self, files: Any) -> bool:
        """Was the change answered?"""
        try:
            self.do(self._act, self.store(files.root, files))
        except (PowerCut, ObjstoreError):
            return False
        return True

    def outcomes(self, files: Any) -> Iterator[FileStore]:
        for seed in SEEDS if self._engine == "file" else SEEDS[:2]:  # an index is large to copy
            root = files.outcome(self.path(), seed)
            yield self.store(root, boot="after")
            shutil.rmtree(root)


@pytest.mark.parametrize(
    ("engine", "unnamed", "ordered"),
    [
        ("file", True, False),
        ("file", False, False),
        ("file", True, True),
        ("packed", True, False),
        ("packed", True, True),
        ("packed and files", True, False),
    ],
)
@pytest.mark.parametrize("case", CASES)
def test_after_a_power_cut_an_object_is_old_or_new_and_new_if_answered(
    case: str, engine: str, unnamed: bool, ordered: bool, tmp_path: Path
) -> None:
    trial = Trial(case, tmp_path, engine, unnamed, ordered)
    for step in range(1, trial.steps + 2):
        files = trial.files()
        files.cut_at = step
        answered = trial.run(files)
        assert answered == (step > trial.steps)
        for store in trial.outcomes(files):
            after = state(store)
            assert after == trial.new or (after == trial.old and not answered), (step, files.steps)


@pytest.mark.parametrize("engine", ["file", "packed"])
@pytest.mark.parametrize("case", CASES)
def test_the_change_can_be_made_again_after_a_power_cut(case: str, engine: str, tmp_path: Path) -> None:
    trial = Trial(case, tmp_path, engine)
    for step in range(1, trial.steps + 1):
        files = trial.files()
        files.cut_at = step
        trial.run(files)
        for store in trial.outcomes(files):
            if state(store) != trial.new:
                trial._act(store)
            assert state(store) == trial.new


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_an_error_at_any_step_leaves_old_or_new_also_after_a_power_cut(
    case: str, engine: str, code: int, tmp_path: Path
) -> None:
    trial = Trial(case, tmp_path, engine)
    for step in range(1, trial.steps + 1):
        files = trial.files()
        files.fail_at, files.failure = step, OSError(code, os.strerror(code))
        store = trial.store(files.root, files)
        try:
            trial._act(store)
            answered = True
        except (NoSpace, DeviceUnavailable) as error:
            answered = False
            assert isinstance(error, NoSpace) == (code == errno.ENOSPC)
        after = state(store)
        assert after == trial.new or (after == trial.old and not answered)
        if code == errno.ENOSPC and not answered and files.steps[-1] != "fsync_dir":
            assert after == trial.old
        for survivor in trial.outcomes(files):
            after = state(survivor)
            assert after == trial.new or (after == trial.old and not answered)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", ["overwrite", "first put", "delete", "put after delete", "late put"])
def test_a_change_answered_amid_another_survives_the_cut(case: str, engine: str, tmp_path: Path) -> None:
    """At each step of one process's change, another process has its own answered, and the power goes."""
    trial = Trial(case, tmp_path, engine)
    between = tmp_path / "between"
    shutil.copytree(trial.device(), between)
    put(trial.store(str(between)), 4, b"between")
    after_both = {str(state(trial.store(str(between)))), str(trial.new)}
    for step in range(1, trial.steps + 1):
        files = trial.files()
        other = trial.store(files.root, files)

        def interrupt(files: Any = files, other: Any = other) -> None:
            files.call_at = None
            if is_locked(other):
                return  # the other process would wait
            put(other, 4, b"between")
            files.cut()

        files.call_at, files.call = step, interrupt
        trial.run(files)
        for survivor in trial.outcomes(files):
            assert str(state(survivor)) in after_both, step


def test_a_cut_in_a_quarantine_brings_nothing_old_to_light(tmp_path: Path) -> None:
    """Two obsolete files that nobody has removed yet must never be the newest."""
    numbers = itertools.count()
    for step in itertools.count(1):
        root = tmp_path / f"device{next(numbers)}"
        root.mkdir()
        hash_dir = Path(store_at(str(root)).layout.hash_dir(HERE))
        older = {}
        for when in (1, 2):
            put(store_at(str(root)), when, OLD)
            (path,) = hash_dir.iterdir()
            older[path] = (path.read_bytes(), os.getxattr(path, "user.objstore.metadata"))
        put(store_at(str(root)), 3, NEW)
        (bad,) = hash_dir.iterdir()
        bad.write_bytes(b"rotten" + bad.read_bytes()[6:])
        for path, (content, record) in older.items():
            path.write_bytes(content)
            os.setxattr(path, "user.objstore.metadata", record)
        files = FaultyFiles(str(root))
        files.cut_at = step
        done = False
        try:
            state(store_at(str(root), files))
        except Corrupt:
            done = True
        except PowerCut:
            pass
        for seed in SEEDS:
            survivor = store_at(files.outcome(tmp_path / f"outcome{next(numbers)}", seed))
            try:
                assert state(survivor) is None
            except Corrupt:
                assert not done
        if done:
            break


def test_a_group_is_answered_only_when_all_of_it_is_durable(tmp_path: Path) -> None:
    """Three changes in one group, two of them in one directory, cut at every step."""
    numbers = itertools.count()
    for step in itertools.count(1):
        root = tmp_path / f"device{next(numbers)}"
        root.mkdir()
        put(store_at(str(root)), 1, OLD)
        files = FaultyFiles(str(root))
        files.cut_at = step
        gathered: list[Any] = []

        class Gather:
            def __init__(self, name: str, run_batch: Any, patience: float, gathered: list[Any] = gathered) -> None:
                self.gathered, self.run_batch = gathered, run_batch

            def run(self, item: Any) -> None:
                self.gathered.append(item)

            def all(self) -> list[Any]:
                return self.run_batch(self.gathered)  # type: ignore[no-any-return]

        store = FileStore(
            str(root), files=files, settings=FileSettings(Reserve(), ballast=0), batching=Gather, pool=POOL
        )
        put(store, 5, NEW)
        put(store, 4, b"middle")
        put(store, 3, b"elsewhere", OTHER)
        answered = False
        try:
            assert store._tools.commits.all() == [None, None, None]  # type: ignore[attr-defined]
            answered = True
        except PowerCut:
            pass
        for seed in SEEDS:
            survivor = store_at(files.outcome(tmp_path / f"outcome{next(numbers)}", seed))
            here, there = state(survivor), state(survivor, OTHER)
            assert here[1] == NEW or (here[1] in (OLD, b"middle") and not answered)
            assert (there is None and not answered) or there[1] == b"elsewhere"
        if answered:
            break


def test_a_directory_removed_as_empty_and_made_again_by_another_is_made_durable_again(tmp_path: Path) -> None:
    """A process must not trust what it knew of a directory that is not the same any more."""
    root = tmp_path / "device"
    root.mkdir()
    files = FaultyFiles(str(root))
    store = store_at(str(root), files)
    put(store, 1, OLD)
    daemon = FileReplicaStore(str(root), files=files, settings=FileSettings(Reserve(), ballast=0), batching=Inline)
    daemon.forget(HERE, present(daemon, HERE))
    assert store.partitions() == []
    for directory in (store.layout.partition_dir(5), store.layout.suffix_dir(5, HERE.suffix)):
        files.mkdir(directory)  # another process, about to sync
    put(store, 5, NEW)
    assert state(store_at(files.outcome(tmp_path / "outcome", None)))[1] == NEW
