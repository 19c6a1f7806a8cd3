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


class Failure(enum.Enum):
    BUSY = "others hold the database; it can be tried again"
    FULL = "the device is full"
    CORRUPT = "SQLite takes the file for damaged, which must be confirmed"
    UNREADABLE = "the file or its device cannot be used"
    OTHER = "none of these: an answer for the caller, or our own mistake"


# By extended code if the primary one says too little, else by primary code (the low byte).
_EXTENDED = {
    sqlite3.SQLITE_IOERR_SHMSIZE: Failure.FULL,  # no room for the -shm file
    sqlite3.SQLITE_IOERR_NOMEM: Failure.OTHER,
    sqlite3.SQLITE_IOERR_BLOCKED: Failure.BUSY,
    sqlite3.SQLITE_READONLY_DBMOVED: Failure.BUSY,  # another file has taken its place
    sqlite3.SQLITE_CANTOPEN_DIRTYWAL: Failure.UNREADABLE,
}
_PRIMARY = {
    sqlite3.SQLITE_BUSY: Failure.BUSY,
    sqlite3.SQLITE_LOCKED: Failure.BUSY,
    sqlite3.SQLITE_PROTOCOL: Failure.BUSY,
    sqlite3.SQLITE_FULL: Failure.FULL,
    sqlite3.SQLITE_CORRUPT: Failure.CORRUPT,
    sqlite3.SQLITE_NOTADB: Failure.CORRUPT,
    sqlite3.SQLITE_CANTOPEN: Failure.UNREADABLE,
    sqlite3.SQLITE_IOERR: Failure.UNREADABLE,
    sqlite3.SQLITE_READONLY: Failure.UNREADABLE,
    sqlite3.SQLITE_PERM: Failure.UNREADABLE,
    sqlite3.SQLITE_AUTH: Failure.OTHER,
    sqlite3.SQLITE_NOLFS: Failure.UNREADABLE,
}
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_CODE_IN_VERDICT = re.compile(r"error code=(\d+)|Failed to read")


def classify(error: Exception) -> Failure:
    if isinstance(error, Replaced):
        return Failure.BUSY
    if isinstance(error, Corrupt):
        return Failure.CORRUPT
    if isinstance(error, OSError):
        return Failure.UNREADABLE
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # not from the library, or raised by Python's module itself
        return Failure.OTHER
    return _EXTENDED.get(code) or _PRIMARY.get(code & 0xFF, Failure.OTHER)


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
