"""GetBucketVersioning: Enabled, Suspended, or nothing where it never was on."""

from __future__ import annotations

from objstore.s3 import bucket_config, xml
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    state = bucket_config.read(context, request, bucket_config.VERSIONING)
    return bucket_config.answer(xml.document("VersioningConfiguration", [("Status", state or None)]))


OPERATION = Operation("GetBucketVersioning", "GET", "bucket", handle, "s3:GetBucketVersioning", "versioning")
