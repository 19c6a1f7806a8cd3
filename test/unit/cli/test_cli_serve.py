"""`objstore serve` as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from objstore.assembly.data_dir import DataDir, prepare
from objstore.cli.main import main
from objstore.core.errors import ConfigError
from objstore.runtime import cluster_conf

Start = Callable[..., Any]


def serve(start: Start, data: Path, *options: str) -> Any:
    running = start("serve", "--data", str(data), "--bind", "127.0.0.1:0", "--workers", "1", *options)
    running.wait_for("objstore is ready")
    return running


def test_a_store_from_its_first_start_to_its_end(start: Start, log_in: Any, tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = serve(start, data)
    assert (data / "credentials.json").stat().st_mode & 0o777 == 0o600
    known = json.loads((data / "credentials.json").read_text())
    assert known["key"] not in running.said  # this is no terminal, but perhaps a log that others read
    assert str(data / "credentials.json") in running.said
    assert not [path for path in [data, *data.rglob("*")] if path.lstat().st_mode & 0o077 and not path.is_symlink()]
    client = log_in(known["endpoint"], known["user"], known["key"])
    client.ask("PUT", "/c")
    client.ask("PUT", "/c/o", b"content")
    assert client.ask("GET", "/c/o")[1] == b"content"

    # The account learns what the container holds.
    end = time.monotonic() + 20
    while client.ask("HEAD")[0]["X-Account-Bytes-Used"] != "7":
        assert time.monotonic() < end
        time.sleep(0.1)

    # Nobody else may use the directory, or the port.
    again = CliRunner().invoke(main, ["serve", "--data", str(data), "--bind", "127.0.0.1:0"])
    assert again.exit_code == 2
    assert f"another objstore serve (pid {running.process.pid}) runs on {data}" in again.stderr
    address = known["endpoint"].removeprefix("http://")
    other = CliRunner().invoke(main, ["serve", "--data", str(tmp_path / "other"), "--bind", address])
    assert other.exit_code == 2
    assert f"cannot listen on {address}: is in use" in other.stderr

    # New processes take over without a gap.
    running.process.send_signal(signal.SIGHUP)
    running.wait_for("reloading")
    for _ in range(20):
        assert client.ask("GET", "/c/o")[1] == b"content"
        time.sleep(0.02)

    before = time.monotonic()
    assert running.end() == 0
    assert time.monotonic() - before < 10
    assert "GET" not in running.said  # no line a request

    # A second start finds all as it was.
    serve(start, data)
    known = json.loads((data / "credentials.json").read_text())
    assert log_in(known["endpoint"], known["user"], known["key"]).ask("GET", "/c/o")[1] == b"content"


def test_a_server_that_was_killed_can_be_started_again_at_once(start: Start, log_in: Any, tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = serve(start, data)
    address = json.loads((data / "credentials.json").read_text())["endpoint"].removeprefix("http://")
    running.process.kill()
    running.process.wait()
    again = start("serve", "--data", str(data), "--bind", address, "--workers", "1")
    again.wait_for("objstore is ready")
    assert again.end() == 0


def test_a_wrong_configuration_is_told_without_a_traceback(start: Start, tmp_path: Path) -> None:
    data = DataDir(str(tmp_path / "data"))
    prepare(data, None, None)
    path = Path(data.proxy_conf)
    path.write_text(path.read_text().replace("[app:proxy-server]", "[app:proxy-server]\nsmall_body = much"))
    running = start("serve", "--data", data.root, "--bind", "127.0.0.1:0", "--workers", "2")
    assert running.process.wait(30) != 0
    assert "small_body = 'much'" in running.said
    assert "Traceback" not in running.said


@pytest.mark.parametrize(
    ("devices", "replicas", "reason"),
    [(3, None, "has 2 devices, not 3"), (None, 1, "has 2 replicas, not 1"), (2, 2, ""), (None, None, "")],
)
def test_numbers_other_than_those_of_the_first_start(
    tmp_path: Path, devices: int | None, replicas: int | None, reason: str
) -> None:
    data = DataDir(str(tmp_path))
    prepare(data, 2, 2)
    assert sorted(os.listdir(data.devices)) == ["d1", "d2"]
    if reason:
        with pytest.raises(ConfigError, match=reason):
            prepare(data, devices, replicas)
    else:
        prepare(data, devices, replicas)


def test_a_new_directory_packs_and_an_earlier_one_goes_on_without(tmp_path: Path) -> None:
    data = DataDir(str(tmp_path))
    conf = Path(data.cluster_conf)

    def packed_limit() -> int:
        prepare(data, None, None)
        return cluster_conf.load(data.etc).policies.default.packed_limit

    assert packed_limit() == 65536
    earlier = conf.read_text().replace("packed_limit = 64K\n", "")
    conf.write_text(earlier)
    assert packed_limit() == 0
    assert conf.read_text() == earlier


def test_more_replicas_than_devices_leave_nothing_behind(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["serve", "--data", str(tmp_path / "x"), "--replicas", "2"])
    assert result.exit_code == 2
    assert "2 replicas need as many devices, not 1" in result.stderr
    assert not os.path.exists(DataDir(str(tmp_path / "x")).cluster_conf)


@pytest.mark.parametrize("address", ["8080", "localhost", "127.0.0.1:99999", "127.0.0.1:"])
def test_addresses_that_are_none(tmp_path: Path, address: str) -> None:
    result = CliRunner().invoke(main, ["serve", "--data", str(tmp_path), "--bind", address])
    assert result.exit_code == 2
    assert "is not HOST:PORT" in result.stderr


def test_systemd_is_told_when_all_are_ready(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        sock.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        serve(start, tmp_path / "data")
        assert sock.recv(100) == b"READY=1"
