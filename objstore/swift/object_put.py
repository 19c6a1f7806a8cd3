"""PUT of objects: check, place, connect, stream, collect, answer.

A body that fits `small_body` is read before any node is asked, so that the whole request can
be sent again. A larger one is streamed to all nodes at once, each with a queue of its own;
nodes say first whether they want it, so that a full disk costs no transfer. Its MD5 is
computed once: by the object server where there is one, by the proxy where there are several.
"""

from __future__ import annotations

import functools
import time

from objstore.cluster.cluster import Cluster
from objstore.cluster.enlisting import Enlisting
from objstore.cluster.object_write import ObjectChange
from objstore.cluster.put_stream import PutStream
from objstore.cluster.renaming import Renaming
from objstore.cluster.writes import Written
from objstore.core import metadata
from objstore.core.errors import PreconditionFailed
from objstore.core.limits import Limits
from objstore.core.lives import ENDED, LIFE
from objstore.core.manifests import REPLACED_SEGMENTS
from objstore.layers.interface import ObjectLayer
from objstore.runtime.threads import ThreadPool
from objstore.swift.request import ProxyRequest, plain, policy_of, writable
from objstore.web import constraints
from objstore.web.requests import content_length, has_body, late_headers, read_body
from objstore.web.responses import Response, error, http_date
from objstore.web.write_conditions import RENAME_SOURCE_KEY
from objstore.wire import messages


class ObjectPut:
    """The verb for PUT. layer: the object layer."""

    def __init__(self, cluster: Cluster, limits: Limits, layer: ObjectLayer, hashing: ThreadPool) -> None:
        self._cluster = cluster
        self._limits = limits
        self._layer = layer
        self._hashing = hashing

    def __call__(self, request: ProxyRequest) -> Response:
        container = writable(request, self._layer)
        if isinstance(container, Response):
            return container
        refused = self._refuse(request)
        if refused is not None:
            return refused
        policy = policy_of(request, container)
        life = container.life
        if request.trusted:
            life = request.headers.get(LIFE, life)
        change = ObjectChange(self._cluster, request, policy, self._stored_headers(request), life)
        try:
            written = self._send(request, change)
        except PreconditionFailed as failed:
            return condition_refusal(request, failed)
        if written.status != 201:
            return error(written.status)
        etag = written.header("Etag")
        enlisting = Enlisting(self._layer, request, change, container._replace(life=life))
        status = enlisting.finish(written, functools.partial(change.row, etag=etag, size=change.size))
        if status != 201:
            return error(status, headers={ENDED: "true"})
        headers = {"Etag": etag, "Last-Modified": http_date(change.timestamp.ceiling)}
        return plain(201, headers | replaced_segments(written))

    def _send(self, request: ProxyRequest, change: ObjectChange) -> Written:
        environ = request.environ
        length = content_length(environ)
        small = length is not None and length <= self._cluster.settings.small_body
        if RENAME_SOURCE_KEY in environ and request.trusted:
            return self._rename(request, change, small)
        if not small:
            return PutStream(self._cluster, change, self._limits.max_file_size, self._hashing).run(environ, length)
        assert length is not None
        body = read_body(environ, length)
        change.add(late_headers(environ))
        return change.send("PUT", body)

    def _rename(self, request: ProxyRequest, change: ObjectChange, small: bool) -> Written:
        environ = request.environ
        renaming = Renaming(self._cluster, request, change.policy)
        try:
            if small:
                body = read_body(environ, self._cluster.settings.small_body)
                change.add(late_headers(environ))
                written = renaming.send(change, body)
            else:
                stream = PutStream(self._cluster, change, self._limits.max_file_size, self._hashing, renaming)
                written = stream.run(environ, content_length(environ))
        except BaseException:
            renaming.release()
            raise
        return renaming.finish(written)

    def _refuse(self, request: ProxyRequest) -> Response | None:
        headers = request.headers
        length = content_length(request.environ)
        if length is None and not has_body(request.environ):
            return error(411, "Missing Content-Length header.")
        if length is not None and length > self._limits.max_file_size:
            return error(413)
        if not request.trusted and headers.get("If-None-Match", "*").strip() != "*":
            return error(400, "If-None-Match only supports *")
        constraints.check_name(request.name, self._limits)
        if not request.trusted:
            constraints.check_metadata("Object", headers, self._limits)
        return None

    def _stored_headers(self, request: ProxyRequest) -> dict[str, str]:
        sent = request.headers
        headers = {name: value for name, value in sent.items() if value and metadata.stored_with_object(name)}
        assert request.name.object is not None
        headers["Content-Type"] = constraints.content_type(sent, request.name.object)
        if sent.get("Etag"):
            headers["Etag"] = sent["Etag"]
        expires = constraints.delete_at(sent, time.time())
        if expires is not None:
            headers["X-Delete-At"] = str(expires)
        metadata.check_sendable(headers)
        return headers


def condition_refusal(request: ProxyRequest, failed: PreconditionFailed) -> Response:
    """412; where If-Match meets nothing, a PUT with the system's rights is told so by 404 (S3: NoSuchKey)."""
    headers = {messages.MISSING: "true"} if failed.missing else None
    return error(404 if failed.missing and request.trusted and request.method == "PUT" else 412, headers=headers)


def replaced_segments(written: Written) -> dict[str, str]:
    """For the filter that frees them: the segments of manifests that were replaced."""
    replaced = written.all_of(REPLACED_SEGMENTS)
    return {REPLACED_SEGMENTS: replaced} if replaced else {}
