"""The commands of `objstore ring`, and the same in Swift's order."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from objstore.cli.ring import builder_first, ring
from objstore.core.names import partition_of
from objstore.ring import Ring
from objstore.ring.builder_file import load_builder, locked
from objstore.ring.checks import is_balanced

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "object.builder")


@pytest.fixture
def run(path):
    """Run a command on the builder and return its output; checks the exit status."""

    def run_command(command: str, *arguments: str, status: int = 0, answer: str = "") -> str:
        result = CliRunner().invoke(ring, [command, path, *arguments], input=answer)
        assert result.exit_code == status, result.output
        return result.output

    return run_command


@pytest.fixture
def cluster(run):
    """Four zones of two disks each, balanced."""
    run("create", "6", "3", "1")
    for zone in "1234":
        first, second = f"r1z{zone}-10.0.0.{zone}:6200/sda", f"r1z{zone}-10.0.0.{zone}:6200R10.1.0.{zone}:6300/sdb_ssd"
        run("add", first, "100", second, "100")
    run("rebalance")


def test_a_ring_is_made_by_four_commands(run, path, cluster):
    loaded = Ring.load(path.replace(".builder", ".ring"))
    nodes = loaded.primaries(loaded.partition("a" * 32))
    assert len({node.zone for node in nodes}) == 3
    assert partition_of("a" * 32, 6) == loaded.partition("a" * 32)
    assert os.listdir(os.path.join(os.path.dirname(path), "backups"))


def test_the_table_shows_devices_with_their_balance(run, cluster):
    lines = run("show").splitlines()
    assert "64 partitions, 3.000000 replicas, 1 regions, 4 zones, 8 devices, 0.00 balance, 0.00 dispersion" in lines
    assert any("up to date" in line for line in lines)
    assert lines[-1].split() == ["7", "1", "4", "10.0.0.4:6200", "10.1.0.4:6300", "sdb", "100.00", "24", "0.00", "ssd"]


def test_an_existing_builder_is_not_created_again(run, cluster):
    assert "exists already" in run("create", "6", "3", "1", status=2)


def test_devices_are_added_by_options_too(run, path, cluster):
    run("add", "--zone", "5", "--ip", "::1", "--port", "6200", "--device", "sda", "--weight", "50")
    assert str(load_builder(path).devices[8]) == "::1:6200/sda"
    assert "needs --weight" in run("add", "--zone", "5", "--ip", "::1", "--port", "6200", "--device", "b", status=2)
    assert "pairs" in run("add", "r1z1-10.0.0.1:6200/sdx", status=2)
    assert "already" in run("add", "r1z1-10.0.0.1:6200/sda", "1", status=2)


def test_a_rebalance_without_need_warns_and_changes_nothing(run, path, cluster):
    before = Path(path).read_bytes()
    assert "Nothing to do" in run("rebalance", status=1)
    assert Path(path).read_bytes() == before


def test_a_rebalance_that_moves_nothing_still_writes_new_addresses_into_the_ring(run, path, cluster):
    run("set-info", "d0", "10.0.0.9:6201R:6301/sdz_new")
    run("rebalance", status=1)
    node = Ring.load(path.replace(".builder", ".ring")).devices[0]
    assert (str(node), node.replication_port, node.meta) == ("10.0.0.9:6201/sdz", 6301, "new")


def test_changed_fields_may_be_options(run, path, cluster):
    run("set-info", "--id", "1", "--change-ip", "10.9.9.9", "--change-zone", "7")
    node = load_builder(path).devices[1]
    assert (node.ip, node.zone) == ("10.9.9.9", 7)
    assert "either" in run("set-info", "--id", "1", status=2)


def test_a_change_of_several_devices_is_asked_for(run, path, cluster):
    assert "nothing was changed" in run("set-weight", "z2", "50", status=2, answer="n\n")
    assert load_builder(path).devices[2].weight == 100
    run("set-weight", "z2", "50", answer="y\n")
    run("set-weight", "z3", "40", "d0", "30", "--yes")
    run("set-weight", "--ip", "10.0.0.4", "20", "-y")
    assert [node.weight for node in load_builder(path).devices] == [30, 100, 50, 50, 40, 40, 20, 20]
    assert "no device matches" in run("set-weight", "z9", "50", status=2)
    assert "not a number" in run("set-weight", "d0", "much", status=2)


def test_removed_devices_are_gone_after_the_rebalance(run, path, cluster):
    run("remove", "z4", "--yes")
    run("rebalance")
    assert len(load_builder(path).devices) == 6
    assert "no device matches" in run("remove", "z4", status=2)


def test_the_settings_of_a_ring_change(run, path, cluster):
    run("set-replicas", "2.5")
    run("set-overload", "10%")
    run("set-min-part-hours", "24")
    builder = load_builder(path)
    assert (builder.replicas, builder.overload, builder.min_part_hours) == (2.5, 0.1, 24)
    run("set-overload", "10", status=1)
    run("set-replicas", "0", status=2)
    run("set-overload", "much", status=2)


def test_a_poor_balance_is_a_warning_until_partitions_may_move(run, path, cluster):
    run("set-weight", "d0", "10")
    run("rebalance")
    run("set-weight", "d1", "10")
    assert "may not move yet" in run("rebalance", status=1)
    for _ in range(3):
        run("pretend-min-part-hours-passed")
        CliRunner().invoke(ring, ["rebalance", path])
    assert is_balanced(load_builder(path), 5)


def test_searches_list_what_matches(run, cluster):
    assert len(run("search", "-10.0.0.1").splitlines()) == 3
    assert len(run("search", "--meta", "ssd").splitlines()) == 5
    assert run("search", "d3", "d5").splitlines()[2].split()[0] == "5"
    assert "no device matches" in run("search", "z9", status=2)
    assert "not a device description" in run("search", "sdb1", status=2)


def test_partitions_of_devices_are_listed(run, path, cluster):
    lines = run("list-parts", "z1").splitlines()
    builder = load_builder(path)
    held = [number for number in range(64) if any(row[number] in (0, 1) for row in builder.rows)]
    assert [line.split() for line in lines[1:]] == [[str(number), "1"] for number in held]


def test_dispersion_is_a_warning_where_weights_forbid_the_best(run, cluster):
    assert "Dispersion is 0.000000" in run("dispersion")
    assert len(run("dispersion", "--verbose").splitlines()) == 2 + 1 + 4 + 4 + 8
    assert len(run("dispersion", "z1$").splitlines()) == 3
    run("set-weight", "z1", "1000", "-y")
    run("pretend-min-part-hours-passed")
    run("remove", "z4", "-y")
    CliRunner().invoke(ring, ["rebalance"])
    run("rebalance", "--seed", "3", status=1)
    assert "r1z1" in run("dispersion", status=1)


def test_validation_tells_errors_from_warnings(run, path, cluster):
    assert "valid" in run("validate")
    run("set-replicas", "2")
    assert "replica count was changed" in run("validate", status=1)


def test_errors_are_one_line_and_status_two(run, path):
    assert run("show", status=2).startswith("Error: ")
    Path(path).write_bytes(b"rubbish")
    assert "not a builder file" in run("rebalance", status=2)


def test_a_locked_builder_is_left_alone(run, path, cluster):
    with locked(path):
        assert "another process" in run("set-replicas", "2", status=2)


def test_the_same_seed_makes_the_same_ring(path, tmp_path):
    tables = []
    for name in ("a", "b"):
        file = str(tmp_path / f"{name}.builder")
        CliRunner().invoke(ring, ["create", file, "6", "3", "1"])
        for number in range(5):
            CliRunner().invoke(ring, ["add", file, f"r1z{number}-h{number}:6200/sda", "100"])
        CliRunner().invoke(ring, ["rebalance", file, "42"])
        tables.append([row.tolist() for row in load_builder(file).rows])
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ([], ["--help"]),
        (["--help"], ["--help"]),
        (["o.builder"], ["show", "o.builder"]),
        (["o.builder", "create", "10", "3", "1"], ["create", "o.builder", "10", "3", "1"]),
    ],
)
def test_the_builder_may_come_first(given, made):
    assert builder_first(given) == made


def test_the_script_takes_swifts_order_and_spelling(path):
    script = str(ROOT / "bin" / "objstore-ring-builder")

    def call(*arguments: str) -> int:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, script, path, *arguments], env=environment, check=False, capture_output=True
        )
        return done.returncode

    assert call("create", "4", "1", "1") == 0
    assert call("add", "r1z1-127.0.0.1:6200/sdb1", "100") == 0
    assert call("set_weight", "d0", "50") == 0
    assert call("rebalance") == 0
    assert call("rebalance") == 1
    assert call() == 0
    assert call("nonsense") == 2


def test_a_ring_is_doubled_step_by_step(run, path, cluster):
    ring_file = path.replace(".builder", ".ring")
    assert "objstore relink --devices" in run("prepare-increase")
    assert "change of the part power is prepared" in run("show")
    run("rebalance", status=2)
    assert Ring.load(ring_file).next_part_power == 7
    assert "--cleanup" in run("increase")
    assert Ring.load(ring_file).part_power == 7
    run("cancel-increase", status=2)
    run("finish-increase")
    assert (Ring.load(ring_file).part_power, Ring.load(ring_file).next_part_power) == (7, None)


def test_only_rings_of_objects_are_doubled(tmp_path):
    for name, status in (("container", 2), ("object-1", 0)):
        builder = str(tmp_path / f"{name}.builder")
        for command in (["create", builder, "4", "1", "0"], ["add", builder, "z1-10.0.0.1:6200/a", "1"]):
            assert CliRunner().invoke(ring, command).exit_code == 0
        CliRunner().invoke(ring, ["rebalance", builder])
        assert CliRunner().invoke(ring, ["prepare-increase", builder]).exit_code == status


def test_moves_under_way_are_shown(run, cluster):
    assert "No partition has moved" in run("show")
    run("pretend_min_part_hours_passed")
    run("set-weight", "d0", "0")
    run("rebalance", status=0)
    shown = run("show", "--hours", "2")
    assert "partitions have moved in the last 2 hours" in shown
    assert "  d0r1z1-10.0.0.1:6200" in shown
