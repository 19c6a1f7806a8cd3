"""Bytes that rot on disk are never served; full disks refuse and recover."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.client import Client, log_in
from harness.cluster import Cluster
from harness.copies import Copy, copies
from harness.processes import Serve, find, wait_until

SIZES = [1000, 300_000, 5_000_000]


def started(tmp_path: Path, **options: int) -> Serve:
    server = Serve(tmp_path / "data", tmp_path / "log", **options)
    server.start()
    return server


def logged_in(server: Serve) -> Client:
    known = server.credentials
    return log_in(known["endpoint"], known["user"], known["key"])


def a_copy(cluster: Cluster, client: Client, path: str) -> tuple[Copy, Callable[[], bool]]:
    """One of the three copies of `container/object`, and whether it is still there, not one in its place."""
    place = cluster.locate(client.account, *path.split("/"))
    cluster.damaged.add(place.hash)
    wait_until(lambda: len(cluster.copies(place)) == 3, "three copies")
    host, copy = next(iter(cluster.copies(place).items()))

    def is_there() -> bool:
        now = cluster.copies(place).get(host)
        return now is not None and (now.mark, now.start) == (copy.mark, copy.start)

    return copy, is_there


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
    (copy,) = copies(single.data / "devices" / "d1")
    assert copy.is_packed == (size <= 65536)
    copy.flip(int(len(body) * where))
    try:
        answer = client.get("c/object")
    except Exception:  # broken off, which tells the client
        answer = None
    assert answer is None or answer.status in (404, 503)
    assert client.get("c/object").status in (404, 503)
    assert not [*copies(single.data / "devices" / "d1")]
    assert len(find(single.data / "devices", "d1/quarantined/*/*/*.data")) == 1
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
    bad, is_there = a_copy(cluster, client, path)
    bad.flip(int(len(body) * where))

    def found_out() -> bool:
        answer = client.get(path)
        assert (answer.status, answer.body) == (200, body)
        return not is_there()

    wait_until(found_out, f"the copy {bad} to be read", 30)
    assert len(cluster.quarantined()) == before + 1


@pytest.mark.parametrize(
    ("size", "damage"),
    [
        *((300_000, damage) for damage in ("cut", "emptied", "grown", "no metadata")),
        *((3000, damage) for damage in ("cut", "emptied", "no metadata")),
    ],
)
def test_a_copy_is_damaged_in_another_way(
    cluster: Cluster, client: Client, container: str, size: int, damage: str
) -> None:
    body = bytes(range(250)) * (size // 250)
    path = f"{container}/object"
    client.put(path, body)
    bad, is_there = a_copy(cluster, client, path)
    match damage:
        case "cut":
            bad.cut(1000)
        case "emptied":
            bad.cut(-1)
        case "grown":
            with open(bad.path, "ab") as file:
                file.write(b"more")
        case _ if bad.is_packed:
            bad.flip(-20)
        case _:
            for name in os.listxattr(bad.path):
                os.removexattr(bad.path, name)

    def found_out() -> bool:
        answer = client.get(path)
        assert (answer.status, answer.body) == (200, body)
        return not is_there()

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

    @pytest.mark.parametrize("size", [20_000, 100_000])
    def test_a_disk_that_another_program_filled_is_read_and_emptied(
        self, small_disk: Path, tmp_path: Path, size: int
    ) -> None:
        """Workers died of SIGBUS on mapped files, and a deletion found no block for its tombstone."""
        server = started(tmp_path)
        try:
            client = logged_in(server)
            client.put("c")
            bodies = {f"{number:02}": bytes([number]) * size for number in range(20)}
            for name, body in bodies.items():
                assert client.put(f"c/{name}", body).status == 201
            with open(small_disk / "of another program", "wb", buffering=0) as filler, contextlib.suppress(OSError):
                while True:
                    filler.write(bytes(4096))
            for name, body in bodies.items():
                assert client.get(f"c/{name}").body == body
            more = client.put("c/more", bytes(size)).status
            assert more in (201, 503, 507)  # a volume may have room yet, or daemons that report have used the ballast
            for name in [*bodies, *(["more"] if more == 201 else [])]:
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
