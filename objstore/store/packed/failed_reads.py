"""Reads that the device fails: noted at first, given up minutes later.

An I/O error may come from a controller or a cable, and be over in a second. So the first one is an error for whoever
reads, and another copy answers. It is noted in a file that all processes see:

    <device>/packed[-<policy>]/unreadable       seconds since the epoch, then a line for each stretch of a volume that
                                                was stepped over: number, start, end

If reads fail minutes later, too, what cannot be read is given up: the index is rebuilt, and whoever reads a volume in
order steps over the sectors. What was in them comes back by replication.
"""

from __future__ import annotations

import contextlib
import time

from objstore.runtime.files import Files
from objstore.store.disk_errors import UNREADABLE

PAUSE = 300.0  # seconds from the first error until reads are given up
_MEMORY = 3600.0  # seconds after which an error counts as the first one again
_NAME = "unreadable"
_MAX_BYTES = 1 << 20

Stretch = tuple[int, int, int]


class FailedReads:
    """The failed reads of a directory, `<device>/packed[-<policy>]`. Blocks."""

    def __init__(self, files: Files, directory: str) -> None:
        self._files = files
        self._path = f"{directory}/{_NAME}"

    def is_lasting(self, error: OSError) -> bool:
        """Return whether this is an error of reading, and reads failed minutes ago, too. Notes the first one."""
        if error.errno not in UNREADABLE:
            return False
        with contextlib.suppress(OSError):
            since, _ = self._noted()
            age = time.time() - since
            if 0 <= age <= _MEMORY:
                return age >= PAUSE
            self._files.replace(self._path, b"%.1f\n" % time.time())
        return False

    def step_over(self, volume: int, start: int, end: int) -> None:
        """Note that a stretch of a volume was stepped over; best effort."""
        with contextlib.suppress(OSError):
            file = self._files.open_to_append(self._path)
            if self._files.size(file.fd) < _MAX_BYTES:
                self._files.write(file.fd, (b"%d %d %d\n" % (volume, start, end),))

    def stretches(self) -> list[Stretch]:
        """Return the stretches that were stepped over lately: volume, start and end. Raises OSError."""
        return sorted(set(self._noted()[1]))

    def _noted(self) -> tuple[float, list[Stretch]]:
        """The time of the first error, and the stretches. Raises OSError."""
        try:
            file = self._files.open(self._path)
        except FileNotFoundError:
            return 0.0, []
        data = bytearray(self._files.size(file.fd))
        del data[self._files.read_at(file.fd, data, 0) :]
        try:
            first, *lines = bytes(data).splitlines()
            found = [tuple(map(int, line.split())) for line in lines]
            return float(first), [(each[0], each[1], each[2]) for each in found]
        except (ValueError, IndexError):
            return 0.0, []
