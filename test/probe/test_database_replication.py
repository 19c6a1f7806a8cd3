"""Accounts and containers on hosts that were away, lost what they had, or are new."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.client import Client
from harness.cluster import Cluster, Place
from harness.processes import find, wait_until
from harness.rings import set_weight
from harness.survey import Database, read_database

SECONDS = 60.0  # on a machine that does much else


def databases(cluster: Cluster, place: Place) -> dict[int, Database]:
    """By host, those that can be read."""
    found = {}
    for host in cluster.hosts:
        path = cluster.devices(host) / place.path / f"{place.hash}.db"
        database = read_database(str(path)) if path.exists() else ""
        if isinstance(database, Database):
            found[host] = database
    return found


def are_equal(cluster: Cluster, place: Place) -> bool:
    """Do all primaries have it, nobody else, and the same?"""
    found = databases(cluster, place)
    return sorted(found) == sorted(place.primaries) and len({database.hash for database in found.values()}) == 1


def put_some(client: Client, container: str, prefix: str, count: int = 5) -> set[str]:
    names = {f"{prefix}{number}" for number in range(count)}
    for name in names:
        assert client.put(f"{container}/{name}", b"12345").status == 201
    return names


def test_container_server_that_was_down_gets_the_rows(cluster: Cluster, client: Client, container: str) -> None:
    place = cluster.locate(client.account, container)
    names = put_some(client, container, "before")
    cluster.servers["container", place.primaries[0]].kill()
    names |= put_some(client, container, "meanwhile")
    assert client.delete(f"{container}/before0").status == 204
    names.remove("before0")
    cluster.mend()
    wait_until(lambda: are_equal(cluster, place), "equal replicas", SECONDS)
    for host in place.primaries:
        assert cluster.rows(host, client.account, container) == sorted(names)
    for database in databases(cluster, place).values():
        assert (database.info["object_count"], database.info["bytes_used"]) == (len(names), 5 * len(names))
    wait_until(lambda: not cluster.spooled(), "delivered updates", SECONDS)


def test_lost_and_damaged_databases_are_rebuilt(cluster: Cluster, client: Client, container: str) -> None:
    names = put_some(client, container, "object", 20)
    place = cluster.locate(client.account, container)
    wait_until(lambda: are_equal(cluster, place), "equal replicas", SECONDS)
    damaged, lost = place.primaries[:2]
    cluster.damaged.add(place.hash)
    cluster.damaged.add(place.hash)
    for host in (damaged, lost):
        cluster.servers["container", host].stop()
        directory = cluster.devices(host) / place.path
        for log in find(directory, "*.db-*"):
            log.unlink()
        path = directory / f"{place.hash}.db"
        if host == damaged:
            path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 8192)
        else:
            path.unlink()
            directory.rmdir()
    before = len(cluster.quarantined())
    cluster.mend()
    wait_until(lambda: are_equal(cluster, place), "equal replicas", SECONDS)
    assert len(cluster.quarantined()) == before + 1
    for host in place.primaries:
        assert cluster.rows(host, client.account, container) == sorted(names)
    assert len({database.info["id"] for database in databases(cluster, place).values()}) == 3


def test_container_deleted_while_a_host_was_away_does_not_come_back(
    cluster: Cluster, client: Client, container: str
) -> None:
    place, account = cluster.locate(client.account, container), cluster.locate(client.account)
    wait_until(lambda: are_equal(cluster, place), "equal replicas", SECONDS)
    cluster.servers["container", place.primaries[1]].kill()
    assert client.delete(container).status == 204
    cluster.mend()

    def is_deleted_everywhere() -> bool:
        found = databases(cluster, place)
        return are_equal(cluster, place) and all(database.info["deleted"] for database in found.values())

    wait_until(is_deleted_everywhere, "deleted replicas", SECONDS)
    assert client.get(container).status == 404
    wait_until(lambda: are_equal(cluster, account), "equal accounts", SECONDS)
    for database in databases(cluster, account).values():
        assert container not in database.live


def test_account_server_that_was_down_learns_of_containers(cluster: Cluster, client: Client) -> None:
    place = cluster.locate(client.account)
    cluster.servers["account", place.primaries[0]].kill()
    made = [f"probe-account-{number}" for number in range(3)]
    for name in made:
        assert client.put(name).status in (201, 202)
        put_some(client, name, "object", 2)
    assert client.post("", {"X-Account-Meta-Color": "blue"}).status == 204
    cluster.mend()

    def knows_all() -> bool:
        found = databases(cluster, place)
        rows = [database.live.get(name) for database in found.values() for name in made]
        return are_equal(cluster, place) and all(row is not None and row[3:5] == (2, 10) for row in rows)

    wait_until(knows_all, "equal accounts", SECONDS)


@pytest.fixture
def drained(cluster: Cluster) -> Iterator[int]:
    """A host that the rings do not use, and use again afterwards."""
    host = 4
    set_weight(cluster, host, 0.0)
    yield host
    set_weight(cluster, host, 100.0)


def test_new_host_gets_databases_and_the_old_place_is_emptied(cluster: Cluster, client: Client, drained: int) -> None:
    names = [f"probe-move-{number}" for number in range(4)]
    objects = {}
    for name in names:
        assert client.put(name).status in (201, 202)
        objects[name] = put_some(client, name, "object", 2)
    assert drained not in cluster.locate(client.account, names[0]).primaries
    set_weight(cluster, drained, 100.0)
    places = {name: cluster.locate(client.account, name) for name in names}
    assert any(drained in place.primaries for place in places.values())
    wait_until(lambda: all(are_equal(cluster, place) for place in places.values()), "moved databases", SECONDS)
    for name, place in places.items():
        for database in databases(cluster, place).values():
            assert database.live.keys() == objects[name]
        for host in place.handoffs:
            assert not (cluster.devices(host) / place.path).exists()
