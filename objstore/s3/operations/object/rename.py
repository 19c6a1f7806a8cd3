"""RenameObject: the bytes and all that is kept with them go to another key of the same bucket.

The store writes the new name and deletes the old one in one stroke, if the old one still is what was copied. At no
time is the object under neither name. Where the bucket keeps versions the old one is deleted afterwards.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from objstore.core.errors import ObjstoreError
from objstore.core.manifests import MANIFEST, MANIFEST_ETAG
from objstore.s3 import copying, current, objects, versions
from objstore.s3 import headers as names
from objstore.s3.addressing import check_key
from objstore.s3.context import Context
from objstore.s3.current import Stored, Target, Upload
from objstore.s3.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.outflow import Outflow
from objstore.s3.request import S3Request
from objstore.web.responses import Response
from objstore.web.write_conditions import RENAME_ETAG, RENAME_SOURCE

SOURCE = "X-Amz-Rename-Source"
_SOURCE_CONDITIONS = "X-Amz-Rename-Source-"
_KEPT = ("X-Object-Meta-", "X-Object-Sysmeta-S3-", "X-Object-Transient-Sysmeta-S3-")
_GONE = ("NoSuchKey", "PreconditionFailed")


def rename(context: Context, request: S3Request) -> Response:
    key = _source_key(request)
    bucket = request.bucket
    context.access.require(context, request, "s3:GetObject", bucket, key)
    source = Target(context.access.require(context, request, "s3:DeleteObject", bucket, key))
    stored = copying.open_source(context, request, source, prefix=_SOURCE_CONDITIONS)
    copying.check_size(stored)
    flow = Outflow(stored.answer, stored.size)
    versioned = bool(versions.state(context, request, source.name))
    try:
        upload = Upload(
            {**_kept(stored), **copying.expected(stored), **({} if versioned else _renaming(source, stored))},
            stream=flow,
            length=stored.size,
            conditions=objects.write_conditions(request.headers),
        )
        current.write(context, request, objects.name_of(context, request), upload)
    finally:
        flow.close()
    if versioned:
        _delete(context, request, source, stored)
    return Response(200)


def _renaming(source: Target, stored: Stored) -> dict[str, str]:
    """What makes a native PUT a renaming of an object that has not changed since it was read."""
    assert source.name.object is not None
    return {RENAME_SOURCE: quote(source.name.object), RENAME_ETAG: names.quoted_etag(stored.headers)}


def _delete(context: Context, request: S3Request, source: Target, stored: Stored) -> None:
    try:
        current.delete(context, request, source, {"If-Match": names.quoted_etag(stored.headers)})
    except S3Error as failure:
        if failure.code not in _GONE:
            raise
    except ObjstoreError:
        raise S3Error("InternalError") from None


def _source_key(request: S3Request) -> str:
    """The key in x-amz-rename-source: percent-encoded, alone or as `/bucket/key`. Raises S3Error."""
    header = request.header(SOURCE)
    try:
        key = unquote(header, errors="strict")
    except UnicodeDecodeError:
        key = ""
    key = key.removeprefix(f"/{request.bucket}/") if key.startswith("/") else key
    if not key or "\0" in key:
        extra = {"ArgumentName": SOURCE.lower(), "ArgumentValue": header}
        raise S3Error("InvalidArgument", "The rename source must name a key of the bucket", extra)
    check_key(key)
    if key.endswith("/") or request.key.endswith("/"):
        raise S3Error("InvalidRequest", "Keys that end with a slash cannot be renamed")
    if key == request.key:
        raise S3Error("InvalidRequest", "The source and the destination of the renaming are the same")
    return key


def _kept(stored: Stored) -> dict[str, str]:
    """All that is kept with the source. The tag of an object made of parts stays what it was."""
    kept = names.copied_metadata(stored.headers) | names.carried(stored.headers, _KEPT)
    if MANIFEST in stored.headers or names.ETAG in stored.headers:
        etag = names.etag(stored.headers)
        kept |= {names.ETAG: etag, MANIFEST_ETAG: etag, names.LISTED_ETAG: etag}
    return kept | names.listed_class(kept)


OPERATIONS = (Operation("RenameObject", "PUT", "object", rename, "s3:PutObject", "renameObject"),)
