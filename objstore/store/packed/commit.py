"""The durable write of packed records, for a group of changes at once.

One thread of a device runs `PackedCommitter.run` for everything that has queued up. Of a group, in this order:

1. the names are locked, in the order of their numbers, so that two groups never wait for each other;
2. each guard is asked, with the name's changes as they are now;
3. the records of all that may be made are appended to a volume and synced, together, behind the places of those that
   they may replace: a power cut may take the marks of step 4 and leave the index, and then these are marked again;
4. the index gets an entry for each; entries that are obsolete with it go, and their records are marked dead before,
   so that none of them counts again if what hides it is removed one day;
5. the names are unlocked.

So a record is in a volume only if its guard has allowed it, nothing is visible that is not durable, and nothing is
answered that is not visible to every process. A process that is killed before step 4 leaves records that count all the
same: the next process that opens the device puts them into the index. The change is then made, though nobody was
answered. The guard's answer still holds: the name was locked until the process was gone.

A name may also have changes in files; they are changed under the same lock.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence

from objstore.core.errors import Conflict, NotFound, ObjstoreError
from objstore.core.names import Location
from objstore.runtime.files import Buffer, OpenFile
from objstore.runtime.number_locks import NumberLocks
from objstore.store.change import Change
from objstore.store.disk_errors import translate
from objstore.store.interface import Guard, Sequel
from objstore.store.objects.format import decode_record
from objstore.store.objects.layout import lock_number_of
from objstore.store.objects.liveness import counting, decide, newest_of
from objstore.store.packed.format import Outgoing
from objstore.store.packed.lookup import PackedNames
from objstore.store.packed.pages import Merge
from objstore.store.packed.places import Entry, Place

Outcome = BaseException | None


class PackedArrival:
    """A change on its way into a volume. record: the metadata; content: pieces; guard: decides whether it is made.

    sequel: what follows. moves: True for a change that is stored in a file; it is refused (NotFound) if it does not
    count any more.
    """

    __slots__ = ("change", "content", "content_crc", "file", "guard", "location", "moves", "record", "sequel")

    def __init__(
        self,
        location: Location,
        change: Change,
        record: bytes,
        content: Sequence[Buffer] = (),
        content_crc: int = 0,
        guard: Guard | None = None,
        sequel: Sequel | None = None,
        moves: bool = False,
    ) -> None:
        self.file: OpenFile | None = None  # it has none
        self.location = location
        self.change = change
        self.record = record
        self.content = content
        self.content_crc = content_crc
        self.guard = guard
        self.sequel = sequel
        self.moves = moves

    @property
    def outgoing(self) -> Outgoing:
        return Outgoing(self.location.hash, self.change, self.record, self.content, self.content_crc)


class PackedCommitter:
    """Runs groups of arrivals on one device; `run` must not run twice at the same time.

    clear: given a name and its changes, removes those of its files that are obsolete, after its lock was given up.
    """

    def __init__(self, names: PackedNames, clear: Callable[[Location, Iterable[Change]], object]) -> None:
        self._names = names
        self._clear = clear
        self._locks = NumberLocks(names.layout.locks)

    def run(self, arrivals: Sequence[PackedArrival]) -> list[Outcome]:
        """Make arrivals durable and visible; for each None, or why it is not.

        One whose outcome is NameHeld may be given again.
        """
        outcomes: list[Outcome] = [None] * len(arrivals)
        left = list(range(len(arrivals)))
        while left:
            group, left = _first_of_each_name(arrivals, left)
            for index, outcome in zip(group, self._run_group([arrivals[index] for index in group]), strict=True):
                outcomes[index] = outcome
        return outcomes

    def _run_group(self, arrivals: Sequence[PackedArrival]) -> list[Outcome]:
        group = _PackedGroup(self._names, arrivals)
        held: list[int] = []
        try:
            for number in sorted({lock_number_of(arrival.location.hash) for arrival in arrivals}):
                self._locks.acquire(number)
                held.append(number)
            group.admit()
            group.append()
            group.show()
        except (OSError, ObjstoreError) as error:
            group.fail(error)
        finally:
            for number in held:
                self._locks.release(number)
        for location, changes in group.obsolete_files:
            self._clear(location, changes)
        return group.outcomes

    def release(self) -> None:
        """Close what is kept open, in the thread of `run`; it is opened again when it is needed."""
        self._locks.close()
        self._names.close()


class _PackedGroup:
    """The steps of one group, with its names locked. Each may raise OSError."""

    def __init__(self, names: PackedNames, arrivals: Sequence[PackedArrival]) -> None:
        self._names = names
        self._arrivals = arrivals
        self._accepted: list[int] = []
        self._files: list[list[Change]] = []
        self._before: dict[str, list[Entry]] = {}
        # By name hash: places without an entry, and those that their entries make obsolete.
        self._hidden: dict[str, Place] = {}
        self._dead: dict[str, list[Place]] = {}
        self._unsettled: set[str] = set()  # names with records marked dead that may still be in the index
        self.outcomes: list[Outcome] = [None] * len(arrivals)
        self.obsolete_files: list[tuple[Location, list[Change]]] = []

    def admit(self) -> None:
        locations = [arrival.location for arrival in self._arrivals]
        self._files = self._names.files_of_all(locations)
        self._before = self._names.find_all(locations)
        for index, arrival in enumerate(self._arrivals):
            try:
                if self._is_admitted(arrival, self._before[arrival.location.hash], self._files[index]):
                    self._accepted.append(index)
            except OSError as error:
                self.outcomes[index] = translate(error, self._names.layout.root)
            except ObjstoreError as error:
                self.outcomes[index] = error

    def append(self) -> None:
        if self._accepted:
            hashes = [self._arrivals[index].location.hash for index in self._accepted]
            replaced = [entry.place for name_hash in hashes for entry in self._before[name_hash]]
            records = [self._arrivals[index].outgoing for index in self._accepted]
            self._hidden = dict(zip(hashes, self._names.volumes.append(records, replaced), strict=True))

    def show(self) -> None:
        if not self._accepted:
            return
        changes: dict[str, Merge] = {}
        for index in self._accepted:
            arrival, files = self._arrivals[index], self._files[index]
            if files:  # they may make the record obsolete
                self._names.make_files_durable(arrival.location)
                self.obsolete_files.append((arrival.location, [arrival.change, *files]))
            name_hash = arrival.location.hash
            dead = self._dead[name_hash] = []
            new = Entry(arrival.change, self._hidden[name_hash])
            changes[name_hash] = _adding(new, self._before[name_hash], files, dead)
        self._names.edit_all(changes, self._kill, self._settle)
        self._names.volumes.indexed()

    def _kill(self, names: Sequence[str]) -> None:
        """Mark what becomes obsolete dead, before the names' entries change."""
        dead = [place for name_hash in names for place in self._dead[name_hash]]
        if dead:
            self._unsettled = {name_hash for name_hash in names if self._dead[name_hash]}
            self._names.volumes.kill(dead)

    def _settle(self, names: Sequence[str]) -> None:
        self._unsettled = set()
        for name_hash in names:
            self._hidden.pop(name_hash, None)  # settled before, if the index was lost meanwhile

    def fail(self, error: OSError | ObjstoreError) -> None:
        """None of those that were not refused is acknowledged; they may have been made or not.

        Records without an entry are marked dead, so that a rebuilt index does not show them much later. One that others
        were marked dead for must count instead: it is left to the next replay of its volume, which ends there.
        """
        volumes = self._names.volumes
        with contextlib.suppress(OSError):
            volumes.kill([place for each, place in self._hidden.items() if each not in self._unsettled])
        if self._unsettled:
            volumes.roll()
        cause = translate(error, self._names.layout.root) if isinstance(error, OSError) else error
        for index, outcome in enumerate(self.outcomes):
            if outcome is None:
                self.outcomes[index] = cause

    def _is_admitted(self, arrival: PackedArrival, entries: list[Entry], files: list[Change]) -> bool:
        """Is it to be written? Not if it is there already. Raises Conflict, and what the guard raises."""
        location, change = arrival.location, arrival.change
        changes = [entry.change for entry in entries] + files
        if arrival.guard is not None and change not in counting(changes):
            arrival.guard(newest_of(changes), lambda: self._names.live_info(location, entries, files))
        if arrival.moves:
            if change not in counting(changes):
                raise NotFound(f"{location.hash}/{change}")
            return all(entry.change != change for entry in entries)
        if change not in changes:
            return True
        stored = self._names.durable_record(location, change, entries)
        if not is_same(stored, arrival.record):
            raise stored_already(location, change)
        return False


