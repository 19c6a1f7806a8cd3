"""Reservations of room within the quotas of a container or account, on an open connection.

A write reserves room right before it is made, and releases it afterwards. In between the reservation is *open*, and
counts as if the write had been made. It ends by itself after some time, so that a proxy that was killed does no harm.

The database of a container decides about its own rows. The databases of hidden containers that belong to it, and those
of the containers of an account, are *members*: their totals come with reservations and releases, each with the time
at which it was read, so that the newest counts.

A reservation of a member says what the write replaces. That may have changed when the reservation comes: a release
lowers the old amount of other reservations of the name, and stays for a while as *done* for those that are on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from sqlite3 import Connection
from typing import NamedTuple

from objstore.core import quotas
from objstore.core.quota_rooms import MemberTotals, RoomRelease, RoomRequest
from objstore.core.quotas import GRANTED, NOTHING, Amount, Quota, RoomNeeded, Use, Write
from objstore.core.timestamps import Timestamp
from objstore.store.databases.device import WriteMany, one_by_one

MAX_SECONDS = 3600.0  # of a reservation; one that seems to last longer was made before the clock was set back
MEMBER_SECONDS = 900.0  # for which an account prefers a member's totals over those of its last report


class Authority(NamedTuple):
    """The functions that differ between containers and accounts.

    quotas: those that are set. settled: the use of a quota, without open reservations; takes the time in seconds.
    stored: the amount of a row of the container itself. arrived: whether such a row is as new as a timestamp.
    """

    quotas: Callable[[Connection], tuple[Quota, ...]]
    settled: Callable[[Connection, Quota, float], Amount]
    stored: Callable[[Connection, str], Amount]
    arrived: Callable[[Connection, str, Timestamp], bool]


class _Open(NamedTuple):
    """An open reservation. group: the member and the name."""

    group: tuple[str, str]
    policy_index: int
    write: Write


def reserve(connection: Connection, authority: Authority, claim: RoomRequest, now: float) -> str:
    """Reserve room for a write if the quotas grant it; return the verdict.

    now: in seconds since the epoch. A request for no time is only judged.
    """
    limits = authority.quotas(connection)
    _prune(connection, now)
    if claim.totals is not None:
        merge_totals(connection, claim.totals, now)
    old = _old(connection, claim)
    verdict = GRANTED
    if claim.judged:
        added = _Open((claim.member, claim.name), _policy(claim.totals), Write(claim.new, old))
        opened = _opened(connection, now)
        verdict = quotas.worst(_judge(connection, authority, limit, opened, added, now) for limit in limits)
    if verdict == GRANTED and claim.seconds > 0:
        until = now + min(claim.seconds, MAX_SECONDS)
        values = (*claim.new, *old, _policy(claim.totals), until)
        connection.execute(
            "INSERT OR REPLACE INTO reservation"
            " (id, member, name, objects, size, old_objects, old_size, policy_index, until)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (claim.id, claim.member, claim.name, *values),
        )
    return verdict


def release(connection: Connection, authority: Authority, ended: RoomRelease, now: float) -> None:
    """End a reservation.

    That of a row of the container itself stays if the row has not come yet: it counts until then, or until its time.
    """
    authority.quotas(connection)  # raises NotFound for what is deleted
    _prune(connection, now)
    if ended.totals is not None:
        merge_totals(connection, ended.totals, now)
    written = ended.written
    if written is None or (ended.totals is None and authority.arrived(connection, ended.name, written)):
        connection.execute("DELETE FROM reservation WHERE id = ?", (ended.id,))
    elif ended.totals is not None:
        group = (ended.totals.name, ended.name)
        connection.execute(
            "UPDATE reservation SET old_objects = min(old_objects, ?), old_size = min(old_size, ?)"
            " WHERE member = ? AND name = ? AND done IS NULL",
            (*ended.new, *group),
        )
        until = now + min(ended.seconds, MAX_SECONDS)
        values = (*ended.new, *ended.new, ended.totals.policy_index, until, ended.totals.at.internal)
        connection.execute(
            "INSERT OR REPLACE INTO reservation"
            " (id, member, name, objects, size, old_objects, old_size, policy_index, until, done)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (ended.id, *group, *values),
        )


def merge_totals(connection: Connection, totals: MemberTotals, now: float) -> None:
    """Keep a member's totals, unless there are newer ones."""
    connection.execute(
        "INSERT INTO member (name, policy_index, objects, size, at, until) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET policy_index = excluded.policy_index, objects = excluded.objects,"
        " size = excluded.size, at = excluded.at, until = excluded.until WHERE excluded.at > at",
        (totals.name, totals.policy_index, *totals.amount, totals.at.internal, now + MEMBER_SECONDS),
    )


