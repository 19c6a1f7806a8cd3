"""The ACL of a bucket: set by a canned name, by grants in headers, or as a document."""

from __future__ import annotations

from objstore.s3 import bucket_config
from objstore.s3.access import acl, acl_xml
from objstore.s3.access.acl import Owners
from objstore.s3.access.check import ACL, sent_acl
from objstore.s3.access.decision import BUCKET_OWNER_ENFORCED
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def get(context: Context, request: S3Request) -> Response:
    kept = context.access.bucket(context, request, context.buckets.resolve(request, request.bucket))
    # Where ACLs are disabled, what they said does not count.
    shown = acl.private(kept.owner) if kept.ownership == BUCKET_OWNER_ENFORCED else kept.acl
    return bucket_config.answer(acl_xml.to_xml(shown))


def put(context: Context, request: S3Request) -> Response:
    kept = context.access.bucket(context, request, context.buckets.resolve(request, request.bucket))
    asked = sent_acl(context, request, kept, Owners(kept.owner, kept.owner))
    name = bucket_config.name_for_others(context, request)
    context.native.set_config(request.environ, name, ACL, acl.dump(asked, kept.owner))
    return Response(200)


OPERATIONS = (
    Operation("GetBucketAcl", "GET", "bucket", get, "s3:GetBucketAcl", "acl"),
    Operation("PutBucketAcl", "PUT", "bucket", put, "s3:PutBucketAcl", "acl"),
)
