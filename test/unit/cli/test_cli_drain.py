"""Devices whose partitions are to go elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from objstore.assembly.cluster_dir import ClusterPlan, PlannedHost, make
from objstore.cli.drain import held_by
from objstore.cli.main import main
from objstore.core.nodes import Node
from objstore.ring import Ring
from objstore.ring.builder_file import load_builder

RINGS = ("account", "container", "object")


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Four hosts with two devices each, whose partitions may all move."""
    make(str(tmp_path), ClusterPlan(tuple(PlannedHost(1, zone, f"10.0.0.{zone}") for zone in range(1, 5)), 2, 3, 6))
    for ring in RINGS:
        assert run("ring", "pretend-min-part-hours-passed", str(tmp_path / f"{ring}.builder")).exit_code == 0
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def device(etc: Path, ring: str, place: str) -> Node:
    ip, _, name = place.partition("/")
    (node,) = [
        node for node in load_builder(str(etc / f"{ring}.builder")).present if (node.ip, node.device) == (ip, name)
    ]
    return node


def primaries_at(etc: Path, ring: str, place: str) -> int:
    loaded = Ring.load(str(etc / f"{ring}.ring"))
    return sum(
        f"{node.ip}/{node.device}" == place
        for partition in range(loaded.partition_count)
        for node in loaded.primaries(partition)
    )


def test_a_drained_device_holds_no_partition_of_any_ring(etc: Path) -> None:
    result = run("drain", "10.0.0.1/d2", "--ring-dir", str(etc))
    assert result.exit_code == 0, result.output
    assert f"copy {etc}/*.ring to all hosts" in result.output
    for ring in RINGS:
        assert primaries_at(etc, ring, "10.0.0.1/d2") == 0
        assert primaries_at(etc, ring, "10.0.0.1/d1") > 0
        assert device(etc, ring, "10.0.0.1/d2").weight == 0


def test_a_whole_host_is_drained(etc: Path) -> None:
    assert run("drain", "10.0.0.3", "--ring-dir", str(etc)).exit_code == 0
    assert {primaries_at(etc, ring, f"10.0.0.3/{disk}") for ring in RINGS for disk in ("d1", "d2")} == {0}


def test_a_device_given_back_has_its_weight_and_note_again(etc: Path) -> None:
    run("ring", "set-info", str(etc / "object.builder"), "-10.0.0.1/d2", "_slot 4", "--yes")
    before = device(etc, "object", "10.0.0.1/d2")
    run("drain", "10.0.0.1/d2", "--ring-dir", str(etc))
    result = run("drain", "10.0.0.1/d2", "--back", "--ring-dir", str(etc))
    assert result.exit_code == 0, result.output
    assert device(etc, "object", "10.0.0.1/d2") == before


def test_what_moved_of_late_is_told_to_come_back_later_by_a_rebalance(etc: Path) -> None:
    run("drain", "10.0.0.1/d2", "--ring-dir", str(etc))
    report = run("drain", "10.0.0.1/d2", "--ring-dir", str(etc), "--back").output
    assert "`objstore ring rebalance` each builder" in report
    assert "drain again" not in report
    assert "weight was 0" in report


def test_draining_again_goes_on_and_keeps_the_former_weight(etc: Path) -> None:
    run("drain", "10.0.0.1/d2", "--ring-dir", str(etc))
    assert run("drain", "10.0.0.1/d2", "--ring-dir", str(etc)).exit_code == 0
    run("drain", "10.0.0.1/d2", "--back", "--ring-dir", str(etc))
    assert device(etc, "object", "10.0.0.1/d2").weight == 100


def test_a_dry_run_changes_nothing(etc: Path) -> None:
    before = {path: path.read_bytes() for path in etc.glob("*.builder")} | {
        path: path.read_bytes() for path in etc.glob("*.ring")
    }
    result = run("drain", "10.0.0.1/d2", "--dry-run", "--ring-dir", str(etc))
    assert "would move" in result.output
    assert all(path.read_bytes() == content for path, content in before.items())


def test_what_no_ring_has_is_refused(etc: Path) -> None:
    result = run("drain", "10.0.0.1/d2", "10.0.0.9", "--ring-dir", str(etc))
    assert result.exit_code == 2
    assert "no ring has 10.0.0.9" in result.output
    assert primaries_at(etc, "object", "10.0.0.1/d2") > 0


def test_too_few_devices_left_is_refused_before_anything_is_written(etc: Path) -> None:
    result = run("drain", "10.0.0.1", "10.0.0.2", "10.0.0.3", "--ring-dir", str(etc))
    assert result.exit_code == 2
    assert "2 devices would remain for 3 replicas" in result.output
    assert device(etc, "account", "10.0.0.1/d1").weight == 100


def test_a_device_that_is_not_drained_cannot_be_given_back(etc: Path) -> None:
    result = run("drain", "10.0.0.1/d1", "--back", "--ring-dir", str(etc))
    assert result.exit_code == 2
    assert "is not being drained" in result.output


def test_replicas_held_by_devices_are_counted(etc: Path) -> None:
    builder = load_builder(str(etc / "object.builder"))
    everything = held_by(builder, [node.id for node in builder.present])
    assert everything == 3 * builder.partition_count
