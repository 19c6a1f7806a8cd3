"""Copies within the store: the headers taken over from the source, and its bytes as a new upload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from objstore.core.listed import DEFAULT_TYPE, class_header
from objstore.core.object_lock import LOCK
from objstore.layers import copies
from objstore.layers.bodies import ObjectBody
from objstore.layers.interface import PutResult, Reply
from objstore.layers.outflow import Outflow
from objstore.s3.context import Context
from objstore.s3.data import object_headers
from objstore.s3.data.object_headers import Checksum
from objstore.s3.data.object_store import ObjectUpload, Target
from objstore.s3.language import checksums
from objstore.s3.language.errors import S3Error
from objstore.s3.operations import objects
from objstore.s3.operations.object import reading
from objstore.s3.operations.objects import CopySource
from objstore.s3.request.s3_request import S3Request

SOURCE = "X-Amz-Copy-Source"
_CONDITIONS = "X-Amz-Copy-Source-"
_COPY, _REPLACE = "COPY", "REPLACE"
_MARKER = "The source of a copy request may not specifically refer to a delete marker by version id."


class Directives(NamedTuple):
    """The parts of the source that are replaced by the request's: True if replaced."""

    metadata: bool
    tags: bool


def directives(headers: Mapping[str, str]) -> Directives:
    """Return the directives of a request. Raises S3Error InvalidArgument."""
    return Directives(
        _directive(headers, "X-Amz-Metadata-Directive", "metadata"),
        _directive(headers, "X-Amz-Tagging-Directive", "tagging"),
    )


def _directive(headers: Mapping[str, str], header: str, noun: str) -> bool:
    value = headers.get(header, _COPY)
    if value not in (_COPY, _REPLACE):
        extra = {"ArgumentName": header.lower(), "ArgumentValue": value}
        raise S3Error("InvalidArgument", f"Unknown {noun} directive.", extra)
    return value == _REPLACE


def open_source(
    context: Context, request: S3Request, source: Target, head: bool = False, prefix: str = _CONDITIONS
) -> Reply:
    """Open the source if the conditions on it hold; prefix: of their headers.

    Raises S3Error PreconditionFailed, InvalidRequest (a delete marker by its version), and as `current.read` does.
    """
    conditions = reading.conditions_of(request.headers, prefix)
    try:
        stored = context.objects.read(request, source, conditions.tags, head)
    except S3Error as refused:
        if refused.extra.get("ResourceType") == "DeleteMarker":
            raise S3Error("InvalidRequest", _MARKER, None, refused.headers) from None
        raise
    if reading.verdict(stored, conditions) is not None:
        stored.close()
        raise S3Error("PreconditionFailed", "", {"Condition": prefix.lower() + _failed(conditions)})
    return stored


def _failed(conditions: reading.ReadConditions) -> str:
    return next(iter((*conditions.tags, *conditions.dates)), "").lower()


def check_size(stored: Reply) -> None:
    """Raise S3Error InvalidRequest for a source that is too large for one copy."""
    if stored.size > objects.MAX_PUT:
        stored.close()
        raise S3Error(
            "InvalidRequest",
            f"The specified copy source is larger than the maximum allowable size for a copy source: {objects.MAX_PUT}",
        )


def check_change(request: S3Request, source: CopySource, replaced: Directives) -> None:
    """Raise S3Error InvalidRequest for a copy of an object onto itself that would change nothing."""
    if source.version or (source.bucket, source.key) != (request.bucket, request.key):
        return
    changing = ("X-Amz-Storage-Class", "X-Amz-Website-Redirect-Location", "X-Amz-Server-Side-Encryption")
    if not replaced.metadata and not any(name in request.headers for name in changing):
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
        )


