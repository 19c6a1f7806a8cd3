"""Quotas in an account's database: what is settled. See `reservations`.

Every name is one of a member. The totals of a member that came with a write or its end are newer than those of its
last report, or older if a daemon has reported since; the newer ones count.
"""

from __future__ import annotations

from sqlite3 import Connection

from objstore.core import quotas
from objstore.core.quotas import NOTHING, Amount, Quota
from objstore.core.timestamps import Timestamp
from objstore.store.databases import reservations
from objstore.store.databases.account_db import live_info
from objstore.store.databases.metadata import live_metadata
from objstore.store.databases.reservations import Authority


def _quotas(connection: Connection) -> tuple[Quota, ...]:
    return quotas.of_account(live_metadata(live_info(connection).metadata))


# Timestamps without offsets sort as text: clocks of containers make no others.
_NEWER = """
SELECT m.policy_index, m.objects, m.size, ifnull(c.policy_index, -1), ifnull(c.object_count, 0), ifnull(c.bytes_used, 0)
FROM member m LEFT JOIN container c ON c.deleted = 0 AND c.name = m.name
WHERE m.until > ? AND m.at > ifnull(c.reported_at, '')
"""


def _settled(connection: Connection, quota: Quota, now: float) -> Amount:
    by_policy, values = ("", ()) if quota.policy is None else (" WHERE policy_index = ?", (quota.policy,))
    row = connection.execute(
        f"SELECT ifnull(sum(object_count), 0), ifnull(sum(bytes_used), 0) FROM policy_stat{by_policy}", values
    ).fetchone()
    settled = Amount(*row)
    for policy, objects, size, reported_policy, reported_objects, reported_size in connection.execute(_NEWER, (now,)):
        if quota.policy in (None, policy):
            settled = settled.plus(Amount(objects, size))
        if quota.policy in (None, reported_policy):
            settled = settled.plus(Amount(reported_objects, reported_size), -1)
    return settled


def _stored(connection: Connection, name: str) -> Amount:
    """Return nothing: an account has no names of its own."""
    return NOTHING


def _arrived(connection: Connection, name: str, written: Timestamp) -> bool:
    return True


AUTHORITY = Authority(_quotas, _settled, _stored, _arrived)
RESERVE, RELEASE = reservations.writes(AUTHORITY)
