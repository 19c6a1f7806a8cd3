"""Parts of an upload: written, listed and deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from objstore.core.errors import NoContainer, NotFound
from objstore.core.listed import LISTED_TYPE
from objstore.core.numbers import whole
from objstore.layers import listings
from objstore.layers.bodies import ObjectBody
from objstore.layers.interface import PutOptions, PutResult
from objstore.runtime import green
from objstore.s3.context import Context
from objstore.s3.language.errors import S3Error
from objstore.s3.multipart import claims, names, uploads
from objstore.s3.multipart.uploads import MultipartUpload
from objstore.s3.request.s3_request import S3Request

_TYPE = "application/octet-stream"
_AT = "at"
_MAX_DELETIONS = 8  # at a time
_PAGE = 5000


class Part(NamedTuple):
    """An attempt at a part.

    etag: the MD5, in hex. size: in bytes. modified: as in rows of listings. ended: the time at which its body ended,
    in seconds since the epoch. checksums: by algorithm, base64.
    """

    number: int
    name: str
    etag: str
    size: int
    modified: str
    ended: float
    checksums: Mapping[str, str]


def number_of(request: S3Request, limit: int) -> int:
    """Return the part number of a request, 1 to `limit`; raises S3Error InvalidArgument."""
    text = request.query.get("partNumber", "")
    number = whole(text)
    if number is None or not 1 <= number <= limit:
        raise S3Error(
            "InvalidArgument",
            f"Part number must be an integer between 1 and {limit}, inclusive",
            {"ArgumentName": "partNumber", "ArgumentValue": text},
        )
    return number


def write(
    context: Context,
    request: S3Request,
    upload: MultipartUpload,
    body: ObjectBody,
    checksums: Callable[[], Mapping[str, str]],
) -> PutResult:
    """Store another attempt at the part that the request names.

    checksums: returns them after the body was read. Raises S3Error InvalidArgument, NoSuchUpload if the upload was
    aborted meanwhile, and the errors of reading the body.
    """
    number = number_of(request, context.settings.max_parts)
    name = uploads.place(context, request, upload)._replace(object=names.new_part(upload.id, number))

    def late() -> dict[str, str]:
        # The end of an attempt decides which counts; it needs a name before.
        return {LISTED_TYPE: f"{_TYPE};{urlencode({_AT: f'{time.time():.6f}', **checksums()})}"}

    try:
        result = context.layer.put(request.context, name, PutOptions({"Content-Type": _TYPE}, late=late), body)
    except NoContainer:  # deleted with its bucket
        raise uploads.no_such(upload.id) from None
    if claims.is_aborted(context, request, upload):
        uploads.drop(context, request, name)
        raise uploads.no_such(upload.id)
    return result


def attempts(context: Context, request: S3Request, upload: MultipartUpload, after: int = 0) -> Iterator[Part]:
    """Return all attempts at parts with numbers behind `after`, by number."""
    container = uploads.place(context, request, upload)
    page = names.numbers(upload.id, after)._replace(limit=_PAGE)
    try:
        for row in listings.rows(context.layer, request.context, container, page):
            yield _read(row)
    except NotFound:
        return


def _read(row: Mapping[str, Any]) -> Part:
    fields = dict(parse_qsl(row["content_type"].partition(";")[2]))
    ended = float(fields.pop(_AT, 0))
    name = row["name"]
    return Part(names.number_of(name), name, row["hash"], int(row["bytes"]), row["last_modified"], ended, fields)


def last_attempts(parts: Iterable[Part]) -> Iterator[Part]:
    """Return the attempt that counts of each part, by number: the last to end. parts: attempts by number."""
    last: Part | None = None
    for part in parts:
        if last is not None and part.number != last.number:
            yield last
            last = None
        if last is None or part.ended >= last.ended:
            last = part
    if last is not None:
        yield last


def delete(context: Context, request: S3Request, upload: MultipartUpload, part_names: Iterable[str]) -> None:
    """Delete parts of an upload by their names."""
    container = uploads.place(context, request, upload)

    def drop(name: str) -> None:
        uploads.drop(context, request, container._replace(object=name))

    waits: list[Any] = []
    for name in part_names:
        if len(waits) == _MAX_DELETIONS:
            waits.pop(0).wait()
        waits.append(green.spawn(drop, name))
    for wait in waits:
        wait.wait()
