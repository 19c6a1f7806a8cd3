"""The state of a cluster, and what is wrong with it, from what its hosts say."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from objstore.assembly.cluster_dir import ClusterPlan, PlannedHost, make
from objstore.assembly.data_dir import DataDir, locked, prepare
from objstore.cli.main import main
from objstore.cli.status import exit_status, shown_age, shown_size, view
from objstore.health.hosts import HostReport, reports
from objstore.health.probe import ServerAnswer, StorageHost
from objstore.health.problems import CRITICAL, NOTE, UNDER_WAY, WARNING, Problem, problems
from objstore.health.state import ClusterState, estimate, judge
from objstore.ring import Ring
from objstore.runtime.recon_files import write

NOW = 1_700_000_000.0
WEEK = 7 * 86400.0
DAEMONS = ("account-replicator", "container-replicator", "object-replicator", "object-auditor")
GIB = 1 << 30
MD5S = {"account": "a123456789abcdef", "container": "c123456789abcdef", "object": "0123456789abcdef"}


@pytest.fixture(scope="module")
def rings(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Ring]]:
    """Of four hosts with one device each."""
    etc = tmp_path_factory.mktemp("etc")
    make(str(etc), ClusterPlan(tuple(PlannedHost(1, zone, f"10.0.0.{zone}") for zone in range(1, 5)), 1, 3, 6))
    return [(name, Ring.load(str(etc / f"{name}.ring"))) for name in ("account", "container", "object")]


def daemon(ended: float = NOW - 60, **told: Any) -> dict[str, Any]:
    last = {"began": ended - 10, "ended": ended, "seconds": 10.0, "units": 5, "failures": 0}
    return {
        "alive": True,
        "started": NOW - 9000,
        "pass": None,
        "last": last,
        "broke_off": False,
        "told": {"devices": {"d1": told}},
    }


def compared(began: float = NOW - 70, ring_version: int = 5, **changes: Any) -> dict[str, Any]:
    """A pass that found, or made, all copies whole."""
    rings = dict.fromkeys(MD5S, ring_version)
    whole = {"began": began, "ended": NOW - 60, "rings": rings, "failures": 0, "handoffs_left": 0, "failed_peers": []}
    return {**whole, **changes}


def summary(**changes: Any) -> dict[str, Any]:
    """What a host says with which all is well."""
    device = {"mounted": True, "size": 100 * GIB, "used": 10 * GIB, "quarantined": {"objects": 0},
              "async_pending": 0, "partitions": {"objects": 48}, "late": False}  # fmt: skip
    return {
        "version": "1.0",
        "time": NOW,
        "load": {},
        "devices": {"d1": device},
        "rings": {name: {"version": 5, "md5": md5} for name, md5 in MD5S.items()},
        "settings": {"salt": "a", "policies": "b", "limits": "c", "ages": "d"},
        "daemons": {
            name: daemon(last_pass=NOW - 60, compared=compared(), full={"last_ended": NOW - 600}) for name in DAEMONS
        },
        "driveaudit": None,
        **changes,
    }


def device(**changes: Any) -> dict[str, Any]:
    return {"d1": {**summary()["devices"]["d1"], **changes}}


def look(rings: list[tuple[str, Ring]], /, **first: Any) -> tuple[ClusterState, list[Problem]]:
    """The state of four hosts, the first of which says something of its own."""
    well = [HostReport(f"10.0.0.{host}", summary(), {}, 0.0) for host in range(2, 5)]
    state = judge([HostReport("10.0.0.1", summary(**first), {}, 0.0), *well], rings, NOW)
    return state, problems(state, WEEK)


def test_a_cluster_that_is_well_has_no_problems(rings: list[tuple[str, Ring]]) -> None:
    state, wrong = look(rings)
    assert wrong == []
    assert [one.state for one in state.devices] == ["ok"] * 4
    assert sum(one.wanted for one in state.devices) == 3 * 3 * 64
    assert {one.replicated for one in state.devices} == {NOW - 60}
    assert state.progress == []


@pytest.mark.parametrize(
    ("said", "severity", "text"),
    [
        ({"devices": device(mounted=False)}, CRITICAL, "is not mounted"),
        ({"devices": {}}, CRITICAL, "is missing"),
        ({"devices": device(mounted=False, out="makes noises")}, WARNING, "was taken out: makes noises"),
        ({"driveaudit": {"devices": {"d1": {"failed": 2, "why": "EIO"}}}}, WARNING, "failed its write/read check: EIO"),
        ({"devices": device(late=True)}, CRITICAL, "does not answer"),
        ({"devices": device(late=True), "driveaudit": {"devices": {"d1": {"failed": 0}}}}, WARNING, "is slow"),
        ({"devices": device(error="Input/output error")}, CRITICAL, "cannot be read: Input/output error"),
        ({"devices": device(read_only=True)}, CRITICAL, "is read-only"),
        ({"devices": device(inodes=1000, inodes_avail=5)}, WARNING, "100% of its inodes in use"),
        ({"devices": device(used=95 * GIB)}, WARNING, "is 95% full"),
        ({"devices": device(used=50 * GIB)}, NOTE, "is 50% full, the average is 20%"),
        ({"devices": device(quarantined={"objects": 2, "containers": 1})}, WARNING, "3 damaged objects or databases"),
        ({"devices": device(async_pending=7)}, NOTE, "7 container updates are waiting"),
        ({"devices": device(async_pending=70_000)}, WARNING, "70000 container updates are waiting"),
        ({"devices": device() | {"old": device()["d1"]}}, WARNING, "is not in any ring, but holds 48 partitions"),
        ({"settings": {"salt": "x", "policies": "b", "limits": "c", "ages": "d"}}, CRITICAL, "different salt"),
        (
            {"rings": {"account": {"version": 4, "md5": "0" * 16}}},
            CRITICAL,
            "hosts have different versions: 4 (00000000)",
        ),
        ({"version": "0.9"}, NOTE, "different versions"),
        ({"daemons": {"object-replicator": {**daemon(), "alive": False}}}, WARNING, "not running: object-replicator"),
        (
            {"daemons": {"object-replicator": {**daemon(), "broke_off": True}}},
            WARNING,
            "the last pass stopped on an error",
        ),
        (
            {"driveaudit": {"devices": {"d1": {"errors": 3, "failed": 0}}}},
            WARNING,
            "3 errors in the kernel's log",
        ),
        (
            {"daemons": {"dark-objects": daemon(full={"last_counts": {"objects": 9, "dark": 3, "repaired": 1}})}},
            WARNING,
            "2 objects that no container lists",
        ),
        (
            {"daemons": {"dark-objects": daemon(full={"last_counts": {"objects": 9, "overdue": 3, "requeued": 2}})}},
            WARNING,
            "1 objects that should have expired long ago",
        ),
        (
            {"daemons": {"dangling-rows": daemon(full={"last_counts": {"rows": 9, "dangling": 1}})}},
            WARNING,
            "1 listing rows without an object",
        ),
        (
            {"daemons": {"container-sync": {**daemon(), "told": {"misconfigured": 2, "behind": 0}}}},
            WARNING,
            "2 containers should be synchronised with a cluster that is in no realm",
        ),
        (
            {"daemons": {"container-sync": {**daemon(), "told": {"misconfigured": 0, "behind": 7}}}},
            NOTE,
            "7 changes could not be sent yet",
        ),
        (
            {"daemons": {name: daemon(last_pass=NOW - 2 * 86400) for name in DAEMONS}},
            WARNING,
            "replicated 48 hours ago",
        ),
        (
            {"daemons": {name: daemon(last_pass=NOW - 4 * 86400) for name in DAEMONS}},
            CRITICAL,
            "replicated 4.0 days ago: deleted objects may reappear",
        ),
    ],
)
def test_what_one_host_says_is_found_to_be_wrong(
    rings: list[tuple[str, Ring]], said: dict[str, Any], severity: str, text: str
) -> None:
    _, wrong = look(rings, **said)
    found = [problem for problem in wrong if text in problem.what]
    assert found, wrong
    assert found[0].severity == severity


def test_a_host_that_does_not_answer_is_told_once_and_its_device_is_away(rings: list[tuple[str, Ring]]) -> None:
    server = StorageHost("object", "10.0.0.1", 6200)
    answers = [
        ServerAnswer(server, None, "refused"),
        ServerAnswer(server._replace(kind="account", port=6202), None, "refused"),
    ]
    well = [HostReport(f"10.0.0.{host}", summary(), {}, 0.0) for host in range(2, 5)]
    state = judge([*reports(answers, NOW), *well], rings, NOW)
    (problem,) = problems(state, WEEK)
    assert problem == Problem(CRITICAL, "10.0.0.1", "no server answers: refused")
    assert state.devices[0].state == "host away"


def test_one_of_a_hosts_servers_that_does_not_answer_is_named(rings: list[tuple[str, Ring]]) -> None:
    answers = [
        ServerAnswer(StorageHost("object", "10.0.0.1", 6200), summary()),
        ServerAnswer(StorageHost("account", "10.0.0.1", 6202), None, "refused"),
    ]
    (report,) = reports(answers, NOW)
    well = [HostReport(f"10.0.0.{host}", summary(), {}, 0.0) for host in range(2, 5)]
    (problem,) = problems(judge([report, *well], rings, NOW), WEEK)
    assert problem.what == "account server at 10.0.0.1:6202 does not answer: refused"


def test_a_clock_apart_from_the_others_is_found_whatever_our_own_says(rings: list[tuple[str, Ring]]) -> None:
    offsets = {"10.0.0.1": 100.0, "10.0.0.2": 100.1, "10.0.0.3": 90.0, "10.0.0.4": 99.9}
    state = judge([HostReport(ip, summary(), {}, offset) for ip, offset in offsets.items()], rings, NOW)
    (problem,) = problems(state, WEEK)
    assert (problem.where, problem.what) == ("10.0.0.3", "its clock is 10.0 s behind")


def test_a_pass_under_way_is_told_with_an_estimate(rings: list[tuple[str, Ring]]) -> None:
    at_work = daemon(
        partitions_done=25, partitions=100, handoffs=40, handoffs_left=10, last_pass=NOW - 60, compared=compared()
    )
    at_work["pass"] = {"began": NOW - 50, "units": 1, "failures": 0}
    state, wrong = look(rings, daemons={**summary()["daemons"], "object-replicator": at_work})
    this_pass, home = state.progress
    assert (this_pass.total, this_pass.left, this_pass.eta) == (100, 75, 150.0)
    assert (home.total, home.left) == (40, 10)
    assert home.eta == pytest.approx(50 / 3)
    assert state.devices[0].handoffs == 10
    assert wrong == [Problem(UNDER_WAY, "10.0.0.1/d1", "10 partitions are moving to other devices")]
    assert exit_status(wrong) == 3


FULL = {"accounts": 48, "containers": 48, "objects": 48}


def test_how_far_the_copies_of_a_lost_device_are_is_told(rings: list[tuple[str, Ring]]) -> None:
    """What its peers have besides their own stands in for it."""
    stands_in = {**FULL, "objects": 64}
    well = [HostReport(f"10.0.0.{host}", summary(devices=device(partitions=stands_in)), {}, 0.0) for host in (2, 3, 4)]
    state = judge([HostReport("10.0.0.1", summary(devices={}), {}, 0.0), *well], rings, NOW)
    (copies,) = state.progress
    assert copies.what == "copies of lost devices"
    assert (copies.total, copies.left) == (144, 144 - 3 * 16)


def test_a_device_that_is_empty_beside_full_ones_is_being_filled(rings: list[tuple[str, Ring]]) -> None:
    well = [HostReport(f"10.0.0.{host}", summary(devices=device(partitions=FULL)), {}, 0.0) for host in (2, 3, 4)]
    first = HostReport("10.0.0.1", summary(devices=device(partitions={"objects": 10})), {}, 0.0)
    state = judge([first, *well], rings, NOW)
    (filling,) = state.progress
    assert (filling.total, filling.left) == (144, 134)
    assert problems(state, WEEK) == [
        Problem(UNDER_WAY, "10.0.0.1/d1", "is being filled: 10 of about 144 partitions are present")
    ]


@given(st.lists(st.integers(10, 22), min_size=4, max_size=4))
def test_devices_that_hold_little_differ_by_chance(rings: list[tuple[str, Ring]], numbers: list[int]) -> None:
    hosts = [
        HostReport(f"10.0.0.{host}", summary(devices=device(partitions={"objects": number})), {}, 0.0)
        for host, number in enumerate(numbers, 1)
    ]
    assert problems(judge(hosts, rings, NOW), WEEK) == []


def test_a_ring_of_the_same_version_but_other_contents_is_found(rings: list[tuple[str, Ring]]) -> None:
    hosts = [HostReport(f"10.0.0.{host}", summary(), {}, 0.0) for host in range(1, 5)]
    digests = {**MD5S, "object": "f" * 32}
    version = rings[2][1].version
    report = {name: {"version": version, "md5": md5} for name, md5 in MD5S.items()}
    hosts = [one._replace(summary={**summary(), "rings": report}) for one in hosts]
    (problem,) = problems(judge(hosts, rings, NOW, digests), WEEK)
    assert problem.where == "object.ring"
    assert f"this host has {version} (ffffffff)" in problem.what


def test_a_ring_that_took_the_place_of_another_kinds_is_found(rings: list[tuple[str, Ring]]) -> None:
    report = {name: {"version": 5, "md5": "c123456789abcdef"} for name in ("container", "object")}
    _, wrong = look(rings, rings={**summary()["rings"], **report})
    assert Problem(CRITICAL, "object.ring", "is the same file as container.ring on 10.0.0.1") in wrong


def test_a_narrow_terminal_has_fewer_columns_and_none_is_cut(rings: list[tuple[str, Ring]]) -> None:
    state, wrong = look(rings)
    console = Console(width=80)
    with console.capture() as captured:
        console.print(view(state, wrong, 80))
    assert "…" not in captured.get()
    assert "replicated" in captured.get()
    assert "audited" not in captured.get().partition("Daemons")[0]


@pytest.mark.parametrize("wrong", ["0", "-1", "nan", "inf", "soon"])
def test_a_timeout_that_is_none_is_refused(wrong: str) -> None:
    result = CliRunner().invoke(main, ["status", "--timeout", wrong])
    assert result.exit_code == 2
    assert "Invalid value for '--timeout'" in result.output


@given(st.floats(0, 1e6), st.integers(1, 10**6), st.data())
def test_an_estimate_is_never_negative_and_nothing_left_takes_no_time(
    elapsed: float, total: int, data: st.DataObject
) -> None:
    left = data.draw(st.integers(0, total))
    eta = estimate(NOW, NOW + elapsed, total, left)
    assert eta is None or eta >= 0
    assert left or eta == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "?"), (0.24, "0.2 s"), (59, "59 s"), (180, "3 min"), (9000, "2 hours"), (1e6, "12 days")],
)
def test_time_spans_for_people(seconds: float | None, text: str) -> None:
    assert shown_age(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (150 * 1024, "150 KiB"), (3 << 40, "3.0 TiB")],
)
def test_sizes_for_people(size: int | None, text: str) -> None:
    assert shown_size(size) == text


def test_a_store_in_one_place_tells_its_devices(tmp_path: Path) -> None:
    data = DataDir(str(tmp_path / "data"))
    prepare(data, 2, 2)
    result = CliRunner().invoke(main, ["status", "--data", data.root, "--json"])
    report = json.loads(result.output)
    assert [(one["name"], one["state"]) for one in report["devices"]] == [("d1", "ok"), ("d2", "ok")]
    assert report["problems"][0]["what"] == "objstore serve does not answer: it is not running"
    assert not report["copies_whole"]
    assert result.exit_code == 1


def test_devices_that_share_a_file_system_share_its_room(tmp_path: Path) -> None:
    data = DataDir(str(tmp_path / "data"))
    prepare(data, 3, 2)
    with locked(data):
        result = CliRunner().invoke(main, ["status", "--data", data.root])
    size = shown_size(os.statvfs(data.root).f_blocks * os.statvfs(data.root).f_frsize)
    assert f"of {size} used" in result.output.splitlines()[0]
    # No daemon has ever run here, so that nobody knows where copies are.
    assert "Copies are being restored or moved" in result.output
    assert "no complete pass over its partitions" in result.output
    assert result.exit_code == 3


def test_a_store_of_one_device_has_all_its_copies_as_soon_as_it_starts(tmp_path: Path) -> None:
    """It said for a minute that the device came back and may lack copies, while there is no other to copy from."""
    data = DataDir(str(tmp_path / "data"))
    prepare(data, 1, 1)
    write(f"{data.devices}/.recon", "object-replicator", {**daemon(compared=None), "pid": os.getpid(), "started": NOW})
    with locked(data):
        result = CliRunner().invoke(main, ["status", "--data", data.root, "--json"])
    assert json.loads(result.output)["copies_whole"], result.output


def test_a_daemon_that_has_died_is_told_and_the_exit_status_says_so(tmp_path: Path) -> None:
    data = DataDir(str(tmp_path / "data"))
    prepare(data, 1, 1)
    state = {**daemon(), "pid": 2**22 + 1, "started": NOW, "passes_total": 1}
    write(f"{data.devices}/.recon", "object-replicator", state)
    with locked(data):
        result = CliRunner().invoke(main, ["status", "--data", data.root])
    assert result.exit_code == 1
    assert "daemons that are not running: object-replicator" in result.output
    assert "Action required" in result.output


def test_json_is_not_for_watching(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["status", "--data", str(tmp_path), "--json", "--watch", "1"])
    assert result.exit_code == 2
    assert "either --json or --watch" in result.output


def test_a_directory_of_neither_kind_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["status", "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "not created by `objstore serve`" in result.output


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"failures": 3}, "objects: 3 partitions could not be moved to their primaries"),
        ({"handoffs_left": 2}, "objects: 2 partitions could not be moved to their primaries"),
        ({"failed_peers": ["10.0.0.3:6200/d1"], "failures": 3}, "may lack copies: it could not be brought up to date"),
        (
            {"began": NOW - 10_000},
            "may lack copies: it came back, and has not been compared with all other replicas since",
        ),
        ({"rings": {"object": 4}}, "copies are still moving to where this ring places them"),
    ],
)
def test_status_does_not_say_all_is_well_while_copies_are_missing(
    rings: list[tuple[str, Ring]], said: dict[str, Any], text: str
) -> None:
    """It judged by the passes under way alone, and exited with 0 between two of them."""
    state = daemon(last_pass=NOW - 60, compared=compared(**said))
    _, wrong = look(rings, daemons={**summary()["daemons"], "object-replicator": state})
    assert {problem.severity for problem in wrong} == {UNDER_WAY}
    assert [problem.what for problem in wrong] == [text]
    assert exit_status(wrong) == 3


def test_a_replicator_that_has_just_started_does_not_know_yet(rings: list[tuple[str, Ring]]) -> None:
    state = {**daemon(compared=None), "started": NOW - 5}
    found, wrong = look(rings, daemons={**summary()["daemons"], "object-replicator": state})
    assert [gap.disk for gap in found.copies.lacking] == [("10.0.0.1", "d1")]
    assert [gap.disk for gap in found.copies.unfinished] == [("10.0.0.1", "d1")]
    assert exit_status(wrong) == 3


def test_the_clocks_of_hosts_may_differ(rings: list[tuple[str, Ring]]) -> None:
    """A host an hour ahead came back before the others' passes began, though its clock says otherwise."""
    first = summary()
    for state in first["daemons"].values():
        state["started"] = NOW - 100 + 3600
        state["told"]["devices"]["d1"]["compared"] = compared(NOW - 70 + 3600)
    well = [HostReport(f"10.0.0.{host}", summary(), {}, 0.0) for host in range(2, 5)]
    state = judge([HostReport("10.0.0.1", first, {}, 3600.0), *well], rings, NOW)
    assert state.copies.are_whole


