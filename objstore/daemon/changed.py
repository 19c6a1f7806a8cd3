"""Which of a device's databases are worth a look: those whose files have changed since they were last looked at."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from objstore.core.errors import DeviceUnavailable, LockTimeout
from objstore.core.names import Location
from objstore.runtime.threads import ThreadPool

# Errors of a database that may be gone a moment later.
NOT_NOW = (DeviceUnavailable, LockTimeout)
# Of time stamps of files against the clock: they are those of the last tick, and may be coarse.
_SLACK_SECONDS = 2.0
_BATCH = 256


class ChangedDatabases:
    """Remembers, for each device, when it was last looked at; every `full_interval` seconds all count as changed."""

    def __init__(self, name: str, full_interval: float = 6 * 3600.0, now: Callable[[], float] = time.time) -> None:
        """name: of the daemon. now: the clock that files are dated by."""
        self._full_interval = full_interval
        self._now = now
        self._threads = ThreadPool(name, 1)
        self._since: dict[str, float] = {}
        self._looked: dict[str, float] = {}  # as `_since` will be, unless something is missed
        self._missed: set[str] = set()
        self._last_full = 0.0

    def begin(self) -> None:
        """To be called at the begin of each pass, when all units of the one before have ended."""
        self._since |= {device: at for device, at in self._looked.items() if device not in self._missed}
        self._looked.clear()
        self._missed.clear()
        now = self._now()
        # A clock that was set back makes changes look older than they are: the next full pass sees them.
        if not self._last_full <= now < self._last_full + self._full_interval:
            self._last_full = now
            self._since.clear()

    def of(self, device: str, databases: Any) -> Iterator[Location]:
        """The places of changed databases (of a ContainerStore or AccountStore); once all are taken, they are known
        from the next pass on."""
        started = self._now()
        changed = changed_since(databases, self._since.get(device, 0.0))
        while batch := self._threads.run(_take, changed):
            yield from batch
        self._looked[device] = started - _SLACK_SECONDS

    def missed(self, device: str) -> None:
        """One of those taken in this pass could not be looked at: they come again in the next."""
        self._missed.add(device)


def changed_since(databases: Any, since: float) -> Iterator[Location]:
    """The places whose database files have changed at or after `since`, seconds since the epoch; blocks."""
    for location in databases.locations():
        path = databases.path(location)
        if _changed(path) >= since or _changed(path + "-wal") >= since:
            yield location


def _changed(path: str) -> float:
    """When a file, or its inode, was changed last; -1 without one."""
    try:
        return os.stat(path).st_ctime
    except OSError:
        return -1.0


def _take(locations: Iterator[Location]) -> list[Location]:
    return list(islice(locations, _BATCH))
