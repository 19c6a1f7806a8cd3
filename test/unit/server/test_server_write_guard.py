"""The rules by which an object server lets a change through; see doc/consistency.md."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from objstore.core.errors import Conflict, LockTimeout, NameHeld, ObjectHeld, PreconditionFailed
from objstore.core.object_lock import LOCK, ON, Lock
from objstore.core.timestamps import DECIDED, ZERO, Timestamp
from objstore.server.write_guard import Overtaken, PeersGuard, WriteGuard
from objstore.store.interface import ObjectInfo
from objstore.store.leases import Leases

HASH = "0123456789abcdef0123456789abcdef"
HOLDER, ANOTHER = "holder", "another"


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def leases(tmp_path: Path, clock: Clock) -> Leases:
    return Leases(str(tmp_path), now=clock)


def nothing() -> ObjectInfo | None:
    return None


def at(raw: int, offset: int = 0) -> Timestamp:
    return Timestamp(raw, offset)


def passes(leases: Leases, when: int, newest: Timestamp = ZERO, **rules: Any) -> None:
    WriteGuard(leases, HASH, at(when), **rules)(newest, nothing)


def refuse(info: ObjectInfo | None) -> None:
    raise PreconditionFailed("no")


# Order


def test_a_change_must_be_newer_than_all_that_is_stored(leases: Leases) -> None:
    passes(leases, 11, at(10))
    for newest in (at(11), at(12)):
        with pytest.raises(Conflict, match="something newer is stored") as refused:
            passes(leases, 11, newest)
        assert refused.value.timestamp == newest


def test_what_came_while_the_body_was_on_its_way_overtakes_a_change_unless_it_was_decided(leases: Leases) -> None:
    with pytest.raises(Overtaken):
        passes(leases, 11, at(12), overlaps=True)
    with pytest.raises(Conflict) as refused:
        passes(leases, 11, at(12, DECIDED), overlaps=True)
    assert not isinstance(refused.value, Overtaken)


# The change's own lease


def test_a_change_under_its_live_lease_passes_and_ends_it(leases: Leases) -> None:
    leases.write(HASH, HOLDER, 4.0, at(20))
    passes(leases, 20, lease=HOLDER)
    assert leases.read(HASH) is None


@pytest.mark.parametrize("later", [4.0, 4.1, 1000.0])
def test_a_change_under_an_expired_lease_is_refused(leases: Leases, clock: Clock, later: float) -> None:
    """Another may have decided since on what it saw without this change; the rule had no test."""
    leases.write(HASH, HOLDER, 4.0, at(20))
    clock.seconds += later
    with pytest.raises(Conflict, match="the lease has expired"):
        passes(leases, 20, lease=HOLDER)


def test_a_change_under_a_lease_of_before_the_machines_start_is_refused(leases: Leases, clock: Clock) -> None:
    leases.write(HASH, HOLDER, 4.0, at(20))
    clock.seconds -= 100_000
    with pytest.raises(Conflict, match="the lease has expired"):
        passes(leases, 20, lease=HOLDER)


def test_a_change_under_a_lease_that_another_holds_or_nobody_is_refused(leases: Leases) -> None:
    with pytest.raises(Conflict, match="the lease has expired"):
        passes(leases, 20, lease=HOLDER)
    leases.write(HASH, ANOTHER, 4.0, at(20))
    with pytest.raises(Conflict, match="the lease has expired"):
        passes(leases, 20, lease=HOLDER)


def test_a_change_under_a_promise_alone_is_refused(leases: Leases) -> None:
    """Its lease was given back, as its change may have been made elsewhere."""
    leases.write(HASH, HOLDER, 0, at(20))
    with pytest.raises(Conflict, match="the lease has expired"):
        passes(leases, 20, lease=HOLDER)


def test_a_change_that_is_newer_than_its_promise_is_refused(leases: Leases) -> None:
    leases.write(HASH, HOLDER, 4.0, at(20))
    with pytest.raises(Conflict, match="newer than promised"):
        passes(leases, 21, lease=HOLDER)


# Leases of others


def test_a_change_without_a_lease_waits_for_one_that_lives(leases: Leases) -> None:
    leases.write(HASH, ANOTHER, 4.0, at(20))
    with pytest.raises(NameHeld):
        passes(leases, 30)


def test_a_change_without_a_lease_passes_an_expired_one_if_it_is_newer_than_the_promise(
    leases: Leases, clock: Clock
) -> None:
    leases.write(HASH, ANOTHER, 4.0, at(20))
    clock.seconds += 5
    with pytest.raises(Conflict, match="something newer"):
        passes(leases, 20)
    passes(leases, 21)
    assert leases.read(HASH) is None


def test_a_promise_outlives_its_lease(leases: Leases) -> None:
    leases.write(HASH, ANOTHER, 0, at(20))
    with pytest.raises(Conflict):
        passes(leases, 19)
    passes(leases, 21)


# Conditions


def test_a_check_that_fails_refuses_the_change_and_leaves_the_lease(leases: Leases) -> None:
    leases.write(HASH, HOLDER, 4.0, at(20))
    with pytest.raises(PreconditionFailed):
        passes(leases, 20, lease=HOLDER, check=refuse)
    assert leases.read(HASH) is not None


def test_a_change_with_a_check_that_was_not_asked_is_a_conflict(leases: Leases) -> None:
    """An equal change had come before, and may be another's of the same instant."""
    guard = WriteGuard(leases, HASH, at(20), check=lambda info: None)
    with pytest.raises(Conflict, match="the same change was stored before"):
        guard.require()
    guard(ZERO, nothing)
    guard.require()


