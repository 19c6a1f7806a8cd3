"""Leases of names: files that all processes of a host share."""

from __future__ import annotations

import os
import time
import traceback
from pathlib import Path

import pytest

from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.runtime import green
from objstore.store.leases import MAX_SECONDS, Leases, boot_time
from objstore.store.objects.file_store import FileSettings, FileStore
from objstore.store.objects.space import Reserve

HASH = "0123456789abcdef0123456789abcdef"
PROMISE = Timestamp(123, 1)


def test_what_was_written_is_read_by_others(tmp_path: Path) -> None:
    leases = Leases(str(tmp_path))
    assert not leases.present(HASH)
    assert leases.read(HASH) is None
    lease = leases.write(HASH, "me", 10, PROMISE)
    other = Leases(str(tmp_path))
    assert other.present(HASH)
    assert other.read(HASH) == lease
    assert other.is_live(lease)
    assert (lease.id, lease.promise) == ("me", PROMISE)
    other.remove(HASH)
    other.remove(HASH)
    assert not leases.present(HASH)


def test_policies_have_leases_of_their_own(tmp_path: Path) -> None:
    Leases(str(tmp_path), 0).write(HASH, "me", 10, PROMISE)
    assert Leases(str(tmp_path), 1).read(HASH) is None


def test_a_lease_expires_and_its_promise_stays(tmp_path: Path) -> None:
    now = 1000.0
    leases = Leases(str(tmp_path), now=lambda: now)
    lease = leases.write(HASH, "me", 10, PROMISE)
    now = 1009.9
    assert leases.is_live(lease)
    now = 1010.1
    assert not leases.is_live(lease)
    kept = leases.read(HASH)
    assert kept is not None and kept.promise == PROMISE


def test_a_promise_alone_is_no_lease(tmp_path: Path) -> None:
    leases = Leases(str(tmp_path))
    assert not leases.is_live(leases.write(HASH, "me", 0, PROMISE))


def test_a_lease_of_before_the_machines_last_start_is_void(tmp_path: Path) -> None:
    late = Leases(str(tmp_path), now=lambda: 1e6)
    lease = late.write(HASH, "me", 10, PROMISE)
    assert not Leases(str(tmp_path), now=lambda: 5.0).is_live(lease)
    assert MAX_SECONDS < 1e5


@pytest.mark.parametrize(
    "content", [b"", b"[", b'["me", 1', b"[1]", b'["me", "x", "y"]\n', b"{}\n", b"null\n", b"\xff\n"]
)
def test_half_a_lease_is_none(tmp_path: Path, content: bytes) -> None:
    leases = Leases(str(tmp_path))
    leases.write(HASH, "me", 10, PROMISE)
    (tmp_path / "leases" / HASH).write_bytes(content)
    assert leases.read(HASH) is None
    lease = leases.write(HASH, "x", 10, PROMISE)
    assert leases.read(HASH) == lease


def test_a_longer_line_leaves_nothing_behind_a_shorter_one(tmp_path: Path) -> None:
    leases = Leases(str(tmp_path))
    leases.write(HASH, "m" * 100, 10, PROMISE)
    lease = leases.write(HASH, "m", 10, PROMISE)
    assert leases.read(HASH) == lease
    assert (tmp_path / "leases" / HASH).read_bytes().count(b"\n") == 1


def test_old_ones_are_swept_at_most_once_a_minute(tmp_path: Path) -> None:
    now = 100.0
    leases = Leases(str(tmp_path), now=lambda: now)
    assert leases.sweep() == 0  # no directory yet
    leases.write(HASH, "me", 10, PROMISE)
    (tmp_path / "leases" / ".locks").touch()
    assert leases.sweep(lambda: time.time() + 1e6) == 0
    now = 161.0
    assert leases.sweep() == 0
    assert leases.present(HASH)
    now = 222.0
    assert leases.sweep(lambda: time.time() + 1e6) == 1
    assert os.listdir(tmp_path / "leases") == [".locks"]


@pytest.mark.filterwarnings("ignore:Using fork:DeprecationWarning")
def test_of_many_processes_one_holds_a_lease(tmp_path: Path) -> None:
    """Each takes the lease a few times, if it is free; a log of takings and givings back must alternate."""
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    here = Location(5, HASH)
    children = []
    for which in range(4):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                green.after_fork()
                store = FileStore(str(tmp_path), settings=FileSettings(Reserve(), ballast=0))
                leases = Leases(str(tmp_path))
                won = 0

                def take(newest: Timestamp, look: object, leases: Leases = leases, which: int = which) -> bool:
                    held = leases.read(HASH)
                    if held is not None and leases.is_live(held):
                        return False
                    leases.write(HASH, str(which), 10, PROMISE)
                    return True

                def give(newest: Timestamp, look: object, leases: Leases = leases, which: int = which) -> None:
                    held = leases.read(HASH)
                    assert held is not None and held.id == str(which)
                    leases.remove(HASH)

                deadline = boot_time() + 20
                while won < 20 and boot_time() < deadline:
                    if store.exclusively(here, take):
                        os.write(log, b"+%d\n" % which)
                        green.sleep(0.001)
                        os.write(log, b"-%d\n" % which)
                        store.exclusively(here, give)
                        won += 1
                    green.sleep(0.001)
                status = 0 if won == 20 else 2
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    lines = (tmp_path / "log").read_text().split()
    assert len(lines) == 160
    for taken, given in zip(lines[::2], lines[1::2], strict=True):
        assert taken[0] == "+"
        assert given == "-" + taken[1:]
