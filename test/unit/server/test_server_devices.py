"""What counts as a device of a host."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from objstore.core.errors import DeviceUnavailable, NotFound
from objstore.core.names import HashSalt, Location, Name
from objstore.core.timestamps import Timestamp
from objstore.runtime import green
from objstore.runtime.drives import Outs
from objstore.runtime.files import FILES
from objstore.server.answers import answer
from objstore.server.devices import Devices, Makers
from objstore.server.request import Request
from objstore.server.storage_server import StorageServer
from objstore.store.databases import ContainerStore
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.wire.bodies import NO_BODY
from objstore.wire.messages import REPLICATE, NodeRequest, NodeResponse, Share


def test_plain_files_and_names_with_a_dot_are_no_devices(tmp_path: Path) -> None:
    """A request for the device `.recon` was answered if mount points are not asked for."""
    for name in ("d1", ".recon", ".out", "lost+found"):
        (tmp_path / name).mkdir()
    (tmp_path / "README").touch()
    devices = Devices(str(tmp_path), Makers(*[None] * 4), False)  # type: ignore[arg-type]
    assert devices.names() == ["d1"]
    devices.get("d1")
    for name in (".recon", ".out", ".", "..", "", "lost+found", "README", "d1/x"):
        with pytest.raises(DeviceUnavailable):
            devices.get(name)


class Mounted:
    """A device on a file system of its own: a link to one, which `unmount` replaces by what is beneath."""

    def __init__(self, root: Path, disk: str) -> None:
        self.path = root / "d1"
        self.path.symlink_to(disk)
        makers = Makers(
            objects=lambda path, policy: FileReplicaStore(path, policy),
            containers=lambda path: ContainerStore(path, FILES),
            accounts=lambda path: None,
            spool=lambda path, policy: None,
        )
        self.devices = Devices(str(root), makers, False, check_interval=0.05)

    def unmount(self) -> None:
        self.path.unlink()
        self.path.mkdir()

    def mount(self, disk: str) -> None:
        self.path.rmdir()
        self.path.symlink_to(disk)


@pytest.fixture
def disk() -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as path:
        yield path


def test_after_a_lazy_umount_nothing_is_acknowledged_nor_missing(tmp_path: Path, disk: str) -> None:
    """Copies were written beneath the mount point for up to a second, and were hidden when the disk came back."""
    mounted = Mounted(tmp_path, disk)
    device = mounted.devices.get("d1")
    device.require_same()
    mounted.unmount()
    with pytest.raises(DeviceUnavailable):
        device.require_same()
    with pytest.raises(DeviceUnavailable, match="not mounted"):  # at once, however short ago it was looked at
        mounted.devices.get("d1")
    mounted.mount(disk)
    mounted.devices.get("d1").require_same()


def open_below(path: str) -> list[str]:
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{fd}")
            if target.startswith(path):
                found.append(target)
    return found


def test_a_device_that_was_taken_out_is_released(tmp_path: Path, disk: str) -> None:
    """It could not be unmounted until all servers of the host had ended."""
    mounted = Mounted(tmp_path, disk)
    device = mounted.devices.get("d1")
    device.containers.create(Location(1, "0" * 32), Name("a", "c"), Timestamp(10), 0, {})
    device.containers.info(Location(1, "0" * 32))
    device.objects(0).delete(Location(1, "0" * 32), "/a/c/o", Timestamp(10))
    assert open_below(disk)
    Outs(str(tmp_path)).take_out("d1", "a test", 0.0)
    deadline = time.monotonic() + 10
    while open_below(disk) and time.monotonic() < deadline:
        green.sleep(0.05)
    assert open_below(disk) == []
    with pytest.raises(DeviceUnavailable, match="taken out"):
        mounted.devices.get("d1")
    Outs(str(tmp_path)).put_back("d1")
    green.sleep(0.1)
    assert mounted.devices.get("d1").containers.info(Location(1, "0" * 32)).object_count == 0


def test_a_path_that_cannot_be_looked_at_is_not_called_unmounted(tmp_path: Path) -> None:
    loop = tmp_path / "d1"
    loop.symlink_to(loop)
    devices = Devices(str(tmp_path), Makers(*[None] * 4), False)  # type: ignore[arg-type]
    with pytest.raises(DeviceUnavailable, match="Too many levels"):
        devices.get("d1")


def _missing(_: Request) -> NodeResponse:
    raise NotFound("o")


@pytest.mark.parametrize(
    ("method", "verb", "status"),
    [
        ("PUT", lambda _: answer(201), 507),
        ("POST", lambda _: answer(202), 507),
        ("DELETE", lambda _: answer(204), 507),
        ("DELETE", _missing, 507),
        ("GET", _missing, 507),
        ("HEAD", lambda _: answer(404), 507),
        (REPLICATE, lambda _: answer(200), 507),
        ("GET", lambda _: answer(200), 200),  # of a file that was open before
    ],
)
def test_a_device_that_is_unmounted_within_a_request_acknowledges_nothing(
    tmp_path: Path, disk: str, method: str, verb: Callable[[Any], NodeResponse], status: int
) -> None:
    """What was written beneath the mount point would be hidden as soon as the disk is back."""
    mounted = Mounted(tmp_path, disk)

    def unmounted_meanwhile(request: Any) -> NodeResponse:
        mounted.unmount()
        return verb(request)

    server = StorageServer(
        "object",
        mounted.devices,
        HashSalt(b"a", b""),
        {} if method == REPLICATE else {method: unmounted_meanwhile},
        logging.getLogger("test"),
        unmounted_meanwhile,
    )
    name = Share("object") if method == REPLICATE else Name("a", "c", "o")
    assert server.handle("d1", NodeRequest(method, 1, name, {}), NO_BODY).status == status


def test_a_store_that_is_outgrown_is_released_and_made_again(tmp_path: Path) -> None:
    class Store:
        released = False

        def release(self) -> None:
            self.released = True

    (tmp_path / "d1").mkdir()
    made: list[Store] = []

    def make(path: str, policy: int) -> Any:
        made.append(Store())
        return made[-1]

    nothing: Any = None
    outgrown: list[Any] = []
    makers = Makers(make, nothing, nothing, nothing, is_outgrown=lambda store: store in outgrown)
    device = Devices(str(tmp_path), makers, False).get("d1")
    first = device.objects(0)
    assert device.objects(0) is first
    outgrown.append(first)
    assert device.objects(0) is made[1]
    assert device.objects(0) is made[1]
    assert [each.released for each in made] == [True, False]
