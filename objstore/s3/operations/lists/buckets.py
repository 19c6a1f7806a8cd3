"""ListBuckets: those of the requester's account, by name."""

from __future__ import annotations

import base64
import binascii
from itertools import islice
from typing import Any

from objstore.core.errors import NotFound
from objstore.core.names import Name
from objstore.layers import listings
from objstore.layers.interface import Page
from objstore.s3.buckets import bucket_config
from objstore.s3.context import Context
from objstore.s3.language import acl_xml, dates, xml
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response

MAX_BUCKETS = 10_000


def list_buckets(context: Context, request: S3Request) -> Response:
    query = request.query
    prefix = query.get("prefix", "")
    limit = _limit(query.get("max-buckets"))
    rows: list[dict[str, Any]] = []
    if query.get("bucket-region", context.settings.region) == context.settings.region:
        page = Page(prefix, marker=_marker(query.get("continuation-token", "")), limit=1000)
        try:
            rows = list(islice(listings.rows(context.layer, request.context, Name(request.account), page), limit + 1))
        except NotFound:
            pass  # an account that does not exist yet has no buckets
    shown = rows[:limit]
    return bucket_config.answer(
        xml.document(
            "ListAllMyBucketsResult",
            [
                ("Owner", acl_xml.owner(request.account)),
                ("Buckets", [("Bucket", _bucket(row, context.settings.region)) for row in shown]),
                ("Prefix", prefix or None),
                ("ContinuationToken", _token(shown[-1]["name"]) if len(rows) > limit else None),
            ],
        )
    )


def _bucket(row: dict[str, Any], region: str) -> list[tuple[str, str]]:
    return [("Name", row["name"]), ("CreationDate", dates.listed(row["last_modified"])), ("BucketRegion", region)]


def _limit(text: str | None) -> int:
    """Return the value of max-buckets. Raises S3Error InvalidArgument."""
    if text is None:
        return MAX_BUCKETS
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_BUCKETS):
        extra = {"ArgumentName": "max-buckets", "ArgumentValue": text}
        raise S3Error("InvalidArgument", f"Argument max-buckets must be an integer between 1 and {MAX_BUCKETS}", extra)
    return int(text)


def _token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode("utf-8", "surrogateescape")).decode()


def _marker(token: str) -> str:
    try:
        return base64.b64decode(token, b"-_", validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        extra = {"ArgumentName": "continuation-token", "ArgumentValue": token}
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect", extra) from None


OPERATIONS = (Operation("ListBuckets", "GET", "service", list_buckets, ""),)
