"""CopyObject: an object, or a version of one, as a new object."""

from __future__ import annotations

from objstore.s3.context import Context
from objstore.s3.data.object_headers import encryption
from objstore.s3.data.object_store import Target
from objstore.s3.language import dates, xml
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.operations import objects
from objstore.s3.operations.object import copying
from objstore.s3.operations.objects import CopySource
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def copy(context: Context, request: S3Request) -> Response:
    if "Range" in request.headers:
        extra = {"ArgumentName": "Range", "ArgumentValue": request.headers["Range"]}
        raise S3Error("InvalidArgument", "RANGE is not supported in Copy!", extra)
    name = objects.new_object(context, request)
    conditions = objects.write_conditions(request.headers)
    source = CopySource(request.header(copying.SOURCE))
    replaced = copying.directives(request.headers)
    copying.check_change(request, source, replaced)
    target = source.target(context, request)
    stored = copying.open_source(context, request, target)
    copying.check_size(stored)
    try:
        headers = copying.copy_headers(context, request, stored, target, replaced)
        copied = copying.transfer(context, request, stored, Target(name), headers, conditions)
    finally:
        stored.close()
    answer = {
        "Content-Type": "application/xml",
        **objects.version_header(copied.written.version_id),
        **encryption(headers),
    }
    if stored.version_id:
        answer["x-amz-copy-source-version-id"] = stored.version_id
    checksum = copied.checksum
    result = [
        ("LastModified", dates.iso(copied.written.timestamp.ceiling)),
        ("ETag", f'"{copied.written.etag}"'),
        ("ChecksumType", checksum.type),
        (f"Checksum{checksum.algorithm}", checksum.value),
    ]
    return Response(200, answer, xml.document("CopyObjectResult", result))


OPERATIONS = (Operation("CopyObject", "PUT", "object", copy, "s3:PutObject", header=copying.SOURCE),)
