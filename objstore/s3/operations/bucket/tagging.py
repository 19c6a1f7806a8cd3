"""The tags of a bucket."""

from __future__ import annotations

from objstore.s3.buckets import bucket_config
from objstore.s3.context import Context
from objstore.s3.language import tags
from objstore.s3.operation import Operation
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def get(context: Context, request: S3Request) -> Response:
    document = bucket_config.read_or(context, request, bucket_config.TAGGING, "NoSuchTagSet")
    return bucket_config.answer(tags.to_xml(tags.load(document)))


def put(context: Context, request: S3Request) -> Response:
    root = bucket_config.request_xml(context, request, "Tagging")
    document = tags.dump(tags.from_xml(root, tags.MAX_OF_BUCKET))
    bucket_config.keep(context, request, bucket_config.TAGGING, document)
    return Response(204)


delete = bucket_config.deletion(bucket_config.TAGGING)

OPERATIONS = (
    Operation("GetBucketTagging", "GET", "bucket", get, "s3:GetBucketTagging", "tagging"),
    Operation("PutBucketTagging", "PUT", "bucket", put, "s3:PutBucketTagging", "tagging"),
    Operation("DeleteBucketTagging", "DELETE", "bucket", delete, "s3:PutBucketTagging", "tagging"),
)
