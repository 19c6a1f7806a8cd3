from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.errors import BodyTruncated, InvalidInput
from objstore.http.chunked import ChunkedDecoder, chunk_head, end_of_chunks


def decode(data: bytes, cuts: list[int] | None = None) -> tuple[bytes, bool, bytes, dict[str, str]]:
    decoder = ChunkedDecoder()
    body = b""
    places = sorted({cut % (len(data) + 1) for cut in cuts or []} | {0, len(data)})
    for start, end in pairwise(places):
        body += b"".join(decoder.feed(data[start:end]))
    return body, decoder.done, decoder.rest, decoder.trailers


def test_body_trailers_and_what_follows() -> None:
    data = b"5\r\nhello\r\nA; x=y\r\n0123456789\r\n0\r\nx-sum: abc \r\nB: \r\n\r\nGET /"
    assert decode(data) == (b"hello0123456789", True, b"GET /", {"X-Sum": "abc", "B": ""})


MALFORMED = {
    "no size": b"\r\nhello\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "underscore": b"1_0\r\nhello\r\n0\r\n\r\n",
    "leading space": b" 5\r\nhello\r\n0\r\n\r\n",
    "not a digit": b"g\r\nhello\r\n0\r\n\r\n",
    "too many digits": b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    "bare LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "bare CR in the size line": b"5\rx\r\nhello\r\n0\r\n\r\n",
    "bare LF after the data": b"5\r\nhello\n0\r\n\r\n",
    "data longer than its size": b"5\r\nhello!\r\n0\r\n\r\n",
    "control byte in an extension": b"5;\x01\r\nhello\r\n0\r\n\r\n",
    "long extension": b"5;" + b"x" * 300 + b"\r\nhello\r\n0\r\n\r\n",
    "endless size line": b"5" * 400,
    "folded trailer": b"0\r\nA: b\r\n c\r\n\r\n",
    "trailer without a colon": b"0\r\nA\r\n\r\n",
    "bare LF in the trailers": b"0\r\nA: b\nC: d\r\n\r\n",
    "repeated trailer": b"0\r\nA: b\r\na: b\r\n\r\n",
    "too many trailers": b"0\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(100)) + b"\r\n",
    "too long trailers": b"0\r\nA: " + b"b" * 20000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_broken_coding_is_refused(data: bytes) -> None:
    with pytest.raises(BodyTruncated):
        decode(data)


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_broken_coding_is_refused_byte_by_byte(data: bytes) -> None:
    with pytest.raises(BodyTruncated):
        decode(data, list(range(len(data))))


def test_trailers_cannot_change_framing() -> None:
    assert decode(b"0\r\nContent-Length: 5\r\nHost: x\r\nGood: 1\r\n\r\n")[3] == {"Good": "1"}


def test_trailers_that_cannot_be_sent() -> None:
    for name, value in (("A b", "x"), ("A", "x\r\nB: y"), ("A", "\0"), ("A", "€")):
        with pytest.raises(InvalidInput):
            end_of_chunks({name: value})


def test_bounded_number_of_chunks_is_decoded_at_a_time() -> None:
    data = b"1\r\na\r\n" * 10 + b"0\r\n\r\nrest"
    decoder = ChunkedDecoder()
    sizes = []
    start = 0
    while start < len(data):
        sizes.append(len(decoder.feed(data, start, 4)))
        start = decoder.at
    assert sizes == [4, 4, 2]
    assert decoder.done and decoder.rest == b"rest"


def test_incomplete_body_is_not_done() -> None:
    whole = b"5\r\nhello\r\n0\r\n\r\n"
    for end in range(len(whole)):
        assert not decode(whole[:end])[1]


_TRAILERS = st.dictionaries(
    st.from_regex(r"X-[A-Z][a-z]{0,8}", fullmatch=True), st.from_regex(r"[!-~]{0,20}", fullmatch=True), max_size=4
)


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=8), _TRAILERS, st.binary(max_size=9), st.lists(st.integers(0))
)
def test_any_split_gives_the_same(chunks: list[bytes], trailers: dict[str, str], rest: bytes, cuts: list[int]) -> None:
    coded = b"".join(chunk_head(len(chunk)) + chunk + b"\r\n" for chunk in chunks) + end_of_chunks(trailers) + rest
    assert decode(coded, cuts) == (b"".join(chunks), True, rest, trailers)


def outcome(data: bytes, cuts: list[int]) -> object:
    try:
        return decode(data, cuts)
    except BodyTruncated:
        return "broken"


@given(
    st.lists(
        st.sampled_from([b"5", b"\r\n", b"0", b"\r", b"\n", b";a", b"hello", b"A: b", b" ", b"\0", b"a"]), max_size=14
    ),
    st.lists(st.integers(0), max_size=8),
)
def test_garbage_means_the_same_however_it_is_split(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"".join(pieces)
    assert outcome(data, cuts) == outcome(data, [])
