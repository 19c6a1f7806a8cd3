"""What SQLite's error codes mean for a caller (https://www.sqlite.org/rescode.html)."""

from __future__ import annotations

import enum
import sqlite3

from objstore.core.errors import Corrupt
from objstore.store.databases.connections import Replaced


class Failure(enum.Enum):
    BUSY = "others hold the database; it can be tried again"
    FULL = "the device is full"
    CORRUPT = "the file is damaged"
    UNREADABLE = "the file or its device cannot be used"
    OTHER = "none of these: an answer for the caller, or our own mistake"


# By extended code where the primary one says too little, else by primary code (the low byte).
_EXTENDED = {
    sqlite3.SQLITE_IOERR_SHMSIZE: Failure.FULL,  # no room for the -shm file
    sqlite3.SQLITE_IOERR_CORRUPTFS: Failure.CORRUPT,
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
}


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
