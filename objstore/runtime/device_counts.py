"""The counts of a device that operators watch: quarantined data, waiting updates, and free space.

Counting lists directories, which takes long on a failing disk: each device is counted in its own thread, and callers
get the last counts after a short wait.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

SPOOL = "async_pending"  # a directory a policy on each device: async_pending, async_pending-1
QUARANTINE = "quarantined"
MOST = 100_000  # entries of one directory that are counted
_HOLDS_PARTITIONS = re.compile(r"accounts|containers|objects(?:-\d+)?")
MAX_NAMES = 20  # of quarantined data, listed per kind and device


class DeviceUsage(NamedTuple):
    """Bytes. avail: what is left to others than root. inodes: of the file system, 0 if it has no fixed number of them.

    read_only: the file system takes no writes, as after an error of its disk.
    """

    size: int
    used: int
    avail: int
    inodes: int = 0
    inodes_avail: int = 0
    read_only: bool = False


class Counted(NamedTuple):
    """The counts of a device. quarantined: by the directory's name (`objects`, `objects-1`, `containers`).

    partitions: number of directories, likewise. file_system: its number on this host, 0 if unknown: devices that are
    directories of the same one share its space. identity: of its root directory, '' if unknown; another device in the
    same place has another. at: time in seconds since the epoch; late: newer counts were requested, but the device has
    not answered yet. error: of the system, if the device cannot be read.
    """

    mounted: bool
    usage: DeviceUsage | None = None
    quarantined: Mapping[str, int] = {}
    async_pending: int = 0
    partitions: Mapping[str, int] = {}
    file_system: int = 0
    identity: str = ""
    at: float = 0.0
    late: bool = False
    error: str = ""


def entries(path: str) -> list[os.DirEntry[str]]:
    """The entries of a directory by name, none where it cannot be read."""
    try:
        with os.scandir(path) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []


def device_names(root: str) -> list[str]:
    """Directories under which devices are mounted, or ought to be."""
    return [entry.name for entry in entries(root) if is_device(entry)]


def device_paths(root: str) -> list[str]:
    return [os.path.join(root, name) for name in device_names(root)]


def is_device(entry: os.DirEntry[str]) -> bool:
    """Is an entry of the directory of devices one of them? Plain files and names with a dot before them are none."""
    return is_device_name(entry.name) and entry.is_dir()


def is_device_name(name: str) -> bool:
    return not name.startswith(".") and "/" not in name and name not in ("", "lost+found")


def usage(path: str) -> DeviceUsage | None:
    """Return the counts, Return the counts, None if the device does not answer."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    size = found.f_blocks * found.f_frsize
    return DeviceUsage(
        size,
        size - found.f_bfree * found.f_frsize,
        found.f_bavail * found.f_frsize,
        found.f_files,
        found.f_favail,
        bool(found.f_flag & os.ST_RDONLY),
    )


def file_system(path: str) -> int:
    try:
        return os.stat(path).st_dev
    except OSError:
        return 0


def identity(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return ""
    return f"{found.st_dev:x}/{found.st_ino:x}"


def quarantined(device: str) -> dict[str, list[str]]:
    """Names in a device's quarantine by kind, up to MOST of each."""
    return {
        kind.name: [entry.name for entry in _some(kind.path, MOST)]
        for kind in entries(os.path.join(device, QUARANTINE))
        if kind.is_dir()
    }


def spooled(device: str) -> int:
    """Container updates that wait in the device's spools."""
    spools = [entry for entry in entries(device) if entry.name == SPOOL or entry.name.startswith(SPOOL + "-")]
    return sum(min(MOST, _files_below(entry.path, MOST)) for entry in spools)


def partitions(device: str) -> dict[str, int]:
    """Directories of partitions by kind: `accounts`, `containers`, `objects`, `objects-1`."""
    kinds = [entry for entry in entries(device) if _HOLDS_PARTITIONS.fullmatch(entry.name)]
    return {kind.name: sum(entry.name.isdigit() for entry in _some(kind.path, MOST)) for kind in kinds}


def _some(path: str, most: int) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(path) as found:
            yield from islice(found, most)
    except OSError:
        return


def _files_below(path: str, most: int) -> int:
    count = 0
    for _, _, files in os.walk(path):
        count += len(files)
        if count >= most:
            break
    return count


def count(root: str, name: str, is_mounted: Callable[[str], bool], now: Callable[[], float] = time.time) -> Counted:
    """Look at one device now; blocks."""
    path = os.path.join(root, name)
    try:
        mounted = is_mounted(name)
        if mounted:
            os.listdir(path)
    except OSError as error:
        return Counted(True, at=now(), error=error.strerror or str(error))
    if not mounted:
        return Counted(False, at=now())
    found = {kind: len(names) for kind, names in quarantined(path).items()}
    return Counted(True, usage(path), found, spooled(path), partitions(path), file_system(path), identity(path), now())


class DeviceCounts:
    """Counts of several devices, each at most `age` seconds old, or as old as the device makes them."""

    def __init__(
        self, count: Callable[[str], Counted], age: float = 5.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._count = count
        self._age = age
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._counts: dict[str, tuple[float, Counted]] = {}
        self._under_way: set[str] = set()

    def get(self, names: Iterable[str], patience: float = 2.0) -> dict[str, Counted]:
        """Return the counts of each device; waits for up to `patience` seconds. Blocks."""
        names = list(names)
        with self._changed:
            for name in names:
                self._begin(name)
            self._changed.wait_for(lambda: not self._under_way.intersection(names), patience)
            return {name: self._last(name) for name in names}

    def _begin(self, name: str) -> None:
        known = self._counts.get(name)
        if name in self._under_way or (known is not None and self._monotonic() - known[0] < self._age):
            return
        self._under_way.add(name)
        threading.Thread(target=self._look, args=(name,), name=f"count-{name}", daemon=True).start()

    def _look(self, name: str) -> None:
        found = Counted(False)
        try:
            found = self._count(name)
        finally:
            with self._changed:
                self._counts[name] = self._monotonic(), found
                self._under_way.discard(name)
                self._changed.notify_all()

    def _last(self, name: str) -> Counted:
        _, found = self._counts.get(name, (0.0, Counted(False)))
        return found._replace(late=name in self._under_way)


def as_json(counted: Counted) -> dict[str, object]:
    """Return the report of a device for /recon. Numbers of space are None if unknown."""
    room = counted.usage
    kinds = {"accounts": 0, "containers": 0, "objects": 0}
    for kind, number in counted.quarantined.items():
        base = kind.partition("-")[0]
        kinds[base] = kinds.get(base, 0) + number
    return {
        "mounted": counted.mounted,
        "size": room and room.size,
        "used": room and room.used,
        "avail": room and room.avail,
        "inodes": room and room.inodes,
        "inodes_avail": room and room.inodes_avail,
        "read_only": bool(room and room.read_only),
        "error": counted.error,
        "quarantined": kinds,
        "async_pending": counted.async_pending,
        "partitions": dict(counted.partitions),
        "file_system": counted.file_system,
        "identity": counted.identity,
        "counted": counted.at,
        "late": counted.late,
    }
