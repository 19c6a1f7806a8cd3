"""The versioning state of a bucket."""

from __future__ import annotations

from objstore.layers.versioned_writes import location_of
from objstore.layers.versions import ENABLED, SUSPENDED, is_locked
from objstore.s3.buckets import bucket_config
from objstore.s3.context import Context
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def get(context: Context, request: S3Request) -> Response:
    """Return Enabled, Suspended, or nothing if versioning was never on."""
    state = bucket_config.read(context, request, bucket_config.VERSIONING)
    return bucket_config.answer(xml.document("VersioningConfiguration", [("Status", state or None)]))


STATES = (ENABLED, SUSPENDED)


def put(context: Context, request: S3Request) -> Response:
    root = bucket_config.request_xml(context, request, "VersioningConfiguration")
    xml.only(root, ("Status", "MfaDelete"))
    if xml.text(root, "MfaDelete") == "Enabled":
        raise S3Error("NotImplemented")
    state = xml.text(root, "Status")
    if not state:
        raise S3Error("IllegalVersioningConfigurationException")
    if state not in STATES:
        raise S3Error("MalformedXML")
    name = context.buckets.resolve(request, request.bucket)
    if location_of(context.layer.container_info(request.context, name).sysmeta):
        raise S3Error("InvalidBucketState", "Swift keeps versions of the objects of this bucket in another container.")
    if state != ENABLED and is_locked(context.layer.container_info(request.context, name).sysmeta):
        message = "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
        raise S3Error("InvalidBucketState", message)
    bucket_config.keep(context, request, bucket_config.VERSIONING, state)
    return Response(200)


OPERATIONS = (
    Operation("GetBucketVersioning", "GET", "bucket", get, "s3:GetBucketVersioning", "versioning"),
    Operation("PutBucketVersioning", "PUT", "bucket", put, "s3:PutBucketVersioning", "versioning"),
)
