"""The object server: PUT, POST, DELETE, GET and HEAD of objects on this host's devices."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from objstore.core import expiry, metadata
from objstore.core.errors import (
    ChecksumMismatch,
    Conflict,
    InvalidInput,
    NotFound,
    ObjectHeld,
    ObjstoreError,
    PreconditionFailed,
)
from objstore.core.links import LINK
from objstore.core.manifests import MANIFEST, MANIFEST_OWNS, REPLACED_SEGMENTS, list_etag, shown_etag
from objstore.core.names import HashSalt
from objstore.core.numbers import is_whole
from objstore.core.object_lock import CLOCK as CLOCK_HEADER
from objstore.core.object_lock import HELD, IF_LOCK, JUDGED, LOCK
from objstore.core.text import is_header_value
from objstore.core.timestamps import ZERO, Timestamp
from objstore.runtime.steady_clock import CLOCK
from objstore.server import lease_verbs
from objstore.server.answers import answer, error, missing
from objstore.server.container_update import ContainerUpdater
from objstore.server.devices import Devices
from objstore.server.request import Request
from objstore.server.storage_server import Replicate, StorageServer, Verb
from objstore.server.write_guard import Check, Overtaken, WriteGuard
from objstore.store.interface import ObjectData, ObjectInfo, ObjectMetadata, ObjectReader
from objstore.store.leases import Leases
from objstore.web import conditions, ranges
from objstore.web.responses import http_date
from objstore.web.write_conditions import WriteCondition
from objstore.wire import messages
from objstore.wire.messages import NodeResponse

_SMALL = 64 << 10  # bytes of an object that are read before its answer begins


class ObjectVerbs:
    """Verbs over the object engines."""

    def __init__(self, updater: ContainerUpdater, lease_seconds: float) -> None:
        self._updater = updater
        self._lease_seconds = lease_seconds

    def put(self, request: Request) -> NodeResponse:
        timestamp = request.timestamp()
        headers, body = request.headers, request.body
        store = request.device.objects(request.location.policy)
        condition = WriteCondition.sent(headers)
        if body.announced or condition is not None:
            self._refuse_early(request, timestamp, condition)
        size = body.length if body.length is not None else request.number(messages.SIZE)
        known_etag = headers.get(messages.ETAG_TRAILER)
        kept = _stored_headers(headers, metadata.stored_with_object)
        hashing = not known_etag and messages.ETAG_TRAILER not in headers.get("Trailer", "")
        with store.create(request.location, size, hashing) as writer:
            for piece in body:
                writer.write(piece)
            trailers = body.trailers
            if messages.TIMESTAMP in trailers:  # of the end of the body, which becomes the object's timestamp
                timestamp = Timestamp.parse(trailers[messages.TIMESTAMP])
            etag = known_etag or trailers.get(messages.ETAG_TRAILER) or writer.etag()
            expected = headers.get("Etag", "").strip('"').lower()
            if expected and expected != etag:
                raise ChecksumMismatch(f"the body's MD5 is {etag}, not {expected}")
            if trailers:
                kept |= _stored_headers(trailers, metadata.stored_with_object)
            kind = _content_type(request) or "application/octet-stream"
            data = ObjectData(request.name.path, timestamp, kind, kept, etag)
            lease = trailers.get(messages.LEASE, "") or headers.get(messages.LEASE, "")
            check = None if condition is None else _check(condition)
            guard = WriteGuard(
                _leases(request), request.location.hash, timestamp, lease, check, body.announced, _judged(request)
            )
            info = ObjectInfo(data.name, timestamp, timestamp, timestamp, writer.size, etag, kind, kept)
            update = self._updater.of_object(request, info)
            try:
                writer.commit(data, guard, update.sequel)
            except Overtaken:  # as if it had been made just before the change that overtook it
                return answer(201, {"Etag": etag})
            guard.require()
        sent = {"Etag": etag, **self._updater.send(update)}
        if guard.current is not None:
            sent[messages.OVERWRITTEN] = "true"
            sent |= _replaced(guard.current)
        return answer(201, sent)

    def _refuse_early(self, request: Request, timestamp: Timestamp, condition: WriteCondition | None) -> None:
        """Refuse before the body is read if it would be refused later; the guard makes the final decision."""
        current, newest = self._current(request)
        if newest >= timestamp:
            raise Conflict("something newer is stored", newest)
        if condition is not None:
            condition.check(*_live_etags(current), _lock_of(current))

    def _current(self, request: Request, expired: bool = False) -> tuple[ObjectInfo | None, Timestamp]:
        """Return the live object, if any, and the timestamp of the newest known change of the name.

        expired: an expired object counts as live.
        """
        try:
            info = request.device.objects(request.location.policy).info(request.location)
        except NotFound as failure:
            return None, _deleted(failure)
        return (None if not expired and _expired(info.metadata) else info), info.timestamp

    def post(self, request: Request) -> NodeResponse:
        timestamp = request.timestamp()
        current, newest = self._current(request, messages.EVEN_EXPIRED in request.headers)
        ahead = messages.AHEAD_OF_DATA in request.headers and newest == ZERO
        if current is None and not ahead:
            return missing(newest)
        if current is not None and LINK in current.metadata:
            raise Conflict("the metadata of a link cannot be changed")
        change = ObjectMetadata(
            timestamp=timestamp,
            metadata=_stored_headers(request.headers, metadata.replaced_by_post),
            content_type=_content_type(request) or None,
        )
        store = request.device.objects(request.location.policy)
        store.post(request.location, change, self._guard(request, timestamp), ahead)
        updated = {} if ahead else self._updater.send(self._updater.of_object(request, store.info(request.location)))
        return answer(202, {**updated, "X-Timestamp": timestamp.internal})

    def delete(self, request: Request) -> NodeResponse:
        timestamp = request.timestamp()
        store = request.device.objects(request.location.policy)
        if_delete_at = request.headers.get("X-If-Delete-At", "")
        if if_delete_at and not is_whole(if_delete_at):
            raise InvalidInput("X-If-Delete-At is not a whole number of seconds")
        guard = self._guard(request, timestamp, if_delete_at)
        update = self._updater.of_deletion(request, timestamp)
        store.delete(request.location, request.name.path, timestamp, guard, update.sequel)
        guard.require()
        updated = self._updater.send(update)
        current = guard.current
        found = current is not None and (if_delete_at or not _expired(current.metadata))
        headers = {messages.STORED_TIMESTAMP: timestamp.internal, **updated, **_replaced(current)}
        return answer(204, headers) if found else error(404, headers=headers)

    def _guard(self, request: Request, timestamp: Timestamp, if_delete_at: str = "") -> WriteGuard:
        check = _check(WriteCondition.sent(request.headers), if_delete_at)
        lease = request.headers.get(messages.LEASE, "")
        return WriteGuard(_leases(request), request.location.hash, timestamp, lease, check, judged=_judged(request))

    def lock(self, request: Request) -> NodeResponse:
        return lease_verbs.lock(request, _leases(request), self._lease_seconds, _shown_headers)

    def get(self, request: Request) -> NodeResponse:
        try:
            reader = request.device.objects(request.location.policy).open(request.location)
        except NotFound as failure:
            return missing(_deleted(failure))
        try:
            response = _read(request, reader)
        except BaseException:
            reader.close()
            raise
        if type(response.body) is tuple:
            reader.close()
        return response


def object_server(
    devices: Devices,
    salt: HashSalt,
    updater: ContainerUpdater,
    logger: logging.Logger,
    lease_seconds: float = lease_verbs.LEASE_SECONDS,
    replicate: Replicate | None = None,
) -> StorageServer:
    verbs = ObjectVerbs(updater, lease_seconds)
    by_method: dict[str, Verb] = {
        "PUT": _refusing(verbs.put),
        "GET": verbs.get,
        "HEAD": verbs.get,
        "POST": _refusing(verbs.post),
        "DELETE": _refusing(verbs.delete),
        "LOCK": verbs.lock,
        "UNLOCK": lambda request: lease_verbs.unlock(request, _leases(request)),
    }
    return StorageServer("object", devices, salt, by_method, logger, replicate)


def _read(request: Request, reader: ObjectReader) -> NodeResponse:
    """Return the answer to a GET or HEAD; it closes the reader unless its body is complete."""
    info, sent = reader.info, request.headers
    if _expired(info.metadata) and messages.EVEN_EXPIRED not in sent:
        return missing(info.timestamp)
    version = sent.get(messages.MATCH_TIMESTAMP)
    if version and Timestamp.parse(version) != info.data_timestamp:
        return error(412, headers={messages.STORED_TIMESTAMP: info.timestamp.internal})
    headers = _object_headers(info)
    if not sent.keys().isdisjoint(conditions.CONDITIONAL_HEADERS):
        etag = shown_etag(info.metadata, info.etag)
        verdict = conditions.evaluate(request.method, sent, etag, info.timestamp, list_etag(info.metadata, info.etag))
        if verdict is not None:
            del headers["Content-Length"]
            return answer(verdict, headers)
    start, stop, status = 0, info.size, 200
    # A range of a manifest refers to its segments' content, unless a read of its own bytes continues.
    if "Range" in sent and request.method == "GET" and (version or MANIFEST not in info.metadata):
        span = _span(sent, info)
        if span is None:
            del headers["Content-Length"], headers["Content-Type"]  # the page's own headers are sent
            return error(416, headers={**headers, "Content-Range": ranges.unsatisfied_range(info.size)})
        start, stop, status = span
        if status == 206:
            headers["Content-Range"] = ranges.content_range(start, stop, info.size)
            headers["Content-Length"] = str(stop - start)
    if request.method == "HEAD" or start == stop:
        return answer(status, headers)
    return NodeResponse(status, headers, _content(reader, start, stop), reader.close)


def _content(reader: ObjectReader, start: int, stop: int) -> Iterable[bytes | memoryview]:
    """Return the bytes from start to stop: those of a small object at once, as a tuple."""
    pieces = reader.read(start, stop)
    if reader.info.size > _SMALL:
        return pieces
    try:
        return (b"".join(map(bytes, pieces)),)
    except (ObjstoreError, OSError) as failure:
        return _failing(failure)


def _failing(failure: Exception) -> Iterator[bytes]:
    """Return a body that fails when it is read, as that of a large object does."""
    raise failure
    yield b""


def _span(sent: Mapping[str, str], info: ObjectInfo) -> tuple[int, int, int] | None:
    """Return start, stop and status of a request with Range; None if it cannot be satisfied.

    The proxy handles several ranges and requests them one by one.
    """
    parsed = ranges.parse(sent["Range"])
    if parsed is None or len(parsed) > 1:
        return 0, info.size, 200
    if not conditions.range_applies(sent.get("If-Range", ""), info.etag, info.timestamp):
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
    """Return the segments that belonged only to the replaced object: no other code deletes them."""
    owned = current.metadata.get(MANIFEST_OWNS) if current is not None else None
    return {REPLACED_SEGMENTS: owned} if owned else {}


def _stored_headers(sent: Mapping[str, str], kept: Callable[[str], bool]) -> dict[str, str]:
    """Return the headers or trailers of a change selected by `kept`, to store with the object.

    Raises InvalidInput for a header that no answer could have.
    """
    stored = metadata.sent_values(sent, kept)
    metadata.check_sendable(stored)
    return stored


def _content_type(request: Request) -> str:
    kind = request.headers.get("Content-Type", "")
    if not is_header_value(kind):
        raise InvalidInput("Control characters in the value of Content-Type")
    return kind


def _expired(headers: Mapping[str, str]) -> bool:
    return expiry.is_expired(headers, time.time())


def _refusing(verb: Verb) -> Verb:
    """Wrap a verb whose guard may refuse: a conflict is answered with the timestamp that a retry must exceed."""

    def checked(request: Request) -> NodeResponse:
        try:
            return verb(request)
        except Conflict as conflict:
            newest = conflict.timestamp
            return error(409, headers={messages.STORED_TIMESTAMP: str(newest)} if newest else None)
        except PreconditionFailed as failed:
            return error(412, headers={messages.MISSING: "true"} if failed.missing else None)
        except ObjectHeld as held:
            return error(412, headers={HELD: str(held)})

    return checked


def _leases(request: Request) -> Leases:
    return request.device.leases(request.location.policy)


def _live_etag(info: ObjectInfo | None) -> str | None:
    return None if info is None or _expired(info.metadata) else shown_etag(info.metadata, info.etag)


def _live_etags(info: ObjectInfo | None) -> tuple[str | None, str]:
    """Return the etags by which a condition may name the live object."""
    etag = _live_etag(info)
    return etag, "" if info is None or etag is None else list_etag(info.metadata, info.etag)


def _lock_of(info: ObjectInfo | None) -> str:
    """Return the state of an object's lock."""
    return "" if info is None else info.metadata.get(LOCK, "")


