"""Databases that are damaged are found by the auditor, with no one asking them."""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from objstore.core.names import Location, Name
from objstore.daemon.duties.database_auditor import DatabaseAuditor, DatabaseRates
from objstore.daemon.rounds import Round, SearchedPlace
from objstore.store.databases import ObjectRow


def audit(cluster: Any, kind: str = "container", device: str = "d1") -> Round:
    store = cluster.device(device).containers if kind == "container" else cluster.device(device).accounts
    auditor = DatabaseAuditor(kind, cluster.salt.hash, DatabaseRates(), lambda: None, logging.getLogger("test.daemon"))
    found = Round()
    for position in auditor.full(SearchedPlace(device, cluster.device(device).path, store), found):
        found.position = position
    return found


def fill(cluster: Any, location: Location, count: int = 200) -> None:
    rows = [ObjectRow(f"object {number}", cluster.clock.now(), size=number) for number in range(count)]
    for device in cluster.all:
        device.containers.merge_rows(location, rows)


def settled(cluster: Any, location: Location) -> Path:
    """The file of d1's database, with all that was in its log."""
    store = cluster.device("d1").containers
    store.close()
    path = Path(store.path(location))
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


def test_sound_databases_are_counted(cluster: Any) -> None:
    cluster.make_account("a")
    for number in range(10):
        fill(cluster, cluster.make_container("a", f"c{number}"), 20)
    found = audit(cluster)
    assert found.counts["databases"] == 10
    assert set(found.counts) == {"databases", "bytes"}
    assert not found.findings
    assert audit(cluster, "account").counts["databases"] == 1


@pytest.mark.parametrize("page", [1, 3])
def test_a_damaged_page_is_found(cluster: Any, page: int) -> None:
    bad, good = cluster.make_container("a", "bad"), cluster.make_container("a", "good")
    fill(cluster, bad, 2000)
    path = settled(cluster, bad)
    with open(path, "r+b") as file:
        file.seek(4096 * page)
        file.write(os.urandom(4096))
    counts = audit(cluster).counts
    assert (counts["databases"], counts["quarantined"]) == (2, 1)
    assert not path.exists()
    assert Path(cluster.device("d1").containers.path(good)).exists()
    assert list(Path(cluster.device("d1").path).glob("quarantined/containers/*"))


def test_a_page_that_a_connection_remembers_is_read_again(cluster: Any) -> None:
    bad = cluster.make_container("a", "bad")
    fill(cluster, bad, 2000)
    path = settled(cluster, bad)
    assert "quarantined" not in audit(cluster).counts
    with open(path, "r+b") as file:
        file.seek(4096 * 5)
        file.write(os.urandom(4096))
    assert audit(cluster).counts["quarantined"] == 1


def test_totals_that_are_not_those_of_the_rows_are_found(cluster: Any) -> None:
    place = cluster.make_container("a", "c")
    fill(cluster, place)
    path = settled(cluster, place)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE policy_stat SET bytes_used = bytes_used + 1")
    connection.commit()
    connection.close()
    assert audit(cluster).counts["quarantined"] == 1


def test_a_database_in_the_place_of_another_is_told_and_left(cluster: Any) -> None:
    name_hash = "0" * 32
    wrong = Location(0, name_hash)
    cluster.device("d1").containers.create(wrong, Name("a", "c"), cluster.clock.now(), 0, {})
    found = audit(cluster)
    assert (found.counts["databases"], found.counts["misplaced"]) == (1, 1)
    assert "/a/c" in found.findings[0]
    assert Path(cluster.device("d1").containers.path(wrong)).exists()


def test_the_audit_goes_on_from_a_position(cluster: Any) -> None:
    for number in range(10):
        cluster.make_container("a", f"c{number}")
    store = cluster.device("d1").containers
    auditor = DatabaseAuditor(
        "container", cluster.salt.hash, DatabaseRates(), lambda: None, logging.getLogger("test.daemon")
    )
    place = SearchedPlace("d1", cluster.device("d1").path, store)
    positions = list(auditor.full(place, Round()))
    assert len(positions) == 10
    again = Round()
    again.position = positions[6]
    assert list(auditor.full(place, again)) == positions[6:]
