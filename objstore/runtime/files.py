"""The seam to the file system: the only caller of fsync, rename and link.

Whatever must survive a power cut passes through a `Files`; tests put a twin in its place
that forgets what was not synced. Methods raise OSError as the system does, and block: call
them from a thread where they may wait for the disk.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from objstore.runtime import system_calls

Buffer = bytes | bytearray | memoryview

# What a file system answers that cannot make files without a name.
_NO_TMPFILE = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})
_MAX_VECTORS = 512  # half of Linux's IOV_MAX
_IN_ORDER = frozenset({"ext4", "xfs"})


def exists(path: str) -> bool:
    """Is there anything at a path? Raises OSError unless the system says so: a device that fails is not empty."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_directory(path: str) -> bool:
    """Is there a directory at a path? Raises OSError as `exists`."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


class Space(NamedTuple):
    """Bytes of a file system: in all, and those that a user without privileges may still fill."""

    total: int
    free: int


class FileRights(NamedTuple):
    """Owner, group and mode that a file is to have. uid, gid: -1 to leave them as they are."""

    uid: int
    gid: int
    mode: int


class OpenFile:
    """A descriptor that its last user closes: a thread still at work on it keeps it open.

    path: the temporary name, or "" for a file that has none.
    """

    __slots__ = ("__weakref__", "_files", "fd", "path")

    def __init__(self, files: Files, fd: int, path: str = "") -> None:
        self._files = files
        self.fd = fd
        self.path = path

    def close_descriptor(self) -> None:
        """Close, and keep the temporary name until `close`."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            self._files.close(fd)

    def close(self) -> None:
        """Close, and remove the temporary name where the file still has it. May be repeated."""
        self.close_descriptor()
        path, self.path = self.path, ""
        if path:
            with contextlib.suppress(OSError):
                self._files.unlink(path)

    def __del__(self) -> None:
        self.close()


# Device, inode, and time of change in nanoseconds since the epoch, as coarse as the system's clock. It differs after
# each change of a file, its names or attributes, or of a directory's entries.
Stamp = tuple[int, int, int]


def stamp(found: os.stat_result) -> Stamp:
    return found.st_dev, found.st_ino, found.st_ctime_ns


class CachedFile(NamedTuple):
    """A file that could be opened without asking the disk, and the stamps of its directory and of itself."""

    file: OpenFile
    directory_stamp: Stamp
    file_stamp: Stamp


