"""CPU of the auditors: GB/s and µs an object of full rounds, with and without MD5, µs of a quick one and a database.

    PYTHONPATH=. python bench/auditing.py [DIRECTORY] [LARGE] [SMALL]

LARGE objects of 64 MiB and SMALL ones of 4 KiB are made in a temporary directory in DIRECTORY (default: the system's),
removed at the end. Rounds are measured with all of it in memory, and the large objects also from the disk.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from objstore.core.names import HashSalt, Location, Name, partition_of
from objstore.core.timestamps import Timestamp
from objstore.daemon.duties.database_auditor import DatabaseAuditor
from objstore.daemon.duties.database_auditor import DatabaseRates as DatabaseRates
from objstore.daemon.duties.object_auditor import ALWAYS, NEVER, ObjectAuditor, ObjectRates
from objstore.daemon.rounds import Position, Round, SearchedPlace
from objstore.runtime import green
from objstore.runtime.files import FILES
from objstore.store.databases import ContainerStore, DatabaseSettings, ObjectRow
from objstore.store.interface import ObjectData
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.objects.space import Reserve
from objstore.store.packed.store import PackedStore

LOGGER = logging.getLogger("bench")
SALT = HashSalt(b"", b"bench")
LARGE = 64 << 20
SMALL = 4096
ROWS = 10_000

Tour = Callable[[SearchedPlace, Round], Iterator[Position]]


def place_of(name: Name) -> Location:
    name_hash = SALT.hash(name)
    return Location(partition_of(name_hash, 6), name_hash)


def fill(root: str, count: int, size: int) -> FileReplicaStore:
    os.mkdir(root)
    store = FileReplicaStore(root, settings=FileSettings(Reserve(), threads_per_disk=2, ballast=0))
    content = os.urandom(size)
    for number in range(count):
        name = Name("AUTH_bench", "c", str(number))
        with store.create(place_of(name), size) as writer:
            for start in range(0, size, 1 << 20):
                writer.write(content[start : start + (1 << 20)])
            writer.commit(ObjectData(name.path, Timestamp(number + 1), "application/octet-stream", {}))
    return store


def fill_packed(root: str, count: int, size: int) -> PackedStore:
    """16 at a time: what is measured is not the filling."""
    os.mkdir(root)
    settings = FileSettings(Reserve(), threads_per_disk=2, ballast=0)
    store = PackedStore(root, settings=settings, limit=1 << 16, power=lambda: 6)
    content = os.urandom(size)

    def some(first: int) -> None:
        for number in range(first, count, 16):
            name = Name("AUTH_bench", "c", str(number))
            with store.create(place_of(name), size) as writer:
                writer.write(content)
                writer.commit(ObjectData(name.path, Timestamp(number + 1), "application/octet-stream", {}))

    for thread in [green.spawn(some, first) for first in range(16)]:
        thread.wait()
    return store


def containers(root: str, count: int) -> ContainerStore:
    os.mkdir(root)
    store = ContainerStore(root, FILES, DatabaseSettings(synchronous="off"))
    rows = [ObjectRow(f"object {number:06}", Timestamp(1), size=number, etag="0" * 32) for number in range(ROWS)]
    for number in range(count):
        name = Name("AUTH_bench", f"c{number}")
        store.create(place_of(name), name, Timestamp(1), 0, {})
        store.merge_rows(place_of(name), rows)
    return store


def forget(root: str) -> None:
    """Let the system's memory hold nothing of the objects below."""
    for path in Path(root).glob("objects/*/*/*/*.data"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def report(what: str, tour: Tour, place: SearchedPlace, count: int = 0) -> None:
    """count: of objects, if the tour does not count them."""
    found = Round()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in tour(place, found):
        pass
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    count = count or found.counts.get("objects", 0) or found.counts.get("databases", 0)
    figures = f"{cpu / count * 1e6:10.1f} µs CPU {wall / count * 1e6:10.1f} µs"
    if found.counts.get("bytes", 0) >= LARGE:
        figures += (
            f" {found.counts['bytes'] / cpu / 1e9:6.2f} GB/s of CPU {found.counts['bytes'] / wall / 1e9:6.2f} GB/s"
        )
    print(f"{what:40}{figures}")


def auditor(etags: str) -> ObjectAuditor:
    return ObjectAuditor(ObjectRates(), etags, lambda: None, LOGGER)


def main() -> None:
    directory = sys.argv[1] if len(sys.argv) > 1 else None
    large, small = (int(text) for text in (*sys.argv[2:4], *("8", "2000")[len(sys.argv[2:4]) :]))
    with tempfile.TemporaryDirectory(dir=directory) as root:
        place = SearchedPlace("large", f"{root}/large", {0: fill(f"{root}/large", large, LARGE)})
        report("64 MiB, blocks", auditor(NEVER).full, place)
        report("64 MiB, blocks and MD5", auditor(ALWAYS).full, place)
        forget(place.path)
        report("64 MiB, blocks, from the disk", auditor(NEVER).full, place)
        place = SearchedPlace("small", f"{root}/small", {0: fill(f"{root}/small", small, SMALL)})
        report("4 KiB, blocks", auditor(NEVER).full, place)
        report("4 KiB, blocks and MD5", auditor(ALWAYS).full, place)
        report("4 KiB, quick", auditor(NEVER).quick, place)
        packed = fill_packed(f"{root}/packed", 10 * small, SMALL)
        place = SearchedPlace("packed", f"{root}/packed", {0: packed})
        report("4 KiB packed, checksums", auditor(NEVER).full, place)
        report("4 KiB packed, checksums and MD5", auditor(ALWAYS).full, place)
        report("4 KiB packed, quick", auditor(NEVER).quick, place, 10 * small)
        place = SearchedPlace("containers", f"{root}/containers", containers(f"{root}/containers", 50))
        databases = DatabaseAuditor("container", SALT.hash, DatabaseRates(), lambda: None, LOGGER)
        report(f"container of {ROWS} rows", databases.full, place)


if __name__ == "__main__":
    main()
