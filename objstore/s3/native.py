"""The one module that knows our own API: native requests made with the system's rights.

The S3 layer decides by itself who may do what (`access`); what it then asks of the store is
never refused for the sake of an identity. Containers whose names begin with NUL are the
system's own: hidden from listings and closed to clients of either API.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from objstore.core.errors import (
    ContainerReplaced,
    LimitExceeded,
    NoContainer,
    NotFound,
    ObjstoreError,
    PreconditionFailed,
)
from objstore.core.lives import ENDED, PARTLY
from objstore.core.names import RESERVED, Name
from objstore.core.policies import ONE_POLICY, Policies
from objstore.layers import documents
from objstore.layers.bodies import BytesBody, ObjectBody
from objstore.layers.interface import ContainerOptions, ObjectLayer, Page, PutOptions, ReadOptions, Reply
from objstore.layers.options import delete_options, put_options, update_options
from objstore.s3.errors import S3Error
from objstore.web import pipeline
from objstore.web.context import RequestContext
from objstore.web.errors import status_of
from objstore.web.infos import ContainerInfo
from objstore.web.requests import Environ
from objstore.web.responses import http_date

_NEWEST = "X-Newest"
_RAW = "multipart-manifest"
POLICY_NAME = "X-Storage-Policy"
CHECK_BODY = "objstore.check_body"  # of the HTTP server: raises if the client has gone within the body
NOTHING_THERE = "X-Backend-Condition-Missing"  # with a 412: there was nothing to hold the condition against


class _Stream:
    """A body that is read from an S3 request or from another object: see `layers.bodies.ObjectBody`."""

    __slots__ = ("_check", "length", "read_chunk")

    def __init__(self, stream: Any, length: int | None, check: Callable[[], None] | None) -> None:
        self.length = length
        self.read_chunk: Callable[[int], bytes] = stream.read_chunk
        self._check = check

    def check(self) -> None:
        if self._check is not None:
            self._check()


def hidden(kind: str, bucket: str) -> str:
    """The name of a system container that belongs to a bucket: `parts` or `versions` of it."""
    return f"{RESERVED}{kind}{RESERVED}{bucket}"


class Native:
    """app: the pipeline below the S3 filter; the proxy at its end has the object layer. now: the clock."""

    def __init__(self, app: object, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.layer: ObjectLayer = pipeline.find(app, "layer")
        self._policies: Policies = pipeline.find(app, "policies") or ONE_POLICY

    def ask(
        self,
        environ: Environ,
        method: str,
        name: Name,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        stream: object = None,
        length: int | None = None,
        late: Callable[[], Mapping[str, str]] | None = None,
    ) -> Reply:
        """The answer of the store to a native request on behalf of the S3 request of `environ`.

        stream: what the body is read from (`read_chunk`), in place of `body`; length: its bytes,
        None where not known. late: headers of a PUT that are known once its body was read.
        The answer's body must be read or closed. Errors are statuses.
        """
        context = RequestContext.of(environ)
        sent = headers or {}
        if method == "GET" or method == "HEAD":
            return self._read(context, name, method == "HEAD", sent, query or {})
        try:
            if name.object is None:
                return self._change_container(context, method, name, sent)
            if method == "PUT":
                content = BytesBody(body) if stream is None else _Stream(stream, length, environ.get(CHECK_BODY))
                return self._put(context, name, put_options(sent, name.object, self._now(), late), content)
            if method == "POST":
                self.layer.update(context, name, update_options(sent, name.object, self._now()))
                return Reply(202, {})
            existed = self.layer.delete(context, name, delete_options(sent)).existed
            return Reply(204 if existed else 404, {})
        except ObjstoreError as failure:
            return _refusal(failure, method)

    def _put(self, context: RequestContext, name: Name, options: PutOptions, body: ObjectBody) -> Reply:
        result = self.layer.put(context, name, options, body)
        return Reply(201, {"Etag": result.etag, "Last-Modified": http_date(result.timestamp.ceiling)})

    def _change_container(self, context: RequestContext, method: str, name: Name, sent: Mapping[str, str]) -> Reply:
        layer = self.layer
        if method == "DELETE":
            return Reply(204, {} if layer.delete_container(context, name) else {PARTLY: "true"})
        policy = self._policies.by_name(sent.get(POLICY_NAME, ""))
        kept = {key: value for key, value in sent.items() if key != POLICY_NAME}
        options = ContainerOptions(kept, policy=None if policy is None else policy.index)
        if method == "PUT":
            return Reply(201 if layer.create_container(context, name, options) else 202, {})
        layer.update_container(context, name, options)
        return Reply(204, {})

    def _read(
        self, context: RequestContext, name: Name, head: bool, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> Reply:
        try:
            if name.object is not None:
                conditions = {key: value for key, value in headers.items() if key != _NEWEST}
                options = ReadOptions(conditions, head=head, newest=_NEWEST in headers, raw=_RAW in query)
                return self.layer.open(context, name, options)
            asked = self.layer.container if name.container is not None else self.layer.account
            return Reply(204, asked(context, name).headers)
        except NotFound:
            return Reply(404, {})

    def done(self, environ: Environ, method: str, name: Name, ok: tuple[int, ...], **asked: Any) -> Reply:
        """`ask`, its body closed; raises S3Error ServiceUnavailable or InternalError for a status not in `ok`."""
        answer = self.ask(environ, method, name, **asked)
        answer.close()
        if answer.status not in ok:
            raise unexpected(answer.status)
        return answer

    def exists(self, environ: Environ, container: Name) -> bool:
        """Is there a container? Asked anew, as the cache may be behind."""
        return self.done(environ, "HEAD", container, (200, 204, 404)).status != 404

    def lost(self, environ: Environ, bucket: Name) -> S3Error:
        """The error where a hidden container of a bucket is gone: with its bucket, or with a life before this one.

        Then the same request may be sent again.
        """
        return again() if self.exists(environ, bucket.of_container) else no_such(bucket)

    def container(self, environ: Environ, name: Name) -> ContainerInfo:
        """What is known of the container of a name, from the cache where it is there."""
        return self.layer.container_info(RequestContext.of(environ), name)

    def listing(
        self, environ: Environ, name: Name, query: Mapping[str, str], majority: bool = False
    ) -> list[dict[str, Any]]:
        """One page of a listing, rows as in Swift's JSON; raises S3Error NoSuchBucket. majority: as of `Page`."""
        limit = query.get("limit")
        page = Page(
            query.get("prefix", ""),
            query.get("delimiter", ""),
            query.get("marker", ""),
            query.get("end_marker", ""),
            int(limit) if limit else None,
            data_times=True,  # a change of tags is no modification to S3
            majority=majority,
        )
        layer = self.layer
        ask = layer.list_objects if name.container is not None else layer.list_containers
        try:
            return ask(RequestContext.of(environ), name, page).rows
        except NotFound:
            raise S3Error("NoSuchBucket") from None

    def pages(
        self, environ: Environ, name: Name, query: Mapping[str, str], page: int = 1000, majority: bool = False
    ) -> Iterator[dict[str, Any]]:
        """All rows of a listing, fetched page by page as they are asked for. majority: as of `Page`."""
        marker = query.get("marker", "")
        while True:
            rows = self.listing(environ, name, {**query, "marker": marker, "limit": str(page)}, majority)
            yield from rows
            if len(rows) < page:
                return
            marker = rows[-1].get("name") or rows[-1]["subdir"]

    def config(self, info: ContainerInfo, kind: str) -> str:
        """A configuration document of a bucket (`policy`, `acl`, `cors`), '' where there is none."""
        return documents.read(info.sysmeta, kind)

    def set_config(self, environ: Environ, name: Name, kind: str, document: str) -> None:
        """Keep a configuration document; '' removes it. Raises S3Error for one that is too large, NoSuchBucket."""
        answer = self.done(environ, "POST", name, (204, 404), headers=documents.headers(kind, document))
        if answer.status == 404:
            raise S3Error("NoSuchBucket", "", {"BucketName": name.container or ""})


