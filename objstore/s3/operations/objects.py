"""Shared by operations on objects: names, the stored headers of an upload, the source of a copy."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from objstore.core.names import Name
from objstore.core.object_lock import LOCK
from objstore.layers import versions
from objstore.s3.context import Context
from objstore.s3.data import lock_headers, object_headers
from objstore.s3.data.object_headers import Checksum
from objstore.s3.data.object_store import ObjectUpload, Target
from objstore.s3.language import checksums
from objstore.s3.language.errors import S3Error
from objstore.s3.request import declared
from objstore.s3.request.addressing import check_key
from objstore.s3.request.s3_request import S3Request

_NOT_OF_WHOLE_OBJECTS = {
    "partNumber": "A part must be sent with the uploadId of its upload",
    "versionId": "This operation does not accept a version-id.",
}
MAX_PUT = declared.MAX_PUT
_CHECKED = ("Content-Md5", checksums.TRAILER, *checksums.BY_HEADER)


def name_of(context: Context, request: S3Request) -> Name:
    """Return the native name of the object of a request. Raises S3Error NoSuchBucket."""
    bucket = context.buckets.resolve(request, request.bucket)
    return Name(bucket.account, bucket.container, request.key)


def new_object(context: Context, request: S3Request) -> Name:
    """Return the native name of a new object.

    Raises S3Error NoSuchBucket, and InvalidArgument if the query names a part, or an existing version.
    """
    if not _NOT_OF_WHOLE_OBJECTS.keys().isdisjoint(request.query):
        for name, message in _NOT_OF_WHOLE_OBJECTS.items():
            if name in request.query:
                extra = {"ArgumentName": name, "ArgumentValue": request.query[name]}
                raise S3Error("InvalidArgument", message, extra)
    return name_of(context, request)


def target(context: Context, request: S3Request) -> Target:
    """Return the object, or the version of it, of a request. Raises S3Error NoSuchBucket."""
    return Target(name_of(context, request), request.version_id)


def write_conditions(headers: Mapping[str, str]) -> dict[str, str]:
    """Return If-Match and If-None-Match of a request that changes an object.

    Raises S3Error NotImplemented for an If-None-Match of anything but `*`, as S3 does.
    """
    if "If-Match" not in headers and "If-None-Match" not in headers:
        return {}
    conditions = {name: headers[name] for name in ("If-Match", "If-None-Match") if headers.get(name)}
    if conditions.get("If-None-Match", "*").strip() != "*":
        raise S3Error("NotImplemented", extra={"Header": "If-None-Match"})
    return conditions


def version_header(version_id: str) -> dict[str, str]:
    return {"x-amz-version-id": version_id} if version_id else {}


def checked_length(length: int | None) -> int | None:
    """Return the announced length of an upload, None for HTTP chunks without one. Raises S3Error EntityTooLarge."""
    if length is not None and length > MAX_PUT:
        raise declared.too_large(length)
    return length


def upload_headers(context: Context, request: S3Request) -> dict[str, str]:
    """Return the headers stored with a new object, from those of its request. Raises S3Error."""
    headers = object_headers.stored_headers(
        request.headers, context.classes.names, context.settings.server_side_encryption
    )
    headers.update(object_headers.tagging(request.headers))
    if not lock_headers.HEADERS.isdisjoint(request.headers):
        headers[LOCK] = requested_lock(context, request)
    acl = context.access.new_object_acl(request)
    if acl:
        headers[object_headers.ACL] = acl
    return headers


def requested_lock(context: Context, request: S3Request) -> str:
    """Return the lock that the headers of a new object ask for, as it is stored. Raises S3Error."""
    lock = lock_headers.requested(request.headers).dump()
    if not is_locked(context, request):
        raise S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration")
    name = context.buckets.resolve(request, request.bucket)
    for action in lock_headers.rights(request.headers):
        if not context.access.allows(request, action, name, request.key):
            raise S3Error("AccessDenied")
    return lock


def is_locked(context: Context, request: S3Request) -> bool:
    """Return whether the request's bucket has object lock. Raises S3Error NoSuchBucket."""
    name = context.buckets.resolve(request, request.bucket)
    return versions.is_locked(context.layer.container_info(request.context, name).sysmeta)


