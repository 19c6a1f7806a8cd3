"""Lists of segments, and which bytes of which of them make up a span."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.errors import InvalidInput
from objstore.web import segments
from objstore.web.segments import Segment, Whole


def test_a_list_is_read_as_it_was_written():
    rows = [{"name": "/c/\x00 é", "hash": "e1", "bytes": 5}, {"name": "/c/b", "hash": "e2", "bytes": 9, "range": "2-4"}]
    assert segments.parse(segments.dump(rows)) == [
        Segment("/c/\x00 é", "e1", 5, 0, 5),
        Segment("/c/b", "e2", 9, 2, 5),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}x", b"1", b'{"a": 1}', b"[1]", b"[{}]", b'[{"name": "/a", "hash": "h", "bytes": "x"}]',
        b'[{"name": "/a", "hash": "h", "bytes": 3, "range": "2-3"}]',
        b'[{"name": "/a", "hash": "h", "bytes": -1}]', b'[{"name": "/a", "hash": "h", "bytes": 3, "range": 7}]',
    ],
)  # fmt: skip
def test_what_is_no_list_is_refused(content):
    with pytest.raises(InvalidInput):
        segments.parse(content)


def test_ten_thousand_segments_fit():
    rows = [{"name": "/c/" + "n" * 1024, "hash": "0" * 32, "bytes": 5, "checksum": "x" * 60}] * 10_000
    assert len(segments.dump(rows)) < segments.MAX_BYTES and json.loads(segments.dump(rows)) == rows


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7)), max_size=8), st.data())
def test_reads_bring_exactly_the_bytes_of_the_span(shape, data):
    content = bytes(range(200))
    listed, whole, offset = [], b"", 0
    for skipped, length in shape:
        listed.append(Segment(f"/c/{offset}", "e", 12, skipped, skipped + length))
        whole += content[offset + skipped : offset + skipped + length]
        offset += 12
    assert Whole(listed).size == len(whole)
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    reads = list(Whole(listed).reads((start, stop)))
    got = b"".join(content[int(read.path[3:]) + read.start : int(read.path[3:]) + read.stop] for read in reads)
    assert got == whole[start:stop] and all(read.length for read in reads)
