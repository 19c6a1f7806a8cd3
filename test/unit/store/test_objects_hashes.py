"""Kept hashes say what is there: amid other changes, after errors, kills and power cuts at every step."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib.util
import itertools
import os
import random
import shutil
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from harness.engines import present

from objstore.core.errors import Corrupt, ObjstoreError
from objstore.core.names import Location
from objstore.core.timestamps import TICKS, Timestamp
from objstore.runtime.files import FILES, Files
from objstore.runtime.threads import ThreadPool
from objstore.store.change import DATA, METADATA, TOMBSTONE, Change
from objstore.store.interface import ObjectData, ObjectMetadata
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.hashes import HASH_ATTRIBUTE, Hasher
from objstore.store.objects.layout import Layout
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.objects.space import Reserve
from objstore.store.objects.summaries import of_partition, of_suffix

_spec = importlib.util.spec_from_file_location("faulty_files", Path(__file__).with_name("faulty_files.py"))
assert _spec is not None and _spec.loader is not None
faulty_files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(faulty_files)
FaultyFiles, Inline, PowerCut = faulty_files.FaultyFiles, faulty_files.Inline, faulty_files.PowerCut

HERE = Location(5, "0123456789abcdef0123456789abcdef")
BESIDE = Location(5, "1123456789abcdef0123456789abcdef")
THERE = Location(5, "0123456789abcdef0123456789abc123")
NAME = "/a/c/o"
POOL = ThreadPool("hash-tests", 1)


class Here:
    """A pool without threads, for what is called in a thread already."""

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)


SEEDS = (None, 1, 2, 3)


def store_at(root: str, files: Any = FILES, pool: Any = POOL) -> FileReplicaStore:
    settings = FileSettings(Reserve(), ballast=0)
    return FileReplicaStore(root, files=files, settings=settings, batching=Inline, pool=pool, background=pool)


def at(seconds: int) -> Timestamp:
    return Timestamp(seconds * TICKS)


def put(store: FileReplicaStore, when: int, location: Location = HERE) -> None:
    with store.create(location, 7) as writer:
        writer.write(b"content")
        writer.commit(ObjectData(NAME, at(when), "text/plain", {}))


def delete(store: FileReplicaStore, when: int, location: Location = HERE) -> None:
    store.delete(location, NAME, at(when))


def post(store: FileReplicaStore, when: int) -> None:
    store.post(HERE, ObjectMetadata(at(when), {"X-Object-Meta-When": str(when)}))


def hash_it(store: FileReplicaStore) -> None:
    store.partition_hash(5)


def forget_it(store: FileReplicaStore) -> None:
    store.forget(HERE, present(store, HERE))


def leave_obsolete(store: FileReplicaStore) -> None:
    """Data with an older one besides that nobody has removed yet."""
    put(store, 1)
    (old,) = Path(store.layout.hash_dir(HERE)).iterdir()
    content, record = old.read_bytes(), os.getxattr(old, "user.objstore.metadata")
    put(store, 2)
    old.write_bytes(content)
    os.setxattr(old, "user.objstore.metadata", record)
    hash_it(store)


def rot(store: FileReplicaStore) -> None:
    for path in Path(store.layout.hash_dir(HERE)).glob("*.data"):
        path.write_bytes(b"rotten" + path.read_bytes()[6:])


def find_rot(store: FileReplicaStore) -> None:
    with contextlib.suppress(Corrupt):
        store.verify(HERE, lambda size: None)


Act = Callable[[FileReplicaStore], None]


def after(*acts: Act) -> tuple[Act, ...]:
    return acts


def one(store: FileReplicaStore) -> None:
    put(store, 1)


def two(store: FileReplicaStore) -> None:
    put(store, 1)
    put(store, 1, BESIDE)


CASES: dict[str, tuple[tuple[Act, ...], Act]] = {
    "first hash": ((two,), hash_it),
    "hash of nothing": ((one, forget_it), hash_it),
    "first put": ((), one),
    "put": ((one, hash_it), lambda store: put(store, 2)),
    "late put": ((lambda store: put(store, 3), hash_it), one),
    "put beside": ((one, hash_it), lambda store: put(store, 1, BESIDE)),
    "put in another suffix": ((one, hash_it), lambda store: put(store, 1, THERE)),
    "post": ((one, hash_it), lambda store: post(store, 2)),
    "delete": ((two, hash_it), lambda store: delete(store, 2)),
    "forget": ((two, hash_it), forget_it),
    "forget all": ((one, lambda store: post(store, 2), hash_it), forget_it),
    "forget over obsolete": ((leave_obsolete,), lambda store: store.forget(HERE, [Change(at(2), DATA)])),
    "reclaim": ((two, lambda store: delete(store, 2), hash_it), lambda store: print(store.reclaim(5, at(3)))),
    "quarantine": ((two, hash_it, rot), find_rot),
}
HASHED_AFTER = ("put", "put beside", "delete", "forget", "forget all", "reclaim", "quarantine", "forget over obsolete")


def check_kept(root: str) -> None:
    """Every hash that is kept on a device is what would be computed."""
    layout = Layout(root, 0)
    directories = [layout.partition_dir(5), *(layout.suffix_dir(5, suffix) for suffix in ("def", "123"))]
    output = {}
    for directory in directories:
        with contextlib.suppress(OSError):
            output[directory] = os.getxattr(directory, HASH_ATTRIBUTE)
            os.removexattr(directory, HASH_ATTRIBUTE)
    Hasher(FILES, layout, lambda: True).partition(5)
    for directory, value in output.items():
        if value != b"?":
            assert os.getxattr(directory, HASH_ATTRIBUTE) == value, directory


class ListingFiles(FaultyFiles):  # type: ignore[misc, valid-type]
    """What is done after a listing is a step, too."""

    def list(self, path: str) -> list[str]:
        found: list[str] = super().list(path)
        self._step("list")
        return found


class Trial:
    """Acts over a state, on fresh copies of a device."""

    def __init__(self, before: tuple[Act, ...], tmp_path: Path, ordered: bool, kind: Any = FaultyFiles) -> None:
        self._kind = kind
        self._numbers = itertools.count()
        self._tmp_path = tmp_path
        self._ordered = ordered
        self._plain = self._path()
        self._plain.mkdir()
        for act in before:
            act(store_at(str(self._plain)))

    def _path(self) -> Path:
        return self._tmp_path / str(next(self._numbers))

    def files(self) -> Any:
        root = self._path()
        shutil.copytree(self._plain, root)
        for directory, _, _ in os.walk(self._plain):  # copytree leaves out what it may of attributes
            for key in os.listxattr(directory):
                os.setxattr(root / os.path.relpath(directory, self._plain), key, os.getxattr(directory, key))
        return self._kind(str(root), ordered=self._ordered)

    def check(self, files: Any) -> None:
        for seed in SEEDS:
            root = files.outcome(self._path(), seed)
            check_kept(root)
            shutil.rmtree(root)
        check_kept(files.root)
        shutil.rmtree(files.root)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_after_a_power_cut_at_any_step_a_kept_hash_says_what_is_there(case: str, ordered: bool, tmp_path: Path) -> None:
    before, act = CASES[case]
    trial = Trial(before, tmp_path, ordered)
    for step in itertools.count(1):
        files = trial.files()
        files.cut_at = step
        cut = False
        try:
            act(store_at(files.root, files))
            if case in HASHED_AFTER:
                hash_it(store_at(files.root, files))
        except PowerCut:
            cut = True
        trial.check(files)
        if not cut:
            break


@pytest.mark.parametrize("case", CASES)
def test_an_error_at_any_step_leaves_no_hash_of_what_is_not_there(case: str, tmp_path: Path) -> None:
    before, act = CASES[case]
    trial = Trial(before, tmp_path, False)
    for step in itertools.count(1):
        files = trial.files()
        files.fail_at, files.failure = step, OSError(errno.EIO, os.strerror(errno.EIO))
        with contextlib.suppress(ObjstoreError):
            act(store_at(files.root, files))
        done = len(files.steps) < step
        trial.check(files)
        if done:
            break


def is_free(path: str) -> bool:
    """Is no number of a lock file held?"""
    if not os.path.exists(path):
        return True
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(fd)


class Pair(NamedTuple):
    first: str
    second: str


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(
    "pair",
    [
        *(Pair(case, "first hash") for case in CASES if case not in ("first put", "hash of nothing")),
        *(Pair("first hash", case) for case in ("put", "put in another suffix", "delete", "forget", "reclaim")),
        *(Pair("put", case) for case in ("put beside", "delete")),
        Pair("hash of nothing", "put"),
        Pair("forget all", "put"),
    ],
)
def test_amid_any_change_another_leaves_no_hash_of_what_is_not_there(pair: Pair, ordered: bool, tmp_path: Path) -> None:
    """At each step of the first the second runs as a whole, and then the power goes, or nothing happens."""
    before, act = CASES[pair.first]
    between = CASES[pair.second][1]
    trial = Trial(before, tmp_path, ordered, ListingFiles if act is hash_it else FaultyFiles)
    for step, cut in ((step, cut) for step in itertools.count(1) for cut in (True, False)):
        files = trial.files()
        other = store_at(files.root, files, Here())
        ran: list[int] = []

        def interrupt(files: Any = files, other: Any = other, cut: bool = cut, ran: list[int] = ran) -> None:
            files.call_at = None
            ran.append(1)
            layout = other.layout
            locks = {"first hash": [layout.hashers], "reclaim": [layout.hashers, layout.locks]}
            if all(map(is_free, [layout.hash_locks, *locks.get(pair.second, [layout.locks])])):  # else it would wait
                between(other)
            if cut:
                files.cut()

        files.call_at, files.call = step, interrupt
        with contextlib.suppress(PowerCut):
            act(store_at(files.root, files))
            hash_it(store_at(files.root, files))
        trial.check(files)
        if not ran:
            break


class Flaky(Files):
    """Waits a little now and then, so that threads meet in the middle."""

    def list(self, path: str) -> list[str]:
        found = super().list(path)
        if random.random() < 0.2:
            time.sleep(0.0005)
        return found

    def mark_dir(self, path: str, name: str, value: bytes, replace: bool = False) -> None:
        if random.random() < 0.2:
            time.sleep(0.0005)
        super().mark_dir(path, name, value, replace)

    def orders_names(self, path: str) -> bool:
        return True


def hammer(root: str, seed: int, until: float) -> None:
    """Change things at random, as a process of its own would."""
    chance = random.Random(seed)
    store = store_at(root, Flaky())
    clock = itertools.count(1)
    while time.monotonic() < until:
        location = Location(5, f"{chance.randrange(6):029x}{chance.choice(('def', '123'))}")
        when = next(clock) * 10 + seed
        kind = chance.randrange(5)
        with contextlib.suppress(ObjstoreError):
            if kind < 3:
                put(store, when, location)
            elif kind == 3:
                delete(store, when, location)
            else:
                store.forget(location, present(store, location))


def hash_on(root: str, until: float, failures: list[BaseException]) -> None:
    try:
        while time.monotonic() < until:
            Hasher(Flaky(), Layout(root, 0), lambda: True).suffixes(5)
    except BaseException as error:
        failures.append(error)


@pytest.mark.parametrize("round", range(5))
def test_hashes_kept_while_processes_write_are_true(tmp_path: Path, round: int) -> None:
    root = str(tmp_path)
    until = time.monotonic() + 0.3
    children = []
    for number in range(3):
        child = os.fork()
        if not child:
            code = 1
            try:
                hammer(root, 3 * round + number, until)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    failures: list[BaseException] = []
    thread = threading.Thread(target=hash_on, args=(root, until, failures))
    thread.start()
    hasher = Hasher(Flaky(), Layout(root, 0), lambda: True)
    while time.monotonic() < until:
        hasher.partition(5)
    thread.join()
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
    assert not failures
    check_kept(root)


def test_hashers_of_one_partition_take_turns(tmp_path: Path) -> None:
    two(store_at(str(tmp_path)))
    files = ListingFiles(str(tmp_path))
    layout = Layout(str(tmp_path), 0)
    second = threading.Thread(target=lambda: Hasher(FILES, layout, lambda: True).partition(5))
    was_alive = []

    def begin_second() -> None:
        second.start()
        second.join(0.2)
        was_alive.append(second.is_alive())

    files.call_at, files.call = 2, begin_second  # the marker is there
    Hasher(files, layout, lambda: True).partition(5)
    second.join()
    assert was_alive == [True]


def test_a_summary_tells_of_what_may_be_reclaimed() -> None:
    data, meta, tombstone = Change(at(1), DATA), Change(at(2), METADATA), Change(at(3), TOMBSTONE)
    kept, waiting = of_suffix({HERE.hash: [data, meta]}), of_suffix({HERE.hash: [meta]})
    assert (kept.oldest, waiting.oldest) == (None, 2)
    assert of_suffix({HERE.hash: [data, meta, tombstone]}).oldest == 3
    assert of_partition({"def": kept, "abc": waiting}).oldest == 2
    assert waiting.is_before(at(3))
    assert not waiting.is_before(at(2))
    assert not kept.is_before(at(3))


@pytest.mark.parametrize("value", [b"", b"?", b"0123", b"0" * 32, b"g" * 32 + b" -", b"0" * 32 + b" 12"])
def test_an_attribute_in_another_form_counts_for_none(tmp_path: Path, value: bytes) -> None:
    store = store_at(str(tmp_path))
    two(store)
    good = store.partition_hash(5)
    os.setxattr(store.layout.partition_dir(5), HASH_ATTRIBUTE, value)
    assert store.partition_hash(5) == good
