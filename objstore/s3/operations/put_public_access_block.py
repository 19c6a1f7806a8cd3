"""PutPublicAccessBlock: the four flags, false where they are left out."""

from __future__ import annotations

from objstore.s3 import bucket_config, xml
from objstore.s3.access.check import PUBLIC_ACCESS, block_text
from objstore.s3.access.decision import PublicAccessBlock
from objstore.s3.context import Context
from objstore.s3.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.operations.get_public_access_block import FLAGS
from objstore.s3.request import S3Request
from objstore.web.responses import Response

_TRUTHS = {"true": True, "false": False, "": False}


def handle(context: Context, request: S3Request) -> Response:
    root = bucket_config.sent_xml(context, request, "PublicAccessBlockConfiguration")
    xml.only(root, FLAGS)
    texts = [xml.text(root, flag).lower() for flag in FLAGS]
    if any(text not in _TRUTHS for text in texts):
        raise S3Error("MalformedXML")
    asked = PublicAccessBlock(*(_TRUTHS[text] for text in texts))
    bucket_config.keep(context, request, PUBLIC_ACCESS, block_text(asked))
    return Response(200)


OPERATION = Operation(
    "PutPublicAccessBlock", "PUT", "bucket", handle, "s3:PutBucketPublicAccessBlock", "publicAccessBlock"
)
