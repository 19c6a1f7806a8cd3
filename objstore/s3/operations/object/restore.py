"""RestoreObject: refused, since objects of every storage class can be read at once here, and none is archived."""

from __future__ import annotations

from objstore.core.listed import STORAGE_CLASS
from objstore.s3.context import Context
from objstore.s3.data.storage_classes import STANDARD
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.operations import objects
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def restore(context: Context, request: S3Request) -> Response:
    """Raise S3Error InvalidObjectState, or MalformedXML, NoSuchKey, NoSuchVersion and others."""
    xml.parse(request.body.whole(context.settings.max_xml_body), "RestoreRequest")
    stored = context.objects.read(request, objects.target(context, request), head=True)
    storage_class = stored.headers.get(STORAGE_CLASS, STANDARD)
    raise S3Error(
        "InvalidObjectState",
        "Restore is not allowed for the object's current storage class",
        {"StorageClass": storage_class},
    )


OPERATIONS = (
    Operation(
        "RestoreObject",
        "POST",
        "object",
        restore,
        "s3:RestoreObject",
        "restore",
        note="answers that the object is not archived",
    ),
)
