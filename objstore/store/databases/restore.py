"""Databases in quarantine, which may prove sound: one that was read wrong once need not be damaged. All calls block."""

from __future__ import annotations

import contextlib
import os

from objstore.runtime.files import Files, OpenFile
from objstore.store.databases import layout
from objstore.store.databases.copies import Receiving
from objstore.store.databases.device import Databases
from objstore.store.interface import Quarantined

_PIECE = 1 << 20  # bytes copied at a time


def all_quarantined(files: Files, root: str, kind_directory: str) -> list[Quarantined]:
    """Raises OSError."""
    present = []
    for path in layout.all_quarantined(files, root, kind_directory):
        with contextlib.suppress(FileNotFoundError):
            # A directory that is renamed has its ctime changed.
            present.append(Quarantined(layout.hash_of_quarantined(path), path, os.stat(path).st_ctime))
    return present


def copy_to(databases: Databases, quarantined: Quarantined, received: Receiving) -> None:
    """Copy a quarantined database, with its log, into a file as if it came from a peer.

    It is read as bytes: SQLite would change it. Raises NoSpace, DeviceUnavailable.
    """
    files = databases.tree.files
    source = f"{quarantined.path}/{quarantined.hash}.db"
    with databases.directories.translated():
        _copy(files, source, received.file)
        if files.exists(f"{source}-wal"):
            with contextlib.closing(files.create(f"{received.path}-wal")) as log:
                _copy(files, f"{source}-wal", log)
                log.path = ""  # SQLite removes it


def _copy(files: Files, source: str, target: OpenFile) -> None:
    with contextlib.closing(files.open(source)) as file:
        buffer = memoryview(bytearray(_PIECE))
        offset = 0
        while count := files.read_at(file.fd, buffer, offset):
            files.write(target.fd, (buffer[:count],))
            offset += count
