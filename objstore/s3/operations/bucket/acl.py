"""The ACL of a bucket: set by a canned name, by grants in headers, or as a document."""

from __future__ import annotations

from objstore.access import acl
from objstore.access.bucket import ACL
from objstore.layers import documents
from objstore.s3.buckets import bucket_config
from objstore.s3.context import Context
from objstore.s3.language import acl_xml
from objstore.s3.operation import Operation
from objstore.s3.request.acl_headers import Owners
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def get(context: Context, request: S3Request) -> Response:
    bucket = context.access.bucket(request, context.buckets.resolve(request, request.bucket))
    # If ACLs are disabled, the stored one does not count.
    shown = acl.private(bucket.owner) if bucket.acls_disabled else bucket.acl
    return bucket_config.answer(acl_xml.to_xml(shown))


def put(context: Context, request: S3Request) -> Response:
    bucket = context.access.bucket(request, context.buckets.resolve(request, request.bucket))
    requested = context.access.requested_acl(request, bucket, Owners(bucket.owner, bucket.owner))
    name = bucket_config.registered_name(context, request)
    documents.keep(context.layer, request.context, name, ACL, acl.dump(requested, bucket.owner))
    return Response(200)


OPERATIONS = (
    Operation("GetBucketAcl", "GET", "bucket", get, "s3:GetBucketAcl", "acl"),
    Operation("PutBucketAcl", "PUT", "bucket", put, "s3:PutBucketAcl", "acl"),
)
