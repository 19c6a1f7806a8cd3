"""Tells accounts what their containers hold: changed totals, from this host's container databases.

A pass looks at databases whose files have changed since the pass before, which their inodes
tell, so that it costs little where nothing changes; every `full_interval` seconds it looks at all. What a
majority of the account's replicas has taken is marked as reported; the others learn it by replication.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from objstore.core.errors import Corrupt, DeviceUnavailable, LockTimeout, NotFound, ObjstoreError
from objstore.core.names import Location, Name
from objstore.core.timestamps import Clock
from objstore.daemon.delivery import Peers, succeeded
from objstore.runtime.threads import ThreadPool
from objstore.store.databases import ContainerStore
from objstore.wire.messages import RECREATE
from objstore.wire.rows import container_row

# Of time stamps of files against the clock: they are those of the last tick, and may be coarse.
_SLACK_SECONDS = 2.0
_BATCH = 32  # databases that are looked for at a time
# Accounts of the system come to be by their first container.
_SYSTEM_PREFIX = "."
_NOT_NOW = (DeviceUnavailable, LockTimeout)


class DeviceContainers(NamedTuple):
    """The containers of one device. name: of the device."""

    name: str
    containers: ContainerStore


class ContainerUpdater:
    """Its `passes` are for a `runner.Daemon`."""

    def __init__(
        self,
        devices: Callable[[], Iterable[DeviceContainers]],
        accounts: Peers,
        clock: Clock,
        full_interval: float = 3600.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        """devices: those that can be used now. now: the clock that files are dated by."""
        self._devices = devices
        self._accounts = accounts
        self._clock = clock
        self._full_interval = full_interval
        self._now = now
        self._threads = ThreadPool("container-updater", 1)
        self._since: dict[str, float] = {}  # by device: up to when its changes are reported
        self._last_full = 0.0
        self.reported = 0

    def passes(self) -> Iterator[None]:
        """One pass; a unit is one database that has changed."""
        began = self._now()
        # A clock that was set back makes changes look older than they are: the next full pass sees them.
        if not self._last_full <= began < self._last_full + self._full_interval:
            self._last_full = began
            self._since.clear()
        for device in self._devices():
            since = self._since.get(device.name, 0.0)
            started, settled = self._now(), True
            changed = changed_since(device.containers, since)
            while batch := self._threads.run(_take, changed):
                for location in batch:
                    settled &= self._report(device.containers, location)
                    yield
            if settled:
                self._since[device.name] = started - _SLACK_SECONDS

    def _report(self, containers: ContainerStore, location: Location) -> bool:
        """Report a container if there is something to report; False where it has to be tried again soon."""
        try:
            row = containers.unreported(location, self._clock.now())
            if row is None:
                return True
            account = containers.status(location).name.of_account
            statuses = self._accounts.tell(
                account, [container_row(row.name, row)], row.reported_at, _headers(account)
            ).values()
            if 2 * sum(map(succeeded, statuses)) <= len(statuses):
                return self._refused(account, row.name, list(statuses))
            containers.set_reported(location, row)
        except _NOT_NOW as error:
            self._accounts.logger.warning("container %s is not reported yet: %s", location.hash, error)
            return False
        except (NotFound, Corrupt):
            return True  # it is gone; another copy reports
        except ObjstoreError as error:
            self._accounts.logger.error("container %s cannot be reported: %s", location.hash, error)
            return True
        self.reported += 1
        return True

    def _refused(self, account: Name, container: str, statuses: list[int]) -> bool:
        if statuses and all(status == 404 for status in statuses):
            self._accounts.logger.debug("no account for %s/%s", account.path, container)
            return True  # seen again in the next full pass
        self._accounts.logger.warning("report of %s/%s: answers were %s", account.path, container, statuses)
        return False


def changed_since(containers: ContainerStore, since: float) -> Iterator[Location]:
    """The places whose database files have changed at or after `since`, seconds since the epoch; blocks."""
    for location in containers.locations():
        path = containers.path(location)
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


def _headers(account: Name) -> dict[str, str]:
    return {RECREATE: "0"} if account.account.startswith(_SYSTEM_PREFIX) else {}
