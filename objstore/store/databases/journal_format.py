"""The format of a journal's segments, see doc/format_databases.md.

A segment has a header with a random tag, then records, each of which begins with that tag. Numbers are little endian;
records are padded to 8 bytes.
"""

from __future__ import annotations

import enum
import secrets
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from awscrt.checksums import crc32c

from objstore.core.names import Location

_MAGIC = b"OSRJ"
_VERSION = 1
_HEADER = struct.Struct("<4sIII")  # magic, version, tag, CRC32C of what is before
HEADER_SIZE = _HEADER.size
_HEAD = struct.Struct("<IIII")  # tag, kind, length of the payload, CRC32C of kind, length and payload
_CHECKED = struct.Struct("<II")
_ENTRY = struct.Struct("<16sIII")  # hash, partition, seconds since the epoch, length of the rows
_PLACE = struct.Struct("<16sI")
_MERGED = struct.Struct("<16sIIQ")  # hash, partition, number and position
_ALIGNMENT = 8


class RecordKind(enum.IntEnum):
    ROWS = 1
    CLOSED = 2
    MERGED = 3
    SEALED = 4


class At(NamedTuple):
    """The place of a record: the number of its segment, and the position there. They sort by age."""

    number: int
    position: int


class JournalRows(NamedTuple):
    """Rows of one database. accepted: in seconds since the epoch. text: a JSON array, see `RowTable.decode`."""

    location: Location
    accepted: int
    text: bytes


class JournalRecord(NamedTuple):
    """end: the position behind it."""

    position: int
    end: int
    kind: RecordKind
    payload: bytes


def new_header() -> bytes:
    head = _HEADER.pack(_MAGIC, _VERSION, secrets.randbits(32), 0)[:-4]
    return head + struct.pack("<I", crc32c(head))


def read_tag(header: bytes) -> int | None:
    """Return the tag of a segment; None if the header is damaged or of another version."""
    if len(header) < HEADER_SIZE:
        return None
    magic, version, tag, checksum = _HEADER.unpack_from(header)
    if (magic, version) != (_MAGIC, _VERSION) or crc32c(header[: HEADER_SIZE - 4]) != checksum:
        return None
    return int(tag)


def encode_record(tag: int, kind: RecordKind, payload: bytes = b"") -> bytes:
    checksum = crc32c(payload, crc32c(_CHECKED.pack(kind, len(payload))))
    padding = bytes(-(_HEAD.size + len(payload)) % _ALIGNMENT)
    return _HEAD.pack(tag, kind, len(payload), checksum) + payload + padding


def records(tag: int, data: bytes, start: int, skip: bool = False) -> Iterator[JournalRecord]:
    """Yield the records in `data`, which begins at the position `start` of a segment.

    Ends at the first bytes that are no sound record; with `skip` it looks for the next one behind them.
    """
    offset, first = 0, tag.to_bytes(4, "little")
    while True:
        record = _record(tag, data, offset, start)
        if record is None:
            if not skip:
                return
            offset = data.find(first, offset + 1)
            if offset < 0:
                return
            continue
        yield record
        offset = record.end - start


def _record(tag: int, data: bytes, offset: int, start: int) -> JournalRecord | None:
    body = offset + _HEAD.size
    if body > len(data):
        return None
    found, kind, length, checksum = _HEAD.unpack_from(data, offset)
    if found != tag or body + length > len(data):
        return None
    payload = data[body : body + length]
    if crc32c(payload, crc32c(_CHECKED.pack(kind, length))) != checksum or kind not in _KINDS:
        return None
    end = body + length
    return JournalRecord(start + offset, start + end + -end % _ALIGNMENT, RecordKind(kind), payload)


_KINDS = frozenset(RecordKind)


def encode_rows(entries: Sequence[JournalRows]) -> bytes:
    pieces: list[bytes] = []
    for (partition, name_hash, *_), accepted, text in entries:
        pieces.append(_ENTRY.pack(bytes.fromhex(name_hash), partition, accepted, len(text)))
        pieces.append(text)
    return b"".join(pieces)


def decode_rows(payload: bytes) -> Iterator[JournalRows]:
    offset = 0
    while offset < len(payload):
        name_hash, partition, accepted, length = _ENTRY.unpack_from(payload, offset)
        offset += _ENTRY.size
        yield JournalRows(Location(partition, name_hash.hex()), accepted, payload[offset : offset + length])
        offset += length


def encode_location(location: Location) -> bytes:
    return _PLACE.pack(bytes.fromhex(location.hash), location.partition)


def decode_location(payload: bytes) -> Location:
    name_hash, partition = _PLACE.unpack(payload)
    return Location(partition, name_hash.hex())


def encode_merged(location: Location, through: At) -> bytes:
    return _MERGED.pack(bytes.fromhex(location.hash), location.partition, *through)


def decode_merged(payload: bytes) -> tuple[Location, At]:
    name_hash, partition, number, position = _MERGED.unpack(payload)
    return Location(partition, name_hash.hex()), At(number, position)
