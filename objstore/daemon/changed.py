"""Which of a device's databases are worth a look: those whose files have changed since they were last looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from objstore.core.errors import DeviceUnavailable, LockTimeout
from objstore.core.names import Location
from objstore.daemon.container_updater import changed_since
from objstore.runtime.threads import ThreadPool

# Errors of a database that may be gone a moment later.
NOT_NOW = (DeviceUnavailable, LockTimeout)
# Of time stamps of files against the clock: they are those of the last tick, and may be coarse.
_SLACK_SECONDS = 2.0
_BATCH = 256


class ChangedDatabases:
    """Remembers, for each device, when it was last looked at; every `full_interval` seconds all count as changed."""

    def __init__(self, name: str, full_interval: float = 6 * 3600.0, now: Callable[[], float] = time.time) -> None:
        """name: of the daemon."""
        self._full_interval = full_interval
        self._now = now
        self._threads = ThreadPool(name, 1)
        self._since: dict[str, float] = {}
        self._missed: set[str] = set()
        self._last_full = 0.0

    def begin(self) -> None:
        """To be called at the begin of each pass."""
        now = self._now()
        # A clock that was set back makes changes look older than they are: the next full pass sees them.
        if not self._last_full <= now < self._last_full + self._full_interval:
            self._last_full = now
            self._since.clear()

    def of(self, device: str, databases: Any) -> Iterator[Location]:
        """The places of changed databases (of a ContainerStore or AccountStore); once all are taken, they are known."""
        started = self._now()
        changed = changed_since(databases, self._since.get(device, 0.0))
        while batch := self._threads.run(_take, changed):
            yield from batch
        if device in self._missed:
            self._missed.remove(device)
        else:
            self._since[device] = started - _SLACK_SECONDS

    def missed(self, device: str) -> None:
        """One of those just taken could not be looked at: they come again in the next pass."""
        self._missed.add(device)


def _take(locations: Iterator[Location]) -> list[Location]:
    return list(islice(locations, _BATCH))
