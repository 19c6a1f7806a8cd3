"""Summaries of databases: as much as tells whether two replicas are equal; remembered while files do not change."""

from __future__ import annotations

import os
import threading
import time
from sqlite3 import Connection
from typing import NamedTuple

from objstore.core.timestamps import Timestamp
from objstore.store.databases import status, tables
from objstore.store.databases.contents import Contents

# A file that changed so short a time ago (in seconds) may change again without another time stamp.
_SETTLING = 2.0
_MAX_KNOWN = 50_000

_Stamp = tuple[tuple[int, int, int], ...]


class DatabaseSummary(NamedTuple):
    """id: of the database. max_row: number of the newest row. digest: of the status.

    totals: by policy index, not zero. incoming, outgoing: sync points by the id of a peer's database.
    delete_timestamp: of the last deletion; deleted: does it hold? settled: and is nothing left to do for it?
    """

    id: str
    max_row: int
    digest: str
    totals: tuple[tuple[int, ...], ...]
    deleted: bool
    delete_timestamp: Timestamp
    incoming: dict[str, int]
    outgoing: dict[str, int]
    settled: bool


def read_summary(connection: Connection, contents: Contents) -> DatabaseSummary:
    """Within a transaction or without: then it begins and ends one, so that all is of one instant."""
    if connection.in_transaction:
        return _read(connection, contents)
    with status.snapshot(connection):
        return _read(connection, contents)


def _read(connection: Connection, contents: Contents) -> DatabaseSummary:
    info = contents.read_info(connection)
    return DatabaseSummary(
        info.id,
        tables.last_row(connection),
        status.digest(status.status_of(info)),
        tuple(tables.totals_of(connection, contents.table)),
        info.deleted,
        info.delete_timestamp,
        status.sync_points(connection, True),
        status.sync_points(connection, False),
        info.deleted and contents.settled(connection, info),
    )


class Known:
    """Summaries by hash, each with what its files were like when it was read. For several threads."""

    def __init__(self, most: int = _MAX_KNOWN) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._cache: dict[str, tuple[_Stamp, DatabaseSummary]] = {}

    def get(self, name_hash: str, path: str) -> DatabaseSummary | None:
        """The summary, if the database at the path is as it was when that was read."""
        known = self._cache.get(name_hash)
        return known[1] if known is not None and known[0] == _stamp(path) else None

    def stamp(self, path: str) -> _Stamp | None:
        """Return the state of the files before a summary is read; None if they may change without a visible
        difference."""
        stamp = _stamp(path)
        newest = max((changed for _, _, changed in stamp), default=0)
        return stamp if newest / 1e9 < time.time() - _SETTLING else None

    def put(self, name_hash: str, stamp: _Stamp | None, summary: DatabaseSummary) -> None:
        with self._lock:
            if stamp is None:
                self._cache.pop(name_hash, None)
            elif name_hash in self._cache or len(self._cache) < self._most:
                # When it is full, the rest is read each time; to forget the oldest would forget all in each round.
                self._cache[name_hash] = (stamp, summary)

    def forget(self, name_hash: str) -> None:
        with self._lock:
            self._cache.pop(name_hash, None)


def _stamp(path: str) -> _Stamp:
    """Inode, size and time of change of a database and its log; an empty log says nothing. Raises OSError."""
    found = []
    for name in (path, f"{path}-wal"):
        try:
            seen = os.stat(name)
        except FileNotFoundError:
            continue
        if seen.st_size:
            found.append((seen.st_ino, seen.st_size, seen.st_ctime_ns))
    return tuple(found)
