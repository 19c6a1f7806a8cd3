"""Taking bad records out of the way, where they can be looked at, and are no longer found. Blocks; raises OSError."""

from __future__ import annotations

from collections.abc import Callable

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


def take_away(
    files: Files,
    layout: Layout,
    names: PackedNames,
    location: Location,
    bad: Change,
    move_files: Callable[[str], bool],
) -> bool:
    """Take a bad change of a name, packed or a file, and all that are not newer, out of the way; with the name locked.

    False if it is gone. All come into one directory of the quarantine, packed ones as files: sound changes as files of
    the file engine, the bytes of bad ones as they are. What the bad one hides goes first. move_files: moves files to
    the directory with this name; for '', to a new one if the bad change is a file. Raises OSError.
    """
    entries = names.find(location)
    going = not_newer((entry.change for entry in entries), bad)
    taken = [entry for entry in entries if entry.change in going]
    is_packed = bad in going
    if not taken:
        return move_files("")
    if not is_packed and not any(files.exists(file_path(layout.hash_dir(place), bad)) for place in location.both):
        return False
    target = new_quarantine_dir(files, layout, location.hash)
    for entry in taken:
        _copy(files, names, location, entry, file_path(target, entry.change))
    files.fsync_dir(target)
    files.fsync_dir(layout.quarantined)
    if is_packed:
        move_files(target)
    names.volumes.kill([entry.place for entry in taken])
    names.volumes.sync_marks()
    names.edit(location, lambda every: [entry for entry in every if entry not in taken])
    return is_packed or move_files(target)


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
