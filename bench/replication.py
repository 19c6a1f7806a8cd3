"""What the replication of objects costs: a pass over equal devices, and the refill of an empty one.

    python bench/replication.py [--dir DIR] [--objects 10000] [--unchanged 100000] [--part-power 10] [--peers 1]

Two hosts, 127.0.0.1 and 127.0.0.2, or three, each with one device that holds everything. The object servers of all
but the first are processes of their own, as their operator starts them; the replicator of the first runs in this
process. Told is the CPU time of all.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import psutil
from serve import HOSTS, OBJSTORE, _free_ports, _healthy, _running, _server, _wait

from objstore.assembly.apps import remote_transports, storage_servers
from objstore.assembly.duties.object_replication import OBJECT_REPLICATOR
from objstore.assembly.surroundings import Surroundings
from objstore.core.names import Location, Name
from objstore.core.timestamps import Clock, Timestamp
from objstore.daemon.runner import Daemon
from objstore.ring import Ring
from objstore.runtime import cluster_conf, green, log
from objstore.runtime.cluster_conf import FILE_NAME
from objstore.runtime.files import Files
from objstore.store.interface import ObjectData
from objstore.store.objects.layout import Layout
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.packed.store import PackedStore

SMALL = os.urandom(4096)
CLOCK = Clock()


class Unsynced(Files):
    """For filling a device: what is measured begins after it."""

    def fsync(self, fd: int) -> None:
        pass

    def fdatasync(self, fd: int) -> None:
        pass

    def fsync_dir(self, path: str) -> None:
        pass


class Hosts:
    """Described in `etc`; `devices(n)` is the directory of a host's devices. peers: hosts besides the first."""

    def __init__(self, root: Path, part_power: int, peers: int) -> None:
        self.hosts = HOSTS[: 1 + peers]
        self.root = root
        self.etc = root / "cluster"
        self.port = _free_ports()
        hosts = [option for host in self.hosts for option in ("--host", f"{host}:{self.port}")]
        plan = ["--replicas", str(len(self.hosts)), "--no-mount-check", "--part-power", str(part_power)]
        command = [sys.executable, OBJSTORE, "init", str(self.etc), *hosts, *plan]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        conf = self.etc / "object-server.conf"
        conf.write_text(conf.read_text().replace("[DEFAULT]\n", "[DEFAULT]\ndaemons = no\n"))
        for host in self.hosts:
            (self.devices(host) / "d1").mkdir(parents=True)
        self.salt = cluster_conf.load(str(self.etc)).salt
        self.ring = Ring.load(str(self.etc / "object.ring"))

    def devices(self, host: str) -> Path:
        return self.root / host

    def fill(self, count: int, content: bytes, packed: bool) -> None:
        """The first host's device gets so many objects."""
        store: Any = FileReplicaStore(str(self.devices(HOSTS[0]) / "d1"), files=Unsynced())
        if packed:
            root = str(self.devices(HOSTS[0]) / "d1")
            store = PackedStore(root, files=Unsynced(), limit=1 << 16, power=lambda: self.ring.part_power)

        def some(first: int) -> None:
            for number in range(first, count, 16):
                name = f"object-{number}"
                with store.create(self._location(name), len(content), hashing=False) as writer:
                    writer.write(content)
                    data = ObjectData(f"/AUTH_bench/c/{name}", CLOCK.now(), "application/octet-stream", {}, "0" * 32)
                    writer.commit(data)

        for thread in [green.spawn(some, first) for first in range(16)]:
            thread.wait()

    def fill_all(self, count: int) -> None:
        """All hosts' devices get equal objects, which nothing will read: names of a few files."""
        template = None
        for number in range(count):
            location = self._location(f"object-{number}")
            name = f"{Timestamp.from_seconds(1.6e9 + number)}.data"
            if number % 10_000 == 0:  # file systems bound how many names a file has
                template = self.root / f"template-{number}"
                template.write_bytes(b"")
            for host in self.hosts:
                directory = Layout(str(self.devices(host) / "d1"), 0).hash_dir(location)
                os.makedirs(directory)
                os.link(template, f"{directory}/{name}")  # type: ignore[arg-type]

    def copy_all(self) -> None:
        """All hosts' devices become equal to the first one's."""
        for host in self.hosts[1:]:
            shutil.copytree(self.devices(HOSTS[0]) / "d1", self.devices(host) / "d1", dirs_exist_ok=True)

    def _location(self, name: str) -> Location:
        name_hash = self.salt.hash(Name("AUTH_bench", "c", name))
        return Location(self.ring.partition(name_hash), name_hash)

    def empty(self) -> None:
        for host in self.hosts:
            shutil.rmtree(self.devices(host) / "d1")
            (self.devices(host) / "d1").mkdir()

    @contextlib.contextmanager
    def peers(self) -> Iterator[list[int]]:
        """The other hosts' object servers; their process ids."""
        with _running([self._object_server(host) for host in self.hosts[1:]]) as pids:
            for host in self.hosts[1:]:
                _wait(partial(_healthy, host, self.port), host)
            yield pids

    def _object_server(self, host: str) -> subprocess.Popen[bytes]:
        options = ["--bind-ip", host, "--devices", str(self.devices(host)), "--workers", "1"]
        return _server(self.root, self.etc, "object", host, options)

    def replicator(self) -> Daemon:
        conf = {
            "ring_dir": str(self.etc),
            "devices": str(self.devices(HOSTS[0])),
            "mount_check": "no",
            "bind_ip": HOSTS[0],
            "bind_port": str(self.port),
            "log_to": "stderr",
        }
        transports = remote_transports(conf)
        around = Surroundings(conf, storage_servers(conf, transports).devices, transports, log.from_conf(conf))
        work = OBJECT_REPLICATOR.make(around)
        return Daemon("object-replicator", work.begin_pass, work.pace, around.logger, status=work.status)