class Files:
    """The operating system's files."""

    # New files

    def create(self, path: str, mode: int = 0o644) -> OpenFile:
        """A new file under a name; FileExistsError where it is taken. The name goes with the last user."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return OpenFile(self, os.open(path, flags, mode), path)

    def create_unnamed(self, directory: str, mode: int = 0o644) -> OpenFile:
        """A new file without a name; OSError EOPNOTSUPP where the file system knows no such thing."""
        if not hasattr(os, "O_TMPFILE"):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return OpenFile(self, os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode))

    def create_hidden(self, directory: str, fallback: str, mode: int = 0o644) -> OpenFile:
        """A new file that nobody finds, on the file system of `directory`, which must exist.

        Without a name where that can be, else under a random one in the directory
        `fallback`, which is made if it is missing.
        """
        try:
            return self.create_unnamed(directory, mode)
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
        with contextlib.suppress(FileExistsError):
            self.mkdir(fallback)
        return self.create(f"{fallback}/{secrets.token_hex(12)}", mode)

    def write(self, fd: int, pieces: Sequence[Buffer]) -> None:
        """Append all the pieces."""
        if len(pieces) > _MAX_VECTORS:
            for first in range(0, len(pieces), _MAX_VECTORS):
                self.write(fd, pieces[first : first + _MAX_VECTORS])
            return
        left = sum(map(len, pieces)) - os.writev(fd, pieces)
        if left:  # a short write: rare enough to be simple about it
            rest = memoryview(b"".join(pieces))
            while left:
                left -= os.write(fd, rest[-left:])

    def write_at(self, fd: int, pieces: Sequence[Buffer], offset: int) -> None:
        """Write all the pieces, one behind the other, from an offset."""
        if len(pieces) > _MAX_VECTORS:
            for first in range(0, len(pieces), _MAX_VECTORS):
                part = pieces[first : first + _MAX_VECTORS]
                self.write_at(fd, part, offset)
                offset += sum(map(len, part))
            return
        done = os.pwritev(fd, pieces, offset)
        length = sum(map(len, pieces))
        if done < length:  # a short write: rare enough to be simple about it
            rest = memoryview(b"".join(pieces))
            while done < length:
                done += os.pwrite(fd, rest[done:], offset + done)

    def truncate(self, fd: int, size: int) -> None:
        """Cut a file to a size, or let it grow to it by zeros."""
        os.ftruncate(fd, size)

    def preallocate(self, fd: int, size: int, offset: int = 0) -> None:
        """Reserve room for `size` bytes, so that a lack of it shows now; no promise where unsupported."""
        system_calls.reserve(fd, offset, size)

    def punch(self, fd: int, offset: int, size: int) -> None:
        """Give back the room of a stretch, which then reads as zeros; no promise where unsupported."""
        system_calls.punch(fd, offset, size)

    def set_attribute(self, fd: int, name: str, value: bytes) -> None:
        """Set an extended attribute; OSError ENOSPC, E2BIG, ERANGE or ENOTSUP where it does not fit."""
        if not hasattr(os, "setxattr"):
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        os.setxattr(fd, name, value)

    def set_direct(self, fd: int, direct: bool) -> bool:
        """Let writes go past the page cache, or through it again; return False if the file system refuses.

        While they go past it, memory, position and length must be multiples of the disk's block, as those of
        `runtime.blocks` are.
        """
        if not hasattr(os, "O_DIRECT"):
            return not direct
        flags = fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_DIRECT
        try:
            fcntl.fcntl(fd, fcntl.F_SETFL, flags | (os.O_DIRECT if direct else 0))
        except OSError as error:
            if not direct or error.errno != errno.EINVAL:
                raise
            return False
        return True

    def write_direct(self, fd: int, block: memoryview) -> int:
        """Append past the page cache, after `set_direct`.

        Return the number of bytes written: fewer than all if the file system then refused, as some do only now.
        """
        done = 0
        while done < len(block):
            try:
                done += os.write(fd, block[done:])
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                break
        return done

    def start_writeback(self, fd: int, offset: int = 0, size: int = 0) -> None:
        """Let the disk begin with what was written, without waiting; promises nothing. size: 0 up to the end."""
        system_calls.start_writeback(fd, offset, size)

    def await_writeback(self, fd: int, offset: int, size: int) -> None:
        """Wait until bytes are out of the page cache; they are not durable before `fsync`.

        Raises OSError if the disk failed: the kernel then does not report it to `fsync` again.
        """
        system_calls.await_writeback(fd, offset, size)

    def fsync(self, fd: int) -> None:
        """Make content, size and extended attributes durable; not the name."""
        os.fsync(fd)

    def fdatasync(self, fd: int) -> None:
        """Make content and size durable; not extended attributes, not the name."""
        os.fdatasync(fd)

    def link(self, file: OpenFile, path: str) -> None:
        """Give a file its name; FileExistsError where the name is taken. Durable with the directory."""
        if file.path:
            os.link(file.path, path)
        else:
            # Only with a directory descriptor does Python call linkat with AT_SYMLINK_FOLLOW.
            os.link(f"/proc/self/fd/{file.fd}", path, src_dir_fd=file.fd, follow_symlinks=True)

    def link_again(self, path: str, new: str) -> None:
        """Give a file a second name; FileExistsError where it is taken. Durable with the second's directory."""
        os.link(path, new)

    # Directories and names

    def mkdir(self, path: str) -> None:
        os.mkdir(path)

    def rmdir(self, path: str) -> None:
        os.rmdir(path)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)

    def fsync_dir(self, path: str) -> None:
        """Make the entries of a directory durable."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def orders_names(self, path: str) -> bool:
        """Does a synced directory make all earlier changes of names durable, wherever they were made?

        So it is with file systems whose one journal commits changes in their order: then a new
        directory needs no sync of those above it.
        """
        return system_calls.file_system_type(path) in _IN_ORDER

    def mark_dir(self, path: str, name: str, value: bytes, replace: bool = False) -> None:
        """Set an extended attribute of a directory; with `replace` OSError ENODATA where it has none to replace.

        Durable with the directory's entries, in the order of changes of names (see `orders_names`).
        """
        if not hasattr(os, "setxattr"):
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        os.setxattr(path, name, value, os.XATTR_REPLACE if replace else 0)

    def unmark_dir(self, path: str, name: str) -> None:
        """Remove an extended attribute of a directory; OSError ENODATA where it has none."""
        os.removexattr(path, name)

    def is_marked(self, path: str, name: str) -> bool:
        """Return whether a directory, which is in memory, has this extended attribute; False if the directory is
        missing."""
        if sys.platform != "linux":
            return self.attribute(path, name) is not None
        return system_calls.has_attribute(path, name)

    def count_up(self, path: str) -> None:
        """Let `count` of a path be greater from now on, in every process; not durable."""
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, b"+")
        finally:
            os.close(fd)

    def count(self, path: str) -> int:
        """The number of calls of `count_up`."""
        try:
            return os.stat(path).st_size
        except FileNotFoundError:
            return 0

    def exists(self, path: str) -> bool:
        """Is there anything at a path? Raises OSError unless the system says so."""
        return exists(path)

    def is_dir(self, path: str) -> bool:
        """Is there a directory at a path? Raises OSError unless the system says so."""
        return is_directory(path)

    def open_cached(self, directory: str, name: str) -> CachedFile | None:
        """Open a file without asking the disk; None if that is not possible."""
        fd = system_calls.open_cached(f"{directory}/{name}")
        if fd < 0:
            return None
        file = OpenFile(self, fd)
        try:
            # The open file keeps its directories in memory, so that looking at them does not wait either.
            return CachedFile(file, stamp(os.stat(directory)), stamp(os.fstat(fd)))
        except FileNotFoundError:  # removed in between
            file.close()
            return None

    def is_surely_absent(self, path: str) -> bool:
        """Is there nothing at a path? True only if that is known without asking the disk."""
        return system_calls.is_surely_absent(path)

    def is_unlinked(self, fd: int) -> bool:
        """Has the last name of an open file been removed?"""
        return os.fstat(fd).st_nlink == 0

    def is_at(self, fd: int, path: str) -> bool:
        """Is an open file the one that the path leads to now?"""
        try:
            return os.path.samestat(os.fstat(fd), os.stat(path))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def stamp_dir(self, path: str) -> Stamp:
        return stamp(os.stat(path))

    def stamp(self, fd: int) -> Stamp:
        return stamp(os.fstat(fd))

    def list(self, path: str) -> list[str]:
        return os.listdir(path)

    def replace(self, path: str, data: bytes, mode: int = 0o644, rights: FileRights | None = None) -> None:
        """Replace a small file as a whole: readers, and a power cut, see the old or the new content.

        rights: override those that `mode`, the umask and this process give.
        """
        file = self.create(f"{path}.{secrets.token_hex(6)}.tmp", mode)
        try:
            if rights is not None:
                os.fchown(file.fd, rights.uid, rights.gid)
                os.fchmod(file.fd, rights.mode)
            self.write(file.fd, (data,))
            self.fsync(file.fd)
            self.rename(file.path, path)
            file.path = ""  # nothing left to remove
        finally:
            file.close()
        self.fsync_dir(os.path.dirname(path) or ".")

    # Reading

    def open(self, path: str) -> OpenFile:
        return OpenFile(self, os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def open_dir(self, path: str) -> OpenFile:
        """Open a directory, which can then be renamed or replaced: `open_inside` finds the one that was opened."""
        return OpenFile(self, os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def open_inside(self, directory: OpenFile, name: str, create: bool = False) -> OpenFile:
        """Open a file of an open directory to read and write; with `create` make it if it is missing."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        return OpenFile(self, os.open(name, flags, 0o644, dir_fd=directory.fd))

    def open_to_write(self, path: str) -> OpenFile:
        """Open an existing file for reading and writing."""
        return OpenFile(self, os.open(path, os.O_RDWR | os.O_CLOEXEC))

    def open_to_append(self, path: str, mode: int = 0o644) -> OpenFile:
        """Open a file so that each `write` goes to its end, whoever else writes; make it if it is missing."""
        return OpenFile(self, os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode))

    def try_lock(self, fd: int, shared: bool = False) -> bool:
        """Lock an open file, alone or with others who share it, if that needs no wait; return whether it is locked.

        The lock goes with the last descriptor of this opening, in whichever process (flock(2)).
        """
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self, fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)

    def close(self, fd: int) -> None:
        os.close(fd)

    def attribute(self, file: int | str, name: str) -> bytes | None:
        """Return the value of an extended attribute of a path or descriptor; None if it is missing."""
        try:
            return os.getxattr(file, name)
        except AttributeError:
            return None
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.ENOTSUP):
                return None
            raise

    def read_at(self, fd: int, buffer: bytearray | memoryview, offset: int) -> int:
        """Fill a buffer from an offset; the count of bytes, less than asked only at the end."""
        view = memoryview(buffer)
        done = 0
        while done < len(view):
            count = os.preadv(fd, [view[done:]], offset + done)
            if count == 0:
                break
            done += count
        return done

    def read_cached(self, fd: int, buffer: bytearray | memoryview, offset: int) -> int:
        """Read only cached data, perhaps less than requested; return 0 at the end of the file.

        Raises BlockingIOError if the disk would be read, and OSError ENOTSUP if the file system does not support it.
        """
        return os.preadv(fd, (buffer,), offset, os.RWF_NOWAIT)

    def will_need(self, fd: int, offset: int, size: int) -> None:
        """Let the disk begin to read, without waiting; promises nothing."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, offset, size, os.POSIX_FADV_WILLNEED)

    def reads_exactly(self, fd: int) -> None:
        """Let reads of a file bring into memory what they ask for, and nothing ahead of it; promises nothing."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)

    def drop_cached(self, fd: int, offset: int, size: int) -> None:
        """Let memory forget these bytes of a file, which stay on disk; promises nothing."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, offset, size, os.POSIX_FADV_DONTNEED)

    def size(self, fd: int) -> int:
        return os.fstat(fd).st_size

    def data_ranges(self, fd: int) -> Iterator[tuple[int, int]]:
        """The stretches of a file that are not holes, from and up to which offset; perhaps more than these."""
        end = 0
        size = os.fstat(fd).st_size
        while end < size:
            try:
                start = os.lseek(fd, end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # a hole up to the end
                    return
                raise
            end = os.lseek(fd, start, os.SEEK_HOLE)
            yield start, end

    def changed(self, fd: int) -> float:
        """Return the time at which the file, its names or its attributes last changed, in seconds since the epoch."""
        return os.fstat(fd).st_ctime

    def modified(self, path: str) -> float:
        """Return the time at which the content last changed, in seconds since the epoch."""
        return os.stat(path).st_mtime

    def space(self, path: str) -> Space:
        """The room of the file system that holds `path`."""
        stats = os.statvfs(path)
        return Space(stats.f_blocks * stats.f_frsize, stats.f_bavail * stats.f_frsize)


FILES = Files()
