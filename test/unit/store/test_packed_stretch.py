"""A stretch of a volume is checked in memory: what is damaged is named, or the gap in which it may be."""

from __future__ import annotations

import hashlib
from collections.abc import Set

import pytest
from awscrt.checksums import crc32c

from objstore.core.timestamps import Timestamp
from objstore.store.change import DATA, METADATA, TOMBSTONE, Change
from objstore.store.objects.format import encode_record
from objstore.store.packed.format import HEADER_SIZE, Outgoing, encode_head, padded
from objstore.store.packed.stretch import StretchCheck, check_stretch

TAG = b"tag of 8"
START = 8192


def record(number: int, content: bytes = b"", kind: str = DATA, etag: str = "") -> bytes:
    content = content or b"content %d" % number * 50
    etag = etag or hashlib.md5(content).hexdigest()
    fields = {"name": f"/a/c/{number}", "etag": etag, "size": len(content), "headers": {}}
    change = Change(Timestamp(number + 1), kind)
    outgoing = Outgoing(f"{number:032x}", change, encode_record(fields), (content,), crc32c(content))
    whole = encode_head(TAG, outgoing) + content
    return whole + bytes(padded(len(whole)) - len(whole))


def check(data: bytes, is_last: bool = True, dead: Set[int] = frozenset(), hashed: bool = True) -> StretchCheck:
    return check_stretch(TAG, bytearray(data), START, is_last, dead, hashed)


def flipped(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes((data[offset] ^ 1,)) + data[offset + 1 :]


RECORDS = [record(number) for number in range(5)]
WHOLE = b"".join(RECORDS)
OFFSETS = [sum(map(len, RECORDS[:number])) for number in range(6)]


def test_sound_records_are_counted() -> None:
    size = sum(len(b"content %d" % number * 50) for number in range(5))
    assert check(WHOLE) == StretchCheck(len(WHOLE), 0, 5, size, [], [])


@pytest.mark.parametrize("offset", [HEADER_SIZE + 3, HEADER_SIZE + 200])
def test_a_flipped_bit_of_metadata_or_content_names_its_record(offset: int) -> None:
    found = check(flipped(WHOLE, OFFSETS[2] + offset))
    assert (found.objects, found.bad, found.gaps) == (4, [f"{2:032x}"], [])


@pytest.mark.parametrize("offset", [0, 9, 40, HEADER_SIZE - 1])
def test_a_damaged_header_makes_a_gap_up_to_the_next_record(offset: int) -> None:
    found = check(flipped(WHOLE, OFFSETS[2] + offset))
    assert (found.objects, found.bad) == (4, [])
    assert found.gaps == [(START + OFFSETS[2], START + OFFSETS[3])]


def test_a_dead_record_may_be_damaged() -> None:
    found = check(flipped(WHOLE, OFFSETS[2] + HEADER_SIZE + 200), dead={START + OFFSETS[2]})
    assert (found.objects, found.bad) == (4, [])


def test_content_of_another_etag_is_found_where_it_is_asked_for() -> None:
    wrong = record(7, etag="0" * 32)
    assert check(wrong).bad == [f"{7:032x}"]
    assert check(wrong, hashed=False).bad == []


def test_an_etag_that_user_metadata_repeat_is_not_that_of_the_record() -> None:
    content = b"content"
    fields = {
        "name": "/a/c/o",
        "etag": "0" * 32,
        "size": 7,
        "headers": {"X-Object-Meta-A": f'"etag":"{hashlib.md5(content).hexdigest()}","size":7,'},
    }
    outgoing = Outgoing("a" * 32, Change(Timestamp(1), DATA), encode_record(fields), (content,), crc32c(content))
    assert check(encode_head(TAG, outgoing) + content).bad == ["a" * 32]


def test_tombstones_count_and_metadata_do_not() -> None:
    found = check(record(1, b"x", TOMBSTONE) + record(2, b"x", METADATA))
    assert found.objects == 1


@pytest.mark.parametrize("cut", [1, HEADER_SIZE - 1, HEADER_SIZE + 1, len(RECORDS[2]) - 9])
def test_a_stretch_ends_before_a_record_that_is_not_whole(cut: int) -> None:
    found = check(WHOLE[: OFFSETS[2] + cut], is_last=False)
    assert (found.length, found.objects, found.bad, found.gaps) == (OFFSETS[2], 2, [], [])


def test_the_first_record_says_how_much_must_be_read() -> None:
    found = check(WHOLE[: len(RECORDS[0]) - 20], is_last=False)
    assert found.length == 0
    assert padded(found.required) == len(RECORDS[0])


def test_a_record_that_a_short_volume_cuts_is_bad() -> None:
    found = check(WHOLE[: OFFSETS[2] + HEADER_SIZE + 10])
    assert (found.objects, found.bad) == (2, [f"{2:032x}"])
    found = check(WHOLE[: OFFSETS[2] + HEADER_SIZE - 10])
    assert (found.objects, found.gaps) == (2, [(START + OFFSETS[2], START + OFFSETS[2] + HEADER_SIZE - 10)])


def test_zeros_behind_the_records_are_a_gap_up_to_the_end() -> None:
    found = check(WHOLE + bytes(3000))
    assert found.gaps == [(START + len(WHOLE), START + len(WHOLE) + 3000)]


@pytest.mark.parametrize("split", range(8, 600, 56))
def test_a_gap_across_stretches_hides_no_record_behind_it(split: int) -> None:
    data = bytes(400) + b"garbage!" * 12 + WHOLE
    first = check(data[:split], is_last=False)
    second = check_stretch(TAG, bytearray(data[first.length :]), START + first.length, True, set(), True)
    assert first.objects + second.objects == 5
    assert [*first.gaps, *second.gaps][-1][1] == START + 400 + 96


def test_content_that_looks_like_a_record_of_another_volume_is_no_record() -> None:
    other = record(9).replace(TAG, b"another!")
    found = check(flipped(record(1, other), 0) + record(2))
    assert (found.objects, len(found.gaps)) == (1, 1)
