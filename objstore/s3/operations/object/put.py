"""PutObject."""

from __future__ import annotations

from objstore.s3.context import Context
from objstore.s3.data.object_headers import encryption
from objstore.s3.operation import Operation
from objstore.s3.operations import objects
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def put(context: Context, request: S3Request) -> Response:
    name = objects.new_object(context, request)
    stored = objects.upload_headers(context, request)
    objects.require_lock_checksum(context, request, name, stored)
    upload = objects.upload(request, stored)
    written = context.objects.write(request, name, upload)
    headers = {"ETag": f'"{written.etag}"', **objects.version_header(written.version_id), **encryption(stored)}
    checksum = objects.checksum_of(request)
    if checksum is not None:
        headers.update(checksum.headers())
    return Response(200, headers)


OPERATIONS = (Operation("PutObject", "PUT", "object", put, "s3:PutObject"),)
