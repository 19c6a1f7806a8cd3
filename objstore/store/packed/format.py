"""Bytes of volumes and of their dead marks; doc/format_volume.md has the grammar.

All numbers are unsigned and little endian. A volume begins with a header, which has the volume's random *tag*. Each
record begins with that tag, so that a reader who looks for the next record behind damage never takes the content of
an object for one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from awscrt.checksums import crc32c

from objstore.core.timestamps import Timestamp
from objstore.store.change import DATA, METADATA, TOMBSTONE, Change
from objstore.store.objects.format import Buffer, Unsound

MAGIC = b"OSvo"
VERSION = 1
TAG_SIZE = 8
ALIGNMENT = 8  # records begin at multiples of it

# Magic, version, reserved (0), tag, CRC32C of these.
_VOLUME = struct.Struct("<4sHH8sI")
# How far the records are in the index, CRC32C of that number seeded with the tag; 1 if the volume is closed. These may
# change, so they have no part in the checksum above.
_NOTE = struct.Struct("<II")
_CLOSED = struct.Struct("<I")
NOTE_OFFSET = 24
CLOSED_OFFSET = NOTE_OFFSET + _NOTE.size
FIELDS_SIZE = CLOSED_OFFSET + _CLOSED.size  # all of the header that is in use
COPY_OFFSET = 4096  # of a second copy, which is never written again: in another sector of any disk
VOLUME_HEADER_SIZE = 8192

# Tag, kind, 1 for a copy, reserved (0), bytes of metadata, of content, CRC32C of metadata, of content, name hash,
# timestamp and offset of the change, of its content type, CRC32C of the header before this field.
_HEADER = struct.Struct("<8sBB2xIIII16sQQQQI")
_CRC = struct.Struct("<I")
HEADER_SIZE = _HEADER.size
_CHECKED = HEADER_SIZE - _CRC.size
MAX_METADATA = (1 << 24) - 1 - HEADER_SIZE  # the index has 3 bytes for a record's header and metadata

# The same as in the index.
_TYPED_METADATA = 4  # metadata with a content type
REPLACED = "replaced"  # no change: what the records behind it replace
_CODES = {DATA: 1, METADATA: 2, TOMBSTONE: 3, REPLACED: 5}
_KINDS = {1: DATA, 2: METADATA, 3: TOMBSTONE, _TYPED_METADATA: METADATA, 5: REPLACED}

# Volume and position of a record that others of the group replace.
_PLACE = struct.Struct("<II")

# Position and length of a dead record, CRC32C of these seeded with the volume's tag.
_MARK = struct.Struct("<III")
MARK_SIZE = _MARK.size
_MARKED = MARK_SIZE - _CRC.size


class VolumeHeader(NamedTuple):
    """noted: position up to which the records are in the index. closed: True if nothing may be appended any more."""

    tag: bytes
    noted: int
    closed: bool


class Header(NamedTuple):
    """The header of a record. name_hash: 32 hex digits. is_copy: True if compaction copied it of another volume."""

    name_hash: str
    change: Change
    metadata_length: int
    content_length: int
    metadata_crc: int
    content_crc: int
    is_copy: bool = False

    @property
    def is_change(self) -> bool:
        """False of a record that names what others replace."""
        return self.change.kind != REPLACED

    @property
    def head(self) -> int:
        """Bytes before the content."""
        return HEADER_SIZE + self.metadata_length

    @property
    def length(self) -> int:
        """Bytes of the record, without those that fill it up to the alignment."""
        return HEADER_SIZE + self.metadata_length + self.content_length


class Outgoing(NamedTuple):
    """A record to be appended. metadata: the line of `objects.format.encode_record`. content: pieces of bytes."""

    name_hash: str
    change: Change
    metadata: bytes
    content: Sequence[Buffer]
    content_crc: int
    is_copy: bool = False


class Record(NamedTuple):
    """A record of which every byte has been verified."""

    name_hash: str
    change: Change
    metadata: bytes
    content: memoryview | bytes


def replaced_record(places: Iterable[tuple[int, int]]) -> Outgoing:
    """Return the record that names places, each a volume and a position."""
    metadata = b"".join([_PLACE.pack(*place) for place in places])
    return Outgoing("0" * 32, Change(Timestamp(0), REPLACED), metadata, (), 0)


def decode_replaced(record: Buffer) -> list[tuple[int, int]]:
    """Return the places that such a record names. It must have been verified."""
    return list(_PLACE.iter_unpack(memoryview(record)[HEADER_SIZE:]))


def padded(length: int) -> int:
    """Return the bytes that something takes up in a volume."""
    return length + -length % ALIGNMENT


def encode_volume_header(tag: bytes) -> bytes:
    """Return both copies: all that is before the first record."""
    fields = _VOLUME.pack(MAGIC, VERSION, 0, tag, 0)[: -_CRC.size]
    copy = (fields + _CRC.pack(crc32c(fields))).ljust(NOTE_OFFSET, b"\0") + encode_note(tag, VOLUME_HEADER_SIZE)
    return copy.ljust(COPY_OFFSET, b"\0") + copy.ljust(VOLUME_HEADER_SIZE - COPY_OFFSET, b"\0")


def decode_volume_header(header: Buffer) -> VolumeHeader:
    """Decode FIELDS_SIZE bytes of one copy; raises Unsound. A damaged note counts as that of an empty volume."""
    if len(header) < FIELDS_SIZE:
        raise Unsound("the volume is too short for a header")
    magic, version, _, tag, crc = _VOLUME.unpack_from(header)
    if magic != MAGIC or version != VERSION:
        raise Unsound(f"no header of a volume of version {VERSION}")
    if crc32c(bytes(header[: _VOLUME.size - _CRC.size])) != crc:
        raise Unsound("the checksum of the volume's header does not match")
    noted, noted_crc = _NOTE.unpack_from(header, NOTE_OFFSET)
    if _crc_of_note(tag, noted) != noted_crc or noted < VOLUME_HEADER_SIZE:
        noted = VOLUME_HEADER_SIZE
    return VolumeHeader(tag, noted, _CLOSED.unpack_from(header, CLOSED_OFFSET)[0] != 0)


def encode_note(tag: bytes, position: int) -> bytes:
    """Return the bytes for NOTE_OFFSET."""
    return _NOTE.pack(position, _crc_of_note(tag, position))


def _crc_of_note(tag: bytes, position: int) -> int:
    crc: int = crc32c(_CRC.pack(position), crc32c(tag))
    return crc


def encode_closed() -> bytes:
    """Return the bytes for CLOSED_OFFSET."""
    return _CLOSED.pack(1)


def _fields_of(change: Change) -> tuple[int, int, int, int, int]:
    """Kind, and both timestamps with their offsets."""
    (raw, offset), kind, typed = change
    if typed is None:
        return _CODES[kind], raw, offset, 0, 0
    return _TYPED_METADATA, raw, offset, typed.raw, typed.offset


def encode_head(tag: bytes, outgoing: Outgoing) -> bytes:
    """Return header and metadata of a record. ValueError for more than MAX_METADATA bytes of metadata."""
    name_hash, change, metadata, content, content_crc, is_copy = outgoing
    if len(metadata) > MAX_METADATA:
        raise ValueError(f"{len(metadata)} bytes of metadata, the limit is {MAX_METADATA}")
    kind, *stamps = _fields_of(change)
    lengths = len(metadata), sum(map(len, content)), crc32c(metadata), content_crc
    fields = _HEADER.pack(tag, kind, is_copy, *lengths, bytes.fromhex(name_hash), *stamps, 0)[:_CHECKED]
    return b"".join((fields, _CRC.pack(crc32c(fields)), metadata))


def decode_header(tag: bytes, record: Buffer) -> Header:
    """Return the header at the start of a record; raises Unsound."""
    if len(record) < HEADER_SIZE:
        raise Unsound("the volume ends within the header of a record")
    fields = _HEADER.unpack_from(record)
    found_tag, code, copy, metadata, content, metadata_crc, content_crc, name_hash, raw, offset, *typed, crc = fields
    if found_tag != tag:
        raise Unsound("no record of this volume")
    if crc32c(bytes(record[:_CHECKED])) != crc:
        raise Unsound("the checksum of the record's header does not match")
    kind = _KINDS.get(code)
    if kind is None:
        raise Unsound(f"a record of unknown kind {code}")
    change = Change(Timestamp(raw, offset), kind, Timestamp(*typed) if code == _TYPED_METADATA else None)
    return Header(name_hash.hex(), change, metadata, content, metadata_crc, content_crc, copy == 1)


def unpack_header(tag: bytes, header: memoryview) -> tuple[int, int, int, int, int, bytes] | None:
    """Return of a sound header kind, lengths, checksums and name hash as they are; None for other bytes."""
    found_tag, code, _, *fields, crc = _HEADER.unpack(header)
    if found_tag != tag or crc32c(header[:_CHECKED]) != crc:
        return None
    metadata, content, metadata_crc, content_crc, name_hash = fields[:5]
    return code, metadata, content, metadata_crc, content_crc, name_hash


def is_data(code: int) -> bool:
    """Return whether the code of a kind, as in a header, is that of data."""
    return _KINDS.get(code) == DATA


def is_whole_change(code: int) -> bool:
    """Return whether the code of a kind is that of data or a tombstone, of which a name has one."""
    return _KINDS.get(code) in (DATA, TOMBSTONE)


def verify_head(tag: bytes, head: Buffer, name_hash: str, change: Change) -> bytes:
    """Return the metadata at the end of `head`, as `verify_record` checks them; raises Unsound."""
    if len(head) < HEADER_SIZE:
        raise Unsound("the volume ends within the header of a record")
    view = memoryview(head)
    found = _HEADER.unpack_from(view)
    _check(tag, view, found, name_hash, change)
    if HEADER_SIZE + found[3] != len(view):
        raise Unsound("the length of the metadata does not match the record's header")
    if crc32c(view[HEADER_SIZE:]) != found[5]:
        raise Unsound("the checksum of the metadata does not match")
    return bytes(view[HEADER_SIZE:])


def verify_record(tag: bytes, record: Buffer, name_hash: str, change: Change) -> Record:
    """Return a record, given exactly, if all its checksums match, and it is that of this name and change.

    Raises Unsound otherwise.
    """
    if len(record) < HEADER_SIZE:
        raise Unsound("the volume ends within the header of a record")
    view = memoryview(record)
    found = _HEADER.unpack_from(view)
    _check(tag, view, found, name_hash, change)
    head = HEADER_SIZE + found[3]
    if head + found[4] != len(view):
        raise Unsound("the record's length does not match its header")
    metadata, content = view[HEADER_SIZE:head], view[head:]
    if crc32c(metadata) != found[5]:
        raise Unsound("the checksum of the metadata does not match")
    if crc32c(content) != found[6]:
        raise Unsound("the checksum of the content does not match")
    return Record(name_hash, change, bytes(metadata), content)


def _check(tag: bytes, view: memoryview, found: tuple[Any, ...], name_hash: str, change: Change) -> None:
    if found[0] != tag:
        raise Unsound("no record of this volume")
    if crc32c(view[:_CHECKED]) != found[12]:
        raise Unsound("the checksum of the record's header does not match")
    if found[7] != bytes.fromhex(name_hash) or (found[1], *found[8:12]) != _fields_of(change):
        raise Unsound("the record is that of another name or change")


def is_sound(header: Header, record: Buffer) -> bool:
    """Return whether the checksums of metadata and content match a header that has been decoded of these bytes."""
    view = memoryview(record)
    if len(view) != header.length:
        return False
    head = header.head
    return (crc32c(view[HEADER_SIZE:head]), crc32c(view[head:])) == (header.metadata_crc, header.content_crc)


def encode_mark(tag: bytes, position: int, length: int) -> bytes:
    """Return the mark of a dead record; length: of the whole record."""
    fields = _MARK.pack(position, length, 0)[:_MARKED]
    return fields + _CRC.pack(crc32c(fields, crc32c(tag)))


def decode_marks(tag: bytes, data: Buffer) -> list[tuple[int, int]]:
    """Return position and length of each dead record, in order of the marks. Damaged marks are left out.

    A write that a full disk cut short shifts all marks behind it: after damage the next one may begin at any byte.
    """
    view = memoryview(data)
    seed = crc32c(tag)
    marks = []
    start = 0
    while start + MARK_SIZE <= len(view):
        position, length, crc = _MARK.unpack_from(view, start)
        if crc32c(view[start : start + _MARKED], seed) == crc:
            marks.append((position, length))
            start += MARK_SIZE
        else:
            start += 1
    return marks
