"""Bytes of an object's files: block checksums, the trailer, and the record of metadata.

A .data file is its content, then a trailer:

    block checksums    4 bytes each: CRC32C of each 64 KiB of content, the last block shorter
    spilled record     where the record has no room among the extended attributes; else empty
    footer             28 bytes, see FOOTER

All numbers are little endian. The record is one line of ASCII,
`1 <CRC32C of the JSON, 8 hex digits> <JSON>`, in the extended attribute
`user.objstore.metadata` of a .data file; it is the whole of a .meta or .ts file.
"""

from __future__ import annotations

import json
import struct
import sys
from array import array
from collections.abc import Mapping
from typing import Any, NamedTuple

from awscrt.checksums import crc32c

from objstore.runtime.blocks import full_block

BLOCK = 64 * 1024  # bytes of content under one checksum
ATTRIBUTE = "user.objstore.metadata"
RECORD_VERSION = b"1"
TRAILER_VERSION = 1
MAGIC = b"OSob"

# magic, version, reserved (0), block size, bytes of spilled record, bytes of content,
# CRC32C of the trailer before this field.
FOOTER = struct.Struct("<4sHHIIQI")
_UNSIGNED = struct.Struct("<I")

Buffer = bytes | bytearray | memoryview


class Unsound(ValueError):
    """Bytes that are not what a writer of this format wrote; the message says where."""


class Trailer(NamedTuple):
    """The trailer after the content. checksums: one per block; record: the spilled one, or b""."""

    size: int
    checksums: array[int]
    record: bytes


def count_blocks(size: int) -> int:
    return -(-size // BLOCK)


def trailer_size(content_size: int, record_size: int = 0) -> int:
    """Return the size of the trailer for a size of content."""
    return 4 * count_blocks(content_size) + record_size + FOOTER.size


def encode_trailer(size: int, checksums: array[int], record: bytes = b"") -> bytes:
    body = _little_endian(checksums).tobytes() + record
    footer = FOOTER.pack(MAGIC, TRAILER_VERSION, 0, BLOCK, len(record), size, 0)[:-4]
    body += footer
    return body + _UNSIGNED.pack(crc32c(body))


def decode_footer(footer: Buffer) -> tuple[int, int]:
    """Content size and spilled record's size; raises Unsound.

    Only `decode_trailer` sees the whole, and so can tell by the checksum that these are true.
    """
    if len(footer) != FOOTER.size:
        raise Unsound("the file is too short for a footer")
    magic, version, _, block, record_size, size, _ = FOOTER.unpack(footer)
    if magic != MAGIC or version != TRAILER_VERSION or block != BLOCK:
        raise Unsound(f"no footer of version {TRAILER_VERSION} at the end of the file")
    return size, record_size


def check_one_block(file: memoryview, size: int) -> None:
    """Check the checksums of a whole file whose content, of `size` bytes, is one block; raises Unsound."""
    stated_size, record_size = decode_footer(file[-FOOTER.size :])
    end = len(file) - _UNSIGNED.size
    if stated_size != size or size + trailer_size(size, record_size) != len(file):
        raise Unsound("the trailer's length does not match its header")
    if crc32c(file[size:end]) != _UNSIGNED.unpack_from(file, end)[0]:
        raise Unsound("the trailer's checksum does not match")
    if crc32c(file[:size]) != _UNSIGNED.unpack_from(file, size)[0]:
        raise Unsound("the content's checksum does not match")


def decode_trailer(trailer: Buffer) -> Trailer:
    """The trailer, given exactly; raises Unsound."""
    body = bytes(trailer)
    size, record_size = decode_footer(body[-FOOTER.size :])
    blocks = 4 * count_blocks(size)
    if blocks + record_size + FOOTER.size != len(body):
        raise Unsound("the trailer's length does not match its header")
    if crc32c(body[:-4]) != _UNSIGNED.unpack_from(body, len(body) - 4)[0]:
        raise Unsound("the trailer's checksum does not match")
    return Trailer(size, _little_endian(array("I", body[:blocks])), body[blocks : blocks + record_size])


def _little_endian(checksums: array[int]) -> array[int]:
    if sys.byteorder == "big":
        checksums = array("I", checksums)
        checksums.byteswap()
    return checksums


class BlockChecksums:
    """CRC32C of each block of content that arrives in pieces of any size."""

    __slots__ = ("_crc", "_done", "_filled")

    def __init__(self) -> None:
        self._done = array("I")
        self._crc = 0
        self._filled = 0

    def update(self, data: Buffer) -> None:
        length = len(data)
        block = None if self._filled else full_block(data)
        if block is not None:  # other replicas in this process may have come to it before
            self._done.extend(block.once(lambda: _sums_of(data)))
            return
        if self._filled + length < BLOCK:
            self._crc = crc32c(data, self._crc)
            self._filled += length
            return
        view = memoryview(data)
        start = 0
        while start < length:
            stop = min(length, start + BLOCK - self._filled)
            self._crc = crc32c(view[start:stop], self._crc)
            self._filled += stop - start
            start = stop
            if self._filled == BLOCK:
                self._done.append(self._crc)
                self._crc = self._filled = 0

    def finish(self) -> array[int]:
        """The checksums of all blocks, the last one perhaps of a shorter block."""
        if self._filled:
            return self._done + array("I", (self._crc,))
        return self._done


def _sums_of(data: Buffer) -> array[int]:
    """Return the checksums of whole blocks of content."""
    view = memoryview(data)
    return array("I", (crc32c(view[start : start + BLOCK]) for start in range(0, len(view), BLOCK)))


def checksums_of(content: Buffer) -> array[int]:
    """The checksum of each block of a whole content."""
    if 0 < len(content) <= BLOCK:
        return array("I", (crc32c(content),))
    checksums = BlockChecksums()
    checksums.update(content)
    return checksums.finish()


def encode_record(fields: Mapping[str, object]) -> bytes:
    """One line of ASCII with its own checksum; surrogates in text survive as JSON escapes."""
    body = _encode(fields).encode("ascii")
    return b"%b %08x %b" % (RECORD_VERSION, crc32c(body), body)


_encode = json.JSONEncoder(ensure_ascii=True, check_circular=False, separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


def decode_record(record: bytes) -> dict[str, Any]:
    """The fields of a record; raises Unsound."""
    body = record[11:]
    if record[:2] != RECORD_VERSION + b" " or record[10:11] != b" ":
        raise Unsound(f"not a metadata record of version {RECORD_VERSION.decode()}")
    if b"%08x" % crc32c(body) != record[2:10]:
        raise Unsound("the metadata's checksum does not match")
    try:
        fields = _decode(body.decode("ascii"))
    except ValueError as error:
        raise Unsound(f"the metadata is not JSON: {error}") from None
    if type(fields) is not dict:
        raise Unsound("the metadata is not a JSON object")
    return fields
