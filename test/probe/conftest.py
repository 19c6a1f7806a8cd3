"""The cluster that probes hurt. It is mended after each test, and must be sound then."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from harness.client import Client
from harness.cluster import Cluster, unsound
from harness.ledger import Ledger, check


@pytest.fixture(scope="session")
def running_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def cluster(running_cluster: Cluster) -> Iterator[Cluster]:
    """With all its servers running, as they do again afterwards."""
    yield running_cluster
    running_cluster.mend()


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Client]:
    made = cluster.client()
    yield made
    made.close()


@pytest.fixture
def container(cluster: Cluster, client: Client) -> str:
    """The name of a container of the test's own."""
    name = f"probe-{uuid.uuid4().hex[:8]}"
    assert client.put(name).status == 201
    return name


@pytest.fixture
def ledger(cluster: Cluster, container: str) -> Iterator[Ledger]:
    """Of `container`; what it says must hold once all servers run again."""
    made = Ledger(container)
    yield made
    cluster.mend()
    check(cluster.client(), made)
    assert not unsound(cluster.devices(host) / "d1" for host in cluster.hosts)
