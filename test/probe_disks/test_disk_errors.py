"""Disks that fail: what clients see meanwhile, and that all is as it was afterwards."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from typing import Any

import pytest
from harness.client import Client
from harness.disks.faulty import FaultyDisk
from harness.invariants import check_cluster
from harness.ledger import Ledger, content, load, write
from harness.processes import command

Hosts = Any  # as in conftest.py
_NOTICED = 3  # seconds after which servers know that a disk is not mounted any more
_ANSWER_SECONDS = 30  # that any answer may take while a disk hangs


def fill(client: Client, ledger: Ledger, count: int = 40) -> None:
    for number in range(count):
        write(client, ledger, f"object-{number:03}", number + 1)
    assert not ledger.failures


def read_all(client: Client, ledger: Ledger) -> Counter[int]:
    """Statuses of GETs of all objects; what is answered 200 is right."""
    statuses: Counter[int] = Counter()
    for name, versions in sorted(ledger.possible.items()):
        answer = client.get(f"{ledger.container}/{name}")
        statuses[answer.status] += 1
        assert answer.status != 200 or answer.body in [content(name, version) for version in versions if version]
    return statuses


def sound(client: Client, ledger: Ledger) -> bool:
    return read_all(client, ledger) == {200: len(ledger.possible)} and len(client.names(ledger.container)) == len(
        ledger.possible
    )


def wait_until_sound(client: Client, ledger: Ledger, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not sound(client, ledger):
        assert time.monotonic() < end, f"{read_all(client, ledger)}, {len(client.names(ledger.container))} are listed"
        time.sleep(0.5)


@pytest.mark.parametrize("which", [[1], [3], [4], [1, 2, 3, 4]], ids=["ext4", "xfs", "btrfs", "all"])
def test_read_errors_that_pass_leave_nothing_in_quarantine(
    hosts: Hosts, client: Client, ledger: Ledger, which: list[int]
) -> None:
    """An error in reading says nothing about the content: nobody may answer that there is none."""
    fill(client, ledger)
    hosts.forget_cached()
    for host in which:
        hosts.disks[host].set(read_eio=1)
    for host in which:
        hosts.disks[host].forget_cached()
    seen: Counter[int] = Counter()
    end = time.monotonic() + 3
    while time.monotonic() < end:
        seen += read_all(client, ledger)
        seen[client.get(ledger.container).status] += 1
        seen[client.get().status] += 1
    assert any(hosts.disks[host].get("faults") for host in which)
    hosts.rest()
    assert seen.keys() <= ({200} if len(which) == 1 else {200, 503, 507}), seen
    wait_until_sound(client, ledger)
    assert not hosts.cluster.quarantined()


def test_bad_sectors_of_one_copy_are_read_elsewhere(hosts: Hosts, client: Client, ledger: Ledger) -> None:
    fill(client, ledger)
    hosts.forget_cached()
    for name in sorted(ledger.possible)[:6]:
        place = hosts.cluster.locate(client.account, ledger.container, name)
        host = place.primaries[0]
        copy = hosts.cluster.copies(place)[host]
        disk: FaultyDisk = hosts.disks[host]
        disk.set_bad(disk.extents(copy.path, copy.start, copy.end))
        disk.forget_cached()
        hosts.cluster.damaged.add(place.hash)  # if it stays so for minutes it is put into quarantine, with reason
        for _ in range(6):
            answer = client.get(f"{ledger.container}/{name}")
            assert answer.status == 200
            assert answer.body in [content(name, version) for version in ledger.possible[name] if version]
        disk.heal()


@pytest.mark.parametrize("host", [1, 3, 4], ids=["ext4", "xfs", "btrfs"])
def test_a_disk_that_fails_for_good_is_done_without(hosts: Hosts, client: Client, ledger: Ledger, host: int) -> None:
    fill(client, ledger)
    hosts.forget_cached()
    with load(lambda: client.with_token(client.token), ledger, writers=2):
        hosts.disks[host].set(read_eio=1, write_eio=1, flush_eio=1)
        hosts.disks[host].forget_cached()
        ledger.grow()
    assert set(read_all(client, ledger)) <= {200, 404}
    ledger.assert_served()
    hosts.repair(host)


@pytest.mark.parametrize("seconds", [10, 60], ids=["for a while", "for good"])
def test_a_disk_that_hangs_delays_nobody_for_long(hosts: Hosts, client: Client, ledger: Ledger, seconds: float) -> None:
    """Also in the middle of a body: the next copy takes over at the right byte."""
    fill(client, ledger)
    hosts.forget_cached()
    hosts.disks[3].set(hang=1)
    end = time.monotonic() + seconds
    longest = 0.0
    while time.monotonic() < end:
        for name in sorted(ledger.possible):
            started = time.monotonic()
            answer = client.get(f"{ledger.container}/{name}")
            longest = max(longest, time.monotonic() - started)
            assert answer.status == 200
            assert answer.body in [content(name, version) for version in ledger.possible[name] if version]
        started = time.monotonic()
        write(client, ledger, f"new-{time.monotonic_ns()}", 1)
        longest = max(longest, time.monotonic() - started)
    hosts.disks[3].heal()
    assert longest < _ANSWER_SECONDS
    ledger.assert_served()


def test_a_slow_disk_is_waited_for(hosts: Hosts, client: Client, ledger: Ledger) -> None:
    fill(client, ledger)
    hosts.forget_cached()
    hosts.disks[2].set(delay_us=500_000)
    with load(lambda: client.with_token(client.token), ledger, writers=2):
        ledger.grow(20)
    assert read_all(client, ledger).keys() <= {200, 404}
    hosts.disks[2].heal()
    ledger.assert_served()


def test_a_disk_without_inodes_takes_no_writes_and_is_told_of(make_hosts: Any) -> None:
    hosts = make_hosts("ext4 of few inodes", "ext4", "xfs", "btrfs")
    client = hosts.cluster.client()
    assert client.put("probe").status == 201
    ledger = Ledger("probe")
    fill(client, ledger, 10)
    filler = hosts.disks[1].mount_point / "filler"
    filler.mkdir()
    with pytest.raises(OSError, match="No space"):
        for number in range(10_000):
            (filler / str(number)).touch()
    with load(lambda: client.with_token(client.token), ledger, writers=2):
        ledger.grow()
    ledger.assert_served()
    arguments = command("status", "--ring-dir", str(hosts.cluster.etc))
    status = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert status.returncode != 0, status.stdout
    for path in filler.iterdir():
        path.unlink()
    filler.rmdir()
    client.close()
    hosts.rest()
    check_cluster(hosts.cluster, ledger)


def test_servers_do_not_go_on_below_a_disk_that_vanishes(hosts: Hosts, client: Client, ledger: Ledger) -> None:
    """Copies would be hidden by the disk once it is mounted again. What is on its way may land there and not count."""
    fill(client, ledger)
    disk: FaultyDisk = hosts.disks[3]

    def below() -> list[str]:
        return sorted(str(path) for path in disk.mount_point.rglob("*") if path.is_file())

    with load(lambda: client.with_token(client.token), ledger, writers=3):
        ledger.grow(20)
        disk.unmount(lazily=True)
        time.sleep(_NOTICED)
        before = below()
        ledger.grow(60)
        after = below()
        disk.mount()
    assert after == before
    ledger.assert_served()


def test_a_disk_that_was_taken_out_can_be_unmounted(hosts: Hosts, client: Client, ledger: Ledger) -> None:
    fill(client, ledger)
    devices = ("--devices", str(hosts.cluster.devices(1)))
    subprocess.run(command("disk", "out", "d1", "--why", "a test", *devices), check=True, timeout=60)
    end = time.monotonic() + 60
    while True:
        try:
            hosts.disks[1].unmount()
            break
        except AssertionError:
            assert time.monotonic() < end, os.popen(f"fuser -vm {hosts.disks[1].mount_point} 2>&1").read()
            time.sleep(1)
    hosts.disks[1].mount()
    subprocess.run(command("disk", "in", "d1", *devices), check=True, timeout=60)
