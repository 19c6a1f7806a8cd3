"""Bytes of volumes: what is written is read back, and nothing else is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from awscrt.checksums import crc32c

from objstore.core.timestamps import Timestamp
from objstore.store.change import DATA, METADATA, TOMBSTONE, Change
from objstore.store.objects.format import Unsound, encode_record
from objstore.store.packed.format import (
    FIELDS_SIZE,
    HEADER_SIZE,
    MARK_SIZE,
    MAX_METADATA,
    NOTE_OFFSET,
    VOLUME_HEADER_SIZE,
    Outgoing,
    decode_header,
    decode_marks,
    decode_volume_header,
    encode_closed,
    encode_head,
    encode_mark,
    encode_note,
    encode_volume_header,
    verify_head,
    verify_record,
)

TAG = b"\x01tag\xff\0\x7f8"
NAME = "00112233445566778899aabbccddeeff"
METADATA_LINE = encode_record({"name": "/a/c/o"})
AT = Timestamp(170000000012345, 3)
CHANGES = [
    Change(AT, DATA),
    Change(AT, METADATA),
    Change(AT, METADATA, Timestamp(160000000000000, (1 << 64) - 1)),
    Change(AT, METADATA, Timestamp(0)),
    Change(AT, TOMBSTONE),
]


def record(change: Change = CHANGES[0], content: bytes = b"content", name: str = NAME) -> bytes:
    return encode_head(TAG, Outgoing(name, change, METADATA_LINE, (content,), crc32c(content))) + content


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_record_of_each_kind_is_read_as_it_was_written(change: Change) -> None:
    data = record(change)
    header = decode_header(TAG, data)
    assert (header.name_hash, header.change) == (NAME, change)
    assert (header.metadata_length, header.content_length, header.length) == (len(METADATA_LINE), 7, len(data))
    found = verify_record(TAG, data, NAME, change)
    assert (found.metadata, bytes(found.content)) == (METADATA_LINE, b"content")
    assert verify_head(TAG, data[: header.head], NAME, change) == METADATA_LINE


def test_content_in_pieces_is_one_content() -> None:
    pieces = (b"con", memoryview(b"te"), bytearray(b"nt"))
    assert encode_head(TAG, Outgoing(NAME, CHANGES[0], METADATA_LINE, pieces, crc32c(b"content"))) == record()[:-7]


def test_a_copy_says_so() -> None:
    head = encode_head(TAG, Outgoing(NAME, CHANGES[0], METADATA_LINE, (), 0, is_copy=True))
    assert decode_header(TAG, head).is_copy
    assert not decode_header(TAG, record()).is_copy
    assert verify_record(TAG, head, NAME, CHANGES[0]).content == b""


def test_any_flipped_bit_of_a_record_is_noticed() -> None:
    data = record()
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Unsound):
            verify_record(TAG, damaged, NAME, CHANGES[0])


def test_a_record_cut_short_anywhere_or_with_a_byte_more_is_unsound() -> None:
    data = record()
    for length in range(len(data)):
        with pytest.raises(Unsound):
            verify_record(TAG, data[:length], NAME, CHANGES[0])
    for length in range(HEADER_SIZE + len(METADATA_LINE)):
        with pytest.raises(Unsound):
            verify_head(TAG, data[:length], NAME, CHANGES[0])
    with pytest.raises(Unsound):
        verify_record(TAG, data + b"\0", NAME, CHANGES[0])


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_record_of_another_change_or_name_is_refused(change: Change) -> None:
    data = record(change)
    for other in CHANGES:
        if other != change:
            with pytest.raises(Unsound, match="another name or change"):
                verify_record(TAG, data, NAME, other)
    with pytest.raises(Unsound, match="another name or change"):
        verify_record(TAG, data, NAME[::-1], change)


def test_a_record_of_another_volume_is_refused() -> None:
    with pytest.raises(Unsound, match="no record of this volume"):
        verify_record(b"another!", record(), NAME, CHANGES[0])


def test_more_metadata_than_the_index_has_room_for_are_refused() -> None:
    with pytest.raises(ValueError, match="limit"):
        encode_head(TAG, Outgoing(NAME, CHANGES[0], bytes(MAX_METADATA + 1), (), 0))


def test_a_volume_header_is_read_as_it_was_written() -> None:
    header = encode_volume_header(TAG)
    assert len(header) == VOLUME_HEADER_SIZE
    assert decode_volume_header(header) == (TAG, VOLUME_HEADER_SIZE, False)


def test_note_and_closing_are_read_and_a_damaged_note_counts_as_none() -> None:
    header = bytearray(encode_volume_header(TAG))
    header[NOTE_OFFSET : NOTE_OFFSET + 8] = encode_note(TAG, 123456)
    assert decode_volume_header(header).noted == 123456
    header[NOTE_OFFSET + 8 : NOTE_OFFSET + 12] = encode_closed()
    assert decode_volume_header(header).closed
    header[NOTE_OFFSET] ^= 1
    assert decode_volume_header(header) == (TAG, VOLUME_HEADER_SIZE, True)


def test_a_flipped_bit_in_a_volume_header_is_noticed() -> None:
    for bit in range(8 * (NOTE_OFFSET - 4)):
        header = bytearray(encode_volume_header(TAG))
        header[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Unsound):
            decode_volume_header(header)
    with pytest.raises(Unsound):
        decode_volume_header(encode_volume_header(TAG)[: FIELDS_SIZE - 1])


def test_marks_are_read_as_they_were_written() -> None:
    marks = [(8192, 100), (8296, 4000), (1 << 31, 1)]
    assert decode_marks(TAG, b"".join(encode_mark(TAG, *each) for each in marks)) == marks


def test_a_mark_cut_short_or_damaged_does_not_hide_those_behind_it() -> None:
    first, second, third = (encode_mark(TAG, 8192 + each, 100) for each in (0, 104, 208))
    for cut in range(MARK_SIZE):
        assert decode_marks(TAG, first + second[:cut] + third) == [(8192, 100), (8400, 100)]
    assert decode_marks(TAG, first + bytes(MARK_SIZE) + third) == [(8192, 100), (8400, 100)]


def test_marks_of_another_volume_mark_nothing() -> None:
    assert decode_marks(b"another!", encode_mark(TAG, 8192, 100)) == []


def test_headers_have_the_sizes_that_the_documentation_gives() -> None:
    assert (HEADER_SIZE, MARK_SIZE, FIELDS_SIZE) == (80, 12, 36)


def test_the_example_of_the_documentation_is_what_is_written() -> None:
    page = (Path(__file__).parents[3] / "doc" / "format_volume.md").read_text()
    dumps = [""]
    for line in page.splitlines():
        if match := re.match(r"    ([0-9a-f]{8}): ((?:[0-9a-f]{2,4} )+) ", line):
            dumps[-1] += match[2]
        elif dumps[-1]:
            dumps.append("")
    header, data, mark = (bytes.fromhex(dump) for dump in dumps[:3])
    tag = decode_volume_header(header).tag
    assert header == encode_volume_header(tag)[:FIELDS_SIZE]
    name, change, _, length, *_ = decode_header(tag, data)
    found = verify_record(tag, data[:282], name, change)
    assert (change, length, bytes(found.content)) == (Change(Timestamp.parse("1700000000.12345"), DATA), 5, b"hello")
    assert (
        data[:-6] == encode_head(tag, Outgoing(name, change, found.metadata, (b"hello",), crc32c(b"hello"))) + b"hello"
    )
    assert mark == encode_mark(tag, VOLUME_HEADER_SIZE, 282)
