"""PutBucketVersioning."""

from __future__ import annotations

from objstore.s3 import bucket_config, xml
from objstore.s3.context import Context
from objstore.s3.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response

STATES = ("Enabled", "Suspended")


def handle(context: Context, request: S3Request) -> Response:
    root = bucket_config.sent_xml(context, request, "VersioningConfiguration")
    xml.only(root, ("Status", "MfaDelete"))
    if xml.text(root, "MfaDelete") == "Enabled":
        raise S3Error("NotImplemented")
    state = xml.text(root, "Status")
    if not state:
        raise S3Error("IllegalVersioningConfigurationException")
    if state not in STATES:
        raise S3Error("MalformedXML")
    bucket_config.keep(context, request, bucket_config.VERSIONING, state)
    return Response(200)


OPERATION = Operation("PutBucketVersioning", "PUT", "bucket", handle, "s3:PutBucketVersioning", "versioning")