def cpu_of(pids: list[int]) -> float:
    """Seconds of this process and of others' trees."""
    others = [psutil.Process(pid) for pid in pids]
    every = [psutil.Process(), *others, *(child for other in others for child in other.children(True))]
    return sum(times.user + times.system for times in (one.cpu_times() for one in every))


def measure(what: str, pids: list[int], call: Callable[[], object]) -> float:
    """Print and return CPU seconds; wall time too."""
    cpu, wall = cpu_of(pids), time.perf_counter()
    call()
    cpu, wall = cpu_of(pids) - cpu, time.perf_counter() - wall
    print(f"{what:<58} {cpu:8.2f} s CPU {wall:8.2f} s", flush=True)
    return cpu


def pack(etc: Path, limit: str) -> None:
    """Let all policies pack objects up to a limit."""
    conf = etc / FILE_NAME
    lines = [line for line in conf.read_text().splitlines() if not line.startswith("packed_limit")]
    text = "\n".join(lines) + "\n"
    if "[storage-policy:0]" not in text:
        text += "\n[storage-policy:0]\nname = first\ndefault = yes\n"
    conf.write_text(text.replace("[storage-policy:0]\n", f"[storage-policy:0]\npacked_limit = {limit}\n"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", help="a directory on the disk to measure")
    parser.add_argument("--objects", type=int, default=10_000, help="objects of 4 KiB for an empty device")
    parser.add_argument("--unchanged", type=int, default=100_000, help="objects on equal devices")
    parser.add_argument("--part-power", type=int, default=10)
    parser.add_argument("--peers", type=int, choices=(1, 2), default=1, help="hosts besides the first")
    parser.add_argument("--packed", action="store_true", help="all objects are packed into volumes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="objstore-bench-", dir=options.dir) as root:
        hosts = Hosts(Path(root), options.part_power, options.peers)
        pack(hosts.etc, "64K" if options.packed else "0")
        hosts.fill(options.objects, SMALL, options.packed)
        with hosts.peers() as pids:
            replicator = hosts.replicator()
            measure(f"{options.objects} objects of 4 KiB to empty devices", pids, replicator.run_once)
            assert replicator.status()["sent_total"] == options.objects * options.peers, replicator.status()
        hosts.empty()
        if options.packed:
            hosts.fill(options.unchanged, b"", packed=True)
            hosts.copy_all()
        else:
            hosts.fill_all(options.unchanged)
        with hosts.peers() as pids:
            replicator = hosts.replicator()
            measure(f"{options.unchanged} equal objects, the first pass", pids, replicator.run_once)
            measure(f"{options.unchanged} equal objects, nothing changed", pids, replicator.run_once)
            told = replicator.status()
            assert told["sent_total"] == told["failures"] == 0, told
            print(f"{'partitions':<58} {told['partitions']:8}")


if __name__ == "__main__":
    main()