def test_exit_statuses() -> None:
    found = {severity: exit_status([Problem(severity, "", "")]) for severity in (CRITICAL, WARNING, UNDER_WAY, NOTE)}
    assert found == {CRITICAL: 1, WARNING: 1, UNDER_WAY: 3, NOTE: 0}
    assert exit_status([]) == 0


def test_waiting_is_bounded_and_ends_with_the_status_of_the_last_look(tmp_path: Path) -> None:
    data = DataDir(str(tmp_path / "data"))
    prepare(data, 2, 2)
    with locked(data):
        began = time.monotonic()
        result = CliRunner().invoke(main, ["status", "--data", data.root, "--wait", "--timeout", "0.5"])
    assert 0.5 <= time.monotonic() - began < 20
    assert result.exit_code == 3
    assert "no complete pass" in result.output
    wrong = CliRunner().invoke(main, ["status", "--data", data.root, "--wait", "--watch", "1"])
    assert wrong.exit_code == 2


def test_a_disk_that_another_one_replaced_may_lack_copies(rings: list[tuple[str, Ring]]) -> None:
    """Seconds after two of three disks were replaced by empty ones, `status` said that all is well."""
    present = {"identity": "1/2", "since": NOW - 5000}
    state = daemon(last_pass=NOW - 60, compared=compared(), present=present)
    daemons = {**summary()["daemons"], "object-replicator": state}
    found, wrong = look(rings, daemons=daemons, devices=device(identity="1/2"))
    assert wrong == []
    found, wrong = look(rings, daemons=daemons, devices=device(identity="1/3"))
    assert [gap.disk for gap in found.copies.lacking] == [("10.0.0.1", "d1")]
    present |= {"identity": "1/3", "since": NOW - 5}  # the replicator has seen it, and compares
    found, wrong = look(rings, daemons=daemons, devices=device(identity="1/3"))
    assert [gap.disk for gap in found.copies.lacking] == [("10.0.0.1", "d1")]
    present["since"] = NOW - 80
    assert look(rings, daemons=daemons, devices=device(identity="1/3"))[1] == []


# Small objects in volumes


def test_volumes_of_a_device_are_shown_with_live_and_dead_bytes(rings: list[tuple[str, Ring]]) -> None:
    daemons = summary()["daemons"] | {
        "object-compactor": daemon(volumes=3, live_bytes=5 * GIB, dead_bytes=2 * GIB, full={})
    }
    state, wrong = look(rings, daemons=daemons)
    first, second = state.devices[:2]
    assert (first.volumes, first.packed_live, first.packed_dead) == (3, 5 * GIB, 2 * GIB)
    assert second.volumes == 0
    console = Console(width=160, record=True)
    console.print(view(state, wrong, 160))
    row = next(line for line in console.export_text().splitlines() if "10.0.0.1" in line)
    assert "5.0 GiB" in row
    assert "2.0 GiB" in row


def test_partitions_whose_objects_are_all_packed_count(rings: list[tuple[str, Ring]]) -> None:
    """They have no directories: the replicator counts them."""
    daemons = summary()["daemons"] | {
        "object-replicator": daemon(last_pass=NOW - 60, compared=compared(), partitions=40)
    }
    state, wrong = look(rings, daemons=daemons, devices=device(partitions={}))
    assert state.devices[0].partitions == 40
    assert not wrong