def _judged(request: Request) -> bool:
    """Return whether the writer has taken the object's lock into account."""
    return IF_LOCK in request.headers or JUDGED in request.headers


def _shown_headers(info: ObjectInfo) -> dict[str, str]:
    etag = _live_etag(info)
    headers = {} if etag is None else {"Etag": etag}
    headers[CLOCK_HEADER] = str(CLOCK.earliest())
    if LOCK in info.metadata:
        headers[LOCK] = info.metadata[LOCK]
    return headers


def _check(condition: WriteCondition | None, if_delete_at: str = "") -> Check | None:
    """Return the check that the live object must pass before a change."""
    if condition is None and not if_delete_at:
        return None

    def check(current: ObjectInfo | None) -> None:
        if if_delete_at and (current is None or current.metadata.get("X-Delete-At") != if_delete_at):
            raise PreconditionFailed("the object does not expire at that time")
        if condition is not None:
            condition.check(*_live_etags(current), _lock_of(current))
            if condition.lock is not None:
                condition.lock.check_clock(CLOCK.earliest())

    return check


def _deleted(failure: NotFound) -> Timestamp:
    """Return the timestamp of the deletion of a missing name; ZERO if unknown."""
    return failure.timestamp if isinstance(failure.timestamp, Timestamp) else ZERO
