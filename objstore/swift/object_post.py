"""POST of objects."""

from __future__ import annotations

import time

from objstore.core.errors import PreconditionFailed
from objstore.core.limits import Limits
from objstore.layers.interface import ObjectLayer
from objstore.layers.options import update_options
from objstore.swift import dlo, object_lock, symlinks, versions
from objstore.swift.request import ProxyRequest, condition_refusal, opens_expired, plain, version_header, writable
from objstore.web import constraints
from objstore.web.responses import Response, error


class ObjectPost:
    """The verb for POST: new metadata, all at once, over the same data. opens_expired: see `ObjectGet`."""

    def __init__(self, limits: Limits, layer: ObjectLayer, opens_expired: bool = False) -> None:
        self._limits = limits
        self._layer = layer
        self._opens_expired = opens_expired

    def __call__(self, request: ProxyRequest) -> Response:
        refused = writable(request, self._layer)
        if refused is not None:
            return refused
        constraints.check_name(request.name, self._limits)
        symlinks.refuse_post(request)
        locked = object_lock.set_lock(request, self._layer)
        version_id = versions.query_id(request)
        if version_id and locked:
            return plain(202, version_header(version_id))
        if version_id:
            return error(400, "POST to a specific version can only change its object lock")
        dlo.check(request.environ, request.name.account, required=False)
        if not request.trusted:
            constraints.check_metadata("Object", request.headers, self._limits)
        assert request.name.object is not None
        options = update_options(request.headers, request.name.object, time.time())
        if self._opens_expired and opens_expired(request.environ):
            options = options._replace(expired=True)
        try:
            self._layer.update(request.context, request.name, options)
        except PreconditionFailed as failed:
            return condition_refusal(request, failed)
        return plain(202)
