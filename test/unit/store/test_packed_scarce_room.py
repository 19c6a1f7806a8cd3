"""Compaction on a device without room for copies of all that is live: it gives room back on the way."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest
from unit.store.faulty_files import FaultyFiles, PowerCut
from unit.store.test_packed_compaction import Device, data, filled, finish, name_of

from objstore.store.objects.format import Unsound
from objstore.store.packed import compaction
from objstore.store.packed.compaction import LEAST_SPARE, CopyRoom, due, share_due
from objstore.store.packed.describe import describe_volume
from objstore.store.packed.format import VOLUME_HEADER_SIZE
from objstore.store.packed.volumes import Usage

COUNT = 100


@pytest.mark.parametrize(
    ("free", "share"), [(100, 0.5), (50, 0.5), (21, 0.5), (16, 0.25), (13, 0.1), (11, 0.05), (5, 0.05), (0, 0.05)]
)
def test_the_less_room_there_is_the_fewer_dead_bytes_make_a_volume_due(free: int, share: float) -> None:
    assert share_due(0.5, CopyRoom(free, 11, 100)) == pytest.approx(share)


def test_a_volume_with_more_live_bytes_than_there_is_room_is_due_if_it_can_give_room_back() -> None:
    usages = {1: Usage(VOLUME_HEADER_SIZE + 100 * LEAST_SPARE, 50 * LEAST_SPARE)}
    assert due(usages, 0.5, LEAST_SPARE) == [1]
    assert due(usages, 0.5, LEAST_SPARE - 1) == []


def full(root: Path) -> Device:
    """Volume 1 with objects of 4 KiB, of which half are dead."""
    device = Device(root)
    for number in range(COUNT):
        device.write(number, data(1), 4096)
    for number in range(0, COUNT, 2):
        device.forget(number)
    device.volumes.roll()
    return device


def used(root: Path) -> int:
    return sum(os.stat(path).st_blocks * 512 for path in (root / "packed/volumes").glob("*.volume"))


def test_room_is_given_back_on_the_way(tmp_path: Path) -> None:
    device = full(tmp_path)
    before = used(tmp_path)
    most = max(used(tmp_path) for _ in device.compactor().compact(1, 1))
    assert most < before + 2 * compaction.GROUP_BYTES
    assert used(tmp_path) < before * 0.6
    assert set(device.counting()) == {name_of(number) for number in range(1, COUNT, 2)}


def test_a_compaction_that_ends_early_leaves_a_sound_volume_and_the_next_one_ends_it(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(compaction, "GROUP_BYTES", 20_000)
    device = full(tmp_path)
    (old,) = device.index.find(name_of(1))
    before = os.stat(tmp_path / "packed/volumes/00000001.volume").st_blocks
    steps = device.compactor().compact(1, 1)
    for _ in range(8):
        next(steps)
    steps.close()
    assert os.stat(tmp_path / "packed/volumes/00000001.volume").st_blocks < before * 0.8
    with pytest.raises(Unsound):  # as a reader that has found the place before
        device.volumes.read(old.place, name_of(1), old.change)
    assert device.index.find(name_of(1)) != [old]
    expected = device.counting()
    assert device.rebuilt() == expected
    assert describe_volume(str(tmp_path / "packed/volumes/00000001.volume"))["problems"] == []
    finish(device.compactor(), 1)
    assert device.volumes.numbers() != [1]
    assert device.counting() == expected == device.rebuilt()


def test_whenever_the_power_is_cut_nothing_is_lost_or_revived(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(compaction, "GROUP_RECORDS", 1)
    monkeypatch.setattr(compaction, "GROUP_BYTES", 1)
    monkeypatch.setattr(compaction, "_BLOCK", 8)
    step, ended = 0, False
    while not ended:
        step += 2
        root = tmp_path / str(step)
        root.mkdir()
        quiet = FaultyFiles(str(root))
        device = Device(root, quiet)
        expected = filled(device)
        device.volumes.sync_marks(1e9)
        device.index.sync()
        files = FaultyFiles(str(root))
        files.cut_at = step
        try:
            device = Device(root, files)
            for _ in device.compactor().compact(1, 0):
                pass
            assert "punch" in files.steps
            ended = True
        except PowerCut:
            gc.collect()
        for seed in (None, 1, 2):
            outcome = Device(Path(files.outcome(tmp_path / f"{step}-{seed}", seed)))
            assert outcome.rebuilt() == expected, (step, seed, files.steps[-1])
    assert step > 20
