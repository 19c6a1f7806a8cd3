"""Reading, writing, changing and deleting objects: the one way from operations to the object layer.

Operations name a key, or a version of it; the layer has the versioning of the bucket, and the place of the data. This
module turns its errors into S3's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from objstore.core import errors as core
from objstore.core.errors import ObjstoreError
from objstore.core.listed import STORAGE_CLASS
from objstore.core.manifests import MANIFEST, MANIFEST_ETAG
from objstore.core.names import Name
from objstore.core.object_lock import LockChange
from objstore.core.timestamps import Timestamp
from objstore.layers.bodies import ObjectBody
from objstore.layers.interface import (
    DeleteOptions,
    DeleteResult,
    PutResult,
    ReadOptions,
    RenameSource,
    Reply,
    VersionedLayer,
)
from objstore.layers.options import put_options, update_options
from objstore.s3.data import object_headers
from objstore.s3.data.storage_classes import UNMAPPED, StorageClasses
from objstore.s3.language import failures
from objstore.s3.language.errors import S3Error
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import http_date
from objstore.web.write_conditions import WriteCondition

NULL = "null"  # the version of each key in a bucket without versioning
_TRIES = 5  # of a change of metadata during concurrent writes
_NOTHING: Mapping[str, str] = {}


class Target(NamedTuple):
    """An object, and the requested version of it, '' for the current one."""

    name: Name
    version: str = ""


class ObjectUpload(NamedTuple):
    """An object to write: stored headers, among them an Etag that the body must have, and the body.

    late, rename: see `PutOptions`. conditions: If-Match and If-None-Match, decided at the commit.
    """

    headers: Mapping[str, str]
    body: ObjectBody
    late: Callable[[], Mapping[str, str]] | None = None
    conditions: Mapping[str, str] = _NOTHING
    rename: RenameSource | None = None


class S3Objects:
    """Objects of buckets, and versions of them. classes: the available storage classes.

    permit_read: checks a request's right to read an object that another one refers to, as `ReadOptions.permit`.
    """

    def __init__(
        self,
        layer: VersionedLayer,
        permit_read: Callable[[S3Request, Name], None],
        classes: StorageClasses = UNMAPPED,
    ) -> None:
        self._layer = layer
        self._permit_read = permit_read
        self._classes = classes

    def read(
        self,
        request: S3Request,
        target: Target,
        conditions: Mapping[str, str] = _NOTHING,
        head: bool = False,
        raw: bool = False,
    ) -> Reply:
        """Open an object or a version of it. conditions, head, raw: see `ReadOptions`.

        Raises S3Error NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker by its version).
        """
        permit = partial(self._permit_read, request)
        options = ReadOptions(conditions, head, raw=raw, version_id=target.version, permit=permit)
        try:
            reply = self._layer.open(request.context, target.name, options)
        except core.DeleteMarker as marker:
            raise _marker_error(request, target, marker) from None
        except (core.NotFound, core.BadVersionId) as failure:
            raise _error(failure, target) from None
        if reply.target is not None:
            reply.version_id = reply.link_version_id  # a version of the key, as the request's is
        return reply

    def write(self, request: S3Request, name: Name, upload: ObjectUpload) -> PutResult:
        """Make an object the current one; the result has the etag for clients, without quotes.

        Raises S3Error PreconditionFailed, ConditionalRequestConflict, NoSuchKey (If-Match without an object),
        NoSuchBucket, and the errors of reading the body.
        """
        assert name.object is not None
        try:
            options = put_options({**upload.headers, **upload.conditions}, name.object, time.time(), upload.late)
            if MANIFEST in upload.headers:  # the listed parts are deleted with the bucket
                options = options._replace(life=self._layer.container_info(request.context, name).life)
            storage_class = upload.headers.get(STORAGE_CLASS)
            if storage_class is not None or upload.rename is not None:
                options = options._replace(data_policy=self._classes.policy_index(storage_class), rename=upload.rename)
            result = self._layer.put(request.context, name, options, upload.body)
        except ObjstoreError as failure:
            raise _error(failure, Target(name), upload.conditions or (upload.rename and {"If-Match": ""})) from None
        etag = (upload.headers.get(MANIFEST_ETAG) or result.etag).strip('"')
        return result if etag == result.etag else result._replace(etag=etag)

    def change(self, request: S3Request, target: Target, changed: Mapping[str, str]) -> str:
        """Set some changeable headers (`headers.ACL`, `headers.TAGS`; '' removes), and return the version id or ''.

        Raises S3Error as `read` does, and OperationAborted if other writes prevent the change.
        """
        name = target.name
        assert name.object is not None
        for _ in range(_TRIES):
            stored = self.read(request, target, head=True)
            # The headers that are written again are of this object; a newer one must not get them.
            posted = {
                **object_headers.post_headers(stored.headers, changed),
                "If-Match": object_headers.quoted_own_etag(stored.headers),
            }
            try:
                options = update_options(posted, name.object, time.time())._replace(version_id=stored.version_id)
                self._layer.update(request.context, name, options)
                return stored.version_id
            except core.IsLink as refusal:
                raise failures.from_core(refusal) from None
            except (core.NotFound, core.Conflict, core.PreconditionFailed) as failure:
                gone = isinstance(failure, core.NotFound)
        raise missing(target) if gone else S3Error("OperationAborted")

    def set_lock(self, request: S3Request, target: Target, change: LockChange, bypass: bool) -> str:
        """Change the lock of an object or version; return the version id. bypass: as in `DeleteOptions`.

        Raises S3Error AccessDenied if the lock forbids it, and as `read` does.
        """
        try:
            return self._layer.set_lock(request.context, target.name, target.version, change, bypass)
        except core.DeleteMarker as marker:
            raise _marker_error(request, target, marker) from None
        except ObjstoreError as failure:
            raise _error(failure, target) from None

    def delete(self, request: S3Request, target: Target, if_match: str = "", bypass: bool = False) -> DeleteResult:
        """Delete an object or a version of it. A missing one is not an error, unless there is a condition.

        Raises S3Error PreconditionFailed, ConditionalRequestConflict, NoSuchKey (a condition without an object),
        NoSuchBucket.
        """
        condition = WriteCondition(if_match) if if_match else None
        options = DeleteOptions(condition=condition, version_id=target.version, bypass=bypass)
        try:
            return self._layer.delete(request.context, target.name, options)
        except ObjstoreError as failure:
            raise _error(failure, target, {"If-Match": if_match} if if_match else None) from None


def missing(target: Target) -> S3Error:
    """Return the error for a missing object or version."""
    key = target.name.object or ""
    if target.version:
        return S3Error("NoSuchVersion", "", {"Key": key, "VersionId": target.version})
    return S3Error("NoSuchKey", "", {"Key": key})


def _error(failure: ObjstoreError, target: Target, conditions: Mapping[str, str] | None = None) -> S3Error:
    """Return the error of an operation on an object. conditions: of the request, if it has any."""
    if isinstance(failure, core.BadVersionId):
        extra = {"ArgumentName": "versionId", "ArgumentValue": target.version}
        return S3Error("InvalidArgument", str(failure), extra)
    if isinstance(failure, core.PreconditionFailed) and not failure.missing:
        condition = next((name for name in ("If-Match", "If-None-Match") if name in (conditions or ())), "")
        return S3Error("PreconditionFailed", "", {"Condition": condition} if condition else None)
    if isinstance(failure, (core.NotFound, core.PreconditionFailed)) and not isinstance(failure, core.NoContainer):
        return missing(target)
    if isinstance(failure, core.Conflict) and not isinstance(failure, core.ContainerReplaced) and conditions:
        return S3Error("ConditionalRequestConflict")
    return failures.from_core(failure)


def _marker_error(request: S3Request, target: Target, marker: core.DeleteMarker) -> S3Error:
    """Return the error for reading a delete marker."""
    headers = {"x-amz-delete-marker": "true", "x-amz-version-id": marker.version_id}
    if not target.version:
        error = missing(target)
        error.headers.update(headers)
        return error
    assert isinstance(marker.timestamp, Timestamp)
    headers |= {"Last-Modified": http_date(marker.timestamp.ceiling), "Allow": "DELETE"}
    return S3Error("MethodNotAllowed", "", {"Method": request.method, "ResourceType": "DeleteMarker"}, headers)
