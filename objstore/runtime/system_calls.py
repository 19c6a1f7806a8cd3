"""Linux system calls that Python has no function for. On other systems most of them do nothing."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE
_PUNCH_HOLE = 2  # FALLOC_FL_PUNCH_HOLE
_START_WRITEBACK = 2  # SYNC_FILE_RANGE_WRITE
_AWAIT_WRITEBACK = 7  # SYNC_FILE_RANGE_WAIT_BEFORE, _WRITE and _WAIT_AFTER
_NO_RANGES = frozenset({errno.ENOSYS, errno.ESPIPE, errno.EINVAL, errno.EOPNOTSUPP})

_libc = ctypes.CDLL(None, use_errno=True)
# Calls that never wait need not hand the interpreter to other threads, which costs more than they do.
_quick_libc = ctypes.PyDLL(None, use_errno=True)


_AT_FDCWD = -100
_DONT_SYNC = 0x4000  # AT_STATX_DONT_SYNC: a file system in user space is not asked
_STATX_SIZE = 256  # bytes of struct statx
_DEVICE = struct.Struct("=136x2I")  # its fields stx_dev_major and stx_dev_minor
_HAS_STATX = sys.platform == "linux" and hasattr(_quick_libc, "statx")
if _HAS_STATX:
    _quick_libc.statx.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)


def file_system_of(path: str) -> int:
    """Return the number of the file system of a directory that is in memory, as `st_dev`. Raises OSError."""
    if not _HAS_STATX:
        return os.stat(path).st_dev
    found = ctypes.create_string_buffer(_STATX_SIZE)
    if _quick_libc.statx(_AT_FDCWD, os.fsencode(path), _DONT_SYNC, 0, found):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return os.makedev(*_DEVICE.unpack_from(found))


class _OpenHow(ctypes.Structure):
    """struct open_how of Linux's openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_OPENAT2 = 437  # on every architecture
_RESOLVE_CACHED = 0x20
_READ_CACHED = _OpenHow(os.O_RDONLY | os.O_CLOEXEC, 0, _RESOLVE_CACHED)
_READ_HOW = ctypes.byref(_READ_CACHED)
_PATH_CACHED = _OpenHow(getattr(os, "O_PATH", 0) | os.O_CLOEXEC, 0, _RESOLVE_CACHED)
_PATH_HOW = ctypes.byref(_PATH_CACHED)
_HOW_SIZE = ctypes.sizeof(_OpenHow)
if sys.platform == "linux":
    # Of openat2 alone, the only call that goes this way.
    _quick_libc.syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
    _quick_libc.getxattr.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
    _quick_libc.getxattr.restype = ctypes.c_ssize_t


_NO_ATTRIBUTE = frozenset({errno.ENODATA, errno.ENOTSUP, errno.ENOENT, errno.ENOTDIR})


def file_system_type(path: str) -> str:
    """Return the type of the file system of a path, '' if unknown."""
    try:
        device = os.stat(path).st_dev
        number = f"{os.major(device)}:{os.minor(device)}"
        with open("/proc/self/mountinfo") as mounts:  # proc(5)
            for line in mounts:
                mounted, _, source = line.partition(" - ")
                if mounted.split()[2] == number:
                    return source.split()[0]
    except OSError:
        pass
    return ""


def reserve(fd: int, offset: int, size: int) -> None:
    """Reserve room for bytes of a file. Raises OSError if there is none; does nothing where that is unsupported."""
    if hasattr(_libc, "fallocate"):
        result = _libc.fallocate(fd, _KEEP_SIZE, ctypes.c_longlong(offset), ctypes.c_longlong(size))
        if result and ctypes.get_errno() in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def punch(fd: int, offset: int, size: int) -> None:
    """Make a hole in a file; does nothing where that is unsupported."""
    if hasattr(_libc, "fallocate"):
        _libc.fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, ctypes.c_longlong(offset), ctypes.c_longlong(size))


def start_writeback(fd: int, offset: int, size: int) -> None:
    """Let the disk begin to write bytes that are in the page cache. size: 0 up to the end."""
    if hasattr(_libc, "sync_file_range"):
        _libc.sync_file_range(fd, ctypes.c_longlong(offset), ctypes.c_longlong(size), _START_WRITEBACK)


def await_writeback(fd: int, offset: int, size: int) -> None:
    """Wait until bytes are out of the page cache. Raises OSError if the disk failed."""
    if not hasattr(_libc, "sync_file_range"):
        return
    if _libc.sync_file_range(fd, ctypes.c_longlong(offset), ctypes.c_longlong(size), _AWAIT_WRITEBACK):
        code = ctypes.get_errno()
        if code not in _NO_RANGES:
            raise OSError(code, os.strerror(code))


def has_attribute(path: str, name: str) -> bool:
    """Return whether a path that is in memory has an extended attribute; False if it is missing. For Linux only."""
    if _quick_libc.getxattr(path.encode("utf-8", "surrogateescape"), name.encode(), None, 0) >= 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_ATTRIBUTE:
        return False
    raise OSError(code, os.strerror(code), path)


def open_cached(path: str) -> int:
    """Open a file to read without asking the disk; return its descriptor, -1 if that is not possible."""
    if sys.platform != "linux":
        return -1
    return int(_quick_libc.syscall(_OPENAT2, _AT_FDCWD, os.fsencode(path), _READ_HOW, _HOW_SIZE))


def is_surely_absent(path: str) -> bool:
    """Return whether nothing is at a path, as far as that is known without asking the disk; else False."""
    if sys.platform != "linux":
        return False
    fd = _quick_libc.syscall(_OPENAT2, _AT_FDCWD, os.fsencode(path), _PATH_HOW, _HOW_SIZE)
    if fd < 0:
        return ctypes.get_errno() == errno.ENOENT
    os.close(fd)
    return False
