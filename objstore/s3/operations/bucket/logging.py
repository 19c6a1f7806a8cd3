"""The server access logging of a bucket: where its log objects go."""

from __future__ import annotations

import time

from objstore.access.log_delivery import may_deliver
from objstore.core.names import Name
from objstore.layers import documents
from objstore.s3.access import refuse_public
from objstore.s3.bucket_logs.configuration import LOGGING, Logging, from_xml, load, to_xml
from objstore.s3.buckets import bucket_config
from objstore.s3.context import Context
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def get(context: Context, request: S3Request) -> Response:
    document = bucket_config.read(context, request, LOGGING)
    return bucket_config.answer(to_xml(load(document) if document else None))


def put(context: Context, request: S3Request) -> Response:
    name = context.buckets.resolve(request, request.bucket)
    root = bucket_config.request_xml(context, request, "BucketLoggingStatus")
    logging = from_xml(root, name.account, context.access.has_account)
    if logging is not None:
        if not context.settings.bucket_log_spool:
            raise S3Error("NotImplemented", "This store has no spool for server access logs (bucket_log_spool).")
        _check_target(context, request, name, logging)
        context.buckets.register(request, name)  # refused requests are logged too, for which only the name is known
    document = logging.dump() if logging is not None else ""
    documents.keep(context.layer, request.context, name, LOGGING, document)
    return Response(200)


def _check_target(context: Context, request: S3Request, source: Name, logging: Logging) -> None:
    """Refuse a target bucket that takes no logs of this bucket.

    Raises S3Error InvalidTargetBucketForLogging, AccessControlListNotSupported, AccessDenied.
    """
    refusal = S3Error("InvalidTargetBucketForLogging", "", {"TargetBucket": logging.target})
    try:
        target = context.buckets.resolve(request, logging.target)
        bucket = context.access.bucket(request, target)
    except S3Error as failure:
        raise (refusal if failure.code in ("NoSuchBucket", "InvalidBucketName") else failure) from None
    prefix = target._replace(object=logging.prefix)
    if not may_deliver(bucket, prefix, source, time.time(), context.settings.region):
        raise refusal
    if logging.grants:
        if bucket.acls_disabled:
            raise S3Error("AccessControlListNotSupported")
        refuse_public(logging.acl(target.account), bucket.block)


OPERATIONS = (
    Operation("GetBucketLogging", "GET", "bucket", get, "s3:GetBucketLogging", "logging"),
    Operation("PutBucketLogging", "PUT", "bucket", put, "s3:PutBucketLogging", "logging"),
)
