"""UploadPartCopy: an object, a version of one, or some of its bytes, as a part."""

from __future__ import annotations

import re

from objstore.layers.interface import Reply
from objstore.layers.outflow import Outflow
from objstore.s3.context import Context
from objstore.s3.data.object_headers import quoted_etag
from objstore.s3.language import checksums, dates, xml
from objstore.s3.language.errors import S3Error
from objstore.s3.multipart import parts, uploads
from objstore.s3.operation import Operation
from objstore.s3.operations import objects
from objstore.s3.operations.object import copying
from objstore.s3.operations.objects import CopySource
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response

RANGE = "X-Amz-Copy-Source-Range"
_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})\Z")


def copy(context: Context, request: S3Request) -> Response:
    parts.number_of(request, context.settings.max_parts)
    span = _requested_range(request.header(RANGE))
    target = CopySource(request.header(copying.SOURCE)).target(context, request)
    upload = uploads.existing(context, request)
    head = copying.open_source(context, request, target, head=True)
    conditions = {"If-Match": quoted_etag(head.headers)}
    length = head.size
    if span is not None:
        length = _check_range(span, head, request.header(RANGE))
        conditions["Range"] = f"bytes={span[0]}-{span[1]}"
    if length > objects.MAX_PUT:
        raise S3Error(
            "InvalidRequest",
            f"The specified copy source is larger than the maximum allowable size for a copy source: {objects.MAX_PUT}",
        )
    stored = context.objects.read(request, target, conditions)
    if stored.status not in (200, 206):  # it was replaced between both reads
        stored.close()
        raise S3Error("PreconditionFailed")
    algorithm = upload.algorithm or checksums.DEFAULT
    flow = Outflow(stored, length)
    stream = copying.Summed(flow, algorithm)
    try:
        written = parts.write(context, request, upload, stream, lambda: stream.checksums)
    finally:
        flow.close()
    headers = {"Content-Type": "application/xml"}
    if stored.version_id:
        headers["x-amz-copy-source-version-id"] = stored.version_id
    result = [("LastModified", dates.iso(written.timestamp.ceiling)), ("ETag", f'"{written.etag}"')]
    if upload.algorithm:
        result.append((f"Checksum{algorithm}", stream.checksum.value))
    return Response(200, headers, xml.document("CopyPartResult", result))


def _requested_range(text: str) -> tuple[int, int] | None:
    """Return first and last byte, None for the whole. Raises S3Error InvalidArgument."""
    if not text:
        return None
    match = _RANGE.match(text)
    if match is None or int(match[1]) > int(match[2]):
        raise S3Error(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            {"ArgumentName": RANGE.lower(), "ArgumentValue": text},
        )
    return int(match[1]), int(match[2])


def _check_range(span: tuple[int, int], stored: Reply, text: str) -> int:
    """Return the number of bytes of a range. Raises S3Error InvalidRange if it exceeds the source."""
    if span[1] >= stored.size:
        raise S3Error(
            "InvalidRange",
            f"Range specified is not valid for source object of size: {stored.size}",
            {"RangeRequested": text, "ActualObjectSize": str(stored.size)},
        )
    return span[1] - span[0] + 1


OPERATIONS = (Operation("UploadPartCopy", "PUT", "object", copy, "s3:PutObject", "uploadId", copying.SOURCE),)
