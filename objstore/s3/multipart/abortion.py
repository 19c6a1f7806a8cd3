"""Aborting an upload: the claim, then the parts, then the record, so that another request can finish after a crash.

The claim goes last: while it exists, a part that arrives late is refused and deleted.
"""

from __future__ import annotations

from objstore.s3.context import Context
from objstore.s3.multipart import claims, completion, parts, uploads
from objstore.s3.multipart.uploads import MultipartUpload
from objstore.s3.request.s3_request import S3Request


def abort(context: Context, request: S3Request) -> None:
    """Abort the upload of a request. Raises S3Error NoSuchUpload, OperationAborted while a completion is running."""
    upload = uploads.existing(context, request)
    _claim(context, request, upload)
    parts.delete(context, request, upload, (part.name for part in parts.attempts(context, request, upload)))
    uploads.remove(context, request, upload)
    claims.remove(context, request, upload)


def _claim(context: Context, request: S3Request, upload: MultipartUpload) -> None:
    if claims.make(context, request, upload, claims.ABORTED, 0) is not None:
        return
    current = claims.read(context, request, upload)
    if current is None or not current.over:
        raise claims.in_progress()
    if current.state == claims.ABORTED:  # continue the interrupted abortion
        return
    if current.state == claims.DONE or completion.committed(context, request, upload.id) is not None:
        uploads.remove(context, request, upload)
        raise uploads.no_such(upload.id)
    if claims.make(context, request, upload, claims.ABORTED, 0, current) is None:
        raise claims.in_progress()
