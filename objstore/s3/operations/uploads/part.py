"""UploadPart."""

from __future__ import annotations

from collections.abc import Mapping

from objstore.s3.context import Context
from objstore.s3.data.object_headers import Checksum, refuse_unsupported
from objstore.s3.language import checksums
from objstore.s3.language.errors import S3Error
from objstore.s3.multipart import parts, uploads
from objstore.s3.multipart.uploads import COMPOSITE, Upload
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
    kept = upload.algorithm or checksums.DEFAULT
    if length != 0:
        request.body.add_checksum(kept)

    def known() -> Mapping[str, str]:
        return request.body.checksums if length != 0 else {kept: _of_nothing(kept), **request.body.checksums}

    written = parts.write(context, request, upload, request.body, known)
    told = upload.algorithm or sent or checksums.DEFAULT
    said = {"ETag": f'"{written.etag}"', Checksum(told, "").header: known().get(told, "")}
    return Response(200, said)


def _check_algorithm(upload: Upload, sent: str) -> None:
    """Raises S3Error InvalidRequest where a part comes with another checksum than its upload is to have."""
    wanted = upload.algorithm
    if not wanted or sent == wanted or (not sent and upload.type != COMPOSITE):
        return
    raise S3Error(
        "InvalidRequest",
        f"Checksum Type mismatch occurred, expected checksum Type: {wanted.lower()}, "
        f"actual checksum Type: {sent.lower() or 'null'}",
    )


def _of_nothing(algorithm: str) -> str:
    return checksums.encode(checksums.ALGORITHMS[algorithm].new().digest())


OPERATIONS = (Operation("UploadPart", "PUT", "object", upload, "s3:PutObject", "uploadId"),)
