"""CPU of the object engine: µs for a small PUT, GET and HEAD, GB/s for a large GET and PUT.

    PYTHONPATH=. python bench/objects.py [DIRECTORY] [COUNT]

Objects go to a temporary directory in DIRECTORY (default: the system's), removed at the end.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable

from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.runtime import green
from objstore.store.interface import ObjectData
from objstore.store.objects.file_store import FileSettings, FileStore
from objstore.store.objects.space import Reserve

SMALL = os.urandom(4096)
LARGE = os.urandom(64 << 20)
HEADERS = {"X-Object-Meta-Color": "blue", "X-Object-Meta-Mtime": "1500000000.00000"}


def location(number: int) -> Location:
    return Location(number % 64, f"{number:029x}{number % 16:03x}")


def put(store: FileStore, number: int, content: bytes, hashing: bool = True, piece: int = 1 << 20) -> None:
    name = ObjectData(
        f"/AUTH_test/container/{number}",
        Timestamp(number + 1),
        "application/octet-stream",
        HEADERS,
        "" if hashing else "0" * 32,
    )
    with store.create(location(number), len(content), hashing) as writer:
        for start in range(0, len(content), piece):
            writer.write(content[start : start + piece])
        writer.commit(name)


def get(store: FileStore, number: int) -> None:
    reader = store.open(location(number))
    for _ in reader.read(0, reader.info.size):
        pass
    reader.close()


def report(what: str, count: int, call: Callable[[int], object], size: int = 0) -> None:
    cpu, wall = time.process_time(), time.perf_counter()
    for number in range(count):
        call(number)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    figures = f"{cpu / count * 1e6:9.1f} µs CPU {wall / count * 1e6:9.1f} µs"
    if size:
        figures += f" {size * count / cpu / 1e9:6.2f} GB/s of CPU"
    print(f"{what:34}{figures}")


def put_at_once(store: FileStore, count: int, workers: int) -> None:
    def work(first: int) -> None:
        for number in range(first, count, workers):
            put(store, 1_000_000 + number, SMALL)

    cpu, wall = time.process_time(), time.perf_counter()
    running = [green.spawn(work, first) for first in range(workers)]
    for thread in running:
        thread.wait()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{f'PUT 4 KiB, {workers} at once':34}{cpu / count * 1e6:9.1f} µs CPU {wall / count * 1e6:9.1f} µs")


def main() -> None:
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    with tempfile.TemporaryDirectory(dir=parent) as root:
        store = FileStore(root, settings=FileSettings(Reserve(), ballast=0))
        put(store, 0, SMALL)
        report("PUT 4 KiB", count, lambda number: put(store, number, SMALL))
        put_at_once(store, count, 16)
        report("GET 4 KiB", count * 10, lambda number: get(store, number % count))
        report("HEAD 4 KiB", count * 10, lambda number: store.info(location(number % count)))
        big = 500_000
        report("PUT 64 MiB", 2, lambda number: put(store, big + number, LARGE), len(LARGE))
        report("PUT 64 MiB, etag given", 2, lambda number: put(store, big + 10 + number, LARGE, False), len(LARGE))
        report("GET 64 MiB", 10, lambda number: get(store, big), len(LARGE))


if __name__ == "__main__":
    main()
