"""Objects move between files and volumes; nothing is lost or doubled, whatever interrupts it."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objstore.assembly.apps import _is_outgrown
from objstore.core.errors import NotFound
from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES, Files
from objstore.runtime.threads import ThreadPool
from objstore.server.devices import Devices, Makers
from objstore.store.interface import ObjectData, ObjectMetadata
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.objects.space import Reserve
from objstore.store.packed import moving
from objstore.store.packed.moving import Mover
from objstore.store.packed.recovery import open_index
from objstore.store.packed.store import PackedStore
from objstore.store.packed.volumes import Volumes

_spec = importlib.util.spec_from_file_location("faulty_files", Path(__file__).with_name("faulty_files.py"))
assert _spec is not None
assert _spec.loader is not None
_faulty = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_faulty)
FaultyFiles, Inline, PowerCut = _faulty.FaultyFiles, _faulty.Inline, _faulty.PowerCut

POWER = 3
LIMIT = 100
NOTHING = -1  # limit of a policy that packs nothing any more
SETTINGS = FileSettings(Reserve(), threads_per_disk=1, ballast=0)
POOL, BACKGROUND = ThreadPool("moving", 1), ThreadPool("moving in background", 1)  # of all stores, which are many
NAMES = [f"{number:x}123456789abcdef0123456789ab{number:04x}" for number in range(6)]
DELETED, LARGE, POSTED = 1, 2, 3

State = dict[str, tuple[bytes, str] | Timestamp]  # by name: content and a header, or when it was deleted


def at(seconds: int) -> Timestamp:
    return Timestamp.from_seconds(seconds)


def location(name_hash: str) -> Location:
    return Location(int(name_hash[:8], 16) >> (32 - POWER), name_hash)


def put(store: FileReplicaStore, number: int, content: bytes, when: int) -> None:
    with store.create(location(NAMES[number]), len(content)) as writer:
        writer.write(content)
        writer.commit(ObjectData(f"/a/c/{number}", at(when), "text/plain", {}))


def fill(store: FileReplicaStore) -> None:
    for number in range(len(NAMES)):
        put(store, number, bytes([number]) * (LIMIT + 1 if number == LARGE else 10 * number), 100)
    store.delete(location(NAMES[DELETED]), f"/a/c/{DELETED}", at(101))
    store.post(location(NAMES[POSTED]), ObjectMetadata(at(102), {"X-Object-Meta-A": "b"}))


def file_store(root: Path) -> FileReplicaStore:
    root.mkdir(exist_ok=True)
    return FileReplicaStore(str(root), settings=SETTINGS, batching=Inline, pool=POOL, background=BACKGROUND)


def packed_store(root: Path, limit: int = LIMIT) -> PackedStore:
    root.mkdir(exist_ok=True)
    options: dict[str, Any] = {"batching": Inline, "pool": POOL, "background": BACKGROUND}
    return PackedStore(str(root), settings=SETTINGS, limit=limit, power=lambda: POWER, **options)


def state_of(store: FileReplicaStore) -> State:
    found: State = {}
    for name_hash in NAMES:
        try:
            with store.open(location(name_hash)) as reader:
                content = b"".join(map(bytes, reader.read(0, 1 << 20)))
                found[name_hash] = content, reader.info.metadata.get("X-Object-Meta-A", "")
        except NotFound as error:
            assert error.timestamp is not None, name_hash
            found[name_hash] = error.timestamp
    return found


def hashes_of(store: FileReplicaStore) -> dict[int, str]:
    return {partition: digest for partition in range(1 << POWER) if (digest := store.partition_hash(partition))}


def move(root: Path, limit: int, files: Files = FILES, step: Callable[..., object] = lambda *_: None) -> Mover:
    """Move all that is on the wrong side for a limit."""
    mover = Mover(files, str(root), 0, limit, POWER)
    try:
        if limit < 0:
            mover.unpack(step)
        else:
            mover.pack(step)
    finally:
        mover.close()
    return mover


def sides(root: Path) -> tuple[list[str], list[str]]:
    """Names of the changes in volumes, by the index, and in files."""
    store = packed_store(root)
    packed = [f"{name}/{entry.change}" for name in NAMES for entry in store._names.find(location(name))]
    files = [f"{path.parent.name}/{path.name}" for path in (root / "objects").glob("*/*/*/*.*")]
    store.release()
    return sorted(packed), sorted(files)


def live_records(root: Path) -> list[str]:
    """Names of the changes in volumes that are not marked dead."""
    store = packed_store(root)
    return sorted(
        f"{header.name_hash}/{header.change}"
        for volume in store.volumes.numbers()
        for place, header in store.volumes.scan(volume)
        if header.is_change and place.position not in store.volumes.dead(volume)
    )


def test_small_objects_move_into_volumes_and_large_ones_stay(tmp_path: Path) -> None:
    root = tmp_path / "d1"
    store = file_store(root)
    fill(store)
    expected, hashes = state_of(store), hashes_of(store)
    mover = move(root, LIMIT)
    packed, files = sides(root)
    assert [name[:32] for name in files] == [NAMES[LARGE]]
    assert len(packed) == 6  # of one name the data and the metadata of a later POST
    assert packed == live_records(root)
    assert (mover.counts.moved, mover.counts.bytes, mover.counts.unreadable) == (6, 10 * (0 + 3 + 4 + 5), 0)
    after = packed_store(root)
    assert state_of(after) == expected
    assert hashes_of(after) == hashes
    assert move(root, LIMIT).counts.moved == 0


def test_all_of_a_policy_that_packs_nothing_any_more_moves_into_files(tmp_path: Path) -> None:
    root = tmp_path / "d1"
    store = packed_store(root)
    fill(store)
    expected, hashes = state_of(store), hashes_of(store)
    assert move(root, NOTHING).counts.moved == 6
    packed, files = sides(root)
    assert (packed, len(files), live_records(root)) == ([], 7, [])
    assert state_of(file_store(root)) == expected == state_of(packed_store(root, NOTHING))
    assert hashes_of(file_store(root)) == hashes


def test_only_what_a_lower_limit_would_not_pack_moves_out(tmp_path: Path) -> None:
    root = tmp_path / "d1"
    fill(packed_store(root))
    mover = Mover(FILES, str(root), 0, 35, POWER)
    mover.unpack(lambda *_: None)
    mover.close()
    assert [name[:32] for name in sides(root)[1]] == [NAMES[LARGE], NAMES[4], NAMES[5]]


@pytest.mark.parametrize("limit", [LIMIT, NOTHING])
def test_what_was_removed_since_it_was_read_does_not_come_back(tmp_path: Path, limit: int) -> None:
    root = tmp_path / "d1"
    fill(file_store(root) if limit >= 0 else packed_store(root))
    store = packed_store(root)

    def remove(*_: int) -> None:
        store.delete(location(NAMES[4]), "/a/c/4", at(200))
        changes = store.changes(location(NAMES[5]).partition, NAMES[5][-3:])[NAMES[5]]
        store.forget(location(NAMES[5]), changes)

    mover = move(root, limit, step=remove)
    assert mover.counts.moved == 4 if limit >= 0 else 4
    assert [change.kind for change in store._names.changes_of(location(NAMES[4]))] == ["ts"]
    assert store._names.changes_of(location(NAMES[5])) == []


@pytest.mark.parametrize("limit", [LIMIT, NOTHING])
def test_a_damaged_object_stays_where_it_is(tmp_path: Path, limit: int) -> None:
    root = tmp_path / "d1"
    fill(file_store(root) if limit >= 0 else packed_store(root))
    content = bytes([4]) * 40
    paths = root.glob("objects/*/*/*/*.data") if limit >= 0 else root.glob("packed/volumes/*.volume")
    for path in paths:
        path.write_bytes(path.read_bytes().replace(content, bytes([9]) * 40)) if limit < 0 else _damage(path, content)
    mover = move(root, limit)
    assert mover.counts.unreadable == 1
    assert [name[:32] for name in sides(root)[limit >= 0]].count(NAMES[4]) == 1


def _damage(path: Path, content: bytes) -> None:
    """In place, so that attributes stay."""
    with path.open("r+b") as file:
        data = file.read()
        if content in data:
            file.seek(data.index(content))
            file.write(b"\t")


def test_names_in_partitions_of_another_ring_stay(tmp_path: Path) -> None:
    root = tmp_path / "d1"
    fill(file_store(root))
    mover = Mover(FILES, str(root), 0, LIMIT, POWER + 1)
    mover.pack(lambda *_: None)
    mover.close()
    moved = {name[:32] for name in sides(root)[0]}
    assert moved == {name for name in NAMES if int(name[0], 16) == location(name).partition and name != NAMES[LARGE]}


def test_a_move_can_be_ended_between_groups(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(moving, "GROUP_CHANGES", 2)
    root = tmp_path / "d1"
    fill(file_store(root))
    groups = []

    def step(changes: int, size: int) -> None:
        groups.append(changes)
        if len(groups) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        move(root, LIMIT, step=step)
    assert len(sides(root)[0]) == 4
    assert move(root, LIMIT).counts.moved == 2


# Interrupted


def started(root: Path, limit: int) -> State:
    """A device with an index, on which all is still on the other side; what is there."""
    fill(file_store(root) if limit >= 0 else packed_store(root))
    store = packed_store(root)
    found = state_of(store)
    store.release()
    return found


def rebuild(root: Path) -> None:
    """Make the index of the volumes, without the time that is given to other processes."""
    volumes = Volumes(FILES, f"{root}/packed/volumes")
    open_index(FILES, f"{root}/packed", volumes, sleep=lambda _: None).close()


@pytest.mark.parametrize("limit", [LIMIT, NOTHING])
def test_whenever_it_is_killed_or_the_power_is_cut_nothing_is_lost_or_doubled(
    tmp_path: Path, monkeypatch: Any, collect: Callable[[], object], limit: int
) -> None:
    monkeypatch.setattr(moving, "GROUP_CHANGES", 3)
    monkeypatch.setattr(moving, "_PART_BITS", 4)
    whole = tmp_path / "whole"
    expected = started(whole, limit)
    count, ended = 0, False
    while not ended:
        count += 1
        root = tmp_path / str(count)
        shutil.copytree(whole, root, symlinks=True)
        files = FaultyFiles(str(root))
        files.cut_at = count
        try:
            move(root, limit, files)
            ended = True
        except PowerCut:
            collect()  # a killed process holds no lock
        outcomes = [(root, "killed")]
        for seed in (None, 1):
            outcome = Path(files.outcome(tmp_path / f"{count}-{seed}", seed))
            shutil.rmtree(outcome / "packed/index", ignore_errors=True)
            rebuild(outcome)
            outcomes.append((outcome, f"power cut, seed {seed}"))
        for outcome, how in outcomes:
            where = f"{how} at step {count} of {files.steps[-1:]}"
            assert state_of(packed_store(outcome)) == expected, where
            move(outcome, limit)
            assert state_of(packed_store(outcome)) == expected, where
            packed, in_files = sides(outcome)
            assert not {*packed}.intersection(in_files), where
            assert (len(packed), len(in_files)) == ((6, 1) if limit >= 0 else (0, 7)), where
            shutil.rmtree(outcome)
    assert count > 20


@pytest.mark.parametrize("limit", [LIMIT, NOTHING])
def test_readers_find_everything_at_every_step(tmp_path: Path, monkeypatch: Any, limit: int) -> None:
    monkeypatch.setattr(moving, "_PART_BITS", 4)
    whole = tmp_path / "whole"
    expected = started(whole, limit)
    count, ended = 0, False
    while not ended:
        count += 1
        root = tmp_path / str(count)
        shutil.copytree(whole, root, symlinks=True)
        files = FaultyFiles(str(root))
        files.call_at = count
        reader = packed_store(root)
        state_of(reader)  # its index is open: while the mover makes its own ready, nobody else can
        found: list[State] = []
        files.call = lambda reader=reader, found=found: found.append(state_of(reader))
        move(root, limit, files)
        assert not found or found == [expected], files.steps[count - 1]
        ended = not found
        reader.release()
        shutil.rmtree(root)
    assert count > 20


def test_a_server_that_keeps_files_finds_what_others_pack_beside_it(tmp_path: Path) -> None:
    """Hosts restart their processes one after the other when packing is turned on."""
    nothing: Any = None

    def make(path: str, policy: int) -> FileReplicaStore:
        root = Path(path)
        return packed_store(root) if (root / "packed").exists() else file_store(root)

    (tmp_path / "d1").mkdir()
    makers = Makers(make, nothing, nothing, nothing, is_outgrown=_is_outgrown)
    device = Devices(str(tmp_path), makers, False).get("d1")
    fill(device.objects(0))  # type: ignore[arg-type]
    expected = state_of(device.objects(0))  # type: ignore[arg-type]
    move(tmp_path / "d1", LIMIT)
    assert state_of(device.objects(0)) == expected  # type: ignore[arg-type]
    assert isinstance(device.objects(0), PackedStore)
