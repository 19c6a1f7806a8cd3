"""What the storage servers cost when they are called in process, in CPU time: what a proxy pays for each replica.

    python bench/servers.py [--requests 20000] [--rows 1000] [--dir DIR]

Beside each request of an object stands what the engine takes of it.
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

from objstore.assembly.apps import in_process
from objstore.core.names import Location, Name
from objstore.core.nodes import Node
from objstore.core.timestamps import Clock
from objstore.runtime import cluster_conf
from objstore.store.databases import ListingQuery, ObjectRow
from objstore.wire.messages import NodeRequest

NODE = Node(0, 1, 1, "127.0.0.1", 6200, "d1")
CONTAINER, OBJECT = Name("AUTH_bench", "c"), Name("AUTH_bench", "c", "small")
SMALL = 4096
ETAG = "d41d8cd98f00b204e9800998ecf8427e"
CLOCK = Clock()


def measure(what: str, times: int, call: Callable[[], object]) -> None:
    """Print the CPU time of one of `times` calls: the least of some runs, as other processes disturb most of them."""
    call()
    costs = []
    runs = min(50, times)
    for _ in range(runs):
        started = time.process_time()
        for _ in range(times // runs):
            call()
        costs.append((time.process_time() - started) / (times // runs))
    print(f"{what:<50} {min(costs) * 1e6:9.1f} µs CPU", flush=True)


class Host:
    """Storage servers over one device."""

    def __init__(self, root: str) -> None:
        os.makedirs(os.path.join(root, "devices", NODE.device))
        with open(os.path.join(root, cluster_conf.FILE_NAME), "w") as file:
            file.write("[hash]\nsuffix = bench\n")
        conf = {"ring_dir": root, "devices": os.path.join(root, "devices"), "mount_check": "no", "log_to": "none"}
        storage, self.transport, _ = in_process(conf, frozenset({NODE.address}))
        self.salt = cluster_conf.load(root).salt
        self.device = storage.devices.get(NODE.device)

    def location(self, name: Name) -> Location:
        return Location(1, self.salt.hash(name))

    def ask(self, method: str, name: Name, headers: dict[str, str], body: bytes = b"") -> int:
        response = self.transport.call(NODE, NodeRequest(method, 1, name, headers, "", body))
        for _ in response:
            pass
        response.close()
        return response.status

    def put(self) -> int:
        sent = {"X-Timestamp": CLOCK.now().internal, "Content-Type": "a/b", "X-Object-Meta-Color": "blue"}
        return self.ask("PUT", OBJECT, sent, b"x" * SMALL)


def objects(host: Host, times: int) -> None:
    assert host.put() == 201
    store, location = host.device.objects(0), host.location(OBJECT)

    def read() -> None:
        with store.open(location) as reader:
            for _ in reader.read(0, SMALL):
                pass

    trace = {"X-Trans-Id": "tx0123456789"}
    measure("GET of 4 KiB", times, lambda: host.ask("GET", OBJECT, trace))
    measure("  of which the engine", times, read)
    measure("HEAD", times, lambda: host.ask("HEAD", OBJECT, trace))
    measure("  of which the engine", times, lambda: store.open(location).close())
    measure("GET of what is not there", times, lambda: host.ask("GET", OBJECT._replace(object="none"), trace))
    measure("PUT of 4 KiB", times // 10, host.put)


def containers(host: Host, times: int, rows: int) -> None:
    assert host.ask("PUT", CONTAINER, {"X-Timestamp": CLOCK.now().internal}) == 201
    store, location = host.device.containers, host.location(CONTAINER)
    store.merge_rows(
        location, [ObjectRow(f"object/{n:08d}", CLOCK.now(), False, SMALL, "a/b", ETAG) for n in range(rows)]
    )
    measure("HEAD of a container", times, lambda: host.ask("HEAD", CONTAINER, {}))
    measure(f"GET of a container, {rows} rows", times // 20, lambda: host.ask("GET", CONTAINER, {}))
    measure("  of which the database", times // 20, lambda: store.list(location, ListingQuery(limit=rows)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--dir", help="a directory on the disk to measure")
    options = parser.parse_args()
    root = tempfile.mkdtemp(prefix="objstore-bench-", dir=options.dir)
    try:
        host = Host(root)
        objects(host, options.requests)
        containers(host, options.requests, options.rows)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
