"""PutBucketOwnershipControls: ACLs can be disabled only once that of the bucket grants nothing to others."""

from __future__ import annotations

from objstore.s3 import bucket_config, xml
from objstore.s3.access.check import OWNERSHIP
from objstore.s3.access.decision import BUCKET_OWNER_ENFORCED, OWNERSHIPS
from objstore.s3.context import Context
from objstore.s3.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    root = bucket_config.sent_xml(context, request, "OwnershipControls")
    rules = root.findall("Rule")
    if len(rules) != 1 or len(root) != 1:
        raise S3Error("MalformedXML")
    ownership = xml.text(rules[0], "ObjectOwnership")
    if ownership not in OWNERSHIPS:
        raise S3Error("MalformedXML")
    kept = context.access.bucket(context, request, context.buckets.resolve(request, request.bucket))
    if ownership == BUCKET_OWNER_ENFORCED and any(grant.grantee != kept.owner for grant in kept.acl.grants):
        raise S3Error("InvalidBucketAclWithObjectOwnership")
    bucket_config.keep(context, request, OWNERSHIP, ownership)
    return Response(200)


OPERATION = Operation(
    "PutBucketOwnershipControls", "PUT", "bucket", handle, "s3:PutBucketOwnershipControls", "ownershipControls"
)
