"""Account databases of a device: which containers an account holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from sqlite3 import Connection

from objstore.core.names import Location, Name
from objstore.core.quota_rooms import RoomRelease, RoomRequest
from objstore.core.timestamps import Timestamp
from objstore.store.databases import account_db as db
from objstore.store.databases import account_quotas, schema
from objstore.store.databases.account_db import AccountStatus, AccountTotals, ListedContainer, NewAccount
from objstore.store.databases.contents import Contents
from objstore.store.databases.listing import ListingPage, ListingQuery
from objstore.store.databases.replicas import Replicas
from objstore.store.databases.reservations import Releasing, Reserving
from objstore.store.databases.rows import ContainerRow, check_text

__all__ = ["AccountStatus", "AccountStore", "AccountTotals", "ListedContainer", "NewAccount"]


def _settled(connection: Connection, info: AccountStatus) -> bool:
    return info.container_count == 0


def _disown(connection: Connection) -> None:
    """An account tells nobody of itself."""


class AccountStore(Replicas):
    """Account databases under `root`, a device's directory. See `Databases` for the errors of all calls.

    An account that is deleted raises AccountDeleted, with the timestamp of the deletion; its containers
    are left for a reaper, which goes on listing them, and rows are still taken.

    `status` is as `info`, also of a deleted account. It may be removed when it has no containers left.
    """

    contents = Contents(schema.ACCOUNT, db.CONTAINERS, db.read_info, db.merge_status, _settled, _disown, AccountTotals)

    def create(
        self, location: Location, name: Name, timestamp: Timestamp, metadata: Mapping[str, str], revive: bool = False
    ) -> bool:
        """Create or update the account; return True if it is new.

        Raises AccountDeleted for a deleted one. revive: create it again instead; then it raises Conflict if it was
        deleted at or after `timestamp`.
        """
        new = NewAccount(name, timestamp, metadata, revive)
        check_text(name.path)
        return bool(self._databases.create_or_write(location, partial(db.image, new), db.CREATE, new))

    def info(self, location: Location) -> AccountStatus:
        return self._databases.read(location, db.live_info)

    def merge_rows(
        self, location: Location, rows: Iterable[ContainerRow], create_with: NewAccount | None = None
    ) -> None:
        """Join rows; those queued for one database share a transaction.

        create_with: makes the database where it is missing, else NotFound.
        """
        normal = [row.normal() for row in rows]
        growing = not all(row.deleted for row in normal)
        make = None if create_with is None else partial(db.image, create_with)
        self._databases.write(location, db.merge_rows, normal, growing, make)

    def list(self, location: Location, query: ListingQuery, deleted_too: bool = False) -> ListingPage:
        """ListedContainers and Subdirs, with the account's info. deleted_too: also of a deleted account."""
        return self._databases.read(location, db.list_containers, query, deleted_too)

    def reserve(self, location: Location, claim: RoomRequest, now: Callable[[], float] = time.time) -> str:
        """Reserve room for a write in one of its containers if the quotas grant it; return the verdict."""
        return str(self._databases.write(location, account_quotas.RESERVE, Reserving(claim, now), growing=True))

    def end_reservation(self, location: Location, ended: RoomRelease, now: Callable[[], float] = time.time) -> None:
        """End a reservation."""
        self._databases.write(location, account_quotas.RELEASE, Releasing(ended, now))

    def delete(self, location: Location, timestamp: Timestamp) -> None:
        """Mark as deleted, with all its containers. Raises Conflict if it was created at or after `timestamp`."""
        self._databases.write(location, db.DELETE, timestamp)
