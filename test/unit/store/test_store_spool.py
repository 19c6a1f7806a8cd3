from __future__ import annotations

import errno
import importlib.util
import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.errors import DeviceUnavailable, NoSpace
from objstore.core.timestamps import MAX_RAW, Timestamp
from objstore.runtime.files import Files
from objstore.store.spool import Spool, SpooledUpdate, parse_file_name

_spec = importlib.util.spec_from_file_location("faulty_files", Path(__file__).with_name("faulty_files.py"))
assert _spec is not None and _spec.loader is not None
faulty_files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(faulty_files)

HASH = "0123456789abcdef0123456789abcdef"


def update(when: int, name_hash: str = HASH, **payload: object) -> SpooledUpdate:
    return SpooledUpdate(name_hash, Timestamp(when), {"op": "PUT", "name": "/a/c/\udcff", **payload})


def test_updates_come_back_in_order_of_time_for_each_name(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    assert list(spool.iter()) == []
    other = "f" * 32
    for each in (update(20), update(3), update(5, other), update(100)):
        spool.put(each)
    found = list(Spool(str(tmp_path)).iter())
    assert [each for each in found if each.hash == HASH] == [update(3), update(20), update(100)]
    assert [each for each in found if each.hash == other] == [update(5, other)]
    assert spool.count() == 4


def test_the_same_update_replaces_itself(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    spool.put(update(1))
    spool.put(update(1, told=["node"]))
    assert list(spool.iter()) == [update(1, told=["node"])]


def test_a_removed_update_is_gone_and_may_be_removed_again(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    spool.put(update(1))
    spool.remove(update(1))
    spool.remove(update(1))
    assert list(spool.iter()) == []


def test_policies_have_spools_of_their_own(tmp_path: Path) -> None:
    Spool(str(tmp_path), policy=2).put(update(1))
    assert list(Spool(str(tmp_path)).iter()) == []
    assert (tmp_path / "async_pending-2" / "def" / f"{HASH}-0000000000.00001").is_file()


def test_a_damaged_file_is_put_away_and_the_others_are_seen(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    spool.put(update(1))
    spool.put(update(2))
    path = tmp_path / "async_pending" / "def" / update(1).file_name
    path.write_bytes(path.read_bytes()[:-5])
    (path.parent / "lost+found").mkdir()
    assert list(spool.iter()) == [update(2)]
    assert not path.exists()
    assert len(os.listdir(tmp_path / "quarantined")) == 1


def test_a_missing_device_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DeviceUnavailable):
        Spool(str(tmp_path / "unmounted")).put(update(1))


def test_a_full_device_is_no_space(tmp_path: Path) -> None:
    class Full(Files):
        def fsync(self, fd: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(NoSpace):
        Spool(str(tmp_path), Full()).put(update(1))
    assert list(Spool(str(tmp_path)).iter()) == []
    assert os.listdir(tmp_path / "async_pending" / "def") == []


def test_a_put_that_returned_survives_a_power_cut_and_a_half_one_is_not_seen(tmp_path: Path) -> None:
    numbers = itertools.count()
    for step in itertools.count(1):
        root = tmp_path / str(next(numbers))
        root.mkdir()
        files = faulty_files.FaultyFiles(str(root))
        files.cut_at = step
        answered = False
        try:
            Spool(str(root), files).put(update(1))
            answered = True
        except faulty_files.PowerCut:
            pass
        for seed in (None, 1, 2, 3):
            left = list(Spool(files.outcome(tmp_path / str(next(numbers)), seed)).iter())
            assert left == [update(1)] or (left == [] and not answered)
        if answered:
            break


@given(st.integers(0, 2**128 - 1), st.builds(Timestamp, st.integers(0, MAX_RAW), st.integers(0, 2**64 - 1)))
def test_a_file_name_survives_the_round_trip(number: int, timestamp: Timestamp) -> None:
    name = SpooledUpdate(f"{number:032x}", timestamp, {}).file_name
    assert parse_file_name(name) == (f"{number:032x}", timestamp)


@pytest.mark.parametrize(
    "name", ["", HASH, f"{HASH}-", f"{HASH}-1", "x-0000000001.00000", f"{HASH}-0000000001.00000.tmp"]
)
def test_other_names_are_no_updates(name: str) -> None:
    assert parse_file_name(name) is None