# What replicators bring


def peers(leases: Leases, when: int, newest: Timestamp = ZERO) -> None:
    PeersGuard(leases, HASH, at(when))(newest, nothing)


def test_a_peers_change_must_not_come_under_a_live_lease(leases: Leases) -> None:
    leases.write(HASH, HOLDER, 4.0, at(20))
    for when in (10, 20, 30):
        with pytest.raises(LockTimeout):
            peers(leases, when)


def test_a_peers_change_must_not_be_one_that_was_promised_a_moment_ago(leases: Leases, tmp_path: Path) -> None:
    leases.write(HASH, HOLDER, 0, at(20))
    with pytest.raises(LockTimeout):
        peers(leases, 20)
    peers(leases, 21)
    old = time.time() - 60
    os.utime(tmp_path / "leases" / HASH, (old, old))
    peers(leases, 20)


def test_a_peers_change_that_does_not_count_is_not_asked_about(leases: Leases) -> None:
    leases.write(HASH, HOLDER, 4.0, at(20))
    peers(leases, 10, at(10))


def test_a_peers_change_passes_where_there_is_no_lease(leases: Leases) -> None:
    peers(leases, 10)


# Object lock


def locked(state: str) -> ObjectInfo | None:
    return ObjectInfo("/a/c/o", at(10), at(10), at(10), 4, "etag", "text/plain", {LOCK: state})


HELD, FREE = Lock(legal_hold=ON).dump(), Lock("COMPLIANCE", 1, "OFF").dump()


def test_a_locked_object_is_changed_only_by_who_took_the_lock_into_account(leases: Leases) -> None:
    with pytest.raises(ObjectHeld, match="a legal hold"):
        WriteGuard(leases, HASH, at(20))(at(10), lambda: locked(HELD))
    WriteGuard(leases, HASH, at(20), judged=True)(at(10), lambda: locked(HELD))
    WriteGuard(leases, HASH, at(20))(at(10), lambda: locked(FREE))


def test_of_a_locked_object_only_decided_changes_of_a_peer_are_taken(leases: Leases) -> None:
    with pytest.raises(LockTimeout):
        PeersGuard(leases, HASH, at(20))(at(10), lambda: locked(HELD))
    PeersGuard(leases, HASH, at(20, DECIDED))(at(10), lambda: locked(HELD))
    PeersGuard(leases, HASH, at(20))(at(10), lambda: locked(FREE))
    PeersGuard(leases, HASH, at(10))(at(20), lambda: locked(HELD))  # it does not count
