"""Quotas on a cluster that gets hurt."""

from __future__ import annotations

import http.client
import itertools
import threading
import time

from harness.client import Client
from harness.cluster import Cluster
from harness.processes import wait_until

SIZE = 1000
ROOM = 20  # objects of that size
SECONDS = 4.0  # for which reservations of a dead proxy last here


def shorten(cluster: Cluster) -> None:
    """Give the proxy reservations that end soon."""
    conf = cluster.etc / "proxy-server.conf"
    text = conf.read_text()
    if "quota_reservation" not in text:
        conf.write_text(text.replace("[DEFAULT]\n", f"[DEFAULT]\nquota_reservation = {SECONDS}\nquota_wait = 1\n"))
    cluster.proxy.kill()
    cluster.start()


class Writers:
    """Writers of new names, until they are stopped. sent: the statuses of all answers."""

    def __init__(self, cluster: Cluster, container: str, count: int = 8) -> None:
        self._cluster = cluster
        self._container = container
        self._numbers = itertools.count()
        self._ended = threading.Event()
        self.sent: list[int] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        client: Client | None = None
        while not self._ended.is_set():
            try:
                client = client or self._cluster.client()
                self.sent.append(client.put(f"{self._container}/{next(self._numbers)}", b"x" * SIZE).status)
            except (OSError, http.client.HTTPException, AssertionError):
                client = None
                time.sleep(0.1)


def used(client: Client, container: str) -> int:
    return int(client.head(container)["X-Container-Bytes-Used"])


def test_killed_proxies_neither_exceed_a_quota_nor_keep_its_room(cluster: Cluster, container: str) -> None:
    shorten(cluster)
    client = cluster.client()
    assert client.post(container, {"X-Container-Meta-Quota-Bytes": str(ROOM * SIZE)}).status == 204
    with Writers(cluster, container):
        for _ in range(3):
            time.sleep(0.3)
            cluster.proxy.kill()
            cluster.start()
    client = cluster.client()
    time.sleep(SECONDS + 1)
    # What was not made by then never will be: all room is there again, and no more.
    for number in range(ROOM):
        if client.put(f"{container}/last-{number}", b"x" * SIZE).status == 413:
            break
    wait_until(lambda: used(client, container) == ROOM * SIZE, "the container to be full")
    assert client.put(f"{container}/more", b"x").status == 413


def test_a_quota_holds_while_a_container_server_is_away(cluster: Cluster, container: str, client: Client) -> None:
    shorten(cluster)
    client = cluster.client()
    assert client.post(container, {"X-Container-Meta-Quota-Bytes": str(ROOM * SIZE)}).status == 204
    first = cluster.locate(client.account, container).primaries[0]
    cluster.servers["container", first].kill()
    with Writers(cluster, container) as writers:
        wait_until(lambda: 413 in writers.sent, "the container to be full")
    assert used(client, container) == ROOM * SIZE
    cluster.start()
    # It lacks what was written, but does not decide alone.
    assert client.put(f"{container}/more", b"x" * SIZE).status in (413, 503)
    wait_until(lambda: len(cluster.rows(first, client.account, container)) == ROOM, "its rows")
    assert client.put(f"{container}/more", b"x").status == 413
