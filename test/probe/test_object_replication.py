"""Copies of objects that are lost, late or in the wrong place are brought back by the replicators alone."""

from __future__ import annotations

import os
import shutil
import threading

import pytest
from harness import rings
from harness.client import Client
from harness.cluster import Cluster, Place
from harness.copies import Copy, changes_of
from harness.processes import find, wait_until

from objstore.core.names import Name
from objstore.ring import Ring
from objstore.runtime import cluster_conf

COUNT = 40
SIZES = [5000, 70_000]  # packed, and in files


def put_many(client: Client, container: str, count: int = COUNT, size: int = 5000) -> dict[str, bytes]:
    """Objects with all three copies, by path."""
    written = {f"{container}/o{number:03}": os.urandom(size) for number in range(count)}
    for path, body in written.items():
        assert client.put(path, body).status == 201
    return written


def places(cluster: Cluster, client: Client, paths: list[str]) -> dict[str, Place]:
    """As `Cluster.locate`, which starts a program for each name."""
    ring = Ring.load(str(cluster.etc / "object.ring"))
    salt = cluster_conf.load(str(cluster.etc)).salt
    found = {}
    for path in paths:
        name_hash = salt.hash(Name(client.account, *path.split("/", 1)))
        partition = ring.partition(name_hash)
        primaries = [int(node.ip.rpartition(".")[2]) for node in ring.primaries(partition)]
        found[path] = Place(partition, name_hash, primaries, [], "")
    return found


def holders(cluster: Cluster, place: Place) -> set[int]:
    return set(cluster.copies(place))


def empty(cluster: Cluster, host: int) -> None:
    """A new disk in the place of a broken one, as far as objects go."""
    for pattern in ("d1/objects*", "d1/packed*"):
        for path in find(cluster.devices(host), pattern):
            shutil.rmtree(path, ignore_errors=True)


def birth(cluster: Cluster, place: Place) -> tuple[Copy, int] | None:
    """Tells host 2's copy of an object from any that is made in its place; None where it has none."""
    copy = cluster.copies(place).get(2)
    if copy is None:
        return None
    return copy, 0 if copy.is_packed else copy.path.stat().st_ctime_ns


def deletions(cluster: Cluster, host: int, place: Place) -> list[str]:
    """The tombstones of a name on a host, in files or packed."""
    packed, files = changes_of(cluster.devices(host) / "d1", 0, place.partition, place.hash)
    return [
        name for name in [*(str(entry.change) for entry in packed), *(path.name for path in files)] if ".ts" in name
    ]


@pytest.mark.parametrize("size", SIZES)
def test_an_emptied_device_is_refilled(cluster: Cluster, client: Client, container: str, size: int) -> None:
    written = put_many(client, container, size=size)
    known = places(cluster, client, list(written)[:8])
    wait_until(lambda: all(holders(cluster, place) == {*place.primaries} for place in known.values()), "all copies")
    before = {path: birth(cluster, place) for path, place in known.items()}
    empty(cluster, 2)  # and replicators may begin to fill it at once
    wait_until(lambda: all(holders(cluster, place) == {*place.primaries} for place in known.values()), "a refill")
    assert any(before.values())
    assert not any(born and born == birth(cluster, known[path]) for path, born in before.items())
    for path, place in known.items():
        for host in place.primaries:
            target = f"{place.partition}/{client.account}/{path}"
            assert cluster.ask("object", host, "GET", target) == (200, written[path])


def test_a_copy_at_a_handoff_goes_home(cluster: Cluster, client: Client, container: str) -> None:
    path = f"{container}/object"
    place = cluster.locate(client.account, container, "object")
    away, (handoff, *_) = place.primaries[0], place.handoffs
    cluster.servers["object", away].kill()
    assert client.put(path, b"content").status == 201
    wait_until(lambda: handoff in holders(cluster, place), "a copy at the handoff")
    cluster.servers["object", away].start()
    wait_until(lambda: holders(cluster, place) == {*place.primaries}, "the copy to go home")
    assert client.get(path).body == b"content"


def test_a_missed_deletion_does_not_come_back(cluster: Cluster, client: Client, container: str) -> None:
    path = f"{container}/object"
    place = cluster.locate(client.account, container, "object")
    away = place.primaries[1]
    assert client.put(path, b"content").status == 201
    wait_until(lambda: holders(cluster, place) == {*place.primaries}, "all copies")
    cluster.servers["object", away].kill()
    assert client.delete(path).status == 204
    assert holders(cluster, place) == {away}
    cluster.servers["object", away].start()
    wait_until(lambda: not holders(cluster, place), "the deletion to arrive")
    assert deletions(cluster, away, place)
    assert client.get(path).status == 404


def test_a_replicator_killed_in_mid_transfer_goes_on(cluster: Cluster, client: Client, container: str) -> None:
    written = put_many(client, container, 12, 1_500_000)
    known = places(cluster, client, list(written))
    wait_until(lambda: all(holders(cluster, place) == {*place.primaries} for place in known.values()), "all copies")
    emptied = 3
    mine = [place for place in known.values() if emptied in place.primaries]
    empty(cluster, emptied)
    for _ in range(3):
        before = sum(emptied in holders(cluster, place) for place in mine)
        wait_until(lambda: sum(emptied in holders(cluster, place) for place in mine) > before, "a copy")  # noqa: B023
        for host in cluster.hosts:
            if host != emptied:
                cluster.servers["object", host].kill()
        for host in cluster.hosts:
            if host != emptied:
                cluster.servers["object", host].start()
        if all(emptied in holders(cluster, place) for place in mine):
            break
    wait_until(lambda: all(emptied in holders(cluster, place) for place in mine), "the rest")
    for path, place in known.items():
        if emptied in place.primaries:
            target = f"{place.partition}/{client.account}/{path}"
            assert cluster.ask("object", emptied, "GET", target) == (200, written[path])


@pytest.mark.parametrize("size", SIZES)
def test_a_copy_that_was_quarantined_is_made_whole(cluster: Cluster, client: Client, container: str, size: int) -> None:
    path, body = f"{container}/object", os.urandom(size)
    assert client.put(path, body).status == 201
    place = cluster.locate(client.account, container, "object")
    wait_until(lambda: holders(cluster, place) == {*place.primaries}, "all copies")
    host, copy = next(iter(cluster.copies(place).items()))
    cluster.damaged.add(place.hash)
    copy.flip(0)
    target = f"{place.partition}/{client.account}/{path}"
    try:
        cluster.ask("object", host, "GET", target)  # finds it
    except OSError:
        pass
    wait_until(lambda: cluster.ask("object", host, "GET", target) == (200, body), "a new copy")
    assert cluster.quarantined()


@pytest.mark.cluster(hosts=3, controlled=False)
def test_an_added_host_gets_its_partitions_while_reads_go_on(cluster: Cluster, client: Client, container: str) -> None:
    written = put_many(client, container)
    failures: list[str] = []
    enough = threading.Event()

    def read() -> None:
        own = cluster.client()
        while not enough.is_set():
            for path, body in written.items():
                answer = own.get(path)
                if answer.status != 200 or answer.body != body:
                    failures.append(f"{path}: {answer.status}")
        own.close()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        rings.add_host(cluster)
        known = places(cluster, client, list(written))
        assert any(4 in place.primaries for place in known.values())
        wait_until(
            lambda: all(holders(cluster, place) == {*place.primaries} for place in known.values()), "the move", 60
        )
    finally:
        enough.set()
        reader.join()
    assert not failures
