"""multipart/form-data read as it comes: the fields before the file, then the file as a stream (RFC 7578).

What follows the file is not read: S3 ignores fields after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from objstore.core.errors import BodyTruncated
from objstore.s3.language.errors import S3Error

MIB = 1 << 20
MOST_FIELDS = 20 * 1024  # bytes of all that comes before the file, as in S3
_MOST_FIELD_COUNT = 1000
_PARAMETER = re.compile(r';\s*([a-z*]+)=(?:"((?:[^"\\]|\\.)*)"|([^;"\s]+))', re.IGNORECASE)
_BOUNDARY = re.compile(r"[ -~]{1,200}\Z")


def boundary_of(content_type: str) -> str:
    """The boundary of a multipart/form-data type, '' for another type; raises S3Error MalformedPOSTRequest."""
    kind, _, rest = content_type.partition(";")
    if kind.strip().lower() != "multipart/form-data":
        return ""
    boundary = _parameters(";" + rest).get("boundary", "")
    if not _BOUNDARY.match(boundary):
        raise S3Error("MalformedPOSTRequest")
    return boundary


def _parameters(text: str) -> dict[str, str]:
    found = {}
    for name, quoted, plain in _PARAMETER.findall(text):
        found[name.lower()] = re.sub(r'\\(["\\])', r"\1", quoted) if quoted else plain
    return found


class Form:
    """A wsgi.input over the file of a form, once `read_fields` has been called.

    least, most: bytes that the file may have, held when its end, or more than that, is seen.
    """

    def __init__(self, source: Any, boundary: str) -> None:
        self._read: Callable[[int], bytes] = getattr(source, "read_chunk", None) or source.read
        self._delimiter = b"\r\n--" + boundary.encode("latin-1")
        self._buffer = b"\r\n"  # so that the first delimiter looks like the others
        self._ended = False
        self._size = 0
        self.fields: dict[str, str] = {}
        self.filename = ""
        self.least = 0
        self.most: int | None = None

    def read_fields(self) -> None:
        """Fill `fields`, by lower-case name, and `filename`. Raises S3Error."""
        self._until(self._delimiter, MOST_FIELDS)
        left = MOST_FIELDS
        while True:
            if self._take(2) == b"--":
                raise S3Error(
                    "InvalidArgument",
                    "POST requires exactly one file upload per request.",
                    {"ArgumentName": "file", "ArgumentValue": "0"},
                )
            head = self._until(b"\r\n\r\n", left)
            left -= len(head)
            parameters = _disposition(head)
            name = parameters.get("name", "").lower()
            if name == "file":
                self.filename = re.split(r"[/\\]", parameters.get("filename", ""))[-1]
                return
            value = self._until(self._delimiter, left)
            left -= len(value)
            if name in self.fields:
                raise S3Error(
                    "InvalidArgument",
                    "POST requires exactly one value of each field.",
                    {"ArgumentName": name, "ArgumentValue": "2"},
                )
            if len(self.fields) >= _MOST_FIELD_COUNT:
                raise S3Error("MaxPostPreDataLengthExceededError")
            self.fields[name] = _text(value)

    def read_chunk(self, most: int = MIB) -> bytes:
        """The next bytes of the file, b'' at its end. Raises S3Error EntityTooLarge, EntityTooSmall, IncompleteBody."""
        keep = len(self._delimiter) - 1
        while not self._ended:
            found = self._buffer.find(self._delimiter)
            if found < 0:
                ready = len(self._buffer) - keep
                if ready <= 0:
                    self._fill(max(most, keep + 1))
                    continue
            else:
                ready = found
            data, self._buffer = self._buffer[: min(ready, most)], self._buffer[min(ready, most) :]
            if found >= 0 and len(data) == found:
                self._ended = True
            self._count(len(data))
            if data:
                return data
        if self._size < self.least:
            raise S3Error("EntityTooSmall", extra={"ProposedSize": str(self._size), "MinSizeAllowed": str(self.least)})
        return b""

    def _count(self, size: int) -> None:
        self._size += size
        if self.most is not None and self._size > self.most:
            raise S3Error("EntityTooLarge", extra={"ProposedSize": str(self._size), "MaxSizeAllowed": str(self.most)})

    def _fill(self, most: int) -> None:
        try:
            piece = self._read(most)
        except BodyTruncated:
            piece = b""
        if not piece:
            raise S3Error("IncompleteBody", "The body of your POST request ended before its last boundary.")
        self._buffer += piece

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill(4096)
        return self._buffer[:size]

    def _until(self, end: bytes, most: int) -> bytes:
        """What comes before `end`, which is dropped; raises S3Error above `most` bytes."""
        start = 0
        while (found := self._buffer.find(end, start)) < 0:
            if len(self._buffer) > most + len(end):
                raise S3Error("MaxPostPreDataLengthExceededError")
            start = max(0, len(self._buffer) - len(end))
            self._fill(4096)
        if found > most:
            raise S3Error("MaxPostPreDataLengthExceededError")
        data, self._buffer = self._buffer[:found], self._buffer[found + len(end) :]
        return data


def _disposition(head: bytes) -> dict[str, str]:
    """The parameters of a part's Content-Disposition."""
    for line in _text(head).split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            return _parameters(value)
    raise S3Error("MalformedPOSTRequest")


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise S3Error("MalformedPOSTRequest") from None
