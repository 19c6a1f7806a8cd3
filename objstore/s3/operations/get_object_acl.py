"""GetObjectAcl: of an object or a version of it."""

from __future__ import annotations

from objstore.s3 import bucket_config, current, headers, objects
from objstore.s3.access import acl, acl_xml
from objstore.s3.access.decision import BUCKET_OWNER_ENFORCED
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    target = objects.target(context, request)
    stored = current.read(context, request, target, "HEAD")
    stored.answer.close()
    kept = context.access.bucket(context, request, target.name.of_container)
    if kept.ownership == BUCKET_OWNER_ENFORCED:
        shown = acl.private(kept.owner)
    else:
        shown = acl.load(stored.headers.get(headers.ACL, ""), kept.owner)
    response = bucket_config.answer(acl_xml.to_xml(shown))
    response.headers.update(objects.version_header(stored.version_id))
    return response


OPERATION = Operation(
    "GetObjectAcl", "GET", "object", handle, "s3:GetObjectAcl", "acl", versioned_action="s3:GetObjectVersionAcl"
)
