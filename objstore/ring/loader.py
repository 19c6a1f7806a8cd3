"""A ring that follows its file: replaced on disk, it is replaced in the process."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

from objstore.core.errors import ConfigError
from objstore.ring.ring import Ring

_Stamp = tuple[int, int, int]  # inode, modification time in ns, size


class RingLoader:
    """`get` gives the current ring; the file is looked at once in `check_interval` seconds at most."""

    def __init__(
        self,
        path: str,
        logger: logging.Logger,
        check_interval: float = 15,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Load the ring. Raises ConfigError if that fails."""
        self.path = path
        self._check_interval = check_interval
        self._clock = clock
        self._logger = logger
        # Taken before the file is read: a change in between is then seen at the next check.
        self._stamp = self._look()
        self._ring = Ring.load(path)
        self._next_check = clock() + check_interval

    def get(self) -> Ring:
        """The ring as last found sound; a damaged or missing file is logged and changes nothing."""
        now = self._clock()
        if now >= self._next_check:
            self._next_check = now + self._check_interval
            self._reload_if_changed()
        return self._ring

    def _reload_if_changed(self) -> None:
        stamp = self._look()
        if stamp == self._stamp:
            return
        try:
            self._ring = Ring.load(self.path)
            self._stamp = stamp
        except ConfigError as error:
            self._logger.error("keeping ring version %d: %s", self._ring.version, error)

    def _look(self) -> _Stamp | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
