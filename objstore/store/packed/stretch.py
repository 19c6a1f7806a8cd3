"""Checking a stretch of a volume in memory.

A record whose header is sound has a known name, whatever else is wrong with it. A damaged header hides its record: the
bytes up to the next sound header are a *gap*, and only the index can tell whose records lie in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Set
from typing import NamedTuple

from awscrt.checksums import crc32c

from objstore.store.packed.format import ALIGNMENT, HEADER_SIZE, is_data, is_whole_change, unpack_header


class StretchCheck(NamedTuple):
    """The result of a check. length: bytes that were checked; the next stretch begins behind them.

    required: bytes of the first record if it is not whole, else 0. objects, size: number of sound objects and
    tombstones, and bytes of their content. bad: hashes of names. gaps: positions from, and up to, not including.
    """

    length: int
    required: int
    objects: int
    size: int
    bad: list[str]
    gaps: list[tuple[int, int]]


def check_stretch(tag: bytes, data: bytearray, start: int, is_last: bool, dead: Set[int], hashed: bool) -> StretchCheck:
    """Check the records of a stretch that are not dead.

    start: position of the stretch in its volume; a record begins there, unless there is damage. is_last: the volume
    ends with the stretch. dead: positions of dead records. hashed: check the MD5 of content.
    """
    offset = objects = size = required = 0
    bad: list[str] = []
    gaps: list[tuple[int, int]] = []
    view = memoryview(data)
    end = len(data)
    while offset + HEADER_SIZE <= end:
        header = unpack_header(tag, view[offset : offset + HEADER_SIZE])
        if header is None:
            after = _next_header(tag, data, offset + ALIGNMENT, is_last)
            gaps.append((start + offset, start + after))
            offset = after
            continue
        code, metadata_length, content_length, metadata_crc, content_crc, name_hash = header
        head = offset + HEADER_SIZE + metadata_length
        behind = head + content_length
        if behind > end and not is_last:
            required = behind - offset
            break
        if start + offset not in dead:
            metadata, content = view[offset + HEADER_SIZE : head], view[head:behind]
            if (
                behind > end
                or crc32c(metadata) != metadata_crc
                or crc32c(content) != content_crc
                or (hashed and is_data(code) and not _has_etag(metadata, content))
            ):
                bad.append(name_hash.hex())
            elif is_whole_change(code):
                objects += 1
                size += content_length
        offset = behind + -behind % ALIGNMENT
    if is_last and offset < end:
        gaps.append((start + offset, start + end))
        offset = end
    return StretchCheck(offset, 0 if offset else required, objects, size, bad, gaps)


def _next_header(tag: bytes, data: bytearray, offset: int, is_last: bool) -> int:
    """Return where the next sound header begins; if there is none, where one may begin that ends behind the stretch."""
    view = memoryview(data)
    while 0 <= (offset := data.find(tag, offset)) <= len(data) - HEADER_SIZE:
        if offset % ALIGNMENT == 0 and unpack_header(tag, view[offset : offset + HEADER_SIZE]) is not None:
            return offset
        offset += 1
    if is_last:
        return len(data)
    last = len(data) - HEADER_SIZE + ALIGNMENT
    return last - last % ALIGNMENT


def _has_etag(metadata: memoryview, content: memoryview) -> bool:
    """Do the metadata say this size, and this MD5? Quotes within JSON text are escaped, so that these are fields."""
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return b'"etag":"%b","size":%d,' % (digest.encode(), len(content)) in bytes(metadata)
