"""GetObjectAttributes: the requested ones of an object's tag, checksum, parts, storage class and size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from objstore.core.listed import STORAGE_CLASS
from objstore.core.numbers import whole
from objstore.layers.interface import Reply
from objstore.s3.context import Context
from objstore.s3.data import object_headers
from objstore.s3.data.object_store import Target
from objstore.s3.data.storage_classes import STANDARD
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.operations import objects
from objstore.s3.operations.object import reading
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response, http_date

ATTRIBUTES = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")
_HEADER = "X-Amz-Object-Attributes"
_MAX_PARTS = 1000

Elements = Iterable[tuple[str, object]]


def attributes(context: Context, request: S3Request) -> Response:
    requested = _requested(request)
    target = objects.target(context, request)
    reading_it = "s3:GetObjectVersion" if target.version else "s3:GetObject"
    if context.access.denies(request, reading_it, target.name.of_container, request.key, target.version):
        raise S3Error("AccessDenied")
    stored = context.objects.read(request, target, head=True)
    checksum = object_headers.checksum(stored.headers)
    values: dict[str, object] = {
        "ETag": object_headers.etag(stored.headers),
        "Checksum": [(f"Checksum{checksum.algorithm}", checksum.value), ("ChecksumType", checksum.type)]
        if checksum is not None
        else None,
        "ObjectParts": _parts(context, request, target, stored) if "ObjectParts" in requested else None,
        "StorageClass": stored.headers.get(STORAGE_CLASS, STANDARD),
        "ObjectSize": stored.size,
    }
    headers = {
        "Content-Type": "application/xml",
        "Last-Modified": http_date(object_headers.modified(stored.headers)),
        **objects.version_header(stored.version_id),
    }
    elements = [(name, values[name]) for name in ATTRIBUTES if name in requested]
    return Response(200, headers, xml.document("GetObjectAttributesResponse", elements))


def _requested(request: S3Request) -> frozenset[str]:
    """Return the names of the requested attributes. Raises S3Error InvalidArgument."""
    requested = frozenset(name.strip() for name in request.header(_HEADER).split(",") if name.strip())
    wrong = next((name for name in sorted(requested) if name not in ATTRIBUTES), None)
    if not requested or wrong is not None:
        extra = {"ArgumentName": _HEADER.lower()}
        if wrong is not None:
            extra["ArgumentValue"] = wrong
        raise S3Error("InvalidArgument", "Invalid attribute name specified.", extra)
    return requested


def _parts(context: Context, request: S3Request, target: Target, stored: Reply) -> Elements | None:
    """Return the parts, None for an object uploaded in one piece. Only parts with a known checksum are listed."""
    count = reading.parts_count(stored.headers)
    if not count:
        return None
    marker, limit = _number(request, "X-Amz-Part-Number-Marker", 0), _number(request, "X-Amz-Max-Parts", _MAX_PARTS)
    limit = min(limit, _MAX_PARTS)
    page = list(enumerate(reading.parts(context, request, target), 1))[marker : marker + limit]
    shown = [("Part", _part(number, segment)) for number, segment in page if "checksum" in segment]
    last = page[-1][0] if page else marker
    return [
        ("PartsCount", count),
        ("PartNumberMarker", marker),
        ("NextPartNumberMarker", last),
        ("MaxParts", limit),
        ("IsTruncated", last < count and bool(page)),
        *shown,
    ]


def _part(number: int, segment: dict[str, Any]) -> Elements:
    checksum = segment["checksum"]
    return [
        ("PartNumber", number),
        ("Size", int(segment["bytes"])),
        (f"Checksum{checksum['algorithm']}", checksum["value"]),
    ]


def _number(request: S3Request, header: str, default: int) -> int:
    text = request.header(header)
    if not text:
        return default
    number = whole(text)
    if number is None:
        raise S3Error("InvalidArgument", "", {"ArgumentName": header.lower(), "ArgumentValue": text})
    return number


OPERATIONS = (
    Operation(
        "GetObjectAttributes",
        "GET",
        "object",
        attributes,
        "s3:GetObjectAttributes",
        "attributes",
        versioned_action="s3:GetObjectVersionAttributes",
    ),
)
