"""`kill -9` at any instant loses nothing that was acknowledged."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from harness.client import Client, log_in
from harness.cluster import Cluster, unsound
from harness.ledger import Ledger, check, load
from harness.processes import Serve


def logged_in(server: Serve) -> Client:
    known = server.credentials
    return log_in(known["endpoint"], known["user"], known["key"])


@pytest.mark.parametrize("options", [{}, {"devices": 4, "replicas": 3}], ids=["one device", "three replicas"])
def test_serve_is_killed_again_and_again_under_load(tmp_path: Path, options: dict[str, int]) -> None:
    server = Serve(tmp_path / "data", tmp_path / "log", **options)
    ledger = Ledger("container")
    try:
        server.start()
        assert logged_in(server).put("container").status == 201
        for _ in range(4):
            with load(lambda: logged_in(server), ledger):
                time.sleep(0.7)
                server.kill()
            server.start()
            check(logged_in(server), ledger, settled=not options)
        assert ledger.count > 15
        assert not unsound((tmp_path / "data" / "devices").iterdir())
    finally:
        server.stop()


def test_a_whole_cluster_is_killed_under_load(cluster: Cluster, ledger: Ledger) -> None:
    for _ in range(2):
        before = ledger.count
        with load(cluster.client, ledger):
            time.sleep(1.5)
            cluster.kill()
        assert ledger.count > before
        cluster.start()
        check(cluster.client(), ledger)


def test_the_proxy_is_killed_under_load(cluster: Cluster, ledger: Ledger) -> None:
    with load(cluster.client, ledger):
        time.sleep(1)
        cluster.proxy.kill()
    cluster.start()
    check(cluster.client(), ledger)
