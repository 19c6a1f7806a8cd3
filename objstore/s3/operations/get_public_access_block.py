"""GetPublicAccessBlock: the four flags."""

from __future__ import annotations

from objstore.s3 import bucket_config, xml
from objstore.s3.access.check import PUBLIC_ACCESS, read_block
from objstore.s3.context import Context
from objstore.s3.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response

FLAGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def handle(context: Context, request: S3Request) -> Response:
    default = context.settings.default_public_access_block
    text = bucket_config.read(context, request, PUBLIC_ACCESS) or default.replace("none", "")
    if not text:
        raise S3Error("NoSuchPublicAccessBlockConfiguration", "", {"BucketName": request.bucket})
    flags = zip(FLAGS, read_block(text), strict=True)
    return bucket_config.answer(xml.document("PublicAccessBlockConfiguration", flags))


OPERATION = Operation(
    "GetPublicAccessBlock", "GET", "bucket", handle, "s3:GetBucketPublicAccessBlock", "publicAccessBlock"
)
