"""The blocks of a tar archive, parsed without I/O: headers, PAX records, sparse maps.

Formats: POSIX.1-2024 `pax` (ustar and extended headers), and that of GNU tar, from its manual ("Tar Internals"): long
names, numbers in base 256, sparse files in all four forms. Of PAX records only those count that a store uses: the name,
the size, sparse maps and extended attributes.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from objstore.core.errors import InvalidInput

BLOCK = 512
_ZEROS = bytes(BLOCK)
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12s")
_SPARSE_PAIR = 24  # bytes: two numbers of 12
_MAX_DIGITS = 20  # of a decimal number: 2**64 has as many


class MemberKind(Enum):
    """The kind of a header. The value of a member that is skipped is its name in reports."""

    FILE = "file"
    SPARSE = "sparse file"
    DIRECTORY = "directory"
    HARD_LINK = "hard link"
    SYMBOLIC_LINK = "symbolic link"
    DEVICE = "device"
    PIPE = "named pipe"
    OTHER = "unknown type"
    LONG_NAME = "L"
    LONG_LINK = "K"
    EXTENDED = "x"
    GLOBAL = "g"


_KINDS = {
    b"0": MemberKind.FILE,
    b"\0": MemberKind.FILE,
    b"7": MemberKind.FILE,
    b"S": MemberKind.SPARSE,
    b"1": MemberKind.HARD_LINK,
    b"2": MemberKind.SYMBOLIC_LINK,
    b"3": MemberKind.DEVICE,
    b"4": MemberKind.DEVICE,
    b"5": MemberKind.DIRECTORY,
    b"6": MemberKind.PIPE,
    b"L": MemberKind.LONG_NAME,
    b"K": MemberKind.LONG_LINK,
    b"x": MemberKind.EXTENDED,
    b"X": MemberKind.EXTENDED,
    b"g": MemberKind.GLOBAL,
}
# Members without content, whatever their size field says: as GNU tar reads them.
WITHOUT_CONTENT = frozenset(
    {MemberKind.HARD_LINK, MemberKind.SYMBOLIC_LINK, MemberKind.DEVICE, MemberKind.DIRECTORY, MemberKind.PIPE}
)


class TarHeader(NamedTuple):
    """A header block. size: bytes of content in the archive. block: the whole, for GNU's sparse maps."""

    kind: MemberKind
    name: bytes
    size: int
    block: bytes


class SparseMap(NamedTuple):
    """The stored parts of a sparse file, as (offset, bytes) in ascending order; zeros are between them.

    size: of the whole file, in bytes.
    """

    parts: tuple[tuple[int, int], ...]
    size: int


def parse_header(block: bytes) -> TarHeader | None:
    """Return the header in a block of 512 bytes; None for a block of zeros. Raises InvalidInput."""
    if block == _ZEROS:
        return None
    name, _, _, _, size, _, checksum, kind, _, magic, _, _, _, _, _, prefix, _ = _HEADER.unpack(block)
    if number(checksum) != sum(block) - sum(checksum) + 256 and number(checksum) != _signed_sum(block):
        raise InvalidInput("invalid header")
    name = until_zero(name)
    if magic == b"ustar\0" and prefix[:1] != b"\0":
        name = until_zero(prefix) + b"/" + name
    found = _KINDS.get(kind, MemberKind.OTHER)
    if kind == b"\0" and name.endswith(b"/"):  # of the time before directories had a type
        found = MemberKind.DIRECTORY
    return TarHeader(found, name, number(size), block)


def _signed_sum(block: bytes) -> int:
    """Return the checksum as very old programs made it, from signed bytes."""
    return int(sum(struct.unpack("148b8x356b", block))) + 256


def until_zero(field: bytes) -> bytes:
    """Return a text field without its end."""
    end = field.find(b"\0")
    return field if end < 0 else field[:end]


def number(field: bytes) -> int:
    """Return a number of a header: octal digits, or base 256 if the first bit is set. Raises InvalidInput."""
    if field[0] & 0x80:
        if field[0] != 0x80:  # negative
            raise InvalidInput("invalid header")
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0") or b"0"
    if digits.strip(b"01234567"):
        raise InvalidInput("invalid header")
    return int(digits, 8)


def decimal(digits: bytes) -> int:
    """Return a number of a PAX record. Raises InvalidInput."""
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        raise InvalidInput("invalid header")
    return int(digits)


class Records(NamedTuple):
    """The records of extended headers that count.

    name, size: instead of those of the header, None if not given. attributes: extended attributes of the file, by their
    names; values as bytes. sparse: the other records that begin with `GNU.sparse.`, by the rest of their names.
    offsets, lengths: the parts of a sparse file in version 0.0. weight: bytes of all these.
    """

    name: bytes | None = None
    size: int | None = None
    attributes: Mapping[bytes, bytes] = {}
    sparse: Mapping[bytes, bytes] = {}
    offsets: tuple[int, ...] = ()
    lengths: tuple[int, ...] = ()
    weight: int = 0


