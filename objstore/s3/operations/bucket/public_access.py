"""The public access block of a bucket."""

from __future__ import annotations

from objstore.access.bucket import PUBLIC_ACCESS, PublicAccessBlock, read_block
from objstore.s3.buckets import bucket_config
from objstore.s3.context import Context
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response

FLAGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def get(context: Context, request: S3Request) -> Response:
    default = context.settings.default_public_access_block
    text = bucket_config.read(context, request, PUBLIC_ACCESS) or default.replace("none", "")
    if not text:
        raise S3Error("NoSuchPublicAccessBlockConfiguration", "", {"BucketName": request.bucket})
    flags = zip(FLAGS, read_block(text), strict=True)
    return bucket_config.answer(xml.document("PublicAccessBlockConfiguration", flags))


_TRUTHS = {"true": True, "false": False, "": False}


def put(context: Context, request: S3Request) -> Response:
    """Store the flags; a missing one is false."""
    root = bucket_config.request_xml(context, request, "PublicAccessBlockConfiguration")
    xml.only(root, FLAGS)
    texts = [xml.text(root, flag).lower() for flag in FLAGS]
    if any(text not in _TRUTHS for text in texts):
        raise S3Error("MalformedXML")
    block = PublicAccessBlock(*(_TRUTHS[text] for text in texts))
    bucket_config.keep(context, request, PUBLIC_ACCESS, block.dump())
    return Response(200)


delete = bucket_config.deletion(PUBLIC_ACCESS)

OPERATIONS = (
    Operation("GetPublicAccessBlock", "GET", "bucket", get, "s3:GetBucketPublicAccessBlock", "publicAccessBlock"),
    Operation("PutPublicAccessBlock", "PUT", "bucket", put, "s3:PutBucketPublicAccessBlock", "publicAccessBlock"),
    Operation(
        "DeletePublicAccessBlock", "DELETE", "bucket", delete, "s3:PutBucketPublicAccessBlock", "publicAccessBlock"
    ),
)
