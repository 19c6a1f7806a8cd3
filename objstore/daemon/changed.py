"""The databases of a device whose files have changed since they were last checked."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from objstore.core.errors import DeviceUnavailable, LockTimeout
from objstore.core.names import Location
from objstore.runtime.threads import ThreadPool

# Errors of a database that may be gone a moment later.
NOT_NOW = (DeviceUnavailable, LockTimeout)
# Of time stamps of files against the clock: they are those of the last tick, and may be coarse.
_SLACK_SECONDS = 2.0
_BATCH = 256  # databases looked at in one call
_PATIENCE = 60.0  # seconds for such a call, after which a device is left alone until it has ended


class ChangedDatabases:
    """Remembers, for each device, when it was last looked at; every `full_interval` seconds all count as changed.

    A device that cannot be looked at, or does not answer, is passed over: it must not hold up the others.
    """

    def __init__(
        self,
        name: str,
        full_interval: float = 6 * 3600.0,
        now: Callable[[], float] = time.time,
        logger: logging.Logger | None = None,
        patience: float = _PATIENCE,
    ) -> None:
        """name: of the daemon. now: the clock that files are dated by."""
        self._full_interval = full_interval
        self._now = now
        self._logger = logger
        self._threads = cache(lambda device: ThreadPool(f"{name}:{device}", 1, patience, lets_go=True))
        self._since: dict[str, float] = {}
        self._checked_at: dict[str, float] = {}  # as `_since` will be, unless something is missed
        self._missed: set[str] = set()
        self._last_full = self._last_begin = 0.0

    def begin(self) -> None:
        """To be called at the begin of each pass, when all units of the one before have ended."""
        self._since |= {device: at for device, at in self._checked_at.items() if device not in self._missed}
        self._checked_at.clear()
        self._missed.clear()
        now = self._now()
        # A clock that was set back makes changes look older than they are.
        set_back, self._last_begin = now < self._last_begin, now
        if set_back or not self._last_full <= now < self._last_full + self._full_interval:
            self._last_full = now
            self._since.clear()

    def of(self, device: str, databases: object) -> Iterator[Location]:
        """The places of changed databases (of a ContainerStore or AccountStore); once all are taken, they are known
        from the next pass on."""
        started, threads = self._now(), self._threads(device)
        places = looked_at(databases, self._since.get(device, 0.0))
        try:
            yield from filter(None, threads.iterate(places, _BATCH))
        except (OSError, DeviceUnavailable) as error:
            self.missed(device)
            if self._logger is not None:
                self._logger.warning("%s: cannot list databases: %s", device, error)
        self._checked_at[device] = started - _SLACK_SECONDS

    def missed(self, device: str) -> None:
        """One of those taken in this pass could not be looked at: they come again in the next."""
        self._missed.add(device)


def looked_at(databases: Any, since: float) -> Iterator[Location | None]:
    """Yield for each database its place if its files have changed at or after `since` (seconds since the epoch), else
    None; blocks."""
    for location in databases.locations():
        path = databases.path(location)
        yield location if _changed(path) >= since or _changed(path + "-wal") >= since else None


def _changed(path: str) -> float:
    """Return the time of the last change of a file or its inode; -1 if it is missing. Raises OSError."""
    try:
        return os.stat(path).st_ctime
    except (FileNotFoundError, NotADirectoryError):
        return -1.0
