"""Daemons run by hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from objstore.assembly.cluster_dir import ClusterPlan, PlannedHost, make
from objstore.assembly.data_dir import DataDir, prepare
from objstore.cli.main import main
from objstore.runtime import recon_files

Start = Callable[..., Any]
OBJSTORE = Path(sys.executable).with_name("objstore")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataDir:
    made = DataDir(str(tmp_path_factory.mktemp("store")))
    prepare(made, None, None)
    return made


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([OBJSTORE, "daemon", *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_one_pass_in_a_directory_of_serve(data: DataDir) -> None:
    done = run(data.storage_conf, "object-updater", "container-updater", "--once")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "object-updater is finished",
        "container-updater is finished",
    ]
    report = json.loads((Path(data.devices) / ".recon" / "object-updater.json").read_text())
    assert report["last"]["failures"] == 0


def test_what_is_not_done_shows_in_the_status(tmp_path: Path) -> None:
    make(str(tmp_path), ClusterPlan((PlannedHost(1, 1, "127.0.0.1"),), 1, 1, 4, devices_root=str(tmp_path / "devices")))
    done = run(str(tmp_path / "object-server.conf"), "object-updater", "--once")  # there are no devices
    assert done.returncode == 1
    assert "object-updater stopped on an error" in done.stdout


def test_by_hand_all_is_audited_though_it_was_of_late(data: DataDir) -> None:
    rounds = Path(data.devices) / "d1" / "rounds" / "object-auditor.json"
    ended = []
    for _ in range(2):
        assert run(data.storage_conf, "object-auditor", "--once").returncode == 0
        ended.append(json.loads(rounds.read_text())["rounds"]["full"]["last_ended"])
    assert ended[0] < ended[1]


def test_what_a_running_daemon_tells_is_left_alone(data: DataDir) -> None:
    recon = Path(data.devices) / ".recon"
    state = {"name": "object-updater", "pid": os.getpid(), "started": time.time(), "passes_total": 7}
    recon_files.write(str(recon), "object-updater", state)
    try:
        assert run(data.storage_conf, "object-updater", "--once").returncode == 0
        assert json.loads((recon / "object-updater.json").read_text()) == state
    finally:
        recon_files.forget(str(recon), "object-updater")


def test_without_once_it_runs_until_told_to_stop(data: DataDir, tmp_path: Path) -> None:
    state = Path(data.devices) / ".recon" / "object-updater.json"
    state.unlink(missing_ok=True)
    with (tmp_path / "log").open("w") as file:
        process = subprocess.Popen([OBJSTORE, "daemon", data.storage_conf, "object-updater"], stderr=file)
        try:
            end = time.monotonic() + 30
            while not state.exists():
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    ("kind", "name", "said"), [("object", "container-updater", "no daemon container-updater"), ("proxy", "", "none")]
)
def test_a_daemon_of_another_server_is_refused(kind: str, name: str, said: str, tmp_path: Path) -> None:
    make(str(tmp_path), ClusterPlan((PlannedHost(1, 1, "127.0.0.1"),), 1, 1, 4, devices_root=str(tmp_path / "devices")))
    done = run(str(tmp_path / f"{kind}-server.conf"), name or "object-updater", "--once")
    assert done.returncode == 2
    assert said in done.stderr


def test_the_help_lists_daemons_and_examples() -> None:
    result = CliRunner().invoke(main, ["daemon", "--help"])
    assert "object-server: " in result.output
    assert "--once" in result.output
