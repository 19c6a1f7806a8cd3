"""RenameObject: the bytes and all headers stored with them move to another key of the same bucket.

The store writes the new name and deletes the old one in one step, if the object under the old one is unchanged. The
object always exists under one of the names. If the bucket keeps versions the old one is deleted afterwards.
"""

from __future__ import annotations

from urllib.parse import unquote

from objstore.core.expiry import DELETE_AT
from objstore.core.listed import LISTED_ETAG, class_header
from objstore.core.manifests import MANIFEST, MANIFEST_ETAG
from objstore.layers import copies
from objstore.layers.interface import RenameSource, Reply
from objstore.layers.outflow import Outflow
from objstore.s3.context import Context
from objstore.s3.data import object_headers
from objstore.s3.data.object_store import ObjectUpload, Target
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.operations import objects
from objstore.s3.operations.object import copying
from objstore.s3.request.addressing import check_key
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response

SOURCE = "X-Amz-Rename-Source"
_SOURCE_CONDITIONS = "X-Amz-Rename-Source-"
_DATES = ("If-Modified-Since", "If-Unmodified-Since")  # of the destination, which the store cannot check as it commits
_PREFIXES = ("X-Object-Meta-", "X-Object-Sysmeta-S3-", "X-Object-Transient-Sysmeta-S3-", DELETE_AT)


def rename(context: Context, request: S3Request) -> Response:
    for name in _DATES:
        if name in request.headers:
            raise S3Error("NotImplemented", "", {"Header": name})
    key = _source_key(request)
    bucket = request.bucket
    context.access.require(request, "s3:GetObject", bucket, key)
    source = Target(context.access.require(request, "s3:DeleteObject", bucket, key))
    stored = copying.open_source(context, request, source, prefix=_SOURCE_CONDITIONS)
    copying.check_size(stored)
    flow = Outflow(stored, stored.size)
    try:
        upload = ObjectUpload(
            {**_stored_headers(stored), "Etag": copies.etag_of_content(stored)},
            flow,
            conditions=objects.write_conditions(request.headers),
            rename=RenameSource(key, object_headers.quoted_etag(stored.headers)),
        )
        context.objects.write(request, objects.name_of(context, request), upload)
    finally:
        flow.close()
    return Response(200)


def _source_key(request: S3Request) -> str:
    """Return the key in x-amz-rename-source: percent-encoded, alone or as `/bucket/key`. Raises S3Error."""
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


def _stored_headers(stored: Reply) -> dict[str, str]:
    """Return the headers stored with the source. The tag of an object made of parts does not change."""
    headers = object_headers.copied_metadata(stored.headers) | object_headers.with_prefixes(stored.headers, _PREFIXES)
    if MANIFEST in stored.headers or object_headers.ETAG in stored.headers:
        etag = object_headers.etag(stored.headers)
        headers |= {object_headers.ETAG: etag, MANIFEST_ETAG: etag, LISTED_ETAG: etag}
    return headers | class_header(headers)


OPERATIONS = (Operation("RenameObject", "PUT", "object", rename, "s3:PutObject", "renameObject"),)
