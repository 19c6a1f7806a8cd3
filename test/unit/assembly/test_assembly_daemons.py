"""Which daemons run, and in which processes."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.assembly.apps import remote_transports, storage_servers
from objstore.assembly.cluster_dir import ClusterPlan, PlannedHost, make
from objstore.assembly.daemons import DUTIES, grouped
from objstore.assembly.kinds import KINDS, daemon_choice
from objstore.assembly.servers import Launch
from objstore.assembly.surroundings import Surroundings
from objstore.runtime import log, recon_files

NAMES = ("object-updater", "object-replicator", "object-auditor", "expirer", "container-auditor", "account-replicator")


def shown(names: tuple[str, ...], most: int) -> list[tuple[tuple[str, ...], bool]]:
    return [(group.names, group.heavy) for group in grouped(names, most)]


def test_what_reads_much_runs_apart_from_what_delivers() -> None:
    assert shown(NAMES[:4], 3) == [
        (("object-updater", "expirer"), False),
        (("object-replicator",), True),
        (("object-auditor",), True),
    ]


def test_with_fewer_processes_the_heavy_ones_share_first() -> None:
    assert shown(NAMES[:4], 2) == [
        (("object-updater", "expirer"), False),
        (("object-replicator", "object-auditor"), True),
    ]


def test_in_one_process_nothing_gives_way() -> None:
    assert shown(NAMES[:4], 1) == [
        (("object-updater", "expirer", "object-replicator", "object-auditor"), False),
    ]


def test_no_daemons_no_process() -> None:
    assert grouped((), 3) == []


@given(st.sets(st.sampled_from(sorted({*NAMES, *DUTIES}))), st.integers(1, 5))
def test_each_daemon_runs_in_one_process(names: set[str], most: int) -> None:
    groups = grouped(sorted(names), most)
    assert len(groups) <= most
    assert sorted(name for group in groups for name in group.names) == sorted(names)
    assert len({group.title for group in groups}) == len(groups)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [("yes", ("a", "b")), ("no", ()), ("b", ("b",)), ("b, a", ("b", "a")), ("off", ())],
)
def test_daemons_are_chosen_by_name(text: str, chosen: tuple[str, ...]) -> None:
    assert daemon_choice(("a", "b"))(text) == chosen


def test_a_daemon_of_no_such_name_is_refused() -> None:
    with pytest.raises(ValueError, match="names out of a, b"):
        daemon_choice(("a", "b"))("a, c")


def test_every_duty_runs_beside_one_server() -> None:
    everywhere = [name for kind in KINDS.values() for name in kind.daemons]
    assert sorted(everywhere) == sorted(DUTIES)


def test_a_server_runs_the_daemons_chosen_in_processes_of_their_kind(start: Callable[..., Any], tmp_path: Path) -> None:
    make(
        str(tmp_path),
        ClusterPlan((PlannedHost(1, 1, "127.0.0.1"),), 1, 1, 4, devices_root=str(tmp_path / "node"), mount_check=False),
    )
    (tmp_path / "node" / "d1").mkdir(parents=True)
    conf = tmp_path / "object-server.conf"
    text = "[DEFAULT]\nworkers = 1\ndaemons = object-auditor object-updater\ndaemon_nice = 3\n"
    conf.write_text(conf.read_text().replace("[DEFAULT]\n", text))
    states = tmp_path / "node" / ".recon"
    recon_files.write(str(states), "object-replicator", {"pid": 1})  # from a time when it ran
    server = start("objstore-object-server", str(conf), "--bind-ip", "127.0.0.1", "--bind-port", "0")
    server.wait_for("is ready")
    children = psutil.Process(server.process.pid).children()
    own = os.nice(0)
    assert sorted(child.nice() for child in children) == [own, own, max(own, 3)]
    end = time.monotonic() + 20
    while {path.name for path in states.glob("*.json")} != {"object-auditor.json", "object-updater.json"}:
        assert time.monotonic() < end
        time.sleep(0.05)
    pids = {json.loads(path.read_text())["pid"] for path in states.glob("*.json")}
    assert len(pids) == 2
    assert pids < {child.pid for child in children}
    assert server.end() == 0


def test_a_daemon_that_a_server_does_not_have_is_told_at_its_start(start: Callable[..., Any], tmp_path: Path) -> None:
    make(str(tmp_path), ClusterPlan((PlannedHost(1, 1, "127.0.0.1"),), 1, 1, 4, devices_root=str(tmp_path)))
    conf = tmp_path / "object-server.conf"
    conf.write_text(conf.read_text().replace("[DEFAULT]\n", "[DEFAULT]\ndaemons = container-updater\n"))
    server = start("objstore-object-server", str(conf), "--bind-port", "0")
    assert server.process.wait(30) == 2
    assert "daemons = 'container-updater'" in server.said


def test_a_server_whose_file_names_no_port_knows_its_own_devices_by_the_port_of_its_kind(tmp_path: Path) -> None:
    """Daemons took such a port for 0, and so no device of the rings for theirs."""
    plan = ClusterPlan(
        (PlannedHost(1, 1, "127.0.0.1"),), 1, 1, 4, devices_root=str(tmp_path / "node"), mount_check=False
    )
    make(str(tmp_path), plan)
    (tmp_path / "node" / "d1").mkdir(parents=True)
    path = tmp_path / "object-server.conf"
    text = re.sub(r"(?m)^bind_port = .*\n", "", path.read_text())
    path.write_text(text.replace("[DEFAULT]\n", "[DEFAULT]\nbind_ip = 127.0.0.1\nlog_to = none\n", 1))
    conf = Launch(KINDS["object"], str(path), {}).conf()
    transports = remote_transports(conf)
    around = Surroundings(conf, storage_servers(conf, transports).devices, transports, log.from_conf(conf))
    assert around.is_own(around.ring("object")().primaries(0)[0])
