"""Servers that die, hang or come back while clients are at work."""

from __future__ import annotations

import http.client
import itertools
import os
import time
from collections.abc import Iterator

import pytest
from harness.client import Client
from harness.cluster import Cluster
from harness.ledger import Ledger, load
from harness.processes import wait_until

MIB = 1 << 20
LARGE = os.urandom(64 * MIB)


def test_one_object_server_is_killed_under_load_and_no_client_notices(cluster: Cluster, ledger: Ledger) -> None:
    with load(cluster.client, ledger):
        time.sleep(1)
        cluster.servers["object", 2].kill()
        time.sleep(3)
    assert ledger.count > 15
    assert not ledger.failures


def test_one_whole_host_is_killed_under_load_and_no_client_notices(cluster: Cluster, ledger: Ledger) -> None:
    with load(cluster.client, ledger):
        time.sleep(1)
        for server in cluster.host(3):
            server.kill()
        time.sleep(3)
    assert not ledger.failures


def test_an_object_server_that_hangs_delays_but_fails_nothing(cluster: Cluster, ledger: Ledger) -> None:
    """It takes connections and says nothing, which is worse than being dead."""
    with load(cluster.client, ledger):
        time.sleep(0.5)
        cluster.servers["object", 1].pause()
        time.sleep(6)
    assert not ledger.failures


def test_servers_are_restarted_one_after_another_under_load(cluster: Cluster, ledger: Ledger) -> None:
    with load(cluster.client, ledger, writers=3):
        for host in cluster.hosts:
            for server in cluster.host(host):
                server.stop()
                server.start()
                server.wait_ready()
    assert not ledger.failures


def test_reads_go_on_with_one_copy_left(cluster: Cluster, client: Client, container: str) -> None:
    client.put(f"{container}/object", b"content")
    place = cluster.locate(client.account, container, "object")
    for host in place.primaries[:2]:
        cluster.servers["object", host].kill()
    for _ in range(10):
        assert client.get(f"{container}/object").body == b"content"


@pytest.mark.parametrize("headers", [{}, {"X-Newest": "true"}], ids=["any copy", "newest"])
def test_what_cannot_be_asked_for_is_not_called_missing(
    cluster: Cluster, client: Client, container: str, headers: dict[str, str]
) -> None:
    """A client that is told 404 believes that its object is lost."""
    client.put(f"{container}/object", b"content")
    for host in cluster.locate(client.account, container, "object").primaries:
        cluster.servers["object", host].kill()
    for _ in range(30):  # so many that the proxy passes the servers over in the end
        assert client.get(f"{container}/object", headers).status == 503
    cluster.start()
    wait_until(lambda: client.get(f"{container}/object", headers).body == b"content", "the proxy to ask again", 30)


def test_a_missing_object_is_missing_though_a_server_is_down(cluster: Cluster, client: Client, container: str) -> None:
    cluster.servers["object", 1].kill()
    for number in range(20):
        assert client.get(f"{container}/nothing{number}").status == 404


class TestMidStream:
    """A large GET whose server goes: another copy takes over at the right byte."""

    @pytest.fixture
    def path(self, cluster: Cluster, client: Client, container: str) -> str:
        assert client.put(f"{container}/large", LARGE).status == 201
        return f"{container}/large"

    @pytest.mark.parametrize("pair", list(itertools.combinations(range(3), 2)))
    def test_two_of_three_servers_are_killed(
        self, cluster: Cluster, client: Client, container: str, path: str, pair: tuple[int, int]
    ) -> None:
        place = cluster.locate(client.account, container, "large")
        servers = [cluster.servers["object", place.primaries[index]] for index in pair]
        response = self.started(client, path)
        got = response.read(MIB)
        for server in servers:
            server.kill()
        got += response.read()
        assert got == LARGE

    def test_servers_hang(self, cluster: Cluster, client: Client, container: str, path: str) -> None:
        place = cluster.locate(client.account, container, "large")
        response = self.started(client, path)
        got = response.read(MIB)
        for host in place.primaries[:2]:
            cluster.servers["object", host].pause()
        got += response.read()
        assert got == LARGE

    def test_all_servers_are_killed(self, cluster: Cluster, client: Client, container: str, path: str) -> None:
        """Then the body ends short of its length, and the client knows."""
        response = self.started(client, path)
        got = response.read(MIB)
        for host in cluster.hosts:
            cluster.servers["object", host].kill()
        with pytest.raises((http.client.IncompleteRead, ConnectionError)) as broken:
            got += response.read()
        if isinstance(broken.value, http.client.IncompleteRead):
            got += broken.value.partial
        assert LARGE.startswith(got)

    @staticmethod
    def started(client: Client, path: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(*client.address, timeout=60)
        connection.request("GET", f"{client.root}/{path}", headers={"X-Auth-Token": client.token or ""})
        response = connection.getresponse()
        assert response.status == 200
        return response


def test_a_large_upload_goes_on_when_a_server_dies(cluster: Cluster, client: Client, container: str) -> None:
    place = cluster.locate(client.account, container, "large")

    def body() -> Iterator[bytes]:
        for first in range(0, len(LARGE), MIB):
            if first == 10 * MIB:
                cluster.servers["object", place.primaries[0]].kill()
            yield LARGE[first : first + MIB]

    path = f"{container}/large"
    assert client.put(path, body(), {"Content-Length": str(len(LARGE))}).status == 201
    assert client.get(path).body == LARGE
    cluster.start()
    assert client.get(path, {"X-Newest": "true"}).body == LARGE


def test_a_container_server_is_told_later_what_it_missed(cluster: Cluster, client: Client, container: str) -> None:
    place = cluster.locate(client.account, container)
    missing = place.primaries[0]
    cluster.servers["container", missing].kill()
    names = [f"object{number}" for number in range(20)]
    for name in names:
        assert client.put(f"{container}/{name}", b"content").status == 201
    assert set(client.names(container)) == set(names)
    assert cluster.spooled()
    cluster.start()

    def everyone_knows() -> bool:
        return all(cluster.rows(host, client.account, container) == sorted(names) for host in place.primaries)

    wait_until(everyone_knows, "the updates to arrive", 30)
    wait_until(lambda: not cluster.spooled(), "the spool to be empty", 30)


def test_updates_that_no_container_server_took_arrive_in_the_end(
    cluster: Cluster, client: Client, container: str
) -> None:
    place = cluster.locate(client.account, container)
    client.head(container)  # the proxy knows it
    for host in place.primaries:
        cluster.servers["container", host].kill()
    answer = client.put(f"{container}/object", b"content")
    assert answer.status in (201, 503)
    cluster.start()
    if answer.status == 201:
        wait_until(lambda: client.names(container) == ["object"], "the update to arrive", 30)


def test_an_account_learns_its_totals(cluster: Cluster, client: Client, container: str) -> None:
    client.put(f"{container}/object", b"x" * 1000)

    def counted() -> bool:
        rows = client.get("", format="json", prefix=container).json
        return [(row["count"], row["bytes"]) for row in rows] == [(1, 1000)]

    wait_until(counted, "the container's totals to be reported", 30)
