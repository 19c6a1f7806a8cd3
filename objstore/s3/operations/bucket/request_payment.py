"""The payer of a bucket's requests; it is stored and reported, nobody is billed."""

from __future__ import annotations

from objstore.access.bucket import REQUEST_PAYMENT
from objstore.s3.buckets import bucket_config
from objstore.s3.context import Context
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def get(context: Context, request: S3Request) -> Response:
    payer = bucket_config.read(context, request, REQUEST_PAYMENT) or "BucketOwner"
    return bucket_config.answer(xml.document("RequestPaymentConfiguration", [("Payer", payer)]))


def put(context: Context, request: S3Request) -> Response:
    """Store the payer. With Requester, the access check requires others to agree to pay (`X-Amz-Request-Payer`)."""
    root = bucket_config.request_xml(context, request, "RequestPaymentConfiguration")
    payer = xml.text(root, "Payer")
    if payer not in ("BucketOwner", "Requester"):
        raise S3Error("MalformedXML")
    bucket_config.keep(context, request, REQUEST_PAYMENT, payer if payer == "Requester" else "")
    return Response(200)


OPERATIONS = (
    Operation("GetBucketRequestPayment", "GET", "bucket", get, "s3:GetBucketRequestPayment", "requestPayment"),
    Operation("PutBucketRequestPayment", "PUT", "bucket", put, "s3:PutBucketRequestPayment", "requestPayment"),
)
