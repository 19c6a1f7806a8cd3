"""GET and HEAD of objects in the Swift API."""

from __future__ import annotations

from collections.abc import Iterator

from objstore.core.dlo import DLO
from objstore.core.errors import NodeFailure, NotFound
from objstore.core.links import LINK
from objstore.core.manifests import LARGE, MANIFEST, MANIFEST_ETAG, OWN_ETAG, PARTS_COUNT
from objstore.core.names import Name
from objstore.core.numbers import whole
from objstore.core.object_lock import LOCK
from objstore.core.timestamps import Timestamp
from objstore.layers.interface import ObjectLayer, ReadOptions, Reply
from objstore.layers.versions.names import NULL
from objstore.swift import dlo, object_lock, symlinks, versions
from objstore.swift.large_objects import views
from objstore.swift.request import TRUE, VERSION_ID, ProxyRequest, opens_expired
from objstore.web import ranges, requests
from objstore.web.conditions import range_applies
from objstore.web.context import RequestContext
from objstore.web.errors import location
from objstore.web.requests import Environ
from objstore.web.responses import Response, error
from objstore.wire import messages

# Headers of a client's request that select and condition the answer.
_CONDITIONS = (
    ("HTTP_IF_MATCH", "If-Match"),
    ("HTTP_IF_NONE_MATCH", "If-None-Match"),
    ("HTTP_IF_MODIFIED_SINCE", "If-Modified-Since"),
    ("HTTP_IF_UNMODIFIED_SINCE", "If-Unmodified-Since"),
    ("HTTP_RANGE", "Range"),
    ("HTTP_IF_RANGE", "If-Range"),
)
_LIST = "multipart-manifest=get"
_PART = "part-number"
_OF_FAILURE = (
    "Etag", "Last-Modified", "X-Timestamp", "Accept-Ranges", "Content-Range", "Content-Location", VERSION_ID, MANIFEST,
    MANIFEST_ETAG, OWN_ETAG, PARTS_COUNT, LARGE,
)  # fmt: skip


class ObjectGet:
    """The verb for GET and HEAD. opens_expired: clients may read expired objects, by X-Open-Expired."""

    def __init__(self, layer: ObjectLayer, opens_expired: bool = False) -> None:
        self._layer = layer
        self._opens_expired = opens_expired

    def __call__(self, request: ProxyRequest) -> Response:
        container = self._layer.container_info(request.context, request.name)
        refused = request.permit(container)
        if refused is not None:
            return refused
        environ = request.environ
        options = _options(request)
        if environ.get("QUERY_STRING"):
            options = options._replace(version_id=versions.checked_id(request, container))
        if self._opens_expired and opens_expired(environ):
            options = options._replace(expired=True)
        if "," in environ.get("HTTP_RANGE", "") and not options.head and not options.raw:
            several = self._several_ranges(request, options)
            if several is not None:
                return several
        try:
            reply = self._layer.open(request.context, request.name, options)
            if reply.status == 416 and _is_end_of_nothing(request, reply):
                reply = self._layer.open(request.context, request.name, _without_range(options))
        except NotFound as failure:
            return versions.missing(failure, options.version_id)
        if options.version_id == NULL:
            reply.version_id = NULL
        return response(request, reply, options)

    def _several_ranges(self, request: ProxyRequest, options: ReadOptions) -> Response | None:
        """Return multipart/byteranges (RFC 9110 14.6), each part read separately; None if there is only one range."""
        layer, context, name = self._layer, request.context, request.name
        parsed = ranges.parse(request.environ["HTTP_RANGE"])
        if parsed is None or len(parsed) < 2:
            return None
        options = _without_range(options)
        try:
            reply = layer.open(context, name, options._replace(head=True))
        except NotFound as failure:
            return versions.missing(failure, options.version_id)
        if reply.status != 200:
            return response(request, reply, options)
        name = reply.target or name  # each part must be of the same object
        headers = _client_view(request, reply, False)
        size, etag = int(headers["Content-Length"]), reply.headers["Etag"]
        if_range = request.headers.get("If-Range", "")
        if not range_applies(if_range, etag, Timestamp.parse(headers["X-Timestamp"])):
            return response(request, layer.open(context, name, options), options)
        spans = ranges.resolve(parsed, size)
        if not spans and size == 0 and ranges.has_suffix(parsed):
            return response(request, layer.open(context, name, options), options)
        if not spans:
            return error(416, headers={**_of_failure(headers), "Content-Range": ranges.unsatisfied_range(size)})
        pinned = _pinned(options, reply)
        if len(spans) == 1:
            single = layer.open(context, name, _of_span(pinned, *spans[0]))
            single.target = reply.target
            return response(request, single, options)
        multipart = ranges.Multipart(ranges.new_boundary(), spans, headers["Content-Type"], size)
        headers["Content-Type"] = multipart.content_type
        headers["Content-Length"] = str(multipart.content_length)
        return Response(206, headers, _Parts(layer, context, name, pinned, multipart))


