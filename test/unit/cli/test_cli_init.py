"""A cluster's directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from objstore.assembly.cluster_dir import PlannedHost, parse_host, usual_part_power
from objstore.assembly.config_check import check
from objstore.cli.main import main
from objstore.core.errors import InvalidInput
from objstore.ring import Ring
from objstore.runtime import cluster_conf


def init(directory: Path, *options: str) -> str:
    result = CliRunner().invoke(main, ["init", str(directory), *options])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("10.0.0.1", PlannedHost(1, 1, "10.0.0.1", 6200)),
        ("10.0.0.1:7000", PlannedHost(1, 1, "10.0.0.1", 7000)),
        ("r2z3-10.0.0.1", PlannedHost(2, 3, "10.0.0.1", 6200)),
        ("z3-10.0.0.1:7000", PlannedHost(1, 3, "10.0.0.1", 7000)),
        ("r2-fd00::1", PlannedHost(2, 1, "fd00::1", 6200)),
        ("r2z1-[fd00::1]:7000", PlannedHost(2, 1, "fd00::1", 7000)),
    ],
)
def test_hosts_are_read(text: str, host: PlannedHost) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize("text", ["", "r1z1-", "host", "r1z110.0.0.1", "10.0.0.1:", "10.0.0.1:x", "10.0.0.256"])
def test_what_is_no_host_is_refused(text: str) -> None:
    if text == "10.0.0.1:":
        assert parse_host(text).port == 6200
        return
    with pytest.raises(InvalidInput):
        parse_host(text)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_host(text)
    except InvalidInput:
        pass


@pytest.mark.parametrize(("devices", "power"), [(1, 11), (10, 14), (1000, 21)])
def test_the_part_power_leaves_room_to_grow(devices: int, power: int) -> None:
    assert usual_part_power(devices) == power


def test_what_init_writes_is_sound(tmp_path: Path) -> None:
    made = tmp_path / "cluster"
    devices = tmp_path / "devices"
    devices.mkdir()
    output = init(made, "--host", "10.0.0.1", "--host", "z2-10.0.0.2", "--part-power", "6", "--devices", str(devices))
    problems = [problem for path in sorted(made.glob("*.conf")) for problem in check(str(path))]
    assert problems == []
    assert "10.0.0.1:8080/auth/v1.0" in output
    assert (made / "objstore.conf").stat().st_mode & 0o777 == 0o600
    assert (made / "users.json").stat().st_mode & 0o777 == 0o600


def test_rings_hold_the_hosts_with_their_ports(tmp_path: Path) -> None:
    init(
        tmp_path,
        *("--host", "r1z1-10.0.0.1:7000", "--host", "r2z1-10.0.0.2", "--devices-per-host", "2"),
        *("--policy", "gold", "--policy", "silver", "--part-power", "4"),
    )
    ports = {"object": 0, "object-1": 0, "container": 1, "account": 2}
    for name, offset in ports.items():
        ring = Ring.load(str(tmp_path / f"{name}.ring"))
        assert ring.replica_count == 3
        assert {(node.region, node.ip, node.port, node.device) for node in ring.devices if node} == {
            (1, "10.0.0.1", 7000 + offset, "d1"),
            (1, "10.0.0.1", 7000 + offset, "d2"),
            (2, "10.0.0.2", 6200 + offset, "d1"),
            (2, "10.0.0.2", 6200 + offset, "d2"),
        }
    policies = cluster_conf.load(str(tmp_path)).policies
    assert [(policy.index, policy.name) for policy in policies] == [(0, "gold"), (1, "silver")]
    assert policies.default.name == "gold"
    assert [policy.packed_limit for policy in policies] == [65536, 65536]


def test_a_second_init_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    init(tmp_path, "--host", "10.0.0.1", "--part-power", "4")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    result = CliRunner().invoke(main, ["init", str(tmp_path), "--host", "10.0.0.1"])
    assert result.exit_code == 2
    assert "must never change" in result.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_more_replicas_than_devices_are_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["init", str(tmp_path / "x"), "--host", "10.0.0.1", "--replicas", "2"])
    assert result.exit_code == 2
    assert "2 replicas need as many devices, not 1" in result.stderr
