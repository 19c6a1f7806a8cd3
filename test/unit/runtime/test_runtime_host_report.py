"""What a storage host tells of itself."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from objstore.core.errors import ConfigError
from objstore.runtime import cluster_conf, recon_files
from objstore.runtime.device_counts import Counted, DeviceCounts, spooled
from objstore.runtime.host_report import TOPICS, Host, Paths, settings_digest

CONF = "[hash]\nsuffix = secret\n[storage-policy:0]\nname = gold\n[limits]\nmax_file_size = 5G\n"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    for directory in ("etc", "node/d1/quarantined/objects-1/h1", "node/d2/async_pending/abc", "node/.recon"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "node/d2/async_pending/abc/one").touch()
    (tmp_path / "etc/object.ring").write_bytes(b"ring")
    (tmp_path / "etc/objstore.conf").write_text(CONF)
    return Paths(str(tmp_path / "node"), str(tmp_path / "etc"), str(tmp_path / "node/.recon"), mount_check=False)


def daemon_state(**changes: Any) -> dict[str, Any]:
    return {"name": "object-updater", "pid": os.getpid(), "started": time.time(), "passes_total": 1, **changes}


def test_a_summary_tells_all_that_a_cluster_is_watched_by(paths: Paths) -> None:
    recon_files.write(paths.recon, "object-updater", daemon_state())
    recon_files.write(paths.recon, "driveaudit", {"drive_audit_errors": 0})
    told = Host(paths, lambda path: 7).summary()
    assert json.loads(json.dumps(told)) == told
    assert set(told["devices"]) == {"d1", "d2"}  # not .recon
    assert told["devices"]["d1"]["quarantined"] == {"accounts": 0, "containers": 0, "objects": 1}
    assert told["devices"]["d2"]["async_pending"] == 1
    assert told["devices"]["d2"]["size"] > told["devices"]["d2"]["avail"] >= 0
    assert told["rings"]["object"]["version"] == 7
    assert len(told["settings"]["digest"]) == 16
    assert told["daemons"]["object-updater"]["alive"]
    assert told["driveaudit"] == {"drive_audit_errors": 0}
    assert told["uptime"] > 0
    assert set(TOPICS) >= {"summary", "daemons", "quarantined", "driveaudit", "rings"}


def test_a_ring_that_changes_is_read_again_and_only_then(paths: Paths) -> None:
    asked: list[str] = []

    def version(path: str) -> int:
        asked.append(path)
        return len(asked)

    host = Host(paths, version)
    assert [host.rings()["object"]["version"] for _ in range(3)] == [1, 1, 1]
    Path(paths.rings, "object.ring").write_bytes(b"another ring")
    assert host.rings()["object"]["version"] == 2


def test_a_damaged_ring_has_no_version(paths: Paths) -> None:
    def version(path: str) -> int:
        raise ConfigError("damaged")

    told = Host(paths, version).rings()["object"]
    assert told["version"] is None
    assert told["md5"]


def test_a_device_that_is_not_mounted_is_not_counted(paths: Paths) -> None:
    told = Host(paths._replace(mount_check=True)).summary()["devices"]["d1"]
    assert (told["mounted"], told["size"], told["quarantined"]["objects"]) == (False, None, 0)


def test_a_device_that_does_not_answer_holds_up_no_other() -> None:
    stuck = threading.Event()

    def count(name: str) -> Counted:
        if name == "bad":
            stuck.wait(10)
        return Counted(True, async_pending=3)

    counts = DeviceCounts(count, age=0)
    for _ in range(2):  # the second does not start another thread for it
        told = counts.get(["good", "bad"], patience=0.05)
        assert (told["good"].async_pending, told["good"].late, told["bad"].late) == (3, False, True)
    stuck.set()
    assert not counts.get(["bad"], patience=5)["bad"].late


def test_counts_are_kept_for_some_seconds() -> None:
    now, asked = [100.0], []

    def count(name: str) -> Counted:
        asked.append(name)
        return Counted(True)

    counts = DeviceCounts(count, age=5, monotonic=lambda: now[0])
    for when in (100.0, 104.0, 106.0):
        now[0] = when
        counts.get(["d1"])
    assert asked == ["d1", "d1"]


def test_spools_of_all_policies_are_counted(tmp_path: Path) -> None:
    for spool in ("async_pending", "async_pending-1"):
        (tmp_path / spool / "abc").mkdir(parents=True)
        (tmp_path / spool / "abc" / "one").touch()
    assert spooled(str(tmp_path)) == 2


def test_hosts_agree_by_their_digests_and_differ_in_what_differs(tmp_path: Path) -> None:
    def digest(text: str) -> dict[str, str]:
        (tmp_path / "objstore.conf").write_text(text)
        return settings_digest(cluster_conf.load(str(tmp_path)))

    first = digest(CONF)
    assert digest(CONF + "# a comment\n") == first
    for old, new, part in (("secret", "other", "salt"), ("gold", "silver", "policies"), ("5G", "6G", "limits")):
        other = digest(CONF.replace(old, new))
        assert {name for name in first if other[name] != first[name]} == {part, "digest"}


def test_a_missing_configuration_is_told_of(paths: Paths) -> None:
    Path(paths.rings, "objstore.conf").unlink()
    assert "objstore.conf" in Host(paths).settings()["error"]


def test_a_daemon_whose_process_has_ended_is_not_alive(paths: Paths) -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    recon_files.write(paths.recon, "object-updater", daemon_state(pid=child))
    recon_files.write(paths.recon, "container-updater", daemon_state(started=0.0))  # its number is another's now
    recon_files.write(paths.recon, "driveaudit", {})
    assert {name: told["alive"] for name, told in Host(paths).daemons().items()} == {
        "object-updater": False,
        "container-updater": False,
    }


def test_what_is_half_written_counts_as_not_told(tmp_path: Path) -> None:
    recon_files.write(str(tmp_path / "new"), "one", {"a": 1})
    (tmp_path / "new/two.json").write_text('{"a":')
    assert recon_files.read_all(str(tmp_path / "new")) == {"one": {"a": 1}}
    assert recon_files.read(str(tmp_path / "nowhere"), "one") is None
    assert recon_files.directory("", "/srv/node") == "/srv/node/.recon"
    assert recon_files.directory("/var/cache/objstore", "/srv/node") == "/var/cache/objstore"
