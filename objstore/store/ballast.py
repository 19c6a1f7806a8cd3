"""Blocks set aside on a device, so that objects can still be deleted once it is full.

A deletion writes before it frees anything: a tombstone, a row in the container's database, perhaps a spooled update.
The reserve of free space (`fallocate_reserve`) keeps room for that against our own writes, but not against other
programs. So an empty file, `BALLAST` in the device's directory, holds some blocks, which the first deletion that
finds no room gives back to the file system. The file is made again when there is room again.
"""

from __future__ import annotations

import contextlib

from objstore.runtime.files import Files

BALLAST = ".ballast"


def is_missing(files: Files, root: str) -> bool:
    """Is there no ballast? Also False if that is unknown. Does not wait for the disk as a rule."""
    try:
        files.modified(f"{root}/{BALLAST}")
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def keep(files: Files, root: str, size: int) -> None:
    """Set blocks aside. What fails is tried again when someone asks next."""
    with contextlib.suppress(OSError):
        file = files.create(f"{root}/{BALLAST}")
        try:
            files.preallocate(file.fd, size)
        except OSError:
            file.close()
            raise
        file.close_descriptor()
        file.path = ""  # the name stays


def release(files: Files, root: str) -> bool:
    """Give the blocks back to the file system; False if there were none. Raises OSError."""
    if is_missing(files, root):
        return False
    try:
        files.unlink(f"{root}/{BALLAST}")
    except FileNotFoundError:  # another process was faster
        pass
    return True
