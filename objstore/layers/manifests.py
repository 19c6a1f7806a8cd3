"""Manifests: objects that are read as the segments they list, one after the other.

An open manifest looks as if the whole were one object: its length and etag, ranges of it, conditions by its etag. A
header of the stored object marks it as a manifest, so other objects cost nothing here. A raw read returns the list
itself (`web.segments`).

Segments that belong to a manifest alone (`core.manifests.MANIFEST_OWNS`) are freed some time after it is overwritten
or deleted, so that reads under way can end. The object server that makes the change reports the segments replaced.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from objstore.core.errors import InvalidInput, NodeFailure, NotFound
from objstore.core.manifests import FORM, MANIFEST, MANIFEST_ETAG, MANIFEST_OWNS, MANIFEST_SIZE
from objstore.core.names import Name
from objstore.core.timestamps import Timestamp
from objstore.core.versions import DELETED
from objstore.layers.bodies import ObjectBody
from objstore.layers.interface import (
    DeleteOptions,
    DeleteResult,
    ObjectLayer,
    PutOptions,
    PutResult,
    ReadOptions,
    Reply,
)
from objstore.layers.passing import Passing
from objstore.layers.segment_body import Fetch, SegmentBody, SegmentMissing
from objstore.layers.segment_reclaim import Reclaimer
from objstore.layers.stack import Deps, LayerKind
from objstore.runtime import settings
from objstore.runtime.settings import duration, setting
from objstore.web import ranges, segments
from objstore.web.conditions import range_applies
from objstore.web.context import RequestContext
from objstore.web.ranges import Span
from objstore.web.segments import Segment, Whole

_OF_REFUSAL = ("Etag", "Last-Modified", "X-Timestamp", MANIFEST, MANIFEST_ETAG)


@dataclass(frozen=True)
class ManifestsSettings:
    """Settings of the layer."""

    free_delay: float = setting(
        duration, "2m", "time to keep segments after their manifest is gone, for reads under way"
    )


class Manifests(Passing):
    """The layer around `inner`. free_delay: seconds that segments outlive their manifest."""

    def __init__(self, inner: ObjectLayer, free_delay: float, logger: logging.Logger) -> None:
        super().__init__(inner)
        self.reclaimer = Reclaimer(self, free_delay, logger)

    def open(self, context: RequestContext, name: Name, options: ReadOptions) -> Reply:
        """See `ObjectLayer.open`. Raises NotFound for the pointer of a delete marker, unless the read is raw."""
        reply = self.inner.open(context, name, options)
        headers = reply.headers
        if headers.get(MANIFEST) != FORM or (options.raw and reply.status == 200):
            return reply
        if DELETED in headers:
            reply.close()
            raise NotFound(f"{name.path} is a delete marker")
        headers["Etag"] = headers[MANIFEST_ETAG]
        if reply.status != 200:  # a condition does not hold
            headers.pop("Content-Length", None)
            return reply
        if options.head:
            headers["Content-Length"] = headers[MANIFEST_SIZE]
            return reply
        try:
            return self._content(context, name, options, reply)
        except InvalidInput as failure:
            raise NodeFailure(f"{name.path}: {failure}") from None

    def put(self, context: RequestContext, name: Name, options: PutOptions, body: ObjectBody) -> PutResult:
        result = self.inner.put(context, name, options, body)
        if result.segments and not options.keep_segments:
            own = options.headers.get(MANIFEST_OWNS)  # a manifest written again still has its segments
            self._free(context, name, [owned for owned in result.segments if owned != own])
        return result

    def delete(self, context: RequestContext, name: Name, options: DeleteOptions) -> DeleteResult:
        result = self.inner.delete(context, name, options)
        if not options.keep_segments:
            self._free(context, name, result.segments)
        return result

    def _free(self, context: RequestContext, name: Name, segments: Iterable[str]) -> None:
        for owned in segments:
            self.reclaimer.free(context, name.account, owned)

    def _content(self, context: RequestContext, name: Name, options: ReadOptions, reply: Reply) -> Reply:
        headers = reply.headers
        whole = Whole(segments.parse(_stored_list(reply)))
        if whole.size != int(headers[MANIFEST_SIZE]):
            raise InvalidInput(f"segments of {whole.size} bytes for an object of {headers[MANIFEST_SIZE]}")
        headers["Content-Length"] = headers[MANIFEST_SIZE]
        span = _span(options, headers, whole.size)
        if span is None:
            return Reply(200, headers, self._body(context, name, headers, whole.reads((0, whole.size))))
        if not span:
            shown = {key: headers[key] for key in _OF_REFUSAL if key in headers}
            return Reply(416, {**shown, "Content-Range": ranges.unsatisfied_range(whole.size)})
        start, stop = span
        headers["Content-Range"] = ranges.content_range(start, stop, whole.size)
        headers["Content-Length"] = str(stop - start)
        return Reply(206, headers, self._body(context, name, headers, whole.reads((start, stop))))

    def _body(
        self, context: RequestContext, name: Name, headers: dict[str, str], items: Iterable[Segment]
    ) -> SegmentBody:
        """Return the body of some segments. Raises NodeFailure if the first cannot be read."""
        owned = headers.get(MANIFEST_OWNS)
        tick = self.reclaimer.mark(context, name.account, owned) if owned else None
        return SegmentBody(self._fetcher(context, name.account), items, tick)

    def _fetcher(self, context: RequestContext, account: str) -> Fetch:
        """Return a function that opens segments of an account, each only in the version that the manifest lists."""

        def fetch(segment: Segment) -> Reply:
            conditions = {"If-Match": f'"{segment.etag}"'}
            part = segment.length != segment.size
            if part:
                conditions["Range"] = f"bytes={segment.start}-{segment.stop - 1}"
            name = Name.parse(f"/{account}{segment.path}")
            try:
                reply = self.inner.open(context, name, ReadOptions(conditions))
            except NotFound:
                raise SegmentMissing(f"segment {name.path} of etag {segment.etag} is gone") from None
            if reply.status == (206 if part else 200):
                return reply
            reply.close()
            raise SegmentMissing(f"segment {name.path} of etag {segment.etag}: {reply.status}")

        return fetch


def _stored_list(reply: Reply) -> bytes:
    size = int(reply.headers["Content-Length"])
    if size > segments.MAX_BYTES:
        reply.close()
        raise InvalidInput(f"a list of segments of more than {segments.MAX_BYTES} bytes")
    return reply.read()


def _span(options: ReadOptions, headers: dict[str, str], size: int) -> Span | tuple[()] | None:
    """Return the requested span: None for the whole, empty if it cannot be satisfied."""
    requested = ranges.parse(options.conditions.get("Range", ""))
    if requested is None or len(requested) > 1:
        return None
    changed = Timestamp.parse(headers["X-Timestamp"])
    if not range_applies(options.conditions.get("If-Range", ""), headers["Etag"], changed):
        return None
    spans = ranges.resolve(requested, size)
    return spans[0] if spans else ()


def _make(inner: ObjectLayer, deps: Deps) -> Manifests:
    return Manifests(inner, settings.read(ManifestsSettings, deps.conf, "app:proxy-server").free_delay, deps.logger)


KIND = LayerKind(
    "manifests",
    _make,
    ManifestsSettings,
    outside_of=("encryption",),
    needed="objects that were uploaded in parts would be read as lists of their parts",
)
