"""Rings that change under load: nothing fails, nothing is lost, and in the end everything is in its place."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from harness import rings
from harness.cluster import Cluster
from harness.copies import copies
from harness.invariants import check_cluster
from harness.ledger import Ledger, check, load
from harness.processes import find, run

LOADED = 2.5  # seconds after which all processes have a new ring


def under_load(cluster: Cluster, ledger: Ledger, steps: Callable[[], object]) -> None:
    """Take steps while clients write; no request may fail, and all must be there."""
    with load(cluster.client, ledger, writers=4):
        time.sleep(1)
        steps()
        time.sleep(1)
    assert not ledger.failures, ledger.failures[:5]
    assert ledger.count > 20


def look(cluster: Cluster, ledger: Ledger, replicas: int = 3) -> None:
    client = cluster.client()
    check(client, ledger, replicas=replicas)
    client.close()


def test_weights_change_and_a_host_comes_and_goes(cluster: Cluster, ledger: Ledger) -> None:
    def steps() -> None:
        rings.set_weight(cluster, 2, 30)
        time.sleep(LOADED)
        host = rings.add_host(cluster)
        time.sleep(LOADED)
        rings.set_weight(cluster, 3, 0, seed=1)
        time.sleep(LOADED)
        rings.set_weight(cluster, host, 0, seed=2)
        time.sleep(LOADED)
        rings.set_weight(cluster, 3, 100, seed=3)

    under_load(cluster, ledger, steps)
    look(cluster, ledger)
    check_cluster(cluster, ledger)
    assert not [*copies(cluster.devices(5) / "d1")]  # it is empty, and could be taken away


def test_all_move_at_once(cluster: Cluster, ledger: Ledger) -> None:
    """Most replicas of a partition within a short time, as with --force: whatever has not come yet is found."""

    def steps() -> None:
        for host in (1, 2, 3):
            rings.set_weight(cluster, host, 1, seed=host)
        time.sleep(LOADED)
        for host in (1, 2, 3):
            rings.set_weight(cluster, host, 100, seed=host)

    under_load(cluster, ledger, steps)
    look(cluster, ledger)
    check_cluster(cluster, ledger)


def ring(cluster: Cluster, command: str) -> None:
    run("ring", command, str(cluster.etc / "object.builder"))
    time.sleep(LOADED)


def relink(cluster: Cluster, *options: str) -> None:
    for host in cluster.hosts:
        run("relink", "--devices", str(cluster.devices(host)), "--ring-dir", str(cluster.etc), *options)


def names(cluster: Cluster) -> list[tuple[str, str]]:
    """Partition and hash of each object's directory."""
    found = [path for host in cluster.hosts for path in find(cluster.devices(host), "d1/objects/*/*/*")]
    return [(path.parts[-3], path.name) for path in found]


def test_the_partitions_are_doubled(cluster: Cluster, ledger: Ledger) -> None:
    def steps() -> None:
        ring(cluster, "prepare-increase")
        look_at(ledger)
        relink(cluster)
        look_at(ledger)
        ring(cluster, "increase")
        look_at(ledger)
        relink(cluster, "--cleanup")
        look_at(ledger)
        ring(cluster, "finish-increase")

    def look_at(ledger: Ledger) -> None:
        """What is not being written at this moment."""
        client = cluster.client()
        for name in [name for name, versions in list(ledger.possible.items()) if len(versions) == 1][:50]:
            status = client.head(f"{ledger.container}/{name}").status
            assert status == 200 or None in ledger.possible[name] or len(ledger.possible[name]) > 1, (name, status)
        client.close()

    before = cluster.locate("a", "c", "o").partition
    under_load(cluster, ledger, steps)
    look(cluster, ledger)
    check_cluster(cluster, ledger)
    assert cluster.locate("a", "c", "o").partition // 2 == before
    assert len({name for _, name in names(cluster)}) == len(set(names(cluster)))  # each in one partition


def test_doubling_is_cancelled(cluster: Cluster, ledger: Ledger) -> None:
    def steps() -> None:
        ring(cluster, "prepare-increase")
        relink(cluster)
        ring(cluster, "cancel-increase")
        relink(cluster, "--cleanup")
        ring(cluster, "finish-increase")

    before = cluster.locate("a", "c", "o").partition
    under_load(cluster, ledger, steps)
    look(cluster, ledger)
    check_cluster(cluster, ledger)
    assert cluster.locate("a", "c", "o").partition == before
    assert len({name for _, name in names(cluster)}) == len(set(names(cluster)))


@pytest.mark.cluster(hosts=2, replicas=1)
def test_the_only_copy_moves(cluster: Cluster, ledger: Ledger) -> None:
    """With one replica a new primary has nothing at first, of accounts and containers neither."""

    def steps() -> None:
        rings.set_weight(cluster, 2, 10)
        time.sleep(LOADED)
        rings.set_weight(cluster, 1, 0, seed=1)
        time.sleep(LOADED)
        rings.set_weight(cluster, 1, 100, seed=2)

    under_load(cluster, ledger, steps)
    look(cluster, ledger, replicas=1)
    check_cluster(cluster, ledger)
