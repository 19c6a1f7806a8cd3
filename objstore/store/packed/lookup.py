"""Finding the changes of a name, in volumes and in files, and what they make together. Everything here blocks, but for
`PackedNames.cached`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import NamedTuple, TypeVar

from objstore.core.errors import Corrupt, DeviceUnavailable
from objstore.core.names import Location
from objstore.runtime.files import Files
from objstore.store.change import DATA, Change
from objstore.store.disk_errors import UNREADABLE
from objstore.store.interface import ObjectInfo
from objstore.store.objects.format import Unsound, decode_record
from objstore.store.objects.hashes import list_dir
from objstore.store.objects.layout import Layout, ancestors, changes_among, file_path
from objstore.store.objects.liveness import Liveness, decide
from objstore.store.objects.lookup import BadFile, LiveObject, UnreadableFile, open_change
from objstore.store.objects.records import MetaRecord, fold, lay_over, read_data, read_meta
from objstore.store.packed.index import Index
from objstore.store.packed.page_files import DamagedIndex, StaleIndex
from objstore.store.packed.pages import Merge
from objstore.store.packed.places import Entry
from objstore.store.packed.volumes import Volumes

_Result = TypeVar("_Result")
_RETRIES = 20  # of a look-up whose record is replaced or moved after the index was read


class LivePacked(NamedTuple):
    """A live object whose data are packed, with its verified content. meta: what later POSTs say."""

    change: Change
    info: ObjectInfo
    meta: MetaRecord | None
    content: bytes | memoryview

    def close(self) -> None:
        """As that of a `LiveObject`: nothing is open."""


Live = LivePacked | LiveObject


class PackedNames:
    """The names of one policy on one device. open_index: makes the index ready, blocking; raises DeviceUnavailable."""

    def __init__(self, files: Files, layout: Layout, volumes: Volumes, open_index: Callable[[], Index]) -> None:
        self._files = files
        self.layout = layout
        self.volumes = volumes
        self._open_index = open_index
        self._ordered = cache(lambda: files.orders_names(layout.root))
        self._index: Index | None = None
        self._opening = threading.Lock()

    def _ready(self) -> Index:
        """The index, ready for use. Raises DeviceUnavailable while it is being rebuilt."""
        index = self._index
        if index is None:
            with self._opening:
                index = self._index = self._index or self._open_index()
        return index

    def on_index(self, call: Callable[[Index], _Result]) -> _Result:
        """The result of a call with the index; if that turns out to be lost, with the one that is made in its place."""
        index = self._ready()
        try:
            return call(index)
        except (StaleIndex, DamagedIndex) as error:
            with self._opening:
                if self._index is index:
                    self._index = None
                    index.close()
            try:
                return call(self._ready())
            except (StaleIndex, DamagedIndex):
                raise DeviceUnavailable(f"{self.layout.packed}: the index is lost: {error}") from error

    def find(self, location: Location) -> list[Entry]:
        """The packed changes of a name."""
        name_hash = location.hash
        return self.on_index(lambda index: index.find(name_hash))

    def find_all(self, locations: Iterable[Location]) -> dict[str, list[Entry]]:
        """The packed changes of names, by their hashes."""
        hashes = [location.hash for location in locations]
        return self.on_index(lambda index: index.find_all(hashes))

    def edit(
        self,
        location: Location,
        change: Callable[[list[Entry]], list[Entry]],
        before: Callable[[], object] | None = None,
    ) -> None:
        """Make the packed changes of a name what `change` returns, given those there are; it may be called twice.

        before: see `Index.edit`.
        """
        self.on_index(lambda index: index.edit(location.hash, change, before))

    def edit_all(
        self,
        changes: Mapping[str, Merge],
        before: Callable[[Sequence[str]], object],
        after: Callable[[Sequence[str]], object],
    ) -> None:
        """As `edit`, of several names by their hashes; see `Index.edit_all`."""
        self.on_index(lambda index: index.edit_all(changes, before, after))

    def close(self) -> None:
        """Close all that is kept open; it is opened again when it is needed."""
        index, self._index = self._index, None
        if index is not None:
            index.close()
        self.volumes.close()

    def files_of(self, location: Location) -> list[Change]:
        """The changes that have files of their own."""
        return changes_among(list_dir(self._files, self.layout.hash_dir(location)))

    def files_of_all(self, locations: Sequence[Location]) -> list[list[Change]]:
        """As `files_of`, of several names that are locked; of partitions without any file, one look for all."""
        have_files: dict[int, bool] = {}
        for each in locations:
            if each.partition not in have_files:
                have_files[each.partition] = self._files.is_dir(self.layout.partition_dir(each.partition))
        return [self.files_of(each) if have_files[each.partition] else [] for each in locations]

    def changes_of(self, location: Location) -> list[Change]:
        """All changes of a name, wherever they are."""
        entries, files = self._both(location)
        return [entry.change for entry in entries] + files

    def _both(self, location: Location) -> tuple[list[Entry], list[Change]]:
        """Entries and files as they were at one instant: what moves from one to the other is in both for a while."""
        for _ in range(_RETRIES):
            entries = self.find(location)
            files = self.files_of(location)
            if self.find(location) == entries:
                return entries, files
        raise DeviceUnavailable(f"{location.hash} changes faster than it can be read")

    def look_up(self, location: Location) -> Live | Liveness:
        """The live object, or its liveness if there are no data. A file is open.

        Raises BadFile; OSError if the device fails, UnreadableFile among it; DeviceUnavailable.
        """
        for attempt in range(_RETRIES):
            entries, files = self._both(location)
            live = decide([*(entry.change for entry in entries), *files])
            if live.data is None:
                return live
            try:
                return self._open(location, live.data, live, entries)
            except FileNotFoundError:  # replaced, or moved, since the look at the index
                lost = self._lost(location, entries) if attempt else None
                if lost is not None:
                    raise BadFile(lost, Unsound("its volume is missing")) from None
            except BadFile:
                if attempt and self.find(location) == entries:
                    raise
        raise DeviceUnavailable(f"{location.hash} changes faster than it can be read")

    def _lost(self, location: Location, entries: Sequence[Entry]) -> Change | None:
        """A change whose volume is gone for good, None if there is none."""
        volumes = set(self.volumes.numbers())
        lost = next((entry.change for entry in entries if entry.place.volume not in volumes), None)
        return lost if self.find(location) == entries else None

    def live_info(self, location: Location, entries: Sequence[Entry], files: Sequence[Change]) -> ObjectInfo | None:
        """Return the live object among these changes, None if there is none; for a guard, with the name locked.

        Raises Corrupt and OSError.
        """
        live = decide([*(entry.change for entry in entries), *files])
        if live.data is None:
            return None
        try:
            found = self._open(location, live.data, live, entries)
        except (BadFile, FileNotFoundError) as error:  # while the name is locked, nothing is moved
            raise Corrupt(f"{location.hash}: {error}") from error
        if isinstance(found, LiveObject):
            found.file.close()
        return found.info

    def durable_record(self, location: Location, change: Change, entries: Sequence[Entry]) -> bytes:
        """The metadata of a change that is there, durable on return; nothing, if it is not sound. Raises OSError."""
        try:
            for entry in entries:
                if entry.change == change:
                    return self.volumes.read_head(entry.place, location.hash, change)
            record = self._record_of_file(location, change)
            self.make_files_durable(location)
            return record
        except (Unsound, FileNotFoundError):
            return b""

    def make_files_durable(self, location: Location) -> None:
        """The names of a name's files: another process may have made them a moment ago. Raises OSError."""
        directory = self.layout.hash_dir(location)
        self._files.fsync_dir(directory)
        if not self._ordered():
            for above in islice(ancestors(directory), 3):
                self._files.fsync_dir(above)

    def _record_of_file(self, location: Location, change: Change) -> bytes:
        opened = open_change(self._files, file_path(self.layout.hash_dir(location), change), change)
        if opened.file is not None:
            opened.file.close()
        return opened.record

    def _open(self, location: Location, change: Change, live: Liveness, entries: Sequence[Entry]) -> Live:
        packed = {entry.change: entry.place for entry in entries}
        meta = self._meta(location, live, entries)
        try:
            place = packed.get(change)
            if place is not None:
                record = self.volumes.read(place, location.hash, change)
                info = read_data(decode_record(record.metadata), change)
                return LivePacked(change, lay_over(info, meta), meta, record.content)
            opened = open_change(self._files, file_path(self.layout.hash_dir(location), change), change)
            assert opened.file is not None
            info = read_data(decode_record(opened.record), change)
            return LiveObject(change, opened.file, lay_over(info, meta), meta, opened.spilled)
        except (ValueError, OSError) as error:
            raise _blaming(change, error) from error

    def _meta(self, location: Location, live: Liveness, entries: Sequence[Entry]) -> MetaRecord | None:
        """Return the metadata of the POSTs that count, as one record."""
        assert live.data is not None
        if live.meta is None:
            return None
        first = self._meta_of(location, live.meta, entries)
        older = live.content_type if live.content_type != live.meta else None
        second = None if older is None else self._meta_of(location, older, entries)
        return fold(first, second, live.data.timestamp)

    def _meta_of(self, location: Location, change: Change, entries: Sequence[Entry]) -> MetaRecord:
        try:
            for entry in entries:
                if entry.change == change:
                    record = self.volumes.read_head(entry.place, location.hash, change)
                    return read_meta(decode_record(record), change)
            return read_meta(decode_record(self._record_of_file(location, change)), change)
        except (ValueError, OSError) as error:
            raise _blaming(change, error) from error

    def cached(self, location: Location) -> LivePacked | Liveness | None:
        """As `look_up`, from memory alone; None if the disk must be asked, or files."""
        try:
            return self._cached(location)
        except (
            Unsound,
            OSError,
            StaleIndex,
            DamagedIndex,
        ):  # or moved since the look at the index: `look_up` finds out
            return None

    def _cached(self, location: Location) -> LivePacked | Liveness | None:
        """Files are looked for before the index is read: what moves into a volume is in the index before its file goes.

        "Nothing is stored" needs a second look at both: what moves out of a volume has its file before its entry goes.
        """
        index = self._index
        directory = self.layout.hash_dir(location)
        if index is None or not self._files.is_surely_absent(directory):
            return None
        entries = index.find_cached(location.hash)
        if entries is None:
            return None
        if len(entries) == 1 and entries[0].change.kind == DATA:
            change, place = entries[0]
            record = self.volumes.read_cached(place, location.hash, change)
            if record is None:
                return None
            return LivePacked(change, read_data(decode_record(record.metadata), change), None, record.content)
        live = decide(entry.change for entry in entries)
        if live.data is not None or not self._files.is_surely_absent(directory):
            return None
        return live if index.find_cached(location.hash) == entries else None


def _blaming(change: Change, error: ValueError | OSError) -> Exception:
    """The error that says that a change is bad, or cannot be read; the error itself if it says something else."""
    if isinstance(error, ValueError):
        return BadFile(change, error)
    if error.errno in UNREADABLE and not isinstance(error, UnreadableFile):
        return UnreadableFile(change, error)
    return error
