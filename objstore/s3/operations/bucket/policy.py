"""The policy of a bucket, and whether that makes it public."""

from __future__ import annotations

from objstore.s3 import bucket_config, xml
from objstore.s3.access import facts, policy
from objstore.s3.access.check import POLICY
from objstore.s3.access.decision import BUCKET_OWNER_ENFORCED
from objstore.s3.access.public import is_public
from objstore.s3.context import Context
from objstore.s3.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web import acls
from objstore.web.responses import Response


def get(context: Context, request: S3Request) -> Response:
    """Return the text as it was put."""
    text = bucket_config.read_or(context, request, POLICY, "NoSuchBucketPolicy")
    return Response(200, {"Content-Type": "application/json"}, text.encode())


def status(context: Context, request: S3Request) -> Response:
    """Report whether policy or ACLs make the bucket public; also without a policy."""
    name = context.buckets.resolve(request, request.bucket)
    kept = context.access.bucket(context, request, name)
    info = context.native.container(request.environ, name)
    by_policy = kept.policy is not None and not kept.block.restrict_buckets and is_public(kept.policy)
    by_acl = kept.acl.public and not kept.block.ignore_acls and kept.ownership != BUCKET_OWNER_ENFORCED
    by_swift = not kept.block.ignore_acls and any(
        acls.without_public(acl) != acl for acl in (info.read_acl, info.write_acl)
    )
    return bucket_config.answer(xml.document("PolicyStatus", [("IsPublic", by_policy or by_acl or by_swift)]))


def put(context: Context, request: S3Request) -> Response:
    """Check the policy first; a public one is refused if the public access block says so."""
    body = request.body.whole(context.settings.max_xml_body)
    if not body:
        raise S3Error("MissingRequestBodyError")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise S3Error("MalformedPolicy") from None
    asked = policy.parse(text, request.bucket)
    facts.check_keys(asked)
    kept = context.access.bucket(context, request, context.buckets.resolve(request, request.bucket))
    if kept.block.block_policy and is_public(asked):
        raise S3Error("AccessDenied")
    name = bucket_config.name_for_others(context, request)
    context.native.set_config(request.environ, name, POLICY, text)
    return Response(204)


def delete(context: Context, request: S3Request) -> Response:
    bucket_config.keep(context, request, POLICY, "")
    return Response(204)


OPERATIONS = (
    Operation("GetBucketPolicy", "GET", "bucket", get, "s3:GetBucketPolicy", "policy"),
    Operation("GetBucketPolicyStatus", "GET", "bucket", status, "s3:GetBucketPolicyStatus", "policyStatus"),
    Operation("PutBucketPolicy", "PUT", "bucket", put, "s3:PutBucketPolicy", "policy"),
    Operation("DeleteBucketPolicy", "DELETE", "bucket", delete, "s3:DeleteBucketPolicy", "policy"),
)
