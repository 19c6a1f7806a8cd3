"""Bytes that rot on disk are never served; full disks refuse and recover."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.client import Client, log_in
from harness.cluster import Cluster
from harness.faults import flip, truncate
from harness.processes import Serve, find, wait_until

SIZES = [1000, 300_000, 5_000_000]


def started(tmp_path: Path, **options: int) -> Serve:
    server = Serve(tmp_path / "data", tmp_path / "log", **options)
    server.start()
    return server


def logged_in(server: Serve) -> Client:
    known = server.credentials
    return log_in(known["endpoint"], known["user"], known["key"])


def a_copy(cluster: Cluster, client: Client, path: str) -> tuple[int, Path]:
    """Host and .data file of one of the three copies of `container/object`."""
    place = cluster.locate(client.account, *path.split("/"))
    cluster.damaged.add(place.hash)
    wait_until(lambda: len(cluster.data_files(place)) == 3, "three copies")
    return next(iter(cluster.data_files(place).items()))


@pytest.fixture
def single(tmp_path: Path) -> Iterator[Serve]:
    server = started(tmp_path)
    yield server
    server.stop()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("where", [0.0, 0.5, 0.99])
def test_the_only_copy_rots(single: Serve, size: int, where: float) -> None:
    client = logged_in(single)
    body = bytes(range(256)) * (size // 256)
    client.put("c")
    client.put("c/object", body)
    (path,) = find(single.data / "devices", "d1/objects/*/*/*/*.data")
    position = int(len(body) * where)
    flip(path, position)
    try:
        answer = client.get("c/object")
    except Exception:  # broken off, which tells the client
        answer = None
    assert answer is None or answer.status in (404, 503)
    assert client.get("c/object").status in (404, 503)
    assert not path.exists()
    (bad,) = find(single.data / "devices", "d1/quarantined/*/*/*.data")
    assert bad.name == path.name
    assert client.put("c/object", body).status == 201
    assert client.get("c/object").body == body


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("where", [0.0, 0.5])
def test_a_copy_rots_and_another_is_served(
    cluster: Cluster, client: Client, container: str, size: int, where: float
) -> None:
    body = bytes(range(256)) * (size // 256)
    path = f"{container}/object"
    assert client.put(path, body).status == 201
    before = len(cluster.quarantined())
    host, bad = a_copy(cluster, client, path)
    flip(bad, int(len(body) * where))
    inode = bad.stat().st_ino

    def found_out() -> bool:
        answer = client.get(path)
        assert (answer.status, answer.body) == (200, body)
        return not is_there(bad, inode)

    wait_until(found_out, f"the copy on host {host} to be read", 30)
    assert len(cluster.quarantined()) == before + 1


def is_there(path: Path, inode: int) -> bool:
    """That very file, not one in its place."""
    try:
        return path.stat().st_ino == inode
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("damage", ["cut", "emptied", "grown", "no metadata"])
def test_a_copy_is_damaged_in_another_way(cluster: Cluster, client: Client, container: str, damage: str) -> None:
    body = bytes(range(256)) * 1000
    path = f"{container}/object"
    client.put(path, body)
    _, bad = a_copy(cluster, client, path)
    inode = bad.stat().st_ino
    match damage:
        case "cut":
            truncate(bad, 1000)
        case "emptied":
            truncate(bad, 0)
        case "grown":
            with open(bad, "ab") as file:
                file.write(b"more")
        case _:
            for name in os.listxattr(bad):
                os.removexattr(bad, name)

    def found_out() -> bool:
        answer = client.get(path)
        assert (answer.status, answer.body) == (200, body)
        return not is_there(bad, inode)

    wait_until(found_out, "the copy to be read", 30)


class TestFullDisk:
    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        """A file system of 30 MB where the first device is to be."""
        place = tmp_path / "data" / "devices" / "d1"
        place.mkdir(parents=True)
        options = ["-t", "tmpfs", "-o", "size=30m", "none", str(place)]
        done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
        yield place
        subprocess.run(["umount", str(place)], check=True)

    def test_a_full_disk_refuses_and_recovers(self, small_disk: Path, tmp_path: Path) -> None:
        server = started(tmp_path)
        try:
            client = logged_in(server)
            client.put("c")
            stored = []
            for number in range(60):
                name, body = f"{number:02}", bytes([number]) * 1_000_000
                status = client.put(f"c/{name}", body).status
                assert status in (201, 507, 503)
                if status == 201:
                    stored.append((name, body))
            assert 20 <= len(stored) < 31
            assert client.put("c/large", bytes(40_000_000)).status in (507, 503)
            for name, body in stored:
                assert client.get(f"c/{name}").body == body
            assert client.names("c") == [name for name, _ in stored]
            for name, _ in stored:
                assert client.delete(f"c/{name}").status == 204
            assert client.names("c") == []
            wait_until(lambda: client.put("c/again", bytes(1_000_000)).status == 201, "room", 10)
            assert not [path for path in find(small_disk, "tmp/*") if path.is_file()]
        finally:
            server.stop()

    def test_a_disk_that_another_program_filled_is_read_and_emptied(self, small_disk: Path, tmp_path: Path) -> None:
        """Workers died of SIGBUS on mapped files, and a deletion found no block for its tombstone."""
        server = started(tmp_path)
        try:
            client = logged_in(server)
            client.put("c")
            bodies = {f"{number:02}": bytes([number]) * 100_000 for number in range(20)}
            for name, body in bodies.items():
                assert client.put(f"c/{name}", body).status == 201
            with open(small_disk / "of another program", "wb", buffering=0) as filler, contextlib.suppress(OSError):
                while True:
                    filler.write(bytes(4096))
            for name, body in bodies.items():
                assert client.get(f"c/{name}").body == body
            assert client.put("c/more", b"more").status in (507, 503)
            for name in bodies:
                assert client.delete(f"c/{name}").status == 204
            assert client.names("c") == []
        finally:
            server.stop()

    def test_what_a_full_disk_does_not_take_goes_elsewhere(self, small_disk: Path, tmp_path: Path) -> None:
        server = started(tmp_path, devices=4, replicas=3)
        try:
            client = logged_in(server)
            assert client.put("c").status == 201
            bodies = {f"{number:02}": bytes([number]) * 1_000_000 for number in range(60)}
            for name, body in bodies.items():
                assert client.put(f"c/{name}", body).status == 201
            for name, body in bodies.items():
                assert client.get(f"c/{name}").body == body
            assert set(client.names("c")) == set(bodies)
            files = find(tmp_path / "data" / "devices", "d?/objects/*/*/*/*.data")
            assert len(files) >= 3 * len(bodies) - len(bodies) // 4
        finally:
            server.stop()
