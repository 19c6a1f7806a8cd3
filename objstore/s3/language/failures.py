"""The answers to failed requests: S3's error document, and the one table from core errors to S3's."""

from __future__ import annotations

from objstore.access.policy import MalformedPolicy
from objstore.core import errors as core
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error
from objstore.web.responses import Response

# The first matching class counts: subclasses precede their bases.
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (core.ChecksumMismatch, "BadDigest"),
    (core.TooManyContainers, "TooManyBuckets"),
    (core.LimitExceeded, "EntityTooLarge"),
    (core.MetadataTooLarge, "MetadataTooLarge"),
    (core.InvalidInput, "InvalidRequest"),
    (core.AccountDeleted, "AccountProblem"),
    (core.NoContainer, "NoSuchBucket"),
    (core.NotFound, "NoSuchKey"),
    (core.LinkConflict, "InvalidRequest"),
    (core.Conflict, "OperationAborted"),
    (core.NameHeld, "OperationAborted"),
    (core.PreconditionFailed, "PreconditionFailed"),
    (core.BodyTruncated, "IncompleteBody"),
    (core.BodyTimeout, "RequestTimeout"),
    (core.RateLimited, "SlowDown"),
    (core.AccountBlocked, "AccountProblem"),
    (core.WritesDisabled, "MethodNotAllowed"),
    (core.QuotaExceeded, "QuotaExceeded"),
    (core.QuotaBusy, "SlowDown"),
    (core.NoSpace, "ServiceUnavailable"),
    (core.DeviceUnavailable, "ServiceUnavailable"),
    (core.LockTimeout, "ServiceUnavailable"),
    (core.NodeFailure, "ServiceUnavailable"),
)
# Errors that name their bucket or key.
_OF_BUCKET = frozenset({"NoSuchBucket", "BucketNotEmpty", "BucketAlreadyExists", "BucketAlreadyOwnedByYou"})
_OF_KEY = frozenset({"NoSuchKey"})
_RETRY_AFTER = "1"  # seconds


def from_core(failure: BaseException) -> S3Error:
    """Return the S3 error for one of our own; InternalError for any without a meaning to a client."""
    if isinstance(failure, MalformedPolicy):
        return S3Error("MalformedPolicy", str(failure), {"Detail": failure.detail} if failure.detail else None)
    if isinstance(failure, core.ObjectHeld):
        return S3Error("AccessDenied", f"Access Denied because object protected by object lock: {failure}.")
    for kind, code in _CODES:
        if isinstance(failure, kind):
            message = str(failure) if isinstance(failure, (core.InvalidInput, core.LinkConflict)) else ""
            return S3Error(code, message)
    return S3Error("InternalError")


def respond(error: S3Error, bucket: str, key: str, request_id: str) -> Response:
    """Return the response to a failed request, with code, message, ids and the elements of the error itself."""
    if error.status == 304:
        return Response(304, error.headers)
    extra = dict(error.extra)
    if error.code in _OF_BUCKET and bucket:
        extra.setdefault("BucketName", bucket)
    if error.code in _OF_KEY and key:
        extra.setdefault("Key", key)
    content = [
        ("Code", error.code),
        ("Message", error.message),
        *extra.items(),
        ("RequestId", request_id),
        ("HostId", request_id),
    ]
    page = xml.document("Error", content, namespace="")
    return Response(error.status, {"Content-Type": "application/xml", **retry_headers(error), **error.headers}, page)


def retry_headers(error: S3Error) -> dict[str, str]:
    """Return headers with the time to retry.

    In seconds for all clients, in milliseconds for AWS's SDKs, which read no other.
    """
    if error.status != 503:
        return {}
    seconds = error.headers.get("Retry-After", _RETRY_AFTER)
    return {"Retry-After": seconds, "x-amz-retry-after": f"{seconds}000" if seconds.isdigit() else "1000"}
