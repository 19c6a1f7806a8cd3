"""Whole databases on the way to a peer, and from one."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

from objstore.core.errors import ConfigError, Corrupt, DeviceUnavailable, InvalidInput, LockTimeout
from objstore.core.names import Location
from objstore.runtime.files import Buffer, OpenFile
from objstore.store.databases import schema, status, tables
from objstore.store.databases.contents import Contents
from objstore.store.databases.device import Databases
from objstore.store.databases.status import Status

_PIECE = 1 << 20
_IDLE = 60.0  # seconds without progress after which a transfer is taken for dead


class Snapshot:
    """A copy of a database, in a file that `close` deletes. size in bytes; max_row: of its newest row; rows: about."""

    def __init__(self, databases: Databases, directory: str, size: int, id: str, max_row: int) -> None:
        self._databases = databases
        self._files = databases.tree.files
        self._directory = directory
        self.size = size
        self.id = id
        self.max_row = max_row

    def pieces(self) -> Iterator[bytes]:
        """The bytes of the file. Raises DeviceUnavailable."""
        file = self._databases.apart(self._files.open, _file_in(self._directory))
        with contextlib.closing(file):
            for offset in range(0, self.size, _PIECE):
                yield self._databases.apart(self._read, file, offset, min(_PIECE, self.size - offset))

    def _read(self, file: OpenFile, offset: int, size: int) -> bytes:
        buffer = bytearray(size)
        with self._databases.directories.translated():
            self._files.read_at(file.fd, buffer, offset)
        return bytes(buffer)

    def close(self) -> None:
        self._databases.apart(self._databases.directories.delete, self._directory)


def snapshot(databases: Databases, location: Location, table: tables.RowTable) -> Snapshot:
    return databases.apart(_snapshot, databases, location, table)


def _snapshot(databases: Databases, location: Location, table: tables.RowTable) -> Snapshot:
    """Also below the reserve of free space, so that a full device can be emptied."""
    files = databases.tree.files
    directory = databases.directories.workplace(location)
    try:
        databases.read_here(location, _copy, _file_in(directory))
        with _opened(_file_in(directory)) as connection:
            id_ = status.own_id(connection)
            max_row = tables.last_row(connection)
        with databases.directories.translated(), contextlib.closing(files.open(_file_in(directory))) as file:
            return Snapshot(databases, directory, files.size(file.fd), id_, max_row)
    except BaseException:
        databases.directories.delete(directory)
        raise


def _copy(connection: sqlite3.Connection, path: str) -> None:
    """In one step, so that concurrent writers do not restart it: in WAL mode they need not wait."""
    target = sqlite3.connect(path, isolation_level=None)
    try:
        target.execute("PRAGMA synchronous = OFF")
        connection.backup(target, pages=-1)
    finally:
        target.close()


class Offered(NamedTuple):
    """The contents of a received file. id, max_row: of the peer's database."""

    id: str
    max_row: int
    status: Status


class Receiving:
    """A file that comes from a peer piece by piece; `close` deletes what has not been put in place."""

    def __init__(self, databases: Databases, directory: str) -> None:
        self._databases = databases
        self._files = databases.tree.files
        self._directory = directory
        with databases.directories.translated():
            self.file = self._files.create(self.path)

    @property
    def path(self) -> str:
        return _file_in(self._directory)

    def write(self, piece: Buffer) -> None:
        """Raises NoSpace, DeviceUnavailable."""
        self._databases.apart(self._write, piece)

    def _write(self, piece: Buffer) -> None:
        with self._databases.directories.translated():
            self._files.write(self.file.fd, (piece,))

    def close(self) -> None:
        self._databases.apart(self._close)

    def _close(self) -> None:
        self.file.close()
        self._databases.directories.delete(self._directory)


def receive(databases: Databases, location: Location) -> Receiving:
    """Raises LockTimeout if another peer is sending the same."""

    def begin() -> Receiving:
        databases.directories.require_space()
        if databases.directories.is_worked_at(location, _IDLE):
            raise LockTimeout(f"{location.hash} is being received from another peer")
        directory = databases.directories.workplace(location)
        try:
            return Receiving(databases, directory)
        except BaseException:
            databases.directories.delete(directory)
            raise

    return databases.apart(begin)


def verify(received: Receiving, contents: Contents, is_ours: Callable[[Any], bool]) -> Offered:
    """Read the file and upgrade it to our version. Raises InvalidInput for a file that is damaged or not wanted."""
    try:
        with _opened(received.path) as connection:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            if application != contents.kind.application_id or schema.version(connection) == 0:
                raise InvalidInput(f"not a {contents.kind.name} database")
            schema.migrate(connection, contents.kind)
            tables.audit(connection, contents.table)
            info = contents.read_info(connection)
            if not is_ours(info):
                raise InvalidInput(f"the database belongs to {info.name.path}")
            return Offered(info.id, tables.last_row(connection), status.status_of(info))
    except (sqlite3.DatabaseError, Corrupt, ConfigError) as error:
        raise InvalidInput(f"the database cannot be used: {error}") from error


def adopt(databases: Databases, location: Location, received: Receiving, offered: Offered, contents: Contents) -> str:
    """Put a verified file in place under an id of its own, and return that; empty if there is a database already.

    Its rows have the numbers that they have in the original. So what the original knows of its peers, which of
    its rows they have and which of theirs it has, is true of the copy too.
    """
    try:
        with _opened(received.path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            status.set_new_id(connection)
            contents.disown(connection)
            for incoming in (True, False):
                status.set_sync_point(connection, incoming, offered.id, offered.max_row)
            id_ = status.own_id(connection)
            connection.execute("COMMIT")
            # Only the file itself is put in place, so that nothing may be left in its log.
            (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise DeviceUnavailable(f"{received.path}: {error}") from error
    if busy:
        raise DeviceUnavailable(f"{received.path}: the log cannot be checkpointed into the file")
    with databases.directories.translated():
        return id_ if databases.directories.put_in_place(location, received.file) else ""


def read_rows(received: Receiving, table: tables.RowTable, number: int, limit: int) -> list[tables.NumberedRow]:
    with _opened(received.path) as connection:
        return tables.rows_since(connection, table, number, limit)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[sqlite3.Connection]:
    """A connection to a file that nobody else has; its log is gone afterwards."""
    connection = sqlite3.connect(f"file:{quote(path)}?mode=rw", uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = OFF")  # who wants the file to last syncs it
        yield connection
    finally:
        connection.close()


def _file_in(directory: str) -> str:
    return f"{directory}/copy.db"
