"""Small files move into volumes in the background, and the daemon can be stopped between groups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objstore.core.errors import DeviceUnavailable
from objstore.core.names import HashSalt, Location, Name, partition_of
from objstore.core.timestamps import TICKS, Timestamp
from objstore.daemon.duties.object_packer import ObjectPacker, PackedPolicy
from objstore.daemon.rounds import Interrupted, Round, SearchedPlace
from objstore.store.interface import ObjectData
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.objects.space import Reserve
from objstore.store.packed import moving
from objstore.store.packed.store import PackedStore

SALT = HashSalt(b"", b"salt")
POWER = 4
SETTINGS = FileSettings(Reserve(), threads_per_disk=2, ballast=0)


def location(number: int, policy: int = 0) -> Location:
    name_hash = SALT.hash(Name("a", "c", str(number)))
    return Location(partition_of(name_hash, POWER), name_hash, policy)


def fill(root: Path, policy: int = 0) -> None:
    root.mkdir(exist_ok=True)
    store = FileReplicaStore(str(root), policy, settings=SETTINGS)
    for number in range(6):
        with store.create(location(number, policy), None) as writer:
            writer.write(bytes([number]) * 100)
            writer.commit(ObjectData(f"/a/c/{number}", Timestamp(TICKS), "text/plain", {}))


def files(root: Path) -> int:
    return len(list(root.glob("objects*/*/*/*/*.data")))


def place(root: Path, *policies: int) -> SearchedPlace:
    return SearchedPlace("d1", str(root), lambda: [PackedPolicy(index, 1000, POWER) for index in policies])


def packer(check: Callable[[], None] = lambda: None) -> ObjectPacker:
    return ObjectPacker(0, 0, check)


def test_files_of_all_policies_that_pack_move_and_are_counted(tmp_path: Path) -> None:
    root = tmp_path / "d1"
    for policy in (0, 1, 2):
        fill(root, policy)
    found = Round()
    for _ in packer().tour(place(root, 0, 1), found):
        pass
    assert files(root) == 6
    assert found.counts == {"names": 12, "moved": 12, "bytes": 1200, "unreadable": 0}
    store = PackedStore(str(root), 1, settings=SETTINGS, limit=1000, power=lambda: POWER)
    assert [store.info(location(number, 1)).size for number in range(6)] == [100] * 6


def test_it_stops_between_groups_and_goes_on_later(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(moving, "GROUP_CHANGES", 2)
    root = tmp_path / "d1"
    fill(root)
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        list(packer(check).tour(place(root, 0), Round()))
    assert files(root) == 4
    list(packer().tour(place(root, 0), Round()))
    assert files(root) == 0


def test_a_device_that_is_gone_ends_its_round(tmp_path: Path) -> None:
    root = tmp_path / "d1"
    fill(root)
    tour = packer().tour(place(root, 0), Round())
    next(tour)
    root.rename(tmp_path / "away")
    with pytest.raises(DeviceUnavailable):
        list(tour)
