"""What container databases cost, in CPU time of this process: merging, info, listings, replication.

python bench/databases.py [--rows 1000000] [--dir DIR]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from objstore.assembly.apps import storage_servers
from objstore.cluster.cluster import Transports
from objstore.core.names import HashSalt, Location, Name
from objstore.core.nodes import Node
from objstore.core.timestamps import Clock
from objstore.replication.databases import DatabaseBounds
from objstore.replication.databases_sender import DatabaseSender, SenderMeans, SentCounts
from objstore.runtime import green
from objstore.runtime.files import FILES
from objstore.store.databases import ContainerStore, ListingQuery, ObjectRow
from objstore.wire.local import LocalTransport

CLOCK = Clock()
BATCH = 1000
ETAG = "d41d8cd98f00b204e9800998ecf8427e"


def row(name: str, deleted: bool = False) -> ObjectRow:
    return ObjectRow(name, CLOCK.now(), deleted, 4096, "application/octet-stream", ETAG)


def measure(what: str, times: int, call: Callable[[int], object], per: int = 1, unit: str = "µs") -> None:
    """Print CPU and wall time of one of `times` calls, divided by `per`."""
    scale = {"µs": 1e6, "ms": 1e3}[unit]
    wall, cpu = time.perf_counter(), time.process_time()
    for index in range(times):
        call(index)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(
        f"{what:<58} {cpu * scale / times / per:9.2f} {unit} CPU {wall * scale / times / per:9.2f} {unit}", flush=True
    )


def open_container(store: ContainerStore, name: str) -> Location:
    container = Name("AUTH_bench", name)
    location = Location(1, HashSalt(b"", b"bench").hash(container))
    store.create(location, container, CLOCK.now(), 0, {"X-Container-Meta-Color": "blue"})
    return location


def small(store: ContainerStore) -> None:
    location = open_container(store, "small")
    measure("info", 2000, lambda index: store.info(location))
    alone = row_by_row(store, [location], 1, 1000)
    measure("merge one row, alone", 1, alone, per=1000)
    for waiting in (4, 16, 64):
        measure(f"merge one row, {waiting} at once", 1, row_by_row(store, [location], waiting, 960), per=960)
    many = [open_container(store, f"many-{index}") for index in range(100)]
    for location in many:
        store.merge_rows(location, [row("first")])
    measure("merge one row, 16 at once, each to another of 100", 1, row_by_row(store, many, 16, 3200), per=3200)
    measure("create a container", 50, lambda index: open_container(store, f"new-{index}"))


def row_by_row(store: ContainerStore, locations: list[Location], waiting: int, rows: int) -> Callable[[int], object]:
    """Return a call in which so many clients write rows one by one; at the end all rows are in the databases."""

    def client(number: int) -> None:
        for index in range(rows // waiting):
            location = locations[(index * waiting + number) % len(locations)]
            store.merge_rows(location, [row(f"row/{waiting}/{number}/{index}")])

    def together(_: int) -> None:
        for thread in [green.spawn(client, number) for number in range(waiting)]:
            thread.wait()
        for location in locations:
            store.info(location)

    return together


def large(store: ContainerStore, rows: int) -> None:
    location = open_container(store, "large")

    def load(index: int) -> None:
        first = index * BATCH
        store.merge_rows(location, [row(f"{n * 10 // rows}/{n:08d}") for n in range(first, first + BATCH)])

    measure(f"merge batches of {BATCH}, in order, a row", rows // BATCH, load, per=BATCH)

    def scattered(index: int) -> None:
        step = 7919  # a prime, so that names fall all over the database
        store.merge_rows(location, [row(f"s/{(index * BATCH + n) * step % 10**8:08d}") for n in range(BATCH)])

    measure(f"merge batches of {BATCH}, scattered, a row", 50, scattered, per=BATCH)
    known = [row(f"s/known/{n}") for n in range(BATCH)]
    store.merge_rows(location, known)
    measure(f"merge {BATCH} rows known already, a row", 10, lambda index: store.merge_rows(location, known), per=BATCH)
    measure("list 10,000 names", 5, lambda index: store.list(location, ListingQuery(limit=10_000)), unit="ms")
    query = ListingQuery(limit=1000, marker=f"5/{rows // 2:08d}")
    measure("list 1,000 names from the middle", 20, lambda index: store.list(location, query), unit="ms")
    backwards = query._replace(reverse=True)
    measure("the same backwards", 20, lambda index: store.list(location, backwards), unit="ms")
    rolled = ListingQuery(delimiter="/")
    assert len(store.list(location, rolled).items) == 11
    measure(
        f"roll up {rows // 10} names under each of 10 prefixes", 20, lambda i: store.list(location, rolled), unit="ms"
    )

    def bury(index: int) -> None:
        first = index * BATCH
        store.merge_rows(location, [row(f"{n * 10 // rows}/{n:08d}", True) for n in range(first, first + BATCH)])

    dead = min(rows // 2, 100_000)
    measure(f"delete in batches of {BATCH}, a row", dead // BATCH, bury, per=BATCH)
    from_start = ListingQuery(limit=1000)
    measure(f"list 1,000 names behind {dead} tombstones", 20, lambda index: store.list(location, from_start), unit="ms")
    measure("reclaim them", 1, lambda index: store.reclaim(location, CLOCK.now()), per=dead)


class Replicator:
    """A transport whose one peer is a store of this process, and the sender that talks to it."""

    def __init__(self, source: ContainerStore, root: str) -> None:
        device = os.path.join(root, "peer", "d1")
        os.makedirs(device)
        with open(os.path.join(root, "objstore.conf"), "w") as file:
            file.write("[hash]\nsuffix = bench\n")
        conf = {"ring_dir": root, "devices": os.path.dirname(device), "mount_check": "no", "log_to": "none"}
        apps = storage_servers(conf, Transports(None))
        self.peer: ContainerStore = apps.devices.get("d1").containers
        self.sent = SentCounts()
        local = LocalTransport(apps.by_kind)
        node = Node(1, 1, 1, "127.0.0.1", 6201, "d1")
        self._sender = DatabaseSender(source, node, SenderMeans(local, DatabaseBounds(), lambda rows: None, self.sent))
        self._source = source

    def push(self, location: Location) -> None:
        own = self._source.replicas.summaries([location])[location.hash]
        for found in self._sender.compare(location.partition, {location.hash: own}).values():
            self._sender.bring(location, own, found)


def replicated(store: ContainerStore, root: str, rows: int) -> None:
    """A database of so many rows, whose peer lacks it, then lacks 1,000 rows, then nothing."""
    location = open_container(store, "replicated")
    for first in range(0, rows, BATCH):
        store.merge_rows(location, [row(f"{n:08d}") for n in range(first, first + BATCH)])
    replicator = Replicator(store, root)
    measure(f"send a database of {rows} rows as a file", 1, lambda index: replicator.push(location), unit="ms")
    print(f"{'':<58} {replicator.sent.file_bytes_sent / 1e6:9.1f} MB, {replicator.sent.rows_sent} rows")
    store.merge_rows(location, [row(f"late/{n:08d}") for n in range(1000)])
    measure(
        f"bring a replica of {rows} rows that misses 1,000 up to date",
        1,
        lambda i: replicator.push(location),
        unit="ms",
    )
    print(f"{'':<58} {replicator.sent.rows_sent:9d} rows, {replicator.sent.files_sent - 1} files")
    measure("compare equal replicas", 200, lambda index: replicator.push(location))
    before = replicator.sent.rows_sent
    late = 20_000
    for first in range(0, late, BATCH):
        store.merge_rows(location, [row(f"more/{n:08d}") for n in range(first, first + BATCH)])
    measure(f"bring {late} rows to a replica, a row", 1, lambda index: replicator.push(location), per=late)
    assert replicator.sent.rows_sent == before + late
    assert replicator.peer.info(location).object_count == store.info(location).object_count
    replicator.peer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dir", help="a directory on the disk to measure")
    options = parser.parse_args()
    root = tempfile.mkdtemp(prefix="objstore-bench-", dir=options.dir)
    store = ContainerStore(root, FILES)
    try:
        small(store)
        large(store, options.rows)
        replicated(store, root, options.rows)
    finally:
        store.close()
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
