"""Aborting an upload: the claim, then the parts, then the record, so that one who dies midway can be followed.

The claim goes last: while it is there, a part that arrives late is refused and deleted.
"""

from __future__ import annotations

from objstore.s3.context import Context
from objstore.s3.multipart import claims, completion, parts, uploads
from objstore.s3.multipart.uploads import Upload
from objstore.s3.request.s3_request import S3Request


def abort(context: Context, request: S3Request) -> None:
    """Raises S3Error NoSuchUpload, OperationAborted while the upload is being completed."""
    upload = uploads.existing(context, request)
    _claim(context, request, upload)
    parts.delete(context, request, upload, (part.name for part in parts.attempts(context, request, upload)))
    uploads.remove(context, request, upload)
    claims.remove(context, request, upload)


def _claim(context: Context, request: S3Request, upload: Upload) -> None:
    if claims.make(context, request, upload, claims.ABORTED, 0) is not None:
        return
    other = claims.look(context, request, upload)
    if other is None or not other.over:
        raise claims.in_progress()
    if other.state == claims.ABORTED:  # go on where that one stopped
        return
    if other.state == claims.DONE or completion.committed(context, request, upload.id) is not None:
        uploads.remove(context, request, upload)
        raise uploads.no_such(upload.id)
    if claims.make(context, request, upload, claims.ABORTED, 0, other) is None:
        raise claims.in_progress()