def _policy(totals: MemberTotals | None) -> int:
    return 0 if totals is None else totals.policy_index


def _prune(connection: Connection, now: float) -> None:
    connection.execute("DELETE FROM reservation WHERE until < ? OR until > ?", (now, now + MAX_SECONDS))


def _old(connection: Connection, claim: RoomRequest) -> Amount:
    """Return what a claim replaces; of a member, also after writes that ended since its totals were read."""
    if claim.totals is None:
        return NOTHING
    objects, size = connection.execute(
        "SELECT min(objects), min(size) FROM reservation WHERE member = ? AND name = ? AND done > ?",
        (claim.member, claim.name, claim.totals.at.internal),
    ).fetchone()
    if objects is None:
        return claim.old
    return Amount(min(objects, claim.old.objects), min(size, claim.old.size))


def _opened(connection: Connection, now: float) -> list[_Open]:
    rows = connection.execute(
        "SELECT member, name, policy_index, objects, size, old_objects, old_size FROM reservation WHERE done IS NULL"
    )
    return [
        _Open((member, name), policy, Write(Amount(objects, size), Amount(old_objects, old_size)))
        for member, name, policy, objects, size, old_objects, old_size in rows
    ]


def _judge(
    connection: Connection, authority: Authority, quota: Quota, opened: list[_Open], added: _Open, now: float
) -> str:
    if quota.policy not in (None, added.policy_index):
        return GRANTED
    groups: dict[tuple[str, str], list[Write]] = {}
    for one in opened:
        if quota.policy in (None, one.policy_index):
            groups.setdefault(one.group, []).append(one.write)

    def room(group: tuple[str, str], writes: Iterable[Write]) -> Amount:
        member, name = group
        return quotas.room(writes if member else _as_one(list(writes), authority.stored(connection, name)))

    total = NOTHING
    for group, writes in groups.items():
        total = total.plus(room(group, writes))
    same = groups.get(added.group, [])
    beside = room(added.group, [*same, added.write]).plus(room(added.group, same), -1)
    use = Use(authority.settled(connection, quota, now), total)
    return quotas.verdict(quota, use, RoomNeeded(beside, room(added.group, [added.write])))


def _as_one(writes: list[Write], old: Amount) -> list[Write]:
    """Return open writes of a row as the one that needs most: what they replace is in the table."""
    if not writes:
        return []
    new = Amount(max(write.new.objects for write in writes), max(write.new.size for write in writes))
    return [Write(new, old)]


class Reserving(NamedTuple):
    """now: returns seconds since the epoch; it is asked inside the transaction."""

    claim: RoomRequest
    now: Callable[[], float]


class Releasing(NamedTuple):
    """The same of a release."""

    ended: RoomRelease
    now: Callable[[], float]


def writes(authority: Authority) -> tuple[WriteMany, WriteMany]:
    """Return `reserve` and `release` as writes of a database, which take a Reserving and a Releasing."""

    def reserve_one(connection: Connection, given: Reserving) -> str:
        return reserve(connection, authority, given.claim, given.now())

    def release_one(connection: Connection, given: Releasing) -> None:
        release(connection, authority, given.ended, given.now())

    return one_by_one(reserve_one), one_by_one(release_one)
