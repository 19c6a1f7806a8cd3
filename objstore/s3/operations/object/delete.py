"""DeleteObject: 204 whether or not the object existed, unless the request has a condition."""

from __future__ import annotations

from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.operations import objects
from objstore.s3.operations.object import deleting
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def delete(context: Context, request: S3Request) -> Response:
    conditions = deleting.of_headers(request.headers)
    deleted = deleting.delete(context, request, objects.target(context, request), conditions)
    headers = objects.version_header(deleted.version_id)
    if deleted.marker:
        headers["x-amz-delete-marker"] = "true"
    return Response(204, headers)


OPERATIONS = (
    Operation("DeleteObject", "DELETE", "object", delete, "s3:DeleteObject", versioned_action="s3:DeleteObjectVersion"),
)
