"""Copies within the store: what is taken over of the source, and its bytes as a new upload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from objstore.core.listed import DEFAULT_TYPE, class_header
from objstore.layers import copies
from objstore.layers.bodies import ObjectBody
from objstore.layers.interface import PutResult, ReadOptions, Reply
from objstore.layers.outflow import Outflow
from objstore.s3.context import Context
from objstore.s3.data import object_headers
from objstore.s3.data.object_headers import Checksum
from objstore.s3.data.object_store import Target, Upload
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
    """Which of the source's are replaced by the request's."""

    metadata: bool
    tags: bool


def directives(headers: Mapping[str, str]) -> Directives:
    """Raises S3Error InvalidArgument."""
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
    """The source, conditions on it judged; prefix: of the headers that set them.

    Raises S3Error PreconditionFailed, InvalidRequest (a delete marker by its version), and what `current.read` raises.
    """
    asked = reading.conditions_of(request.headers, prefix)
    try:
        stored = context.objects.read(request, source, ReadOptions(asked.tags, head=head))
    except S3Error as refused:
        if refused.extra.get("ResourceType") == "DeleteMarker":
            raise S3Error("InvalidRequest", _MARKER, None, refused.headers) from None
        raise
    if reading.verdict(stored, asked) is not None:
        stored.close()
        raise S3Error("PreconditionFailed", "", {"Condition": prefix.lower() + _failed(asked)})
    return stored


def _failed(asked: reading.Conditions) -> str:
    return next(iter((*asked.tags, *asked.dates)), "").lower()


def check_size(stored: Reply) -> None:
    """Raises S3Error InvalidRequest for a source that cannot be copied at once."""
    if stored.size > objects.MOST_PUT:
        stored.close()
        raise S3Error(
            "InvalidRequest",
            "The specified copy source is larger than the maximum allowable size for a copy source: "
            f"{objects.MOST_PUT}",
        )


def check_change(request: S3Request, source: CopySource, chosen: Directives) -> None:
    """Raises S3Error InvalidRequest for a copy of an object onto itself that would change nothing."""
    if source.version or (source.bucket, source.key) != (request.bucket, request.key):
        return
    changing = ("X-Amz-Storage-Class", "X-Amz-Website-Redirect-Location", "X-Amz-Server-Side-Encryption")
    if not chosen.metadata and not any(name in request.headers for name in changing):
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
        )


def kept_of_copy(
    context: Context, request: S3Request, stored: Reply, source: Target, chosen: Directives
) -> dict[str, str]:
    """What is kept with a copy besides its bytes and checksum; ACL, storage class and redirect are the request's.

    Raises S3Error AccessDenied where a policy denies to read the source's tags, or to set them.
    """
    kept = objects.kept_of_upload(context, request)
    if not chosen.metadata:
        kept = {
            name: value
            for name, value in kept.items()
            if name.startswith(("X-Object-Sysmeta-", object_headers.ACL, object_headers.TAGS))
        }
        kept = {"Content-Type": DEFAULT_TYPE, **kept, **object_headers.copied_metadata(stored.headers)}
    if not chosen.tags:
        kept.pop(object_headers.TAGS, None)
        tags = stored.headers.get(object_headers.TAGS, "")
        if tags:
            _check_tags(context, request, source)
            kept[object_headers.TAGS] = tags
    return kept | class_header(kept)


def _check_tags(context: Context, request: S3Request, source: Target) -> None:
    """Tags that a copy takes over are read there and set here."""
    if reading.tags_denied(context, request, source):
        raise S3Error("AccessDenied")
    bucket = context.buckets.resolve(request, request.bucket)
    if context.access.denies(request, "s3:PutObjectTagging", bucket, request.key):
        raise S3Error("AccessDenied")


def checksum_wanted(headers: Mapping[str, str], stored: Reply) -> tuple[Checksum | None, str]:
    """The checksum of the source where it is that of the copy too, or the algorithm to compute one by."""
    known = object_headers.checksum(stored.headers)
    asked = headers.get("X-Amz-Checksum-Algorithm")
    algorithm = checksums.algorithm_name(asked, "x-amz-checksum-algorithm") if asked else ""
    whole = known is not None and known.type == "FULL_OBJECT"
    if known is not None and whole and algorithm in ("", known.algorithm):
        return known._replace(parts=0), ""
    return None, algorithm or (known.algorithm if known is not None else checksums.DEFAULT)


class Summed:
    """A body whose checksum is computed as it is read."""

    def __init__(self, source: ObjectBody, algorithm: str) -> None:
        self.length = source.length
        self._source = source
        self._algorithm = algorithm
        self._digest = checksums.ALGORITHMS[algorithm].new()

    def check(self) -> None:
        self._source.check()

    def read_chunk(self, most: int, /) -> bytes:
        piece = self._source.read_chunk(most)
        self._digest.update(piece)
        return piece

    @property
    def checksum(self) -> Checksum:
        """Of all that was read."""
        return Checksum(self._algorithm, checksums.encode(self._digest.digest()))


class Copied(NamedTuple):
    written: PutResult
    checksum: Checksum


def transfer(
    context: Context,
    request: S3Request,
    stored: Reply,
    target: Target,
    kept: Mapping[str, str],
    conditions: Mapping[str, str],
) -> Copied:
    """Write what was opened as a new object. Raises what `current.write` raises."""
    known, algorithm = checksum_wanted(request.headers, stored)
    flow = Outflow(stored, stored.size)
    body: ObjectBody = flow
    if known is None:
        body = summed = Summed(flow, algorithm)

    def checksum() -> Checksum:
        return summed.checksum if known is None else known

    def late() -> dict[str, str]:
        return {object_headers.CHECKSUM: checksum().dump()}

    upload = Upload({**kept, "Etag": copies.etag_of_content(stored)}, body, late, conditions)
    try:
        written = context.objects.write(request, target.name, upload)
    finally:
        flow.close()
    return Copied(written, checksum())
