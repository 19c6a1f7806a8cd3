"""Auditors made from a configuration, on a store of one device."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from objstore.assembly.data_dir import DataDir, prepare
from objstore.assembly.duties import auditors
from objstore.assembly.kinds import KINDS
from objstore.core.names import HashSalt, Location, Name
from objstore.core.timestamps import TICKS, Timestamp
from objstore.ring import Ring
from objstore.runtime import cluster_conf
from objstore.store.interface import ObjectData
from objstore.store.objects.replica_store import FileReplicaStore

OBJSTORE = Path(sys.executable).with_name("objstore")
DUTIES = (
    auditors.ACCOUNT_AUDITOR,
    auditors.CONTAINER_AUDITOR,
    auditors.DANGLING_ROWS,
    auditors.DARK_OBJECTS,
    auditors.OBJECT_AUDITOR,
)


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    made = DataDir(str(tmp_path))
    prepare(made, None, None)
    return made


def put(data: DataDir, salt: HashSalt) -> Path:
    """An object that was written long ago, in a container that is not there; its file."""
    name = Name("a", "c", "o")
    location = Location(Ring.load(f"{data.etc}/object.ring").partition(salt.hash(name)), salt.hash(name))
    store = FileReplicaStore(f"{data.devices}/d1")
    with store.create(location, 7) as writer:
        writer.write(b"content")
        writer.commit(ObjectData(name.path, Timestamp(1_000_000_000 * TICKS), "text/plain", {}))
    (path,) = Path(store.layout.hash_dir(location)).glob("*.data")
    return path


def test_all_go_a_round_when_they_first_see_a_device(data: DataDir) -> None:
    path = put(data, cluster_conf.load(data.etc).salt)
    with open(path, "r+b") as file:
        file.write(b"C")
    names = [duty.name for duty in DUTIES]
    done = subprocess.run(
        [OBJSTORE, "daemon", data.storage_conf, *names, "--once"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = {}
    for name in names:
        said[name] = json.loads((Path(data.devices) / "d1" / "rounds" / f"{name}.json").read_text())["rounds"]
        assert said[name]["full"]["last_ended"] > 0
    # Whichever of the two was first: what is rotten is seen by its metadata, too, until it is put away.
    assert said["object-auditor"]["full"]["last_counts"]["quarantined"] == 1
    assert said["dark-objects"]["full"]["last_counts"] in ({}, {"objects": 1, "without_container": 1})
    assert not path.exists()
    told = json.loads((Path(data.devices) / ".recon" / "object-auditor.json").read_text())["told"]
    assert told["quarantined_total"] == 1
    assert told["devices"]["d1"]["full"]["last_ended"] > 0


def test_each_runs_beside_one_server() -> None:
    running = [name for kind in KINDS.values() for name in kind.daemons]
    for duty in DUTIES:
        assert running.count(duty.name) == 1
        assert all(setting.name.startswith(duty.name.replace("-", "_")) for setting in duty.settings)


@pytest.mark.parametrize("text", ["-1", "inf", "nan", "much"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        auditors.rate(text)


def test_all_settings_have_defaults() -> None:
    for duty in DUTIES:
        assert all(each.read({}) is not None for each in duty.settings)
