"""GetBucketOwnershipControls."""

from __future__ import annotations

from objstore.s3 import bucket_config, xml
from objstore.s3.access.check import OWNERSHIP
from objstore.s3.access.decision import OBJECT_WRITER
from objstore.s3.context import Context
from objstore.s3.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    default = context.settings.default_object_ownership
    ownership = bucket_config.read(context, request, OWNERSHIP) or (default if default != OBJECT_WRITER else "")
    if not ownership:
        raise S3Error("OwnershipControlsNotFoundError", "", {"BucketName": request.bucket})
    rule = ("Rule", [("ObjectOwnership", ownership)])
    return bucket_config.answer(xml.document("OwnershipControls", [rule]))


OPERATION = Operation(
    "GetBucketOwnershipControls", "GET", "bucket", handle, "s3:GetBucketOwnershipControls", "ownershipControls"
)
