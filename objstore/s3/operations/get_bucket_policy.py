"""GetBucketPolicy: the text as it was put."""

from __future__ import annotations

from objstore.s3 import bucket_config
from objstore.s3.access.check import POLICY
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    text = bucket_config.read_or(context, request, POLICY, "NoSuchBucketPolicy")
    return Response(200, {"Content-Type": "application/json"}, text.encode())


OPERATION = Operation("GetBucketPolicy", "GET", "bucket", handle, "s3:GetBucketPolicy", "policy")
