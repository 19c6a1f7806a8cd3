"""Whether hosts may be stopped, judged by the rings."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from objstore.assembly.cluster_dir import ClusterPlan, PlannedHost, make
from objstore.cli.main import main
from objstore.health.stopping import device_ids, judge_ring
from objstore.ring import Ring


@pytest.fixture(scope="module")
def etc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four hosts with two devices each, at ports where nobody listens."""
    directory = tmp_path_factory.mktemp("etc")
    hosts = tuple(PlannedHost(1, zone, f"127.1.0.{zone}", 1) for zone in range(1, 5))
    make(str(directory), ClusterPlan(hosts, 2, 3, 6))
    return directory


@pytest.fixture(scope="module")
def ring(etc: Path) -> Ring:
    return Ring.load(str(etc / "object.ring"))


def ids(ring: Ring, *hosts: str) -> frozenset[int]:
    return device_ids(ring.devices, hosts)


def test_one_host_of_four_may_be_stopped(ring: Ring) -> None:
    assert judge_ring("object", ring, frozenset(), ids(ring, "127.1.0.1")).without_majority == 0


def test_of_two_hosts_those_partitions_are_counted_that_both_hold(ring: Ring) -> None:
    stopping = ids(ring, "127.1.0.1", "127.1.0.2")
    shared = sum(
        {"127.1.0.1", "127.1.0.2"} <= {node.ip for node in ring.primaries(part)} for part in range(ring.partition_count)
    )
    found = judge_ring("object", ring, frozenset(), stopping)
    assert found.without_majority == shared > 0
    assert found.without_any == found.already == 0


def test_what_is_away_already_counts_too(ring: Ring) -> None:
    away = ids(ring, "127.1.0.1", "127.1.0.2")
    found = judge_ring("object", ring, away, ids(ring, "127.1.0.3"))
    assert 0 < found.already < found.without_majority
    assert found.without_any > 0


def test_a_single_disk_is_named_by_host_and_device(ring: Ring) -> None:
    (device,) = ids(ring, "127.1.0.3/d2")
    node = ring.devices[device]
    assert node is not None
    assert (node.ip, node.device) == ("127.1.0.3", "d2")
    assert ids(ring, "127.1.0.3:1") == ids(ring, "127.1.0.3")


def test_a_host_that_no_ring_has_is_refused(etc: Path) -> None:
    result = CliRunner().invoke(main, ["ok-to-stop", "127.9.9.9", "--ring-dir", str(etc)])
    assert result.exit_code == 2
    assert "no ring has devices of 127.9.9.9" in result.output


def test_servers_that_do_not_answer_are_away(etc: Path) -> None:
    result = CliRunner().invoke(main, ["ok-to-stop", "127.1.0.1", "--ring-dir", str(etc), "--json"])
    report = json.loads(result.output)
    assert result.exit_code == 1
    assert not report["ok"]
    assert len(report["away"]) == 18  # of three rings the six devices of the other three hosts


NOW = 1_700_000_000.0


def summary(ring_version: int, lost: bool = False) -> dict[str, Any]:
    """What a host says that has been up for long, all of whose copies are where they belong."""

    def replicator(*rings: str) -> dict[str, Any]:
        compared = {"began": NOW - 60, "ended": NOW - 50, "rings": dict.fromkeys(rings, ring_version),
                    "failures": 0, "handoffs_left": 0, "failed_peers": []}  # fmt: skip
        devices = {name: {"compared": dict(compared)} for name in ("d1", "d2")}
        return {"started": NOW - 9000, "alive": True, "pass": None, "last": None, "told": {"devices": devices}}

    return {
        "time": None,
        "devices": {"d1": {"mounted": True, "out": None}, "d2": {"mounted": not lost, "out": None}},
        "daemons": {
            f"{kind}-replicator": replicator(kind) for kind in ("account", "container", "object")
        },
    }  # fmt: skip


class Cluster(NamedTuple):
    """summaries: what each host says, by its address."""

    etc: Path
    summaries: dict[str, dict[str, Any]]

    def ask(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["ok-to-stop", *words, "--ring-dir", str(self.etc)])

    def change(self, host: int, **compared: Any) -> None:
        """What the object replicator of a host says of its pass over d1."""
        self.replicator(host)["told"]["devices"]["d1"]["compared"].update(compared)

    def replicator(self, host: int) -> dict[str, Any]:
        found: dict[str, Any] = self.summaries[f"127.2.0.{host}"]["daemons"]["object-replicator"]
        return found


class _Server(http.server.ThreadingHTTPServer):
    summaries: dict[str, dict[str, Any]]


class _Host(http.server.BaseHTTPRequestHandler):
    """Answers /recon/summary as a server does."""

    def do_GET(self) -> None:
        assert self.path == "/recon/summary"
        assert isinstance(self.server, _Server)
        report = {**self.server.summaries[self.connection.getsockname()[0]], "time": time.time()}
        body = json.dumps(report).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Cluster]:
    """Four hosts that answer, each one server for all three kinds; d2 of the fourth is not mounted."""
    first = _Server(("127.2.0.1", 0), _Host)
    port = first.server_port
    servers = [first, *(_Server((f"127.2.0.{host}", port), _Host) for host in range(2, 5))]
    others = [(server.server_address[0], port + kind) for server in servers for kind in (1, 2)]
    servers += [_Server(address, _Host) for address in others]
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in servers]
    for thread in threads:
        thread.start()
    make(
        str(tmp_path),
        ClusterPlan(tuple(PlannedHost(1, zone, f"127.2.0.{zone}", port) for zone in range(1, 5)), 2, 3, 6),
    )
    version = Ring.load(str(tmp_path / "object.ring")).version
    summaries = {f"127.2.0.{host}": summary(version, host == 4) for host in range(1, 5)}
    for server in servers:
        server.summaries = summaries
    yield Cluster(tmp_path, summaries)
    for server in servers:
        server.shutdown()
        server.server_close()
    for thread in threads:
        thread.join()


