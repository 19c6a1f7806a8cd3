"""Bodies in pieces: their length is held against what comes."""

from __future__ import annotations

import pytest

from objstore.core.errors import BodyTruncated, LimitExceeded
from objstore.layers.bodies import PIECE, BytesBody, blocks, pieces, whole
from objstore.runtime.blocks import SIZE, full_block


class Dribble:
    """A body that comes in pieces of three bytes, or fewer if fewer are asked for."""

    def __init__(self, data: bytes, length: int | None) -> None:
        self.length = length
        self._data = data

    def read_chunk(self, most: int = PIECE, /) -> bytes:
        size = min(most, 3)
        data, self._data = self._data[:size], self._data[size:]
        return data


@pytest.mark.parametrize("length", [None, 8])
def test_a_body_comes_whole(length: int | None) -> None:
    assert list(pieces(Dribble(b"12345678", length), 8)) == [b"123", b"456", b"78"]
    assert whole(Dribble(b"12345678", length), 8) == b"12345678"


def test_bytes_beyond_the_length_are_not_read() -> None:
    assert whole(Dribble(b"12345678", 4), 8) == b"1234"


def test_a_body_that_ends_early_is_refused() -> None:
    with pytest.raises(BodyTruncated):
        whole(Dribble(b"1234", 5), 8)


@pytest.mark.parametrize("length", [None, 8])
def test_a_body_above_the_limit_is_refused(length: int | None) -> None:
    with pytest.raises(LimitExceeded):
        whole(Dribble(b"12345678", length), 7)


def test_bytes_at_hand_are_read_once() -> None:
    body = BytesBody(bytes(PIECE) + b"rest")
    assert body.length == PIECE + 4
    assert [len(piece) for piece in pieces(body, 1 << 30)] == [PIECE, 4]
    assert body.read_chunk() == b""
    assert whole(BytesBody(b""), 0) == b""


class Filling(Dribble):
    """A body that fills a view with up to 300,000 bytes at a time."""

    def readinto(self, view: memoryview) -> int:
        data, self._data = self._data[: min(len(view), 300_000)], self._data[min(len(view), 300_000) :]
        view[: len(data)] = data
        return len(data)


CONTENT = bytes(range(251)) * (2 * SIZE // 251) + b"more"


@pytest.mark.parametrize("length", [None, len(CONTENT)])
@pytest.mark.parametrize("body", [Filling, lambda data, length: BytesBody(data)], ids=["fills", "copied"])
def test_blocks_are_full_but_the_last(body: object, length: int | None) -> None:
    made = body(CONTENT, length)  # type: ignore[operator]
    got = list(blocks(made, 1 << 30))
    assert b"".join(got) == CONTENT
    assert [full_block(block) is not None for block in got] == [True, *[False] * (len(got) - 1)]


@pytest.mark.parametrize("length", [None, SIZE])
def test_a_body_of_exactly_one_block_has_no_empty_one_behind(length: int | None) -> None:
    assert [len(block) for block in blocks(Filling(bytes(SIZE), length), SIZE)] == [SIZE]


def test_an_empty_body_has_no_block() -> None:
    assert list(blocks(Filling(b"", None), 0)) == list(blocks(Filling(b"", 0), 0)) == []


def test_a_body_shorter_than_a_block_takes_none() -> None:
    got = list(blocks(BytesBody(b"12345678"), 8))
    assert got == [b"12345678"]
    assert type(got[0]) is bytes


def test_blocks_end_at_the_length() -> None:
    assert b"".join(blocks(Filling(b"12345678", 4), 8)) == b"1234"


def test_blocks_of_a_body_that_ends_early_are_refused() -> None:
    with pytest.raises(BodyTruncated, match="ended 1 bytes before"):
        list(blocks(Filling(b"1234", 5), 8))


@pytest.mark.parametrize("length", [None, 8])
def test_blocks_of_a_body_above_the_limit_are_refused(length: int | None) -> None:
    with pytest.raises(LimitExceeded):
        list(blocks(Filling(b"12345678", length), 7))


def test_a_block_of_a_slow_sender_is_handed_on_before_it_is_full() -> None:
    assert list(blocks(Dribble(b"12345678", 8), 8, fill_seconds=0.0)) == [b"123", b"456", b"78"]
