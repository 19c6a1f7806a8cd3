"""Clusters on disks that fail below real file systems. Without what that needs all is skipped, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.client import Client
from harness.cluster import Cluster
from harness.disks.faulty import FaultyDisk, build
from harness.disks.needs import missing
from harness.invariants import check_cluster
from harness.ledger import Ledger

_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if call.when == "call":
        item.stash[_FAILED] = report.failed
    return report


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disk with faults."""
    reasons = missing()
    if reasons:
        pytest.skip("; ".join(reasons))
    return build(tmp_path_factory.mktemp("faultdisk"))


class Hosts:
    """A cluster whose hosts have a disk with faults each. kinds: of file systems, by host."""

    def __init__(self, program: Path, directory: Path, kinds: tuple[str, ...], **options: Any) -> None:
        self._program = program
        self._directory = directory
        self.cluster = Cluster(directory / "cluster", hosts=len(kinds), mount_check=True, **options)
        self._separate_kernel_log()
        self.disks: dict[int, FaultyDisk] = {}
        for host, kind in enumerate(kinds, 1):
            self.insert(host, kind)
        self.cluster.start()

    def _separate_kernel_log(self) -> None:
        """The machine's has errors of loop devices that other disks had before, for which these would be taken out."""
        log = self._directory / "kernel.log"
        log.touch()
        conf = self.cluster.etc / "object-server.conf"
        conf.write_text(conf.read_text().replace("[DEFAULT]\n", f"[DEFAULT]\ndrive_audit_log = {log}\n"))

    def insert(self, host: int, kind: str, image: Path | None = None) -> FaultyDisk:
        """Mount a disk in a host, in the place of the one that was there."""
        old = self.disks.pop(host, None)
        if old is not None:
            old.close()
        number = len([*self._directory.glob("disk*")])
        mount = self.cluster.devices(host) / "d1"
        made = FaultyDisk(self._program, self._directory / f"disk{number}", kind, mount, image)
        self.disks[host] = made
        return made

    def repair(self, host: int) -> None:
        """As an operator does: the faults are gone, the file system is checked and mounted again."""
        self.disks[host].heal()
        servers = self.cluster.host(host)
        for server in servers:
            server.kill()
        self.disks[host].repair()
        self.cluster.start()

    def rest(self) -> None:
        """No disk fails any more. One whose file system has given up is repaired."""
        for disk in self.disks.values():
            disk.heal()
        for host, disk in self.disks.items():
            if not disk.writable:
                self.repair(host)
        self.cluster.mend()

    def forget_cached(self) -> None:
        for disk in self.disks.values():
            disk.sync()
            disk.forget_cached()

    def close(self) -> None:
        for disk in self.disks.values():
            disk.heal()
        try:
            self.cluster.kill()
        finally:
            for disk in self.disks.values():
                disk.close()


@pytest.fixture
def make_hosts(program: Path, tmp_path: Path) -> Iterator[Callable[..., Hosts]]:
    made: list[Hosts] = []

    def make(*kinds: str, **options: Any) -> Hosts:
        (tmp_path / "cluster").mkdir()
        made.append(Hosts(program, tmp_path, kinds, **options))
        return made[-1]

    yield make
    for hosts in made:
        hosts.close()


@pytest.fixture
def hosts(make_hosts: Callable[..., Hosts]) -> Hosts:
    """Four hosts with all file systems."""
    return make_hosts("ext4", "ext4", "xfs", "btrfs")


@pytest.fixture
def client(hosts: Hosts) -> Iterator[Client]:
    made = hosts.cluster.client()
    yield made
    made.close()


@pytest.fixture
def ledger(request: pytest.FixtureRequest, hosts: Hosts, client: Client) -> Iterator[Ledger]:
    """Of a container; what it says holds in the end, and all else that `check_cluster` asks for."""
    assert client.put("probe").status == 201
    made = Ledger("probe")
    yield made
    if not request.node.stash.get(_FAILED, True):
        hosts.rest()
        check_cluster(hosts.cluster, made)
