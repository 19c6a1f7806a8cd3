"""Version ids, and the names under which versions are kept. Pure functions; every name is built and parsed here.

A version is an *entry*: an object in the bucket's hidden container `versions`, named

    entry   = key NUL tail
    receipt = key NUL tail "+"
    tail    = 13 hex digits, MAX_RAW - raw; 16 hex digits, 2^64 - 1 - offset; a kind

A listing in byte order therefore has keys ascending (NUL, which no key has, is less than any
character of one) and of each key the newest first. `raw` and `offset` are the version's
timestamp; the offset is a random number that sets apart what was written in the same 10 µs. A receipt
follows its entry.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from typing import NamedTuple

from objstore.core.timestamps import MAX_RAW, TICKS, Timestamp

NULL = "null"  # the id of the version that writes replace while versioning is not on
SEPARATOR = "\x00"
RECEIPT = "+"
BEHIND = "~"  # greater than any tail
_MAX_OFFSET = (1 << 64) - 1
_TAIL = 30  # characters


class Kind(NamedTuple):
    """marker: a delete marker. null: its id is `null`. conditional: written under a condition (`Ref.conditional`)."""

    marker: bool = False
    null: bool = False
    conditional: bool = False


KINDS = {
    "v": Kind(),
    "c": Kind(conditional=True),
    "d": Kind(marker=True),
    "e": Kind(marker=True, conditional=True),
    "n": Kind(null=True),
    "m": Kind(marker=True, null=True),
    "o": Kind(null=True, conditional=True),
    "p": Kind(marker=True, null=True, conditional=True),
}
_NULLS = frozenset(letter for letter, kind in KINDS.items() if kind.null)
_LETTERS = {kind: letter for letter, kind in KINDS.items()}
ALPHABET = frozenset("0123456789abcdef") | frozenset(KINDS) | {RECEIPT, SEPARATOR}  # of what follows the key


class Ref(NamedTuple):
    """Which version of a key; orders as the versions do, the newest greatest. letter: of KINDS."""

    stamp: Timestamp
    letter: str

    @property
    def marker(self) -> bool:
        return KINDS[self.letter].marker

    @property
    def null(self) -> bool:
        return KINDS[self.letter].null

    @property
    def conditional(self) -> bool:
        """It counts only where it has a receipt or is the current one: its condition may have been refused."""
        return KINDS[self.letter].conditional

    @property
    def tail(self) -> str:
        raw, offset = self.stamp
        return f"{MAX_RAW - raw:013x}{_MAX_OFFSET - offset:016x}{self.letter}"

    @property
    def version_id(self) -> str:
        """Opaque and URL-safe: 21 characters, or `null`."""
        if self.null:
            return NULL
        raw, offset = self.stamp
        return self.letter + _packed(raw, offset)


def _packed(raw: int, offset: int) -> str:
    """15 bytes as base64url, which then needs no padding."""
    text = binascii.b2a_base64((raw << 64 | offset).to_bytes(15, "big"), newline=False).decode()
    return text.replace("+", "-").replace("/", "_")


class Entry(NamedTuple):
    """What a name in the container of versions says."""

    key: str
    ref: Ref
    receipt: bool = False


def new_stamp(after: Timestamp | None = None) -> Timestamp:
    """A timestamp of now that no other version has, greater than `after` however slow this host's clock is."""
    raw = int(time.time() * TICKS)
    if after is not None and raw <= after.raw:
        raw = after.raw + 1
    return Timestamp(raw, 2 + secrets.randbits(32))  # 0 and 1 are clients' and the store's own


def successor(stamp: Timestamp) -> Timestamp:
    """The next timestamp: a change made at it loses against all versions written since `stamp`."""
    return Timestamp(stamp.raw, stamp.offset + 1)


def new_ref(kind: Kind, after: Timestamp | None = None) -> Ref:
    return Ref(new_stamp(after), _LETTERS[kind])


def entry(key: str, ref: Ref) -> str:
    return f"{key}{SEPARATOR}{ref.tail}"


def receipt(key: str, ref: Ref) -> str:
    return f"{key}{SEPARATOR}{ref.tail}{RECEIPT}"


def parse_tail(tail: str) -> Ref:
    """Raises ValueError for text that is no tail."""
    if len(tail) != _TAIL or tail[-1] not in KINDS:
        raise ValueError(f"not the tail of a version: {tail[:60]!r}")
    return Ref(Timestamp(MAX_RAW - int(tail[:13], 16), _MAX_OFFSET - int(tail[13:29], 16)), tail[-1])


def id_of_tail(tail: str) -> str:
    """The version id that a tail stands for: `parse_tail(tail).version_id`, for listings of a thousand."""
    letter = tail[-1:]
    if len(tail) != _TAIL or letter not in KINDS:
        raise ValueError(f"not the tail of a version: {tail[:60]!r}")
    if letter in _NULLS:
        return NULL
    return letter + _packed(MAX_RAW - int(tail[:13], 16), _MAX_OFFSET - int(tail[13:29], 16))


def parse_entry(name: str) -> Entry:
    """Raises ValueError for a name that is none of ours."""
    key, _, tail = name.rpartition(SEPARATOR)
    if tail[-1:] == RECEIPT:
        return Entry(key, parse_tail(tail[:-1]), True)
    return Entry(key, parse_tail(tail))


def parse_id(version_id: str) -> Ref | None:
    """None for text that is no version id of ours; `null` has no one name."""
    letter = version_id[:1]
    if len(version_id) != 21 or letter not in KINDS or KINDS[letter].null:
        return None
    try:
        packed = base64.b64decode(version_id[1:], altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    ref = Ref(Timestamp(int.from_bytes(packed[:7], "big"), int.from_bytes(packed[7:], "big")), letter)
    return ref if ref.stamp.raw <= MAX_RAW else None
