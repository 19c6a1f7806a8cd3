"""The directories of databases on a device: put in place, moved away and deleted, durably. Nothing here is SQLite.

A new database must be closed before it has its name. The system ends all locks that a process holds on a file when
the process closes any descriptor of it (fcntl(2)): that of a thread which has just put it there would end the
locks of SQLite in another, and what that writes afterwards could be lost
(https://www.sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import secrets
import time
from collections.abc import Iterator

from objstore.core.errors import DeviceUnavailable, NoSpace, ObjstoreError
from objstore.core.names import Location
from objstore.runtime.files import Files, OpenFile
from objstore.store.databases import layout


class Directories:
    """Those of one kind of database on a device. All calls block; those that say nothing else raise OSError.

    reserve: free bytes to keep.
    """

    def __init__(self, root: str, kind_directory: str, files: Files, reserve: int) -> None:
        self._root = root
        self._kind_directory = kind_directory
        self._files = files
        self._reserve = reserve
        self._temporary = f"{root}/{layout.TEMPORARY}"
        self._ordered = functools.cache(lambda: files.orders_names(root))

    def path(self, location: Location) -> str:
        return layout.path(self._root, self._kind_directory, location)

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Errors of files as those of the device."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NoSpace(f"{self._root}: {error}") from error
            raise DeviceUnavailable(f"{self._root}: {error}") from error

    # Room

    def require_space(self) -> None:
        """Raises NoSpace below the reserve, DeviceUnavailable."""
        lack = self.lack_of_space()
        if lack is not None:
            raise lack

    def lack_of_space(self) -> ObjstoreError | None:
        """Return the error of `require_space`."""
        if not self._reserve:
            return None
        try:
            free = self._files.space(self._root).free
        except OSError as error:
            return DeviceUnavailable(f"{self._root}: {error}")
        if free >= self._reserve:
            return None
        return NoSpace(f"{self._root}: {free} bytes free, {self._reserve} are reserved")

    # Work in `tmp`

    def new_file(self, location: Location) -> OpenFile:
        """A file to be written, and put in place; its temporary name goes when it is closed."""
        self._make_temporary()
        return self._files.create(f"{self._temporary}/{layout.removed_name(location)}")

    def workplace(self, location: Location) -> str:
        """A new directory in `tmp`, which `sweep` deletes if we come to an end before we do. Raises as `translated`."""
        path = f"{self._temporary}/{layout.removed_name(location)}"
        with self.translated():
            self._make_temporary()
            self._files.mkdir(path)
        return path

    def _make_temporary(self) -> None:
        if self._files.is_dir(self._root):
            with contextlib.suppress(FileExistsError):
                self._files.mkdir(self._temporary)

    def is_worked_at(self, location: Location, idle: float) -> bool:
        """Has anything changed in a workplace of a database in the last `idle` seconds?"""
        for name in layout.list_removed(self._files, self._temporary):
            if name.startswith(location.hash):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    for file in self._files.list(f"{self._temporary}/{name}"):
                        if os.stat(f"{self._temporary}/{name}/{file}").st_mtime > time.time() - idle:
                            return True
        return False

    def delete(self, path: str) -> None:
        """Delete a directory in `tmp`; what cannot be deleted is left for `sweep`."""
        with contextlib.suppress(OSError):
            self._delete(path)

    def sweep(self, before: float) -> int:
        """Delete what those left who were killed, begun before a time (in seconds); how many."""
        swept = 0
        for name in layout.list_removed(self._files, self._temporary):
            path = f"{self._temporary}/{name}"
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_mtime < before:
                    self._delete(path)
                    swept += 1
        return swept

    def _delete(self, path: str) -> None:
        if not self._files.is_dir(path):
            self._files.unlink(path)
            return
        for name in self._files.list(path):
            self._files.unlink(f"{path}/{name}")
        self._files.rmdir(path)

    # Coming

    def put_in_place(self, location: Location, file: OpenFile) -> bool:
        """Make a file a database, durably, and close it before; False if there is one already."""
        self._files.fsync(file.fd)
        file.close_descriptor()
        while True:
            try:
                return self._place(file.path, location)
            except FileNotFoundError:  # a directory was removed under our hands
                if not self._files.is_dir(self._root) or not self._files.exists(file.path):
                    raise

    def _place(self, path: str, location: Location) -> bool:
        """Give a new database its name; False if another creator was faster.

        The directories above are made durable first: whoever sees the database may write to
        it, and SQLite itself syncs the directory the log is in. Where the file system makes names durable in their
        order, that sync makes those above durable too.
        """
        directories = self._make_directories(location)
        left = self._files.list(directories[-1])
        if f"{location.hash}.db" in left:
            return False
        if left:
            # A log without its database must not be applied to another one.
            self.quarantine(location)
            raise FileNotFoundError(errno.ENOENT, "leftover files were moved away")
        try:
            self._files.link_again(path, self.path(location))
        except FileExistsError:
            return False
        self._files.fsync_dir(directories[-1])
        return True

    def _make_directories(self, location: Location) -> list[str]:
        """Make what is missing below the root, all but the last durable (see `_place`); those paths, top first."""
        path = self._root
        directories = []
        for part in layout.parts(self._kind_directory, location):
            parent, path = path, f"{path}/{part}"
            with contextlib.suppress(FileExistsError):
                self._files.mkdir(path)
            if not self._ordered():
                self._files.fsync_dir(parent)
            directories.append(path)
        return directories

    # Going

    def set_aside(self, location: Location) -> str:
        """Move a database to `tmp`, to be deleted there; where it is now."""
        moved = f"{self._temporary}/{layout.removed_name(location)}"
        self._move(location, moved)
        return moved

    def quarantine(self, location: Location) -> None:
        """Move a database out of the way, for the operator to look at; its peers will rebuild it.

        Raises DeviceUnavailable.
        """
        target = layout.quarantine(self._root, self._kind_directory, location.hash)
        try:
            self._move(location, target)
        except FileNotFoundError:
            pass  # someone else was faster
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise DeviceUnavailable(f"{self.path(location)}: {error}") from error
            with contextlib.suppress(FileNotFoundError):
                self._move(location, f"{target}-{secrets.token_hex(6)}")

    def _move(self, location: Location, target: str) -> None:
        """Rename the directory of a database, durably.

        Connections to it that are open elsewhere go on until they notice, and SQLite leaves
        alone what has taken the place of a database that moved (its pager looks at the inode).
        """
        source = layout.directory(self._root, self._kind_directory, location)
        parent = self._root
        for part in os.path.relpath(os.path.dirname(target), self._root).split("/"):
            parent, above = f"{parent}/{part}", parent
            with contextlib.suppress(FileExistsError):
                self._files.mkdir(parent)
                self._files.fsync_dir(above)
        self._files.rename(source, target)
        self._files.fsync_dir(parent)
        self._files.fsync_dir(os.path.dirname(source))
