"""Objects that stand for others: a manifest is read as the segments it lists, one after the other.

GET and HEAD of a manifest answer as if the whole were one object: its length and etag, ranges
of it, conditions by its etag. Whether an object is a manifest is told by a header of the answer
below, so that other objects cost nothing. A trusted request with `multipart-manifest=get` in
the query reads and a trusted PUT writes the list itself; clients meet it as a large object without
segments of their own.

Segments that belong to a manifest alone (`core.manifests.MANIFEST_OWNS`) are freed some time
after it is overwritten or deleted. The object server that makes the change says what it left to no one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from objstore.core.errors import InvalidInput, NodeFailure
from objstore.core.manifests import (
    FORM,
    KEEP_SEGMENTS,
    MANIFEST,
    MANIFEST_ETAG,
    MANIFEST_OWNS,
    MANIFEST_SIZE,
    REPLACED_SEGMENTS,
)
from objstore.core.timestamps import Timestamp
from objstore.core.versions import DELETED
from objstore.middleware.segment_reads import SegmentBody, fetcher
from objstore.middleware.segment_reclaim import Reclaimer
from objstore.runtime import log, settings
from objstore.web import ranges, segments
from objstore.web.conditions import range_applies
from objstore.web.ranges import Span
from objstore.web.requests import ENVIRON_KEY, Environ, StartResponse, WsgiApp, header, to_text
from objstore.web.responses import Answer, Response, error
from objstore.web.segments import Segment, Whole

SETTINGS = (
    settings.Setting(
        "free_delay", settings.duration, "2m", "how long segments outlive their manifest, for those who read it"
    ),
)

_MARK = (MANIFEST, FORM)
_ITSELF = "multipart-manifest=get"
_OWNS_KEY = ENVIRON_KEY[MANIFEST_OWNS]
_KEEP_KEY = ENVIRON_KEY[KEEP_SEGMENTS]
# A user's request is told no system metadata of a manifest: where it is one for the source of a
# copy, they would go on to an object of other bytes.
_SYSTEM = "X-Object-Sysmeta-"
_LARGE_OBJECT = "X-Static-Large-Object"


class Manifests:
    def __init__(self, app: WsgiApp, *, free_delay: float = 120.0, logger: logging.Logger) -> None:
        self.app = app
        self._reclaimer = Reclaimer(app, free_delay, logger)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[Any]:
        method = environ["REQUEST_METHOD"]
        if method == "GET" or method == "HEAD":
            return self._read(environ, start_response)
        if (method == "PUT" or method == "DELETE") and _KEEP_KEY not in environ:
            return self._change(environ, start_response)
        return self.app(environ, start_response)

    def _read(self, environ: Environ, start_response: StartResponse) -> Iterable[Any]:
        held: list[Any] = []

        def start(status: str, pairs: list[tuple[str, str]], exc_info: Any = None) -> Any:
            if _MARK in pairs:
                held[:] = (status, pairs)
                return None
            return start_response(status, pairs, exc_info) if exc_info else start_response(status, pairs)

        body = self.app(environ, start)
        if not held:
            return body
        answer = Answer(int(held[0][:3]), {name.title(): value for name, value in held[1]}, body)
        return _Reading(self, environ, answer).response()(environ, start_response)

    def _change(self, environ: Environ, start_response: StartResponse) -> Iterable[Any]:
        def start(status: str, pairs: list[tuple[str, str]], exc_info: Any = None) -> Any:
            for name, value in pairs:
                if name == REPLACED_SEGMENTS:
                    self._replaced(environ, value)
            return start_response(status, pairs, exc_info) if exc_info else start_response(status, pairs)

        return self.app(environ, start)

    def _replaced(self, environ: Environ, value: str) -> None:
        new = environ.get(_OWNS_KEY)
        account = to_text(environ["PATH_INFO"].split("/", 3)[2])
        for owned in value.split(","):
            if owned != new:  # a manifest written again still has its segments
                self._reclaimer.free(environ, account, owned)

    def body(
        self, environ: Environ, account: str, items: Iterable[bytes | Segment], headers: Mapping[str, str]
    ) -> SegmentBody:
        """Raises NodeFailure where the first segment is not to be had."""
        owned = headers.get(MANIFEST_OWNS)
        tick = self._reclaimer.mark(environ, account, owned) if owned else None
        return SegmentBody(fetcher(self.app, environ, account), items, tick)


class _Reading:
    """One GET or HEAD of a manifest. answer: to the request for its list."""

    def __init__(self, owner: Manifests, environ: Environ, answer: Answer) -> None:
        self._owner = owner
        self._environ = environ
        self._answer = answer
        self._trusted = bool(environ.get("objstore.preauthorized"))
        self._account = to_text(environ["PATH_INFO"].split("/", 3)[2])

    def response(self) -> Response:
        answer, environ = self._answer, self._environ
        if _ITSELF in environ.get("QUERY_STRING", "") and answer.status == 200:
            return self._itself()
        if DELETED in answer.headers:
            answer.close()
            return error(404)
        headers = self._headers()
        if answer.status != 200:  # a condition that does not hold
            headers.pop("Content-Length", None)
            if answer.status == 304 or environ["REQUEST_METHOD"] == "HEAD":
                answer.close()
                return Response(answer.status, headers)
            return Response(answer.status, {**headers, "Content-Length": answer.headers["Content-Length"]}, answer.body)
        size = int(answer.headers[MANIFEST_SIZE])
        headers["Content-Length"] = str(size)
        if environ["REQUEST_METHOD"] == "HEAD":
            answer.close()
            return Response(200, headers)
        try:
            return self._content(headers, segments.parse(self._list()))
        except InvalidInput as failure:
            raise NodeFailure(f"{environ['PATH_INFO']}: {failure}") from None

    def _itself(self) -> Response:
        answer = self._answer
        if self._trusted:
            return Response(200, {name: to_text(value) for name, value in answer.headers.items()}, answer.body)
        answer.close()
        headers = self._headers() | {"Content-Type": "application/json; charset=utf-8", "Content-Length": "2"}
        return Response(200, headers, b"[]")

    def _headers(self) -> dict[str, str]:
        """Those of the whole. Clients of Swift must know that its etag is no MD5."""
        shown = self._answer.headers.items()
        headers = {name: to_text(value) for name, value in shown if self._trusted or not name.startswith(_SYSTEM)}
        headers["Etag"] = self._answer.headers[MANIFEST_ETAG]
        if not self._trusted:
            headers[_LARGE_OBJECT] = "True"
        return headers

    def _list(self) -> bytes:
        answer = self._answer
        if int(answer.headers["Content-Length"]) > segments.MOST_BYTES:
            answer.close()
            raise InvalidInput(f"a list of segments of more than {segments.MOST_BYTES} bytes")
        return answer.read()

    def _content(self, headers: dict[str, str], listed: list[Segment]) -> Response:
        whole = Whole(listed)
        if whole.size != int(headers["Content-Length"]):
            raise InvalidInput(f"segments of {whole.size} bytes for an object of {headers['Content-Length']}")
        spans = self._spans(whole.size)
        if spans is None:
            return self._response(200, headers, whole.reads((0, whole.size)))
        if not spans:
            kept = ("Etag", "Last-Modified", "X-Timestamp", "Accept-Ranges")
            told = {name: headers[name] for name in kept if name in headers}
            return error(416, headers={**told, "Content-Range": ranges.unsatisfied_range(whole.size)})
        if len(spans) == 1:
            return self._one(headers, whole, spans[0])
        multipart = ranges.Multipart(ranges.new_boundary(), spans, headers["Content-Type"], whole.size)
        headers["Content-Type"] = multipart.content_type
        headers["Content-Length"] = str(multipart.content_length)
        return self._response(206, headers, _framed(multipart, whole))

    def _spans(self, size: int) -> list[Span] | None:
        """What of the whole is asked for: None for all of it, empty where it has none of that."""
        environ = self._environ
        asked = ranges.parse(environ["HTTP_RANGE"]) if "HTTP_RANGE" in environ else None
        if asked is None:
            return None
        changed = Timestamp.parse(self._answer.headers["X-Timestamp"])
        if not range_applies(header(environ, "If-Range"), self._answer.headers[MANIFEST_ETAG], changed):
            return None
        return ranges.resolve(asked, size)

    def _one(self, headers: dict[str, str], whole: Whole, span: Span) -> Response:
        headers["Content-Range"] = ranges.content_range(*span, whole.size)
        headers["Content-Length"] = str(span[1] - span[0])
        return self._response(206, headers, whole.reads(span))

    def _response(self, status: int, headers: dict[str, str], items: Iterable[bytes | Segment]) -> Response:
        body = self._owner.body(self._environ, self._account, items, self._answer.headers)
        return Response(status, headers, body)


def _framed(multipart: ranges.Multipart, whole: Whole) -> Iterator[bytes | Segment]:
    for head, span in zip(multipart.heads, multipart.parts, strict=True):
        yield head
        yield from whole.reads(span)
    yield multipart.terminator


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], Manifests]:
    conf = {**global_conf, **local_conf}
    values = settings.read(SETTINGS, conf, "filter:manifests")
    return partial(Manifests, free_delay=values.free_delay, logger=log.from_conf(conf, "proxy-server"))
