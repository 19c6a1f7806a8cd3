"""GET and HEAD of objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from objstore.cluster.cluster import Cluster, Placement
from objstore.cluster.reads import Found, ResumedBody, read
from objstore.core.errors import NodeFailure
from objstore.core.manifests import MANIFEST, MANIFEST_ETAG
from objstore.core.timestamps import Timestamp
from objstore.swift.request import ProxyRequest, client_headers
from objstore.web import infos, ranges
from objstore.web.conditions import range_applies
from objstore.web.infos import ContainerInfo
from objstore.web.requests import WsgiApp
from objstore.web.responses import Response, error
from objstore.wire import messages
from objstore.wire.messages import NodeRequest, NodeResponse

# What of a client's request the object servers judge.
_PASSED = (
    ("HTTP_IF_MATCH", "If-Match"),
    ("HTTP_IF_NONE_MATCH", "If-None-Match"),
    ("HTTP_IF_MODIFIED_SINCE", "If-Modified-Since"),
    ("HTTP_IF_UNMODIFIED_SINCE", "If-Unmodified-Since"),
    ("HTTP_RANGE", "Range"),
    ("HTTP_IF_RANGE", "If-Range"),
    ("HTTP_X_TRANS_ID", "X-Trans-Id"),
)
_TRUE = ("true", "1", "yes", "on", "t", "y")


class ObjectGet:
    """The verb for GET and HEAD. app: the proxy itself, to learn of containers."""

    def __init__(self, cluster: Cluster, app: WsgiApp) -> None:
        self._cluster = cluster
        self._app = app

    def __call__(self, request: ProxyRequest) -> Response:
        container = infos.container_info(request.environ, self._app, request.name)
        refused = request.permit(container.read_acl)
        if refused is not None:
            return refused
        policy = policy_of(request, container)
        place = self._cluster.place(request.name, policy)
        headers = {**_node_headers(request, policy), **place.headers}
        sent = NodeRequest(request.method, place.partition, request.name, headers)
        if "," in request.environ.get("HTTP_RANGE", "") and request.method == "GET":
            several = self._several_ranges(request, place, sent)
            if several is not None:
                return several
        response, node = read(self._cluster, place, sent, self._wants_newest(request))
        if node is None:
            # Where nobody could tell the container's policy, this may have been the wrong ring.
            return error(503 if container.status >= 500 else response.status)
        return self._answer(request, place, sent, Found(node, response))

    def _wants_newest(self, request: ProxyRequest) -> bool:
        return request.environ.get("HTTP_X_NEWEST", "").lower() in _TRUE or self._cluster.settings.newest_reads

    def _answer(self, request: ProxyRequest, place: Placement, sent: NodeRequest, found: Found) -> Response:
        response = found.response
        headers = _client_view(request, response)
        if response.status not in (200, 206):
            response.close()
            if response.status in (412, 416):
                return error(response.status, headers=_of_failure(headers))
            return Response(response.status, headers)
        if request.method == "HEAD":
            response.close()
            return Response(response.status, headers)
        length = int(headers["Content-Length"])
        if length == 0:
            response.close()
            return Response(response.status, headers)
        start = _first_byte(headers) if response.status == 206 else 0
        body = ResumedBody(self._cluster, place, sent, found, (start, start + length))
        return Response(response.status, headers, body)

    def _several_ranges(self, request: ProxyRequest, place: Placement, sent: NodeRequest) -> Response | None:
        """multipart/byteranges (RFC 9110 14.6), each part a read of its own; None where it is one range after all."""
        parsed = ranges.parse(request.environ["HTTP_RANGE"])
        if parsed is None or len(parsed) < 2:
            return None
        head = sent._replace(method="HEAD", headers=_without_ranges(sent))
        response, node = read(self._cluster, place, head, self._wants_newest(request))
        if node is None:
            return error(response.status)
        response.close()
        if response.status != 200:
            return self._answer(request, place, sent, Found(node, response))
        if MANIFEST in response.headers:
            return None  # the ranges are of what it stands for; its list comes whole
        headers = _client_view(request, response)
        size, etag = int(headers["Content-Length"]), headers["Etag"]
        if_range = request.headers.get("If-Range")
        if if_range and not range_applies(if_range, etag, Timestamp.parse(headers["X-Timestamp"])):
            return self._whole(request, place, sent)
        spans = ranges.resolve(parsed, size)
        if not spans:
            return error(416, headers={**_of_failure(headers), "Content-Range": ranges.unsatisfied_range(size)})
        pinned = {**_without_ranges(sent), messages.MATCH_TIMESTAMP: response.headers[messages.DATA_TIMESTAMP]}
        if len(spans) == 1:
            start, stop = spans[0]
            one = sent._replace(headers={**pinned, "Range": f"bytes={start}-{stop - 1}"})
            response, node = read(self._cluster, place, one)
            return error(response.status) if node is None else self._answer(request, place, one, Found(node, response))
        multipart = ranges.Multipart(ranges.new_boundary(), spans, headers["Content-Type"], size)
        headers["Content-Type"] = multipart.content_type
        headers["Content-Length"] = str(multipart.content_length)
        body = _Parts(self._cluster, place, sent._replace(headers=pinned), multipart)
        return Response(206, headers, body)

    def _whole(self, request: ProxyRequest, place: Placement, sent: NodeRequest) -> Response:
        plain = sent._replace(headers=_without_ranges(sent))
        response, node = read(self._cluster, place, plain)
        return error(response.status) if node is None else self._answer(request, place, plain, Found(node, response))


class _Parts:
    """The body of a multipart answer."""

    def __init__(self, cluster: Cluster, place: Placement, request: NodeRequest, multipart: ranges.Multipart) -> None:
        self._cluster = cluster
        self._place = place
        self._request = request
        self._multipart = multipart
        self._current: Any = None

    def __iter__(self) -> Iterator[bytes | memoryview]:
        for index, (start, stop) in enumerate(self._multipart.parts):
            yield self._multipart.heads[index]
            headers = {**self._request.headers, "Range": f"bytes={start}-{stop - 1}"}
            request = self._request._replace(headers=headers)
            response, node = read(self._cluster, self._place, request)
            if response.status != 206:
                response.close()
                raise NodeFailure(f"bytes {start}-{stop} of {self._request.name.path} were not to be had")
            self._current = ResumedBody(self._cluster, self._place, request, Found(node, response), (start, stop))
            yield from self._current
            self._current.close()
        yield self._multipart.terminator

    def close(self) -> None:
        if self._current is not None:
            self._current.close()


def policy_of(request: ProxyRequest, container: ContainerInfo) -> int:
    """The storage policy of the object: the container's, unless a trusted filter says another."""
    given = request.environ.get("HTTP_X_BACKEND_STORAGE_POLICY_INDEX")
    return int(given) if given else container.policy_index


