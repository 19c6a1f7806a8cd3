"""GetBucketPolicyStatus: is the bucket public, by its policy or its ACL? Without a policy too."""

from __future__ import annotations

from objstore.s3 import bucket_config, xml
from objstore.s3.access.decision import BUCKET_OWNER_ENFORCED
from objstore.s3.access.public import is_public
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web import acls
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    name = context.buckets.resolve(request, request.bucket)
    kept = context.access.bucket(context, request, name)
    info = context.native.container(request.environ, name)
    by_policy = kept.policy is not None and not kept.block.restrict_buckets and is_public(kept.policy)
    by_acl = kept.acl.public and not kept.block.ignore_acls and kept.ownership != BUCKET_OWNER_ENFORCED
    by_swift = not kept.block.ignore_acls and any(
        acls.without_public(acl) != acl for acl in (info.read_acl, info.write_acl)
    )
    return bucket_config.answer(xml.document("PolicyStatus", [("IsPublic", by_policy or by_acl or by_swift)]))


OPERATION = Operation("GetBucketPolicyStatus", "GET", "bucket", handle, "s3:GetBucketPolicyStatus", "policyStatus")
