"""Deleting objects under conditions: by entity tag, and by size and date of the stored object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from objstore.core.numbers import whole
from objstore.layers.interface import DeleteResult
from objstore.s3.context import Context
from objstore.s3.data import object_headers
from objstore.s3.data.object_store import Target
from objstore.s3.language import dates
from objstore.s3.language.errors import S3Error
from objstore.s3.operations import objects
from objstore.s3.request.s3_request import S3Request


class DeleteConditions(NamedTuple):
    """Properties that the object must have, None for any.

    modified: an HTTP or ISO date, to the second. size: in bytes.
    """

    etag: str | None = None
    modified: str | None = None
    size: str | None = None


NONE = DeleteConditions()


def of_headers(headers: Mapping[str, str]) -> DeleteConditions:
    return DeleteConditions(
        headers.get("If-Match"),
        headers.get("X-Amz-If-Match-Last-Modified-Time"),
        headers.get("X-Amz-If-Match-Size"),
    )


def delete(context: Context, request: S3Request, target: Target, conditions: DeleteConditions = NONE) -> DeleteResult:
    """Delete an object if the conditions hold. Raises as `current.delete` does, and S3Error InvalidArgument.

    With conditions of size and date alone, it is not an error if the object does not exist.
    """
    etag = conditions.etag
    if etag == "":  # no object has an empty tag
        raise S3Error("PreconditionFailed", "", {"Condition": "If-Match"})
    if conditions.modified is not None or conditions.size is not None:
        try:
            etag = _looked_up(context, request, target, conditions)
        except S3Error as failure:
            if failure.code != "NoSuchKey" or etag:
                raise
            return DeleteResult(False)
    bypass = bool(target.version) and objects.may_bypass(context, request, target.name.object or "", target.version)
    return context.objects.delete(request, target, etag or "", bypass)


def _looked_up(context: Context, request: S3Request, target: Target, conditions: DeleteConditions) -> str:
    """Return the tag of the object if it meets the conditions: the deletion is then limited to this tag."""
    stored = context.objects.read(request, target, head=True)
    size, seconds = _numbers(conditions)
    if size is not None and size != stored.size:
        raise S3Error("PreconditionFailed", "", {"Condition": "x-amz-if-match-size"})
    if seconds is not None and seconds != object_headers.modified(stored.headers):
        raise S3Error("PreconditionFailed", "", {"Condition": "x-amz-if-match-last-modified-time"})
    etag = object_headers.etag(stored.headers)
    if conditions.etag and conditions.etag.strip('"') not in (etag, "*"):
        raise S3Error("PreconditionFailed", "", {"Condition": "If-Match"})
    return f'"{etag}"'


def _numbers(conditions: DeleteConditions) -> tuple[int | None, int | None]:
    size = None
    if conditions.size is not None:
        size = whole(conditions.size)
        if size is None:
            extra = {"ArgumentName": "x-amz-if-match-size", "ArgumentValue": conditions.size}
            raise S3Error("InvalidArgument", "", extra)
    if conditions.modified is None:
        return size, None
    seconds = dates.parse_http(conditions.modified)
    if seconds is None:
        seconds = dates.parse_iso(conditions.modified)
    if seconds is None:
        extra = {"ArgumentName": "x-amz-if-match-last-modified-time", "ArgumentValue": conditions.modified}
        raise S3Error("InvalidArgument", "", extra)
    return size, int(seconds)
