"""DELETE of objects."""

from __future__ import annotations

from objstore.core.errors import PreconditionFailed
from objstore.core.limits import Limits
from objstore.core.manifests import KEEP_SEGMENTS
from objstore.core.numbers import is_whole, whole
from objstore.layers.interface import DeleteOptions, ObjectLayer
from objstore.swift.request import ProxyRequest, condition_refusal, plain, segments_header, writable
from objstore.web import constraints
from objstore.web.responses import Response, error
from objstore.web.write_conditions import WriteCondition

_IF_DELETE_AT = "X-If-Delete-At"


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
        due = request.headers.get(_IF_DELETE_AT)
        if due is not None and not is_whole(due):
            return error(400, f"Bad {_IF_DELETE_AT} header value")
        delete_at = None if due is None else whole(due) or constraints.LATEST + 1  # none is due so late
        condition = WriteCondition.sent(request.headers)
        keep = KEEP_SEGMENTS in request.headers
        options = DeleteOptions(request.given_timestamp, condition, request.given_policy, delete_at, keep)
        try:
            result = self._layer.delete(request.context, request.name, options)
        except PreconditionFailed as failed:
            return condition_refusal(request, failed)
        headers = segments_header(result.segments)
        return plain(204, headers) if result.existed else error(404, headers=headers)
