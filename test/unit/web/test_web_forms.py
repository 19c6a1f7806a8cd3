"""Forms read in any pieces, and what is no form."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.core.errors import BodyTimeout, BodyTruncated
from objstore.web.forms import FormError, FormPart, FormReader, FormTooLarge, FormTruncated, boundary_of

BOUNDARY = "xYz"
MIB = 1 << 20


class Pieces:
    """A wsgi.input that gives these pieces, whatever is asked for, then raises or ends."""

    def __init__(self, pieces: Iterator[bytes], end: Exception | None = None) -> None:
        self._pieces = pieces
        self._end = end

    def read_chunk(self, limit: int) -> bytes:
        piece = next(self._pieces, b"")
        if not piece and self._end is not None:
            raise self._end
        return piece


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def part(name: str, value: bytes, more: str = "") -> bytes:
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def reader(data: bytes, size: int = 1000, max_size: int = 10_000, max_parts: int = 100) -> FormReader:
    return FormReader(Pieces(cut(data, size)), BOUNDARY, max_size, max_parts)


def read(form: FormReader, limit: int = MIB) -> list[tuple[FormPart, Any]]:
    """The parts with their contents."""
    found: list[tuple[FormPart, Any]] = []
    while (each := form.next_part()) is not None:
        if each.filename is None:
            found.append((each, form.read_value()))
        else:
            found.append((each, b"".join(iter(lambda: form.read_chunk(limit), b""))))
    return found


BITS = [b"\r\n--xY", b"\r\n--x", b"--xYz", b"-", b"\r\n", b"\r"]
CONTENTS = (st.binary(max_size=300) | st.lists(st.sampled_from(BITS)).map(b"".join)).filter(
    lambda content: b"\r\n--xYz" not in content
)


@settings(max_examples=80, deadline=None)
@given(st.lists(CONTENTS, max_size=4), st.integers(1, 400), st.integers(1, 100), st.sampled_from([b"", b"text\r\n"]))
def test_a_form_in_any_pieces_is_read(files: list[bytes], size: int, limit: int, preamble: bytes) -> None:
    data = preamble + part("a", "ü".encode())
    data += b"".join(part(f"f{n}", file, f'; filename="n{n}"') for n, file in enumerate(files))
    found = read(reader(data + END, size), limit)
    assert [(each.name, each.filename, content) for each, content in found] == [
        ("a", None, "ü"), *((f"f{n}", f"n{n}", file) for n, file in enumerate(files))
    ]  # fmt: skip


@given(st.integers(1, 50))
def test_a_file_may_be_skipped(size: int) -> None:
    form = reader(part("f", b"x" * 3000, '; filename="a"') + part("g", b"1") + END, size)
    assert form.next_part() is not None
    assert form.read_chunk(10)
    following = form.next_part()
    assert following is not None
    assert (following.name, form.read_value()) == ("g", "1")
    assert form.next_part() is None
    assert form.next_part() is None
    assert form.read_chunk() == b""


def test_the_head_of_a_part() -> None:
    head = b'content-disposition: form-data; name="a\\"b"; FILENAME=plain\r\nX-Other:  x \r\ncontent-TYPE: a/b; c="d"'
    form = reader(f"--{BOUNDARY}\r\n".encode() + head + b"\r\n\r\n\r\n" + END)
    found = form.next_part()
    assert found is not None
    assert (found.name, found.filename) == ('a"b', "plain")
    assert (found.headers["x-other"], found.headers["content-type"]) == ("x", 'a/b; c="d"')


FILE = part("f", b"content", '; filename="a"')


@pytest.mark.parametrize("length", range(len(FILE + END) - 4))
def test_a_form_that_ends_early_is_truncated(length: int) -> None:
    for end in (None, BodyTruncated("gone")):
        with pytest.raises(FormTruncated):
            read(FormReader(Pieces(cut((FILE + END)[:length], 7), end), BOUNDARY, 1000, 10))


def test_other_failures_of_the_source_pass() -> None:
    with pytest.raises(BodyTimeout):
        read(FormReader(Pieces(cut(FILE, 7), BodyTimeout("slow")), BOUNDARY, 1000, 10))


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (part("a", b"x" * 20_000) + END, FormTooLarge),
        (part("a", b"1", "; b=" + "x" * 20_000) + END, FormTooLarge),
        (b"x" * 20_000, FormTooLarge),
        (b"".join(part(f"a{n}", b"") for n in range(200)) + END, FormTooLarge),
        (FILE * 200 + END, FormTooLarge),
        (FILE.replace(b"Disposition", b"Description") + END, FormError),
        (FILE.replace(b'f"', b'\xff"') + END, FormError),
        (part("a", b"\xff") + END, FormError),
        (f"--{BOUNDARY}\r\n\r\nvalue\r\n".encode() + END, FormError),
    ],
)
@pytest.mark.parametrize("size", [13, 100_000])
def test_what_is_no_form_is_refused(data: bytes, failure: type[Exception], size: int) -> None:
    with pytest.raises(failure):
        read(reader(data, size))


def test_files_do_not_count_for_the_limit_of_fields() -> None:
    data = part("f", b"x" * 50_000, '; filename="a"') + part("a", b"1" * 1000) + END
    assert [len(content) for _, content in read(reader(data, max_size=2000))] == [50_000, 1000]


def test_memory_does_not_grow_with_files() -> None:
    piece = b"\r\n--xY" * (MIB // 6)

    def body() -> Iterator[bytes]:
        for number in range(2):
            yield part(f"f{number}", b"", '; filename="a"')[:-2]
            for _ in range(32):
                yield piece
            yield b"\r\n"
        yield END

    form = FormReader(Pieces(body()), BOUNDARY, 1000, 10)
    size = 0
    tracemalloc.start()
    try:
        while form.next_part() is not None:
            while data := form.read_chunk():
                size += len(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == 64 * len(piece)
    assert peak < 8 * MIB


def test_boundaries() -> None:
    assert boundary_of("multipart/form-data; boundary=abc") == "abc"
    assert boundary_of('Multipart/Form-Data; charset=utf-8; boundary="a b"') == "a b"
    assert boundary_of("text/plain; boundary=abc") == ""
    assert boundary_of("") == ""
    for text in ("multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "a" * 201):
        with pytest.raises(FormError):
            boundary_of(text)
