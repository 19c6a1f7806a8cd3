"""Whether hosts may be stopped, judged by the rings."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from objstore.cli.cluster_dir import Host, Plan, make
from objstore.cli.main import main
from objstore.cli.operator.ok_to_stop import judge, named
from objstore.ring import Ring


@pytest.fixture(scope="module")
def etc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four hosts with two devices each, at ports where nobody listens."""
    directory = tmp_path_factory.mktemp("etc")
    hosts = tuple(Host(1, zone, f"127.1.0.{zone}", 1) for zone in range(1, 5))
    make(str(directory), Plan(hosts, 2, 3, 6))
    return directory


@pytest.fixture(scope="module")
def ring(etc: Path) -> Ring:
    return Ring.load(str(etc / "object.ring"))


def ids(ring: Ring, *hosts: str) -> frozenset[int]:
    return named(ring.devices, hosts)


def test_one_host_of_four_may_be_stopped(ring: Ring) -> None:
    assert judge("object", ring, frozenset(), ids(ring, "127.1.0.1")).without_majority == 0


def test_of_two_hosts_those_partitions_are_counted_that_both_hold(ring: Ring) -> None:
    stopping = ids(ring, "127.1.0.1", "127.1.0.2")
    shared = sum(
        {"127.1.0.1", "127.1.0.2"} <= {node.ip for node in ring.primaries(part)} for part in range(ring.partition_count)
    )
    found = judge("object", ring, frozenset(), stopping)
    assert found.without_majority == shared > 0
    assert found.without_any == found.already == 0


def test_what_is_away_already_counts_too(ring: Ring) -> None:
    away = ids(ring, "127.1.0.1", "127.1.0.2")
    found = judge("object", ring, away, ids(ring, "127.1.0.3"))
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
    told = json.loads(result.output)
    assert result.exit_code == 1
    assert not told["ok"]
    assert len(told["away"]) == 18  # of three rings the six devices of the other three hosts


class _Host(http.server.BaseHTTPRequestHandler):
    """Answers /recon/diskusage as a server does; d2 is not mounted where the address ends in 4."""

    def do_GET(self) -> None:
        assert self.path == "/recon/diskusage"
        lost = str(self.connection.getsockname()[0]).endswith("4")
        body = json.dumps([{"device": name, "mounted": name == "d1" or not lost} for name in ("d1", "d2")]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Path]:
    """Rings of four hosts that answer, each one server for all three kinds."""
    first = http.server.ThreadingHTTPServer(("127.2.0.1", 0), _Host)
    port = first.server_port
    servers = [first, *(http.server.ThreadingHTTPServer((f"127.2.0.{host}", port), _Host) for host in range(2, 5))]
    others = [(server.server_address[0], port + kind) for server in servers for kind in (1, 2)]
    servers += [http.server.ThreadingHTTPServer(address, _Host) for address in others]
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in servers]
    for thread in threads:
        thread.start()
    make(str(tmp_path), Plan(tuple(Host(1, zone, f"127.2.0.{zone}", port) for zone in range(1, 5)), 2, 3, 6))
    yield tmp_path
    for server in servers:
        server.shutdown()
        server.server_close()
    for thread in threads:
        thread.join()


def test_all_hosts_answer_and_one_may_stop(answering: Path) -> None:
    result = CliRunner().invoke(main, ["ok-to-stop", "127.2.0.4", "--ring-dir", str(answering)])
    assert result.output.endswith("\nok to stop\n")
    assert result.exit_code == 0


def test_a_disk_lost_elsewhere_may_forbid_it(answering: Path) -> None:
    result = CliRunner().invoke(main, ["ok-to-stop", "127.2.0.1", "--ring-dir", str(answering)])
    assert "/d2: is not mounted" in result.output
    assert "partitions without a majority" in result.output
    assert result.output.endswith("\nNOT ok to stop\n")
    assert result.exit_code == 1
