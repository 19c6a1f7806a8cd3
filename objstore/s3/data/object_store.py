"""Reading, writing, changing and deleting objects: the one way from operations to the object layer.

Operations say what they want of a key, or of a version of it; the layer knows whether the bucket keeps versions, and
where. Its errors become S3's here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from objstore.core import errors as core
from objstore.core.errors import ObjstoreError
from objstore.core.listed import STORAGE_CLASS
from objstore.core.manifests import MANIFEST, MANIFEST_ETAG
from objstore.core.names import Name
from objstore.core.timestamps import Timestamp
from objstore.layers.bodies import ObjectBody
from objstore.layers.interface import (
    DeleteOptions,
    DeleteResult,
    ObjectLayer,
    PutResult,
    ReadOptions,
    RenameSource,
    Reply,
)
from objstore.layers.options import put_options, update_options
from objstore.s3.data import object_headers
from objstore.s3.data.storage_classes import UNMAPPED, StorageClasses
from objstore.s3.language import failures
from objstore.s3.language.errors import S3Error
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import http_date
from objstore.web.write_conditions import WriteCondition

NULL = "null"  # the version that a bucket without versioning has of each key
HEAD = ReadOptions(head=True)
GET = ReadOptions()
RAW = ReadOptions(raw=True)
_TRIES = 5  # of a change of metadata while the object is written again and again
_NOTHING: Mapping[str, str] = {}


class Target(NamedTuple):
    """An object, and the version of it that is meant, '' for the current one."""

    name: Name
    version: str = ""


class Upload(NamedTuple):
    """What to write: headers as kept, and an Etag that the body must have.

    late, rename: see `PutOptions`. conditions: If-Match and If-None-Match, decided at the commit.
    """

    headers: Mapping[str, str]
    body: ObjectBody
    late: Callable[[], Mapping[str, str]] | None = None
    conditions: Mapping[str, str] = _NOTHING
    rename: RenameSource | None = None


class S3Objects:
    """Objects of buckets, and versions of them. classes: the storage classes that uploads may ask for."""

    def __init__(self, layer: ObjectLayer, classes: StorageClasses = UNMAPPED) -> None:
        self._layer = layer
        self._classes = classes

    def read(self, request: S3Request, target: Target, options: ReadOptions = GET) -> Reply:
        """Raises S3Error NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker by its version)."""
        if target.version:
            options = options._replace(version_id=target.version)
        try:
            return self._layer.open(request.context, target.name, options)
        except core.DeleteMarker as marker:
            raise _marker_error(request, target, marker) from None
        except (core.NotFound, core.BadVersionId) as failure:
            raise _error(failure, target) from None

    def write(self, request: S3Request, name: Name, upload: Upload) -> PutResult:
        """Make an object the current one; the etag that clients know it by, without quotes.

        Raises S3Error PreconditionFailed, ConditionalRequestConflict, NoSuchKey (If-Match on nothing), NoSuchBucket,
        and what reading the body raises.
        """
        assert name.object is not None
        try:
            options = put_options({**upload.headers, **upload.conditions}, name.object, time.time(), upload.late)
            if MANIFEST in upload.headers:  # what it lists is deleted with the bucket
                options = options._replace(life=self._layer.container_info(request.context, name).life)
            chosen = upload.headers.get(STORAGE_CLASS)
            if chosen is not None or upload.rename is not None:
                options = options._replace(data_policy=self._classes.policy_index(chosen), rename=upload.rename)
            result = self._layer.put(request.context, name, options, upload.body)
        except ObjstoreError as failure:
            raise _error(failure, Target(name), upload.conditions or (upload.rename and {"If-Match": ""})) from None
        return result._replace(etag=(upload.headers.get(MANIFEST_ETAG) or result.etag).strip('"'))

    def change(self, request: S3Request, target: Target, changed: Mapping[str, str]) -> str:
        """Set some of what may be changed later (`headers.ACL`, `headers.TAGS`; '' removes). The version id, or ''.

        Raises as `read` does.
        """
        name = target.name
        assert name.object is not None
        for _ in range(_TRIES):
            stored = self.read(request, target, HEAD)
            # What is said again must be of this object, and not stand with one written meanwhile.
            kept = {
                **object_headers.reposted(stored.headers, changed),
                "If-Match": object_headers.quoted_etag(stored.headers),
            }
            try:
                options = update_options(kept, name.object, time.time())._replace(version_id=stored.version_id)
                self._layer.update(request.context, name, options)
                return stored.version_id
            except (core.NotFound, core.Conflict, core.PreconditionFailed) as failure:
                gone = isinstance(failure, core.NotFound)
        raise missing(target) if gone else S3Error("OperationAborted")

    def delete(self, request: S3Request, target: Target, if_match: str = "") -> DeleteResult:
        """Delete an object or a version of it; one that is not there is no error, unless a condition asks for it.

        Raises S3Error PreconditionFailed, ConditionalRequestConflict, NoSuchKey (a condition on nothing), NoSuchBucket.
        """
        condition = WriteCondition(if_match) if if_match else None
        options = DeleteOptions(condition=condition, version_id=target.version)
        try:
            return self._layer.delete(request.context, target.name, options)
        except ObjstoreError as failure:
            raise _error(failure, target, {"If-Match": if_match} if if_match else None) from None


def missing(target: Target) -> S3Error:
    """The error for an object, or a version, that is not there."""
    key = target.name.object or ""
    if target.version:
        return S3Error("NoSuchVersion", "", {"Key": key, "VersionId": target.version})
    return S3Error("NoSuchKey", "", {"Key": key})


def _error(failure: ObjstoreError, target: Target, conditions: Mapping[str, str] | None = None) -> S3Error:
    """The error of an operation on an object. conditions: of the request, as far as there are any."""
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
    """The error for a delete marker: it has nothing to read."""
    headers = {"x-amz-delete-marker": "true", "x-amz-version-id": marker.version_id}
    if not target.version:
        error = missing(target)
        error.headers.update(headers)
        return error
    assert isinstance(marker.timestamp, Timestamp)
    headers |= {"Last-Modified": http_date(marker.timestamp.ceiling), "Allow": "DELETE"}
    return S3Error("MethodNotAllowed", "", {"Method": request.method, "ResourceType": "DeleteMarker"}, headers)