NO_RECORDS = Records()
_SCHILY, _LIBARCHIVE, _SPARSE = b"SCHILY.xattr.", b"LIBARCHIVE.xattr.", b"GNU.sparse."


def parse_records(data: bytes, before: Records = NO_RECORDS) -> Records:
    """Return the records of an extended header, over those of global ones. Raises InvalidInput."""
    name, size = before.name, before.size
    attributes, sparse = dict(before.attributes), dict(before.sparse)
    encoded: dict[bytes, bytes] = {}
    offsets: list[int] = []
    lengths: list[int] = []
    for key, value in _records(data):
        if key == b"path":
            name = value or None
        elif key == b"size":
            size = decimal(value)
        elif key.startswith(_SCHILY):
            attributes[key[len(_SCHILY) :]] = value
        elif key.startswith(_LIBARCHIVE):
            encoded[unquote_to_bytes(key[len(_LIBARCHIVE) :])] = _decoded(value)
        elif key == _SPARSE + b"offset":
            offsets.append(decimal(value))
        elif key == _SPARSE + b"numbytes":
            lengths.append(decimal(value))
        elif key.startswith(_SPARSE):
            sparse[key[len(_SPARSE) :]] = value
    for key, value in encoded.items():  # libarchive writes both forms; that of star needs no decoding
        attributes.setdefault(key, value)
    weight = sum(len(key) + len(value) for each in (attributes, sparse) for key, value in each.items())
    return Records(name, size, attributes, sparse, tuple(offsets), tuple(lengths), weight + len(name or b""))


def _records(data: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Yield the records `length key=value\\n` of an extended header."""
    at = 0
    while at < len(data) and data[at]:
        space = data.find(b" ", at, at + _MAX_DIGITS)
        end = at + decimal(data[at:space]) if space > 0 else 0
        if end <= space or end > len(data) or data[end - 1 : end] != b"\n":
            raise InvalidInput("invalid extended header")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals:
            raise InvalidInput("invalid extended header")
        yield key, value
        at = end


def _decoded(value: bytes) -> bytes:
    """Decode base64, which libarchive writes without padding."""
    try:
        return base64.b64decode(value.rstrip(b"=") + b"=" * (-len(value.rstrip(b"=")) % 4), validate=True)
    except binascii.Error:
        raise InvalidInput("invalid base64 in an extended header") from None


# Sparse files


def is_extended(block: bytes, extension: bool = False) -> bool:
    """Return whether another block of GNU's old sparse map follows this header, or this extension of it."""
    return block[504 if extension else 482] != 0


def old_map_parts(block: bytes, extension: bool = False) -> list[tuple[int, int]]:
    """Return the parts in a block of GNU's old sparse map. Raises InvalidInput."""
    start, count = (0, 21) if extension else (386, 4)
    parts = []
    for at in range(start, start + count * _SPARSE_PAIR, _SPARSE_PAIR):
        if not block[at]:
            break
        parts.append((number(block[at : at + 12]), number(block[at + 12 : at + _SPARSE_PAIR])))
    return parts


def old_map_size(block: bytes) -> int:
    """Return the size of the whole file in a header with GNU's old sparse map. Raises InvalidInput."""
    return number(block[483:495])


def pax_map(records: Records) -> SparseMap | None:
    """Return the map of a sparse file of version 0.0 or 0.1, None if the records have none. Raises InvalidInput."""
    sparse = records.sparse
    if b"map" in sparse:
        numbers = [decimal(digits) for digits in sparse[b"map"].split(b",") if digits]
        offsets, lengths = numbers[::2], numbers[1::2]
    elif records.offsets or b"numblocks" in sparse:
        offsets, lengths = list(records.offsets), list(records.lengths)
    else:
        return None
    if len(offsets) != len(lengths):
        raise InvalidInput("invalid sparse map")
    return SparseMap(tuple(zip(offsets, lengths, strict=True)), decimal(sparse.get(b"size", b"")))


def has_map_in_content(records: Records) -> bool:
    """Return whether the content begins with the sparse map (version 1.0)."""
    return records.sparse.get(b"major") == b"1"


def checked_map(found: SparseMap, stored: int) -> SparseMap:
    """Return the map without empty parts. stored: bytes of content. Raises InvalidInput if it does not fit them."""
    parts = tuple(part for part in found.parts if part[1])
    end = 0
    for offset, length in parts:
        if offset < end:
            raise InvalidInput("invalid sparse map")
        end = offset + length
    if end > found.size or sum(length for _, length in parts) != stored:
        raise InvalidInput("invalid sparse map")
    return SparseMap(parts, found.size)
