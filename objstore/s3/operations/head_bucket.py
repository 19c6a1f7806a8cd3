"""HeadBucket: is it there, may it be listed, and where is it."""

from __future__ import annotations

from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    headers = {"x-amz-bucket-region": context.settings.region, "x-amz-access-point-alias": "false"}
    return Response(200, {**headers, "Content-Type": "application/xml"})


OPERATION = Operation("HeadBucket", "HEAD", "bucket", handle, "s3:ListBucket")
