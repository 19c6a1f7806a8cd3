"""What a database file says, for an operator who looks at it."""

from __future__ import annotations

import sqlite3
from typing import Any
from urllib.parse import quote

from objstore.core.errors import Corrupt, InvalidInput, NotFound
from objstore.store.databases import account_db, container_db, schema, tables

_READERS: dict[str, tuple[Any, Any]] = {
    "container": (container_db.read_info, container_db.policy_totals),
    "account": (account_db.read_info, account_db.policy_totals),
}


def describe_database(path: str) -> dict[str, Any]:
    """Kind, version, info, totals by policy, newest row number, sync points; blocks.

    Changes nothing, wherever the file lies. Raises NotFound, InvalidInput for a file that is
    no database of ours, Corrupt.
    """
    try:
        connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, isolation_level=None, timeout=5)
    except sqlite3.OperationalError as error:
        raise NotFound(f"{path}: {error}") from error
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        kinds = [kind for kind in schema.KINDS if kind.application_id == application]
        if not kinds:
            raise InvalidInput(f"{path} is no account or container database")
        read_info, policy_totals = _READERS[kinds[0].name]
        info = read_info(connection)
        return {
            "kind": kinds[0].name,
            "version": schema.version(connection),
            "deleted": info.deleted,
            **info._asdict(),
            "policies": policy_totals(connection),
            "max_row": tables.last_row(connection),
            "incoming_sync": tables.sync_points(connection, True),
            "outgoing_sync": tables.sync_points(connection, False),
        }
    except sqlite3.DatabaseError as error:
        raise Corrupt(f"{path}: {error}") from error
    finally:
        connection.close()
