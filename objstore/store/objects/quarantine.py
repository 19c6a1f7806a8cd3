"""Taking bad files out of the way, where they can be looked at, and are no longer found."""

from __future__ import annotations

import contextlib
import errno

from objstore.core.names import Location
from objstore.runtime.files import Files
from objstore.store.change import Change
from objstore.store.objects.commit import KnownDirs
from objstore.store.objects.hashes import Marks
from objstore.store.objects.layout import Layout, changes_among, file_path
from objstore.store.objects.liveness import not_newer

_ATTEMPTS = 1000


def quarantine(
    files: Files, layout: Layout, known: KnownDirs, marks: Marks, location: Location, bad: Change, target: str = ""
) -> str:
    """Move a bad file, and all that are not newer, out of a hash directory; where they are now.

    File by file and not the directory as a whole: a change that arrived since the bad file
    was read is newer, and stays. Empty if another was faster. Raises OSError.

    target: where other changes of the name are already, which were no files; the bad one may be among them. If it is
    empty, a new directory is made.
    """
    hash_dir = layout.hash_dir(location)
    try:
        changes = changes_among(files.list(hash_dir))
    except FileNotFoundError:
        return target
    going = not_newer(changes, bad)
    if not going or (bad not in going and not target):
        return target
    target = target or new_quarantine_dir(files, layout, location.hash)
    files.fsync_dir(layout.quarantined)
    *hidden, last = going
    _move(files, marks, hidden, hash_dir, target)
    _move(files, marks, [last], hash_dir, target)
    known.forget(hash_dir)
    files.count_up(layout.removals)
    try:
        files.rmdir(hash_dir)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise
    with contextlib.suppress(FileNotFoundError):
        files.fsync_dir(layout.suffix_dir(location.partition, location.suffix))
    return target


def _move(files: Files, marks: Marks, changes: list[Change], source: str, target: str) -> None:
    """Move files, durably: what the bad file hid must be gone before the bad one is, and all before a hash says so."""
    if not changes:
        return
    with marks.changing(source):
        for change in changes:
            with contextlib.suppress(FileNotFoundError):
                files.rename(file_path(source, change), file_path(target, change))
        files.fsync_dir(target)
        with contextlib.suppress(FileNotFoundError):  # removed, as empty, by another
            files.fsync_dir(source)


def new_quarantine_dir(files: Files, layout: Layout, name_hash: str) -> str:
    """A new directory for bad files, under the first free name."""
    for parent in (layout.quarantined.rpartition("/")[0], layout.quarantined):
        with contextlib.suppress(FileExistsError):
            files.mkdir(parent)
            files.fsync_dir(parent.rpartition("/")[0])
    for attempt in range(_ATTEMPTS):
        path = layout.quarantine_dir(name_hash, attempt)
        try:
            files.mkdir(path)
            return path
        except FileExistsError:
            continue
    raise FileExistsError(errno.EEXIST, f"{_ATTEMPTS} quarantined copies", layout.quarantine_dir(name_hash, 0))
