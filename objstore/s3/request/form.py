"""The form of an upload: the fields before the file, then the file as a stream (S3 API: POST Object).

Nothing after the file is read: S3 ignores fields after it.
"""

from __future__ import annotations

import re
from typing import Any

from objstore.s3.language.errors import S3Error
from objstore.web import forms
from objstore.web.forms import FormError, FormReader, FormTooLarge, FormTruncated

MIB = 1 << 20
MAX_FIELDS = 20 * 1024  # bytes before the file, as in S3
_MAX_FIELD_COUNT = 1000


def boundary_of(content_type: str) -> str:
    """Return the boundary of a multipart/form-data type, '' for another type; raises S3Error MalformedPOSTRequest."""
    try:
        return forms.boundary_of(content_type)
    except FormError as failure:
        raise _translated(failure) from None


class Form:
    """A wsgi.input over the file of a form, after a call of `read_fields`.

    fields: by lower-case name. filename: of the file, without directories. min_size, max_size: limits of the file in
    bytes, None for no maximum; checked at its end, or when it exceeds the maximum.
    """

    def __init__(self, source: Any, boundary: str) -> None:
        self._reader = FormReader(source, boundary, MAX_FIELDS, _MAX_FIELD_COUNT + 1)
        self._size = 0
        self.fields: dict[str, str] = {}
        self.filename = ""
        self.min_size = 0
        self.max_size: int | None = None

    def read_fields(self) -> None:
        """Read the parts before the file into `fields` and `filename`. Raises S3Error."""
        try:
            while (part := self._reader.next_part()) is not None:
                name = part.name.lower()
                if name == "file":
                    self.filename = re.split(r"[/\\]", part.filename or "")[-1]
                    return
                value = self._reader.read_value()
                if name in self.fields:
                    raise _wrong_count("POST requires exactly one value of each field.", name, "2")
                self.fields[name] = value
        except FormError as failure:
            raise _translated(failure) from None
        raise _wrong_count("POST requires exactly one file upload per request.", "file", "0")

    def read_chunk(self, limit: int = MIB) -> bytes:
        """Return the next bytes of the file, b'' at its end.

        Raises S3Error EntityTooLarge, EntityTooSmall, IncompleteBody.
        """
        try:
            data = self._reader.read_chunk(limit)
        except FormError as failure:
            raise _translated(failure) from None
        self._size += len(data)
        if self.max_size is not None and self._size > self.max_size:
            raise S3Error(
                "EntityTooLarge", extra={"ProposedSize": str(self._size), "MaxSizeAllowed": str(self.max_size)}
            )
        if not data and self._size < self.min_size:
            raise S3Error(
                "EntityTooSmall", extra={"ProposedSize": str(self._size), "MinSizeAllowed": str(self.min_size)}
            )
        return data


def _wrong_count(message: str, name: str, count: str) -> S3Error:
    return S3Error("InvalidArgument", message, {"ArgumentName": name, "ArgumentValue": count})


def _translated(failure: FormError) -> S3Error:
    if isinstance(failure, FormTruncated):
        return S3Error("IncompleteBody", "The body of your POST request ended before its last boundary.")
    code = "MaxPostPreDataLengthExceededError" if isinstance(failure, FormTooLarge) else "MalformedPOSTRequest"
    return S3Error(code)
