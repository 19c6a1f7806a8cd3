"""The databases of one kind on one device: creating, reading, writing, quarantine, removal.

Reads run in a pool of threads. Writes of one database go to one thread, which makes one
transaction of all that have queued up for it; processes take turns by SQLite's lock.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import itertools
import operator
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

from objstore.core.errors import Corrupt, DeviceUnavailable, LockTimeout, NoSpace, NotFound, ObjstoreError, Unreadable
from objstore.core.names import Location
from objstore.runtime.files import Files
from objstore.runtime.threads import Batcher, ThreadPool
from objstore.store import ballast
from objstore.store.databases.connections import Connected, ConnectionCache, damage_at
from objstore.store.databases.directories import Directories
from objstore.store.databases.failures import FailureKind, Replaced, classify
from objstore.store.databases.journal import JournalRules, RowJournal
from objstore.store.databases.journal_state import Pending
from objstore.store.databases.journaled_rows import Accepting, JournaledRows, MergeMeans
from objstore.store.databases.schema import DatabaseKind
from objstore.store.databases.settings import DatabaseSettings
from objstore.store.databases.unreadable import note
from objstore.store.interface import Sequel

_FIRST_WAIT = 0.0005  # seconds until a locked database is tried again; grows by half each time
_LONGEST_WAIT = 0.004
_BACKGROUND_THREADS = 2
_BACKGROUND_PATIENCE = 900.0  # to check or copy a large database takes minutes

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")

# Takes the arguments of several writes and returns an outcome for each, in order; an outcome
# that is an exception is raised to its caller alone.
WriteMany = Callable[[sqlite3.Connection, list[Any]], Sequence[object]]
Image = Callable[[], bytes]
# Does the state of a database allow its removal?
Allowed = Callable[[sqlite3.Connection], bool]


class _Made(enum.Enum):
    """The outcome of a creation, which is true."""

    MADE = enum.auto()


MADE = _Made.MADE


class DatabaseTree(NamedTuple):
    """The directory of a kind on a device, as functions of `layout` take it."""

    files: Files
    root: str
    directory: str


class JournalUse(enum.Flag):
    """The relation of a write of a database to rows in the journal.

    IGNORES: it neither depends on rows, nor changes whether more are taken. MERGES: it comes after all rows that were
    accepted. OPENS: the same, and more rows may go by the journal afterwards. CLOSES: it comes after all rows, and
    before those that are accepted later.
    """

    IGNORES = 0
    MERGES = 1
    OPENS = 3
    CLOSES = 5


class _Write(NamedTuple):
    location: Location
    write_many: WriteMany
    argument: object
    growing: bool
    use: JournalUse = JournalUse.CLOSES


def one_by_one(write: Callable[[sqlite3.Connection, Any], object]) -> WriteMany:
    """Writes that gain nothing from being done together. Each must raise before it changes anything."""

    def write_many(connection: sqlite3.Connection, arguments: list[object]) -> list[object]:
        outcomes: list[object] = []
        for argument in arguments:
            try:
                outcomes.append(write(connection, argument))
            except ObjstoreError as error:
                outcomes.append(error)
        return outcomes

    return write_many


class Databases:
    """The databases of one kind on a device. root: of the device.

    Calls suspend the green thread, and raise, in addition to the errors of each: NotFound (no such database),
    LockTimeout, NoSpace, DeviceUnavailable, Corrupt (the database is in quarantine now), ConfigError (written by a
    later version of this program).
    """

    def __init__(
        self,
        root: str,
        kind: DatabaseKind,
        files: Files,
        settings: DatabaseSettings,
        on_quarantine: Callable[[Location, str], None] = lambda *_: None,
        journal: JournalRules | None = None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        """on_quarantine: called with the location and the reason, in a thread. journal: None for a kind without.
        warn: called with a sentence for the log, in a thread."""
        self._on_quarantine = on_quarantine
        self.tree = DatabaseTree(files, root, kind.directory)
        self._root = root
        self._kind = kind
        self._files = files
        self._settings = settings
        self.directories = Directories(root, kind.directory, files, settings.reserve)
        self._connections = ConnectionCache(kind, settings)
        patience = settings.patience
        # Whoever waits may let go: what a call uses is its own, but for files that its thread keeps open.
        self._readers = ThreadPool(f"{kind.name}-db-read:{root}", settings.readers, patience, lets_go=True)
        patient = max(patience, _BACKGROUND_PATIENCE) if patience else 0.0
        self._background = ThreadPool(f"{kind.name}-db-background:{root}", _BACKGROUND_THREADS, patient, lets_go=True)
        self._writers = [
            Batcher(f"{kind.name}-db-write:{root}", self._write_batch, patience=patience)
            for _ in range(settings.writers)
        ]
        self._rules = journal
        self._rows: JournaledRows | None = None
        if journal is not None:
            name = f"{kind.name}-db-rows:{root}"
            means = MergeMeans(self._merge_pending, self.directories.lack_of_space, warn)
            self._rows = JournaledRows(name, RowJournal(files, root, settings.journal_size), journal, settings, means)

    def path(self, location: Location) -> str:
        return self.directories.path(location)

    def close(self) -> None:
        """Close idle connections and the journal. The store can be used again afterwards."""
        self._connections.close()
        if self._rows is not None:
            self._rows.release()

    def read(
        self, location: Location, function: Callable[[sqlite3.Connection, *_Arguments], _Result], *args: *_Arguments
    ) -> _Result:
        """The result of `function(connection, *args)`."""
        return self._readers.run(self._read_merged, location, function, args)

    def write(
        self,
        location: Location,
        write_many: WriteMany,
        argument: object,
        growing: bool = False,
        make: Image | None = None,
        use: JournalUse = JournalUse.CLOSES,
    ) -> Any:
        """The outcome of one write; it and others are handed to `write_many` in one transaction.

        growing: it needs room, and is refused below the reserve of free space. make: the bytes of
        the database if there is none yet.
        """
        writer = self._writers[int(location.hash[:8], 16) % len(self._writers)]
        write = _Write(location, write_many, argument, growing, use)
        while True:
            try:
                return writer.run(write)
            except NotFound:
                if make is None or self._exists(location):
                    raise
                self.create(location, make)

    def create_or_write(self, location: Location, image: Image, write_many: WriteMany, argument: object) -> object:
        """MADE for a database that was made now, else the outcome of the write."""
        while True:
            if self.create(location, image):
                return MADE
            try:
                return self.write(location, write_many, argument, growing=True)
            except NotFound:
                if self._exists(location):
                    raise
                # it was removed in between

    def _exists(self, location: Location) -> bool:
        return bool(self._readers.run(self._is_there, location))

    def apart(self, function: Callable[[*_Arguments], _Result], *args: *_Arguments) -> _Result:
        """The result of `function(*args)`, run in a thread that no client's request waits for."""
        return self._background.run(function, *args)

    def read_stored(
        self, location: Location, function: Callable[[sqlite3.Connection, *_Arguments], _Result], *args: *_Arguments
    ) -> _Result:
        """Read as `read` what does not depend on rows: those in the journal are not merged before."""
        return self._readers.run(self._with_connection, location, self._read, function, args)

    def read_here(
        self, location: Location, function: Callable[[sqlite3.Connection, *_Arguments], _Result], *args: *_Arguments
    ) -> _Result:
        """Read as `read`, in the calling thread, which must be one of `apart`."""
        return self._read_merged(location, function, args)

    def has_pending(self, location: Location) -> bool:
        """Return whether rows in the journal wait to be merged into a database. Blocks; raises OSError."""
        return self._rows is not None and bool(self._rows.journal.pending(location))

    def journals(self, location: Location) -> bool:
        """Return whether `write_rows` may take rows of a database."""
        return self._rows is not None and self._rows.takes(location)

    def write_rows(self, rows: Accepting) -> bool:
        """Accept rows durably by the journal; return False if they must be written to the database instead."""
        return self._rows is not None and self._rows.write(rows)

    def sequel_of_rows(self, rows: Accepting) -> Sequel:
        """Return what accepts rows by the journal right after a change of an object on the same device."""
        assert self._rows is not None
        return Sequel(self._rows.accept, rows)

    def merge_rows(self) -> None:
        """Merge all rows of the journal, unless another process does."""
        if self._rows is not None:
            self._background.run(self._merge_all, self._rows)

    def create(self, location: Location, image: Image) -> bool:
        """Put a new database in place, durably; False if there is one already."""
        return self._readers.run(self._create, location, image)

    def remove(self, location: Location, allowed: Allowed) -> bool:
        """Remove a database with all its files if `allowed` says so of it; did it?"""
        return self._readers.run(self._remove, location, allowed)

    def quarantine(self, location: Location, why: str) -> None:
        """In a thread of `apart`."""
        self._quarantine(location, why)

    def sweep(self, before: float) -> int:
        """Delete what a removal that was killed left in `tmp`, moved there before a time (in seconds); how many."""
        return self._background.run(self.directories.sweep, before)

    # In threads

    def _read_merged(
        self,
        location: Location,
        function: Callable[[sqlite3.Connection, *_Arguments], _Result],
        args: tuple[*_Arguments],
    ) -> _Result:
        if self._rows is not None:
            with contextlib.suppress(NotFound):
                self._merge_pending(location)
        return self._with_connection(location, self._read, function, args)

    def _merge_all(self, rows: JournaledRows) -> None:
        with self.directories.translated():
            rows.merge_all()

    def _merge_pending(self, location: Location) -> None:
        """Bring all accepted rows into a database. Raises as `write`."""
        assert self._rows is not None
        with self.directories.translated():
            if not self._rows.journal.pending(location):
                return
        self._rows.wake()
        (outcome,) = self._write_group(location, [_Write(location, _nothing, None, False, JournalUse.MERGES)])
        if isinstance(outcome, Exception):
            raise outcome

    def _read(
        self,
        connected: Connected,
        function: Callable[[sqlite3.Connection, *_Arguments], _Result],
        args: tuple[*_Arguments],
    ) -> _Result:
        return function(connected.connection, *args)

    def _with_connection(
        self, location: Location, function: Callable[[Connected, *_Arguments], _Result], *args: *_Arguments
    ) -> _Result:
        """`function(connected, *args)`, again while others hold the database."""
        path = self.path(location)
        give_up = time.monotonic() + self._settings.lock_timeout
        pause = _FIRST_WAIT
        while True:
            connected: Connected | None = None
            try:
                connected = self._connections.take(path)
                result = function(connected, *args)
                self._connections.give_back(connected)
                return result
            except Exception as error:
                if connected is not None:
                    self._settle(connected, error)
                if not self._is_passing(location, connected, error):
                    raise
                if time.monotonic() > give_up:
                    raise LockTimeout(f"{path} was locked for more than {self._settings.lock_timeout} s") from error
            # Of unequal length, so that those who wait do not meet again and again.
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(_LONGEST_WAIT, pause * 1.5)

    def _settle(self, connected: Connected, error: Exception) -> None:
        """End the transaction of a connection whose user failed, and keep it unless it may be the reason."""
        sound = not isinstance(error, sqlite3.Error | Replaced) or classify(error) is FailureKind.BUSY
        if sound and connected.connection.in_transaction:
            try:
                connected.connection.execute("ROLLBACK")
            except sqlite3.Error:
                sound = False
        if sound:
            self._connections.give_back(connected)
        else:
            connected.connection.close()

    def _is_passing(self, location: Location, connected: Connected | None, error: Exception) -> bool:
        """Is it worth trying again? Raises the meaning of the error if it is known."""
        path = self.path(location)
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise self._missing(location) from None
        failure = classify(error)
        if failure is FailureKind.FULL:
            raise NoSpace(f"{path}: {error}") from error
        if failure is FailureKind.CORRUPT:
            raise self._confirmed(location, connected, error) from error
        if failure is FailureKind.UNREADABLE:
            self._connections.forget(path)  # what they remember of the disk may be wrong
            if not self._is_there(location):
                raise self._missing(location) from error
            note(*self.tree, location)
            raise Unreadable(f"{path}: {error}") from error
        return failure is FailureKind.BUSY

    def _is_there(self, location: Location) -> bool:
        with self.directories.translated():
            return self._files.exists(self.path(location))

    def _missing(self, location: Location) -> ObjstoreError:
        with self.directories.translated():
            if not self._files.is_dir(self._root):
                return DeviceUnavailable(f"{self._root} is missing")
        return NotFound(f"no {self._kind.name} database {location.hash}")

    def _confirmed(self, location: Location, connected: Connected | None, error: Exception) -> ObjstoreError:
        """The meaning of a report of damage; quarantines if it is true, and still about the file in place."""
        path = self.path(location)
        self._connections.forget(path)
        try:
            if connected is not None and not connected.current():
                return Corrupt(f"{path}: {error}")
            # Our own checks fail only for what was read.
            damage = str(error) if isinstance(error, Corrupt) else damage_at(path)
        except (OSError, sqlite3.Error) as failure:
            return DeviceUnavailable(f"{path}: {error}; {failure}")
        if not damage:
            return DeviceUnavailable(f"{path}: {error}; a second check found no damage")
        self._quarantine(location, damage)
        return Corrupt(f"{path}: {damage}")

    # Writing

    def _write_batch(self, writes: list[_Write]) -> list[object]:
        """Several databases one after the other, one transaction for each; outcomes in the order of writes."""
        by_location: dict[Location, list[int]] = {}
        outcomes: list[object] = [None] * len(writes)
        lack = self.directories.lack_of_space()
        for index, write in enumerate(writes):
            if lack is not None and write.growing:
                outcomes[index] = lack
            else:
                by_location.setdefault(write.location, []).append(index)
        for location, indexes in by_location.items():
            group = [writes[index] for index in indexes]
            results = self._write_group(location, group)
            for index, outcome in zip(indexes, results, strict=True):
                outcomes[index] = outcome
        return outcomes

    def _write_group(self, location: Location, writes: list[_Write]) -> Sequence[object]:
        """The outcomes of writes of one database. Those that free space may use the ballast of a full device."""
        try:
            return self._with_connection(location, self._transaction, writes)
        except NoSpace as error:
            freeing = [write for write in writes if not write.growing]
            if not freeing or not self._release_ballast():
                return [error] * len(writes)
            results = iter(self._write_group(location, freeing))
            return [error if write.growing else next(results) for write in writes]
        except Exception as error:
            return [error] * len(writes)

    def _release_ballast(self) -> bool:
        with contextlib.suppress(OSError):
            return ballast.release(self._files, self._root)
        return False

    def _transaction(self, connected: Connected, writes: list[_Write]) -> list[object]:
        outcomes: list[object] = []
        connection = _begin(connected)
        use = functools.reduce(operator.or_, (write.use for write in writes))
        pending = self._take_pending(connection, writes[0].location, use)
        if len(writes) == 1:
            outcomes.extend(writes[0].write_many(connection, [writes[0].argument]))
        else:
            for write_many, group in itertools.groupby(writes, lambda write: write.write_many):
                outcomes.extend(write_many(connection, [write.argument for write in group]))
        if use is JournalUse.OPENS:
            self._open_gate(connection, writes[0].location)
        connection.execute("COMMIT")
        self._were_merged(writes[0].location, pending)
        return outcomes

    # Rows of the journal, in a transaction of their database

    def _take_pending(self, connection: sqlite3.Connection, location: Location, use: JournalUse) -> Sequence[Pending]:
        """Merge what is pending as the use of a write asks for; return that."""
        if self._rows is None or self._rules is None or use is JournalUse.IGNORES:
            return ()
        journal = self._rows.journal
        take = journal.close_gate if JournalUse.CLOSES in use else journal.pending
        with self.directories.translated():
            pending = take(location)
        if pending:
            self._rules.merge(connection, [each.rows.text for each in pending])
        return pending

    def _open_gate(self, connection: sqlite3.Connection, location: Location) -> None:
        """Let rows go by the journal from now on, if the database takes them."""
        if self._rows is not None and self._rules is not None and self._rows.enabled:
            life = self._rules.gate(connection)
            if life is not None:
                with contextlib.suppress(OSError):  # without it, rows go to the database
                    self._rows.journal.open_gate(location, life)

    def _were_merged(self, location: Location, pending: Sequence[Pending]) -> None:
        if self._rows is not None and pending:
            self._rows.journal.merged(location, pending[-1].at)

    # Creating and removing

    def _create(self, location: Location, image: Image) -> bool:
        if self._is_there(location):
            return False
        self.directories.require_space()
        with self.directories.translated(), contextlib.closing(self.directories.new_file(location)) as file:
            self._files.write(file.fd, (image(),))
            return self.directories.put_in_place(location, file)

    def _remove_if(self, connected: Connected, location: Location, allowed: Allowed) -> str:
        """Move a database away under the lock of writers; return its new path, or empty if that is not allowed."""
        connection = _begin(connected)
        pending = self._take_pending(connection, location, JournalUse.CLOSES)
        moved = self.directories.set_aside(location) if allowed(connection) else ""
        connection.execute("ROLLBACK" if moved else "COMMIT")
        self._were_merged(location, pending)
        return moved

    def _remove(self, location: Location, allowed: Allowed) -> bool:
        moved = self._with_connection(location, self._remove_if, location, allowed)
        self._connections.forget(self.path(location))
        if moved:
            self.directories.delete(moved)
        return bool(moved)

    def _quarantine(self, location: Location, why: str) -> None:
        self._connections.forget(self.path(location))
        if self._rows is not None:
            with contextlib.suppress(OSError):  # gates end by themselves in some seconds
                self._rows.journal.close_gate(location)
        self.directories.quarantine(location)
        self._on_quarantine(location, why)


def _nothing(connection: sqlite3.Connection, arguments: list[Any]) -> list[object]:
    return [None] * len(arguments)


def _begin(connected: Connected) -> sqlite3.Connection:
    """Begin a transaction that no other writer shares, of the database that is in place now.

    Who removes a database does so while holding this lock, so that one who waited for it must
    look again: what is written to a removed file is lost.
    """
    connected.connection.execute("BEGIN IMMEDIATE")
    if not connected.current():
        raise Replaced(f"{connected.path} is another file now")
    return connected.connection
