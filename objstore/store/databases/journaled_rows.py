"""Rows that go by the journal: accepted in groups with one sync, and merged into their databases from time to time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from objstore.core.errors import NotFound, ObjstoreError
from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.runtime.threads import Batcher
from objstore.store.databases.journal import JournalRules, RowJournal
from objstore.store.databases.journal_format import JournalRows
from objstore.store.databases.settings import DatabaseSettings

_KEPT_SECONDS = 24 * 3600  # rows of a database that is missing, as after its quarantine


class MergeMeans(NamedTuple):
    """merge: merges what is pending of a database; raises ObjstoreError. lack: see `Directories.lack_of_space`.

    warn: called in a thread with a sentence for the log.
    """

    merge: Callable[[Location], None]
    lack: Callable[[], ObjstoreError | None]
    warn: Callable[[str], None]


class Accepting(NamedTuple):
    """Rows of one database to be accepted. life: of what their writer saw; None for rows that are taken in any case.

    growing: they are refused below the reserve of free space.
    """

    location: Location
    rows: Sequence[Any]
    life: Timestamp | None
    growing: bool


class JournaledRows:
    """Accepts rows of a device, and has a thread to merge them while there are any."""

    def __init__(
        self, name: str, journal: RowJournal, rules: JournalRules, settings: DatabaseSettings, means: MergeMeans
    ) -> None:
        self.journal = journal
        self._name = name
        self._rules = rules
        self._interval = settings.journal_interval
        self._means = means
        # A row that need not survive a power cut needs no journal.
        self.enabled = settings.journal_interval > 0 and settings.synchronous == "full"
        self._batcher = Batcher(name, self.accept, patience=settings.patience)
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._merger: threading.Thread | None = None
        self._due = threading.Event()
        self._pid = os.getpid()

    def takes(self, location: Location) -> bool:
        return self.enabled and self.journal.has_gate(location)

    def write(self, rows: Accepting) -> bool:
        """Accept rows durably; return False if the database must judge them, or the journal failed."""
        return bool(self._batcher.run(rows))

    def wake(self) -> None:
        """Have what is pending merged."""
        if self._pid != os.getpid():
            self._start()
        if self.journal.is_due:
            self._due.set()
        if self._merger is None:
            with self._lock:
                if self._merger is None:
                    self._merger = threading.Thread(target=self._work, name=f"{self._name}-merge", daemon=True)
                    self._merger.start()

    def release(self) -> None:
        """Close the journal, and let the thread end."""
        if self._pid == os.getpid():
            with self._lock:
                self._merger = None
            self._due.set()
        self.journal.release()

    # In threads

    def accept(self, asked: list[Accepting]) -> list[bool]:
        """Make rows durable by one sync; return which the journal took. Blocks; several threads may do so at once."""
        if any(each.growing for each in asked) and self._means.lack() is not None:
            return [False] * len(asked)
        now = int(time.time())
        together: dict[tuple[Location, Timestamp | None], list[Any]] = {}
        for location, rows, life, _ in asked:
            together.setdefault((location, life), []).extend(rows)
        entries = [JournalRows(location, now, self._rules.encode(rows)) for (location, _), rows in together.items()]
        try:
            taken = self.journal.append(entries, [life for _, life in together])
        except OSError:
            return [False] * len(asked)
        self.wake()
        by_group = dict(zip(together, taken, strict=True))
        return [by_group[each.location, each.life] for each in asked]

    def _work(self) -> None:
        me = threading.current_thread()
        while True:
            self._due.wait(self._interval)
            self._due.clear()
            with self._lock:
                if self._merger is not me:
                    return
            try:
                self.merge_all()
            except OSError as error:
                self._means.warn(f"{self._name}: rows cannot be merged yet: {error}")
            with self._lock:
                if self._merger is not me:
                    return
                if self._is_done():
                    self._merger = None
                    return

    def _is_done(self) -> bool:
        try:
            return not self.journal.places() and not self.journal.is_littered
        except OSError:
            return True  # whoever uses the device next begins again

    def merge_all(self) -> None:
        """Merge all that is pending, unless another process does, and remove segments. Blocks; raises OSError."""
        places = self.journal.places()
        if not places and not self.journal.is_littered:
            return
        with self.journal.merging() as mine:
            if not mine:
                return
            last = self.journal.seal()
            for location in places:
                try:
                    self._means.merge(location)
                except NotFound:
                    self._keep(location, last)
                except ObjstoreError as error:
                    self._means.warn(f"{self._name}: rows of {location.hash} cannot be merged yet: {error}")
            self.journal.remove_before(last)

    def _keep(self, location: Location, last: int) -> None:
        """Keep rows of a database that is missing: its peers may bring it, or an operator put it back."""
        pending = [each for each in self.journal.pending(location) if each.at.number < last]
        if not pending:
            return
        oldest = time.time() - _KEPT_SECONDS
        young = [each for each in pending if each.rows.accepted > oldest]
        if len(young) < len(pending):
            self._means.warn(f"{self._name}: rows of {location.hash} are dropped, as there is no such database")
        if young:
            self.journal.keep(young)
        self.journal.merged(location, pending[-1].at)
