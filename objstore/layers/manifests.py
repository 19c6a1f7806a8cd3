"""Manifests: objects that are read as the segments they list, one after the other.

An open manifest looks as if the whole were one object: its length and etag, ranges of it, conditions by its etag. A
header of the stored object marks it as a manifest, so other objects cost nothing here. A raw read returns the list
itself (`web.segments`).

Segments in hidden containers belong to the store, and are opened in the layer inside. Those in clients' containers (of
a static large object) are opened as the client would, in the outermost layer, and only if the client may read them:
they may be links, versions or manifests themselves. HEAD checks one segment of each container, which a header names.

Segments that belong to a manifest alone (`core.manifests.MANIFEST_OWNS`) are freed some time after it is overwritten
or deleted, so that reads under way can end. The object server that makes the change reports the segments replaced.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from objstore.core.errors import Conflict, InvalidInput, NodeFailure, NotFound
from objstore.core.manifests import (
    FORM,
    LARGE,
    MANIFEST,
    MANIFEST_ETAG,
    MANIFEST_OWNS,
    MANIFEST_REFERS,
    MANIFEST_SIZE,
    MAX_DEPTH,
    MORE,
    OWN_ETAG,
    PARTS_COUNT,
    is_large,
    referred,
)
from objstore.core.names import RESERVED, Name
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
from objstore.layers.stack import Deps, LayerKind, Outermost
from objstore.runtime import settings
from objstore.runtime.settings import duration, setting
from objstore.web import ranges, segments
from objstore.web.conditions import range_applies
from objstore.web.context import RequestContext
from objstore.web.ranges import Span
from objstore.web.segments import Segment, Whole

_SMALL = 64 << 10  # bytes of a first segment that is sent only after the second was opened: else the answer is an error
_HIDDEN = f"/{RESERVED}"
_OF_REFUSAL = ("Etag", "Last-Modified", "X-Timestamp", MANIFEST, MANIFEST_ETAG, OWN_ETAG, PARTS_COUNT, LARGE)


@dataclass(frozen=True)
class ManifestsSettings:
    """Settings of the layer."""

    free_delay: float = setting(
        duration, "2m", "time to keep segments after their manifest is gone, for reads under way"
    )


class Manifests(Passing):
    """The layer around `inner`.

    free_delay: seconds that segments outlive their manifest. outermost: None if it is this one.
    """

    def __init__(
        self, inner: ObjectLayer, free_delay: float, logger: logging.Logger, outermost: Outermost | None = None
    ) -> None:
        super().__init__(inner)
        if outermost is None:
            outermost = Outermost()
            outermost.layer = self
        self._outermost = outermost
        self.reclaimer = Reclaimer(self, free_delay, logger)

    def open(self, context: RequestContext, name: Name, options: ReadOptions) -> Reply:
        """See `ObjectLayer.open`.

        Raises NotFound for the pointer of a delete marker, unless the read is raw; Conflict if the segments of a static
        large object are not as its list says; InvalidInput for a part that is not a number, or with a range.
        """
        reply = self.inner.open(context, name, options)
        headers = reply.headers
        if headers.get(MANIFEST) != FORM or (options.raw and reply.status == 200):
            return reply
        if DELETED in headers:
            reply.close()
            raise NotFound(f"{name.path} is a delete marker")
        large = is_large(headers)
        if large:
            headers[OWN_ETAG] = headers["Etag"]
        headers["Etag"] = headers[MANIFEST_ETAG]
        if reply.status != 200:  # a condition does not hold
            headers.pop("Content-Length", None)
            return reply
        try:
            if large:
                self._check(context, name, options, headers)
            if large and options.head and options.part is not None:
                return self._head_of_part(context, name, options)
        except BaseException:
            reply.close()
            raise
        if options.head:
            headers["Content-Length"] = headers[MANIFEST_SIZE]
            return reply
        try:
            return self._content(context, name, options, reply)
        except InvalidInput as failure:
            raise NodeFailure(f"{name.path}: {failure}") from None
        except SegmentMissing as failure:
            if large:
                raise Conflict(str(failure)) from None
            raise

    def _check(self, context: RequestContext, name: Name, options: ReadOptions, headers: dict[str, str]) -> None:
        """Check the right to read a static large object, and the options. Raises as `open`."""
        if options.depth >= MAX_DEPTH:
            raise Conflict(f"{name.path} is below more than {MAX_DEPTH - 1} manifests")
        if options.part is not None:
            if options.part < 1:
                raise InvalidInput("Part number must be an integer greater than 0")
            if "Range" in options.conditions:
                raise InvalidInput("Range requests are not supported with part number queries")
        refers = headers.get(MANIFEST_REFERS, "")
        if options.permit is None or not refers:
            return
        for path in referred(refers):
            options.permit(Name.parse(f"/{name.account}/{path}"))
        if refers.endswith(MORE):
            raw = self.inner.open(context, name, _same(options, headers)._replace(raw=True))
            if raw.status != 200:
                raise Conflict(f"{name.path} was changed meanwhile")
            containers: dict[str, str] = {}
            for segment in segments.parse(_stored_list(raw)):
                if segment.path:
                    containers.setdefault(segment.path.split("/", 2)[1], segment.path)
            for path in containers.values():
                options.permit(Name.parse(f"/{name.account}{path}"))

    def _head_of_part(self, context: RequestContext, name: Name, options: ReadOptions) -> Reply:
        reply = self.open(context, name, options._replace(head=False))
        reply.close()
        return Reply(reply.status, reply.headers)

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
        span: Span | tuple[()] | None
        if options.part is not None and is_large(headers):
            headers[PARTS_COUNT] = str(whole.parts)
            span = whole.part(options.part) or ()
        else:
            span = requested_span(options, headers, whole.size)
        if span is None:
            return Reply(200, headers, self._body(context, name, options, headers, whole.reads((0, whole.size))))
        if not span:
            shown = {key: headers[key] for key in _OF_REFUSAL if key in headers}
            return Reply(416, {**shown, "Content-Range": ranges.unsatisfied_range(whole.size)})
        start, stop = span
        headers["Content-Range"] = ranges.content_range(start, stop, whole.size)
        headers["Content-Length"] = str(stop - start)
        return Reply(206, headers, self._body(context, name, options, headers, whole.reads((start, stop))))

    def _body(
        self,
        context: RequestContext,
        name: Name,
        options: ReadOptions,
        headers: dict[str, str],
        items: Iterable[bytes | Segment],
    ) -> SegmentBody:
        """Return the body of some segments. Raises NodeFailure if the first cannot be read."""
        owned = headers.get(MANIFEST_OWNS)
        tick = self.reclaimer.mark(context, name.account, owned) if owned else None
        body = SegmentBody(self._fetcher(context, name.account, options), items, tick)
        if is_large(headers):
            try:
                body.await_second(_SMALL)
            except BaseException:
                body.close()
                raise
        return body

    def _fetcher(self, context: RequestContext, account: str, options: ReadOptions) -> Fetch:
        """Return a function that opens segments of an account, each only in the version that the manifest lists."""
        outer = ReadOptions(permit=options.permit, depth=options.depth + 1)

        def fetch(segment: Segment) -> Reply:
            conditions = {"If-Match": f'"{segment.etag}"'}
            part = segment.length != segment.size
            if part:
                conditions["Range"] = f"bytes={segment.start}-{segment.stop - 1}"
            name = Name.parse(f"/{account}{segment.path}")
            try:
                if segment.path.startswith(_HIDDEN):
                    reply = self.inner.open(context, name, ReadOptions(conditions))
                else:
                    if options.permit is not None:
                        options.permit(name)
                    reply = self._outermost.layer.open(context, name, outer._replace(conditions=conditions))
            except (NotFound, Conflict):
                raise SegmentMissing(f"segment {name.path} of etag {segment.etag} is gone") from None
            if reply.status == (206 if part else 200) and reply.size == segment.length:
                return reply
            reply.close()
            raise SegmentMissing(f"segment {name.path} of etag {segment.etag}: {reply.status}")

        return fetch


def _same(options: ReadOptions, headers: dict[str, str]) -> ReadOptions:
    """Return the options of another read of the same object."""
    return options._replace(conditions={"If-Match": f'"{headers["Etag"]}"'}, head=False, part=None)


def _stored_list(reply: Reply) -> bytes:
    size = int(reply.headers["Content-Length"])
    if size > segments.MAX_BYTES:
        reply.close()
        raise InvalidInput(f"a list of segments of more than {segments.MAX_BYTES} bytes")
    return reply.read()


def requested_span(options: ReadOptions, headers: dict[str, str], size: int) -> Span | tuple[()] | None:
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
    values = settings.read(ManifestsSettings, deps.conf, "app:proxy-server")
    return Manifests(inner, values.free_delay, deps.logger, deps.outermost)


KIND = LayerKind(
    "manifests",
    _make,
    ManifestsSettings,
    outside_of=("encryption",),
    needed="objects that were uploaded in parts would be read as lists of their parts",
)
