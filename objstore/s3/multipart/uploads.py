"""Uploads under way: their records made, looked up, listed and removed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from objstore.core.errors import Conflict, NotFound
from objstore.core.listed import STORAGE_CLASS
from objstore.core.names import Name, hidden
from objstore.layers import hidden as hidden_containers
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import DeleteOptions, PutOptions, ReadOptions, Reply
from objstore.layers.placement import kind as placed
from objstore.s3.context import Context
from objstore.s3.data.storage_classes import STANDARD
from objstore.s3.language.errors import S3Error
from objstore.s3.multipart import names
from objstore.s3.request.s3_request import S3Request

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
    kind = names.KIND if policy is None else placed(names.KIND, policy)
    return Name(bucket.account, hidden(kind, bucket.container))


def begin(context: Context, request: S3Request, algorithm: str, type: str, kept: Mapping[str, str]) -> Upload:
    """A new upload under the request's key. Raises S3Error NoSuchBucket."""
    storage_class = kept.get(STORAGE_CLASS, STANDARD)
    bucket = context.buckets.resolve(request, request.bucket)
    policy = _policy(context, request, bucket, kept)
    upload = Upload(request.key, names.new_id(), time.time(), request.account, storage_class, algorithm, type, policy)
    layer = context.layer
    if policy is not None:
        hidden_containers.make(layer, request.context, place(context, request, upload), bucket, policy)
    options = PutOptions({"Content-Type": upload.listed})
    body = json.dumps({"kept": dict(kept)}).encode()
    name = place(context, request)._replace(object=names.record(upload.key, upload.id))
    try:
        layer.put(request.context, name, options, BytesBody(body))
        return upload
    except (NotFound, Conflict):
        hidden_containers.make(layer, request.context, name, bucket)
    try:
        layer.put(request.context, name, options, BytesBody(body))
    except (NotFound, Conflict):  # the container is being deleted, with its bucket
        raise hidden_containers.gone(layer, request.context, bucket) from None
    return upload


def _policy(context: Context, request: S3Request, bucket: Name, kept: Mapping[str, str]) -> int | None:
    """The storage policy of an object with these headers, None if it is the bucket's."""
    policy = context.classes.policy_index(kept.get(STORAGE_CLASS))
    if policy is None:
        return None
    container = context.layer.container_info(request.context, bucket)
    return policy if container.exists and container.policy_index != policy else None


def find(context: Context, request: S3Request, upload_id: str, newest: bool = False) -> Upload | None:
    """The upload of that id under the request's key, None if there is none. newest: as a majority knows it."""
    stored = _open(context, request, upload_id, ReadOptions(head=True, newest=newest))
    return None if stored is None else _read(request.key, upload_id, stored.headers["Content-Type"])


def existing(context: Context, request: S3Request) -> Upload:
    """The upload that the request's query names; raises S3Error NoSuchUpload."""
    found = find(context, request, request.query["uploadId"])
    if found is None:
        raise no_such(request.query["uploadId"])
    return found


def load(context: Context, request: S3Request, upload_id: str) -> Record | None:
    """The record of an upload, None where there is none."""
    stored = _open(context, request, upload_id, ReadOptions())
    if stored is None:
        return None
    upload = _read(request.key, upload_id, stored.headers["Content-Type"])
    return Record(upload, json.loads(stored.read())["kept"])


def _open(context: Context, request: S3Request, upload_id: str, options: ReadOptions) -> Reply | None:
    if not names.is_id(upload_id):
        return None
    name = place(context, request)._replace(object=names.record(request.key, upload_id))
    try:
        return context.layer.open(request.context, name, options)
    except NotFound:
        return None


def remove(context: Context, request: S3Request, upload: Upload) -> None:
    drop(context, request, place(context, request)._replace(object=names.record(upload.key, upload.id)))


def drop(context: Context, request: S3Request, name: Name) -> None:
    """Delete a part, record or claim. It is no error if it is gone, be it with its container."""
    try:
        context.layer.delete(request.context, name, DeleteOptions())
    except NotFound:
        pass


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
