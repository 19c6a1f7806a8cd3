"""Dynamic large objects (Swift: DLO): objects that are read as all objects of a container whose names have a prefix.

The header X-Object-Manifest of the stored object names them, its *segments*. They are listed at each read, in the order
of listings; their sizes add up to the size of the whole, and the MD5 of their etags is its etag. The own bytes of the
object are read by raw reads only.

Rules:

- A listing is asked of a majority of the container's replicas, so that no segment is left out whose row a majority has.
  An object on which the replicas disagree is looked up.
- The whole listing is read before an answer begins, a page at a time. The segments of a single page are kept. Of more
  pages only digests are: each page is listed again before its bytes are sent, and must be the same then.
- A segment is opened as a client would, in the outermost layer, and only in the version that was listed. So a link, a
  version or a manifest counts with its content. But another dynamic large object counts with its own bytes, as in
  Swift: otherwise one could be a segment of itself, by way of a link.
- The object itself is not one of its segments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from objstore.core import dlo
from objstore.core.dlo import DLO
from objstore.core.errors import BrokenLink, Conflict, NotFound
from objstore.core.manifests import LARGE, OWN_ETAG
from objstore.core.names import Name
from objstore.core.timestamps import Timestamp
from objstore.layers import listings
from objstore.layers.interface import ObjectLayer, Page, ReadOptions, Reply
from objstore.layers.manifests import requested_span
from objstore.layers.passing import Passing
from objstore.layers.segment_body import SegmentBody, SegmentMissing
from objstore.layers.stack import Deps, LayerKind, Outermost
from objstore.runtime import settings
from objstore.runtime.settings import positive, setting
from objstore.web import conditions, ranges
from objstore.web.context import RequestContext
from objstore.web.ranges import Span
from objstore.web.segments import Segment, Whole

_OF_REFUSAL = ("Etag", "Last-Modified", "X-Timestamp", DLO, OWN_ETAG)


@dataclass(frozen=True)
class DloSettings:
    """Settings of the layer."""

    dlo_page: int = setting(positive, "1000", "segments of a dynamic large object that are listed, and kept, at a time")


class DynamicLargeObjects(Passing):
    """The layer around `inner`. page: segments that are listed at a time."""

    features = ("dlo",)

    def __init__(self, inner: ObjectLayer, outermost: Outermost, page: int) -> None:
        super().__init__(inner)
        self._outermost = outermost
        self._page = page

    def info(self) -> dict[str, dict[str, object]]:
        """Return the sections of /info."""
        return {"dlo": {"max_segments": self._page}}

    def open(self, context: RequestContext, name: Name, options: ReadOptions) -> Reply:
        """See `ObjectLayer.open`. Raises NotFound if the container of the segments is missing, Conflict if the first
        segment cannot be read, InvalidInput for a header that no client can have set."""
        reply = self.inner.open(context, name, options)
        if DLO not in reply.headers or options.raw or not options.dynamic or LARGE in reply.headers:
            return reply
        reply.close()
        if reply.status != 200:  # the condition or range is not about these bytes
            plain = options._replace(head=True, conditions={})
            reply = self.inner.open(context, name, plain)
            if DLO not in reply.headers:
                return self.open(context, name, options)
        return self._content(_Read(self._outermost.layer, context, name, options, self._page), reply)

    def _content(self, read: _Read, reply: Reply) -> Reply:
        options, headers = read.options, reply.headers
        source = dlo.parse(headers[DLO], read.name.account)
        index = _Index(read, source)
        headers[OWN_ETAG] = headers["Etag"]
        headers["Etag"] = etag = index.etag
        headers["Content-Length"] = str(index.size)
        changed = Timestamp.parse(headers["X-Timestamp"])
        verdict = conditions.evaluate("HEAD" if options.head else "GET", options.conditions, etag, changed)
        if verdict is not None:
            del headers["Content-Length"]
            return Reply(verdict, headers, (), reply.version_id)
        if options.head:
            return Reply(200, headers, (), reply.version_id)
        span = requested_span(options, headers, index.size)
        if span is not None and not span:
            shown = {key: headers[key] for key in _OF_REFUSAL if key in headers}
            refusal = {**shown, "Content-Range": ranges.unsatisfied_range(index.size)}
            return Reply(416, refusal, (), reply.version_id)
        if span is not None:
            start, stop = span
            headers["Content-Range"] = ranges.content_range(start, stop, index.size)
            headers["Content-Length"] = str(stop - start)
        try:
            body = SegmentBody(read.fetch, index.reads(span or (0, index.size)))
        except SegmentMissing as failure:
            raise Conflict(str(failure)) from None
        return Reply(200 if span is None else 206, headers, body, reply.version_id)


class _Read(NamedTuple):
    """One read of an object. layer: the outermost. options: of the read. page: segments that are listed at a time."""

    layer: ObjectLayer
    context: RequestContext
    name: Name
    options: ReadOptions
    page: int

    def segments(self, source: Name, marker: str) -> Iterator[Segment]:
        """Yield the segments behind a marker. source: the container, and the prefix as the object. Raises NotFound."""
        page = Page(source.object or "", marker=marker, limit=self.page, majority=True)
        for row in listings.rows(self.layer, self.context, source.of_container, page):
            place = source._replace(object=row["name"])
            segment = None if place == self.name else self._segment(place, row)
            if segment is not None:
                yield segment

    def _segment(self, place: Name, row: dict[str, Any]) -> Segment | None:
        """Return the segment of a row, None if the object is deleted. Raises SegmentMissing if it cannot be read."""
        path = f"/{place.container}/{place.object}"
        disputed = "disputed" in row
        size = row["bytes"]
        if size and not disputed:  # a link has none
            return Segment(path, row.get("slo_etag", row["hash"]).strip('"'), size, 0, size)
        try:
            reply = self.open(place, ReadOptions(head=True, newest=True))
        except BrokenLink as failure:
            raise Conflict(f"segment {place.path}: {failure}") from None
        except NotFound:
            if disputed:
                return None  # replicas that list it have not learned of its deletion yet
            raise Conflict(f"segment {place.path} is listed and missing") from None
        return Segment(path, reply.headers["Etag"].strip('"'), reply.size, 0, reply.size)

    def fetch(self, segment: Segment) -> Reply:
        """Open a segment. Raises SegmentMissing, and the error of `ReadOptions.permit`."""
        place = Name.parse(f"/{self.name.account}{segment.path}")
        sent = {"If-Match": f'"{segment.etag}"'}
        part = segment.length != segment.size
        if part:
            sent["Range"] = f"bytes={segment.start}-{segment.stop - 1}"
        status = 404
        for newest in (self.options.newest, True):  # the first replica may lack what the listing shows
            try:
                reply = self.open(place, ReadOptions(sent, newest=newest))
            except NotFound:
                continue
            if reply.status == (206 if part else 200) and reply.size == segment.length:
                return reply
            status = reply.status
            reply.close()
        raise SegmentMissing(f"segment {place.path} of etag {segment.etag}: {status}")

    def open(self, place: Name, options: ReadOptions) -> Reply:
        permit = self.options.permit
        if permit is not None:
            permit(place)
        depth = self.options.depth + 1  # the layer of manifests ends a read that goes too deep
        return self.layer.open(self.context, place, options._replace(permit=permit, dynamic=False, depth=depth))


class _Chunk(NamedTuple):
    """Segments that follow each other: `number` of them behind a marker, whose bytes begin at `offset` of the whole.

    digest: of their names, etags and sizes.
    """

    marker: str
    offset: int
    size: int
    number: int
    digest: bytes


class _Index:
    """The segments as they were listed when the read began. size: of the whole. etag: of the whole, without quotes."""

    def __init__(self, read: _Read, source: Name) -> None:
        """Raises NotFound if there is no such container, and the error of `ReadOptions.permit`."""
        self._read = read
        self._source = source
        self._chunks: list[_Chunk] = []
        self._first: list[Segment] = []
        self.size = 0
        md5 = hashlib.md5(usedforsecurity=False)
        for segments in self._listed():
            for segment in segments:
                md5.update(segment.etag.encode())
        self.etag = md5.hexdigest()

    def _listed(self) -> Iterator[list[Segment]]:
        """List all segments once; yield them page by page."""
        read, source = self._read, self._source
        permit = read.options.permit
        marker = ""
        rows = read.segments(source, marker)
        while True:
            try:
                segments = list(islice(rows, read.page))
            except NotFound as failure:
                if permit is not None:
                    permit(source)  # clients without this right do not learn what is missing
                raise NotFound(f"there is no container {source.of_container.path}", failure.timestamp) from None
            if permit is not None and not self._chunks:
                permit(_place(source, segments[0]) if segments else source)
            if not segments:
                return
            size = sum(segment.size for segment in segments)
            self._chunks.append(_Chunk(marker, self.size, size, len(segments), _digest(segments)))
            if len(self._chunks) == 1:
                self._first = segments
            self.size += size
            yield segments
            marker = segments[-1].path.split("/", 2)[2]

    def reads(self, span: Span) -> Iterator[bytes | Segment]:
        """Yield the segments to read for the bytes of a span. Raises SegmentMissing if they are listed otherwise."""
        start, stop = span
        for chunk in self._chunks:
            if chunk.offset < stop and start < chunk.offset + chunk.size:
                requested = max(0, start - chunk.offset), min(chunk.size, stop - chunk.offset)
                yield from Whole(self._again(chunk)).reads(requested)

    def _again(self, chunk: _Chunk) -> list[Segment]:
        if chunk is self._chunks[0]:
            return self._first
        try:
            segments = list(islice(self._read.segments(self._source, chunk.marker), chunk.number))
        except NotFound:
            segments = []
        if _digest(segments) != chunk.digest:
            raise SegmentMissing(f"the segments of {self._read.name.path} have changed")
        return segments


def _place(source: Name, segment: Segment) -> Name:
    return Name.parse(f"/{source.account}{segment.path}")


def _digest(segments: list[Segment]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for segment in segments:
        digest.update(f"{segment.path}\n{segment.etag}\n{segment.size}\n".encode("utf-8", "surrogateescape"))
    return digest.digest()


def _make(inner: ObjectLayer, deps: Deps) -> DynamicLargeObjects:
    values = settings.read(DloSettings, deps.conf, "app:proxy-server")
    return DynamicLargeObjects(inner, deps.outermost, values.dlo_page)


KIND = LayerKind(
    "dlo",
    _make,
    DloSettings,
    outside_of=("versioned_writes", "placement", "versions", "manifests", "encryption"),
    needed="dynamic large objects would be read as their own, mostly empty bodies",
)
