"""What rings cost: CPU seconds of the builder, microseconds of look-up, bytes of memory.

python bench/ring.py [--power 18] [--devices 1000] [--zones 5] [--replicas 3]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from hashlib import md5
from itertools import islice
from pathlib import Path
from typing import Any

from objstore.core.nodes import Node
from objstore.ring import Ring
from objstore.ring.builder import RingBuilder
from objstore.ring.builder_file import load_builder, save_builder, write_ring
from objstore.ring.checks import balance, dispersion

DISKS_PER_HOST = 20
LOOK_UPS = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--power", type=int, default=18)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--zones", type=int, default=5)
    parser.add_argument("--replicas", type=float, default=3)
    options = parser.parse_args()
    builder = RingBuilder(options.power, options.replicas, 1)
    timed("add devices", lambda: builder.add_all(device(number, options.zones) for number in range(options.devices)))
    rebalanced("first rebalance", builder, 1)
    with tempfile.TemporaryDirectory() as directory:
        use_files(builder, Path(directory))
    builder.add(device(options.devices, options.zones))
    rebalanced("add one device", builder, 2)
    builder.remove(0)
    rebalanced("remove one device", builder, 3)
    rebalanced("rebalance without need", builder, 4)


def use_files(builder: RingBuilder, directory: Path) -> None:
    builder_path, ring_path = str(directory / "bench.builder"), str(directory / "bench.ring")
    timed("save the builder", lambda: save_builder(builder, builder_path))
    timed("load the builder", lambda: load_builder(builder_path))
    timed("write the ring", lambda: write_ring(builder, ring_path))
    ring = timed("load the ring", lambda: Ring.load(ring_path))
    print(f"{'ring file':28} {Path(ring_path).stat().st_size / 1024:10.0f} KiB, shared by all processes")
    hashes = [md5(str(number).encode(), usedforsecurity=False).hexdigest() for number in range(LOOK_UPS)]
    each("partition and primaries", hashes, lambda name_hash: ring.primaries(ring.partition(name_hash)))
    few = [ring.partition(name_hash) for name_hash in hashes[:2000]]
    each("previous", few, ring.previous)
    each("first 3 handoffs", few, lambda partition: list(islice(ring.handoffs(partition), 3)))
    each("all handoffs", few[:50], lambda partition: list(ring.handoffs(partition)))


def device(number: int, zones: int) -> Node:
    zone, place = number % zones, number // zones
    return Node(
        -1, 1, zone, f"10.{zone}.0.{place // DISKS_PER_HOST}", 6200, f"sd{place % DISKS_PER_HOST}", weight=100.0
    )


def rebalanced(what: str, builder: RingBuilder, hours: int) -> None:
    done = timed(what, lambda: builder.rebalance(1_000_000_000 + 3600 * hours))
    print(f"{'':28} {done.moved:10} moved, balance {balance(builder):.2f}%, dispersion {dispersion(builder):.2f}%")


def timed(what: str, action: Callable[[], Any]) -> Any:
    start = time.process_time()
    result = action()
    print(f"{what:28} {time.process_time() - start:10.4f} s CPU")
    return result


def each(what: str, items: list[Any], action: Callable[[Any], Any]) -> None:
    start = time.process_time()
    for item in items:
        action(item)
    print(f"{what:28} {(time.process_time() - start) / len(items) * 1e6:10.2f} µs CPU each")


if __name__ == "__main__":
    main()
