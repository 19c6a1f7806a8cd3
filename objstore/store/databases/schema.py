"""The tables of both kinds of database, by version. doc/format_databases.md explains them.

A kind's migrations are the scripts that lead from version n to n + 1; a new database has run
them all, an old one runs those it lacks when it is opened.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from objstore.core.errors import ConfigError
from objstore.core.versions import MARKER_TYPE

_SYNC = """
CREATE TABLE incoming_sync (remote_id TEXT PRIMARY KEY, sync_point INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE outgoing_sync (remote_id TEXT PRIMARY KEY, sync_point INTEGER NOT NULL) WITHOUT ROWID;
"""

# Rows are clustered in the order of listings, with tombstones apart from what is live, so that
# a listing reads neighbouring pages and never meets a tombstone.
_CONTAINER_1 = (
    """
CREATE TABLE info (
    account TEXT NOT NULL,
    container TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at TEXT NOT NULL,
    put_timestamp TEXT NOT NULL,
    delete_timestamp TEXT NOT NULL,
    status_changed_at TEXT NOT NULL,
    policy_index INTEGER NOT NULL,
    metadata TEXT NOT NULL DEFAULT '{}',
    reported_put_timestamp TEXT NOT NULL DEFAULT '0000000000.00000',
    reported_delete_timestamp TEXT NOT NULL DEFAULT '0000000000.00000',
    reported_object_count INTEGER NOT NULL DEFAULT 0,
    reported_bytes_used INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE policy_stat (
    policy_index INTEGER PRIMARY KEY,
    object_count INTEGER NOT NULL DEFAULT 0,
    bytes_used INTEGER NOT NULL DEFAULT 0,
    last_row INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE object (
    policy_index INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    name TEXT NOT NULL,
    row INTEGER NOT NULL,
    timestamp TEXT NOT NULL,
    size INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    etag TEXT NOT NULL,
    content_type_timestamp TEXT,
    meta_timestamp TEXT,
    PRIMARY KEY (policy_index, deleted, name)
) WITHOUT ROWID;
CREATE UNIQUE INDEX object_row ON object (row);
"""
    + _SYNC
)

_CONTAINER_2 = """
ALTER TABLE object ADD COLUMN elsewhere INTEGER NOT NULL DEFAULT 0;
ALTER TABLE policy_stat ADD COLUMN bytes_elsewhere INTEGER NOT NULL DEFAULT 0;
"""

# A delete marker has a row that no listing shows. shut_until: rows of new objects are refused before that time.
_CONTAINER_3 = f"""
ALTER TABLE info ADD COLUMN shut_until REAL NOT NULL DEFAULT 0;
CREATE INDEX object_marker ON object (name) WHERE deleted = 1 AND content_type = '{MARKER_TYPE}';
"""

_CONTAINER_4 = """
ALTER TABLE object ADD COLUMN referenced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE object ADD COLUMN fields TEXT NOT NULL DEFAULT '';
ALTER TABLE policy_stat ADD COLUMN bytes_referenced INTEGER NOT NULL DEFAULT 0;
"""

# Room within quotas, see `reservations`. done: NULL for an open reservation.
_QUOTA = """
CREATE TABLE reservation (
    id TEXT PRIMARY KEY,
    member TEXT NOT NULL,
    name TEXT NOT NULL,
    objects INTEGER NOT NULL,
    size INTEGER NOT NULL,
    old_objects INTEGER NOT NULL,
    old_size INTEGER NOT NULL,
    policy_index INTEGER NOT NULL,
    until REAL NOT NULL,
    done TEXT
) WITHOUT ROWID;
CREATE TABLE member (
    name TEXT PRIMARY KEY,
    policy_index INTEGER NOT NULL,
    objects INTEGER NOT NULL,
    size INTEGER NOT NULL,
    at TEXT NOT NULL,
    until REAL NOT NULL
) WITHOUT ROWID;
"""

# Only rows that stand for others can make the sum differ from totals that are there.
_CONTAINER_5 = (
    """
ALTER TABLE policy_stat ADD COLUMN quota_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE policy_stat SET quota_bytes = bytes_used - bytes_elsewhere;
UPDATE policy_stat SET quota_bytes = (
    SELECT ifnull(sum((size + referenced) * (1 - elsewhere)), 0) FROM object
    WHERE object.policy_index = policy_stat.policy_index AND deleted = 0
) WHERE bytes_referenced != 0;
"""
    + _QUOTA
)

_CONTAINER_6 = """
ALTER TABLE info ADD COLUMN reported_at TEXT NOT NULL DEFAULT '0000000000.00000';
"""

_ACCOUNT_1 = (
    """
CREATE TABLE info (
    account TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at TEXT NOT NULL,
    put_timestamp TEXT NOT NULL,
    delete_timestamp TEXT NOT NULL,
    status_changed_at TEXT NOT NULL,
    metadata TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE policy_stat (
    policy_index INTEGER PRIMARY KEY,
    container_count INTEGER NOT NULL DEFAULT 0,
    object_count INTEGER NOT NULL DEFAULT 0,
    bytes_used INTEGER NOT NULL DEFAULT 0,
    last_row INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE container (
    deleted INTEGER NOT NULL,
    name TEXT NOT NULL,
    row INTEGER NOT NULL,
    put_timestamp TEXT NOT NULL,
    delete_timestamp TEXT NOT NULL,
    object_count INTEGER NOT NULL,
    bytes_used INTEGER NOT NULL,
    policy_index INTEGER NOT NULL,
    reported_at TEXT NOT NULL,
    PRIMARY KEY (deleted, name)
) WITHOUT ROWID;
CREATE UNIQUE INDEX container_row ON container (row);
"""
    + _SYNC
)


class DatabaseKind(NamedTuple):
    """application_id: marks the file's header, so that a stray file can be recognised."""

    name: str
    directory: str
    application_id: int
    migrations: tuple[str, ...]


CONTAINER = DatabaseKind(
    "container",
    "containers",
    0x4F534354,
    (_CONTAINER_1, _CONTAINER_2, _CONTAINER_3, _CONTAINER_4, _CONTAINER_5, _CONTAINER_6),
)
ACCOUNT = DatabaseKind("account", "accounts", 0x4F534143, (_ACCOUNT_1, _QUOTA))
KINDS = (CONTAINER, ACCOUNT)


def migrate(connection: sqlite3.Connection, kind: DatabaseKind) -> None:
    """Bring a database to the newest version. Raises ConfigError for one that is newer still."""
    newest = len(kind.migrations)
    if version(connection) == newest:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        present = version(connection)  # another process may have been first
        if present > newest:
            raise ConfigError(f"a {kind.name} database has version {present}, this program supports up to {newest}")
        for script in kind.migrations[present:]:
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {newest}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def version(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


def new_image(kind: DatabaseKind, info: Mapping[str, object]) -> bytes:
    """The bytes of a new database in WAL mode. info: the columns of its line in that table.

    Made in memory, so that creating a database on disk is writing one file.
    """
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.deserialize(_empty_image(kind))
        columns, places = ", ".join(info), ", ".join("?" * len(info))
        connection.execute(f"INSERT INTO info ({columns}) VALUES ({places})", tuple(info.values()))
        image = bytearray(connection.serialize())
    finally:
        connection.close()
    # Bytes 18 and 19 are the file format's write and read version: 2 stands for WAL, which a
    # database in memory cannot have (https://www.sqlite.org/fileformat2.html).
    image[18:20] = b"\x02\x02"
    return bytes(image)


@functools.cache
def _empty_image(kind: DatabaseKind) -> bytes:
    """The bytes of a database with all tables and no rows: to run its migrations takes most of a millisecond."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.execute(f"PRAGMA application_id = {kind.application_id}")
        migrate(connection, kind)
        return connection.serialize()
    finally:
        connection.close()
