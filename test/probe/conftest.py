"""The cluster that probes hurt. After each test it is mended, and must come to be as `check_cluster` says."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from harness.client import Client
from harness.cluster import Cluster
from harness.invariants import check_cluster
from harness.ledger import Ledger


class Running:
    """One cluster for all tests, until one of them leaves it unsound: the next has a new one."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._cluster: Cluster | None = None

    def get(self) -> Cluster:
        if self._cluster is None:
            self._cluster = Cluster(self._factory.mktemp("cluster"), controlled=True)
            self._cluster.start()
        return self._cluster

    def drop(self) -> None:
        if self._cluster is not None:
            cluster, self._cluster = self._cluster, None
            cluster.stop()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    made = Running(tmp_path_factory)
    yield made
    made.drop()


@pytest.fixture
def ledgers() -> list[Ledger]:
    """What the test has written and the cluster must hold in the end."""
    return []


@pytest.fixture
def cluster(running: Running, ledgers: list[Ledger]) -> Iterator[Cluster]:
    """With all its servers running, as they do again afterwards."""
    cluster = running.get()
    yield cluster
    try:
        cluster.mend()
        check_cluster(cluster, *ledgers)
    except BaseException:
        running.drop()
        raise


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Client]:
    made = cluster.client()
    yield made
    made.close()


@pytest.fixture
def container(cluster: Cluster, client: Client) -> str:
    """The name of a container of the test's own."""
    name = f"probe-{uuid.uuid4().hex[:8]}"
    assert client.put(name).status in (201, 202)  # one sent again, as its connection broke, finds what it has made
    return name


@pytest.fixture
def ledger(container: str, ledgers: list[Ledger]) -> Ledger:
    """Of `container`; what it says must hold in the end."""
    made = Ledger(container)
    ledgers.append(made)
    return made
