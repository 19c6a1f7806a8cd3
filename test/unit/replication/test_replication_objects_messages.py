"""What replicators of objects say to each other, as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.errors import BodyTruncated, InvalidInput
from objstore.core.timestamps import Timestamp
from objstore.replication.objects_messages import (
    Frame,
    FrameReader,
    Receipt,
    decode_changes,
    decode_hashes,
    decode_numbers,
    decode_partitions,
    device_identity,
    encode_changes,
    encode_hashes,
    encode_head,
    encode_numbers,
    encode_partitions,
)
from objstore.store.change import DATA, METADATA, TOMBSTONE, Change

HASH = "0123456789abcdef" * 2
stamps = st.builds(Timestamp, st.integers(0, 10**14), st.integers(0, 2**64 - 1))
names = st.one_of(
    st.tuples(stamps, st.sampled_from([DATA, METADATA, TOMBSTONE])).map(lambda parts: Change(*parts)),
    st.tuples(stamps, st.just(METADATA), stamps).map(lambda parts: Change(*parts)),
)
hashes = st.integers(0, 2**128 - 1).map(lambda number: f"{number:032x}")
frames = st.tuples(hashes, names, st.binary(max_size=300))


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[first : first + size] for first in range(0, len(body), size)]


@given(st.lists(frames, max_size=6), st.integers(1, 500))
def test_frames_come_out_as_they_went_in_wherever_the_body_is_cut(
    sent: list[tuple[str, Change, bytes]], size: int
) -> None:
    body = b"".join(encode_head(Frame(one, name, len(content))) + content for one, name, content in sent)
    reader = FrameReader(cut(body, size))
    found = []
    while (frame := reader.head()) is not None:
        found.append((frame.hash, frame.change, reader.content(frame.length)))
    assert found == sent


@given(st.dictionaries(st.integers(0, 2**32 - 1), hashes))
def test_partitions_come_out_as_they_went_in(sent: dict[int, str]) -> None:
    assert decode_partitions(encode_partitions(sent)) == sent
    assert decode_numbers(encode_numbers(list(sent))) == sent.keys()


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'["3"]', b"[[3]]", b"[" * 100_000])
def test_an_answer_that_is_no_list_of_partitions_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode_numbers(body)


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_body_that_ends_early_is_found_out(content: bytes, data: st.DataObject) -> None:
    frame = Frame(HASH, Change(Timestamp(5), DATA), len(content))
    body = encode_head(frame) + content
    reader = FrameReader([body[: data.draw(st.integers(1, len(body) - 1))]])
    with pytest.raises(BodyTruncated):
        assert reader.head() == frame
        reader.content(frame.length)


@pytest.mark.parametrize(
    "head",
    [
        b"x" * 42 + b"y" * 300,
        HASH.encode() + b"\x00\x03" + bytes(8) + b"abc",
        HASH.upper().encode() + b"\x00\x13" + bytes(8) + b"0000000001.00000.ts",
        HASH.encode() + b"\xff\xff" + bytes(8) + b"0" * 70_000,
        b"\xff" * 42 + b"0" * 70_000,
    ],
)
def test_what_is_no_frame_is_refused(head: bytes) -> None:
    with pytest.raises(InvalidInput):
        FrameReader([head]).head()


@given(st.dictionaries(hashes, st.lists(names, min_size=1, max_size=3).map(tuple), max_size=5))
def test_changes_are_read_as_they_were_written(changes: dict[str, tuple[Change, ...]]) -> None:
    assert decode_changes(encode_changes(changes)) == changes


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"5",
        b"{",
        b'{"../../x": ["0000000001.00000.ts"]}',
        b'{"%s": ["../x"]}' % HASH.encode(),
        b'{"%s": 5}' % HASH.encode(),
        b'{"%s": [5]}' % HASH.encode(),
        b"\xff",
    ],
)
def test_what_is_no_list_of_changes_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode_changes(body)


@pytest.mark.parametrize("body", [b"", b"5", b"null", b'{"abc": 5}', b"\xff"])
def test_what_is_no_hashes_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode_hashes(body)


def test_hashes_and_receipts_are_read_as_they_were_written() -> None:
    assert decode_hashes(encode_hashes({"abc": "x", "000": "y"})) == {"abc": "x", "000": "y"}
    receipt = Receipt(3, {1: "full"})
    assert Receipt.decode(receipt.encode()) == receipt


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"frames": 1}', b'{"frames": 1, "refused": {"x": "full"}}'])
def test_what_is_no_receipt_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        Receipt.decode(body)


def test_two_paths_of_a_device_are_one_device(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "d1").mkdir()
    (tmp_path / "d2").mkdir()
    (tmp_path / "other").symlink_to(tmp_path / "d1")
    one, two, other = (device_identity("boot", str(tmp_path / name)) for name in ("d1", "d2", "other"))
    assert one == other
    assert one != two
    assert device_identity("another", str(tmp_path / "d1")) != one
