from array import array

import pytest
from awscrt.checksums import crc32c
from hypothesis import given
from hypothesis import strategies as st

from objstore.runtime.blocks import SIZE, new_block
from objstore.store.objects.format import (
    BLOCK,
    FOOTER,
    BlockChecksums,
    Trailer,
    Unsound,
    check_one_block,
    decode_footer,
    decode_record,
    decode_trailer,
    encode_record,
    encode_trailer,
    trailer_size,
)

EXAMPLE_TRAILER = "4cbb719a 4f536f62 01000000 00000100 00000000 05000000 00000000 3a142c2d"
EXAMPLE_RECORD = b'1 4b2ffe9c {"name":"/a/c/o","timestamp":"0000000001.00000"}'


def test_the_worked_examples_of_the_documentation() -> None:
    assert encode_trailer(5, array("I", [crc32c(b"hello")])).hex(" ", -4) == EXAMPLE_TRAILER
    assert encode_record({"name": "/a/c/o", "timestamp": "0000000001.00000"}) == EXAMPLE_RECORD


@given(st.integers(0, 5 * BLOCK), st.binary(max_size=300))
def test_a_trailer_survives_the_round_trip(size: int, record: bytes) -> None:
    checksums = array("I", range(-(-size // BLOCK)))
    trailer = encode_trailer(size, checksums, record)
    assert len(trailer) == trailer_size(size, len(record))
    assert decode_trailer(trailer) == Trailer(size, checksums, record)
    assert decode_footer(trailer[-FOOTER.size :]) == (size, len(record))


@given(st.binary(min_size=1, max_size=40), st.binary(max_size=20), st.data())
def test_a_file_of_one_block_is_sound_only_as_it_was_written(
    content: bytes, record: bytes, data: st.DataObject
) -> None:
    file = bytearray(content + encode_trailer(len(content), array("I", [crc32c(content)]), record))
    check_one_block(memoryview(file), len(content))
    with pytest.raises(Unsound):
        check_one_block(memoryview(file)[:-1], len(content))
    with pytest.raises(Unsound):
        check_one_block(memoryview(file), len(content) + 1)
    bit = data.draw(st.integers(0, 8 * len(file) - 1))
    file[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Unsound):
        check_one_block(memoryview(file), len(content))


@given(st.integers(0, 8 * 70 - 1))
def test_a_flipped_bit_in_a_trailer_is_seen(bit: int) -> None:
    trailer = bytearray(encode_trailer(3 * BLOCK, array("I", [1, 2, 3]), b"x" * 30))
    assert len(trailer) == 70
    trailer[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Unsound):
        decode_trailer(trailer)


@pytest.mark.parametrize("length", [0, 1, 27, 28, 31])
def test_a_truncated_trailer_is_unsound(length: int) -> None:
    with pytest.raises(Unsound):
        decode_trailer(encode_trailer(5, array("I", [1]))[:length])


@given(st.lists(st.integers(0, 2 * BLOCK), max_size=6))
def test_block_checksums_do_not_depend_on_the_pieces(lengths: list[int]) -> None:
    content = bytes(range(251)) * (sum(lengths) // 251 + 1)
    content = content[: sum(lengths)]
    checksums = BlockChecksums()
    start = 0
    for length in lengths:
        checksums.update(content[start : start + length])
        start += length
    expected = [crc32c(content[first : first + BLOCK]) for first in range(0, len(content), BLOCK)]
    assert list(checksums.finish()) == expected


@pytest.mark.parametrize("before", [0, 100, BLOCK])
def test_checksums_of_a_block_of_memory_are_those_of_its_bytes(before: int) -> None:
    content = bytes(range(251)) * (2 * SIZE // 251 + 1)
    checksums = BlockChecksums()
    checksums.update(content[:before])
    for start in range(before, len(content), SIZE):
        piece = content[start : start + SIZE]
        block = new_block()
        block[: len(piece)] = piece
        checksums.update(block if len(piece) == SIZE else block[: len(piece)])
    expected = [crc32c(content[first : first + BLOCK]) for first in range(0, len(content), BLOCK)]
    assert list(checksums.finish()) == expected


def test_replicas_that_get_the_same_block_have_the_same_checksums() -> None:
    block = new_block()
    block[:] = bytes(range(256)) * (SIZE // 256)
    replicas = [BlockChecksums() for _ in range(3)]
    for checksums in replicas:
        checksums.update(block)
    assert len({tuple(checksums.finish()) for checksums in replicas}) == 1
    assert len(replicas[0].finish()) == SIZE // BLOCK


texts = st.text(alphabet=st.characters(), max_size=20)


@given(st.dictionaries(texts, st.one_of(texts, st.integers(), st.dictionaries(texts, texts, max_size=3)), max_size=5))
def test_a_record_survives_the_round_trip(fields: dict[str, object]) -> None:
    record = encode_record(fields)
    assert record.isascii()
    assert decode_record(record) == fields


def test_a_flipped_bit_in_a_record_is_seen() -> None:
    record = encode_record({"name": "/a/c/o", "headers": {"X-Object-Meta-A": "1"}})
    for bit in range(len(record) * 8):
        bad = bytearray(record)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Unsound):
            decode_record(bytes(bad))


@pytest.mark.parametrize("record", [b"", b"1", b"2 00000000 {}", b"1 00000000 ", b"\xff" * 40])
def test_other_bytes_are_no_record(record: bytes) -> None:
    with pytest.raises(Unsound):
        decode_record(record)


def test_a_record_that_is_no_object_is_unsound() -> None:
    with pytest.raises(Unsound):
        decode_record(encode_record([1, 2]))  # type: ignore[arg-type]
