"""The status of account and container databases: times, metadata, sync points."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from sqlite3 import Connection
from typing import Any, NamedTuple, TypeVar

from objstore.core.errors import Conflict, NotFound
from objstore.core.names import Location, Name
from objstore.core.timestamps import ZERO, Timestamp
from objstore.store.databases import metadata as md
from objstore.store.databases import tables
from objstore.store.databases.device import Databases, JournalUse, one_by_one
from objstore.store.databases.rows import read_timestamp

_Info = TypeVar("_Info", bound=Any)


class Status(NamedTuple):
    """The status of an account or container, on which replicas agree. policy_index: 0 for accounts."""

    name: Name
    created_at: Timestamp
    put_timestamp: Timestamp
    delete_timestamp: Timestamp
    status_changed_at: Timestamp
    policy_index: int
    metadata: md.Metadata


def status_of(info: Any) -> Status:
    """The status that the info of an account or container says."""
    times = info.created_at, info.put_timestamp, info.delete_timestamp, info.status_changed_at
    return Status(info.name, *times, getattr(info, "policy_index", 0), info.metadata)


def digest(status: Status) -> str:
    """Equal for replicas that say the same. Removed metadata does not count: each replica forgets it in its time."""
    fields = [
        *(timestamp.internal for timestamp in status[1:5]),
        status.policy_index,
        md.dump({key: item for key, item in status.metadata.items() if item[0]}),
    ]
    return hashlib.md5(json.dumps(fields).encode(), usedforsecurity=False).hexdigest()


def live(info: _Info) -> _Info:
    """The info of what is not deleted; raises NotFound with the time of the deletion."""
    if info.deleted:
        raise NotFound(f"{info.name.path} was deleted", info.delete_timestamp)
    return info


def first(at: Timestamp, metadata: Mapping[str, str]) -> dict[str, object]:
    """The columns of `info` that both kinds have, for what is made at a time."""
    made = at.internal
    return {
        "id": str(uuid.uuid4()),
        "created_at": made,
        "put_timestamp": made,
        "delete_timestamp": ZERO.internal,
        "status_changed_at": made,
        "metadata": md.dump({key: (value, at) for key, value in metadata.items()}),
    }


@contextlib.contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """Open a read transaction: all reads inside see the same state."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def update(connection: Connection, **times: Timestamp) -> None:
    """Set columns of `info` that are timestamps."""
    columns = ", ".join(f"{column} = ?" for column in times)
    connection.execute(f"UPDATE info SET {columns}", [timestamp.internal for timestamp in times.values()])


def revive(connection: Connection, info: Any, timestamp: Timestamp) -> None:
    """Let what was deleted live again. Raises Conflict if it was deleted at or after `timestamp`."""
    if timestamp <= info.delete_timestamp:
        raise Conflict(f"{info.name.path} was deleted later", info.delete_timestamp)
    update(connection, put_timestamp=timestamp, status_changed_at=timestamp)


def end(connection: Connection, info: Any, timestamp: Timestamp) -> None:
    """Mark as deleted. Raises Conflict if it was created at or after `timestamp`."""
    if timestamp <= info.put_timestamp:
        raise Conflict(f"{info.name.path} was created later", info.put_timestamp)
    update(connection, delete_timestamp=timestamp, status_changed_at=timestamp)


def set_metadata(connection: Connection, metadata: Mapping[str, str], at: Timestamp) -> None:
    merge_metadata(connection, {key: (value, at) for key, value in metadata.items()})


def merge_metadata(connection: Connection, metadata: Mapping[str, tuple[str, Timestamp]]) -> None:
    text, deleted, put = connection.execute("SELECT metadata, delete_timestamp, put_timestamp FROM info").fetchone()
    merged = md.merge(md.load(text), metadata)
    # What ended with a deletion is hidden from readers, and dropped once its bearer was made again. Before, a row
    # that is on its way may show that the bearer was not empty, and its metadata count again.
    _store(connection, text, md.since(merged, read_timestamp(deleted)) if put > deleted else merged)


def _store(connection: Connection, old: str, metadata: md.Metadata) -> None:
    new = md.dump(metadata)
    if new != old:
        connection.execute("UPDATE info SET metadata = ?", (new,))


def _forget_removed(connection: Connection, before: Timestamp) -> None:
    """Drop metadata that was removed before a time."""
    (text,) = connection.execute("SELECT metadata FROM info").fetchone()
    _store(connection, text, {key: item for key, item in md.load(text).items() if item[0] or item[1] >= before})


def own_id(connection: Connection) -> str:
    (id_,) = connection.execute("SELECT id FROM info").fetchone()
    return str(id_)


def require_id(connection: Connection, expected: str) -> None:
    """Raise Conflict if another database has replaced the expected one."""
    if own_id(connection) != expected:
        raise Conflict(f"the database is not {expected} any more")


def set_new_id(connection: Connection) -> None:
    """From now on the database is another one to its peers. What it knows of them stays true."""
    connection.execute("UPDATE info SET id = ?", (str(uuid.uuid4()),))


# Sync points: up to which row number of theirs we have a peer's rows, and it has ours.

_SYNC_TABLES = {True: "incoming_sync", False: "outgoing_sync"}


def sync_points(connection: Connection, incoming: bool) -> dict[str, int]:
    return dict(connection.execute(f"SELECT remote_id, sync_point FROM {_SYNC_TABLES[incoming]}"))


def set_sync_point(connection: Connection, incoming: bool, remote_id: str, number: int) -> None:
    """A sync point only grows."""
    connection.execute(
        f"INSERT INTO {_SYNC_TABLES[incoming]} (remote_id, sync_point) VALUES (?, ?)"
        " ON CONFLICT (remote_id) DO UPDATE SET sync_point = max(sync_point, excluded.sync_point)",
        (remote_id, number),
    )


def _set_sync_point(connection: Connection, argument: tuple[str, bool, str, int]) -> None:
    expected_id, incoming, remote_id, number = argument
    require_id(connection, expected_id)
    set_sync_point(connection, incoming, remote_id, number)


def _reclaim(
    connection: Connection, argument: tuple[tables.RowTable, int, str, Timestamp, int | None]
) -> tuple[int, str]:
    return tables.reclaim(connection, *argument)


MERGE_METADATA = one_by_one(merge_metadata)
SET_SYNC_POINT = one_by_one(_set_sync_point)
_FORGET_REMOVED = one_by_one(_forget_removed)
_RECLAIM = one_by_one(_reclaim)


def reclaim(
    databases: Databases, location: Location, table: tables.RowTable, before: Timestamp, last: int | None = None
) -> int:
    """Forget tombstones and removed metadata older than `before`, in short transactions.

    last: the number of the last row that may go.
    """
    databases.write(location, _FORGET_REMOVED, before, use=JournalUse.MERGES)
    gone = 0
    for scope in databases.read(location, tables.policies) if table.scope else [0]:
        start, more = "", True
        while more:
            argument = table, scope, start, before, last
            count, start = databases.write(location, _RECLAIM, argument, use=JournalUse.MERGES)
            gone += count
            more = bool(start)
    return gone
