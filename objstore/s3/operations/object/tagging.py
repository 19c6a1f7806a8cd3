"""The tags of an object or version."""

from __future__ import annotations

from objstore.s3.context import Context
from objstore.s3.data import object_headers
from objstore.s3.language import tags, xml
from objstore.s3.operation import Operation
from objstore.s3.operations import objects
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def get(context: Context, request: S3Request) -> Response:
    """Return an empty set if the object has no tags."""
    stored = context.objects.read(request, objects.target(context, request), head=True)
    tag_set = tags.load(stored.headers.get(object_headers.TAGS, ""))
    headers = {"Content-Type": "application/xml", **objects.version_header(stored.version_id)}
    return Response(200, headers, tags.to_xml(tag_set))


def put(context: Context, request: S3Request) -> Response:
    target = objects.target(context, request)
    tag_set = tags.from_xml(xml.parse(request.body.whole(context.settings.max_xml_body)))
    version_id = context.objects.change(request, target, {object_headers.TAGS: tags.dump(tag_set)})
    return Response(200, objects.version_header(version_id))


def delete(context: Context, request: S3Request) -> Response:
    version_id = context.objects.change(request, objects.target(context, request), {object_headers.TAGS: ""})
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