class _Parts:
    """The body of a multipart answer."""

    def __init__(
        self,
        layer: ObjectLayer,
        context: RequestContext,
        name: Name,
        options: ReadOptions,
        multipart: ranges.Multipart,
    ) -> None:
        self._layer = layer
        self._context = context
        self._name = name
        self._options = options
        self._multipart = multipart
        self._current: Reply | None = None

    def __iter__(self) -> Iterator[bytes]:
        for head, (start, stop) in zip(self._multipart.heads, self._multipart.parts, strict=True):
            yield head
            what = f"bytes {start}-{stop} of {self._name.path}"
            try:
                self._current = self._layer.open(self._context, self._name, _of_span(self._options, start, stop))
            except NotFound:
                raise NodeFailure(f"{what} are gone") from None
            if self._current.status != 206:
                self._current.close()
                raise NodeFailure(f"{what} cannot be read: {self._current.status}")
            yield from self._current.pieces()
        yield self._multipart.terminator

    def close(self) -> None:
        if self._current is not None:
            self._current.close()


def _options(request: ProxyRequest) -> ReadOptions:
    environ = request.environ
    conditions = {name: environ[key] for key, name in _CONDITIONS if key in environ}
    query = environ.get("QUERY_STRING", "")
    raw = _LIST in query
    given = environ.get("HTTP_X_BACKEND_STORAGE_POLICY_INDEX")
    return ReadOptions(
        conditions,
        head=request.method == "HEAD" and not raw,
        newest=environ.get("HTTP_X_NEWEST", "").lower() in TRUE,
        raw=raw,
        policy=int(given) if given else None,
        expired="HTTP_X_BACKEND_EVEN_EXPIRED" in environ,
        link=symlinks.is_about_link(environ),
        permit=request.permit_read,
        part=part_of(environ) if _PART in query else None,
    )


def _without_range(options: ReadOptions) -> ReadOptions:
    conditions = {key: value for key, value in options.conditions.items() if key not in ("Range", "If-Range")}
    return options._replace(conditions=conditions)


def _is_end_of_nothing(request: ProxyRequest, reply: Reply) -> bool:
    """Return whether the last bytes of an empty object are requested: Swift answers all of it, S3 refuses."""
    parsed = ranges.parse(request.environ.get("HTTP_RANGE", ""))
    nothing = reply.headers.get("Content-Range") == ranges.unsatisfied_range(0)
    return nothing and parsed is not None and ranges.has_suffix(parsed)


def part_of(environ: Environ) -> int | None:
    """Return the part in the query of a request, None for none; 0, which no manifest has, if it is not a number."""
    text = requests.query(environ).get(_PART)
    return None if text is None else whole(text) or 0


def _of_span(options: ReadOptions, start: int, stop: int) -> ReadOptions:
    return options._replace(conditions={**options.conditions, "Range": f"bytes={start}-{stop - 1}"})


def _pinned(options: ReadOptions, reply: Reply) -> ReadOptions:
    """Return the same read of this version only: all parts must belong together. The id of a version read through a
    link is that of the link."""
    options = options._replace(newest=False, version_id="" if reply.target is not None else reply.version_id)
    if OWN_ETAG in reply.headers and DLO in reply.headers:  # a version may get other segments
        return options._replace(conditions={"If-Match": f'"{reply.headers["Etag"]}"'})
    if options.version_id:
        return options._replace(conditions={})
    if MANIFEST in reply.headers:  # a range together with a version would apply to the list
        return options._replace(conditions={"If-Match": f'"{reply.headers["Etag"]}"'})
    return options._replace(conditions={}, version=reply.headers[messages.DATA_TIMESTAMP])


def response(request: ProxyRequest, reply: Reply, options: ReadOptions) -> Response:
    """The answer to a read, as far as this client may see it."""
    headers = _client_view(request, reply, options.raw)
    if reply.status in (412, 416):
        message = "The requested part number is not satisfiable" if PARTS_COUNT in headers else ""
        answer = error(reply.status, message, _of_failure(headers))
        if request.method == "HEAD" and reply.status == 416:
            answer.body = b""
        return answer
    if options.raw and reply.status == 200 and MANIFEST in reply.headers and not request.trusted:
        form = requests.query(request.environ).get("format", "")
        return views.list_response(headers, reply.headers, reply.read(), form)
    return Response(reply.status, headers, reply.body)


def _client_view(request: ProxyRequest, reply: Reply, raw: bool) -> dict[str, str]:
    headers = dict(reply.headers)
    headers["Accept-Ranges"] = "bytes"
    if reply.version_id:
        headers[VERSION_ID] = reply.version_id
    if reply.target is not None:
        headers["Content-Location"] = location(reply.target.path)
    elif LINK in headers:
        headers |= symlinks.shown(headers)
    elif reply.version_id not in ("", NULL) and not request.environ.get("QUERY_STRING"):
        headers["Content-Location"] = versions.location(request, reply.version_id)
    if LOCK in headers:
        headers |= object_lock.shown(request, headers)
    if MANIFEST in headers and not request.trusted:
        return views.shown(headers, reply.headers, raw)
    if OWN_ETAG in headers and DLO in headers:
        dlo.show(headers)
    return headers


def _of_failure(headers: dict[str, str]) -> dict[str, str]:
    """Return the headers of the object to send with a refusal, which has its own body."""
    return {name: headers[name] for name in _OF_FAILURE if name in headers}
