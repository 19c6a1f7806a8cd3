"""GetBucketAcl."""

from __future__ import annotations

from objstore.s3 import bucket_config
from objstore.s3.access import acl, acl_xml
from objstore.s3.access.decision import BUCKET_OWNER_ENFORCED
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    kept = context.access.bucket(context, request, context.buckets.resolve(request, request.bucket))
    # Where ACLs are disabled, what they said does not count.
    shown = acl.private(kept.owner) if kept.ownership == BUCKET_OWNER_ENFORCED else kept.acl
    return bucket_config.answer(acl_xml.to_xml(shown))


OPERATION = Operation("GetBucketAcl", "GET", "bucket", handle, "s3:GetBucketAcl", "acl")