def may_bypass(context: Context, request: S3Request, key: str, version_id: str) -> bool:
    """Return whether the client asks to bypass governance mode, and may do so."""
    if not lock_headers.is_bypass(request.headers):
        return False
    name = context.buckets.resolve(request, request.bucket)
    return context.access.allows(request, "s3:BypassGovernanceRetention", name, key, version_id)


def require_checksum(headers: Mapping[str, str]) -> None:
    """Raise S3Error InvalidRequest if no header protects the body of a request."""
    if not any(name in headers for name in _CHECKED):
        raise S3Error("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")


def require_lock_checksum(context: Context, request: S3Request, name: Name, stored: Mapping[str, str]) -> None:
    """Raise S3Error InvalidRequest if an object that will be retained comes without a checksum of the client's.

    name, stored: of the object, as upload_headers returns them.
    """
    sysmeta = context.layer.container_info(request.context, name).sysmeta
    if not versions.is_locked(sysmeta) or any(header in request.headers for header in _CHECKED):
        return
    rule = versions.lock_rule(sysmeta)
    if LOCK in stored or (rule is not None and rule.mode):
        raise S3Error(
            "InvalidRequest",
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock "
            "parameters",
        )


def upload(request: S3Request, headers: Mapping[str, str]) -> ObjectUpload:
    """Return the body of a request as an upload; its checksum is stored with the object. Raises S3Error."""
    body = request.body
    checked_length(body.length)
    if not body.algorithm:
        body.add_checksum(checksums.DEFAULT)
    body.settle_empty()

    def late() -> dict[str, str]:
        checksum = checksum_of(request)
        return {object_headers.CHECKSUM: checksum.dump()} if checksum is not None else {}

    return ObjectUpload(headers, body, late, write_conditions(request.headers))


def checksum_of(request: S3Request) -> Checksum | None:
    """Return the checksum of the request's body, after it was read."""
    body = request.body
    if not body.length and not body.checksums:
        return Checksum(checksums.DEFAULT, checksums.of_nothing(checksums.DEFAULT))
    return Checksum.first_of(body.checksums)


class CopySource:
    """The object named in x-amz-copy-source: `/bucket/key?versionId=id`, percent-encoded."""

    __slots__ = ("bucket", "key", "version")

    def __init__(self, header: str) -> None:
        """Raises S3Error InvalidArgument, NoSuchKey, KeyTooLongError."""
        path, _, query = header.partition("?")
        if query == "versionId=":
            extra = {"ArgumentName": "x-amz-copy-source", "ArgumentValue": header}
            raise S3Error("InvalidArgument", "Version id cannot be the empty string", extra)
        if query and not query.startswith("versionId="):
            raise _bad_source("Copy Source must mention the source bucket and key: sourcebucket/sourcekey", header)
        try:
            text = unquote(path, errors="strict").removeprefix("/")
            self.version = unquote(query.removeprefix("versionId="), errors="strict")
            header.encode()  # bytes that are not UTF-8 and not percent-encoded
        except UnicodeError:
            raise _bad_source("Invalid copy source encoding.", header) from None
        self.bucket, _, self.key = text.partition("/")
        if not self.bucket or not self.key or "\0" in text:
            raise _bad_source("Copy Source must mention the source bucket and key: sourcebucket/sourcekey", header)
        check_key(self.key)

    def target(self, context: Context, request: S3Request) -> Target:
        """Return the object. Raises S3Error NoSuchBucket, and AccessDenied if the client may not read it."""
        action = "s3:GetObjectVersion" if self.version else "s3:GetObject"
        expected = request.header("X-Amz-Source-Expected-Bucket-Owner")
        context.access.expect_owner(request, self.bucket, expected)
        return Target(context.access.require(request, action, self.bucket, self.key, self.version), self.version)


def _bad_source(message: str, header: str) -> S3Error:
    return S3Error("InvalidArgument", message, {"ArgumentName": "x-amz-copy-source", "ArgumentValue": header})
