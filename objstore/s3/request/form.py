"""The type multipart/form-data, read as it arrives: the fields before the file, then the file as a stream (RFC 7578).

Nothing after the file is read: S3 ignores fields after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from objstore.core.errors import BodyTruncated
from objstore.s3.language.errors import S3Error

MIB = 1 << 20
MAX_FIELDS = 20 * 1024  # bytes before the file, as in S3
_MAX_FIELD_COUNT = 1000
_PARAMETER = re.compile(r';\s*([a-z*]+)=(?:"((?:[^"\\]|\\.)*)"|([^;"\s]+))', re.IGNORECASE)
_BOUNDARY = re.compile(r"[ -~]{1,200}\Z")


def boundary_of(content_type: str) -> str:
    """Return the boundary of a multipart/form-data type, '' for another type; raises S3Error MalformedPOSTRequest."""
    kind, _, rest = content_type.partition(";")
    if kind.strip().lower() != "multipart/form-data":
        return ""
    boundary = _parameters(";" + rest).get("boundary", "")
    if not _BOUNDARY.match(boundary):
        raise S3Error("MalformedPOSTRequest")
    return boundary


def _parameters(text: str) -> dict[str, str]:
    parameters = {}
    for name, quoted, plain in _PARAMETER.findall(text):
        parameters[name.lower()] = re.sub(r'\\(["\\])', r"\1", quoted) if quoted else plain
    return parameters


class Form:
    """A wsgi.input over the file of a form, after a call of `read_fields`.

    fields: by lower-case name. filename: of the file, without directories. min_size, max_size: limits of the file in
    bytes, None for no maximum; checked at its end, or when it exceeds the maximum.
    """

    def __init__(self, source: Any, boundary: str) -> None:
        self._read: Callable[[int], bytes] = getattr(source, "read_chunk", None) or source.read
        self._delimiter = b"\r\n--" + boundary.encode("latin-1")
        self._buffer = b"\r\n"  # the first delimiter then has the form of the others
        self._ended = False
        self._size = 0
        self.fields: dict[str, str] = {}
        self.filename = ""
        self.min_size = 0
        self.max_size: int | None = None

    def read_fields(self) -> None:
        """Read the parts before the file into `fields` and `filename`. Raises S3Error."""
        self._until(self._delimiter, MAX_FIELDS)
        remaining = MAX_FIELDS
        while True:
            if self._take(2) == b"--":
                raise S3Error(
                    "InvalidArgument",
                    "POST requires exactly one file upload per request.",
                    {"ArgumentName": "file", "ArgumentValue": "0"},
                )
            head = self._until(b"\r\n\r\n", remaining)
            remaining -= len(head)
            parameters = _disposition(head)
            name = parameters.get("name", "").lower()
            if name == "file":
                self.filename = re.split(r"[/\\]", parameters.get("filename", ""))[-1]
                return
            value = self._until(self._delimiter, remaining)
            remaining -= len(value)
            if name in self.fields:
                raise S3Error(
                    "InvalidArgument",
                    "POST requires exactly one value of each field.",
                    {"ArgumentName": name, "ArgumentValue": "2"},
                )
            if len(self.fields) >= _MAX_FIELD_COUNT:
                raise S3Error("MaxPostPreDataLengthExceededError")
            self.fields[name] = _text(value)

    def read_chunk(self, limit: int = MIB) -> bytes:
        """Return the next bytes of the file, b'' at its end.

        Raises S3Error EntityTooLarge, EntityTooSmall, IncompleteBody.
        """
        overlap = len(self._delimiter) - 1
        while not self._ended:
            end = self._buffer.find(self._delimiter)
            if end < 0:
                ready = len(self._buffer) - overlap
                if ready <= 0:
                    self._fill(max(limit, overlap + 1))
                    continue
            else:
                ready = end
            data, self._buffer = self._buffer[: min(ready, limit)], self._buffer[min(ready, limit) :]
            if end >= 0 and len(data) == end:
                self._ended = True
            self._count(len(data))
            if data:
                return data
        if self._size < self.min_size:
            raise S3Error(
                "EntityTooSmall", extra={"ProposedSize": str(self._size), "MinSizeAllowed": str(self.min_size)}
            )
        return b""

    def _count(self, size: int) -> None:
        self._size += size
        if self.max_size is not None and self._size > self.max_size:
            raise S3Error(
                "EntityTooLarge", extra={"ProposedSize": str(self._size), "MaxSizeAllowed": str(self.max_size)}
            )

    def _fill(self, limit: int) -> None:
        try:
            piece = self._read(limit)
        except BodyTruncated:
            piece = b""
        if not piece:
            raise S3Error("IncompleteBody", "The body of your POST request ended before its last boundary.")
        self._buffer += piece

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill(4096)
        return self._buffer[:size]

    def _until(self, end: bytes, limit: int) -> bytes:
        """Return the bytes before `end`, which is removed too; raises S3Error above `limit` bytes."""
        start = 0
        while (position := self._buffer.find(end, start)) < 0:
            if len(self._buffer) > limit + len(end):
                raise S3Error("MaxPostPreDataLengthExceededError")
            start = max(0, len(self._buffer) - len(end))
            self._fill(4096)
        if position > limit:
            raise S3Error("MaxPostPreDataLengthExceededError")
        data, self._buffer = self._buffer[:position], self._buffer[position + len(end) :]
        return data


def _disposition(head: bytes) -> dict[str, str]:
    """Return the parameters of a part's Content-Disposition."""
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
