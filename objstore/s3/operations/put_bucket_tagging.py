"""PutBucketTagging: replaces all tags of a bucket."""

from __future__ import annotations

from objstore.s3 import bucket_config, tags
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    root = bucket_config.sent_xml(context, request, "Tagging")
    kept = tags.dump(tags.from_xml(root, tags.MOST_OF_BUCKET))
    bucket_config.keep(context, request, bucket_config.TAGGING, kept)
    return Response(204)


OPERATION = Operation("PutBucketTagging", "PUT", "bucket", handle, "s3:PutBucketTagging", "tagging")
