"""What a killed process left in a volume does not bring a change back that was removed for good since."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit.store.faulty_files import FaultyFiles, Inline, PowerCut
from unit.store.test_packed_moving import (
    BACKGROUND,
    LARGE,
    LIMIT,
    NAMES,
    POOL,
    POWER,
    SETTINGS,
    at,
    file_store,
    fill,
    location,
    move,
    packed_store,
    rebuild,
)

from objstore.core.errors import NotFound
from objstore.runtime.files import Files
from objstore.store.packed.store import PackedStore
from objstore.store.packed.volumes import Volumes

SMALL = [name for number, name in enumerate(NAMES) if number != LARGE]


def pack(root: Path, files: Files) -> None:
    move(root, LIMIT, files)


def compact(root: Path, files: Files) -> None:
    options: dict[str, Any] = {"batching": Inline, "pool": POOL, "background": BACKGROUND}
    store = PackedStore(str(root), 0, files, settings=SETTINGS, limit=LIMIT, power=lambda: POWER, **options)
    compactor = store.compactor()
    for _ in compactor.compact(1):
        pass
    compactor.close()


def remove_for_good(store: PackedStore) -> None:
    for name in SMALL:
        store.delete(location(name), "/a/c/o", at(300))
    for partition in range(1 << POWER):
        store.reclaim(partition, at(400))


@pytest.mark.parametrize("interrupted", [pack, compact])
def test_what_was_removed_stays_away_whenever_a_mover_was_killed(
    tmp_path: Path, interrupted: Callable[[Path, Files], None]
) -> None:
    whole = tmp_path / "whole"
    filler = file_store(whole) if interrupted is pack else packed_store(whole)
    fill(filler)
    filler.release()
    step, ended = 0, False
    while not ended:
        step += 3
        root = tmp_path / str(step)
        shutil.copytree(whole, root, symlinks=True)
        store = packed_store(root)
        store.partition_hash(0)  # its index is open: it does not look for tails any more
        files = FaultyFiles(str(root))
        files.cut_at = step
        try:
            interrupted(root, files)
            ended = True
        except PowerCut:
            gc.collect()  # a killed process holds no lock
        remove_for_good(store)
        store.release()
        shutil.rmtree(root / "packed/index")
        rebuild(root)
        after = packed_store(root)
        for name in SMALL:
            with pytest.raises(NotFound) as caught:
                after.open(location(name))
            assert caught.value.timestamp is None, (step, files.steps[-1:], name)
        after.release()
        shutil.rmtree(root)
    assert step > 20


def test_a_writer_is_noted_until_all_it_appended_is_in_the_index(tmp_path: Path) -> None:
    store = packed_store(tmp_path / "d1")
    fill(store)
    assert (tmp_path / "d1/packed/writers/1").exists()
    store.release()
    assert not (tmp_path / "d1/packed/writers/1").exists()


def test_a_note_about_a_writer_whose_volume_is_gone_goes(tmp_path: Path) -> None:
    (tmp_path / "packed/writers").mkdir(parents=True)
    (tmp_path / "packed/writers/7").touch()
    assert list(Volumes(Files(), f"{tmp_path}/packed/volumes").left_by_dead()) == []
    assert not (tmp_path / "packed/writers/7").exists()
