"""The object replicator as `objstore serve` runs it: several devices, all in one process."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from objstore.assembly.data_dir import DataDir, prepare
from objstore.assembly.duties.object_replication import OBJECT_REPLICATOR, rest
from objstore.assembly.embedded import surroundings
from objstore.assembly.surroundings import Surroundings, Work
from objstore.core.errors import ConfigError
from objstore.core.names import Location, Name
from objstore.core.timestamps import Clock
from objstore.daemon.runner import Daemon
from objstore.store.interface import ObjectData

COUNT = 10


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    made = DataDir(str(tmp_path))
    prepare(made, 4, 3)
    return made


def make(data: DataDir, **overrides: str) -> tuple[Surroundings, Work]:
    around = surroundings(data, logging.getLogger("test.replicator"), overrides)
    return around, OBJECT_REPLICATOR.make(around)


def run_once(work: Work) -> dict[str, Any]:
    daemon = Daemon("object-replicator", work.begin_pass, work.pace, logging.getLogger("test"), status=work.status)
    assert daemon.run_once().complete
    return dict(work.status())


def fill(around: Surroundings, size: int = 1) -> dict[Location, list[str]]:
    """Objects where none of them belongs; where they do, by location."""
    ring, clock = around.ring("object")(), Clock()
    places: dict[Location, list[str]] = {}
    for number in range(COUNT):
        name = Name("a", "c", f"o{number}")
        name_hash = around.cluster.salt.hash(name)
        place = Location(ring.partition(name_hash), name_hash)
        places[place] = [node.device for node in ring.primaries(place.partition)]
        away = next(device for device in around.devices.names() if device not in places[place])
        with around.devices.get(away).objects(0).create(place, size) as writer:
            writer.write(b"x" * size)
            writer.commit(ObjectData(name.path, clock.now(), "a/b", {}))
    return places


@pytest.mark.parametrize(("size", "directory"), [(1, "packed"), (70_000, "objects")])
def test_devices_of_one_process_are_kept_equal(data: DataDir, size: int, directory: str) -> None:
    around, work = make(data)
    places = fill(around, size)
    report = run_once(work)
    assert (report["sent_total"], report["removed_total"], report["handoffs_left"]) == (3 * COUNT, COUNT, 0)
    lost = next(iter(places.values()))[0]
    shutil.rmtree(Path(data.devices) / lost / directory)
    report = run_once(work)
    for place, devices in places.items():
        assert all(around.devices.get(device).objects(0).info(place).size == size for device in devices)
    assert report["failures"] == 0
    assert run_once(work)["sent_total"] == report["sent_total"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("object_replicator_handoff_delete", "none"),
        ("object_replicator_files_per_second", "-1"),
        ("object_replicator_interval", "often"),
    ],
)
def test_settings_that_make_no_sense_are_refused(data: DataDir, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        make(data, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("object_replicator_bytes_per_second", "50K"), ("object_replicator_files_per_second", "15")]
)
def test_what_is_sent_in_a_second_is_bounded(data: DataDir, name: str, value: str) -> None:
    around, work = make(data, **{name: value})
    fill(around, 3000)
    began = time.monotonic()
    assert run_once(work)["sent_total"] == 3 * COUNT
    assert time.monotonic() - began > 0.7  # 90 kB, or 30 changes; what was not sent in the second before may be


@pytest.mark.parametrize(
    ("bound", "loads", "slept"), [(0.0, [9.0], 0), (1.0, [0.9], 0), (1.0, [2.0, 1.5, 0.9], 2), (1.0, [2.0], 10)]
)
def test_a_host_with_much_to_do_is_given_some_seconds(bound: float, loads: list[float], slept: int) -> None:
    now, left = [100.0], list(loads)

    def sleep(seconds: float) -> None:
        now[0] += seconds

    rest(bound, lambda: left.pop(0) if len(left) > 1 else left[0], lambda: now[0], sleep)
    assert now[0] - 100.0 == slept


def test_policies_that_keep_nothing_on_disk_are_passed_over(data: DataDir) -> None:
    """They broke off the pass over all that a device holds."""
    with open(data.cluster_conf, "a") as conf:
        conf.write("\n[storage-policy:1]\nname = passing\nengine = memory\n")
    shutil.copy(Path(data.etc) / "object.ring", Path(data.etc) / "object-1.ring")
    around, work = make(data)
    fill(around)
    report = run_once(work)
    assert (report["removed_total"], report["failures"]) == (COUNT, 0)
