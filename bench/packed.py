"""Small objects packed into volumes: CPU, room, memory, and how long it takes until they can be read again.

    PYTHONPATH=. python bench/packed.py [--directory DIRECTORY] [--count 1000000] [--size 4096] [--files]

Fills a temporary directory in DIRECTORY through the engine, 16 writers at once, and prints CPU of this process for each
object, the files and bytes that they take up, reading, deleting, checking, the time until a new process reads after
`kill -9` of one that writes, and the CPU of rebuilding the index of the volumes. --files: the same with files, in place
of volumes. A million objects of 4 KiB take 5 GB and some minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from objstore.core.names import Location, partition_of
from objstore.core.timestamps import Timestamp
from objstore.runtime import green
from objstore.store.interface import ObjectData
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.objects.space import Reserve
from objstore.store.packed.store import PackedStore

POWER = 10
WRITERS = 16
SAMPLE = 20_000
HEADERS = {"X-Object-Meta-Color": "blue", "X-Object-Meta-Mtime": "1500000000.00000"}


def open_store(root: str, files: bool) -> Any:
    settings = FileSettings(Reserve(), ballast=0)
    if files:
        return FileReplicaStore(root, settings=settings)
    return PackedStore(root, settings=settings, limit=65536, power=lambda: POWER)


def location(number: int) -> Location:
    name_hash = hashlib.md5(b"%d" % number, usedforsecurity=False).hexdigest()
    return Location(partition_of(name_hash, POWER), name_hash)


def put(store: Any, number: int, content: bytes, when: int = 1) -> None:
    with store.create(location(number), len(content)) as writer:
        writer.write(content)
        writer.commit(
            ObjectData(f"/AUTH_test/container/{number}", Timestamp(when), "application/octet-stream", HEADERS)
        )


def get(store: Any, number: int) -> int:
    with store.open(location(number)) as reader:
        return sum(len(piece) for piece in reader.read(0, reader.info.size))


def at_once(count: int, call: Callable[[int], object]) -> None:
    def work(first: int) -> None:
        for number in range(first, count, WRITERS):
            call(number)

    for thread in [green.spawn(work, first) for first in range(WRITERS)]:
        thread.wait()


@contextmanager
def measured(what: str, count: int) -> Iterator[None]:
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{what:44}{cpu / count * 1e6:9.1f} µs CPU each {cpu:8.1f} s CPU {wall:8.1f} s", flush=True)


def usage(root: str) -> tuple[int, int]:
    """Files, and the bytes that they take up on the disk."""
    count = blocks = 0
    for directory, _, names in os.walk(root):
        blocks += os.lstat(directory).st_blocks
        for name in names:
            count += 1
            blocks += os.lstat(os.path.join(directory, name)).st_blocks
    return count, blocks * 512


def killed_while_writing(root: str, files: bool, count: int) -> None:
    """Fill a little more in a process of its own, and kill that."""
    code = (
        "import sys, bench_packed as b\n"
        f"store = b.open_store({root!r}, {files})\n"
        f"b.at_once(10_000_000, lambda n: b.put(store, {count} + n, b'x' * 4096))\n"
    )
    path = os.path.dirname(os.path.abspath(__file__))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((path, os.environ.get("PYTHONPATH", "")))}
    code = code.replace("bench_packed", "packed")
    child = subprocess.Popen([sys.executable, "-c", code], env=environment)
    time.sleep(5)
    child.send_signal(signal.SIGKILL)
    child.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--files", action="store_true")
    given = parser.parse_args()
    count, sample = given.count, min(SAMPLE, given.count)
    content = os.urandom(given.size)
    chosen = random.Random(1).sample(range(count), sample)
    with tempfile.TemporaryDirectory(dir=given.directory) as root:
        store = open_store(root, given.files)
        with measured(f"PUT, {WRITERS} at once", count):
            at_once(count, lambda number: put(store, number, content))
        found, taken = usage(root)
        print(f"{found} files, {taken / (count * given.size):.3f} of the bytes put in")
        print(f"memory of the process: {psutil.Process().memory_info().rss >> 20} MiB")
        with measured("GET", sample):
            for number in chosen:
                get(store, number)
        with measured("HEAD", sample):
            for number in chosen:
                store.info(location(number))
        with measured("verify, one by one", sample):
            for number in chosen:
                store.verify(location(number), lambda _: None)
        with measured("hash of every partition, first", 1 << POWER):
            for partition in range(1 << POWER):
                store.partition_hash(partition)
        with measured("hash of every partition, again", 1 << POWER):
            store.kept_hashes(range(1 << POWER))
        with measured(f"overwrite, {WRITERS} at once", sample):
            at_once(sample, lambda index: put(store, chosen[index], content, 2))
        with measured(f"DELETE, {WRITERS} at once", sample // 2):
            at_once(sample // 2, lambda index: store.delete(location(chosen[index]), f"/a/c/{index}", Timestamp(3)))
        store.release()
        killed_while_writing(root, given.files, count)
        with measured("first GET after kill -9, in a new store", 1):
            store = open_store(root, given.files)
            assert get(store, chosen[-1]) == given.size
        if not given.files:
            store.release()
            time.sleep(1)
            shutil.rmtree(f"{root}/packed/index")
            with measured("first GET without the index: rebuilt", 1):
                store = open_store(root, given.files)
                assert get(store, chosen[-1]) == given.size
        print(f"memory of the process: {psutil.Process().memory_info().rss >> 20} MiB")


if __name__ == "__main__":
    main()
