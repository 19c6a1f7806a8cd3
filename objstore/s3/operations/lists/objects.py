"""ListObjects and ListObjectsV2."""

from __future__ import annotations

from objstore.s3.context import Context
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.operations.lists import listing
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def list_objects(context: Context, request: S3Request) -> Response:
    selection = listing.selection(request, request.query.get("marker", ""), context.settings.max_listing)
    page = listing.page(context, request, selection)
    encode = selection.encode
    owner = listing.owner_xml(context.buckets.resolve(request, request.bucket).account)
    content = (
        listing.elements(
            ("Name", request.bucket),
            ("Prefix", listing.echoed_prefix(selection.prefix, encode)),
            ("Marker", encode(selection.after)),
            # Without a delimiter, clients use the last key.
            ("NextMarker", encode(page.last) if page.last and selection.delimiter else None),
            ("MaxKeys", selection.limit),
            ("Delimiter", encode(selection.delimiter) if selection.delimiter else None),
            ("EncodingType", listing.URL if request.query.get("encoding-type") else None),
            ("IsTruncated", bool(page.last)),
        )
        + listing.keys_xml(page.keys, encode, owner)
        + listing.prefixes_xml(page.prefixes, encode)
    )
    return Response(200, {"Content-Type": "application/xml"}, listing.document("ListBucketResult", content))


def list_objects_v2(context: Context, request: S3Request) -> Response:
    query = request.query
    if query["list-type"] != "2":
        raise S3Error("InvalidArgument", "Invalid List Type specified in Request", _argument(request, "list-type"))
    token, start = query.get("continuation-token"), query.get("start-after")
    after = listing.read_token(token) if token else start or ""
    selection = listing.selection(request, after, context.settings.max_listing)
    page = listing.page(context, request, selection)
    encode = selection.encode
    owner = ""
    if query.get("fetch-owner", "").lower() == "true":
        owner = listing.owner_xml(context.buckets.resolve(request, request.bucket).account)
    content = (
        listing.elements(
            ("Name", request.bucket),
            ("Prefix", encode(selection.prefix)),
            ("StartAfter", encode(start) if start is not None else None),
            ("ContinuationToken", xml.escape(token) if token is not None else None),
            ("NextContinuationToken", listing.token(page.last) if page.last else None),
            ("KeyCount", len(page.keys) + len(page.prefixes)),
            ("MaxKeys", selection.limit),
            ("Delimiter", encode(selection.delimiter) if selection.delimiter else None),
            ("EncodingType", listing.URL if query.get("encoding-type") else None),
            ("IsTruncated", bool(page.last)),
        )
        + listing.keys_xml(page.keys, encode, owner)
        + listing.prefixes_xml(page.prefixes, encode)
    )
    return Response(200, {"Content-Type": "application/xml"}, listing.document("ListBucketResult", content))


def _argument(request: S3Request, name: str) -> dict[str, str]:
    return {"ArgumentName": name, "ArgumentValue": request.query[name]}


OPERATIONS = (
    Operation("ListObjects", "GET", "bucket", list_objects, "s3:ListBucket"),
    Operation("ListObjectsV2", "GET", "bucket", list_objects_v2, "s3:ListBucket", "list-type"),
)
