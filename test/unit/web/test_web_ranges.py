import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.web import ranges
from objstore.web.ranges import ByteRange, Multipart


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-9", (ByteRange(0, 9),)),
        ("Bytes=5-", (ByteRange(5, None),)),
        ("bytes=-7", (ByteRange(None, 7),)),
        ("bytes=0-0, 5-6 ,\t-2", (ByteRange(0, 0), ByteRange(5, 6), ByteRange(None, 2))),
        ("bytes=,1-2,,", (ByteRange(1, 2),)),
        ("", None),
        ("bytes=", None),
        ("bytes=,", None),
        ("bytes=-", None),
        ("bytes=--1", None),
        ("bytes=1", None),
        ("bytes=2-1", None),
        ("bytes=0-1,2-1", None),
        ("bytes=a-b", None),
        ("bytes=1-2-3", None),
        ("bytes=1 -2", (ByteRange(1, 2),)),
        ("bytes = 1 - 2", (ByteRange(1, 2),)),
        ("bytes=\u0661-2", None),
        ("bytes=+1-2", None),
        ("lines=1-2", None),
        ("bytes=" + "9" * 5000 + "-", None),
    ],
)
def test_header_is_read_or_ignored(header, expected):
    assert ranges.parse(header) == expected


@pytest.mark.parametrize(
    ("header", "size", "spans"),
    [
        ("bytes=0-9", 100, [(0, 10)]),
        ("bytes=90-200", 100, [(90, 100)]),
        ("bytes=99-", 100, [(99, 100)]),
        ("bytes=100-", 100, []),
        ("bytes=-1", 100, [(99, 100)]),
        ("bytes=-1000", 100, [(0, 100)]),
        ("bytes=-0", 100, []),
        ("bytes=0-0", 0, []),
        ("bytes=-5", 0, []),
        ("bytes=0-", 0, []),
        ("bytes=500-600,0-1", 100, [(0, 2)]),
        ("bytes=5-6,0-1", 100, [(5, 7), (0, 2)]),
        (f"bytes=0-{10**30}", 100, [(0, 100)]),
    ],
)
def test_ranges_are_fitted_to_the_size(header, size, spans):
    assert ranges.resolve(ranges.parse(header), size) == spans


def test_abusive_ranges_are_refused():
    assert len(ranges.resolve([ByteRange(n * 2, n * 2) for n in range(50)], 1000)) == 50
    assert ranges.resolve([ByteRange(n * 2, n * 2) for n in range(51)], 1000) == []
    assert len(ranges.resolve([ByteRange(0, None)] * 3, 1000)) == 3
    assert ranges.resolve([ByteRange(0, None)] * 4, 1000) == []
    backwards = [ByteRange(n * 2, n * 2) for n in range(10)][::-1]
    assert len(ranges.resolve(backwards[:9], 1000)) == 9
    assert ranges.resolve(backwards, 1000) == []


@given(st.text("bytes=0123456789-, ", max_size=40), st.integers(0, 200))
def test_any_header_gives_spans_inside_the_object(header, size):
    for start, stop in ranges.resolve(ranges.parse(header) or (), size):
        assert 0 <= start < stop <= size


@given(st.integers(0, 99), st.integers(1, 100), st.integers(1, 100))
def test_suffix_means_the_same_as_its_bounds(first, length, size):
    suffix = ranges.resolve(ranges.parse(f"bytes=-{length}"), size)
    assert suffix == [(max(0, size - length), size)]
    assert (ranges.resolve(ranges.parse(f"bytes={first}-"), size) != []) == (first < size)


def test_content_range_shows_the_last_byte():
    assert ranges.content_range(0, 10, 100) == "bytes 0-9/100"
    assert ranges.unsatisfied_range(100) == "bytes */100"


def test_multipart_frame_has_the_announced_length():
    content = bytes(range(100))
    parts = Multipart("sep", [(0, 2), (98, 100)], "text/pl\u00e4in", 100)
    body = b"".join(head + content[start:stop] for head, (start, stop) in zip(parts.heads, parts.parts, strict=True))
    body += parts.terminator
    assert len(body) == parts.content_length
    assert parts.content_type == "multipart/byteranges;boundary=sep"
    assert (
        body
        == (
            "--sep\r\nContent-Type: text/pl\u00e4in\r\nContent-Range: bytes 0-1/100\r\n\r\n\x00\x01"
            "\r\n--sep\r\nContent-Type: text/pl\u00e4in\r\nContent-Range: bytes 98-99/100\r\n\r\nbc\r\n--sep--\r\n"
        ).encode()
    )


def test_boundaries_differ():
    assert ranges.new_boundary() != ranges.new_boundary()
