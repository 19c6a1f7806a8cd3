"""POST and DELETE of objects."""

from __future__ import annotations

import time

from objstore.cluster.cluster import Cluster
from objstore.cluster.object_write import ObjectChange
from objstore.core import metadata
from objstore.core.errors import PreconditionFailed
from objstore.core.limits import Limits
from objstore.core.numbers import is_whole
from objstore.layers.interface import ObjectLayer
from objstore.swift.object_put import condition_refusal, replaced_segments
from objstore.swift.request import ProxyRequest, plain, policy_of, writable
from objstore.web import constraints
from objstore.web.responses import Response, error


class ObjectPost:
    """The verb for POST: new metadata, all at once, over the same data."""

    def __init__(self, cluster: Cluster, limits: Limits, layer: ObjectLayer) -> None:
        self._cluster = cluster
        self._limits = limits
        self._layer = layer

    def __call__(self, request: ProxyRequest) -> Response:
        container = writable(request, self._layer)
        if isinstance(container, Response):
            return container
        constraints.check_name(request.name, self._limits)
        if not request.trusted:
            constraints.check_metadata("Object", request.headers, self._limits)
        change = ObjectChange(self._cluster, request, policy_of(request, container), self._headers(request))
        try:
            written = change.send("POST")
        except PreconditionFailed as failed:
            return condition_refusal(request, failed)
        return plain(202) if written.status == 202 else error(written.status)

    def _headers(self, request: ProxyRequest) -> dict[str, str]:
        sent = request.headers
        headers = {name: value for name, value in sent.items() if value and metadata.replaced_by_post(name)}
        if sent.get("Content-Type"):
            assert request.name.object is not None
            headers["Content-Type"] = constraints.content_type(sent, request.name.object)
        expires = constraints.delete_at(sent, time.time())
        if expires is not None:
            headers["X-Delete-At"] = str(expires)
        metadata.check_sendable(headers)
        return headers


class ObjectDelete:
    """The verb for DELETE."""

    def __init__(self, cluster: Cluster, limits: Limits, layer: ObjectLayer) -> None:
        self._cluster = cluster
        self._limits = limits
        self._layer = layer

    def __call__(self, request: ProxyRequest) -> Response:
        container = writable(request, self._layer)
        if isinstance(container, Response):
            return container
        constraints.check_name(request.name, self._limits)
        headers = {name: request.headers[name] for name in ("X-If-Delete-At",) if name in request.headers}
        if not is_whole(headers.get("X-If-Delete-At", "0")):
            return error(400, "Bad X-If-Delete-At header value")
        change = ObjectChange(self._cluster, request, policy_of(request, container), headers)
        try:
            written = change.send("DELETE")
        except PreconditionFailed as failed:
            return condition_refusal(request, failed)
        if written.status == 412 and change.place.is_mostly_new:
            return error(503)  # the object that is to be deleted at that time may be one that moves: later, then
        if written.status != 204:
            return error(written.status)
        change.tell_the_rest(written, change.tombstone)
        found = any(answer.status == 204 for answer in written.answers)
        headers = replaced_segments(written)
        return plain(204, headers) if found else error(404, headers=headers)
