"""Rows of a container by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from objstore.core.errors import NotFound
from objstore.core.names import HashSalt, Location, Name
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES
from objstore.store.databases import ContainerStore, DatabaseSettings, ObjectRow

NAME = Name("a", "c")
AT = Location(1, HashSalt(b"", b"salt").hash(NAME))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ContainerStore]:
    made = ContainerStore(str(tmp_path), FILES, DatabaseSettings(synchronous="off"))
    made.create(AT, NAME, Timestamp(1), 0, {})
    yield made
    made.close()


def found(store: ContainerStore, *names: str) -> set[tuple[str, int, bool, int]]:
    return {(row.name, row.timestamp.raw, row.deleted, row.policy_index) for row in store.rows_named(AT, names)}


def test_rows_of_all_policies_and_deletions_are_found(store: ContainerStore) -> None:
    rows = [
        ObjectRow("one", Timestamp(5)),
        ObjectRow("one", Timestamp(6), deleted=True, policy_index=3),
        ObjectRow("two", Timestamp(7), deleted=True),
        ObjectRow("other", Timestamp(8)),
        ObjectRow("nul\x00tail", Timestamp(9)),
    ]
    store.merge_rows(AT, rows)
    assert found(store, "one", "two", "none") == {("one", 5, False, 0), ("one", 6, True, 3), ("two", 7, True, 0)}
    assert found(store, "nul\x00tail", "nul") == {("nul\x00tail", 9, False, 0)}
    assert found(store) == set()


def test_many_names_are_found(store: ContainerStore) -> None:
    store.merge_rows(AT, [ObjectRow(f"o{number}", Timestamp(5)) for number in range(0, 2000, 2)])
    assert len(found(store, *(f"o{number}" for number in range(2000)))) == 1000


def test_a_deleted_container_says_when(store: ContainerStore) -> None:
    store.delete(AT, Timestamp(9))
    with pytest.raises(NotFound) as missing:
        store.rows_named(AT, ["o"])
    assert missing.value.timestamp == Timestamp(9)
