"""CreateMultipartUpload: the headers of an object, before its parts come."""

from __future__ import annotations

from objstore.s3.context import Context
from objstore.s3.data.object_headers import encryption
from objstore.s3.language import checksums, xml
from objstore.s3.language.errors import S3Error
from objstore.s3.multipart import uploads
from objstore.s3.multipart.sums import TYPES
from objstore.s3.operation import Operation
from objstore.s3.operations import objects
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response

_ALGORITHM, _TYPE = "X-Amz-Checksum-Algorithm", "X-Amz-Checksum-Type"


def create(context: Context, request: S3Request) -> Response:
    algorithm, type = _chosen(request)
    stored = objects.upload_headers(context, request)
    upload = uploads.begin(context, request, algorithm, type, stored)
    headers = {"Content-Type": "application/xml", **encryption(stored)}
    if algorithm:
        headers |= {_ALGORITHM.lower(): algorithm, _TYPE.lower(): type}
    result = [("Bucket", request.bucket), ("Key", request.key), ("UploadId", upload.id)]
    return Response(200, headers, xml.document("InitiateMultipartUploadResult", result))


def _chosen(request: S3Request) -> tuple[str, str]:
    """Return algorithm and type of the checksums; if the upload chooses none, the full object's is computed.

    Raises S3Error InvalidRequest.
    """
    algorithm, type = request.header(_ALGORITHM).strip().upper(), request.header(_TYPE).strip().upper()
    if not algorithm:
        if type:
            raise S3Error(
                "InvalidRequest",
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )
        return "", uploads.FULL_OBJECT
    if "," in algorithm:
        raise S3Error("InvalidRequest", "Invalid types are specified in x-amz-checksum-algorithm header.")
    if algorithm not in checksums.ALGORITHMS:
        raise S3Error(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            f"[{', '.join(checksums.ALGORITHMS)}]",
        )
    if type not in ("", uploads.COMPOSITE, uploads.FULL_OBJECT):
        raise S3Error("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
    if type and type not in TYPES[algorithm]:
        raise S3Error(
            "InvalidRequest",
            f"The {type} checksum type cannot be used with the {algorithm.lower()} checksum algorithm.",
        )
    return algorithm, type or TYPES[algorithm][0]


OPERATIONS = (Operation("CreateMultipartUpload", "POST", "object", create, "s3:PutObject", "uploads"),)
