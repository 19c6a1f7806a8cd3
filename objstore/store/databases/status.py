"""What account and container databases alike say of themselves: times, metadata, sync points."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from sqlite3 import Connection

from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.store.databases import metadata as md
from objstore.store.databases import tables
from objstore.store.databases.device import Databases, one_by_one
from objstore.store.databases.rows import read_timestamp


@contextlib.contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """What is read inside is of one instant."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def update(connection: Connection, **times: Timestamp) -> None:
    """Set columns of `info` that are timestamps."""
    columns = ", ".join(f"{column} = ?" for column in times)
    connection.execute(f"UPDATE info SET {columns}", [timestamp.internal for timestamp in times.values()])


def merge_metadata(connection: Connection, metadata: Mapping[str, tuple[str, Timestamp]]) -> None:
    text, deleted = connection.execute("SELECT metadata, delete_timestamp FROM info").fetchone()
    # What ended with a deletion is hidden from readers, and dropped on this occasion.
    _store(connection, text, md.since(md.merge(md.load(text), metadata), read_timestamp(deleted)))


def _store(connection: Connection, old: str, metadata: md.Metadata) -> None:
    new = md.dump(metadata)
    if new != old:
        connection.execute("UPDATE info SET metadata = ?", (new,))


def _forget_removed(connection: Connection, before: Timestamp) -> None:
    """Drop metadata that was removed before a time."""
    (text,) = connection.execute("SELECT metadata FROM info").fetchone()
    _store(connection, text, {key: item for key, item in md.load(text).items() if item[0] or item[1] >= before})


# Sync points: up to which row number of theirs we have a peer's rows, and it has ours.

_SYNC_TABLES = {True: "incoming_sync", False: "outgoing_sync"}


def sync_points(connection: Connection, incoming: bool) -> dict[str, int]:
    return dict(connection.execute(f"SELECT remote_id, sync_point FROM {_SYNC_TABLES[incoming]}"))


def _set_sync_point(connection: Connection, argument: tuple[bool, str, int]) -> None:
    """A sync point only grows."""
    incoming, remote_id, number = argument
    connection.execute(
        f"INSERT INTO {_SYNC_TABLES[incoming]} (remote_id, sync_point) VALUES (?, ?)"
        " ON CONFLICT (remote_id) DO UPDATE SET sync_point = max(sync_point, excluded.sync_point)",
        (remote_id, number),
    )


def _reclaim(connection: Connection, argument: tuple[tables.RowTable, int, str, Timestamp]) -> tuple[int, str]:
    return tables.reclaim(connection, *argument)


MERGE_METADATA = one_by_one(merge_metadata)
SET_SYNC_POINT = one_by_one(_set_sync_point)
_FORGET_REMOVED = one_by_one(_forget_removed)
_RECLAIM = one_by_one(_reclaim)


def reclaim(databases: Databases, location: Location, table: tables.RowTable, before: Timestamp) -> int:
    """Forget tombstones and removed metadata older than `before`, in short transactions."""
    databases.write(location, _FORGET_REMOVED, before)
    gone = 0
    for scope in databases.read(location, tables.policies) if table.scope else [0]:
        start, more = "", True
        while more:
            count, start = databases.write(location, _RECLAIM, (table, scope, start, before))
            gone += count
            more = bool(start)
    return gone
