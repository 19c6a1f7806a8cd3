"""The object lock of a bucket: whether it is enabled, which cannot be undone, and the rule for new objects."""

from __future__ import annotations

from objstore.layers.versions import ENABLED, LOCK_CONFIG, lock_rule, state
from objstore.s3.buckets import bucket_config
from objstore.s3.context import Context
from objstore.s3.language import lock_xml
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.operations.objects import require_checksum
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def get(context: Context, request: S3Request) -> Response:
    name = context.buckets.resolve(request, request.bucket)
    rule = lock_rule(context.layer.container_info(request.context, name).sysmeta)
    if rule is None:
        raise S3Error("ObjectLockConfigurationNotFoundError", "", {"BucketName": request.bucket})
    return bucket_config.answer(lock_xml.rule_to_xml(rule))


def put(context: Context, request: S3Request) -> Response:
    require_checksum(request.headers)
    rule = lock_xml.rule_from_xml(bucket_config.request_xml(context, request, "ObjectLockConfiguration"))
    name = context.buckets.resolve(request, request.bucket)
    if state(context.layer.container_info(request.context, name)) != ENABLED:
        message = "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
        raise S3Error("InvalidBucketState", message)
    bucket_config.keep(context, request, LOCK_CONFIG, rule.dump())
    return Response(200)


OPERATIONS = (
    Operation("GetObjectLockConfiguration", "GET", "bucket", get, "s3:GetBucketObjectLockConfiguration", "object-lock"),
    Operation("PutObjectLockConfiguration", "PUT", "bucket", put, "s3:PutBucketObjectLockConfiguration", "object-lock"),
)
