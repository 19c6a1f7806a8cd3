"""Quotas in a container's database: what is settled, and what each row stands for. See `reservations`."""

from __future__ import annotations

from collections.abc import Callable
from sqlite3 import Connection
from typing import NamedTuple

from objstore.core import quotas
from objstore.core.quota_rooms import Standing
from objstore.core.quotas import NOTHING, Amount, Quota
from objstore.core.timestamps import TICKS, ZERO, Timestamp
from objstore.store.databases import reservations
from objstore.store.databases.container_db import live_info
from objstore.store.databases.device import one_by_one
from objstore.store.databases.metadata import live_metadata
from objstore.store.databases.reservations import Authority
from objstore.store.databases.rows import read_timestamp


def _quotas(connection: Connection) -> tuple[Quota, ...]:
    return quotas.of_container(live_metadata(live_info(connection).metadata))


_LIVE = "FROM object JOIN info ON object.policy_index = info.policy_index WHERE object.deleted = 0 AND object.name = ?"


def _stored(connection: Connection, name: str) -> Amount:
    row = connection.execute(f"SELECT (size + referenced) * (1 - elsewhere) {_LIVE}", (name,)).fetchone()
    return NOTHING if row is None else Amount(1, row[0])


def _quota_totals(connection: Connection) -> Amount:
    row = connection.execute(
        "SELECT object_count, quota_bytes FROM policy_stat p JOIN info i ON p.policy_index = i.policy_index"
    ).fetchone()
    return NOTHING if row is None else Amount(*row)


def _settled(connection: Connection, quota: Quota, now: float) -> Amount:
    """The count is that of the container's own objects; the bytes are those of its hidden containers, too."""
    (further,) = connection.execute("SELECT ifnull(sum(size), 0) FROM member").fetchone()
    return _quota_totals(connection).plus(Amount(0, further))


def _changed(connection: Connection, name: str) -> Timestamp:
    """Return the time of a name's row, live or dead, ZERO if there is none."""
    rows = connection.execute(
        "SELECT object.timestamp FROM object JOIN info ON object.policy_index = info.policy_index"
        " WHERE object.deleted IN (0, 1) AND object.name = ?",
        (name,),
    )
    return max((read_timestamp(text) for (text,) in rows), default=ZERO)


def _arrived(connection: Connection, name: str, written: Timestamp) -> bool:
    return _changed(connection, name) >= written


AUTHORITY = Authority(_quotas, _settled, _stored, _arrived)


class StandingQuery(NamedTuple):
    """name: of an object. now: returns seconds since the epoch."""

    name: str
    now: Callable[[], float]


def _standing(connection: Connection, query: StandingQuery) -> Standing:
    """Read under the lock of writers, so that the times of two answers are in the order of their states."""
    at = Timestamp(int(query.now() * TICKS))
    info = live_info(connection)
    counted = connection.execute(f"SELECT size * (1 - elsewhere) {_LIVE}", (query.name,)).fetchone()
    return Standing(
        _stored(connection, query.name),
        NOTHING if counted is None else Amount(1, counted[0]),
        _quota_totals(connection),
        Amount(info.object_count, info.bytes_reported),
        info.policy_index,
        _changed(connection, query.name),
        at,
    )


STANDING = one_by_one(_standing)
RESERVE, RELEASE = reservations.writes(AUTHORITY)
