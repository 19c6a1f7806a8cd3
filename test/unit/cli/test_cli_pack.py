"""`objstore pack`, there and back, over the settings and rings of a host."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from objstore.assembly.apps import remote_transports, storage_servers
from objstore.assembly.data_dir import DataDir, locked, prepare
from objstore.cli.main import main
from objstore.cli.ring import ring
from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.ring import Ring
from objstore.runtime.cluster_conf import FILE_NAME
from objstore.store.interface import ObjectData

HASHES = [hashlib.md5(str(number).encode()).hexdigest() for number in range(12)]


class Host:
    """A host's devices and ring, without servers."""

    def __init__(self, root: Path) -> None:
        self.etc, self.devices = root / "etc", root / "devices"
        self.etc.mkdir()
        self.set_limit("64K")
        (self.devices / "d1").mkdir(parents=True)
        for arguments in (["create", "4", "1", "0"], ["add", "z1-127.0.0.1:6200/d1", "1"], ["rebalance"]):
            self.ring(*arguments)

    def ring(self, command: str, *arguments: str) -> None:
        done = CliRunner().invoke(ring, [command, str(self.etc / "object.builder"), *arguments])
        assert done.exit_code == 0, done.output

    def set_limit(self, limit: str) -> None:
        text = "[hash]\nprefix = a\n\n[storage-policy:0]\nname = gold\ndefault = yes\n"
        (self.etc / FILE_NAME).write_text(f"{text}packed_limit = {limit}\n")

    def location(self, name_hash: str) -> Location:
        return Location(Ring.load(str(self.etc / "object.ring")).partition(name_hash), name_hash)

    def store(self):  # type: ignore[no-untyped-def]
        """As a server makes it with the settings of now."""
        conf = {"ring_dir": str(self.etc), "devices": str(self.devices), "mount_check": "no"}
        return storage_servers(conf, remote_transports(conf)).devices.get("d1").objects(0)

    def fill(self) -> None:
        store = self.store()
        for number, name_hash in enumerate(HASHES):
            content = bytes([number]) * (70_000 if number == 0 else 100)
            with store.create(self.location(name_hash), len(content)) as writer:
                writer.write(content)
                writer.commit(ObjectData("/a/c/o", Timestamp(1), "text/plain", {}))

    def contents(self) -> list[int]:
        """The lengths of all objects, each read and checked."""
        lengths = []
        store = self.store()
        for number, name_hash in enumerate(HASHES):
            with store.open(self.location(name_hash)) as reader:
                content = b"".join(map(bytes, reader.read(0, 100_000)))
            assert content == bytes([number]) * len(content)
            lengths.append(len(content))
        return lengths

    def files(self) -> int:
        return len(list(self.devices.glob("d1/objects/*/*/*/*.data")))

    def pack(self, *options: str, status: int = 0) -> str:
        arguments = ["pack", "--devices", str(self.devices), "--ring-dir", str(self.etc), *options]
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == status, done.output
        return done.output


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


LENGTHS = [70_000] + 11 * [100]


def test_files_are_packed_once_a_policy_packs_and_unpacked_once_it_does_not(host: Host) -> None:
    host.set_limit("0")
    host.fill()
    assert host.files() == 12
    host.set_limit("64K")
    assert host.contents() == LENGTHS
    assert "d1/packed: 12 names checked, 11 changes with 1100 bytes moved" in host.pack()
    assert (host.files(), host.contents()) == (1, LENGTHS)
    assert "0 changes" in host.pack()
    host.set_limit("0")
    assert host.contents() == LENGTHS  # what is packed stays readable
    assert "11 changes with 1100 bytes moved" in host.pack("--unpack", "--rate", "1000", "--bytes-per-second", "1M")
    assert (host.files(), host.contents()) == (12, LENGTHS)


def test_a_policy_whose_limit_is_0_again_writes_files_beside_what_is_packed(host: Host) -> None:
    host.fill()
    host.set_limit("0")
    store = host.store()
    place = host.location(HASHES[5])
    store.delete(place, "/a/c/o", Timestamp(2))
    with store.create(host.location(HASHES[6]), 3) as writer:
        writer.write(b"new")
        writer.commit(ObjectData("/a/c/o", Timestamp(2), "text/plain", {}))
    assert len(list(host.devices.glob("d1/objects/*/*/*/*.ts"))) == 1
    assert host.files() == 2
    assert store.info(host.location(HASHES[6])).size == 3
    store.reclaim(place.partition, Timestamp(3))
    assert store.changes(place.partition, place.suffix).get(place.hash) is None  # what it deleted is gone, too


@pytest.mark.parametrize(
    ("limit", "options", "reason"),
    [
        ("0", [], "packed_limit"),
        ("64K", ["--policy", "7"], "no storage policy 7"),
        ("64K", ["--device", "d9"], "has no d9"),
        ("64K", ["--bytes-per-second", "fast"], "is not a size"),
    ],
)
def test_what_cannot_be_packed_is_refused(host: Host, limit: str, options: list[str], reason: str) -> None:
    host.set_limit(limit)
    assert reason in host.pack(*options, status=2)


def test_a_server_that_began_without_a_limit_must_be_restarted_first(tmp_path: Path) -> None:
    """It would answer 404 for what lies in volumes."""
    data = DataDir(str(tmp_path))
    prepare(data, 1, 1)
    with locked(data):  # as a server does
        pass
    began = os.stat(data.lock).st_mtime
    for changed, served, status in ((began + 60, True, 2), (began - 60, True, 0), (began + 60, False, 0)):
        shutil.rmtree(tmp_path / "devices" / "d1")
        (tmp_path / "devices" / "d1").mkdir()
        os.utime(data.cluster_conf, (changed, changed))
        with locked(data) if served else contextlib.nullcontext():
            os.utime(data.lock, (began, began))
            done = CliRunner().invoke(main, ["pack", "--data", data.root])
            assert (done.exit_code, "restart the server first" in done.stderr) == (status, status == 2)
    os.utime(data.cluster_conf, (began + 60, began + 60))
    (tmp_path / "devices" / "d1" / "packed").mkdir()
    with locked(data):  # it looks into volumes already
        assert CliRunner().invoke(main, ["pack", "--data", data.root]).exit_code == 0


def test_nothing_moves_while_the_partitions_of_the_ring_change(host: Host) -> None:
    host.ring("prepare-increase")
    assert "are being changed" in host.pack(status=2)


def test_a_damaged_object_is_reported_and_stays(host: Host) -> None:
    host.set_limit("0")
    host.fill()
    host.set_limit("64K")
    path = next(path for path in host.devices.glob("d1/objects/*/*/*/*.data") if path.stat().st_size < 1000)
    with path.open("r+b") as file:
        file.write(b"?")
    assert "1 changes could not be read" in host.pack(status=1)
    assert path.exists()
