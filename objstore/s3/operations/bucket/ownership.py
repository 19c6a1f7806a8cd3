"""The object ownership of a bucket."""

from __future__ import annotations

from objstore.access.bucket import BUCKET_OWNER_ENFORCED, OBJECT_WRITER, OWNERSHIP, OWNERSHIPS
from objstore.s3.buckets import bucket_config
from objstore.s3.context import Context
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response

_NAME = "ownershipControls"


def get(context: Context, request: S3Request) -> Response:
    default = context.settings.default_object_ownership
    ownership = bucket_config.read(context, request, OWNERSHIP) or (default if default != OBJECT_WRITER else "")
    if not ownership:
        raise S3Error("OwnershipControlsNotFoundError", "", {"BucketName": request.bucket})
    rule = ("Rule", [("ObjectOwnership", ownership)])
    return bucket_config.answer(xml.document("OwnershipControls", [rule]))


def put(context: Context, request: S3Request) -> Response:
    """Set the ownership. ACLs can be disabled only if the ACL of the bucket grants nothing to others."""
    root = bucket_config.request_xml(context, request, "OwnershipControls")
    rules = root.findall("Rule")
    if len(rules) != 1 or len(root) != 1:
        raise S3Error("MalformedXML")
    ownership = xml.text(rules[0], "ObjectOwnership")
    if ownership not in OWNERSHIPS:
        raise S3Error("MalformedXML")
    bucket = context.access.bucket(request, context.buckets.resolve(request, request.bucket))
    if ownership == BUCKET_OWNER_ENFORCED and any(grant.grantee != bucket.owner for grant in bucket.acl.grants):
        raise S3Error("InvalidBucketAclWithObjectOwnership")
    bucket_config.keep(context, request, OWNERSHIP, ownership)
    return Response(200)


delete = bucket_config.deletion(OWNERSHIP)

OPERATIONS = (
    Operation("GetBucketOwnershipControls", "GET", "bucket", get, "s3:GetBucketOwnershipControls", _NAME),
    Operation("PutBucketOwnershipControls", "PUT", "bucket", put, "s3:PutBucketOwnershipControls", _NAME),
    Operation(
        "DeleteBucketOwnershipControls",
        "DELETE",
        "bucket",
        delete,
        "s3:PutBucketOwnershipControls",
        "ownershipControls",
    ),
)
