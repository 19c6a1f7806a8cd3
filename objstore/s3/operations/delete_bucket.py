"""DeleteBucket: an empty one, with its uploads under way."""

from __future__ import annotations

from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    context.buckets.delete(request, context.buckets.resolve(request, request.bucket))
    return Response(204)


OPERATION = Operation("DeleteBucket", "DELETE", "bucket", handle, "s3:DeleteBucket")
