"""PUT of objects."""

from __future__ import annotations

import time
from urllib.parse import unquote

from objstore.core import metadata
from objstore.core.errors import ContainerReplaced, NoContainer, PreconditionFailed
from objstore.core.limits import Limits
from objstore.core.lives import ENDED, LIFE
from objstore.core.manifests import KEEP_SEGMENTS
from objstore.core.versions import LISTED
from objstore.layers.interface import ObjectLayer, PutOptions, RenameSource
from objstore.swift.request import ProxyRequest, condition_refusal, plain, segments_header, writable
from objstore.web import constraints
from objstore.web.requests import LATE_HEADERS, WsgiBody, content_length, has_body
from objstore.web.responses import Response, error, http_date
from objstore.web.write_conditions import RENAME_ETAG, RENAME_SOURCE, WriteCondition


class ObjectPut:
    """The verb for PUT."""

    def __init__(self, limits: Limits, layer: ObjectLayer) -> None:
        self._limits = limits
        self._layer = layer

    def __call__(self, request: ProxyRequest) -> Response:
        refused = writable(request, self._layer) or self._refuse(request)
        if refused is not None:
            return refused
        options = self._options(request)
        try:
            result = self._layer.put(request.context, request.name, options, WsgiBody(request.environ))
        except PreconditionFailed as failed:
            return condition_refusal(request, failed)
        except NoContainer as failed:
            return error(404, headers={ENDED: "true"} if failed.ended else None)
        except ContainerReplaced:
            return error(409, headers={ENDED: "true"})
        headers = {"Etag": result.etag, "Last-Modified": http_date(result.timestamp.ceiling)}
        return plain(201, headers | segments_header(result.segments))

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

    def _options(self, request: ProxyRequest) -> PutOptions:
        sent = request.headers
        headers = {name: value for name, value in sent.items() if value and metadata.stored_with_object(name)}
        assert request.name.object is not None
        headers["Content-Type"] = constraints.content_type(sent, request.name.object)
        expires = constraints.delete_at(sent, time.time())
        if expires is not None:
            headers["X-Delete-At"] = str(expires)
        return PutOptions(
            headers,
            sent.get("Etag", ""),
            request.given_timestamp,
            WriteCondition.sent(request.headers),
            request.given_policy,
            sent.get(LIFE, "") if request.trusted else "",
            request.environ.get(LATE_HEADERS),
            _rename(sent) if request.trusted and RENAME_SOURCE in sent else None,
            request.trusted and LISTED in sent,
            KEEP_SEGMENTS in sent,
        )


def _rename(headers: dict[str, str]) -> RenameSource:
    old = unquote(headers[RENAME_SOURCE], errors="surrogateescape")
    return RenameSource(old, headers.get(RENAME_ETAG) or "*")
