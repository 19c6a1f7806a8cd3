"""Versions of the tables."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from objstore.core.errors import ConfigError
from objstore.store.databases import schema
from objstore.store.databases.failures import FailureKind, classify

OLD = schema.DatabaseKind("thing", "things", 7, ("CREATE TABLE info (a TEXT);",))
NEW = OLD._replace(migrations=(*OLD.migrations, "ALTER TABLE info ADD COLUMN b INTEGER DEFAULT 5; CREATE TABLE t (x);"))


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "x.db").write_bytes(schema.new_image(OLD, {"a": "old"}))
    return str(tmp_path / "x.db")


def test_old_database_is_brought_to_the_newest_version_with_its_rows(path: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    schema.migrate(connection, NEW)
    schema.migrate(connection, NEW)
    assert schema.version(connection) == 2
    assert connection.execute("SELECT * FROM info").fetchall() == [("old", 5)]
    with pytest.raises(ConfigError):
        schema.migrate(connection, OLD)
    connection.close()


def test_migration_that_fails_changes_nothing(path: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    broken = OLD._replace(migrations=(*OLD.migrations, "CREATE TABLE good (x); CREATE TABLE info (x);"))
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(connection, broken)
    assert schema.version(connection) == 1
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'good'").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize("kind", schema.KINDS, ids=lambda kind: kind.name)
def test_application_ids_differ(kind: schema.DatabaseKind) -> None:
    assert [other.application_id for other in schema.KINDS].count(kind.application_id) == 1


def test_full_database_is_told_from_others(path: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA max_page_count = 2")
    with pytest.raises(sqlite3.Error) as caught:
        connection.execute("INSERT INTO info VALUES (?)", ("x" * 100_000,))
    assert classify(caught.value) is FailureKind.FULL
    with pytest.raises(sqlite3.Error) as caught:
        connection.execute("SELECT no FROM info")
    assert classify(caught.value) is FailureKind.OTHER
    connection.close()
