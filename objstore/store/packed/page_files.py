"""The files of an index of packed records: its pages, one by one, and the locks under which they are changed.

See `store.packed.index` for the rules.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from objstore.runtime.files import Files, OpenFile
from objstore.runtime.number_locks import NumberLocks
from objstore.store.objects.format import Unsound
from objstore.store.packed.failed_reads import FailedReads
from objstore.store.packed.pages import MAX_DEPTH, MIN_DEPTH, PAGE, IndexPage, decode_page, encode_page

LOCKS = ".pages"  # beside the directory of the index
DAMAGED = "damaged"  # a file in it
CHECK_SECONDS = 1.0
_TRIES = 3  # of reading a page without the lock

Result = TypeVar("Result")


class DamagedIndex(Exception):
    """A page is not as it was written, or is missing: the index must be rebuilt."""


class StaleIndex(Exception):
    """The index was moved away, removed or closed. Open the one that is there now."""


class PageFiles:
    """The pages in the directory of an index. For any number of threads and processes.

    levels: the open files by depth, None for those that are not open. Methods raise StaleIndex and OSError, and
    FileNotFoundError if there is no index.
    """

    def __init__(self, files: Files, directory: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._files = files
        self._path = directory
        self._monotonic = monotonic
        self._directory: OpenFile | None = None
        self._identity: tuple[int, int] | None = None
        self._current_until = 0.0
        self._is_stale = False
        self.levels: list[OpenFile | None] = [None] * (MAX_DEPTH + 2)
        self._opening = threading.Lock()
        self._locks = NumberLocks(f"{os.path.dirname(directory)}/{LOCKS}")
        self._lock = threading.Lock()
        self._pid = os.getpid()

    # Pages

    def read(self, depth: int, number: int, locked: bool) -> IndexPage | None:
        """Return a page; None if it is missing. Raises Unsound, without the lock after some tries."""
        level = self.levels[depth] or self.level(depth)
        if level is None:
            return None
        tries = 1 if locked else _TRIES
        while True:
            buffer = bytearray(PAGE)
            try:
                self._fill(level, buffer, number)
                return decode_page(buffer, depth, number)
            except Unsound:
                tries -= 1
                if not tries:
                    raise

    def _fill(self, level: OpenFile, buffer: bytearray, number: int) -> None:
        """Read pages from one on. Raises OSError, and Unsound if reads failed minutes ago, too."""
        try:
            self._files.read_at(level.fd, buffer, number * PAGE)
        except OSError as error:
            if FailedReads(self._files, os.path.dirname(self._path)).is_lasting(error):
                raise Unsound(f"page {number} cannot be read: {error}") from error
            raise

    def read_run(self, depth: int, first: int, count: int) -> Sequence[IndexPage | Unsound | None]:
        """Read adjacent pages by one call; None for each that is missing, Unsound for each that is not sound.

        Raises Unsound if none can be read.
        """
        level = self.level(depth)
        if level is None:
            return [None] * count
        buffer = bytearray(count * PAGE)
        self._fill(level, buffer, first)
        view = memoryview(buffer)
        pages: list[IndexPage | Unsound | None] = []
        for each in range(count):
            try:
                pages.append(decode_page(view[each * PAGE : (each + 1) * PAGE], depth, first + each))
            except Unsound as error:
                pages.append(error)
        return pages

    def write(self, state: int, depth: int, number: int, entries: bytes) -> None:
        level = self.levels[depth] or self.level(depth)
        assert level is not None
        self._files.write_at(level.fd, (encode_page(state, depth, number, entries),), number * PAGE)

    def level(self, depth: int, create: bool = False) -> OpenFile | None:
        """Return the file of a depth; None if it is missing."""
        level = self.levels[depth]
        if level is None:
            directory = self._directory
            if directory is None:
                raise StaleIndex(self._path)
            try:
                level = self._files.open_inside(directory, str(depth), create)
            except FileNotFoundError:
                return None
            self.levels[depth] = level
        return level

    def reserve(self, depth: int, first: int) -> None:
        """Make sure that there is room for two adjacent pages. Raises OSError ENOSPC if there is none."""
        level = self.level(depth, create=True)
        assert level is not None
        self._files.preallocate(level.fd, 2 * PAGE, first * PAGE)

    def damaged(self, error: Unsound) -> DamagedIndex:
        """The error that reports damage, which is noted for whoever opens the index next."""
        with contextlib.suppress(OSError):
            if self._directory is not None:
                self._files.open_inside(self._directory, DAMAGED, create=True)
        return DamagedIndex(f"{self._path}: {error}")

    # The directory

    def sync(self) -> None:
        """Make all changes durable that were made before, by whichever process."""
        self.check(surely=True)
        for depth in range(MIN_DEPTH, MAX_DEPTH + 1):
            level = self.level(depth)
            if level is not None:
                self._files.fsync(level.fd)
        self._files.fsync_dir(self._path)
        self.check(surely=True)

    def is_current(self) -> bool:
        """Return whether the index that was opened is still the one at the path; opens it if none is open."""
        try:
            self.check(surely=True)
        except (StaleIndex, FileNotFoundError):
            return False
        return True

    def close(self) -> None:
        """Close; calls raise StaleIndex from then on, those under way may end."""
        self._is_stale = True
        self._current_until = 0.0
        self._directory = None
        self.levels[:] = [None] * len(self.levels)
        self._locks.close()

    def check(self, surely: bool = False) -> None:
        """Raise StaleIndex unless the index is still the one at the path; look at most once a second, or surely."""
        now = self._monotonic()
        if now < self._current_until and not surely:
            return
        if self._identity is None:
            self._open()
        try:
            is_current = not self._is_stale and self._files.stamp_dir(self._path)[:2] == self._identity
        except (FileNotFoundError, NotADirectoryError):
            is_current = False
        if not is_current:
            self._is_stale = True
            self._current_until = 0.0
            raise StaleIndex(self._path)
        self._current_until = now + CHECK_SECONDS

    def _open(self) -> None:
        with self._opening:
            if self._identity is None and not self._is_stale:
                self._directory = self._files.open_dir(self._path)
                self._identity = self._files.stamp(self._directory.fd)[:2]

    # Locks

    def acquire(self, number: int) -> None:
        """Lock the pages of prefixes that begin with these 8 bits."""
        if self._pid != os.getpid():  # a thread of the parent may have held it at the fork
            self._lock = threading.Lock()
            self._pid = os.getpid()
        self._lock.acquire()
        try:
            self._locks.acquire(number)
        except BaseException:
            self._lock.release()
            raise

    def release(self, number: int) -> None:
        self._locks.release(number)
        self._lock.release()

    def with_lock(self, number: int, call: Callable[[], Result]) -> Result:
        """Return the result of a call with pages locked. Turns Unsound into DamagedIndex."""
        self.acquire(number)
        try:
            self.check(surely=True)
            return call()
        except Unsound as error:
            raise self.damaged(error) from error
        finally:
            self.release(number)
