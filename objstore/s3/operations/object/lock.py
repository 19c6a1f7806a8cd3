"""The retention and legal hold of an object: there are none."""

from __future__ import annotations

from objstore.s3.context import Context
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def retention(context: Context, request: S3Request) -> Response:
    raise S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration")


def legal_hold(context: Context, request: S3Request) -> Response:
    raise S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration")


OPERATIONS = (
    Operation(
        "GetObjectRetention",
        "GET",
        "object",
        retention,
        "s3:GetObjectRetention",
        "retention",
        note="answers that there is none",
    ),
    Operation(
        "GetObjectLegalHold",
        "GET",
        "object",
        legal_hold,
        "s3:GetObjectLegalHold",
        "legal-hold",
        note="answers that there is none",
    ),
)
