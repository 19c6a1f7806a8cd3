"""PutBucketRequestPayment: with Requester, others must agree to pay, which the access check sees to."""

from __future__ import annotations

from objstore.s3 import bucket_config, xml
from objstore.s3.access.check import REQUEST_PAYMENT
from objstore.s3.context import Context
from objstore.s3.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    root = bucket_config.sent_xml(context, request, "RequestPaymentConfiguration")
    payer = xml.text(root, "Payer")
    if payer not in ("BucketOwner", "Requester"):
        raise S3Error("MalformedXML")
    bucket_config.keep(context, request, REQUEST_PAYMENT, payer if payer == "Requester" else "")
    return Response(200)


OPERATION = Operation(
    "PutBucketRequestPayment", "PUT", "bucket", handle, "s3:PutBucketRequestPayment", "requestPayment"
)
