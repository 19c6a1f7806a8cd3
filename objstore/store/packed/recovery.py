"""Making the index of volumes ready for use."""

from __future__ import annotations

import contextlib

from objstore.runtime.files import Files
from objstore.runtime.number_locks import NumberLocks
from objstore.store.packed.index import Index
from objstore.store.packed.places import Entry
from objstore.store.packed.volumes import Volumes


def open_index(files: Files, directory: str, volumes: Volumes) -> Index:
    """The index in `<directory>/index`, rebuilt of the volumes if there is none. Blocks; raises OSError."""
    path = f"{directory}/index"
    with contextlib.suppress(FileExistsError):
        files.mkdir(directory)
        files.fsync_dir(directory.rpartition("/")[0])
    locks = NumberLocks(f"{directory}/.rebuild")
    locks.acquire(0)
    try:
        if files.is_dir(path):
            return Index(files, path)
        index = Index.create(files, path)
        for volume in volumes.numbers():
            dead = volumes.dead(volume)
            for place, header in volumes.scan(volume):
                if place.position not in dead:
                    index.add([(header.name_hash, Entry(header.change, place))])
        return index
    finally:
        locks.close()
