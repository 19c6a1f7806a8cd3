"""ListObjects, the first version."""

from __future__ import annotations

from objstore.s3 import listing
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    asked = listing.asked(request, request.query.get("marker", ""), context.settings.max_listing)
    page = listing.page(context, request, asked)
    encode = asked.encode
    owner = listing.owner_xml(context.buckets.resolve(request, request.bucket).account)
    content = (
        listing.elements(
            ("Name", request.bucket),
            ("Prefix", listing.echoed_prefix(asked.prefix, encode)),
            ("Marker", encode(asked.after)),
            # Without a delimiter, clients take the last key.
            ("NextMarker", encode(page.last) if page.last and asked.delimiter else None),
            ("MaxKeys", asked.limit),
            ("Delimiter", encode(asked.delimiter) if asked.delimiter else None),
            ("EncodingType", listing.URL if request.query.get("encoding-type") else None),
            ("IsTruncated", bool(page.last)),
        )
        + listing.keys_xml(page.keys, encode, owner)
        + listing.prefixes_xml(page.prefixes, encode)
    )
    return Response(200, {"Content-Type": "application/xml"}, listing.document("ListBucketResult", content))


OPERATION = Operation("ListObjects", "GET", "bucket", handle, "s3:ListBucket")
