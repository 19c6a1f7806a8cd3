"""GetObjectRetention: no bucket has object lock."""

from __future__ import annotations

from objstore.s3.context import Context
from objstore.s3.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    raise S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration")


OPERATION = Operation(
    "GetObjectRetention",
    "GET",
    "object",
    handle,
    "s3:GetObjectRetention",
    "retention",
    note="answers that there is none",
)
