"""Reading, writing, changing and deleting the data of objects: the one way from operations to `native`.

Operations say what they want of a key, or of a version of it; whether the bucket keeps versions, and
where, is decided here alone. Statuses of native answers become S3's errors here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from objstore.core.names import Name
from objstore.s3 import headers as names
from objstore.s3.context import Context
from objstore.s3.errors import S3Error
from objstore.s3.native import unexpected
from objstore.s3.request import S3Request
from objstore.web.responses import Answer

NULL = "null"  # the version that a bucket without versioning has of each key
READ_RESULTS = (200, 206, 304, 412, 416)


class Target(NamedTuple):
    """An object: its native name, and the version of it that is meant, '' for the current one."""

    name: Name
    version: str = ""


class Stored(NamedTuple):
    """What was read: the native answer (200, 206, 304, 412 or 416), its body to be read or closed.

    version_id: '' where the bucket never kept versions.
    """

    answer: Answer
    version_id: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return self.answer.headers

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return int(self.answer.headers.get("Content-Length", 0))


class Upload(NamedTuple):
    """What to write: headers as kept; body, or stream and length (None where not known).

    late: see `Native.ask`. conditions: If-Match and If-None-Match, decided at the commit.
    """

    headers: Mapping[str, str]
    body: bytes = b""
    stream: Any = None
    length: int | None = None
    late: Callable[[], Mapping[str, str]] | None = None
    conditions: Mapping[str, str] = {}


class Written(NamedTuple):
    """etag: without quotes. modified: an HTTP date. version_id: '' where the bucket never kept versions."""

    etag: str
    modified: str
    version_id: str = ""


class Deleted(NamedTuple):
    """marker: a delete marker was made, or one was deleted; its version_id is then that of the marker."""

    version_id: str = ""
    marker: bool = False


def read(
    context: Context,
    request: S3Request,
    target: Target,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> Stored:
    """Raises S3Error NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker by its version)."""
    if target.version not in ("", NULL):
        raise missing(target)
    answer = context.native.ask(request.environ, method, target.name, headers=headers, query=query)
    if answer.status in READ_RESULTS:
        return Stored(answer)
    answer.close()
    raise missing(target) if answer.status == 404 else unexpected(answer.status)


def write(context: Context, request: S3Request, name: Name, upload: Upload) -> Written:
    """Make an object the current one. Raises S3Error PreconditionFailed, ConditionalRequestConflict, NoSuchKey
    (If-Match on nothing), NoSuchBucket, and what reading the body raises."""
    answer = context.native.ask(
        request.environ,
        "PUT",
        name,
        headers={**upload.headers, **upload.conditions},
        body=upload.body,
        stream=upload.stream,
        length=upload.length,
        late=upload.late,
    )
    answer.close()
    if answer.status != 201:
        raise refused(answer.status, Target(name), upload.conditions)
    return Written(names.etag(answer.headers), answer.headers.get("Last-Modified", ""))


def change(context: Context, request: S3Request, target: Target, changed: Mapping[str, str]) -> str:
    """Set some of what may be changed later (`headers.ACL`, `headers.TAGS`; '' removes). The version id, or ''.

    Raises as `read` does.
    """
    stored = read(context, request, target, "HEAD")
    stored.answer.close()
    kept = names.reposted(stored.headers, changed)
    answer = context.native.ask(request.environ, "POST", target.name, headers=kept)
    answer.close()
    if answer.status == 404:
        raise missing(target)
    if answer.status != 202:
        raise unexpected(answer.status)
    return stored.version_id


def delete(
    context: Context, request: S3Request, target: Target, conditions: Mapping[str, str] | None = None
) -> Deleted:
    """Delete an object or a version of it; one that is not there is no error, unless a condition asks for it.

    conditions: If-Match. Raises S3Error PreconditionFailed, ConditionalRequestConflict, NoSuchKey (a condition on
    nothing).
    """
    if target.version not in ("", NULL):
        return Deleted(target.version)
    answer = context.native.ask(request.environ, "DELETE", target.name, headers=conditions)
    answer.close()
    if answer.status in (200, 204) or (answer.status == 404 and not conditions):
        return Deleted()
    raise refused(answer.status, target, conditions or {})


def missing(target: Target) -> S3Error:
    """The error for an object, or a version, that is not there."""
    key = target.name.object or ""
    if target.version:
        return S3Error("NoSuchVersion", "", {"Key": key, "VersionId": target.version})
    return S3Error("NoSuchKey", "", {"Key": key})


_REFUSALS = {
    408: "RequestTimeout",
    409: "ConditionalRequestConflict",
    413: "EntityTooLarge",
    422: "BadDigest",
    499: "IncompleteBody",
}


def refused(status: int, target: Target, conditions: Mapping[str, str]) -> S3Error:
    """The error for a native refusal of a write or a deletion."""
    if status == 412:
        condition = next((name for name in ("If-Match", "If-None-Match") if name in conditions), "")
        return S3Error("PreconditionFailed", "", {"Condition": condition} if condition else None)
    if status == 404:
        return (
            missing(target) if conditions else S3Error("NoSuchBucket", "", {"BucketName": target.name.container or ""})
        )
    code = _REFUSALS.get(status)
    return S3Error(code) if code else unexpected(status)
