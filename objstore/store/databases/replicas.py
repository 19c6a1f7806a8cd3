"""The databases of one kind as replicas: what replicators, auditors and reclaiming ask of them.

Both stores have one of these. It is told by `Contents` what the kinds differ in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from sqlite3 import Connection
from typing import Any, NamedTuple

from objstore.core.errors import Corrupt, InvalidInput, NotFound, Unreadable
from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import Files
from objstore.store.databases import copies, layout, status, tables
from objstore.store.databases.device import Databases, WriteMany, one_by_one
from objstore.store.databases.restore import Quarantined, all_quarantined, copy_to
from objstore.store.databases.schema import Kind
from objstore.store.databases.status import Status
from objstore.store.databases.summaries import Known, Summary, read_summary
from objstore.store.databases.unreadable import Note, all_notes, forget_note, others_read_well

READABLE, GONE, QUARANTINED, UNCLEAR = "readable", "gone", "quarantined", "unclear"  # what `look_again` returns
_RESTORED_AT_ONCE = 1000  # rows
_LOOKED_AT = 100  # rows at a time that a peer may have too


class Contents(NamedTuple):
    """What tells the kinds apart. settled: is nothing left to do for a database that is deleted, given its info?

    disown: lets a copy of a peer's database forget what that peer did for itself.
    """

    kind: Kind
    table: tables.RowTable
    read_info: Callable[[Connection], Any]
    merge_status: Callable[[Connection, Status], None]
    settled: Callable[[Connection, Any], bool]
    disown: Callable[[Connection], None]


class Rows(NamedTuple):
    """Rows of the database `remote_id`: all that it has numbered after `after` up to `last`.

    They are for the database `local_id`, which has those before.
    """

    local_id: str
    remote_id: str
    after: int
    last: int
    rows: Sequence[Any]


class Placed(NamedTuple):
    """What became of a received file. id: of the database that has its rows; new: was there none?"""

    id: str
    new: bool


class Replicas:
    """See `Databases` for the errors of all calls."""

    def __init__(self, databases: Databases, contents: Contents, root: str, files: Files) -> None:
        self._databases = databases
        self._contents = contents
        self._root = root
        self._files = files
        self._known = Known()
        self._take = _taking(contents.table)
        self._merge = one_by_one(contents.merge_status)
        self._renew = one_by_one(self._renew_id)

    @property
    def kind(self) -> str:
        return self._contents.kind.name

    @property
    def version(self) -> int:
        """Of the tables of databases here."""
        return len(self._contents.kind.migrations)

    # Which there are

    def path(self, location: Location) -> str:
        return self._databases.path(location)

    def locations(self) -> Iterator[Location]:
        """Every place with a database; it asks the disk from the calling thread."""
        return self._databases.locations()

    def partitions(self) -> list[int]:
        """Those that have a directory, in order."""
        directory = self._contents.kind.directory
        return self._databases.apart(layout.partitions, self._files, self._root, directory)

    def of_partition(self, partition: int) -> list[Location]:
        directory = self._contents.kind.directory
        return self._databases.apart(layout.of_partition, self._files, self._root, directory, partition)

    def drop_empty(self, partition: int) -> None:
        """Remove the directories of a partition that hold nothing, as far as they do."""
        self._databases.apart(layout.remove_empty, self._files, self._root, self._contents.kind.directory, partition)

    # What they say of themselves

    def status(self, location: Location) -> Any:
        """The info, also of what is deleted."""
        return self._databases.read(location, self._contents.read_info)

    def summaries(self, locations: Iterable[Location]) -> dict[str, Summary]:
        """By hash, of those that are there and sound. One that has not changed since it was last asked for is not
        opened."""
        return self._databases.apart(self._summaries, list(locations))

    def _summaries(self, locations: list[Location]) -> dict[str, Summary]:
        found = {}
        for location in locations:
            try:
                found[location.hash] = self._summary(location)
            except (NotFound, Corrupt):
                self._known.forget(location.hash)
        return found

    def _summary(self, location: Location) -> Summary:
        path = self.path(location)
        with self._databases.directories.translated():
            summary = self._known.get(location.hash, path)
            stamp = self._known.stamp(path) if summary is None else None
        if summary is None:
            summary = self._databases.read_here(location, read_summary, self._contents)
            self._known.put(location.hash, stamp, summary)
        return summary

    def max_row(self, location: Location) -> int:
        """The number of the newest row, 0 at the beginning."""
        return self._databases.read(location, tables.last_row)

    def rows_since(self, location: Location, number: int, limit: int) -> Sequence[tables.NumberedRow]:
        """Rows with greater numbers, tombstones included, in order of their numbers."""
        return self._databases.read(location, tables.rows_since, self._contents.table, number, limit)

    def page_since(self, location: Location, own_id: str, number: int, limit: int) -> tables.Page:
        """The same as text to be sent. Raises Conflict where the database is not `own_id`."""
        return self._databases.apart(self._databases.read_here, location, self._page_since, own_id, number, limit)

    def _page_since(self, connection: Connection, own_id: str, number: int, limit: int) -> tables.Page:
        with status.snapshot(connection):
            status.require_id(connection, own_id)
            return tables.page_since(connection, self._contents.table, number, limit)

    def sync_points(self, location: Location, incoming: bool) -> dict[str, int]:
        """Row numbers by the id of a peer's database: of theirs that we have, or of ours that they have."""
        return self._databases.read(location, status.sync_points, incoming)

    # Taking what a peer says

    def decode_rows(self, lines: Iterable[Sequence[Any]]) -> list[Any]:
        """Rows as `page_since` says them; raises ValueError, TypeError for what is none."""
        decode = self._contents.table.decode
        return [decode(line).normal() for line in lines]

    def take_rows(self, location: Location, rows: Rows) -> int:
        """Join rows, and note in the same transaction that we have them; up to which number of the peer's we do.

        What both have need not be sent back, which is noted too. Raises Conflict where the database is another.
        """
        growing = not all(row.deleted for row in rows.rows)
        return self._databases.write(location, self._take, rows, growing)

    def merge_status(self, location: Location, peer: Status) -> None:
        """Join what a peer says of creation, deletion, policy and metadata."""
        self._databases.write(location, self._merge, peer)

    def set_sync_point(self, location: Location, own_id: str, incoming: bool, remote_id: str, number: int) -> None:
        """Raises Conflict where the database is not `own_id`."""
        self._databases.write(location, status.SET_SYNC_POINT, (own_id, incoming, remote_id, number))

    def renew_id(self, location: Location, known: int) -> bool:
        """Give a database another id where peers have had rows of it that it has not numbered yet; did it?

        known: up to which number a peer has its rows. One that is older than that was put back from a backup, or lost
        what the disk had said was durable: its next rows would have numbers that peers take for those they have.
        """
        return self._databases.write(location, self._renew, known)

    def _renew_id(self, connection: Connection, known: int) -> bool:
        if tables.last_row(connection) >= known:
            return False
        status.set_new_id(connection)
        self._contents.disown(connection)
        return True

    # Whole files

    def snapshot(self, location: Location) -> copies.Snapshot:
        """A copy of the database as it is at one instant, to be sent; its user closes it."""
        return copies.snapshot(self._databases, self._files, location, self._contents.table)

    def receive(self, location: Location) -> copies.Receiving:
        """Begin to take a peer's file. Raises NoSpace, DeviceUnavailable."""
        return copies.receive(self._databases, self._files, location)

    def place(
        self, location: Location, received: copies.Receiving, is_ours: Callable[[Any], bool], page: int
    ) -> Placed:
        """Put a received file in place; where there is a database, join its rows, `page` at a time.

        is_ours: is this the info of what belongs at the location? Raises InvalidInput where it is not, or the file
        is damaged.
        """
        contents = self._contents
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
        self._databases.apart(self._databases.read_here, location, tables.audit, self._contents.table)

    def audit_here(self, location: Location) -> None:
        """As `audit`, in the calling thread."""
        self._databases.read_here(location, tables.audit, self._contents.table)

    def unreadable(self) -> list[Note]:
        """The databases that the device failed to read of late."""
        noted: list[Note] = self._databases.apart(all_notes, self._files, self._root, self._contents.kind.directory)
        return noted

    def look_again(self, noted: Note) -> str:
        """Read a noted database again: READABLE, GONE, QUARANTINED, or UNCLEAR if others cannot be read either."""
        verdict: str = self._databases.apart(self._look_again, noted)
        return verdict

    def _look_again(self, noted: Note) -> str:
        location = noted.location
        verdict = READABLE
        try:
            self.audit_here(location)
        except NotFound:
            verdict = GONE
        except Corrupt:
            verdict = QUARANTINED
        except Unreadable as error:
            if not others_read_well(self._files, self._root, self, location):
                return UNCLEAR
            self._databases.quarantine(location, f"cannot be read, now and some time ago: {error}")
            verdict = QUARANTINED
        with self._databases.directories.translated():
            forget_note(self._files, self._root, self._contents.kind.directory, location)
        return verdict

    def reclaim(self, location: Location, before: Timestamp, last: int | None = None) -> int:
        """Forget tombstones and removed metadata older than `before`; how many rows went.

        last: the number of the last row that may go.
        """
        return status.reclaim(self._databases, location, self._contents.table, before, last)

    def remove(self, location: Location, before: Timestamp) -> bool:
        """Remove what was deleted before a time, with nothing left to do for it; did it?"""

        def forgettable(connection: Connection) -> bool:
            info = self._contents.read_info(connection)
            return info.deleted and info.delete_timestamp < before and self._contents.settled(connection, info)

        return self._remove(location, forgettable)

    def remove_moved(self, location: Location, as_it_was: Summary) -> bool:
        """Remove a database that is safe elsewhere, if it has not changed since; did it?"""

        def unchanged(connection: Connection) -> bool:
            found = read_summary(connection, self._contents)
            return (found.id, found.max_row, found.digest) == (as_it_was.id, as_it_was.max_row, as_it_was.digest)

        return self._remove(location, unchanged)

    def quarantined(self) -> list[Quarantined]:
        """All databases in quarantine."""
        present: list[Quarantined] = self._databases.apart(
            all_quarantined, self._files, self._root, self._contents.kind.directory
        )
        return present

    def restore(self, quarantined: Quarantined, partition: int, is_ours: Callable[[Any], bool]) -> bool:
        """Put a sound database back in place, or join its rows to those of the one there; False if it is not sound.

        partition: of the name now. is_ours: as of `place`.
        """
        location = Location(partition, quarantined.hash)
        with contextlib.closing(self.receive(location)) as received:
            try:
                self._databases.apart(copy_to, self._databases, self._files, quarantined, received)
                self.place(location, received, is_ours, _RESTORED_AT_ONCE)
            except InvalidInput:
                return False
        self._databases.apart(self._databases.directories.delete, quarantined.path)
        return True

    def _remove(self, location: Location, allowed: Callable[[Connection], bool]) -> bool:
        removed = self._databases.remove(location, allowed)
        if removed:
            self._known.forget(location.hash)
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


def _also_theirs(connection: Connection, table: tables.RowTable, rows: Sequence[Any], had: int) -> int:
    """Up to which of our rows a peer has them that had those up to `had` and has now told us `rows`."""
    told = {table.key(row): row for row in rows}
    while had < tables.last_row(connection):
        found = tables.rows_since(connection, table, had, _LOOKED_AT)
        for number, row in found:
            if told.get(table.key(row)) != row:
                return had
            had = number
        if len(found) < _LOOKED_AT:
            return tables.last_row(connection)  # rows of the numbers at the end are gone
    return had
