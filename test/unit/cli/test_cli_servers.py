"""The servers, each a process tree of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from objstore.assembly.cluster_dir import ClusterPlan, PlannedHost, make
from objstore.assembly.kinds import KINDS
from objstore.cli.servers import command

Start = Callable[..., Any]


def test_a_cluster_of_two_hosts_made_by_init(
    start: Start, log_in: Any, free_ports: Callable[..., int], tmp_path: Path
) -> None:
    first = free_ports(4)
    made, hosts = tmp_path / "cluster", ["127.0.0.1", "127.0.0.2"]
    options = ["--replicas", "2", "--part-power", "4", "--no-mount-check", "--proxy-port", str(first + 3)]
    for ip in hosts:
        options += ["--host", f"{ip}:{first}"]
        (tmp_path / ip / "d1").mkdir(parents=True)
    assert start("init", str(made), *options).process.wait(30) == 0
    for kind in ("account", "container", "object"):
        conf = made / KINDS[kind].conf_name
        conf.write_text(conf.read_text().replace("[DEFAULT]", "[DEFAULT]\ncontainer_updater_interval = 1s"))
    servers = [
        start(f"objstore-{kind}-server", str(made / f"{kind}-server.conf"), "--bind-ip", ip, "--workers", "1",
              *(() if kind == "proxy" else ("--devices", str(tmp_path / ip))))
        for ip in hosts
        for kind in KINDS
        if kind != "proxy" or ip == hosts[0]
    ]  # fmt: skip
    for server in servers:
        server.wait_for("is ready")

    user = json.loads((made / "users.json").read_text())["users"]["admin:admin"]
    client = log_in(f"http://127.0.0.1:{first + 3}", "admin:admin", user["key"])
    client.ask("PUT", "/c")
    for number in range(5):
        client.ask("PUT", f"/c/o{number}", b"x" * 70_000)  # too large to be packed
    assert client.ask("GET", "/c/o3")[1] == b"x" * 70_000
    assert len(client.ask("GET", "/c")[1].split()) == 5
    for ip in hosts:
        assert len(list((tmp_path / ip).glob("d1/objects/*/*/*/*.data"))) == 5
    end = time.monotonic() + 20
    while client.ask("HEAD")[0]["X-Account-Object-Count"] != "5":
        assert time.monotonic() < end
        time.sleep(0.1)
    assert [server.end() for server in servers] == [0] * len(servers)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cluster")
    make(str(directory), ClusterPlan((PlannedHost(1, 1, "127.0.0.1"),), 1, 1, 4, devices_root=str(directory)))
    return directory


@pytest.mark.parametrize(
    ("kind", "old", "new", "reason"),
    [
        ("object", "[DEFAULT]", "[DEFAULT]\nworkers = many", "workers = 'many'"),
        ("object", "egg:objstore#recon", "egg:objstore#rekon", "rekon"),
        ("object", "[filter:recon]", "[filter:other]", "recon"),
        ("object", "[pipeline:main]", "[pipeline:other]", "main"),
        ("object", "[DEFAULT]", "[DEFAULT]\nthreads_per_disk = 0", "threads_per_disk = '0'"),
        ("object", "[DEFAULT]", "[DEFAULT]\nuser = nobody-of-this-name", "no such user"),
        ("proxy", "ring_dir = %(here)s", "ring_dir = /nowhere", "/nowhere/objstore.conf"),
        ("proxy", "token.key", "no.key", "no.key: No such file"),
        ("proxy", "[DEFAULT]", "no section", "no section"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_with_status_2(
    cluster: Path, start: Start, kind: str, old: str, new: str, reason: str
) -> None:
    text = (cluster / f"{kind}-server.conf").read_text()
    assert old in text
    conf = cluster / "wrong.conf"
    conf.write_text(text.replace(old, new, 1))
    running = start(f"objstore-{kind}-server", str(conf), "--bind-ip", "127.0.0.1", "--bind-port", "0")
    assert running.process.wait(30) == 2, running.said
    assert reason in running.said
    assert running.said.startswith("Error: ")
    assert running.said.count("\n") == 1


def test_a_port_in_use_is_told(cluster: Path, start: Start, free_ports: Callable[..., int]) -> None:
    port = str(free_ports(1))
    arguments = ("objstore-account-server", str(cluster / "account-server.conf"), "--bind-port", port, "--workers", "1")
    start(*arguments).wait_for("is ready")
    second = start(*arguments)
    assert second.process.wait(30) == 2
    assert second.said == f"Error: cannot listen on 0.0.0.0:{port}: is in use\n"


@pytest.mark.parametrize("kind", KINDS)
def test_each_server_has_help_with_examples(kind: str) -> None:
    result = CliRunner().invoke(command(KINDS[kind]), ["--help"])
    assert result.exit_code == 0
    assert f"objstore-{kind}-server /etc/objstore/{kind}-server.conf" in result.output
