"""GetBucketLocation: the region of the store, which us-east-1 leaves unsaid."""

from __future__ import annotations

from objstore.s3 import bucket_config, xml
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    region = context.settings.region
    return bucket_config.answer(xml.document("LocationConstraint", "" if region == "us-east-1" else region))


OPERATION = Operation("GetBucketLocation", "GET", "bucket", handle, "s3:GetBucketLocation", "location")
