"""Bytes of the index: its pages and their entries, as pure functions.

A page is 4 KiB: a header of 64 bytes, then its entries of 64 bytes, in order of their bytes. The file `index/<depth>`
has the page of a prefix of that many bits of the hash at `prefix * 4096`; a page that was never written is a hole.

    page    = crc magic state depth count prefix zeros entries     crc: CRC32C from the magic to the last entry
    entry   = hash timestamp content_type volume position length kind head

All numbers are little endian, except the hash, whose bytes are in the order of its hex digits, so that entries lie in
the order of hashes. A LEAF has the entries of its prefix. One that is full is SPLITTING while its two halves are
written as pages of the next depth; it still has its entries. A SPLIT page has none.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from awscrt.checksums import crc32c

from objstore.core.timestamps import Timestamp
from objstore.store.change import DATA, METADATA, TOMBSTONE, Change
from objstore.store.objects.format import Unsound
from objstore.store.packed.places import Entry, Place

PAGE = 4096
ENTRY = 64
HEADER = 64
CAPACITY = (PAGE - HEADER) // ENTRY
HASH = 16
MIN_DEPTH = 8
MAX_DEPTH = 30  # a file of 4 TiB, of holes for the most part; ext4 has no longer ones than 16 TiB

ABSENT, LEAF, SPLITTING, SPLIT = 0, 1, 2, 3
_STATES = frozenset((LEAF, SPLITTING, SPLIT))
_MAGIC = b"OSix"
_HEADER = struct.Struct("<I4sBBHI")
_ABSENT = bytes(HEADER)
_ZEROS = bytes(PAGE)
_ENTRY = struct.Struct("<16sQQQQIIII")
_PLACE = struct.Struct("<16s32xIIII")  # of an entry
_FIRST = struct.Struct(">I")
_UNSIGNED = struct.Struct("<I")
_FIRST_BITS = struct.Struct(">I60x")

# By the code on disk: the kind, and whether the content type has a timestamp of its own.
_KINDS = {1: (DATA, False), 2: (METADATA, False), 3: (TOMBSTONE, False), 4: (METADATA, True)}
_CODES = {kind: code for code, kind in _KINDS.items()}

Buffer = bytes | bytearray | memoryview


class IndexPage(NamedTuple):
    """A page of the index. entries: their bytes, in order."""

    state: int
    entries: bytes


def number_of(raw: bytes, depth: int) -> int:
    """Return the prefix of a hash, the number of its page at a depth of 1 to 32 bits."""
    return int.from_bytes(raw[:4], "big") >> (32 - depth)


def encode_page(state: int, depth: int, number: int, entries: bytes) -> bytes:
    head = _HEADER.pack(0, _MAGIC, state, depth, len(entries) // ENTRY, number)
    page = b"".join((head, _ZEROS[: HEADER - len(head)], entries, _ZEROS[: PAGE - HEADER - len(entries)]))
    crc = crc32c(memoryview(page)[4 : HEADER + len(entries)])
    return _UNSIGNED.pack(crc) + page[4:]


def check_page(buffer: Buffer, depth: int, number: int) -> tuple[int, int]:
    """Return the state of the page in a buffer of 4 KiB, and where its entries end; ABSENT if it was never written.

    Entries lie in order, so that the first and the last show whether all have the prefix of the page. Raises Unsound.
    """
    crc, magic, state, page_depth, count, prefix = _HEADER.unpack_from(buffer)
    if magic != _MAGIC:
        if buffer[:HEADER] == _ABSENT:
            return ABSENT, HEADER
        raise Unsound(f"not a page of the index: {number} of depth {depth}")
    end = HEADER + count * ENTRY
    if end > PAGE or crc32c(memoryview(buffer)[4:end]) != crc:
        raise Unsound(f"checksum of page {number} of depth {depth}")
    if page_depth != depth or prefix != number or state not in _STATES or (state == SPLIT and count):
        raise Unsound(f"page {prefix} of depth {page_depth}, state {state} instead of {number} of depth {depth}")
    if count:
        (first,), (last,) = _FIRST.unpack_from(buffer, HEADER), _FIRST.unpack_from(buffer, end - ENTRY)
        if first >> (32 - depth) != number or last >> (32 - depth) != number:
            raise Unsound(f"entries of another prefix in page {number} of depth {depth}")
    return state, end


def decode_page(buffer: Buffer, depth: int, number: int) -> IndexPage | None:
    """Return the page in a buffer of 4 KiB; None if it was never written. Raises Unsound."""
    state, end = check_page(buffer, depth, number)
    return None if state == ABSENT else IndexPage(state, bytes(buffer[HEADER:end]))


def encode_entry(raw: bytes, entry: Entry) -> bytes:
    """raw: the 16 bytes of the hash. Raises ValueError for numbers that do not fit."""
    (timestamp, kind, typed), (volume, position, length, head) = entry
    try:
        code = _CODES[kind, typed is not None]
        first, second = typed or (0, 0)
        return _ENTRY.pack(raw, *timestamp, first, second, volume, position, length, code | head << 8)
    except (struct.error, KeyError) as error:
        raise ValueError(f"no room in the index for {entry}: {error}") from error


def decode_entry(entries: bytes | bytearray, offset: int = 0) -> Entry:
    """Raises Unsound for a kind of change of another format."""
    _, raw, ties, typed_raw, typed_ties, volume, position, length, code = _ENTRY.unpack_from(entries, offset)
    kind = _KINDS.get(code & 0xFF)
    if kind is None:
        raise Unsound(f"kind {code & 0xFF} of an entry of the index")
    typed = Timestamp(typed_raw, typed_ties) if kind[1] else None
    return Entry(Change(Timestamp(raw, ties), kind[0], typed), Place(volume, position, length, code >> 8))


def places_in(entries: bytes) -> Iterator[tuple[bytes, int, int, int, int]]:
    """Iterate over hash, volume, position, length and last field of entries."""
    return _PLACE.iter_unpack(entries)


def locate(buffer: bytes | bytearray, start: int, end: int, raw: bytes) -> int:
    """Return the offset of the first entry of a hash between two offsets of entries; -1 if there is none.

    It looks through the last bytes of the hashes, which is faster than a search for all 16.
    """
    column = buffer[start + HASH - 1 : end : ENTRY]
    at = column.find(raw[-1])
    while at >= 0:
        offset = start + at * ENTRY
        if buffer[offset : offset + HASH] == raw:
            return offset
        at = column.find(raw[-1], at + 1)
    return -1


def extent(entries: bytes, raw: bytes) -> tuple[int, int]:
    """Return from where to where the entries of a hash lie; both are where they would, if there are none."""
    start = locate(entries, 0, len(entries), raw)
    if start < 0:
        start = lower_bound(entries, raw)
        return start, start
    end = start + ENTRY
    while entries.startswith(raw, end):
        end += ENTRY
    return start, end


def lower_bound(entries: bytes, start: bytes) -> int:
    """Return the offset of the first entry that is not less than these bytes."""
    if not entries or entries[-ENTRY:] < start:
        return len(entries)
    return ENTRY * bisect_left(range(len(entries) // ENTRY), start, key=lambda i: entries[i * ENTRY : (i + 1) * ENTRY])


def halves(entries: bytes, depth: int, number: int) -> tuple[bytes, bytes]:
    """Return the entries of the two pages of the next depth into which a page is split."""
    middle = lower_bound(entries, first_bytes(2 * number + 1, depth + 1))
    return entries[:middle], entries[middle:]


def first_bytes(prefix: int, bits: int) -> bytes:
    """Return the first 4 bytes of the least hash with a prefix, of 1 to 32 bits."""
    return (prefix << (32 - bits)).to_bytes(4, "big")


def clip(entries: bytes, low: int, high: int) -> bytes:
    """Return the entries whose first 32 bits are from low up to, not including, high."""
    start = lower_bound(entries, low.to_bytes(4, "big")) if low else 0
    end = lower_bound(entries, high.to_bytes(4, "big")) if high >> 32 == 0 else len(entries)
    return entries[start:end]


def prefixes_in(entries: bytes, bits: int) -> list[int]:
    """Return in order the different prefixes, of 1 to 32 bits, of entries."""
    shift = 32 - bits
    return sorted({first >> shift for (first,) in _FIRST_BITS.iter_unpack(entries)})


def split_entries(entries: bytes) -> list[bytes]:
    return [entries[start : start + ENTRY] for start in range(0, len(entries), ENTRY)]


Merge = Callable[[list[Entry]], list[Entry]]


def merged(entries: Iterable[bytes], merge: Merge | None) -> list[bytes]:
    """Return entries in order, each once; those of a name that has several become what `merge` returns."""
    every = sorted(set(entries))
    if merge is None:
        return every
    return [each for name in _by_name(every) for each in (name if len(name) == 1 else _merged_name(name, merge))]


def _by_name(entries: list[bytes]) -> Iterator[list[bytes]]:
    start = 0
    for end in range(1, len(entries) + 1):
        if end == len(entries) or entries[end][:HASH] != entries[start][:HASH]:
            yield entries[start:end]
            start = end


def _merged_name(entries: list[bytes], merge: Merge) -> list[bytes]:
    raw = entries[0][:HASH]
    return sorted(encode_entry(raw, entry) for entry in merge([decode_entry(each) for each in entries]))
