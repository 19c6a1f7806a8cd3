"""The databases of one kind as replicas: what replicators, auditors and reclaiming ask of both stores."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from sqlite3 import Connection
from typing import Any, ClassVar

from objstore.core.errors import Corrupt, InvalidInput, NotFound, ObjstoreError, Unreadable
from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import Files
from objstore.store.databases import copies, layout, status, tables
from objstore.store.databases.contents import Contents, Placed, Rows
from objstore.store.databases.device import Databases, JournalUse, WriteMany, one_by_one
from objstore.store.databases.restore import all_quarantined, copy_to
from objstore.store.databases.rows import check_text
from objstore.store.databases.settings import DatabaseSettings
from objstore.store.databases.status import Status
from objstore.store.databases.summaries import DatabaseSummary, Known, read_summary
from objstore.store.databases.unreadable import UnreadableNote, all_notes, forget_note
from objstore.store.interface import GONE, QUARANTINED, READABLE, UNCLEAR, Quarantined
from objstore.store.objects.layout import Layout
from objstore.store.objects.unreadable import others_read_well as objects_read_well

_RESTORED_AT_ONCE = 1000  # rows
_LOOKED_AT = 100  # rows at a time that a peer may have too
_SAMPLES = 3  # databases that are read when one cannot be
_SAMPLED = 100  # to choose them from


class Replicas:
    """The common part of the stores of both kinds. See `Databases` for the errors of all calls."""

    contents: ClassVar[Contents]

    def __init__(
        self,
        root: str,
        files: Files,
        settings: DatabaseSettings | None = None,
        on_quarantine: Callable[[Location, str], None] = lambda *_: None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        """root: of the device. on_quarantine: called with the location and the reason, in a thread; warn: with a
        sentence for the log."""
        contents = self.contents
        self._databases = Databases(
            root, contents.kind, files, settings or DatabaseSettings(), on_quarantine, contents.journal, warn
        )
        self._summary_cache = Known()
        self._take = _taking(contents.table)
        self._merge = one_by_one(contents.merge_status)
        self._renew = one_by_one(self._renew_id)

    def close(self) -> None:
        """Close what is kept open for later calls. Blocks."""
        self._databases.close()

    release = close

    @property
    def kind(self) -> str:
        return self.contents.kind.name

    @property
    def version(self) -> int:
        """The version of the tables of databases here."""
        return len(self.contents.kind.migrations)

    def set_metadata(self, location: Location, changes: Mapping[str, str], timestamp: Timestamp) -> None:
        """Set keys, and remove those whose value is empty, unless they have a newer value."""
        self.merge_metadata(location, {key: (value, timestamp) for key, value in changes.items()})

    def merge_metadata(self, location: Location, metadata: Mapping[str, tuple[str, Timestamp]]) -> None:
        """Join a peer's metadata, key by key."""
        for key, (value, _) in metadata.items():
            check_text(key + value)
        self._databases.write(location, status.MERGE_METADATA, metadata, growing=True)

    # Which there are

    def path(self, location: Location) -> str:
        return self._databases.path(location)

    def locations(self, first: Sequence[str] = ()) -> Iterator[Location]:
        """Every place with a database, from a `layout.position` on; it asks the disk from the calling thread."""
        return layout.locations(*self._databases.tree, first)

    def partitions(self) -> list[int]:
        """Those that have a directory, in order."""
        return self._databases.apart(layout.partitions, *self._databases.tree)

    def of_partition(self, partition: int) -> list[Location]:
        return self._databases.apart(layout.of_partition, *self._databases.tree, partition)

    def drop_empty(self, partition: int) -> None:
        """Remove the directories of a partition that hold nothing, as far as they do."""
        self._databases.apart(layout.remove_empty, *self._databases.tree, partition)

    # What they say of themselves

    def policy_totals(self, location: Location) -> dict[int, Any]:
        """By policy index, for policies that it has or had rows of: AccountTotals or PolicyTotals."""
        return self._databases.read(location, self.contents.policy_totals)

    def status(self, location: Location) -> Any:
        """The info, also of what is deleted. Its totals may lack rows of the last seconds."""
        return self._databases.read_stored(location, self.contents.read_info)

    def summaries(self, locations: Iterable[Location]) -> dict[str, DatabaseSummary]:
        """By hash, of those that are there and sound. One that has not changed since it was last asked for is not
        opened."""
        return self._databases.apart(self._summaries, list(locations))

    def _summaries(self, locations: list[Location]) -> dict[str, DatabaseSummary]:
        found = {}
        for location in locations:
            try:
                found[location.hash] = self._summary(location)
            except (NotFound, Corrupt):
                self._summary_cache.forget(location.hash)
        return found

    def _summary(self, location: Location) -> DatabaseSummary:
        path = self.path(location)
        with self._databases.directories.translated():
            pending = self._databases.has_pending(location)
            summary = None if pending else self._summary_cache.get(location.hash, path)
            stamp = self._summary_cache.stamp(path) if summary is None else None
        if summary is None:
            summary = self._databases.read_here(location, read_summary, self.contents)
            self._summary_cache.put(location.hash, stamp, summary)
        return summary

    def max_row(self, location: Location) -> int:
        """The number of the newest row, 0 at the beginning."""
        return self._databases.read(location, tables.last_row)

    def rows_since(self, location: Location, number: int, limit: int) -> Sequence[tables.NumberedRow]:
        """Rows with greater numbers, tombstones included, in order of their numbers."""
        return self._databases.read(location, tables.rows_since, self.contents.table, number, limit)

    def page_since(self, location: Location, own_id: str, number: int, limit: int) -> tables.RowPage:
        """Return the same as text to send. Raises Conflict if the database is not `own_id`."""
        return self._databases.apart(self._databases.read_here, location, self._page_since, own_id, number, limit)

    def _page_since(self, connection: Connection, own_id: str, number: int, limit: int) -> tables.RowPage:
        with status.snapshot(connection):
            status.require_id(connection, own_id)
            return tables.page_since(connection, self.contents.table, number, limit)

    def sync_points(self, location: Location, incoming: bool) -> dict[str, int]:
        """Row numbers by the id of a peer's database: of theirs that we have, or of ours that they have."""
        return self._databases.read(location, status.sync_points, incoming)

    # Taking what a peer says

    def decode_rows(self, lines: Iterable[Sequence[object]]) -> list[object]:
        """Rows as `page_since` says them; raises ValueError, TypeError for what is none."""
        decode = self.contents.table.decode
        return [decode(line).normal() for line in lines]

    def take_rows(self, location: Location, rows: Rows) -> int:
        """Merge rows, and record the sync point in the same transaction; return it.

        Rows that both have need not be sent back, which is recorded too. Raises Conflict if the database is another.
        """
        growing = not all(row.deleted for row in rows.rows)
        return int(self._databases.write(location, self._take, rows, growing, use=JournalUse.IGNORES))

    def merge_status(self, location: Location, peer: Status) -> None:
        """Join what a peer says of creation, deletion, policy and metadata."""
        self._databases.write(location, self._merge, peer)

    def set_sync_point(self, location: Location, own_id: str, incoming: bool, remote_id: str, number: int) -> None:
        """Raises Conflict if the database is not `own_id`."""
        point = own_id, incoming, remote_id, number
        self._databases.write(location, status.SET_SYNC_POINT, point, use=JournalUse.IGNORES)

    def renew_id(self, location: Location, known: int) -> bool:
        """Give a database another id where peers have had rows of it that it has not numbered yet; did it?

        known: up to which number a peer has its rows. One that is older than that was put back from a backup, or lost
        what the disk had said was durable: its next rows would have numbers that peers take for those they have.
        """
        return bool(self._databases.write(location, self._renew, known, use=JournalUse.IGNORES))

    def _renew_id(self, connection: Connection, known: int) -> bool:
        if tables.last_row(connection) >= known:
            return False
        status.set_new_id(connection)
        self.contents.disown(connection)
        return True

    # Whole files

    def snapshot(self, location: Location) -> copies.Snapshot:
        """A copy of the database as it is at one instant, to be sent; its user closes it."""
        return copies.snapshot(self._databases, location, self.contents.table)

    def receive(self, location: Location) -> copies.Receiving:
        """Begin to take a peer's file. Raises NoSpace, DeviceUnavailable."""
        return copies.receive(self._databases, location)

    def place(
        self, location: Location, received: copies.Receiving, is_ours: Callable[[Any], bool], page: int
    ) -> Placed:
        """Put a received file in place; if there is a database, merge its rows, `page` at a time.

        is_ours: whether an info belongs to the location. Raises InvalidInput if it does not, or the file is damaged.
        """
        contents = self.contents
        offered = self._databases.apart(copies.verify, received, contents, is_ours)
        if adopted := self._databases.apart(copies.adopt, self._databases, location, received, offered, contents):
            return Placed(adopted, True)
        own_id = self.status(location).id
        after = self.sync_points(location, True).get(offered.id, 0)
        while after < offered.max_row:
            found = self._databases.apart(copies.read_rows, received, contents.table, after, page)
            # Behind the last row there may be numbers whose rows are gone.
            last = found[-1].number if len(found) == page else offered.max_row
            self.take_rows(location, Rows(own_id, offered.id, after, last, [row for _, row in found]))
            after = last
        self.merge_status(location, offered.status)
        return Placed(own_id, False)

    # Upkeep

    def audit(self, location: Location) -> None:
        """Read all of the database, and count its rows again. Raises Corrupt, after quarantine, for what is wrong."""
        self._databases.apart(self._databases.read_here, location, tables.audit, self.contents.table)

    def audit_here(self, location: Location) -> None:
        """As `audit`, in the calling thread."""
        self._databases.read_here(location, tables.audit, self.contents.table)

    def unreadable(self) -> list[UnreadableNote]:
        """Return the databases that the device failed to read recently."""
        noted: list[UnreadableNote] = self._databases.apart(all_notes, *self._databases.tree)
        return noted

    def look_again(self, noted: UnreadableNote) -> str:
        """Read a noted database again: READABLE, GONE, QUARANTINED, or UNCLEAR if others cannot be read either."""
        verdict: str = self._databases.apart(self._look_again, noted)
        return verdict

    def _look_again(self, noted: UnreadableNote) -> str:
        location = noted.location
        verdict = READABLE
        try:
            self.audit_here(location)
        except NotFound:
            verdict = GONE
        except Corrupt:
            verdict = QUARANTINED
        except Unreadable as error:
            if not self._others_read_well(location):
                return UNCLEAR
            self._databases.quarantine(location, f"cannot be read, twice in a row: {error}")
            verdict = QUARANTINED
        with self._databases.directories.translated():
            forget_note(*self._databases.tree, location)
        return verdict

    def _others_read_well(self, besides: Location) -> bool:
        """Can a new file, some objects and most of some other databases of the device be read now?"""
        files, root, _ = self._databases.tree
        if not objects_read_well(files, Layout(root, 0), besides):
            return False
        others = [location for location in islice(self.locations(), _SAMPLED) if location != besides]
        good, bad = 0, 0
        for location in random.sample(others, min(len(others), _SAMPLES)):
            try:
                self.audit_here(location)
                good += 1
            except Unreadable:
                bad += 1
            except ObjstoreError:
                good += 1  # it could be read
        return good >= bad

    def reclaim(self, location: Location, before: Timestamp, last: int | None = None) -> int:
        """Forget tombstones and removed metadata older than `before`; how many rows went.

        last: the number of the last row that may go.
        """
        return status.reclaim(self._databases, location, self.contents.table, before, last)

    def remove(self, location: Location, before: Timestamp) -> bool:
        """Remove what was deleted before a time, with nothing left to do for it; did it?"""

        def forgettable(connection: Connection) -> bool:
            info = self.contents.read_info(connection)
            return info.deleted and info.delete_timestamp < before and self.contents.settled(connection, info)

        return self._remove(location, forgettable)

    def remove_moved(self, location: Location, as_it_was: DatabaseSummary) -> bool:
        """Remove a database that is safe elsewhere, if it has not changed since; did it?"""

        def unchanged(connection: Connection) -> bool:
            found = read_summary(connection, self.contents)
            return (found.id, found.max_row, found.digest) == (as_it_was.id, as_it_was.max_row, as_it_was.digest)

        return self._remove(location, unchanged)

    def quarantined(self) -> list[Quarantined]:
        """All databases in quarantine."""
        present: list[Quarantined] = self._databases.apart(all_quarantined, *self._databases.tree)
        return present

    def restore(self, quarantined: Quarantined, partition: int, is_ours: Callable[[Any], bool]) -> bool:
        """Put a sound database back in place, or join its rows to those of the one there; False if it is not sound.

        partition: of the name now. is_ours: as of `place`.
        """
        location = Location(partition, quarantined.hash)
        with contextlib.closing(self.receive(location)) as received:
            try:
                self._databases.apart(copy_to, self._databases, quarantined, received)
                self.place(location, received, is_ours, _RESTORED_AT_ONCE)
            except InvalidInput:
                return False
        self._databases.apart(self._databases.directories.delete, quarantined.path)
        return True

    def _remove(self, location: Location, allowed: Callable[[Connection], bool]) -> bool:
        removed = self._databases.remove(location, allowed)
        if removed:
            self._summary_cache.forget(location.hash)
        return removed

    def sweep(self, before: float) -> int:
        """Delete what a `remove` or a transfer that was killed left, begun before a time (seconds since the epoch)."""
        return self._databases.sweep(before)


def _taking(table: tables.RowTable) -> WriteMany:
    def take(connection: Connection, given: Rows) -> int:
        status.require_id(connection, given.local_id)
        tables.merge(connection, table, given.rows)
        status.set_sync_point(connection, True, given.remote_id, given.last)
        had = status.sync_points(connection, False).get(given.remote_id, 0)
        has = _also_theirs(connection, table, given.rows, had)
        if has > had:
            status.set_sync_point(connection, False, given.remote_id, has)
        return status.sync_points(connection, True)[given.remote_id]

    return one_by_one(take)


def _also_theirs(connection: Connection, table: tables.RowTable, rows: Sequence[object], had: int) -> int:
    """Up to which of our rows a peer has them that had those up to `had` and has now told us `rows`."""
    sent = {table.key(row): row for row in rows}
    while had < tables.last_row(connection):
        found = tables.rows_since(connection, table, had, _LOOKED_AT)
        for number, row in found:
            if sent.get(table.key(row)) != row:
                return had
            had = number
        if len(found) < _LOOKED_AT:
            return tables.last_row(connection)  # rows of the numbers at the end are gone
    return had
