"""The description of a database file for operators."""

from __future__ import annotations

import sqlite3
from urllib.parse import quote

from objstore.core.errors import Corrupt, DeviceUnavailable, InvalidInput, NotFound
from objstore.runtime.files import exists
from objstore.store.databases import schema, status, tables
from objstore.store.databases.accounts import AccountStore
from objstore.store.databases.containers import ContainerStore
from objstore.store.databases.failures import FailureKind, classify

_CONTENTS = {store.contents.kind.application_id: store.contents for store in (AccountStore, ContainerStore)}


def describe_database(path: str) -> dict[str, object]:
    """Kind, version, info, totals by policy, newest row number, sync points; blocks.

    Changes nothing, wherever the file lies. Raises NotFound, InvalidInput for a file that is
    no database of ours, Corrupt, DeviceUnavailable where it cannot be read.
    """
    if not exists(path):
        raise NotFound(f"no file {path}")
    # Without a log nobody has the file open, and reading it must not leave a log behind.
    mode = "ro" if exists(f"{path}-wal") else "ro&immutable=1"
    try:
        connection = sqlite3.connect(f"file:{quote(path)}?mode={mode}", uri=True, isolation_level=None, timeout=5)
    except sqlite3.OperationalError as error:
        raise DeviceUnavailable(f"{path}: {error}") from error
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        contents = _CONTENTS.get(application)
        if contents is None:
            raise InvalidInput(f"{path} is not an account or container database")
        info = contents.read_info(connection)
        return {
            "kind": contents.kind.name,
            "version": schema.version(connection),
            "deleted": info.deleted,
            **info._asdict(),
            "policies": contents.policy_totals(connection),
            "max_row": tables.last_row(connection),
            "incoming_sync": status.sync_points(connection, True),
            "outgoing_sync": status.sync_points(connection, False),
        }
    except sqlite3.DatabaseError as error:
        match classify(error):
            case FailureKind.CORRUPT:
                raise Corrupt(f"{path}: {error}") from error
            case FailureKind.OTHER:
                raise InvalidInput(f"{path}: {error}") from error
            case _:
                raise DeviceUnavailable(f"{path}: {error}") from error
    finally:
        connection.close()
