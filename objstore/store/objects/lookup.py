"""Finding what is live at a location, and opening it. Everything here blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from objstore.core.errors import Corrupt, DeviceUnavailable
from objstore.runtime.files import Files, OpenFile
from objstore.store.change import DATA, Change
from objstore.store.disk_errors import UNREADABLE
from objstore.store.interface import ObjectInfo
from objstore.store.objects.file_io import read_spilled, read_whole
from objstore.store.objects.format import ATTRIBUTE, Unsound, decode_record
from objstore.store.objects.layout import changes_among, file_path
from objstore.store.objects.liveness import Liveness, decide
from objstore.store.objects.records import MetaRecord, check_fields, fold, lay_over, read_data, read_meta

_RETRIES = 20  # of an opening whose file is replaced after the listing


class BadFile(Exception):
    """A file that is not what was written; it must be quarantined."""

    def __init__(self, change: Change, why: Exception) -> None:
        super().__init__(f"{change}: {why}")
        self.change = change


class UnreadableFile(OSError):
    """A file that the device fails to read."""

    def __init__(self, change: Change, why: OSError) -> None:
        super().__init__(why.errno, f"{change}: {why.strerror}")
        self.change = change


class LiveObject(NamedTuple):
    """An open object. meta: what its .meta files say. spilled: bytes of its record in the trailer."""

    change: Change
    file: OpenFile
    info: ObjectInfo
    meta: MetaRecord | None
    spilled: int

    def close(self) -> None:
        self.file.close()


def look_up(files: Files, directory: str, changes: Sequence[Change] | None = None) -> LiveObject | Liveness:
    """The live object of a hash directory, or its liveness if there is no data.

    changes: those in it, None to list them. Raises BadFile; OSError if the device fails, UnreadableFile among it;
    DeviceUnavailable.
    """
    for _ in range(_RETRIES):
        listed, changes = _listed(files, directory) if changes is None else changes, None
        live = decide(listed)
        if live.data is None:
            return live
        try:
            return _open(files, directory, live.data, live)
        except FileNotFoundError:  # replaced since the listing
            continue
    raise DeviceUnavailable(f"{directory} changes faster than it can be read")


def _listed(files: Files, directory: str) -> Sequence[Change]:
    try:
        return changes_among(files.list(directory))
    except FileNotFoundError:
        return []


def live_info(files: Files, directory: str, changes: Sequence[Change] | None = None) -> ObjectInfo | None:
    """Return the live object of a hash directory, None if there is none; raises Corrupt and OSError.

    changes: those in it, None to list them.
    """
    try:
        found = look_up(files, directory, changes)
    except BadFile as error:
        raise Corrupt(f"{directory}: {error}") from error
    if not isinstance(found, LiveObject):
        return None
    found.file.close()
    return found.info


class OpenChange(NamedTuple):
    """file: None if there is only a record. spilled: bytes of the record in the trailer."""

    record: bytes
    file: OpenFile | None
    spilled: int


def open_change(files: Files, path: str, change: Change) -> OpenChange:
    """Raises OSError; Unsound where the record is not that of the file."""
    file = files.open(path)
    try:
        if change.kind != DATA:
            record = read_whole(files, file)
            check_fields(decode_record(record), change)
            file.close()
            return OpenChange(record, None, 0)
        attribute = files.attribute(file.fd, ATTRIBUTE)
        record = read_spilled(files, file) if attribute is None else attribute
        check_fields(decode_record(record), change)
        return OpenChange(record, file, len(record) if attribute is None else 0)
    except BaseException:
        file.close()
        raise


def holds_record(files: Files, path: str, change: Change, record: bytes) -> bool:
    """Does a file of this name hold this very record? Raises OSError."""
    file = files.open(path)
    try:
        if change.kind == DATA:
            kept = files.attribute(file.fd, ATTRIBUTE)
            if kept is None:
                kept = read_spilled(files, file)
        else:
            kept = read_whole(files, file)
        return kept == record or decode_record(kept) == decode_record(record)
    except Unsound:
        return False
    finally:
        file.close()


def _open(files: Files, directory: str, change: Change, live: Liveness) -> LiveObject:
    file = None
    try:
        file = files.open(file_path(directory, change))
        spilled = 0
        record = files.attribute(file.fd, ATTRIBUTE)
        if record is None:
            record = read_spilled(files, file)
            spilled = len(record)
        info = read_data(decode_record(record), change)
        if live.meta is None:
            return LiveObject(change, file, info, None, spilled)
        first = _read_meta(files, directory, live.meta)
        older = live.content_type if live.content_type != live.meta else None
        meta = fold(first, _read_meta(files, directory, older) if older is not None else None, change.timestamp)
        return LiveObject(change, file, lay_over(info, meta), meta, spilled)
    except BaseException as error:
        if file is not None:
            file.close()
        _blame(change, error)
        raise


def _read_meta(files: Files, directory: str, change: Change) -> MetaRecord:
    try:
        file = files.open(file_path(directory, change))
        try:
            return read_meta(decode_record(read_whole(files, file)), change)
        finally:
            file.close()
    except (ValueError, OSError) as error:
        _blame(change, error)
        raise


def _blame(change: Change, error: BaseException) -> None:
    """Raises BadFile or UnreadableFile if an error shows that the file of a change is so, and no other was blamed."""
    if isinstance(error, ValueError):
        raise BadFile(change, error) from error
    if isinstance(error, OSError) and not isinstance(error, UnreadableFile) and error.errno in UNREADABLE:
        raise UnreadableFile(change, error) from error