def test_all_hosts_answer_and_one_may_stop(answering: Cluster) -> None:
    result = answering.ask("127.2.0.4")
    assert result.output.endswith("\nok to stop\n")
    assert result.exit_code == 0


def test_a_disk_lost_elsewhere_may_forbid_it(answering: Cluster) -> None:
    result = answering.ask("127.2.0.1")
    assert "/d2: is not mounted" in result.output
    assert "partitions without a majority" in result.output
    assert result.output.endswith("\nNOT ok to stop\n")
    assert result.exit_code == 1


@pytest.fixture
def whole(answering: Cluster) -> Cluster:
    """With all disks there: any one host may stop."""
    answering.summaries["127.2.0.4"]["devices"]["d2"]["mounted"] = True
    assert answering.ask("127.2.0.1").exit_code == 0
    return answering


def test_no_other_host_may_stop_until_one_that_came_back_has_been_compared_with_all(whole: Cluster) -> None:
    """It said yes at once, while what was written in the meantime was missing on the host that had come back."""
    whole.replicator(2)["started"] = NOW - 30
    result = whole.ask("127.2.0.1")
    assert result.exit_code == 1
    assert "may lack copies: 127.2.0.2/d1: came back" in result.output
    assert whole.ask("127.2.0.2").exit_code == 0  # that host itself may go again
    for host in range(1, 5):
        for device in whole.replicator(host)["told"]["devices"].values():
            device["compared"]["began"] = NOW - 20
    assert whole.ask("127.2.0.1").exit_code == 0


def test_a_disk_that_was_taken_in_again_counts_as_one_that_came_back(whole: Cluster) -> None:
    whole.summaries["127.2.0.3"]["devices"]["d1"]["returned"] = NOW - 30
    assert whole.ask("127.2.0.1").exit_code == 1
    assert whole.ask("127.2.0.3").exit_code == 0


def test_a_device_that_could_not_be_brought_up_to_date_may_lack_copies(whole: Cluster) -> None:
    device = next(node for node in Ring.load(str(whole.etc / "object.ring")).devices if node and node.ip == "127.2.0.3")
    whole.change(1, failures=3, failed_peers=[str(device)])
    report = json.loads(whole.ask("127.2.0.2", "--json").output)
    assert not report["ok"]
    assert report["may_lack_copies"] == {f"127.2.0.3/{device.device}": "could not be brought up to date"}
    assert whole.ask("127.2.0.3").exit_code == 0


def test_a_host_that_holds_what_belongs_elsewhere_must_not_stop(whole: Cluster) -> None:
    whole.change(2, handoffs_left=7)
    result = whole.ask("127.2.0.2")
    assert result.exit_code == 1
    assert "may hold the only copies: 127.2.0.2/d1: objects: 7 partitions" in result.output
    assert whole.ask("127.2.0.1").exit_code == 0


def test_a_lost_device_explains_what_stands_in_for_it_elsewhere(answering: Cluster) -> None:
    """A disk may be out for days; the other hosts must be able to restart meanwhile."""
    ring = Ring.load(str(answering.etc / "object.ring"))
    lost = next(str(node) for node in ring.devices if node and (node.ip, node.device) == ("127.2.0.4", "d2"))
    answering.change(2, handoffs_left=7, failures=9, failed_peers=[lost])
    assert answering.ask("127.2.0.4").exit_code == 0


def test_partitions_that_move_are_counted_where_they_come_from(whole: Cluster) -> None:
    """After a rebalance the new devices are empty, and it said yes."""
    builder = str(whole.etc / "object.builder")
    commands = (
        ["pretend-min-part-hours-passed", builder],
        ["set-weight", "--yes", builder, "127.2.0.1", "0"],
        ["rebalance", builder],
    )
    for command in commands:
        done = CliRunner().invoke(main, ["ring", *command])
        assert done.exit_code < 2, done.output
    result = whole.ask("127.2.0.2")
    assert "object.ring: copies are still moving" in result.output
    assert "object: " in result.output
    assert result.exit_code == 1
    version = Ring.load(str(whole.etc / "object.ring")).version
    for host in range(1, 5):
        for device in whole.replicator(host)["told"]["devices"].values():
            device["compared"]["rings"] = {"object": version}
    assert whole.ask("127.2.0.2").exit_code == 0


def test_a_host_of_an_older_version_tells_by_its_last_pass(whole: Cluster) -> None:
    state = whole.replicator(2)
    state["last"] = {"began": NOW - 60, "ended": NOW - 50, "seconds": 10.0, "units": 5, "failures": 0}
    state["told"] = {"devices": {name: {"last_pass": NOW - 50, "handoffs_left": 0} for name in ("d1", "d2")}}
    assert whole.ask("127.2.0.1").exit_code == 0
    whole.replicator(3)["started"] = NOW - 30
    assert whole.ask("127.2.0.1").exit_code == 1
