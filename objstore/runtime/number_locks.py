"""Locks on numbers that all processes share which open the same file; a process that dies holds none.

Each is a lock on one byte of the file, at the number's offset, so that there are as many as
there are numbers and none costs room (fcntl(2), open file description locks). Systems
without such locks get one lock for all numbers.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import struct
import sys
import time
from collections.abc import Callable

MOST = 1 << 60  # numbers are less
_CHECK_SECONDS = 1.0


class _Flock(ctypes.Structure):
    """struct flock of 64-bit Linux."""

    _fields_ = (
        ("kind", ctypes.c_short),
        ("whence", ctypes.c_short),
        ("start", ctypes.c_int64),
        ("length", ctypes.c_int64),
        ("pid", ctypes.c_int),
    )


_BYTE_LOCKS = sys.platform == "linux" and hasattr(fcntl, "F_OFD_SETLK") and struct.calcsize("P") == 8
if _BYTE_LOCKS:
    # A lock that is free is had at once: to let other threads of this process run meanwhile
    # would cost more than the call. PyDLL does not.
    _fcntl = ctypes.PyDLL(None).fcntl
    _fcntl.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p)


class NumberLocks:
    """The locks of one file, for one thread: two that share an object do not shut each other out.

    path: made when first used; the directory above its own must exist. Methods raise OSError.
    """

    def __init__(self, path: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._fd = -1
        self._pid = 0
        self._good_until = 0.0
        self._flock = _Flock(fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0) if _BYTE_LOCKS else None
        self._address = ctypes.addressof(self._flock) if self._flock is not None else 0

    def acquire(self, number: int, shared: bool = False) -> None:
        """Wait until the number is ours, or with `shared` nobody's alone. Hold one at a time."""
        # A fork shares its parent's locks; a device that was mounted again has another file.
        if self._pid != os.getpid() or self._monotonic() > self._good_until:
            self._open()
        flock = self._flock
        if flock is None:
            fcntl.flock(self._fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            return
        flock.kind = fcntl.F_RDLCK if shared else fcntl.F_WRLCK
        flock.start = number
        if _fcntl(self._fd, fcntl.F_OFD_SETLK, self._address):
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLKW, bytes(flock))

    def try_acquire(self, number: int) -> bool:
        """Take the number if that needs no wait; return whether it is ours."""
        if self._pid != os.getpid() or self._monotonic() > self._good_until:
            self._open()
        flock = self._flock
        if flock is None:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True
        flock.kind = fcntl.F_WRLCK
        flock.start = number
        return not _fcntl(self._fd, fcntl.F_OFD_SETLK, self._address)

    def release(self, number: int) -> None:
        flock = self._flock
        if flock is None:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            return
        flock.kind = fcntl.F_UNLCK
        flock.start = number
        _fcntl(self._fd, fcntl.F_OFD_SETLK, self._address)

    def _open(self) -> None:
        self._good_until = self._monotonic() + _CHECK_SECONDS
        if self._pid == os.getpid() and self._is_ours():
            return
        self.close()
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                os.mkdir(os.path.dirname(self._path))
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._pid = os.getpid()

    def _is_ours(self) -> bool:
        """Is the file that we have open still the one under the path?"""
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self._path))
        except OSError:
            return False

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        self._pid = 0
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()