def _refusal(failure: ObjstoreError, method: str) -> Reply:
    """An error of the layer as a status, which operations know the meaning of."""
    if isinstance(failure, PreconditionFailed):
        missing = {NOTHING_THERE: "true"} if failure.missing else {}
        return Reply(404 if failure.missing and method == "PUT" else 412, missing)
    if isinstance(failure, NoContainer):
        return Reply(404, {ENDED: "true"} if failure.ended else {})
    if isinstance(failure, ContainerReplaced):
        return Reply(409, {ENDED: "true"})
    return Reply(413 if isinstance(failure, LimitExceeded) else status_of(failure), {})


def ended(answer: Reply, name: Name) -> S3Error | None:
    """The error for a write that was refused, or taken back, because its bucket was deleted meanwhile."""
    if ENDED not in answer.headers or answer.status not in (404, 409):
        return None
    return no_such(name) if answer.status == 404 else again()


def no_such(bucket: Name) -> S3Error:
    return S3Error("NoSuchBucket", "", {"BucketName": bucket.container or ""})


def again() -> S3Error:
    """The error for a write that met another life of its bucket: the same request may be sent again."""
    return S3Error("OperationAborted")


def unexpected(status: int) -> S3Error:
    """The error for a native status that the operation has no meaning for."""
    if status == 431:
        return S3Error("MetadataTooLarge", "The request's headers and metadata are more than the servers take.")
    return S3Error("ServiceUnavailable" if status in (408, 498, 503, 507) else "InternalError")
