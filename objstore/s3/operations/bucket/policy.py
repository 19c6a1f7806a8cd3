"""The policy of a bucket, and whether that makes it public."""

from __future__ import annotations

from objstore.access import condition_keys, policy
from objstore.access.bucket import POLICY
from objstore.access.public import is_public, is_public_bucket
from objstore.layers import documents
from objstore.s3.buckets import bucket_config
from objstore.s3.context import Context
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def get(context: Context, request: S3Request) -> Response:
    """Return the text that was stored, unchanged."""
    text = bucket_config.read_or(context, request, POLICY, "NoSuchBucketPolicy")
    return Response(200, {"Content-Type": "application/json"}, text.encode())


def status(context: Context, request: S3Request) -> Response:
    """Report whether policy or ACLs make the bucket public; also without a policy."""
    bucket = context.access.bucket(request, context.buckets.resolve(request, request.bucket))
    return bucket_config.answer(xml.document("PolicyStatus", [("IsPublic", is_public_bucket(bucket))]))


def put(context: Context, request: S3Request) -> Response:
    """Check and store the policy; refuse a public one if the public access block requires it."""
    body = request.body.whole(context.settings.max_xml_body)
    if not body:
        raise S3Error("MissingRequestBodyError")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise S3Error("MalformedPolicy") from None
    parsed = policy.parse(text, request.bucket)
    condition_keys.check_keys(parsed)
    bucket = context.access.bucket(request, context.buckets.resolve(request, request.bucket))
    if bucket.block.block_policy and is_public(parsed):
        raise S3Error("AccessDenied")
    name = bucket_config.registered_name(context, request)
    documents.keep(context.layer, request.context, name, POLICY, text)
    return Response(204)


delete = bucket_config.deletion(POLICY)

OPERATIONS = (
    Operation("GetBucketPolicy", "GET", "bucket", get, "s3:GetBucketPolicy", "policy"),
    Operation("GetBucketPolicyStatus", "GET", "bucket", status, "s3:GetBucketPolicyStatus", "policyStatus"),
    Operation("PutBucketPolicy", "PUT", "bucket", put, "s3:PutBucketPolicy", "policy"),
    Operation("DeleteBucketPolicy", "DELETE", "bucket", delete, "s3:DeleteBucketPolicy", "policy"),
)
