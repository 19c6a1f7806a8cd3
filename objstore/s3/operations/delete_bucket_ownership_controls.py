"""DeleteBucketOwnershipControls."""

from __future__ import annotations

from objstore.s3 import bucket_config
from objstore.s3.access.check import OWNERSHIP
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    bucket_config.keep(context, request, OWNERSHIP, "")
    return Response(204)


OPERATION = Operation(
    "DeleteBucketOwnershipControls", "DELETE", "bucket", handle, "s3:PutBucketOwnershipControls", "ownershipControls"
)
