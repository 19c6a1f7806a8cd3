"""Rows of a container by name: what it knows of some objects, in whichever policy, deleted ones too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from sqlite3 import Connection

from objstore.store.databases import container_db as db
from objstore.store.databases import status
from objstore.store.databases.rows import ObjectRow

_AT_ONCE = 500  # below SQLite's bound on parameters of a statement


def rows_named(connection: Connection, names: Sequence[str]) -> list[ObjectRow]:
    """Raises NotFound for a deleted container."""
    columns = ", ".join(db.OBJECTS.columns)
    rows: list[ObjectRow] = []
    with status.snapshot(connection):
        db.live_info(connection)
        for first in range(0, len(names), _AT_ONCE):
            some = names[first : first + _AT_ONCE]
            # As parameters: json_each ends a text at its first NUL.
            (text,) = connection.execute(
                f"SELECT json_group_array(json_array(deleted, {columns})) FROM object"
                " WHERE policy_index IN (SELECT policy_index FROM policy_stat) AND deleted IN (0, 1)"
                f" AND name IN ({', '.join('?' * len(some))})",
                tuple(some),
            ).fetchone()
            rows += map(db.OBJECTS.decode, json.loads(text))
    return rows
