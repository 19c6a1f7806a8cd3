"""The meaning of SQLite's result codes for a caller (https://www.sqlite.org/rescode.html).

An I/O error says nothing of what is stored, whatever SQLite calls it: SQLITE_IOERR_CORRUPTFS is what it returns when a
read fails with EIO.
"""

from __future__ import annotations

import enum
import errno
import re
import sqlite3

from objstore.core.errors import Corrupt


class Replaced(Exception):
    """Another file has taken the place of the one that was opened: try again with that."""


class FailureKind(enum.Enum):
    BUSY = "others hold the database; it can be tried again"
    FULL = "the device is full"
    CORRUPT = "SQLite takes the file for damaged, which must be confirmed"
    UNREADABLE = "the file or its device cannot be used"
    OTHER = "none of these: an answer for the caller, or our own mistake"


# By extended code if the primary one says too little, else by primary code (the low byte).
_EXTENDED = {
    sqlite3.SQLITE_IOERR_SHMSIZE: FailureKind.FULL,  # no room for the -shm file
    sqlite3.SQLITE_IOERR_NOMEM: FailureKind.OTHER,
    sqlite3.SQLITE_IOERR_BLOCKED: FailureKind.BUSY,
    sqlite3.SQLITE_READONLY_DBMOVED: FailureKind.BUSY,  # another file has taken its place
    sqlite3.SQLITE_CANTOPEN_DIRTYWAL: FailureKind.UNREADABLE,
}
_PRIMARY = {
    sqlite3.SQLITE_BUSY: FailureKind.BUSY,
    sqlite3.SQLITE_LOCKED: FailureKind.BUSY,
    sqlite3.SQLITE_PROTOCOL: FailureKind.BUSY,
    sqlite3.SQLITE_FULL: FailureKind.FULL,
    sqlite3.SQLITE_CORRUPT: FailureKind.CORRUPT,
    sqlite3.SQLITE_NOTADB: FailureKind.CORRUPT,
    sqlite3.SQLITE_CANTOPEN: FailureKind.UNREADABLE,
    sqlite3.SQLITE_IOERR: FailureKind.UNREADABLE,
    sqlite3.SQLITE_READONLY: FailureKind.UNREADABLE,
    sqlite3.SQLITE_PERM: FailureKind.UNREADABLE,
    sqlite3.SQLITE_AUTH: FailureKind.OTHER,
    sqlite3.SQLITE_NOLFS: FailureKind.UNREADABLE,
}
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_CODE_IN_VERDICT = re.compile(r"error code=(\d+)|Failed to read")


def classify(error: Exception) -> FailureKind:
    if isinstance(error, Replaced):
        return FailureKind.BUSY
    if isinstance(error, Corrupt):
        return FailureKind.CORRUPT
    if isinstance(error, OSError):
        return FailureKind.UNREADABLE
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # not from the library, or raised by Python's module itself
        return FailureKind.OTHER
    return _EXTENDED.get(code) or _PRIMARY.get(code & 0xFF, FailureKind.OTHER)


def damage_of(verdict: str) -> str:
    """The damage that a PRAGMA integrity_check reports, '' for none.

    Raises OSError for what it could not read: it reports an I/O error as if it were damage.
    """
    if verdict == "ok":
        return ""
    match = _CODE_IN_VERDICT.search(verdict)
    if match is not None and (match[1] is None or int(match[1]) & 0xFF not in _DAMAGE):
        raise OSError(errno.EIO, f"integrity_check: {verdict}")
    return verdict
