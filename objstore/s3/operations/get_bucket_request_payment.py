"""GetBucketRequestPayment: who pays for requests of others."""

from __future__ import annotations

from objstore.s3 import bucket_config, xml
from objstore.s3.access.check import REQUEST_PAYMENT
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    payer = bucket_config.read(context, request, REQUEST_PAYMENT) or "BucketOwner"
    return bucket_config.answer(xml.document("RequestPaymentConfiguration", [("Payer", payer)]))


OPERATION = Operation(
    "GetBucketRequestPayment", "GET", "bucket", handle, "s3:GetBucketRequestPayment", "requestPayment"
)
