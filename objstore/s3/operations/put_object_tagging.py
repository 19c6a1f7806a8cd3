"""PutObjectTagging: replaces all tags of an object."""

from __future__ import annotations

from objstore.s3 import current, headers, objects, tags, xml
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    target = objects.target(context, request)
    kept = tags.from_xml(xml.parse(request.body.whole(context.settings.max_xml_body)))
    version_id = current.change(context, request, target, {headers.TAGS: tags.dump(kept)})
    return Response(200, objects.version_header(version_id))


OPERATION = Operation(
    "PutObjectTagging",
    "PUT",
    "object",
    handle,
    "s3:PutObjectTagging",
    "tagging",
    versioned_action="s3:PutObjectVersionTagging",
)