def _node_headers(request: ProxyRequest, policy: int) -> dict[str, str]:
    environ = request.environ
    headers = {name: environ[key] for key, name in _PASSED if key in environ}
    if policy:
        headers[messages.POLICY] = str(policy)
    if "HTTP_X_BACKEND_EVEN_EXPIRED" in environ:
        headers[messages.EVEN_EXPIRED] = "1"
    return headers


def _without_ranges(sent: NodeRequest) -> dict[str, str]:
    return {name: value for name, value in sent.headers.items() if name not in ("Range", "If-Range")}


def _client_view(request: ProxyRequest, response: NodeResponse) -> dict[str, str]:
    headers = client_headers(request, response.headers)
    headers["Accept-Ranges"] = "bytes"
    return headers


def _of_failure(headers: dict[str, str]) -> dict[str, str]:
    """Headers of the object that go with a refusal, which has a body of its own."""
    kept = ("Etag", "Last-Modified", "X-Timestamp", "Accept-Ranges", "Content-Range", MANIFEST, MANIFEST_ETAG)
    return {name: headers[name] for name in kept if name in headers}


def _first_byte(headers: dict[str, str]) -> int:
    """The start in `Content-Range: bytes start-last/size`."""
    return int(headers["Content-Range"].split()[1].split("-")[0])
