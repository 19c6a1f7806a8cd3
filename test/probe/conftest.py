"""The cluster that probes hurt. After each test it is mended, and must come to be as `check_cluster` says."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from harness.client import Client
from harness.cluster import Cluster
from harness.invariants import check_cluster
from harness.ledger import Ledger
from harness.running import Running

_FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    made = Running(tmp_path_factory)
    yield made
    made.drop()


@pytest.fixture
def ledgers() -> list[Ledger]:
    """What the test has written and the cluster must hold in the end."""
    return []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if call.when == "call":
        item.stash[_FAILED] = report.failed
    return report


@pytest.fixture
def cluster(request: pytest.FixtureRequest, running: Running, ledgers: list[Ledger]) -> Iterator[Cluster]:
    """With all its servers running, as they do again afterwards. Of other options by `@pytest.mark.cluster(...)`."""
    marker = request.node.get_closest_marker("cluster")
    cluster = running.get(request.module, **(marker.kwargs if marker else {}))
    yield cluster
    try:
        if request.node.stash.get(_FAILED, True):
            running.drop()  # who knows in what state it is
        else:
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
