"""What the expirer, the account reaper and the reconciler finish, on a cluster that is hurt meanwhile."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable

import pytest
from harness.client import Client
from harness.cluster import KINDS, Cluster
from harness.copies import Copy
from harness.processes import wait_until

COUNT = 12
SECONDS = 60
pytestmark = pytest.mark.cluster(policies=("gold", "silver"), controlled=False)


class Copies:
    """The data of some objects, by path, in a policy that they are looked for in."""

    def __init__(self, cluster: Cluster, client: Client, paths: Iterable[str], policy: int = 0) -> None:
        self._cluster = cluster
        self._policy = policy
        self._places = {path: cluster.locate(client.account, *path.split("/")) for path in paths}

    def of(self, path: str) -> list[Copy]:
        return list(self._cluster.copies(self._places[path], self._policy).values())

    def all(self) -> list[Copy]:
        return [copy for path in self._places for copy in self.of(path)]


def _listed_everywhere(cluster: Cluster, client: Client, container: str) -> list[list[str]]:
    """The names that each replica of a container lists."""
    hosts = cluster.locate(client.account, container).primaries
    return [cluster.rows(host, client.account, container) for host in hosts]


def test_expired_objects_go_from_listings_and_disks(cluster: Cluster, client: Client, container: str) -> None:
    """A host that is away keeps its copies; they go when it is back."""
    going = [f"{container}/going{number}" for number in range(COUNT)]
    staying = [f"{container}/staying{number}" for number in range(3)]
    for path in staying:
        assert client.put(path, b"x" * 1000, {"X-Delete-After": "1"}).status == 201
        assert client.put(path, b"again").status == 201
    assert client.put(going[0], b"x" * 1000, {"X-Delete-After": "1000"}).status == 201
    assert client.post(going[0], {"X-Delete-After": "1"}).status == 202
    for path in going[1:]:
        assert client.put(path, b"x" * 1000, {"X-Delete-After": "1"}).status == 201
    copies = Copies(cluster, client, going)
    for kind in KINDS:
        cluster.servers[kind, 2].kill()
    names = sorted(path.partition("/")[2] for path in staying)
    wait_until(lambda: client.names(container) == names, "listings without what has expired", SECONDS)
    for path in going:
        assert client.head(path).status == 404
    cluster.start()
    wait_until(lambda: not copies.all(), "disks without it", SECONDS)
    for path in staying:
        assert client.get(path).body == b"again"
    # The replica of the host that was away lists the expired objects until it has been told.
    wait_until(lambda: _listed_everywhere(cluster, client, container) == [names] * 3, "listings without them", SECONDS)


def test_a_deleted_account_is_emptied_also_on_a_host_that_was_away(cluster: Cluster, client: Client) -> None:
    other = Client(f"{cluster.endpoint}/v1/AUTH_{uuid.uuid4().hex[:8]}", client.token)
    paths = [f"{container}/o{number}" for container in ("one", "two") for number in range(COUNT)]
    assert other.put("one").status == 201
    assert other.put("two", headers={"X-Storage-Policy": "silver"}).status == 201
    for path in paths:
        assert other.put(path, b"x" * 1000).status == 201
    copies = [Copies(cluster, other, paths[:COUNT]), Copies(cluster, other, paths[COUNT:], 1)]

    def left() -> list[Copy]:
        return [copy for one in copies for copy in one.all()]

    assert len(left()) == 3 * len(paths)
    wait_until(lambda: other.head()["X-Account-Container-Count"] == "2", "the account to know of both")
    cluster.servers["object", 1].kill()
    assert other.delete().status == 204
    assert other.get().status == 410
    wait_until(lambda: len(left()) <= len(paths), "two of three copies to go", SECONDS)
    cluster.start()
    wait_until(lambda: not left(), "all copies to go", SECONDS)
    for container in ("one", "two"):
        place = cluster.locate(other.account, container)

        def gone(host: int, target: str = f"{place.partition}/{other.account}/{container}") -> bool:
            return cluster.ask("container", host, "HEAD", target)[0] == 404

        wait_until(lambda hosts=place.primaries, gone=gone: all(map(gone, hosts)), "containers to be deleted", SECONDS)
    assert other.put("new").status == 503  # until its deletion is forgotten
    assert other.get().status == 410


def test_a_container_made_twice_ends_with_all_objects_under_one_policy(cluster: Cluster, client: Client) -> None:
    """While its servers were apart it was made with two policies. The first wins, what was stored since is moved."""
    container = f"split-{uuid.uuid4().hex[:8]}"
    place = cluster.locate(client.account, container)
    one_side = [place.primaries[0], *place.handoffs]
    other_side = place.primaries[1:]
    for host in other_side:
        cluster.servers["container", host].kill()
    assert client.put(container, headers={"X-Storage-Policy": "gold"}).status == 201
    for host in one_side:
        cluster.servers["container", host].kill()
    for host in other_side:
        cluster.servers["container", host].start()
        cluster.servers["container", host].wait_ready()
    time.sleep(4)  # until the proxy no more believes what it knew of the container
    assert client.put(container, headers={"X-Storage-Policy": "silver"}).status == 201
    written = {f"{container}/o{number}": f"content {number}".encode() * 500 for number in range(COUNT)}
    for path, body in written.items():
        assert client.put(path, body, {"X-Object-Meta-Color": "blue"}).status == 201
    gold, silver = Copies(cluster, client, written), Copies(cluster, client, written, 1)
    assert len(silver.all()) >= 2 * COUNT
    cluster.start()
    wait_until(lambda: not silver.all(), "nothing under the policy that lost", SECONDS)
    fresh = cluster.client()
    wait_until(lambda: fresh.head(container)["X-Storage-Policy"] == "gold", "the proxy to know the policy", SECONDS)
    for path, body in written.items():
        wait_until(lambda path=path: fresh.head(path).status == 200, f"{path} to be read", SECONDS)
        answer = fresh.get(path)
        assert (answer.body, answer["X-Object-Meta-Color"]) == (body, "blue")
        assert len(gold.of(path)) >= 2
    names = sorted(path.partition("/")[2] for path in written)
    wait_until(lambda: _listed_everywhere(cluster, fresh, container) == [names] * 3, "listings with all", SECONDS)
