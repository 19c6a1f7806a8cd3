"""AbortMultipartUpload."""

from __future__ import annotations

from objstore.s3.context import Context
from objstore.s3.multipart import abortion
from objstore.s3.operation import Operation
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def abort(context: Context, request: S3Request) -> Response:
    abortion.abort(context, request)
    return Response(204)


OPERATIONS = (Operation("AbortMultipartUpload", "DELETE", "object", abort, "s3:AbortMultipartUpload", "uploadId"),)
