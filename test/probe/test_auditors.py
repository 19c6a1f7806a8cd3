"""What rots is found with no one reading it; objects and listings that do not agree are brought together."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

import pytest
from harness.client import Client
from harness.cluster import Cluster, Place
from harness.processes import wait_until

from objstore.core.expiry_queue import ExpiryQueue

PATIENCE = 60  # seconds; a round begins every 10


@pytest.mark.parametrize(
    ("size", "damage"),
    [(300_000, "a bit"), (300_000, "the end"), (300_000, "all of it"), (3000, "a bit"), (3000, "all of it")],
)
def test_a_copy_that_no_one_reads_is_found_and_made_whole(
    cluster: Cluster, client: Client, container: str, size: int, damage: str
) -> None:
    body = os.urandom(size)
    assert client.put(f"{container}/object", body).status == 201
    place = cluster.locate(client.account, container, "object")
    cluster.damaged.add(place.hash)
    wait_until(lambda: len(cluster.copies(place)) == 3, "three copies")
    host, bad = next(iter(cluster.copies(place).items()))
    if damage == "a bit":
        bad.flip(size * 2 // 3)
    else:
        bad.cut({"the end": 1000, "all of it": -1}[damage])

    def put_away() -> bool:
        return any(each.name.startswith(place.hash) for each in cluster.quarantined())

    def whole() -> bool:
        copy = cluster.copies(place).get(host)
        return copy is not None and (copy.mark, copy.start) != (bad.mark, bad.start) and copy.size >= size

    wait_until(put_away, "the copy in quarantine", PATIENCE)
    wait_until(whole, "another in its place", PATIENCE)
    assert (client.get(f"{container}/object").status, client.get(f"{container}/object").body) == (200, body)


def test_a_damaged_container_that_no_one_asks_is_put_away(cluster: Cluster, client: Client, container: str) -> None:
    for number in range(20):
        assert client.put(f"{container}/{number:02}", b"content").status == 201
    place = cluster.locate(client.account, container)
    cluster.damaged.add(place.hash)
    path = cluster.devices(place.primaries[0]) / place.path / f"{place.hash}.db"
    assert path.exists()
    _damage_index(path)

    def put_away() -> bool:
        return any(each.name.startswith(place.hash) for each in cluster.quarantined())

    wait_until(put_away, "the database in quarantine", PATIENCE)
    wait_until(path.exists, "another in its place", PATIENCE)
    names = [f"{number:02}" for number in range(20)]
    wait_until(lambda: client.names(container) == names, "a listing with all", PATIENCE)


def test_a_dark_object_is_listed_again(cluster: Cluster, client: Client, container: str) -> None:
    assert client.put(f"{container}/dark", b"content").status == 201
    place = cluster.locate(client.account, container)
    _change_rows(cluster, place, "DELETE FROM object WHERE name = 'dark'")
    assert client.names(container) == []
    wait_until(lambda: client.names(container) == ["dark"], "the object to be listed", PATIENCE)


def test_an_expired_object_whose_row_in_the_queue_is_lost_goes_from_disks(
    cluster: Cluster, client: Client, container: str
) -> None:
    assert client.put(f"{container}/ends", b"content", {"X-Delete-After": "10"}).status == 201
    when = int(client.head(f"{container}/ends")["X-Delete-At"])
    place = cluster.locate(client.account, container, "ends")
    wait_until(lambda: len(cluster.copies(place)) == 3, "three copies")
    queue = ExpiryQueue().container(when, place.hash)
    queue_place = cluster.locate(queue.account, queue.container or "")
    row = f"{when:010d}-{client.account}/{container}/ends"
    wait_until(lambda: _rows(cluster, queue_place, row) == 3, "the row in three replicas of the queue")
    _change_rows(cluster, queue_place, f"DELETE FROM object WHERE name = '{row}'")
    assert _rows(cluster, queue_place, row) == 0
    assert time.time() < when
    wait_until(lambda: not cluster.copies(place), "disks without it", PATIENCE)
    wait_until(lambda: client.names(container) == [], "a listing without it", PATIENCE)


def test_a_row_whose_object_is_gone_is_taken_out(cluster: Cluster, client: Client, container: str) -> None:
    for name in ("gone", "there"):
        assert client.put(f"{container}/{name}", b"too large to be packed".ljust(70_000)).status == 201
    place = cluster.locate(client.account, container, "gone")
    wait_until(lambda: len(cluster.copies(place)) == 3, "three copies")
    while copies := cluster.copies(place):  # replicators put back what others have still
        for copy in copies.values():
            copy.path.unlink(missing_ok=True)
    assert client.get(f"{container}/gone").status == 404
    wait_until(lambda: client.names(container) == ["there"], "the row to be gone", PATIENCE)


def _damage_index(path: Path) -> None:
    """Overwrite a page that clients' requests do not read."""
    connection = sqlite3.connect(path)
    wait_until(lambda: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0), "an empty log")
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'object_row'").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with open(path, "r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))


def _rows(cluster: Cluster, place: Place, name: str) -> int:
    """How many primaries have the row, also of a removal."""
    count = 0
    for host in place.primaries:
        path = cluster.devices(host) / place.path / f"{place.hash}.db"
        if path.exists():
            with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection:
                count += connection.execute("SELECT count(*) FROM object WHERE name = ?", (name,)).fetchone()[0]
    return count


def _change_rows(cluster: Cluster, place: Place, statement: str) -> None:
    """On all primaries behind their servers' backs, totals included."""
    for host in place.primaries:
        path = cluster.devices(host) / place.path / f"{place.hash}.db"
        connection = sqlite3.connect(path, timeout=10)
        with connection:
            connection.execute(statement)
            connection.execute(
                "UPDATE policy_stat SET (object_count, bytes_used, quota_bytes) ="
                " (SELECT count(*), ifnull(sum(size), 0), ifnull(sum(size), 0) FROM object"
                " WHERE object.policy_index = policy_stat.policy_index AND deleted = 0)"
            )
        connection.close()
