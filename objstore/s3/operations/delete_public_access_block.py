"""DeletePublicAccessBlock."""

from __future__ import annotations

from objstore.s3 import bucket_config
from objstore.s3.access.check import PUBLIC_ACCESS
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    bucket_config.keep(context, request, PUBLIC_ACCESS, "")
    return Response(204)


OPERATION = Operation(
    "DeletePublicAccessBlock", "DELETE", "bucket", handle, "s3:PutBucketPublicAccessBlock", "publicAccessBlock"
)
