"""POST of objects."""

from __future__ import annotations

import time

from objstore.core import metadata
from objstore.core.errors import PreconditionFailed
from objstore.core.limits import Limits
from objstore.layers.interface import ObjectLayer, UpdateOptions
from objstore.swift.request import ProxyRequest, condition_refusal, plain, writable
from objstore.web import constraints
from objstore.web.responses import Response
from objstore.web.write_conditions import WriteCondition


class ObjectPost:
    """The verb for POST: new metadata, all at once, over the same data."""

    def __init__(self, limits: Limits, layer: ObjectLayer) -> None:
        self._limits = limits
        self._layer = layer

    def __call__(self, request: ProxyRequest) -> Response:
        refused = writable(request, self._layer)
        if refused is not None:
            return refused
        constraints.check_name(request.name, self._limits)
        if not request.trusted:
            constraints.check_metadata("Object", request.headers, self._limits)
        condition = WriteCondition.sent(request.headers)
        options = UpdateOptions(self._headers(request), request.given_timestamp, condition, request.given_policy)
        try:
            self._layer.update(request.context, request.name, options)
        except PreconditionFailed as failed:
            return condition_refusal(request, failed)
        return plain(202)

    def _headers(self, request: ProxyRequest) -> dict[str, str]:
        sent = request.headers
        headers = {name: value for name, value in sent.items() if value and metadata.replaced_by_post(name)}
        if sent.get("Content-Type"):
            assert request.name.object is not None
            headers["Content-Type"] = constraints.content_type(sent, request.name.object)
        expires = constraints.delete_at(sent, time.time())
        if expires is not None:
            headers["X-Delete-At"] = str(expires)
        return headers
