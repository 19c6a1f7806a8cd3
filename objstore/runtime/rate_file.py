"""Rates that the processes of a host share: for each key the time from which its next event is on time.

The times stand in a file, as the generations of the cache do: two processes take turns by a lock on the few slots that
a key can have, and a call costs four system calls. The clock is the system's monotonic one, the same for all processes.

The pace. Each event moves the time of its key by 1/rate; an event before that time must wait. A key that has been idle
for at most `buffer` seconds may catch up what it did not use; after a longer time it starts again at now.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

from objstore.core.errors import ConfigError

_SLOT = struct.Struct("=8sQ")  # hash of the key, time in nanoseconds
_GROUP = 8  # slots that a key can have; the one that is due first is reused
_GROUPS = 8192
_SIZE = _SLOT.size * _GROUP * _GROUPS
_NANO = 1_000_000_000


class RatePace(NamedTuple):
    """rate: events per second. buffer: seconds that may be caught up. max_wait: seconds; a longer wait is refused."""

    rate: float
    buffer: float
    max_wait: float


def advance(stored: int, now: int, pace: RatePace, unit: int = _NANO) -> tuple[int, float | None]:
    """Return the new time of a key, and the seconds that its event must wait; None if that is too long.

    stored: the time of the key, 0 if it has none. All times are in 1/`unit` seconds. A refused event changes nothing.
    """
    due = stored if stored >= now - pace.buffer * unit else now
    wait = max(0, due - now) / unit
    if wait > pace.max_wait:
        return stored, None
    return due + round(unit / pace.rate), wait


class RateFile:
    """The rates in a file; path '' for a file in memory, of this process alone. Raises ConfigError.

    If the file cannot be read or written, nothing waits: a limit must not stop the store.
    """

    def __init__(self, path: str = "", now: Callable[[], int] = time.monotonic_ns) -> None:
        self._now = now
        try:
            if path:
                self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            else:
                self._fd = os.memfd_create("rates", os.MFD_CLOEXEC)
            if os.fstat(self._fd).st_size < _SIZE:
                os.ftruncate(self._fd, _SIZE)
        except OSError as error:
            raise ConfigError(f"ratelimit_file = {path}: {error.strerror}") from None

    def wait(self, key: str, pace: RatePace) -> float | None:
        """Count an event of a key; return the seconds it must wait, None if it is refused."""
        digest = hashlib.md5(key.encode("utf-8", "surrogateescape"), usedforsecurity=False).digest()
        start = int.from_bytes(digest[8:10], "little") % _GROUPS * _GROUP * _SLOT.size
        length = _GROUP * _SLOT.size
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX, length, start)
            try:
                return self._count(digest[:8], start, length, pace)
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN, length, start)
        except OSError:
            return 0.0

    def _count(self, key: bytes, start: int, length: int, pace: RatePace) -> float | None:
        data = os.pread(self._fd, length, start)
        slots = list(_SLOT.iter_unpack(data))
        mine = next((index for index, slot in enumerate(slots) if slot[0] == key), None)
        if mine is None:
            mine = min(range(_GROUP), key=lambda index: slots[index][1])
            stored = 0
        else:
            stored = slots[mine][1]
        due, wait = advance(stored, self._now(), pace)
        if wait is not None:
            os.pwrite(self._fd, _SLOT.pack(key, due), start + mine * _SLOT.size)
        return wait
