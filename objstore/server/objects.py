"""The object server: PUT, POST, DELETE, GET and HEAD of objects on this host's devices."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from objstore.core import metadata
from objstore.core.errors import ChecksumMismatch, Conflict, InvalidInput, NotFound, PreconditionFailed
from objstore.core.manifests import MANIFEST, MANIFEST_OWNS, REPLACED_SEGMENTS, shown_etag
from objstore.core.names import HashSalt
from objstore.core.numbers import is_whole
from objstore.core.text import is_header_value, to_text
from objstore.core.timestamps import ZERO, Timestamp
from objstore.server import lease_verbs
from objstore.server.app import Replicate, Request, StorageApp
from objstore.server.container_update import ContainerUpdater
from objstore.server.devices import Devices
from objstore.server.write_guard import Check, Overtaken, WriteGuard
from objstore.store.interface import ObjectData, ObjectInfo, ObjectMetadata, ObjectReader
from objstore.store.leases import Leases
from objstore.web import conditions, ranges, requests
from objstore.web.requests import body_pieces, content_length
from objstore.web.responses import Response, error, http_date
from objstore.web.write_conditions import WriteCondition
from objstore.wire import messages


class ObjectServer:
    """Verbs over the object engines; `app` is the WSGI app made of them."""

    def __init__(
        self,
        devices: Devices,
        salt: HashSalt,
        updater: ContainerUpdater,
        logger: logging.Logger,
        lease_seconds: float = lease_verbs.LEASE_SECONDS,
        replicate: Replicate | None = None,
    ) -> None:
        self._updater = updater
        self._lease_seconds = lease_seconds
        verbs = {
            "PUT": refusing(self.put),
            "GET": self.get,
            "HEAD": self.get,
            "POST": refusing(self.post),
            "DELETE": refusing(self.delete),
            "LOCK": self.lock,
            "UNLOCK": self.unlock,
        }
        self.app = StorageApp(devices, salt, verbs, 3, logger, replicate)

    def put(self, request: Request) -> Response:
        timestamp = request.timestamp()
        store = request.device.objects(request.location.policy)
        condition = WriteCondition.of(request.environ)
        announced = "HTTP_EXPECT" in request.environ  # the body is yet to come
        if announced or condition is not None:
            self._refuse_early(request, timestamp, condition)
        size = content_length(request.environ)
        if size is None:
            size = request.number(messages.SIZE)
        trailers = request.environ.get("objstore.trailers", {})
        known_etag = request.header(messages.ETAG_TRAILER)
        kept = _stored_headers(request.environ, metadata.stored_with_object)
        hashing = not known_etag and messages.ETAG_TRAILER not in request.header("Trailer")
        with store.create(request.location, size, hashing) as writer:
            for piece in body_pieces(request.environ):
                writer.write(piece)
            if messages.TIMESTAMP in trailers:  # of the end of the body, which the object is kept under
                timestamp = Timestamp.parse(trailers[messages.TIMESTAMP])
            etag = known_etag or trailers.get(messages.ETAG_TRAILER) or writer.etag()
            expected = request.header("Etag").strip('"').lower()
            if expected and expected != etag:
                raise ChecksumMismatch(f"the body's MD5 is {etag}, not {expected}")
            data = ObjectData(
                name=request.name.path,
                timestamp=timestamp,
                content_type=_content_type(request) or "application/octet-stream",
                metadata={**kept, **_late(trailers)},
                etag=etag,
            )
            lease = trailers.get(messages.LEASE, "") or request.environ.get(messages.LEASE_KEY, "")
            guard = WriteGuard(_leases(request), request.location.hash, timestamp, lease, _check(condition), announced)
            try:
                info = writer.commit(data, guard)
            except Overtaken:  # as if it had been made just before what overtook it
                return Response(201, {"Etag": etag})
            guard.require()
        told = self._updater.put(request, info)
        return Response(201, {"Etag": info.etag, **told, **_replaced(guard.current), **_overwritten(guard.current)})

    def _refuse_early(self, request: Request, timestamp: Timestamp, condition: WriteCondition | None) -> None:
        """Spare a body that would be refused when it is there: the guard decides."""
        current, newest = self._current(request)
        if newest >= timestamp:
            raise Conflict("something newer is stored", newest)
        if condition is not None:
            condition.check(_live_etag(current))

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
        ahead = messages.AHEAD_OF_DATA_KEY in request.environ and newest == ZERO
        if current is None and not ahead:
            return _missing(newest)
        change = ObjectMetadata(
            timestamp=timestamp,
            metadata=_stored_headers(request.environ, metadata.replaced_by_post),
            content_type=_content_type(request) or None,
        )
        store = request.device.objects(request.location.policy)
        store.post(request.location, change, self._guard(request, timestamp), ahead)
        told = {} if ahead else self._updater.put(request, store.info(request.location))
        return Response(202, {**told, "X-Timestamp": timestamp.internal})

    def delete(self, request: Request) -> Response:
        timestamp = request.timestamp()
        store = request.device.objects(request.location.policy)
        if_delete_at = request.header("X-If-Delete-At")
        if if_delete_at and not is_whole(if_delete_at):
            raise InvalidInput("X-If-Delete-At is not a whole number of seconds")
        guard = self._guard(request, timestamp, if_delete_at)
        store.delete(request.location, request.name.path, timestamp, guard)
        guard.require()
        told = self._updater.delete(request, timestamp)
        current = guard.current
        found = current is not None and (if_delete_at or not _expired(current.metadata))
        headers = {messages.STORED_TIMESTAMP: timestamp.internal, **told, **_replaced(current)}
        return Response(204, headers) if found else error(404, headers=headers)

    def _guard(self, request: Request, timestamp: Timestamp, if_delete_at: str = "") -> WriteGuard:
        environ = request.environ
        check = _check(WriteCondition.of(environ), if_delete_at)
        lease = environ.get(messages.LEASE_KEY, "")
        return WriteGuard(_leases(request), request.location.hash, timestamp, lease, check)

    def lock(self, request: Request) -> Response:
        return lease_verbs.lock(request, _leases(request), self._lease_seconds, _shown)

    def unlock(self, request: Request) -> Response:
        return lease_verbs.unlock(request, _leases(request))

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


def _overwritten(current: ObjectInfo | None) -> dict[str, str]:
    return {} if current is None else {messages.OVERWRITTEN: "true"}


def _stored_headers(environ: dict[str, Any], kept: Callable[[str], bool]) -> dict[str, str]:
    """The headers of a change that `kept` says stay with the object; empty values are as if not sent.

    Raises InvalidInput for one that no answer could have.
    """
    stored = {name: value for name, value in requests.headers(environ).items() if value and kept(name)}
    metadata.check_sendable(stored)
    return stored


def _late(trailers: Mapping[str, str]) -> dict[str, str]:
    """The trailers of a PUT that stay with the object; raises InvalidInput as `_stored_headers` does."""
    late = {name: to_text(value) for name, value in trailers.items() if value and metadata.stored_with_object(name)}
    metadata.check_sendable(late)
    return late


def _content_type(request: Request) -> str:
    kind = request.header("Content-Type")
    if not is_header_value(kind):
        raise InvalidInput("Control characters in the value of Content-Type")
    return kind


def _expired(headers: Mapping[str, str]) -> bool:
    delete_at = headers.get("X-Delete-At")
    if not delete_at:
        return False
    try:
        return int(delete_at) <= time.time()
    except ValueError:
        raise InvalidInput(f"X-Delete-At on disk is not a number: {delete_at!r}") from None


def refusing(verb: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """A verb whose guard may refuse: with a conflict goes the timestamp that has to be surpassed."""

    def answer(request: Request) -> Response:
        try:
            return verb(request)
        except Conflict as conflict:
            newest = conflict.timestamp
            return error(409, headers={messages.STORED_TIMESTAMP: str(newest)} if newest else None)
        except PreconditionFailed as failed:
            return error(412, headers={messages.MISSING: "true"} if failed.missing else None)

    return answer


def _leases(request: Request) -> Leases:
    return request.device.leases(request.location.policy)


def _live_etag(info: ObjectInfo | None) -> str | None:
    return None if info is None or _expired(info.metadata) else shown_etag(info.metadata, info.etag)


def _shown(info: ObjectInfo) -> dict[str, str]:
    etag = _live_etag(info)
    return {} if etag is None else {"Etag": etag}


def _check(condition: WriteCondition | None, if_delete_at: str = "") -> Check | None:
    """What the live object must pass for a change to be made."""
    if condition is None and not if_delete_at:
        return None

    def check(current: ObjectInfo | None) -> None:
        if if_delete_at and (current is None or current.metadata.get("X-Delete-At") != if_delete_at):
            raise PreconditionFailed("the object is not to be deleted at that time")
        if condition is not None:
            condition.check(_live_etag(current))

    return check


def _missing(newest: Timestamp) -> Response:
    return error(404, headers={messages.STORED_TIMESTAMP: newest.internal} if newest else None)
