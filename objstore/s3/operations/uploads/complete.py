"""CompleteMultipartUpload: parts become an object."""

from __future__ import annotations

from objstore.s3.context import Context
from objstore.s3.data.object_headers import encryption
from objstore.s3.language import xml
from objstore.s3.multipart import completion
from objstore.s3.operation import Operation
from objstore.s3.operations import objects
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def complete(context: Context, request: S3Request) -> Response:
    done = completion.complete(context, request)
    result = [
        ("Location", _location(request)),
        ("Bucket", request.bucket),
        ("Key", request.key),
        ("ETag", f'"{done.etag}"'),
    ]
    if done.checksum is not None:
        result += [(f"Checksum{done.checksum.algorithm}", done.checksum.value), ("ChecksumType", done.checksum.type)]
    headers = {
        "Content-Type": "application/xml",
        **objects.version_header(done.version_id),
        **encryption(done.headers),
    }
    return Response(200, headers, xml.document("CompleteMultipartUploadResult", result))


def _location(request: S3Request) -> str:
    """Return the object's address: that of the request, without its query."""
    environ = request.environ
    path: str = environ["objstore.raw_target"].partition("?")[0]
    return f"{environ.get('wsgi.url_scheme', 'http')}://{environ.get('HTTP_HOST', '')}{path}"


OPERATIONS = (Operation("CompleteMultipartUpload", "POST", "object", complete, "s3:PutObject", "uploadId"),)
