"""Sound files brought back from quarantine: what was read wrong once may prove to be what was written.

A file may be read wrong because of a cable, a controller or the machine's memory. Everything here blocks.
"""

from __future__ import annotations

import contextlib

from objstore.runtime.files import Files
from objstore.store.change import DATA, Change
from objstore.store.interface import Quarantined
from objstore.store.objects.format import Unsound
from objstore.store.objects.hashes import list_dir
from objstore.store.objects.layout import Layout, changes_among, file_path
from objstore.store.objects.liveness import counting
from objstore.store.objects.verify import Check


def all_quarantined(files: Files, layout: Layout) -> list[Quarantined]:
    """Raises OSError."""
    present = []
    for entry in list_dir(files, layout.quarantined):
        name_hash = layout.parse_quarantine_dir(entry)
        if name_hash is not None:
            path = f"{layout.quarantined}/{entry}"
            with contextlib.suppress(FileNotFoundError):
                present.append(Quarantined(name_hash, path, files.modified(path)))
    return present


def sound_changes(files: Files, path: str) -> list[Change]:
    """The changes of a quarantined directory that count, if each of them is sound; else none. Raises OSError.

    One bad file keeps all the others: without it they would show what it replaced.
    """
    counted = sorted(counting(changes_among(list_dir(files, path))))
    try:
        for change in counted:
            _check(files, file_path(path, change), change)
    except (Unsound, FileNotFoundError):
        return []
    return counted


def _check(files: Files, path: str, change: Change) -> None:
    check = Check(files, path, change)
    try:
        if change.kind == DATA:
            check.begin_content(hashed_since=0.0)
            while check.next_size:
                check.step()
            check.end_content()
    finally:
        check.close()


def remove(files: Files, path: str) -> None:
    """Remove a quarantined directory whose files are back in place. Raises OSError."""
    for entry in list_dir(files, path):
        files.unlink(f"{path}/{entry}")
    files.rmdir(path)
