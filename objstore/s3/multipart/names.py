"""Ids of uploads, and the names in a bucket's hidden container `parts`. Pure; every name is built and read here.

    record  = "u/" key NUL tail          tail: the id, each hex digit as a character from U+0001 on
    part    = "p/" id "/" number "/" token      number: five digits
    claim   = "p/" id "/claim"

Byte order of records is that of keys, and of ids, which begin with the time, under one key. No
delimiter that a client can write occurs in a tail, so that listings roll up keys as they should.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import NamedTuple

from objstore.layers.interface import Page

KIND = "parts"  # of `core.names.hidden`
RECORDS = "u/"
_SEPARATOR = "\x00"
BEHIND = "\x7f"  # greater than any tail
LAST = "\U0010ffff"  # greater than any further character of a key
_DIGITS = "0123456789abcdef"
_TO_TAIL = {ord(digit): 1 + index for index, digit in enumerate(_DIGITS)}
_FROM_TAIL = {1 + index: digit for index, digit in enumerate(_DIGITS)}
_ID = re.compile(r"[0-9a-f]{32}\Z")


class RecordName(NamedTuple):
    key: str
    id: str


def new_id() -> str:
    """Return a new id of 32 hex digits; later ones are greater."""
    return f"{time.time_ns() // 1000:014x}{secrets.token_hex(9)}"


def is_id(text: str) -> bool:
    return _ID.match(text) is not None


def record(key: str, upload_id: str) -> str:
    return RECORDS + key + _SEPARATOR + upload_id.translate(_TO_TAIL)


def read_record(name: str) -> RecordName:
    key, _, tail = name.removeprefix(RECORDS).rpartition(_SEPARATOR)
    return RecordName(key, tail.translate(_FROM_TAIL))


def behind(key: str) -> str:
    """Return a marker behind all records of a key."""
    return RECORDS + key + _SEPARATOR + BEHIND


def prefix(upload_id: str) -> str:
    """Return the prefix of all names of an upload except its record."""
    return f"p/{upload_id}/"


def numbers(upload_id: str, after: int = 0) -> Page:
    """Return the page of a listing of the parts with numbers behind `after`."""
    return Page(
        prefix(upload_id), marker=f"p/{upload_id}/{after:05d}/~", end_marker=f"p/{upload_id}/:", data_times=True
    )


def new_part(upload_id: str, number: int) -> str:
    return f"p/{upload_id}/{number:05d}/{secrets.token_hex(6)}"


def number_of(part: str) -> int:
    return int(part.split("/", 3)[2])


def claim(upload_id: str) -> str:
    return f"p/{upload_id}/claim"
