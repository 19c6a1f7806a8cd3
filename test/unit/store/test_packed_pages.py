"""Pages of the index as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.timestamps import Timestamp
from objstore.store.change import DATA, METADATA, TOMBSTONE, Change
from objstore.store.objects.format import Unsound
from objstore.store.packed import pages
from objstore.store.packed.places import Entry, Place

HASHES = st.binary(min_size=16, max_size=16)
STAMPS = st.builds(Timestamp, st.integers(0, 10**15 - 1), st.integers(0, 2**64 - 1))
CHANGES = st.one_of(
    st.builds(Change, STAMPS, st.sampled_from([DATA, METADATA, TOMBSTONE]), st.none()),
    st.builds(Change, STAMPS, st.just(METADATA), STAMPS),
)
UNSIGNED = st.integers(0, 2**32 - 1)
PLACES = st.builds(Place, UNSIGNED, UNSIGNED, UNSIGNED, st.integers(0, 2**24 - 1))
ENTRIES = st.builds(Entry, CHANGES, PLACES)


def a_page(number: int = 0x5A, depth: int = 8, count: int = 3) -> bytearray:
    entry = Entry(Change(Timestamp(1), DATA), Place(1, 2, 3, 4))
    entries = (pages.encode_entry(bytes((number, each)) + bytes(14), entry) for each in range(count))
    return bytearray(pages.encode_page(pages.LEAF, depth, number, b"".join(entries)))


@given(HASHES, ENTRIES)
def test_an_entry_is_read_as_it_was_written(raw: bytes, entry: Entry) -> None:
    encoded = pages.encode_entry(raw, entry)
    assert len(encoded) == pages.ENTRY
    assert encoded[:16] == raw
    assert pages.decode_entry(encoded) == entry


@pytest.mark.parametrize("place", [Place(1 << 32, 0, 0, 0), Place(0, 1 << 32, 0, 0), Place(0, 0, 0, 1 << 24)])
def test_a_place_that_does_not_fit_is_refused(place: Place) -> None:
    with pytest.raises(ValueError, match="no room in the index"):
        pages.encode_entry(bytes(16), Entry(Change(Timestamp(1), DATA), place))


@given(st.integers(0, 3 * 64 + 63), st.integers(0, 7))
def test_a_page_with_a_wrong_bit_in_its_used_part_is_unsound(offset: int, bit: int) -> None:
    page = a_page()
    page[offset] ^= 1 << bit
    with pytest.raises(Unsound):
        pages.decode_page(page, 8, 0x5A)


def test_a_page_that_was_never_written_is_absent() -> None:
    assert pages.decode_page(bytes(pages.PAGE), 8, 3) is None


@pytest.mark.parametrize(("depth", "number"), [(8, 0x5B), (9, 0x5A), (7, 0x2D)])
def test_a_page_in_the_place_of_another_is_unsound(depth: int, number: int) -> None:
    with pytest.raises(Unsound):
        pages.decode_page(a_page(), depth, number)


@pytest.mark.parametrize("number", [1, 2])
def test_an_entry_of_another_prefix_is_unsound(number: int) -> None:
    entry = pages.encode_entry(bytes(16), Entry(Change(Timestamp(1), DATA), Place(1, 2, 3, 4)))
    with pytest.raises(Unsound, match="another prefix"):
        pages.decode_page(pages.encode_page(pages.LEAF, 8, number, entry), 8, number)


@given(st.lists(st.tuples(HASHES, ENTRIES), max_size=60), HASHES)
def test_entries_of_a_hash_are_found_among_others(items: list[tuple[bytes, Entry]], other: bytes) -> None:
    encoded = sorted(pages.encode_entry(raw, entry) for raw, entry in items)
    entries = b"".join(encoded)
    for raw in {other, *(raw for raw, _ in items)}:
        start, end = pages.extent(entries, raw)
        mine = [each for each in encoded if each[:16] == raw]
        assert pages.split_entries(entries[start:end]) == mine
        assert start == sum(len(each) for each in encoded if each[:16] < raw)


@given(st.lists(st.tuples(HASHES, ENTRIES), max_size=60), st.integers(8, 29))
def test_a_page_is_split_by_the_next_bit(items: list[tuple[bytes, Entry]], depth: int) -> None:
    number = 5
    within = (bytes((raw[0] & ((1 << 32 - depth) - 1 & 0xFF),)) for raw, _ in items)
    raws = [
        (number << (128 - depth) | int.from_bytes(bit + raw[1:]) & ((1 << 128 - depth) - 1)).to_bytes(16)
        for bit, (raw, _) in zip(within, items, strict=True)
    ]
    encoded = sorted(pages.encode_entry(raw, entry) for raw, (_, entry) in zip(raws, items, strict=True))
    for child, part in enumerate(pages.halves(b"".join(encoded), depth, number), 2 * number):
        mine = [each for each in encoded if pages.number_of(each, depth + 1) == child]
        assert pages.split_entries(part) == mine


@given(st.lists(st.tuples(HASHES, ENTRIES), max_size=30), st.integers(1, 32))
def test_prefixes_are_those_of_the_entries(items: list[tuple[bytes, Entry]], bits: int) -> None:
    entries = b"".join(sorted(pages.encode_entry(raw, entry) for raw, entry in items))
    assert pages.prefixes_in(entries, bits) == sorted({pages.number_of(raw, bits) for raw, _ in items})


def test_merged_entries_are_each_there_once_and_names_with_several_are_decided() -> None:
    one, two = bytes(16), bytes(15) + b"\1"
    entries = [Entry(Change(Timestamp(each), DATA), Place(1, 2, 3, 4)) for each in range(3)]
    encoded = [pages.encode_entry(two, entries[2]), *(pages.encode_entry(one, each) for each in (*entries, entries[0]))]
    assert pages.merged(encoded, None) == sorted(set(encoded))
    newest = pages.merged(encoded, lambda found: [max(found)])
    assert newest == [pages.encode_entry(one, entries[2]), pages.encode_entry(two, entries[2])]
