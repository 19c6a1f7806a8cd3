"""Taking bad records out of the way, where they can be looked at, and are no longer found. Blocks; raises OSError."""

from __future__ import annotations

from objstore.core.names import Location
from objstore.runtime.files import Files
from objstore.store.change import DATA, Change
from objstore.store.disk_errors import UNREADABLE
from objstore.store.objects.format import Unsound, checksums_of, encode_trailer
from objstore.store.objects.layout import Layout, file_path
from objstore.store.objects.liveness import not_newer
from objstore.store.objects.quarantine import new_quarantine_dir
from objstore.store.packed.lookup import PackedNames
from objstore.store.packed.places import Entry


def take_away(files: Files, layout: Layout, names: PackedNames, location: Location, bad: Change) -> bool:
    """Take a bad packed change of a name, and all that are not newer, out of the index; with the name locked.

    False if the change is not packed. What they hold is put into the quarantine as files: sound changes as files of the
    file engine, the bytes of bad ones as they are. Raises OSError.
    """
    entries = names.find(location)
    going = not_newer((entry.change for entry in entries), bad)
    if bad not in going:
        return False
    taken = [entry for entry in entries if entry.change in going]
    target = new_quarantine_dir(files, layout, location.hash)
    for entry in taken:
        _copy(files, names, location, entry, file_path(target, entry.change))
    files.fsync_dir(target)
    names.volumes.kill([entry.place for entry in taken])
    names.volumes.sync_marks()
    names.edit(location, lambda every: [entry for entry in every if entry not in taken])
    return True


def _copy(files: Files, names: PackedNames, location: Location, entry: Entry, path: str) -> None:
    try:
        record = names.volumes.read(entry.place, location.hash, entry.change)
        pieces: tuple[bytes, ...] = (record.metadata,)
        if entry.change.kind == DATA:
            trailer = encode_trailer(len(record.content), checksums_of(record.content), record.metadata)
            pieces = (bytes(record.content), trailer)
    except (Unsound, OSError):
        pieces = (_raw(names, entry),)
    file = files.create(path)
    try:
        files.write(file.fd, pieces)
        files.fsync(file.fd)
        file.path = ""  # the name stays
    finally:
        file.close()


def _raw(names: PackedNames, entry: Entry) -> bytes:
    """The bytes of a bad record; none if its volume is gone or cannot be read."""
    try:
        return names.volumes.read_raw(entry.place)
    except (Unsound, FileNotFoundError):
        return b""
    except OSError as error:
        if error.errno not in UNREADABLE:
            raise
        return b""
