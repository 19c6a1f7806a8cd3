"""Leases: short, exclusive rights to change one name on one device, shared by all processes of the host.

A lease is a small file. It is never synced: a power cut ends all leases, and a change under
a lease that is no more is refused. What a process that was killed leaves behind expires.

With a lease goes a *promise*: a timestamp up to which the holder may make its change. It
outlives the lease: whoever changes the name later must be newer than the promise, so that a
change that reached other devices and was never acknowledged cannot win over a later one.

All methods but `present`, `is_recent` and `sweep` must be called with the name locked (`ObjectStore.exclusively`, or
in a guard).
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from typing import NamedTuple

from objstore.core.errors import InvalidInput
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import exists

MAX_SECONDS = 3600.0  # of a lease; one that seems to last longer was made before the machine's last start
KEPT_SECONDS = 600.0  # of a promise: more than any two clocks of a cluster differ
_SWEEP_SECONDS = 60.0


def boot_time() -> float:
    """Seconds since the machine's start, the same in all processes and never set back."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease(NamedTuple):
    """id: of its holder. until: in seconds of `boot_time`. promise: see above."""

    id: str
    until: float
    promise: Timestamp


class Leases:
    """The leases of one policy's names on one device. root: the device's directory."""

    def __init__(self, root: str, policy: int = 0, now: Callable[[], float] = boot_time) -> None:
        self._directory = f"{root}/leases"
        self._suffix = f"-{policy}" if policy else ""
        self._now = now
        self._next_sweep = 0.0

    def _path(self, name_hash: str) -> str:
        return f"{self._directory}/{name_hash}{self._suffix}"

    def present(self, name_hash: str) -> bool:
        """May there be a lease or a promise? Raises OSError."""
        return exists(self._path(name_hash))

    def read(self, name_hash: str) -> Lease | None:
        """Return the last lease written; None if there is none, or only half of one."""
        try:
            with open(self._path(name_hash), "rb") as file:
                name, until, promise = json.loads(file.readline())
            return Lease(str(name), float(until), Timestamp.parse(promise))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, InvalidInput):
            return None

    def is_live(self, lease: Lease) -> bool:
        return 0 < lease.until - self._now() <= MAX_SECONDS

    def is_recent(self, name_hash: str, seconds: float, wall: Callable[[], float] = time.time) -> bool:
        """Return whether a lease or promise was given within a number of seconds."""
        try:
            return os.stat(self._path(name_hash)).st_mtime > wall() - seconds
        except FileNotFoundError:
            return False

    def write(self, name_hash: str, holder: str, seconds: float, promise: Timestamp) -> Lease:
        """Replace the lease by one of a number of seconds; 0 for the promise alone."""
        lease = Lease(holder, self._now() + seconds if seconds else 0.0, promise)
        line = json.dumps([lease.id, lease.until, promise.internal]).encode() + b"\n"
        path = self._path(name_hash)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._directory)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.pwrite(fd, line, 0)  # in one call: one who is killed here leaves the old or the new
            os.ftruncate(fd, len(line))
        finally:
            os.close(fd)
        return lease

    def remove(self, name_hash: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(name_hash))

    def sweep(self, wall: Callable[[], float] = time.time) -> int:
        """Remove what is older than any lease or promise need be; how many. At most once a minute, else 0."""
        if self._now() < self._next_sweep:
            return 0
        self._next_sweep = self._now() + _SWEEP_SECONDS
        oldest = wall() - KEPT_SECONDS
        count = 0
        with contextlib.suppress(FileNotFoundError), os.scandir(self._directory) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if not entry.name.startswith(".") and entry.stat().st_mtime < oldest:
                        os.unlink(entry.path)
                        count += 1
        return count
