"""Container databases of a device: which objects a container holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from sqlite3 import Connection
from typing import NamedTuple

from objstore.core.names import Location, Name
from objstore.core.quota_rooms import RoomRelease, RoomRequest, Standing
from objstore.core.timestamps import TICKS, Timestamp
from objstore.store.databases import container_db as db
from objstore.store.databases import container_quotas, schema
from objstore.store.databases.container_db import ContainerStatus, NewContainer, ObjectItem, PolicyTotals, Writer
from objstore.store.databases.contents import Contents
from objstore.store.databases.device import MADE, JournalUse
from objstore.store.databases.journaled_rows import Accepting
from objstore.store.databases.listing import ListingPage, ListingQuery
from objstore.store.databases.misplaced import Misplaced, misplaced
from objstore.store.databases.named_rows import rows_named
from objstore.store.databases.replicas import Replicas
from objstore.store.databases.reservations import Releasing, Reserving
from objstore.store.databases.rows import ContainerRow, ObjectRow, check_text
from objstore.store.interface import Sequel

__all__ = ["ContainerStatus", "ContainerStore", "NewContainer", "ObjectItem", "PolicyTotals", "Writer"]


_JOURNALED_ROWS = 64  # of one call; more are as cheap in a transaction of their own
_JOURNALED_SECONDS = 3600.0


def _is_fresh(rows: Sequence[ObjectRow]) -> bool:
    """May rows go by the journal? Old ones may not: their tombstones could be reclaimed before they are merged."""
    oldest = (time.time() - _JOURNALED_SECONDS) * TICKS
    return len(rows) <= _JOURNALED_ROWS and all(row.timestamp.raw > oldest for row in rows)


def _settled(connection: Connection, info: ContainerStatus) -> bool:
    return db.unreported(connection, info.delete_timestamp) is None


class Put(NamedTuple):
    """created: the container is new or was deleted. info: of the container since; its id may be unknown ('')."""

    created: bool
    info: ContainerStatus


class ContainerStore(Replicas):
    """Container databases under `root`, a device's directory. See `Databases` for the errors of all calls.

    A deleted container is NotFound, with the timestamp of the deletion, but still accepts rows of objects whose writers
    were answered: acknowledged objects must not be lost.

    `status` is as `info`, even for a deleted container. It may be removed after its deletion was reported to the
    account.
    """

    contents = Contents(
        schema.CONTAINER,
        db.OBJECTS,
        db.read_info,
        db.merge_status,
        _settled,
        db.forget_reports,
        PolicyTotals,
        db.JOURNAL,
    )

    def create(
        self, location: Location, name: Name, timestamp: Timestamp, policy_index: int, metadata: Mapping[str, str]
    ) -> bool:
        """Create or update the container; return True if it is new or was deleted.

        A container created again after its deletion starts without metadata, perhaps with another policy. Raises
        Conflict if it was deleted at or after `timestamp`.
        """
        return self.put(location, NewContainer(name, timestamp, policy_index, metadata)).created

    def put(self, location: Location, new: NewContainer) -> Put:
        """Create or update the container as `create` does. A new database is not opened for its info."""
        check_text(new.name.path)
        outcome = self._databases.create_or_write(location, partial(db.image, new), db.CREATE, new)
        if outcome is MADE:
            return Put(True, db.first_info(new))
        return Put(bool(outcome), self.info(location))

    def info(self, location: Location) -> ContainerStatus:
        return self._databases.read(location, db.live_info)

    def merge_rows(
        self,
        location: Location,
        rows: Iterable[ObjectRow],
        create_with: NewContainer | None = None,
        writer: db.Writer | None = None,
    ) -> None:
        """Join rows; those queued for one database share a transaction.

        create_with: makes the database where it is missing, else NotFound. writer: raises LifeEnded for one that saw
        another life of the container, or where the container is shut or deleted.
        """
        normal = [row.normal() for row in rows]
        journaled = self._journaled(location, normal, writer and writer.life) if create_with is None else None
        if journaled is not None and self._databases.write_rows(journaled):
            return
        make = None if create_with is None else partial(db.image, create_with)
        growing = not all(row.deleted for row in normal)
        self._databases.write(location, db.merge_rows, db.Batch(normal, writer), growing, make, JournalUse.OPENS)

    def row_after(self, location: Location, row: ObjectRow, life: Timestamp | None) -> Sequel | None:
        """Return what joins a row right after the change of its object on the same device; None if `merge_rows` must.

        life: that the writer saw of the container, if any. Raises InvalidInput for a name that is no UTF-8.
        """
        journaled = self._journaled(location, [row.normal()], life)
        return None if journaled is None else self._databases.sequel_of_rows(journaled)

    def _journaled(self, location: Location, rows: Sequence[ObjectRow], life: Timestamp | None) -> Accepting | None:
        """Return normal rows for the journal; None if they may not go by it."""
        if not self._databases.journals(location) or not _is_fresh(rows):
            return None
        return Accepting(location, rows, life, not all(row.deleted for row in rows))

    def merge_pending(self) -> None:
        """Bring all rows of the journal into their databases, unless another process does so now. Raises
        DeviceUnavailable, NoSpace."""
        self._databases.merge_rows()

    def list(self, location: Location, query: ListingQuery) -> ListingPage:
        """Return ObjectItems and Subdirs, with the container's info."""
        return self._databases.read(location, db.list_objects, query)

    def list_rows(self, location: Location, query: ListingQuery) -> ListingPage:
        """The same with objects as they are stored: lists of name, time of change (text), size, content type, etag."""
        return self._databases.read(location, db.list_rows, query)

    def rows_named(self, location: Location, names: Sequence[str]) -> Sequence[ObjectRow]:
        """Return the rows of these names, in any policy, including tombstones."""
        return self._databases.read(location, rows_named, names)

    def misplaced(self, location: Location, after: tuple[int, bool, str] | None, limit: int) -> Misplaced:
        """Rows under other policies than the container's, from behind one (policy, deleted, name) on."""
        return self._databases.apart(self._databases.read_here, location, misplaced, after, limit)

    def delete(self, location: Location, timestamp: Timestamp) -> None:
        """Mark as deleted. Raises Conflict if it is not empty, or was created at or after `timestamp`."""
        self._databases.write(location, db.DELETE, timestamp)

    def shut(self, location: Location, until: float) -> None:
        """Refuse rows of new objects until a time (in seconds since the epoch; 0 to open it again), from writers that
        give their `Writer`. Raises Conflict for a container that is not empty."""
        self._databases.write(location, db.SHUT, until)

    def markers(self, location: Location, limit: int) -> Sequence[str]:
        """Keys whose current version is a delete marker, which no listing shows."""
        return self._databases.read(location, db.markers, limit)

    # Quotas, see `reservations`

    def standing(self, location: Location, name: str, now: Callable[[], float] = time.time) -> Standing:
        """Return the state of a name and the totals. Raises NotFound for a container that is deleted."""
        query = container_quotas.StandingQuery(name, now)
        standing: Standing = self._databases.write(location, container_quotas.STANDING, query, use=JournalUse.MERGES)
        return standing

    def reserve(self, location: Location, claim: RoomRequest, now: Callable[[], float] = time.time) -> str:
        """Reserve room for a write if the quotas grant it; return the verdict."""
        reserving = Reserving(claim, now)
        return str(
            self._databases.write(location, container_quotas.RESERVE, reserving, growing=True, use=JournalUse.MERGES)
        )

    def end_reservation(self, location: Location, ended: RoomRelease, now: Callable[[], float] = time.time) -> None:
        """End a reservation."""
        self._databases.write(location, container_quotas.RELEASE, Releasing(ended, now), use=JournalUse.MERGES)

    # Reporting to the account

    def unreported(self, location: Location, now: Timestamp) -> ContainerRow | None:
        """Return the report for the account, as of `now`; None if it is up to date."""
        return self._databases.read(location, db.unreported, now)

    def set_reported(self, location: Location, row: ContainerRow) -> None:
        """The account knows this."""
        self._databases.write(location, db.SET_REPORTED, row, use=JournalUse.IGNORES)

    def forget_reports(self, location: Location) -> None:
        """Request another report to the account."""
        self._databases.write(location, db.FORGET_REPORTS, None, use=JournalUse.IGNORES)
