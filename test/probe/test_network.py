"""A network that loses, delays, repeats and cuts: nothing acknowledged is lost, and what can be written is."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from harness import faults
from harness.client import Client
from harness.cluster import Cluster
from harness.contention import Mixture, meanwhile, read_back
from harness.ledger import Ledger, load
from harness.linearizable import check
from harness.processes import wait_until


@pytest.fixture
def make(client: Client) -> Callable[[], Client]:
    return lambda: client.with_token(client.token)


@pytest.mark.parametrize("action", ["hang", "refuse"])
def test_a_host_that_is_cut_off_is_done_without(cluster: Cluster, ledger: Ledger, action: str) -> None:
    with load(cluster.client, ledger):
        mend = faults.isolate(cluster, [2], action)
        ledger.grow(15)  # each write waits for the silent host a while
        mend()
        ledger.grow(10)
    ledger.assert_served()


def test_the_larger_side_of_a_network_in_two_goes_on(cluster: Cluster, ledger: Ledger) -> None:
    """The proxy is with two of the four hosts: with handoffs there are two copies of all, whatever its primaries."""
    with load(cluster.client, ledger, patient=True):
        mend = faults.isolate(cluster, [3, 4])
        ledger.grow(5)
        mend()
        ledger.grow(20)


@pytest.mark.parametrize(("action", "value"), [("delay", 0.1), ("repeat", 0.0), ("repeat", 0.7)])
def test_slow_and_repeated_requests_change_nothing(cluster: Cluster, ledger: Ledger, action: str, value: float) -> None:
    """A repeated request arrives when its name may have another content already."""
    with load(cluster.client, ledger):
        mend = faults.disturb(cluster, [0, 1, 2], [1, 2, 3], action, value)
        ledger.grow()
        mend()
    ledger.assert_served()


@pytest.mark.parametrize("value", [-20_000, 20_000])
def test_connections_that_break_amid_requests_or_answers(cluster: Cluster, ledger: Ledger, value: int) -> None:
    with load(cluster.client, ledger):
        mend = faults.disturb_server(cluster, "object", 2, "cut", value)
        ledger.grow()
        mend()
    ledger.assert_served()


def test_a_read_goes_on_from_another_copy_when_its_connection_breaks(
    cluster: Cluster, client: Client, container: str
) -> None:
    body = bytes(range(256)) * 20_000
    path = f"{container}/object"
    assert client.put(path, body).status == 201
    first, second, _ = cluster.locate(client.account, container, "object").primaries
    mends = [faults.disturb_server(cluster, "object", host, "cut", 1_000_000) for host in (first, second)]
    for _ in range(5):
        assert client.get(path).body == body
    for mend in mends:
        mend()


def test_a_request_held_up_in_the_network_does_no_harm_when_it_comes(
    cluster: Cluster, client: Client, container: str
) -> None:
    """The proxy has long given up on it, and the name has been written anew, and deleted."""
    path = f"{container}/object"
    place = cluster.locate(client.account, container, "object")
    assert client.put(path, b"first").status == 201
    mend = faults.disturb(cluster, [0], [place.primaries[0]])
    assert client.put(path, b"second").status == 201
    assert client.delete(path).status == 204
    mend()

    def gone() -> bool:
        target = f"{place.partition}/{client.account}/{path}"
        return all(cluster.ask("object", host, "GET", target)[0] == 404 for host in place.primaries)

    wait_until(gone, "the deletion to be everywhere", 30)
    assert client.get(path, {"X-Newest": "true"}).status == 404


@pytest.mark.parametrize("action", ["hang", "refuse"])
def test_histories_of_conditional_writers_are_linear_while_a_primary_is_cut_off(
    cluster: Cluster, client: Client, make: Callable[[], Client], container: str, action: str
) -> None:
    host = cluster.locate(client.account, container, "object").primaries[0]
    mixture = Mixture(make, f"{container}/object", reads=False, plain=False)
    with meanwhile(lambda: mixture.run(clients=6, each=1000, seconds=8)):
        time.sleep(1)
        mend = faults.isolate(cluster, [host], action)
        time.sleep(4)
        mend()
    check(mixture.history)
    assert mixture.history.statuses()["swap made"] > 0


def test_histories_are_linear_while_requests_are_repeated_and_delayed(
    cluster: Cluster, client: Client, make: Callable[[], Client], container: str
) -> None:
    mixture = Mixture(make, f"{container}/object", reads=False, plain=False)
    one, two, three = cluster.locate(client.account, container, "object").primaries
    with meanwhile(lambda: mixture.run(clients=6, each=1000, seconds=6)):
        mends = [
            faults.disturb_server(cluster, "object", one, "repeat", 0.3),
            faults.disturb_server(cluster, "object", two, "delay", 0.05),
            faults.disturb_server(cluster, "object", three, "repeat", 0.0),
        ]
        time.sleep(6)
        for mend in mends:
            mend()
    check(mixture.history)
    assert mixture.history.statuses()["swap made"] > 0


def test_who_alone_writes_a_name_reads_what_was_acknowledged_while_primaries_are_cut_off_in_turn(
    cluster: Cluster, client: Client, make: Callable[[], Client], container: str
) -> None:
    hosts = cluster.locate(client.account, container, "object").primaries
    with meanwhile(lambda: read_back(make, f"{container}/object", seconds=10)) as results:
        for host, action in zip(hosts, ("refuse", "hang", "refuse"), strict=True):
            mend = faults.isolate(cluster, [host], action)
            time.sleep(2)
            mend()
            time.sleep(1)
    assert results[0] > 5
