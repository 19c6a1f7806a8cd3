"""Databases that the device failed to read: noted, and read again minutes later. All calls block.

See `store.objects.unreadable`, which does the same for objects, for the reason.
"""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from objstore.core.names import Location
from objstore.runtime.files import Files
from objstore.store.databases import layout


class UnreadableNote(NamedTuple):
    """at: when the database first could not be read, in seconds since the epoch."""

    location: Location
    at: float


def note(files: Files, root: str, kind_directory: str, location: Location) -> None:
    """Note that a database cannot be read. The time of an earlier note stays. Best effort: the device is failing."""
    path = layout.unreadable_note(root, kind_directory, location)
    directory = os.path.dirname(path)
    with contextlib.suppress(OSError):
        for each in (os.path.dirname(directory), directory):
            with contextlib.suppress(FileExistsError):
                files.mkdir(each)
        file = files.create(path)
        file.path = ""  # the name stays
        file.close()


def all_notes(files: Files, root: str, kind_directory: str) -> list[UnreadableNote]:
    """Raises OSError."""
    noted = []
    for location in layout.all_unreadable(files, root, kind_directory):
        with contextlib.suppress(FileNotFoundError):
            noted.append(
                UnreadableNote(location, files.modified(layout.unreadable_note(root, kind_directory, location)))
            )
    return noted


def forget_note(files: Files, root: str, kind_directory: str, location: Location) -> None:
    """Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        files.unlink(layout.unreadable_note(root, kind_directory, location))
