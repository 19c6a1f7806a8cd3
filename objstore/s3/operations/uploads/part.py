"""UploadPart."""

from __future__ import annotations

from collections.abc import Mapping

from objstore.s3.context import Context
from objstore.s3.data.object_headers import Checksum, refuse_unsupported
from objstore.s3.language import checksums
from objstore.s3.language.errors import S3Error
from objstore.s3.multipart import parts, uploads
from objstore.s3.multipart.uploads import COMPOSITE, MultipartUpload
from objstore.s3.operation import Operation
from objstore.s3.operations import objects
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def upload(context: Context, request: S3Request) -> Response:
    parts.number_of(request, context.settings.max_parts)
    refuse_unsupported(request.headers, context.settings.server_side_encryption)
    upload = uploads.existing(context, request)
    sent = request.body.algorithm
    _check_algorithm(upload, sent)
    length = objects.checked_length(request.body.length)
    default = upload.algorithm or checksums.DEFAULT
    if length != 0:
        request.body.add_checksum(default)
        if default in checksums.RARE:
            request.body.add_checksum(checksums.COMPANION)

    def sums() -> Mapping[str, str]:
        if length != 0:
            return request.body.checksums
        return {default: checksums.of_nothing(default), **request.body.checksums}

    written = parts.write(context, request, upload, request.body, sums)
    shown = upload.algorithm or sent or checksums.DEFAULT
    headers = {"ETag": f'"{written.etag}"', Checksum(shown, "").header: sums().get(shown, "")}
    return Response(200, headers)


def _check_algorithm(upload: MultipartUpload, sent: str) -> None:
    """Raise S3Error InvalidRequest if a part has another checksum than its upload requires."""
    algorithm = upload.algorithm
    if not algorithm or sent == algorithm or (not sent and upload.type != COMPOSITE):
        return
    raise S3Error(
        "InvalidRequest",
        f"Checksum Type mismatch occurred, expected checksum Type: {algorithm.lower()}, "
        f"actual checksum Type: {sent.lower() or 'null'}",
    )


OPERATIONS = (Operation("UploadPart", "PUT", "object", upload, "s3:PutObject", "uploadId"),)
