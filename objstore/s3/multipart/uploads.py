"""Uploads under way: their records made, looked up, listed and removed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from objstore.core.names import Name
from objstore.layers.interface import Reply
from objstore.s3 import placement
from objstore.s3.context import Context
from objstore.s3.errors import S3Error
from objstore.s3.headers import STORAGE_CLASS
from objstore.s3.multipart import names
from objstore.s3.native import hidden, unexpected
from objstore.s3.request import S3Request
from objstore.s3.storage_classes import STANDARD

_TYPE = "application/x-upload"
COMPOSITE, FULL_OBJECT = "COMPOSITE", "FULL_OBJECT"


class Upload(NamedTuple):
    """started: seconds since the epoch. account: of the one who began it, '' for anonymous.

    algorithm: of the checksums, in capitals, '' where none was chosen; type: COMPOSITE or FULL_OBJECT.
    policy: index of the storage policy that keeps its parts, None for the bucket's.
    """

    key: str
    id: str
    started: float
    account: str
    storage_class: str
    algorithm: str
    type: str
    policy: int | None = None

    @property
    def listed(self) -> str:
        """What a listing's row says of it, as a content type."""
        said = {
            "started": f"{self.started:.3f}",
            "account": self.account,
            "class": self.storage_class,
            "algorithm": self.algorithm,
            "type": self.type,
            **({} if self.policy is None else {"policy": self.policy}),
        }
        return f"{_TYPE};{urlencode(said)}"


class Record(NamedTuple):
    """kept: the headers of the object to be, but its bytes and checksum."""

    upload: Upload
    kept: Mapping[str, str]


def place(context: Context, request: S3Request, upload: Upload | None = None) -> Name:
    """The bucket's hidden container of records, or that of all else of an upload. Raises S3Error NoSuchBucket."""
    bucket = context.buckets.resolve(request, request.bucket)
    assert bucket.container is not None
    policy = upload.policy if upload is not None else None
    kind = names.KIND if policy is None else placement.kind(names.KIND, policy)
    return Name(bucket.account, hidden(kind, bucket.container))


def begin(context: Context, request: S3Request, algorithm: str, type: str, kept: Mapping[str, str]) -> Upload:
    """A new upload under the request's key. Raises S3Error NoSuchBucket."""
    storage_class = kept.get(STORAGE_CLASS, STANDARD)
    policy = placement.elsewhere(context, request, context.buckets.resolve(request, request.bucket), kept)
    index = policy.index if policy is not None else None
    upload = Upload(request.key, names.new_id(), time.time(), request.account, storage_class, algorithm, type, index)
    container = place(context, request)
    if policy is not None:
        bucket = context.buckets.resolve(request, request.bucket)
        placement.make_container(context, request, bucket, place(context, request, upload), policy)
    sent = {"Content-Type": upload.listed}
    body = json.dumps({"kept": dict(kept)}).encode()
    name = container._replace(object=names.record(upload.key, upload.id))
    answer = context.native.done(request.environ, "PUT", name, (201, 404, 409), headers=sent, body=body)
    if answer.status != 201:
        _make(context, request, container)
        answer = context.native.done(request.environ, "PUT", name, (201, 404, 409), headers=sent, body=body)
        if answer.status != 201:  # the container is being deleted, with its bucket
            raise context.native.lost(request.environ, context.buckets.resolve(request, request.bucket))
    return upload


def _make(context: Context, request: S3Request, container: Name) -> None:
    """Make the hidden container, with the bucket's storage policy."""
    bucket = context.buckets.resolve(request, request.bucket)
    answer = context.native.done(request.environ, "HEAD", bucket, (200, 204, 404))
    if answer.status == 404:
        raise context.native.lost(request.environ, bucket)
    policy = answer.headers.get("X-Storage-Policy")
    headers = {"X-Storage-Policy": policy} if policy else {}
    made = context.native.done(request.environ, "PUT", container, (201, 202, 404, 409), headers=headers)
    if made.status >= 400:
        raise context.native.lost(request.environ, bucket)


def find(context: Context, request: S3Request, upload_id: str, newest: bool = False) -> Upload | None:
    """The upload of that id under the request's key, None if there is none. newest: as a majority knows it."""
    answer = _ask(context, request, "HEAD", upload_id, {"X-Newest": "true"} if newest else None)
    if answer is None:
        return None
    answer.close()
    return _read(request.key, upload_id, answer.headers["Content-Type"])


def existing(context: Context, request: S3Request) -> Upload:
    """The upload that the request's query names; raises S3Error NoSuchUpload."""
    found = find(context, request, request.query["uploadId"])
    if found is None:
        raise no_such(request.query["uploadId"])
    return found


def load(context: Context, request: S3Request, upload_id: str) -> Record | None:
    """The record of an upload, None where there is none."""
    answer = _ask(context, request, "GET", upload_id)
    if answer is None:
        return None
    upload = _read(request.key, upload_id, answer.headers["Content-Type"])
    return Record(upload, json.loads(answer.read())["kept"])


def _ask(
    context: Context, request: S3Request, method: str, upload_id: str, headers: Mapping[str, str] | None = None
) -> Reply | None:
    if not names.is_id(upload_id):
        return None
    name = place(context, request)._replace(object=names.record(request.key, upload_id))
    answer = context.native.ask(request.environ, method, name, headers=headers)
    if answer.status == 200:
        return answer
    answer.close()
    if answer.status != 404:
        raise unexpected(answer.status)
    return None


def remove(context: Context, request: S3Request, upload: Upload) -> None:
    name = place(context, request)._replace(object=names.record(upload.key, upload.id))
    context.native.done(request.environ, "DELETE", name, (204, 404))


def read_row(row: Mapping[str, Any]) -> Upload:
    """The upload of a row of a listing."""
    name = names.read_record(row["name"])
    return _read(name.key, name.id, row["content_type"])


def _read(key: str, upload_id: str, listed: str) -> Upload:
    said = dict(parse_qsl(listed.partition(";")[2], keep_blank_values=True))
    return Upload(
        key,
        upload_id,
        float(said["started"]),
        said["account"],
        said["class"],
        said["algorithm"],
        said["type"],
        int(said["policy"]) if "policy" in said else None,
    )


def no_such(upload_id: str) -> S3Error:
    return S3Error("NoSuchUpload", "", {"UploadId": upload_id})
