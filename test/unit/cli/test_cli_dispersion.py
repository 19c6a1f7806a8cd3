"""Samples put into a store, and their copies looked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from objstore.assembly.data_dir import DataDir, prepare
from objstore.cli.dispersion import new_names
from objstore.cli.main import main

PARTITIONS = 1024


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    made = DataDir(str(tmp_path / "data"))
    prepare(made, 4, 3)
    return made


def run(data: DataDir, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["dispersion", *arguments, "--data", data.root])


def test_all_copies_are_found_where_all_devices_are_there(data: DataDir) -> None:
    assert run(data, "populate", "--coverage", "1").exit_code == 0
    result = run(data, "report", "--json")
    assert result.exit_code == 0
    for ring in json.loads(result.output):
        assert (ring["names"], ring["found"], ring["wanted"], ring["percent"]) == (10, 30, 30, 100.0)


def test_a_device_that_is_gone_is_missed_and_named(data: DataDir) -> None:
    run(data, "populate", "--coverage", "2")
    shutil.rmtree(Path(data.devices) / "d3")
    result = run(data, "report", "--json")
    assert result.exit_code == 1
    for ring in json.loads(result.output):
        (device,) = ring["missing"]
        assert device.endswith("/d3")
        assert "507" in ring["failures"][device]
        assert ring["found"] == ring["wanted"] - len(ring["missing"][device]) > 0
        assert ring["lacking"] == {"1": len(ring["missing"][device])}
    assert "/d3 lacks" in run(data, "report").output


def test_populating_again_adds_only_what_is_lacking(data: DataDir) -> None:
    run(data, "populate", "--coverage", "1")
    again = run(data, "populate", "--coverage", "1")
    assert "containers: 0 new samples, 10 in all" in again.output
    more = run(data, "populate", "--coverage", "2")
    assert "objects of Policy-0: 10 new samples, 20 in all" in more.output


def test_a_store_without_samples_is_told_so(data: DataDir) -> None:
    result = run(data, "report")
    assert result.exit_code == 2
    assert "there are no samples" in result.output


@given(st.integers(0, PARTITIONS), st.sets(st.integers(0, PARTITIONS - 1), max_size=50))
def test_new_names_are_in_partitions_of_their_own(wanted: int, covered: set[int]) -> None:
    wanted = min(wanted, 100)
    before = set(covered)
    names = list(new_names(lambda name: hash(name) % PARTITIONS, covered, wanted))
    partitions = [hash(name) % PARTITIONS for name in names]
    assert len(set(partitions)) == len(names) == max(0, wanted - len(before))
    assert not before & set(partitions)
