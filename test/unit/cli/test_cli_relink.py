"""`objstore relink`, from a ring that is prepared to one that is finished."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from objstore.cli.relink import relink, step_for
from objstore.cli.ring import ring
from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.ring import Ring
from objstore.runtime.cluster_conf import FILE_NAME
from objstore.store.interface import ObjectData
from objstore.store.objects.file_store import FileStore
from objstore.store.objects.relink import Step

HASHES = [hashlib.md5(str(number).encode()).hexdigest() for number in range(30)]


class Host:
    """A host's devices and rings, without servers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.etc, self.devices = root / "etc", root / "devices"
        self.etc.mkdir()
        (self.etc / FILE_NAME).write_text("[hash]\nprefix = a\n")
        for device in ("d1", "d2"):
            (self.devices / device).mkdir(parents=True)
        self.ring("create", "4", "2", "0")
        self.ring("add", "z1-127.0.0.1:6200/d1", "1", "z2-127.0.0.1:6200/d2", "1")
        self.ring("rebalance")
        for name_hash in HASHES:
            self.put(name_hash)

    def ring(self, command: str, *arguments: str) -> None:
        done = CliRunner().invoke(ring, [command, str(self.etc / "object.builder"), *arguments])
        assert done.exit_code == 0, done.output

    def loaded(self) -> Ring:
        return Ring.load(str(self.etc / "object.ring"))

    def put(self, name_hash: str) -> None:
        place = self.loaded()
        for device in ("d1", "d2"):
            store = FileStore(str(self.devices / device))
            with store.create(Location(place.partition(name_hash), name_hash), 1) as writer:
                writer.write(b"x")
                writer.commit(ObjectData("/a/c/o", Timestamp(1), "text/plain", {}))

    def relink(self, *options: str, status: int = 0) -> str:
        done = CliRunner().invoke(
            relink, ["--devices", str(self.devices), "--ring-dir", str(self.etc), *options], standalone_mode=True
        )
        assert done.exit_code == status, done.output
        return str(done.output)

    def found(self, device: str) -> list[str]:
        place = self.loaded()
        paths = (self.devices / device / "objects").glob("*/*/*")
        return sorted(path.name for path in paths if int(path.parts[-3]) == place.partition(path.name))

    def names(self, device: str) -> int:
        return len(list((self.devices / device / "objects").glob("*/*/*")))


@pytest.fixture
def host(tmp_path: Path) -> Any:
    return Host(tmp_path)


def test_all_devices_are_relinked_and_cleaned_up(host: Host) -> None:
    host.relink(status=1)  # nothing is being changed
    host.ring("prepare-increase")
    assert "d2/objects: 30 names" in host.relink()
    host.relink("--cleanup", status=1)
    host.ring("increase")
    for device in ("d1", "d2"):
        assert host.found(device) == sorted(HASHES)
    host.relink("--cleanup", "--rate", "5000", "--workers", "1")
    host.ring("finish-increase")
    for device in ("d1", "d2"):
        assert (host.found(device), host.names(device)) == (sorted(HASHES), len(HASHES))
    host.relink("--cleanup", status=1)


def test_a_device_that_was_away_is_put_right_later(host: Host) -> None:
    host.ring("prepare-increase")
    host.relink("--device", "d1")
    host.ring("increase")
    host.relink("--device", "d1", "--cleanup")
    host.ring("finish-increase")
    assert host.found("d2") != sorted(HASHES)
    host.relink("--device", "d2", "--cleanup", "--policy", "0")
    assert (host.found("d2"), host.names("d2")) == (sorted(HASHES), len(HASHES))


def test_what_lies_elsewhere_is_told(host: Host) -> None:
    stray = host.devices / "d1" / "objects" / str((host.loaded().partition(HASHES[0]) + 3) % 16) / HASHES[0][-3:]
    (stray / HASHES[0]).mkdir(parents=True)
    host.ring("prepare-increase")
    assert "1 names are in partitions of neither" in host.relink(status=1)


def test_what_a_ring_asks_for(host: Host) -> None:
    assert step_for(host.loaded(), False, True) is None
    assert step_for(host.loaded(), True, False) is None
    assert step_for(host.loaded(), True, True) == Step(4, (3, 5), True)
    host.ring("prepare-increase")
    assert step_for(host.loaded(), False, False) == Step(5, (4,), False)
    assert step_for(host.loaded(), True, True) is None
    host.ring("cancel-increase")
    assert step_for(host.loaded(), False, False) is None
    assert step_for(host.loaded(), True, False) == Step(4, (5,), True)
    host.ring("finish-increase")
    host.ring("prepare-increase")
    host.ring("increase")
    assert step_for(host.loaded(), False, False) == Step(5, (4,), False)
    assert step_for(host.loaded(), True, False) == Step(5, (4,), True)


def test_unknown_devices_are_named(host: Host) -> None:
    host.ring("prepare-increase")
    host.relink("--device", "d9", status=1)


def test_what_is_no_device_is_left_alone(host: Host) -> None:
    """`.recon`, where daemons note their state, was relinked as a device, and so were plain files."""
    host.ring("prepare-increase")
    for name in (".recon", ".out", "lost+found"):
        (host.devices / name / "objects").mkdir(parents=True)
    (host.devices / "README").touch()
    lines = [line for line in host.relink().splitlines() if "/objects" in line]
    assert [line.partition("/")[0] for line in lines] == ["d1", "d2"]
    host.relink("--device", ".recon", status=1)
