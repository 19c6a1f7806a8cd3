"""Volumes and indexes of packed objects are damaged, lost, compacted and interrupted; clients see nothing of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from harness import faults
from harness.client import Client
from harness.cluster import Cluster
from harness.ledger import Ledger, check, load
from harness.processes import command, find, wait_until

from objstore.core.errors import ObjstoreError
from objstore.store.packed.describe import entries_of_names, packed_changes
from objstore.store.packed.page_files import DamagedIndex
from objstore.store.packed.places import Place
from objstore.store.packed.volume_directory import volume_name

pytestmark = pytest.mark.cluster(packed_limit="64K")

COUNT = 12
SIZE = 5000


def body(number: int) -> bytes:
    return bytes([number]) * SIZE


class Packed(NamedTuple):
    """Objects of a container, packed on all their hosts."""

    cluster: Cluster
    client: Client
    container: str

    def name(self, number: int) -> str:
        return f"{self.container}/o{number}"

    def put(self, number: int) -> None:
        assert self.client.put(self.name(number), body(number)).status == 201

    def places(self, host: int) -> dict[int, Place]:
        """By number of the object."""
        found = {}
        for number in range(COUNT):
            name_hash = self.cluster.locate(self.client.account, self.container, f"o{number}").hash
            try:
                changes = packed_changes(str(self.directory(host)), name_hash)
            except (OSError, ObjstoreError, DamagedIndex):  # it is being replaced
                return {}
            if changes:
                found[number] = changes[-1][0].place
        return found

    def directory(self, host: int) -> Path:
        devices: Path = self.cluster.devices(host)
        return devices / "d1" / "packed"

    def volume(self, host: int, number: int) -> Path:
        return self.directory(host) / "volumes" / volume_name(number)

    def may_be_quarantined(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.cluster.damaged.add(self.cluster.locate(self.client.account, self.container, f"o{number}").hash)

    def assert_read(self) -> None:
        for number in range(COUNT):
            answer = self.client.get(self.name(number))
            assert (answer.status, answer.body) == (200, body(number))


@pytest.fixture
def packed(cluster: Cluster, client: Client) -> Packed:
    made = Packed(cluster, client, f"packed-{uuid.uuid4().hex[:8]}")
    assert client.put(made.container).status in (201, 202)
    for number in range(COUNT):
        made.put(number)
    return made


def a_host(packed: Packed, least: int = 2) -> tuple[int, dict[int, Place]]:
    """A host with several of the objects, all in its newest volume, and their places."""

    def several() -> tuple[int, dict[int, Place]] | None:
        for host in packed.cluster.hosts:
            places = packed.places(host)
            newest = max((place.volume for place in places.values()), default=0)
            places = {number: place for number, place in places.items() if place.volume == newest}
            if len(places) >= least:
                return host, places
        return None

    found: tuple[int, dict[int, Place]] = wait_until(several, "packed objects")
    return found


def test_a_record_rots_and_it_alone_is_replaced(packed: Packed) -> None:
    host, places = a_host(packed)
    number, place = next(iter(places.items()))
    packed.may_be_quarantined([number])
    before = len(packed.cluster.quarantined())
    faults.flip(packed.volume(host, place.volume), place.position + place.length // 2)

    def found_out() -> bool:
        packed.assert_read()
        return len(packed.cluster.quarantined()) > before

    wait_until(found_out, f"the record on host {host} to be read")
    wait_until(lambda: packed.places(host).get(number, place) != place, "a sound copy", 90)
    assert len(packed.cluster.quarantined()) == before + 1
    assert {other: packed.places(host)[other] for other in places if other != number} == {
        other: kept for other, kept in places.items() if other != number
    }
    packed.assert_read()


@pytest.mark.parametrize("damage", ["cut short", "removed"])
def test_a_volume_is_damaged_as_a_whole_and_its_objects_come_back(packed: Packed, damage: str) -> None:
    host, places = a_host(packed)
    volume = next(iter(places.values())).volume
    packed.may_be_quarantined(range(COUNT))
    path = packed.volume(host, volume)
    held = _hashes_in(packed, host, volume)
    packed.cluster.damaged |= held
    if damage == "removed":
        path.unlink()
    else:
        faults.truncate(path, min(place.position for place in places.values()) + 100)

    def come_back() -> bool:
        packed.assert_read()
        now = packed.places(host)
        return all(number in now and now[number] != place for number, place in places.items())

    wait_until(come_back, "copies from other hosts", 120)


def _hashes_in(packed: Packed, host: int, volume: int) -> set[str]:
    """Names with records in a volume, by its index."""
    entries = entries_of_names(str(packed.directory(host)))
    return {name_hash for name_hash, found in entries.items() if any(each.place.volume == volume for each in found)}


def test_indexes_are_removed_and_cut_under_load(packed: Packed, ledger: Ledger) -> None:
    with load(packed.cluster.client, ledger, pause=0.05):
        ledger.grow(10)
        shutil.rmtree(packed.directory(1) / "index")
        os.truncate(packed.directory(2) / "index" / "8", 4096 * 3)
        ledger.grow(30)
    packed.assert_read()
    check(packed.client, ledger)


def test_a_lost_device_is_filled_again(packed: Packed, ledger: Ledger) -> None:
    host, places = a_host(packed)
    with load(packed.cluster.client, ledger, pause=0.05):
        ledger.grow(10)
        for kind in ("object", "container", "account"):
            packed.cluster.servers[kind, host].kill()
        faults.lose(packed.cluster, host)
        packed.cluster.start()
        ledger.grow(10)
    packed.assert_read()
    wait_until(lambda: places.keys() <= packed.places(host).keys(), "all objects on the new device", 120)


def test_volumes_are_compacted_under_load(packed: Packed, ledger: Ledger) -> None:
    def volumes() -> dict[int, set[str]]:
        return {host: {path.name for path in find(packed.directory(host), "volumes/*.volume")} for host in hosts}

    hosts = list(packed.cluster.hosts)
    before = volumes()
    with load(packed.cluster.client, ledger, pause=0.02, max_names=5):
        wait_until(lambda: any(before[host] - volumes()[host] for host in hosts), "a compaction", 120)
    ledger.assert_served()
    packed.assert_read()
    check(packed.client, ledger)


def test_all_is_killed_while_objects_move_and_volumes_are_compacted(packed: Packed, ledger: Ledger) -> None:
    cluster = packed.cluster
    deleted = list(range(0, COUNT, 3))
    cluster.set_in_policies("packed_limit", "1K")  # for the command alone; servers go on packing
    stop = threading.Event()

    def unpack() -> None:
        while not stop.is_set():
            host = 1 + int(time.monotonic()) % len(cluster.hosts)
            options = ("--ring-dir", str(cluster.etc), "--devices", str(cluster.devices(host)))
            subprocess.run(command("pack", "--unpack", *options), capture_output=True, timeout=60, check=False)

    mover = threading.Thread(target=unpack)
    mover.start()
    try:
        with load(cluster.client, ledger, pause=0.02, max_names=20):
            ledger.grow(20)
            for number in deleted:
                assert packed.client.delete(packed.name(number)).status == 204
            ledger.grow(10)
            cluster.kill()
    finally:
        stop.set()
        mover.join(60)
        cluster.set_in_policies("packed_limit", "64K")
    cluster.start()
    client = cluster.client()
    check(client, ledger)
    for number in range(COUNT):
        answer = client.get(packed.name(number), {"X-Newest": "true"})
        expected = (404, None) if number in deleted else (200, body(number))
        assert (answer.status, answer.body if answer.status == 200 else None) == expected
