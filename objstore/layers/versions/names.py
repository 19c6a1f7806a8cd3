"""Version ids, and the names under which versions are stored. Pure functions; every name is built and parsed here.

A version is an *entry*: an object in the bucket's hidden container `versions`, named

    entry   = key NUL tail
    receipt = key NUL tail "+"
    tail    = 13 hex digits, MAX_RAW - raw; 16 hex digits, 2^64 - 1 - offset; a kind

A listing in byte order therefore has keys ascending (NUL, which no key has, is less than any
character of one) and of each key the newest first. `raw` and `offset` are the version's
timestamp; the offset is a random number that tells versions written in the same 10 µs apart. A receipt
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
ALPHABET = frozenset("0123456789abcdef") | frozenset(KINDS) | {RECEIPT, SEPARATOR}  # of the text behind the key


class Ref(NamedTuple):
    """A version among those of a key. Refs sort like the versions, the newest greatest. letter: of KINDS."""

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
        """True if it counts only with a receipt or as the current one: its condition may have been refused."""
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
    """Return 15 bytes as base64url, without padding at this length."""
    text = binascii.b2a_base64((raw << 64 | offset).to_bytes(15, "big"), newline=False).decode()
    return text.replace("+", "-").replace("/", "_")


class EntryName(NamedTuple):
    """The fields of a name in the container of versions. receipt: the name is that of a receipt."""

    key: str
    ref: Ref
    receipt: bool = False


def new_stamp(after: Timestamp | None = None) -> Timestamp:
    """Return a unique timestamp of now, greater than `after` even if this host's clock is slow."""
    raw = int(time.time() * TICKS)
    if after is not None and raw <= after.raw:
        raw = after.raw + 1
    return Timestamp(raw, 2 + secrets.randbits(32))  # 0 and 1 are clients' and the store's own


def successor(stamp: Timestamp) -> Timestamp:
    """Return the next timestamp: a change made at it loses against all versions written since `stamp`."""
    return Timestamp(stamp.raw, stamp.offset + 1)


def new_ref(kind: Kind, after: Timestamp | None = None) -> Ref:
    return Ref(new_stamp(after), _LETTERS[kind])


def entry(key: str, ref: Ref) -> str:
    return f"{key}{SEPARATOR}{ref.tail}"


def receipt(key: str, ref: Ref) -> str:
    return f"{key}{SEPARATOR}{ref.tail}{RECEIPT}"


def parse_tail(tail: str) -> Ref:
    """Return the version of a tail. Raises ValueError if the text is not a tail."""
    if len(tail) != _TAIL or tail[-1] not in KINDS:
        raise ValueError(f"not the tail of a version: {tail[:60]!r}")
    return Ref(Timestamp(MAX_RAW - int(tail[:13], 16), _MAX_OFFSET - int(tail[13:29], 16)), tail[-1])


def id_of_tail(tail: str) -> str:
    """Return the version id of a tail: a faster `parse_tail(tail).version_id`, for long listings."""
    letter = tail[-1:]
    if len(tail) != _TAIL or letter not in KINDS:
        raise ValueError(f"not the tail of a version: {tail[:60]!r}")
    if letter in _NULLS:
        return NULL
    return letter + _packed(MAX_RAW - int(tail[:13], 16), _MAX_OFFSET - int(tail[13:29], 16))


def parse_entry(name: str) -> EntryName:
    """Return the fields of a name. Raises ValueError if it is neither an entry nor a receipt."""
    key, _, tail = name.rpartition(SEPARATOR)
    if tail[-1:] == RECEIPT:
        return EntryName(key, parse_tail(tail[:-1]), True)
    return EntryName(key, parse_tail(tail))


def parse_id(version_id: str) -> Ref | None:
    """Return the version with an id; None for other text, and for `null`, which can be several entries."""
    letter = version_id[:1]
    if len(version_id) != 21 or letter not in KINDS or KINDS[letter].null:
        return None
    try:
        packed = base64.b64decode(version_id[1:], altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    ref = Ref(Timestamp(int.from_bytes(packed[:7], "big"), int.from_bytes(packed[7:], "big")), letter)
    return ref if ref.stamp.raw <= MAX_RAW else None
