"""The type multipart/form-data, read as it arrives (RFC 7578, RFC 2046 section 5.1).

A `FormReader` gives the parts one after the other: the head of each, then its content in pieces. It holds one piece of
the body at a time, and limits what comes outside of files, so that a form of any size takes little memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from objstore.core.errors import BodyTruncated, InvalidInput

TYPE = "multipart/form-data"
_PARAMETER = re.compile(r';\s*([a-z*]+)=(?:"((?:[^"\\]|\\.)*)"|([^;"\s]+))', re.IGNORECASE)
_BOUNDARY = re.compile(r"[ -~]{1,200}\Z")
_SMALL = 4096  # bytes read at a time outside of files
_MIB = 1 << 20


class FormError(InvalidInput):
    """A body is not a form; the message says what is wrong with it."""


class FormTooLarge(FormError):
    """The parts of a form other than files exceed a limit."""


class FormTruncated(FormError):
    """A form ended before its last boundary."""


class FormPart(NamedTuple):
    """The head of a part. filename: None for a field that is not a file. headers: by their names in lower case."""

    name: str
    filename: str | None
    headers: Mapping[str, str]


def boundary_of(content_type: str) -> str:
    """Return the boundary of a multipart/form-data type, '' for another type. Raises FormError if it has no valid
    one."""
    kind, _, rest = content_type.partition(";")
    if kind.strip().lower() != TYPE:
        return ""
    boundary = _parameters(";" + rest).get("boundary", "")
    if not _BOUNDARY.match(boundary):
        raise FormError("the form has no valid boundary")
    return boundary


class FormReader:
    """A form. source: a wsgi.input. boundary: see `boundary_of`.

    max_size: bytes of all heads and of all values that `read_value` returns. max_parts: their number, files included.
    All methods raise FormTooLarge above these limits, FormTruncated, and the other errors of reading the source.
    """

    def __init__(self, source: Any, boundary: str, max_size: int, max_parts: int) -> None:
        self._read: Callable[[int], bytes] = getattr(source, "read_chunk", None) or source.read
        self._delimiter = b"\r\n--" + boundary.encode("latin-1")
        self._buffer = b"\r\n"  # the first delimiter then has the form of the others
        self._start = 0  # of the unread bytes in the buffer
        self._size_left = max_size
        self._parts_left = max_parts
        self._in_content = True  # the text before the first part is skipped like a content
        self._is_first = True
        self._is_at_end = False

    def next_part(self) -> FormPart | None:
        """Return the next part, after skipping the rest of the current one; None at the end of the form."""
        if self._is_first:
            self._is_first = False
            self._take_until(self._delimiter)
            self._in_content = False
        while self._in_content:
            self.read_chunk()
        if self._is_at_end or self._is_last_boundary():
            self._is_at_end = True
            return None
        if self._parts_left <= 0:
            raise FormTooLarge("the form has too many fields")
        self._parts_left -= 1
        head = self._take_until(b"\r\n\r\n")
        self._in_content = True
        return _part(head)

    def read_value(self) -> str:
        """Return the content of the current part, a field. Raises FormError if it is not UTF-8."""
        value = self._take_until(self._delimiter)
        self._in_content = False
        return _text(value)

    def read_chunk(self, limit: int = _MIB) -> bytes:
        """Return up to `limit` next bytes of the content of the current part, b'' at its end."""
        overlap = len(self._delimiter) - 1
        while self._in_content:
            end = self._buffer.find(self._delimiter, self._start)
            ready = end if end >= 0 else len(self._buffer) - overlap
            if ready > self._start:
                stop = min(ready, self._start + limit)
                data = self._buffer[self._start : stop]
                self._start = stop
                return data
            if end >= 0:
                self._start = end + len(self._delimiter)
                self._in_content = False
            else:
                self._fill(max(limit, overlap + 1))
        return b""

    def _is_last_boundary(self) -> bool:
        while len(self._buffer) - self._start < 2:
            self._fill(_SMALL)
        return self._buffer.startswith(b"--", self._start)

    def _take_until(self, end: bytes) -> bytes:
        """Return the bytes before `end`, which is removed too."""
        searched = 0  # bytes after the start, which cannot hold the beginning of `end`
        while (position := self._buffer.find(end, self._start + searched)) < 0:
            unread = len(self._buffer) - self._start
            if unread > self._size_left + len(end):
                raise FormTooLarge("the fields of the form are too large")
            searched = max(0, unread - len(end) + 1)
            self._fill(_SMALL)
        size = position - self._start
        if size > self._size_left:
            raise FormTooLarge("the fields of the form are too large")
        self._size_left -= size
        data = self._buffer[self._start : position]
        self._start = position + len(end)
        return data

    def _fill(self, limit: int) -> None:
        """Read on, and drop what was taken."""
        try:
            piece = self._read(limit)
        except BodyTruncated:
            piece = b""
        if not piece:
            raise FormTruncated("the form ended before its last boundary")
        self._buffer = self._buffer[self._start :] + piece
        self._start = 0


def _part(head: bytes) -> FormPart:
    headers: dict[str, str] = {}
    for line in _text(head).split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if "content-disposition" not in headers:
        raise FormError("a part of the form has no Content-Disposition")
    parameters = _parameters(headers["content-disposition"])
    return FormPart(parameters.get("name", ""), parameters.get("filename"), headers)


def _parameters(text: str) -> dict[str, str]:
    parameters = {}
    for name, quoted, plain in _PARAMETER.findall(text):
        parameters[name.lower()] = re.sub(r'\\(["\\])', r"\1", quoted) if quoted else plain
    return parameters


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise FormError("the form is not UTF-8") from None
