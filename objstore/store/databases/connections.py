"""Open connections to databases, kept for the next user.

A connection is used by one thread at a time: it is taken from the cache and given back. Of
those idle the least recently used are closed. A connection whose file is no longer the one at
its path (removed, quarantined, replaced) is never handed out.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import OrderedDict
from typing import NamedTuple
from urllib.parse import quote

from objstore.core.errors import Corrupt
from objstore.store.databases import schema
from objstore.store.databases.failures import FailureKind, Replaced, classify, damage_of
from objstore.store.databases.settings import DatabaseSettings

_LOG_KEPT = 8 << 20  # bytes; a log that has grown beyond is cut back at its next reset
_STATEMENTS = 64


class Connected(NamedTuple):
    """file: device and inode of what is open."""

    connection: sqlite3.Connection
    path: str
    file: tuple[int, int]

    def current(self) -> bool:
        """Is the open file still the one at its path? Raises OSError if the device does not say."""
        try:
            return self.file == identity(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return False


def identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


class ConnectionCache:
    """At most `settings.open_databases` idle connections to databases of one kind."""

    def __init__(self, kind: schema.DatabaseKind, settings: DatabaseSettings) -> None:
        self._kind = kind
        self._settings = settings
        self._lock = threading.Lock()
        self._idle: OrderedDict[str, list[Connected]] = OrderedDict()
        self._count = 0
        self._pid = os.getpid()
        # Connections of the process we were forked from. Closing one could end its locks and
        # remove its log, so they are kept, and never touched.
        self._inherited: list[object] = []

    def take(self, path: str) -> Connected:
        """An idle connection, or a new one. Raises FileNotFoundError, sqlite3.Error, Replaced, Corrupt, ConfigError."""
        found = identity(path)
        stale: list[Connected] = []
        connected: Connected | None
        with self._lock:
            if self._pid != os.getpid():
                self._inherited.append(self._idle)
                self._idle, self._count, self._pid = OrderedDict(), 0, os.getpid()
            idle = self._idle.get(path, [])
            while idle:
                connected = idle.pop()
                self._count -= 1
                if connected.file == found:
                    break
                stale.append(connected)
            else:
                connected = None
            if not idle:
                self._idle.pop(path, None)
        _close(stale)
        if connected is None:
            connected = Connected(self._open(path), path, found)
            # The file and its log are opened by name, one after the other: they belong together
            # only if the same file is there before and after.
            if not connected.current():
                connected.connection.close()
                raise Replaced(path)
        return connected

    def give_back(self, connected: Connected) -> None:
        surplus: list[Connected] = []
        with self._lock:
            self._idle.setdefault(connected.path, []).append(connected)
            self._idle.move_to_end(connected.path)
            self._count += 1
            while self._count > self._settings.open_databases:
                oldest = next(iter(self._idle))
                surplus.append(self._idle[oldest].pop(0))
                self._count -= 1
                if not self._idle[oldest]:
                    del self._idle[oldest]
        _close(surplus)

    def forget(self, path: str) -> None:
        """Close the idle connections to a path."""
        with self._lock:
            idle = self._idle.pop(path, [])
            self._count -= len(idle)
        _close(idle)

    def close(self) -> None:
        """Close all idle connections. Blocks."""
        with self._lock:
            idle, self._idle, self._count = self._idle, OrderedDict(), 0
            if self._pid != os.getpid():
                self._inherited.append(idle)
                return
        for connections in idle.values():
            _close(connections)

    def _open(self, path: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(path)}?mode=rw",
            uri=True,
            timeout=0,  # waiting for others is done by the caller
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS,
        )
        try:
            connection.execute(f"PRAGMA synchronous = {self._settings.synchronous}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {self._settings.checkpoint_pages}")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_KEPT}")
            connection.execute("PRAGMA secure_delete = OFF")
            if schema.version(connection) == 0:
                raise Corrupt(f"{path} is empty")  # new ones are put in place whole
            schema.migrate(connection, self._kind)
        except BaseException:
            connection.close()
            raise
        return connection


def damage_at(path: str) -> str:
    """Return the damage that SQLite finds when it reads the whole database again, '' for none.

    With a separate connection, and not by reading the file: closing our own descriptor would release the locks that
    SQLite holds on it. Raises sqlite3.Error, OSError if it cannot be read.
    """
    connection = sqlite3.connect(f"file:{quote(path)}?mode=rw", uri=True, timeout=0, isolation_level=None)
    try:
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        return damage_of(verdict)
    except sqlite3.DatabaseError as error:
        if classify(error) is FailureKind.CORRUPT:
            return str(error)
        raise
    finally:
        connection.close()


def _close(connections: list[Connected]) -> None:
    for connected in connections:
        connected.connection.close()
