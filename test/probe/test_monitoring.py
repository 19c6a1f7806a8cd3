"""What is seen of a cluster: all of a host in one answer, also after its daemons were killed."""

from __future__ import annotations

import http.client
import json
import signal
from typing import Any

from harness.client import Client
from harness.cluster import KINDS, Cluster
from harness.processes import wait_until

from objstore.assembly.kinds import KINDS as SERVERS


def told(cluster: Cluster, kind: str, host: int, path: str) -> Any:
    status, body = get(cluster, kind, host, path)
    assert status == 200, (path, body)
    return json.loads(body)


def get(cluster: Cluster, kind: str, host: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*cluster.servers[kind, host].address, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_every_server_tells_all_of_its_host_in_one_answer(cluster: Cluster) -> None:
    names = {name for kind in KINDS for name in SERVERS[kind].daemons}
    host = cluster.hosts[0]

    def complete() -> bool:
        states = told(cluster, "object", host, "/recon/summary")["daemons"]
        return {name for name, state in states.items() if state["last"] and state["alive"]} == names

    wait_until(complete, "a complete pass of each daemon")
    summaries = [told(cluster, kind, host, "/recon/summary") for kind in KINDS for host in cluster.hosts]
    assert len({summary["settings"]["digest"] for summary in summaries}) == 1
    assert len({json.dumps({name: ring["md5"] for name, ring in one["rings"].items()}) for one in summaries}) == 1
    for summary in summaries:
        assert all(device["mounted"] and device["size"] for device in summary["devices"].values())


def test_daemons_that_were_killed_are_run_again_and_this_is_seen(cluster: Cluster) -> None:
    kind, host = "object", cluster.hosts[-1]
    before = told(cluster, kind, host, f"/recon/{kind}-updater")["pid"]
    (process,) = [each for each in cluster.servers[kind, host].daemons() if each.pid == before]
    process.send_signal(signal.SIGKILL)
    wait_until(lambda: told(cluster, kind, host, f"/recon/{kind}-updater")["pid"] != before, "another process")
    assert told(cluster, kind, host, "/recon/daemons")[f"{kind}-updater"]["alive"]


def test_prometheus_sees_requests_daemons_and_devices(cluster: Cluster, client: Client, container: str) -> None:
    client.put(f"{container}/o", b"x" * 1000)
    host = cluster.locate(client.account, container, "o").primaries[0]

    def page() -> str:
        return get(cluster, "object", host, "/metrics")[1].decode()

    wait_until(lambda: 'objstore_daemon_passes_total{daemon="object-updater"' in page(), "metrics of daemons")
    assert 'objstore_server_requests_total{method="PUT",server="object",status="201"}' in page()
    assert 'objstore_device_free_bytes{device="d1"}' in page()
