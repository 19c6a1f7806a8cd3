"""Rows of objects that stand under another storage policy than the container has."""

from __future__ import annotations

from collections.abc import Iterator
from sqlite3 import Connection
from typing import NamedTuple

from objstore.store.databases import status, tables
from objstore.store.databases.container_db import OBJECTS, ContainerStatus, read_info
from objstore.store.databases.rows import ObjectRow


class Misplaced(NamedTuple):
    """info: of the container at the same instant. more: would go on behind the last row."""

    info: ContainerStatus
    rows: list[ObjectRow]
    more: bool


# A deletion under a wrong policy counts where it is newer than what the container's own policy has of the name.
_LIVE = "deleted = 0"
_DELETED = (
    "deleted = 1 AND EXISTS (SELECT 1 FROM object own WHERE own.policy_index = :own AND own.deleted = 0"
    " AND own.name = object.name AND own.timestamp < object.timestamp)"
)


def misplaced(connection: Connection, after: tuple[int, bool, str] | None, limit: int) -> Misplaced:
    """Rows under other policies: live ones, and deletions that the container's own policy has not seen.

    after: policy, deletion or not, and name of the row to go on behind.
    """
    with status.snapshot(connection):
        info = read_info(connection)
        rows: list[ObjectRow] = []
        for policy in tables.policies(connection):
            if policy != info.policy_index:
                for deleted in (False, True):
                    start = _start((policy, deleted), after)
                    if start is not None and len(rows) <= limit:
                        rows += _rows(connection, info.policy_index, policy, deleted, start, limit + 1 - len(rows))
    return Misplaced(info, rows[:limit], len(rows) > limit)


def _start(part: tuple[int, bool], after: tuple[int, bool, str] | None) -> str | None:
    """Return the name after which to read a part; None if all of it is before."""
    if after is None or part > after[:2]:
        return ""
    return after[2] if part == after[:2] else None


def _rows(connection: Connection, own: int, policy: int, deleted: bool, start: str, limit: int) -> Iterator[ObjectRow]:
    found = connection.execute(
        f"SELECT deleted, {', '.join(OBJECTS.columns)} FROM object"
        f" WHERE policy_index = :policy AND {_DELETED if deleted else _LIVE} AND name > :start"
        " ORDER BY name LIMIT :limit",
        {"own": own, "policy": policy, "start": start, "limit": limit},
    )
    return map(OBJECTS.decode, found.fetchall())
