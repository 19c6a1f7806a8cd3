"""GetObjectTagging: an empty set where the object has no tags."""

from __future__ import annotations

from objstore.s3 import current, headers, objects, tags
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    stored = current.read(context, request, objects.target(context, request), "HEAD")
    stored.answer.close()
    kept = tags.load(stored.headers.get(headers.TAGS, ""))
    said = {"Content-Type": "application/xml", **objects.version_header(stored.version_id)}
    return Response(200, said, tags.to_xml(kept))


OPERATION = Operation(
    "GetObjectTagging",
    "GET",
    "object",
    handle,
    "s3:GetObjectTagging",
    "tagging",
    versioned_action="s3:GetObjectVersionTagging",
)
