"""Servers are restarted one after another under load, and no request is lost."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator

import pytest
from harness.cluster import KINDS, Cluster, Server

SECONDS = 12
_CONNECT_SECONDS = 0.5  # a connection that a server begins no more is tried at the next one


class Balanced:
    """A client that uses several proxies in turn, over connections that it keeps.

    A request goes out again only if its connection was refused, or a kept one was closed before a byte of
    the answer had come (RFC 9112, section 9.3.1).
    """

    def __init__(self, addresses: list[tuple[str, int]], token: str) -> None:
        self._addresses = addresses
        self._token = token
        self._kept: dict[tuple[str, int], http.client.HTTPConnection] = {}

    def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        for address in self._addresses * 20:
            self._addresses = [*self._addresses[1:], self._addresses[0]]
            kept = self._kept.pop(address, None)
            try:
                connection = kept or self._connect(address)
            except OSError:
                time.sleep(0.05)
                continue
            try:
                # A copy that was away when the last write came has the former one: doc/consistency.md.
                connection.request(method, path, body, {"X-Auth-Token": self._token, "X-Newest": "true"})
                response = connection.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                connection.close()
                if kept is None:
                    raise
                continue
            content = response.read()
            if response.will_close:
                connection.close()
            else:
                self._kept[address] = connection
            return response.status, content
        raise AssertionError("no proxy took the request")

    def _connect(self, address: tuple[str, int]) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(*address, timeout=_CONNECT_SECONDS)
        connection.connect()
        connection.sock.settimeout(20)
        return connection


class Load:
    """Threads that write and read back without a pause. failures: what a client noticed."""

    def __init__(self, addresses: list[tuple[str, int]], token: str, path: str) -> None:
        self.count = 0
        self.failures: list[str] = []
        self._stop = False
        self._threads = [
            threading.Thread(
                target=self._work, args=(Balanced(addresses[n % 2 :] + addresses[: n % 2], token), path, n)
            )
            for n in range(4)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        for thread in self._threads:
            thread.join()

    def _work(self, client: Balanced, path: str, number: int) -> None:
        turn = 0
        while not self._stop:
            turn += 1
            name, body = f"{path}/o{number}-{turn % 7}", f"{number} {turn}".encode() * 500
            try:
                status, _ = client.request("PUT", name, body)
                assert status == 201, f"PUT {status}"
                status, content = client.request("GET", name)
                assert (status, content) == (200, body), f"GET {status}"
            except (OSError, http.client.HTTPException, AssertionError) as failure:
                self.failures.append(f"{name}: {failure!r}")
            self.count += 1


@pytest.fixture
def second_proxy(cluster: Cluster) -> Iterator[Server]:
    address = ("127.0.0.98", cluster.proxy.address[1])
    proxy = Server("proxy", [str(cluster.etc / "proxy-server.conf")], address, cluster.directory / "log" / "second")
    proxy.start()
    proxy.wait_ready()
    yield proxy
    proxy.stop()


def restart(server: Server) -> None:
    server.stop()
    server.start()
    server.wait_ready()


def test_proxies_are_restarted_in_turn_and_no_request_is_lost(
    cluster: Cluster, second_proxy: Server, container: str
) -> None:
    # Connections that a proxy had taken were answered by nobody when it ended.
    client = cluster.client()
    addresses = [cluster.proxy.address, second_proxy.address]
    with Load(addresses, client.token, f"/v1/{client.account}/{container}") as load:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for proxy in (cluster.proxy, second_proxy):
                restart(proxy)
    client.close()
    assert not load.failures
    assert load.count > 50


def test_storage_hosts_are_restarted_in_turn_and_no_request_is_lost(
    cluster: Cluster, second_proxy: Server, container: str
) -> None:
    client = cluster.client()
    addresses = [cluster.proxy.address, second_proxy.address]
    with Load(addresses, client.token, f"/v1/{client.account}/{container}") as load:
        for host in cluster.hosts[:3]:
            for kind in KINDS:
                restart(cluster.servers[kind, host])
    client.close()
    assert not load.failures
    assert load.count > 50
