"""CopyObject: an object, or a version of one, as a new object."""

from __future__ import annotations

from objstore.s3 import copying, dates, objects, xml
from objstore.s3.context import Context
from objstore.s3.current import Target
from objstore.s3.objects import CopySource
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    name = objects.new_object(context, request)
    source = CopySource(request.header(copying.SOURCE))
    chosen = copying.directives(request.headers)
    copying.check_change(request, source, chosen)
    stored = copying.open_source(context, request, source.target(context, request))
    copying.check_size(stored)
    try:
        kept = copying.kept_of_copy(context, request, stored, chosen)
        conditions = objects.write_conditions(request.headers)
        copied = copying.transfer(context, request, stored, Target(name), kept, conditions)
    finally:
        stored.answer.close()
    said = {"Content-Type": "application/xml", **objects.version_header(copied.written.version_id)}
    if stored.version_id:
        said["x-amz-copy-source-version-id"] = stored.version_id
    checksum = copied.checksum
    result = [
        ("LastModified", dates.of_http(copied.written.modified)),
        ("ETag", f'"{copied.written.etag}"'),
        ("ChecksumType", checksum.type),
        (f"Checksum{checksum.algorithm}", checksum.value),
    ]
    return Response(200, said, xml.document("CopyObjectResult", result))


OPERATION = Operation("CopyObject", "PUT", "object", handle, "s3:PutObject", header=copying.SOURCE)
