"""Small objects packed into volumes: CPU, room, memory, and how long it takes until they can be read again.

    PYTHONPATH=. python bench/packed.py [--directory DIRECTORY] [--count 1000000] [--size 4096] [--files]
        [--writers 16] [--processes 1] [--appended]

Fills a temporary directory in DIRECTORY through the engine, several writers at once in each of several processes, and
prints CPU for each object, the files and bytes that they take up, reading, deleting, checking, the time until a new
process reads after `kill -9` of one that writes, and the CPU of rebuilding the index of the volumes. --files: the same
with files, in place of volumes. A million objects of 4 KiB take 5 GB and some minutes. --appended: the objects are
appended to volumes without an index, 1,000 at a time, which is much quicker; the index is then rebuilt.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import psutil
from awscrt.checksums import crc32c

from objstore.core.names import Location, partition_of
from objstore.core.timestamps import Timestamp
from objstore.runtime import green
from objstore.runtime.files import FILES
from objstore.store.change import DATA, Change
from objstore.store.interface import ObjectData
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.format import encode_record
from objstore.store.objects.records import data_fields
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.objects.space import Reserve
from objstore.store.packed.store import PackedStore
from objstore.store.packed.volumes import Outgoing, Volumes

POWER = 10
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


def data_of(number: int, when: int) -> ObjectData:
    return ObjectData(f"/AUTH_test/container/{number}", Timestamp(when), "application/octet-stream", HEADERS)


def put(store: Any, number: int, content: bytes, when: int = 1) -> None:
    with store.create(location(number), len(content)) as writer:
        writer.write(content)
        writer.commit(data_of(number, when))


def get(store: Any, number: int) -> int:
    with store.open(location(number)) as reader:
        return sum(len(piece) for piece in reader.read(0, reader.info.size))


def at_once(writers: int, count: int, call: Callable[[int], object]) -> None:
    def work(first: int) -> None:
        for number in range(first, count, writers):
            call(number)

    for thread in [green.spawn(work, first) for first in range(writers)]:
        thread.wait()


def append(volumes: Volumes, numbers: Sequence[int], content: bytes) -> None:
    change, crc = Change(Timestamp(1), DATA), crc32c(content)
    etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
    for start in range(0, len(numbers), 1000):
        records = []
        for number in numbers[start : start + 1000]:
            record = encode_record(data_fields(data_of(number, 1), len(content), etag))
            records.append(Outgoing(location(number).hash, change, record, [content], crc))
        volumes.append(records)
    volumes.close()


class Part(NamedTuple):
    """The objects that one process stores: `first`, and each `step` further, below `end`."""

    first: int
    end: int
    step: int = 1

    def fill(self, root: str, given: argparse.Namespace) -> None:
        content = os.urandom(given.size)
        numbers = range(self.first, self.end, self.step)
        if given.appended:
            append(Volumes(FILES, f"{root}/packed/volumes"), numbers, content)
            return
        store = open_store(root, given.files)
        at_once(given.writers, len(numbers), lambda index: put(store, numbers[index], content))
        store.release()

    def start(self, root: str, given: argparse.Namespace) -> subprocess.Popen[bytes]:
        """Fill in a process of its own."""
        code = f"from argparse import Namespace\nfrom packed import Part\n{self}.fill({root!r}, {given})"
        path = os.pathsep.join((os.path.dirname(os.path.abspath(__file__)), os.environ.get("PYTHONPATH", "")))
        return subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path})


@contextmanager
def measured(what: str, count: int) -> Iterator[None]:
    """CPU of this process, and of those that end meanwhile."""
    cpu, wall = sum(os.times()[:4]), time.perf_counter()
    yield
    cpu, wall = sum(os.times()[:4]) - cpu, time.perf_counter() - wall
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


def filled(root: str, given: argparse.Namespace) -> None:
    children = [Part(first, given.count, given.processes).start(root, given) for first in range(given.processes)]
    if max([child.wait() for child in children]):
        sys.exit("a process that fills has failed")


def killed_while_writing(root: str, given: argparse.Namespace) -> None:
    """Fill a little more in a process of its own, and kill that."""
    child = Part(given.count, 1 << 40).start(root, given)
    time.sleep(5)
    child.send_signal(signal.SIGKILL)
    child.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--writers", type=int, default=16, help="at once in a process")
    parser.add_argument("--processes", type=int, default=1, help="that fill")
    parser.add_argument("--appended", action="store_true")
    parser.add_argument("--files", action="store_true")
    given = parser.parse_args()
    count, sample = given.count, min(SAMPLE, given.count)
    content = os.urandom(given.size)
    chosen = random.Random(1).sample(range(count), sample)
    with tempfile.TemporaryDirectory(dir=given.directory) as root:
        with measured("appended" if given.appended else f"PUT, {given.processes} * {given.writers} at once", count):
            filled(root, given)
        given.appended = False
        with measured("first GET of all, in a new store", 1):
            store = open_store(root, given.files)
            get(store, chosen[0])
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
        with measured(f"overwrite, {given.writers} at once", sample):
            at_once(given.writers, sample, lambda index: put(store, chosen[index], content, 2))
        with measured(f"DELETE, {given.writers} at once", sample // 2):
            at_once(
                given.writers,
                sample // 2,
                lambda index: store.delete(location(chosen[index]), f"/a/c/{index}", Timestamp(3)),
            )
        store.release()
        killed_while_writing(root, given)
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
