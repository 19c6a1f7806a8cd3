"""Tells accounts what their containers hold: changed totals, from this host's container databases.

A pass looks at databases whose files have changed since the pass before, which their inodes
tell, so that it costs little where nothing changes; every `full_interval` seconds it looks at all. What a
majority of the account's replicas has taken is marked as reported; the others learn it by replication.

Only primaries report. What is on other devices may be a small part of a container, and is gone before anyone
could correct what it had said. Of several primaries that do not agree, each reports again when it has learnt more.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from objstore.core.errors import Corrupt, NotFound, ObjstoreError
from objstore.core.names import Location, Name
from objstore.core.timestamps import Clock
from objstore.daemon.changed import NOT_NOW, ChangedDatabases
from objstore.daemon.delivery import Peers
from objstore.store.databases import ContainerRow, ContainerStore
from objstore.wire.messages import RECREATE
from objstore.wire.rows import container_row
from objstore.wire.telling import is_majority

# Accounts of the system come to be by their first container.
_SYSTEM_PREFIX = "."


class ReportedContainers(NamedTuple):
    """The containers of one device. name: of the device."""

    name: str
    containers: ContainerStore


class TotalsUpdater:
    """Its `passes` are for a `runner.Daemon`."""

    def __init__(
        self,
        devices: Callable[[], Iterable[ReportedContainers]],
        is_primary: Callable[[str, Location], bool],
        accounts: Peers,
        clock: Clock,
        full_interval: float = 3600.0,
        reclaim_age: float = 7 * 86400.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        """devices: those that can be used now. is_primary: does the ring place this database on this own device?
        reclaim_age: of deletions, in seconds. now: the clock that files are dated by."""
        self._devices = devices
        self._is_primary = is_primary
        self._accounts = accounts
        self._clock = clock
        self._reclaim_age = reclaim_age
        self._now = now
        self._changed = ChangedDatabases("container-updater", full_interval, now, accounts.logger)
        self._silent: Counter[int] = Counter()
        self.reported = 0

    def passes(self) -> Iterator[Callable[[], None]]:
        """One pass; a unit is one database that has changed."""
        self._changed.begin()
        self._silent.clear()
        for device in self._devices():
            self._merge(device)
            for location in self._changed.of(device.name, device.containers):
                yield partial(self._look, device, location)

    def _merge(self, device: ReportedContainers) -> None:
        """Bring rows of the journal into their databases, also of processes that are gone."""
        try:
            device.containers.merge_pending()
        except ObjstoreError as error:
            self._accounts.logger.warning("%s: rows could not be merged: %s", device.name, error)

    def _look(self, device: ReportedContainers, location: Location) -> None:
        do = self._report if self._is_primary(device.name, location) else self._withdraw
        try:
            done = do(device.containers, location)
        except NOT_NOW as error:
            self._accounts.logger.warning("container %s could not be reported yet: %s", location.hash, error)
            done = False
        except (NotFound, Corrupt):
            return  # it is gone; another copy reports
        except ObjstoreError as error:
            self._accounts.logger.error("cannot report container %s: %s", location.hash, error)
            return
        if not done:
            self._changed.missed(device.name)

    def _withdraw(self, containers: ContainerStore, location: Location) -> bool:
        """Should the database become a primary's again, others may have reported since."""
        containers.forget_reports(location)
        return True

    def _report(self, containers: ContainerStore, location: Location) -> bool:
        """Report a container if its totals changed; return False if it must be retried soon."""
        row = containers.unreported(location, self._clock.now())
        if row is None:
            return True
        account = containers.status(location).name.of_account
        rows = [container_row(row.name, row)]
        answers = self._accounts.send_rows(account, rows, row.reported_at, _headers(account), silent=self._silent)
        statuses = list(answers.values())
        if not is_majority(statuses) and not self._is_settled(row, statuses):
            return self._is_final_refusal(account, row.name, statuses)
        containers.set_reported(location, row)
        self.reported += 1
        return True

    def _is_settled(self, row: ContainerRow, statuses: list[int]) -> bool:
        """Return whether a container that was deleted long ago has outlived its account, so that no report is
        needed."""
        age = self._now() - row.delete_timestamp.seconds
        return row.deleted and age > self._reclaim_age and _is_unknown(statuses)

    def _is_final_refusal(self, account: Name, container: str, statuses: list[int]) -> bool:
        if _is_unknown(statuses):
            self._accounts.logger.debug("no account for %s/%s", account.path, container)
            return True  # seen again in the next full pass
        self._accounts.logger.warning("report of %s/%s: answers were %s", account.path, container, statuses)
        return False


def _is_unknown(statuses: list[int]) -> bool:
    return bool(statuses) and all(status == 404 for status in statuses)


def _headers(account: Name) -> dict[str, str]:
    return {RECREATE: "0"} if account.account.startswith(_SYSTEM_PREFIX) else {}
