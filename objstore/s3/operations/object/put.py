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
    kept = objects.kept_of_upload(context, request)
    upload = objects.upload(request, kept)
    written = context.objects.write(request, name, upload)
    said = {"ETag": f'"{written.etag}"', **objects.version_header(written.version_id), **encryption(kept)}
    checksum = objects.checksum_of(request)
    if checksum is not None:
        said.update(checksum.headers())
    return Response(200, said)


OPERATIONS = (Operation("PutObject", "PUT", "object", put, "s3:PutObject"),)
