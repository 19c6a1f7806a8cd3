"""DeleteObjectTagging."""

from __future__ import annotations

from objstore.s3 import current, headers, objects
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    version_id = current.change(context, request, objects.target(context, request), {headers.TAGS: ""})
    return Response(204, objects.version_header(version_id))


OPERATION = Operation(
    "DeleteObjectTagging",
    "DELETE",
    "object",
    handle,
    "s3:DeleteObjectTagging",
    "tagging",
    versioned_action="s3:DeleteObjectVersionTagging",
)
