"""What operations ask of the data of objects, and what they get back; the errors of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from objstore.core.names import Name
from objstore.layers.interface import Reply
from objstore.s3.errors import S3Error
from objstore.s3.native import unexpected

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

    answer: Reply
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
    stream: object = None
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


def missing(target: Target) -> S3Error:
    """The error for an object, or a version, that is not there."""
    key = target.name.object or ""
    if target.version:
        return S3Error("NoSuchVersion", "", {"Key": key, "VersionId": target.version})
    return S3Error("NoSuchKey", "", {"Key": key})


_REFUSALS = {
    400: "InvalidRequest",
    408: "RequestTimeout",
    409: "ConditionalRequestConflict",
    413: "EntityTooLarge",
    422: "BadDigest",
    431: "MetadataTooLarge",
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
