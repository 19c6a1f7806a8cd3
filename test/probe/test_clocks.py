"""Clocks that are wrong, differ and jump: the order in which writes are answered is the order in which they count."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from harness import faults
from harness.client import Client
from harness.cluster import Cluster
from harness.contention import Mixture, count_up, meanwhile, read_back
from harness.ledger import Ledger, load
from harness.linearizable import check


@pytest.fixture
def make(client: Client) -> Callable[[], Client]:
    return lambda: client.with_token(client.token)


def test_clocks_of_hosts_apart_under_load(cluster: Cluster, ledger: Ledger) -> None:
    mends = [faults.set_clock(cluster, host, ahead) for host, ahead in ((1, 30.0), (2, -30.0), (3, 0.5))]
    with load(cluster.client, ledger):
        ledger.grow()
    ledger.assert_served()
    for mend in mends:
        mend()


def test_a_proxy_whose_clock_jumps_back_loses_no_overwrite(cluster: Cluster, ledger: Ledger) -> None:
    """Writes of the same names: ahead, then behind, then right, and by a new process that has seen nothing."""
    with load(cluster.client, ledger, patient=True):
        for ahead in (20.0, -20.0, 0.0):
            faults.set_clock(cluster, 0, ahead)
            time.sleep(1)
            cluster.proxy.kill()
            cluster.proxy.start()
            cluster.proxy.wait_ready()
            time.sleep(1)


@pytest.mark.parametrize("ahead", [20.0, -20.0])
def test_a_counter_counts_while_the_proxys_clock_jumps(
    cluster: Cluster, client: Client, make: Callable[[], Client], container: str, ahead: float
) -> None:
    with meanwhile(lambda: count_up(make, f"{container}/counter", clients=4, wins=10, seconds=60)) as results:
        time.sleep(0.5)
        faults.set_clock(cluster, 0, ahead)
        time.sleep(1)
        faults.set_clock(cluster, 0, 0.0)
    value, told = results[0]
    assert told == 4 * 10
    assert told <= value <= told + 4


def test_histories_of_conditional_writers_are_linear_while_clocks_jump(
    cluster: Cluster, client: Client, make: Callable[[], Client], container: str
) -> None:
    mixture = Mixture(make, f"{container}/object", reads=False, plain=False)
    with meanwhile(lambda: mixture.run(clients=6, each=1000, seconds=6)):
        for host, ahead in ((0, 10.0), (1, -5.0), (0, -10.0), (2, 5.0), (0, 0.0)):
            faults.set_clock(cluster, host, ahead)
            time.sleep(1.1)
    check(mixture.history)
    assert mixture.history.statuses()["swap made"] > 0


def test_who_alone_writes_a_name_reads_what_was_acknowledged_while_clocks_jump(
    cluster: Cluster, client: Client, make: Callable[[], Client], container: str
) -> None:
    with meanwhile(lambda: read_back(make, f"{container}/object", seconds=6)) as results:
        for host, ahead in ((0, 10.0), (1, -5.0), (0, -10.0), (2, 5.0), (0, 0.0)):
            faults.set_clock(cluster, host, ahead)
            time.sleep(1.1)
    assert results[0] > 5


def test_histories_of_plain_and_conditional_writers_are_linear_while_the_proxys_clock_jumps(
    cluster: Cluster, client: Client, make: Callable[[], Client], container: str
) -> None:
    """Without reads, which may see a write that is behind and will be sent again (doc/consistency.md)."""
    mixture = Mixture(make, f"{container}/object", reads=False)
    with meanwhile(lambda: mixture.run(clients=5, each=1000, seconds=5)):
        time.sleep(1)
        faults.set_clock(cluster, 0, 5.0)
        time.sleep(2)
        faults.set_clock(cluster, 0, 0.0)
    check(mixture.history)
    assert mixture.history.statuses()["write made"] > 0
