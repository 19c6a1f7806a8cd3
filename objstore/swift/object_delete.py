"""DELETE of objects."""

from __future__ import annotations

from objstore.core.errors import PreconditionFailed
from objstore.core.limits import Limits
from objstore.layers.interface import ObjectLayer
from objstore.layers.options import delete_options
from objstore.swift import object_lock, versions
from objstore.swift.request import ProxyRequest, condition_refusal, plain, version_header, writable
from objstore.web import constraints
from objstore.web.responses import Response, error


class ObjectDelete:
    """The verb for DELETE."""

    def __init__(self, limits: Limits, layer: ObjectLayer) -> None:
        self._limits = limits
        self._layer = layer

    def __call__(self, request: ProxyRequest) -> Response:
        refused = writable(request, self._layer)
        if refused is not None:
            return refused
        constraints.check_name(request.name, self._limits)
        try:
            container = self._layer.container_info(request.context, request.name)
            version_id = versions.checked_id(request, container)
            options = delete_options(request.headers)._replace(mark_again=False, version_id=version_id)
            options = object_lock.of_deletion(request, options)
            result = self._layer.delete(request.context, request.name, options)
        except PreconditionFailed as failed:
            return condition_refusal(request, failed)
        headers = version_header(result.version_id)
        return plain(204, headers) if result.existed else error(404, headers=headers)
