"""Bodies in pieces: their length is held against what comes."""

from __future__ import annotations

import pytest

from objstore.core.errors import BodyTruncated, LimitExceeded
from objstore.layers.bodies import PIECE, BytesBody, pieces, whole


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
