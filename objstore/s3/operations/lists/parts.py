"""ListParts: the parts of an upload under way, by number."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from objstore.s3.context import Context
from objstore.s3.language import dates, xml
from objstore.s3.language.acl_xml import owner
from objstore.s3.language.errors import S3Error
from objstore.s3.multipart import parts, uploads
from objstore.s3.multipart.parts import Part
from objstore.s3.multipart.uploads import MultipartUpload
from objstore.s3.operation import Operation
from objstore.s3.operations.lists import listing
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response

_MARKER = "part-number-marker"


def list_parts(context: Context, request: S3Request) -> Response:
    upload = uploads.existing(context, request)
    limit = listing.max_entries(request.query, "max-parts", context.settings.max_listing)
    marker = _marker(request)
    shown: list[Part] = []
    cut = False
    if limit:
        attempts = parts.attempts(context, request, upload, marker)
        shown = list(itertools.islice(parts.last_attempts(attempts), limit + 1))
        cut = len(shown) > limit
        del shown[limit:]
    result = [
        ("Bucket", request.bucket),
        ("Key", request.key),
        ("UploadId", upload.id),
        ("Initiator", owner(upload.account)),
        ("Owner", owner(upload.account)),
        ("StorageClass", upload.storage_class),
        ("PartNumberMarker", marker),
        ("NextPartNumberMarker", shown[-1].number if shown else 0),
        ("MaxParts", limit),
        ("IsTruncated", cut),
        ("ChecksumAlgorithm", upload.algorithm or None),
        ("ChecksumType", upload.type if upload.algorithm else None),
        *(("Part", _part(part, upload)) for part in shown),
    ]
    return Response(200, {"Content-Type": "application/xml"}, xml.document("ListPartsResult", result))


def _marker(request: S3Request) -> int:
    text = request.query.get(_MARKER, "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 10):
        extra = {"ArgumentName": _MARKER, "ArgumentValue": text}
        raise S3Error("InvalidArgument", f"Argument {_MARKER} must be an integer between 0 and 2147483647", extra)
    return min(int(text or 0), 99_999)


def _part(part: Part, upload: MultipartUpload) -> Iterable[tuple[str, object]]:
    checksum = part.checksums.get(upload.algorithm)
    return [
        ("PartNumber", part.number),
        ("LastModified", dates.listed(part.modified)),
        ("ETag", f'"{part.etag}"'),
        ("Size", part.size),
        (f"Checksum{upload.algorithm}", checksum),
    ]


OPERATIONS = (Operation("ListParts", "GET", "object", list_parts, "s3:ListMultipartUploadParts", "uploadId"),)
