"""Reading, writing, changing and deleting the data of objects: the one way from operations to `native`.

Operations say what they want of a key, or of a version of it; whether the bucket keeps versions, and
where, is decided here alone. Statuses of native answers become S3's errors here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from objstore.core.lives import LIFE
from objstore.core.manifests import MANIFEST, MANIFEST_ETAG
from objstore.core.names import Name
from objstore.s3 import headers as names
from objstore.s3 import placement, versions
from objstore.s3.context import Context
from objstore.s3.errors import S3Error
from objstore.s3.native import NOTHING_THERE, ended, unexpected
from objstore.s3.request import S3Request
from objstore.s3.stored import NULL, READ_RESULTS, Deleted, Stored, Target, Upload, Written, missing, refused

__all__ = [
    "NULL",
    "READ_RESULTS",
    "Deleted",
    "Stored",
    "Target",
    "Upload",
    "Written",
    "change",
    "delete",
    "missing",
    "read",
    "refused",
    "write",
]

_TRIES = 5  # of a change of metadata while the object is written again and again


def read(
    context: Context,
    request: S3Request,
    target: Target,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> Stored:
    """Raises S3Error NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker by its version)."""
    if versions.state(context, request, target.name):
        return versions.read(context, request, target, method, headers, query)
    if target.version not in ("", NULL):
        raise versions.unknown(target)
    answer = context.native.ask(request.environ, method, target.name, headers=headers, query=query)
    if answer.status in READ_RESULTS:
        return Stored(answer)
    answer.close()
    raise missing(target) if answer.status == 404 else unexpected(answer.status)


def write(context: Context, request: S3Request, name: Name, upload: Upload) -> Written:
    """Make an object the current one. Raises S3Error PreconditionFailed, ConditionalRequestConflict, NoSuchKey
    (If-Match on nothing), NoSuchBucket, and what reading the body raises."""
    return placement.write(context, request, name, upload, partial(_commit, context, request, name))


def _commit(context: Context, request: S3Request, name: Name, upload: Upload) -> Written:
    if versions.state(context, request, name):
        return versions.write(context, request, name, upload)
    headers = {**upload.headers, **upload.conditions}
    if MANIFEST in headers:  # what it lists is deleted with the bucket
        headers[LIFE] = context.native.container(request.environ, name).life
    answer = context.native.ask(
        request.environ,
        "PUT",
        name,
        headers=headers,
        body=upload.body,
        stream=upload.stream,
        length=upload.length,
        late=upload.late,
    )
    answer.close()
    if answer.status != 201:
        raise ended(answer, name) or refused(answer.status, Target(name), upload.conditions)
    etag = upload.headers.get(MANIFEST_ETAG) or names.etag(answer.headers)
    return Written(etag, answer.headers.get("Last-Modified", ""))


def change(context: Context, request: S3Request, target: Target, changed: Mapping[str, str]) -> str:
    """Set some of what may be changed later (`headers.ACL`, `headers.TAGS`; '' removes). The version id, or ''.

    Raises as `read` does.
    """
    if versions.state(context, request, target.name):
        return versions.change(context, request, target, changed)
    for _ in range(_TRIES):
        stored = read(context, request, target, "HEAD")
        stored.answer.close()
        # What is said again must be of this object, and not stand with one written meanwhile.
        kept = {**names.reposted(stored.headers, changed), "If-Match": names.quoted_etag(stored.headers)}
        answer = context.native.ask(request.environ, "POST", target.name, headers=kept)
        answer.close()
        if answer.status == 202:
            return stored.version_id
        if answer.status not in (404, 409, 412):
            raise unexpected(answer.status)
    raise missing(target) if answer.status == 404 else S3Error("OperationAborted")


def delete(
    context: Context, request: S3Request, target: Target, conditions: Mapping[str, str] | None = None
) -> Deleted:
    """Delete an object or a version of it; one that is not there is no error, unless a condition asks for it.

    conditions: If-Match. Raises S3Error PreconditionFailed, ConditionalRequestConflict, NoSuchKey (a condition on
    nothing).
    """
    if versions.state(context, request, target.name):
        return versions.delete(context, request, target, conditions or {})
    if target.version not in ("", NULL):
        versions.check_id(target)
        return Deleted(target.version)
    answer = context.native.ask(request.environ, "DELETE", target.name, headers=conditions)
    answer.close()
    if answer.status in (200, 204) or (answer.status == 404 and not conditions):
        return Deleted()
    if answer.status == 412 and NOTHING_THERE in answer.headers:
        raise missing(target)
    raise refused(answer.status, target, conditions or {})