def _first_of_each_name(arrivals: Sequence[PackedArrival], indexes: list[int]) -> tuple[list[int], list[int]]:
    """Those that come first for their name, and the others, which are judged when the first are made."""
    first: dict[str, int] = {}
    later = [index for index in indexes if first.setdefault(arrivals[index].location.hash, index) != index]
    return list(first.values()), later


def is_same(stored: bytes, record: bytes) -> bool:
    """Do two records say the same? `stored` may be empty, of one that is not sound."""
    return stored == record or (bool(stored) and decode_record(stored) == decode_record(record))


def stored_already(location: Location, change: Change) -> Conflict:
    return Conflict(f"{location.hash}/{change} already holds another change", change.timestamp)


def _adding(
    new: Entry, before: list[Entry], files: list[Change], dead: list[Place]
) -> Callable[[list[Entry]], list[Entry]]:
    """Add an entry, and drop those that are obsolete with it, whose places are added to `dead`.

    An index that was rebuilt meanwhile may have it, in place of those that were there before.
    """

    def change(entries: list[Entry]) -> list[Entry]:
        dead.clear()
        if new in entries:
            dead.extend(entry.place for entry in before if entry not in entries)
            return entries
        every = [*entries, new]
        if len(every) == 1 and not files:
            return every
        obsolete = set(decide([*(entry.change for entry in every), *files]).obsolete)
        dead.extend(entry.place for entry in every if entry.change in obsolete)
        return [entry for entry in every if entry.change not in obsolete]

    return change
