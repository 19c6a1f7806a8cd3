"""Databases that the device failed to read: noted, and read again minutes later. All calls block.

See `store.objects.unreadable`, which does the same for objects, for the reason.
"""

from __future__ import annotations

import contextlib
import os
import random
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from objstore.core.errors import ObjstoreError, Unreadable
from objstore.core.names import Location
from objstore.runtime.files import Files
from objstore.store.databases import layout
from objstore.store.objects.layout import Layout
from objstore.store.objects.unreadable import others_read_well as objects_read_well

if TYPE_CHECKING:
    from objstore.store.databases.replicas import Replicas

_SAMPLES = 3  # other databases that are read
_LOOKED_AT = 100  # to choose them from


class Note(NamedTuple):
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


def all_notes(files: Files, root: str, kind_directory: str) -> list[Note]:
    """Raises OSError."""
    noted = []
    for location in layout.all_unreadable(files, root, kind_directory):
        with contextlib.suppress(FileNotFoundError):
            noted.append(Note(location, files.modified(layout.unreadable_note(root, kind_directory, location))))
    return noted


def forget_note(files: Files, root: str, kind_directory: str, location: Location) -> None:
    """Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        files.unlink(layout.unreadable_note(root, kind_directory, location))


def others_read_well(files: Files, root: str, replicas: Replicas, besides: Location) -> bool:
    """Can a new file, some objects and most of some other databases of the device be read now?"""
    if not objects_read_well(files, Layout(root, 0), besides):
        return False
    others = [location for location in islice(replicas.locations(), _LOOKED_AT) if location != besides]
    good, bad = 0, 0
    for location in random.sample(others, min(len(others), _SAMPLES)):
        try:
            replicas.audit_here(location)
            good += 1
        except Unreadable:
            bad += 1
        except ObjstoreError:
            good += 1  # it could be read
    return good >= bad
