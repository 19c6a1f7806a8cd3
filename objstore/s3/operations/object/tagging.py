"""The tags of an object or version."""

from __future__ import annotations

from objstore.s3 import current, headers, objects, tags, xml
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def get(context: Context, request: S3Request) -> Response:
    """Return an empty set if the object has no tags."""
    stored = current.read(context, request, objects.target(context, request), current.HEAD)
    kept = tags.load(stored.headers.get(headers.TAGS, ""))
    said = {"Content-Type": "application/xml", **objects.version_header(stored.version_id)}
    return Response(200, said, tags.to_xml(kept))


def put(context: Context, request: S3Request) -> Response:
    target = objects.target(context, request)
    kept = tags.from_xml(xml.parse(request.body.whole(context.settings.max_xml_body)))
    version_id = current.change(context, request, target, {headers.TAGS: tags.dump(kept)})
    return Response(200, objects.version_header(version_id))


def delete(context: Context, request: S3Request) -> Response:
    version_id = current.change(context, request, objects.target(context, request), {headers.TAGS: ""})
    return Response(204, objects.version_header(version_id))


OPERATIONS = (
    Operation(
        "GetObjectTagging",
        "GET",
        "object",
        get,
        "s3:GetObjectTagging",
        "tagging",
        versioned_action="s3:GetObjectVersionTagging",
    ),
    Operation(
        "PutObjectTagging",
        "PUT",
        "object",
        put,
        "s3:PutObjectTagging",
        "tagging",
        versioned_action="s3:PutObjectVersionTagging",
    ),
    Operation(
        "DeleteObjectTagging",
        "DELETE",
        "object",
        delete,
        "s3:DeleteObjectTagging",
        "tagging",
        versioned_action="s3:DeleteObjectVersionTagging",
    ),
)
