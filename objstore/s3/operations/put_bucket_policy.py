"""PutBucketPolicy: checked first; a public one only where those are not blocked."""

from __future__ import annotations

from objstore.s3 import bucket_config
from objstore.s3.access import facts, policy
from objstore.s3.access.check import POLICY
from objstore.s3.access.public import is_public
from objstore.s3.context import Context
from objstore.s3.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
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


OPERATION = Operation("PutBucketPolicy", "PUT", "bucket", handle, "s3:PutBucketPolicy", "policy")
