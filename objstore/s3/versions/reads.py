"""Reading versions, and changing what may be changed of them later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from objstore.core.names import Name
from objstore.core.versions import VERSION
from objstore.layers.interface import Reply
from objstore.s3 import headers as kept_headers
from objstore.s3.errors import S3Error
from objstore.s3.native import unexpected
from objstore.s3.request import S3Request
from objstore.s3.stored import NULL, READ_RESULTS, Stored, Target, missing
from objstore.s3.versions import states
from objstore.s3.versions.keys import Key
from objstore.s3.versions.names import Ref
from objstore.web.responses import http_date

if TYPE_CHECKING:
    from objstore.s3.context import Context

_TRIES = 5  # of a version that is gone by the time it is read, since another became the current one


class Place(NamedTuple):
    """Where the data of a version are. ref: None for a plain object."""

    name: Name
    ref: Ref | None

    @property
    def version_id(self) -> str:
        return NULL if self.ref is None else self.ref.version_id


def read(
    context: Context,
    request: S3Request,
    target: Target,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> Stored:
    """As `current.read`."""
    key = Key(context.native, request.environ, target.name)
    for _ in range(_TRIES):
        place = locate(key, target)
        answer = context.native.ask(request.environ, method, place.name, headers=headers, query=query)
        if answer.status in READ_RESULTS and not (place.ref is None and VERSION in answer.headers):
            return Stored(answer, place.version_id)
        answer.close()
        if answer.status not in (*READ_RESULTS, 404):
            raise unexpected(answer.status)
        if target.version and answer.status == 404:
            break
    raise missing(target)


def change(context: Context, request: S3Request, target: Target, changed: Mapping[str, str]) -> str:
    """As `current.change`."""
    key = Key(context.native, request.environ, target.name)
    for _ in range(_TRIES):
        place = locate(key, target)
        answer = context.native.ask(request.environ, "HEAD", place.name)
        answer.close()
        if answer.status == 200 and not (place.ref is None and VERSION in answer.headers):
            kept = kept_headers.reposted(answer.headers, changed)
            if place.ref is None:  # it must not be said of a pointer that has come there since
                kept["If-Match"] = kept_headers.quoted_etag(answer.headers)
            answer = context.native.ask(request.environ, "POST", place.name, headers=kept)
            answer.close()
            if answer.status == 202:
                return place.version_id
        if answer.status not in (200, 404, 409, 412):
            raise unexpected(answer.status)
        if target.version and answer.status == 404:
            break
    raise missing(target)


def locate(key: Key, target: Target) -> Place:
    """Raises S3Error NoSuchKey, NoSuchVersion, MethodNotAllowed, InvalidArgument."""
    if target.version not in ("", NULL):
        return _not_a_marker(key, target, states.parse(target))
    seen = key.look()
    if target.version == NULL:
        if seen is not None and seen.null:
            return _of_null(key, target, seen.ref)
        found = next((ref for ref in key.nulls() if seen is not None and seen.replaces(ref)), None)
        if found is None:
            raise missing(target)
        return _not_a_marker(key, target, found)
    if seen is None:
        raise missing(target)
    if seen.ref is None:
        return Place(key.name, None)
    if seen.ref.marker:
        error = missing(target)
        error.headers.update(_marker_headers(seen.ref))
        raise error
    return Place(key.entry(seen.ref), seen.ref)


def _of_null(key: Key, target: Target, ref: Ref | None) -> Place:
    return Place(key.name, None) if ref is None else _not_a_marker(key, target, ref)


def _not_a_marker(key: Key, target: Target, ref: Ref) -> Place:
    """Raises S3Error for a delete marker: it has nothing to read."""
    if not ref.marker:
        return Place(key.entry(ref), ref)
    head: Reply | None = key.head(ref)
    if head is None:
        raise missing(target)
    headers = {**_marker_headers(ref), "Last-Modified": http_date(ref.stamp.ceiling), "Allow": "DELETE"}
    extra = {"Method": key.environ["REQUEST_METHOD"], "ResourceType": "DeleteMarker"}
    raise S3Error("MethodNotAllowed", "", extra, headers)


def _marker_headers(ref: Ref) -> dict[str, str]:
    return {"x-amz-delete-marker": "true", "x-amz-version-id": ref.version_id}
