"""Uploads in progress: their records made, found, listed and removed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from objstore.core.errors import Conflict, NotFound
from objstore.core.listed import LISTED_SIZE, STORAGE_CLASS
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


class MultipartUpload(NamedTuple):
    """An upload in progress.

    started: seconds since the epoch. account: that of the client that began it, '' for anonymous. algorithm: of the
    checksums, in capitals, '' if the client chose none. type: COMPOSITE or FULL_OBJECT. policy: index of the storage
    policy of its parts, None for the bucket's.
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
        """The content type of its row in listings, with its fields as parameters."""
        fields = {
            "started": f"{self.started:.3f}",
            "account": self.account,
            "class": self.storage_class,
            "algorithm": self.algorithm,
            "type": self.type,
            **({} if self.policy is None else {"policy": self.policy}),
        }
        return f"{_TYPE};{urlencode(fields)}"


class UploadRecord(NamedTuple):
    """The record of an upload. headers: the stored headers of the object, except those of its content and checksum."""

    upload: MultipartUpload
    headers: Mapping[str, str]


def place(context: Context, request: S3Request, upload: MultipartUpload | None = None) -> Name:
    """Return the bucket's hidden container of records, or that of the parts and claim of an upload.

    Raises S3Error NoSuchBucket.
    """
    bucket = context.buckets.resolve(request, request.bucket)
    assert bucket.container is not None
    policy = upload.policy if upload is not None else None
    kind = names.KIND if policy is None else placed(names.KIND, policy)
    return Name(bucket.account, hidden(kind, bucket.container))


def begin(
    context: Context, request: S3Request, algorithm: str, type: str, headers: Mapping[str, str]
) -> MultipartUpload:
    """Begin an upload under the request's key. headers: the stored ones of the object. Raises S3Error NoSuchBucket."""
    storage_class = headers.get(STORAGE_CLASS, STANDARD)
    bucket = context.buckets.resolve(request, request.bucket)
    policy = _policy(context, request, bucket, headers)
    upload = MultipartUpload(
        request.key, names.new_id(), time.time(), request.account, storage_class, algorithm, type, policy
    )
    layer = context.layer
    if policy is not None:
        hidden_containers.make(layer, request.context, place(context, request, upload), bucket, policy)
    # A record counts no bytes: clients would not know whose they are.
    options = PutOptions({"Content-Type": upload.listed, LISTED_SIZE: "0"})
    body = json.dumps({"kept": dict(headers)}).encode()
    name = place(context, request)._replace(object=names.record(upload.key, upload.id))
    try:
        layer.put(request.context, name, options, BytesBody(body))
        return upload
    except (NotFound, Conflict):
        hidden_containers.make(layer, request.context, name, bucket)
    try:
        layer.put(request.context, name, options, BytesBody(body))
    except (NotFound, Conflict):  # another request deletes the container, with its bucket
        raise hidden_containers.gone(layer, request.context, bucket) from None
    return upload


def _policy(context: Context, request: S3Request, bucket: Name, headers: Mapping[str, str]) -> int | None:
    """Return the index of the storage policy of an object with these headers, None if it is the bucket's."""
    policy = context.classes.policy_index(headers.get(STORAGE_CLASS))
    if policy is None:
        return None
    container = context.layer.container_info(request.context, bucket)
    return policy if container.exists and container.policy_index != policy else None


def find(context: Context, request: S3Request, upload_id: str, newest: bool = False) -> MultipartUpload | None:
    """Return the upload of that id under the request's key, None if there is none. newest: read from a majority."""
    stored = _open(context, request, upload_id, ReadOptions(head=True, newest=newest))
    return None if stored is None else _read(request.key, upload_id, stored.headers["Content-Type"])


def existing(context: Context, request: S3Request) -> MultipartUpload:
    """Return the upload that the request's query names; raises S3Error NoSuchUpload."""
    upload = find(context, request, request.query["uploadId"])
    if upload is None:
        raise no_such(request.query["uploadId"])
    return upload


def load(context: Context, request: S3Request, upload_id: str) -> UploadRecord | None:
    """Return the record of an upload, None if there is none."""
    stored = _open(context, request, upload_id, ReadOptions())
    if stored is None:
        return None
    upload = _read(request.key, upload_id, stored.headers["Content-Type"])
    return UploadRecord(upload, json.loads(stored.read())["kept"])


def _open(context: Context, request: S3Request, upload_id: str, options: ReadOptions) -> Reply | None:
    if not names.is_id(upload_id):
        return None
    name = place(context, request)._replace(object=names.record(request.key, upload_id))
    try:
        return context.layer.open(request.context, name, options)
    except NotFound:
        return None


def remove(context: Context, request: S3Request, upload: MultipartUpload) -> None:
    drop(context, request, place(context, request)._replace(object=names.record(upload.key, upload.id)))


def drop(context: Context, request: S3Request, name: Name) -> None:
    """Delete a part, record or claim. It is not an error if it, or its container, is missing."""
    try:
        context.layer.delete(request.context, name, DeleteOptions())
    except NotFound:
        pass


def read_row(row: Mapping[str, Any]) -> MultipartUpload:
    """Return the upload of a row of a listing."""
    name = names.read_record(row["name"])
    return _read(name.key, name.id, row["content_type"])


def _read(key: str, upload_id: str, listed: str) -> MultipartUpload:
    fields = dict(parse_qsl(listed.partition(";")[2], keep_blank_values=True))
    return MultipartUpload(
        key,
        upload_id,
        float(fields["started"]),
        fields["account"],
        fields["class"],
        fields["algorithm"],
        fields["type"],
        int(fields["policy"]) if "policy" in fields else None,
    )


def no_such(upload_id: str) -> S3Error:
    return S3Error("NoSuchUpload", "", {"UploadId": upload_id})
