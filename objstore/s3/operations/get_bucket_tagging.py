"""GetBucketTagging."""

from __future__ import annotations

from objstore.s3 import bucket_config, tags
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    kept = bucket_config.read_or(context, request, bucket_config.TAGGING, "NoSuchTagSet")
    return bucket_config.answer(tags.to_xml(tags.load(kept)))


OPERATION = Operation("GetBucketTagging", "GET", "bucket", handle, "s3:GetBucketTagging", "tagging")
