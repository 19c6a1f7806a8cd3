"""Objects whose storage class another policy keeps than their bucket's.

All objects of a container are kept by one policy. So the data lie in a hidden container `class-N` of the bucket,
which has the policy with the index N, as `d/<id>/data`; the object under the key (the version's entry, where the
bucket has versions) is a manifest of that one segment, and owns it. An upload by parts has these in `parts-N`.

The data go first and the manifest last: readers see the one object or the other. Rows of the data count no
bytes, since the object does. A writer that dies between leaves data that nothing lists, until the bucket is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from objstore.core.errors import ObjstoreError
from objstore.core.manifests import FORM, MANIFEST, MANIFEST_ETAG, MANIFEST_OWNS, MANIFEST_SIZE, owns
from objstore.core.names import Name
from objstore.core.policies import Policies, StoragePolicy
from objstore.s3 import headers as names
from objstore.s3.context import Context
from objstore.s3.errors import S3Error
from objstore.s3.multipart.names import KIND as PARTS
from objstore.s3.multipart.names import new_id
from objstore.s3.native import ended, hidden
from objstore.s3.request import S3Request
from objstore.s3.stored import Target, Upload, Written, refused
from objstore.web import segments

KIND = "class"  # of `native.hidden`, with the policy's index
_TYPE = "application/octet-stream"
_LISTED_SIZE = "X-Object-Sysmeta-Container-Update-Override-Size"


def kind(plain: str, policy: int) -> str:
    """The kind of the hidden container that has things of a kind in the policy with that index."""
    return f"{plain}-{policy}"


def hidden_kinds(policies: Policies) -> list[str]:
    """The kinds of all hidden containers that a bucket can have."""
    indexes = [policy.index for policy in policies]
    placed = [kind(plain, index) for plain in (KIND, PARTS) for index in indexes] if len(indexes) > 1 else []
    return ["versions", PARTS, *placed]


def elsewhere(context: Context, request: S3Request, name: Name, kept: Mapping[str, str]) -> StoragePolicy | None:
    """The policy for an object with these kept headers in the bucket of a name; None for the bucket's own."""
    chosen = kept.get(names.STORAGE_CLASS)
    if chosen is None:
        return None
    bucket = context.native.container(request.environ, name)
    return context.classes.policy(chosen, bucket.policy_index) if bucket.exists else None


def make_container(context: Context, request: S3Request, bucket: Name, name: Name, policy: StoragePolicy) -> None:
    """Make the hidden container of a name, if it is not there yet. bucket: whose it is, or a name in that.

    Raises S3Error NoSuchBucket or OperationAborted if the bucket is being deleted.
    """
    if not context.native.container(request.environ, name).exists:
        headers = {"X-Storage-Policy": policy.name}
        ok = (201, 202, 404, 409)
        if context.native.done(request.environ, "PUT", name.of_container, ok, headers=headers).status >= 400:
            raise context.native.lost(request.environ, bucket)


def write(
    context: Context, request: S3Request, name: Name, upload: Upload, commit: Callable[[Upload], Written]
) -> Written:
    """Write an object by `commit`, after its data where another policy is to keep these. Raises what `commit` does."""
    if MANIFEST in upload.headers or upload.length == 0:
        return commit(upload)
    policy = elsewhere(context, request, name, upload.headers)
    if policy is None:
        return commit(upload)
    assert name.container is not None
    container = hidden(kind(KIND, policy.index), name.container)
    prefix = f"d/{new_id()}/"
    data = Name(name.account, container, f"{prefix}data")
    make_container(context, request, name, data, policy)
    manifest = _store(context, request, name, data, upload)
    try:
        return commit(manifest)
    except S3Error as refusal:
        if refusal.status < 500:  # else the manifest may be there
            _drop(context, request, data)
        raise


def _store(context: Context, request: S3Request, name: Name, data: Name, upload: Upload) -> Upload:
    """Write the data; what then to write under the key, which is `name`."""
    kept = dict(upload.headers)
    headers = {"Content-Type": _TYPE, _LISTED_SIZE: "0"}
    expected = kept.pop("Etag", "")
    if expected:
        headers["Etag"] = expected
    answer = context.native.ask(
        request.environ, "PUT", data, headers=headers, body=upload.body, stream=upload.stream, length=upload.length
    )
    answer.close()
    if answer.status == 404:
        raise context.native.lost(request.environ, name)
    if answer.status != 201:
        raise ended(answer, name) or refused(answer.status, Target(data), {})
    if upload.late is not None:
        kept |= upload.late()
    size = _size(context, request, data, upload)
    stored = answer.headers["Etag"].strip('"')
    etag = kept.get(MANIFEST_ETAG) or kept.get(names.ETAG) or stored
    kept |= {
        MANIFEST: FORM,
        MANIFEST_ETAG: etag,
        MANIFEST_SIZE: str(size),
        MANIFEST_OWNS: owns(data.container or "", (data.object or "").removesuffix("data")),
        names.LISTED_ETAG: etag,
        _LISTED_SIZE: str(size),
    }
    body = segments.dump([{"name": f"/{data.container}/{data.object}", "hash": stored, "bytes": size}])
    return Upload(kept, body=body, conditions=upload.conditions)


def _size(context: Context, request: S3Request, data: Name, upload: Upload) -> int:
    if upload.stream is None:
        return len(upload.body)
    if upload.length is not None:
        return upload.length
    answer = context.native.done(request.environ, "HEAD", data, (200,))
    return int(answer.headers["Content-Length"])


def _drop(context: Context, request: S3Request, data: Name) -> None:
    try:
        context.native.ask(request.environ, "DELETE", data).close()
    except ObjstoreError:
        pass  # they go with the bucket