def copy_headers(
    context: Context, request: S3Request, stored: Reply, source: Target, replaced: Directives
) -> dict[str, str]:
    """Return the headers stored with a copy, without its checksum; ACL, storage class and redirect are the request's.

    Raises S3Error AccessDenied if a policy denies to read the source's tags, or to set them.
    """
    headers = objects.upload_headers(context, request)
    if not replaced.metadata:
        headers = {
            name: value
            for name, value in headers.items()
            if name.startswith(("X-Object-Sysmeta-", object_headers.ACL, object_headers.TAGS, LOCK))
        }
        headers = {"Content-Type": DEFAULT_TYPE, **headers, **object_headers.copied_metadata(stored.headers)}
    if not replaced.tags:
        headers.pop(object_headers.TAGS, None)
        tags = stored.headers.get(object_headers.TAGS, "")
        if tags:
            _check_tags(context, request, source)
            headers[object_headers.TAGS] = tags
    return headers | class_header(headers)


def _check_tags(context: Context, request: S3Request, source: Target) -> None:
    """Raise S3Error AccessDenied unless the client may read the tags of the source and set them on the copy."""
    if reading.tags_denied(context, request, source):
        raise S3Error("AccessDenied")
    bucket = context.buckets.resolve(request, request.bucket)
    if context.access.denies(request, "s3:PutObjectTagging", bucket, request.key):
        raise S3Error("AccessDenied")


def copy_checksum(headers: Mapping[str, str], stored: Reply) -> tuple[Checksum | None, str]:
    """Return the checksum of the source if it is valid for the copy too, else the algorithm to compute one."""
    source_sum = object_headers.checksum(stored.headers)
    conditions = headers.get("X-Amz-Checksum-Algorithm")
    algorithm = checksums.algorithm_name(conditions, "x-amz-checksum-algorithm") if conditions else ""
    whole = source_sum is not None and source_sum.type == "FULL_OBJECT"
    if source_sum is not None and whole and algorithm in ("", source_sum.algorithm):
        return source_sum._replace(parts=0), ""
    return None, algorithm or (source_sum.algorithm if source_sum is not None else checksums.DEFAULT)


class Summed:
    """A body whose checksum is computed while it is read."""

    def __init__(self, source: ObjectBody, algorithm: str) -> None:
        self.length = source.length
        self._source = source
        algorithms = (algorithm, checksums.COMPANION) if algorithm in checksums.RARE else (algorithm,)
        self._digests = {name: checksums.ALGORITHMS[name].new() for name in algorithms}

    def check(self) -> None:
        self._source.check()

    def read_chunk(self, limit: int, /) -> bytes:
        piece = self._source.read_chunk(limit)
        for digest in self._digests.values():
            digest.update(piece)
        return piece

    @property
    def checksums(self) -> dict[str, str]:
        """The checksums of the bytes read so far, by algorithm; the first is the requested one."""
        return {name: checksums.encode(digest.digest()) for name, digest in self._digests.items()}

    @property
    def checksum(self) -> Checksum:
        """The requested one of them."""
        checksum = Checksum.first_of(self.checksums)
        assert checksum is not None
        return checksum


class Copied(NamedTuple):
    written: PutResult
    checksum: Checksum


def transfer(
    context: Context,
    request: S3Request,
    stored: Reply,
    target: Target,
    headers: Mapping[str, str],
    conditions: Mapping[str, str],
) -> Copied:
    """Write the content of an open object as a new object. Raises as `current.write` does."""
    source_sum, algorithm = copy_checksum(request.headers, stored)
    flow = Outflow(stored, stored.size)
    body: ObjectBody = flow
    if source_sum is None:
        body = summed = Summed(flow, algorithm)

    def checksum() -> Checksum:
        return summed.checksum if source_sum is None else source_sum

    def late() -> dict[str, str]:
        return {object_headers.CHECKSUM: checksum().dump()}

    upload = ObjectUpload({**headers, "Etag": copies.etag_of_content(stored)}, body, late, conditions)
    try:
        written = context.objects.write(request, target.name, upload)
    finally:
        flow.close()
    return Copied(written, checksum())
