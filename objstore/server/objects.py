"""The object server: PUT, POST, DELETE, GET and HEAD of objects on this host's devices."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from objstore.core import metadata
from objstore.core.errors import ChecksumMismatch, InvalidInput, NotFound
from objstore.core.manifests import MANIFEST, MANIFEST_OWNS, REPLACED_SEGMENTS, shown_etag
from objstore.core.names import HashSalt
from objstore.core.text import to_text
from objstore.core.timestamps import ZERO, Timestamp
from objstore.server.app import Request, StorageApp
from objstore.server.container_update import ContainerUpdater
from objstore.server.devices import Devices
from objstore.store.interface import ObjectData, ObjectInfo, ObjectMetadata, ObjectReader
from objstore.web import conditions, ranges, requests
from objstore.web.requests import body_pieces, content_length
from objstore.web.responses import Response, error, http_date
from objstore.wire import messages


class ObjectServer:
    """Verbs over the object engines; `app` is the WSGI app made of them."""

    def __init__(self, devices: Devices, salt: HashSalt, updater: ContainerUpdater, logger: logging.Logger) -> None:
        self._updater = updater
        verbs = {"PUT": self.put, "GET": self.get, "HEAD": self.get, "POST": self.post, "DELETE": self.delete}
        self.app = StorageApp(devices, salt, verbs, 3, logger)

    def put(self, request: Request) -> Response:
        timestamp = request.timestamp()
        store = request.device.objects(request.location.policy)
        current, newest = self._current(request)
        refused = self._refuse_put(request, timestamp, current, newest)
        if refused is not None:
            return refused
        size = content_length(request.environ)
        if size is None and request.header(messages.SIZE).isdigit():
            size = int(request.header(messages.SIZE))
        trailers = request.environ.get("objstore.trailers", {})
        known_etag = request.header(messages.ETAG_TRAILER)
        hashing = not known_etag and messages.ETAG_TRAILER not in request.header("Trailer")
        with store.create(request.location, size, hashing) as writer:
            for piece in body_pieces(request.environ):
                writer.write(piece)
            etag = known_etag or trailers.get(messages.ETAG_TRAILER) or writer.etag()
            expected = request.header("Etag").strip('"').lower()
            if expected and expected != etag:
                raise ChecksumMismatch(f"the body's MD5 is {etag}, not {expected}")
            data = ObjectData(
                name=request.name.path,
                timestamp=timestamp,
                content_type=request.header("Content-Type", "application/octet-stream"),
                metadata={**_stored_headers(request.environ, metadata.stored_with_object), **_late(trailers)},
                etag=etag,
            )
            info = writer.commit(data)
        updated = self._updater.put(request, info)
        return Response(201, {"Etag": info.etag, messages.UPDATED: updated, **_replaced(current)})

    def _refuse_put(
        self, request: Request, timestamp: Timestamp, current: ObjectInfo | None, newest: Timestamp
    ) -> Response | None:
        if newest >= timestamp:
            return _stale(newest)
        if request.environ.get("HTTP_IF_NONE_MATCH") or request.environ.get("HTTP_IF_MATCH"):
            etag = current and shown_etag(current.metadata, current.etag)
            verdict = conditions.evaluate("PUT", requests.headers(request.environ), etag, current and current.timestamp)
            if verdict is not None:
                return error(verdict, headers={messages.STORED_TIMESTAMP: newest.internal})
        return None

    def _current(self, request: Request) -> tuple[ObjectInfo | None, Timestamp]:
        """The live object, if any, and the timestamp of the newest thing known of the name."""
        try:
            info = request.device.objects(request.location.policy).info(request.location)
        except NotFound as missing:
            return None, missing.timestamp if isinstance(missing.timestamp, Timestamp) else ZERO
        return (None if _expired(info.metadata) else info), info.timestamp

    def post(self, request: Request) -> Response:
        timestamp = request.timestamp()
        current, newest = self._current(request)
        if current is None:
            return _missing(newest)
        if newest >= timestamp:
            return _stale(newest)
        change = ObjectMetadata(
            timestamp=timestamp,
            metadata=_stored_headers(request.environ, metadata.replaced_by_post),
            content_type=request.header("Content-Type") or None,
        )
        store = request.device.objects(request.location.policy)
        store.post(request.location, change)
        updated = self._updater.put(request, store.info(request.location))
        return Response(202, {messages.UPDATED: updated, "X-Timestamp": timestamp.internal})

    def delete(self, request: Request) -> Response:
        timestamp = request.timestamp()
        store = request.device.objects(request.location.policy)
        try:
            current: ObjectInfo | None = store.info(request.location)
            newest = current.timestamp if current else ZERO
        except NotFound as missing:
            current, newest = None, missing.timestamp if isinstance(missing.timestamp, Timestamp) else ZERO
        if_delete_at = request.header("X-If-Delete-At")
        if if_delete_at and not if_delete_at.isdigit():
            raise InvalidInput("X-If-Delete-At is not a whole number of seconds")
        if if_delete_at and (current is None or current.metadata.get("X-Delete-At") != if_delete_at):
            return error(412, headers={messages.STORED_TIMESTAMP: newest.internal})
        if newest >= timestamp:
            return _stale(newest)
        store.delete(request.location, request.name.path, timestamp)
        updated = self._updater.delete(request, timestamp)
        found = current is not None and (if_delete_at or not _expired(current.metadata))
        headers = {messages.STORED_TIMESTAMP: timestamp.internal, messages.UPDATED: updated, **_replaced(current)}
        return Response(204, headers) if found else error(404, headers=headers)

    def get(self, request: Request) -> Response:
        store = request.device.objects(request.location.policy)
        try:
            reader = store.open(request.location)
        except NotFound as missing:
            return _missing(missing.timestamp if isinstance(missing.timestamp, Timestamp) else ZERO)
        try:
            response = self._read(request, reader)
        except BaseException:
            reader.close()
            raise
        if not isinstance(response.body, _Pieces):
            reader.close()
        return response

    def _read(self, request: Request, reader: ObjectReader) -> Response:
        info, environ = reader.info, request.environ
        if _expired(info.metadata) and "HTTP_X_BACKEND_EVEN_EXPIRED" not in environ:
            return _missing(info.timestamp)
        wanted = environ.get("HTTP_X_BACKEND_IF_DATA_TIMESTAMP")
        if wanted and Timestamp.parse(wanted) != info.data_timestamp:
            return error(412, headers={messages.STORED_TIMESTAMP: info.timestamp.internal})
        headers = _object_headers(info)
        if any(key in environ for key in _CONDITIONAL):
            etag = shown_etag(info.metadata, info.etag)
            verdict = conditions.evaluate(request.method, requests.headers(environ), etag, info.timestamp)
            if verdict is not None:
                del headers["Content-Length"]
                return Response(verdict, headers)
        start, stop, status = 0, info.size, 200
        # A range of a manifest is one of what it stands for, unless a read of its own bytes goes on.
        if "HTTP_RANGE" in environ and request.method == "GET" and (wanted or MANIFEST not in info.metadata):
            span = _span(environ, info)
            if span is None:
                return error(416, headers={**headers, "Content-Range": f"bytes */{info.size}"})
            start, stop, status = span
            if status == 206:
                headers["Content-Range"] = ranges.content_range(start, stop, info.size)
                headers["Content-Length"] = str(stop - start)
        if request.method == "HEAD" or start == stop:
            return Response(status, headers)
        return Response(status, headers, _Pieces(reader, start, stop))


_CONDITIONAL = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE")


class _Pieces:
    """The body of a GET: what was verified, piece by piece."""

    def __init__(self, reader: ObjectReader, start: int, stop: int) -> None:
        self._reader = reader
        self._start = start
        self._stop = stop

    def __iter__(self) -> Iterator[bytes | memoryview]:
        try:
            yield from self._reader.read(self._start, self._stop)
        finally:
            self._reader.close()

    def close(self) -> None:
        self._reader.close()


def _span(environ: Mapping[str, Any], info: ObjectInfo) -> tuple[int, int, int] | None:
    """Start, stop and status of a request with Range; None where it cannot be satisfied.

    More than one range is the proxy's business, which asks for them one by one.
    """
    if_range = environ.get("HTTP_IF_RANGE")
    parsed = ranges.parse(environ["HTTP_RANGE"])
    if parsed is None or len(parsed) > 1:
        return 0, info.size, 200
    if if_range and not conditions.range_applies(to_text(if_range), info.etag, info.timestamp):
        return 0, info.size, 200
    spans = ranges.resolve(parsed, info.size)
    return (*spans[0], 206) if spans else None


def _object_headers(info: ObjectInfo) -> dict[str, str]:
    timestamp = info.timestamp
    stamp = timestamp.internal
    return {
        "Content-Type": info.content_type,
        "Content-Length": str(info.size),
        "Etag": info.etag,
        "Last-Modified": http_date(timestamp.ceiling),
        "X-Timestamp": timestamp.normal if timestamp.offset else stamp,
        messages.STORED_TIMESTAMP: stamp,
        messages.DATA_TIMESTAMP: stamp if info.data_timestamp == timestamp else info.data_timestamp.internal,
        **info.metadata,
    }


def _replaced(current: ObjectInfo | None) -> dict[str, str]:
    """The segments that were the replaced object's alone: no one else will free them."""
    owned = current.metadata.get(MANIFEST_OWNS) if current is not None else None
    return {REPLACED_SEGMENTS: owned} if owned else {}


def _stored_headers(environ: dict[str, Any], kept: Callable[[str], bool]) -> dict[str, str]:
    """The headers of a change that `kept` says stay with the object; empty values are as if not sent."""
    return {name: value for name, value in requests.headers(environ).items() if value and kept(name)}


def _late(trailers: Mapping[str, str]) -> dict[str, str]:
    """What of the trailers of a PUT stays with the object."""
    return {name: to_text(value) for name, value in trailers.items() if value and metadata.stored_with_object(name)}


def _expired(headers: Mapping[str, str]) -> bool:
    delete_at = headers.get("X-Delete-At")
    if not delete_at:
        return False
    try:
        return int(delete_at) <= time.time()
    except ValueError:
        raise InvalidInput(f"X-Delete-At on disk is not a number: {delete_at!r}") from None


def _stale(newest: Timestamp) -> Response:
    return error(409, headers={messages.STORED_TIMESTAMP: newest.internal})


def _missing(newest: Timestamp) -> Response:
    return error(404, headers={messages.STORED_TIMESTAMP: newest.internal} if newest else None)
