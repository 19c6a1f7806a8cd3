"""PUT of objects."""

from __future__ import annotations

import time

from objstore.core.errors import ContainerReplaced, NoContainer, PreconditionFailed
from objstore.core.limits import Limits
from objstore.core.lives import ENDED
from objstore.core.manifests import LARGE
from objstore.layers import copies
from objstore.layers.bodies import ObjectBody
from objstore.layers.interface import ObjectLayer, PutOptions, Reply
from objstore.layers.options import put_options
from objstore.layers.versions.names import NULL
from objstore.swift import dlo, object_lock, symlinks, versions
from objstore.swift.request import ProxyRequest, condition_refusal, plain, version_header, writable
from objstore.web import constraints
from objstore.web.requests import WsgiBody, content_length, has_body
from objstore.web.responses import Response, error, http_date
from objstore.web.write_conditions import WriteCondition

_ADVICE = "To create a static large object add query param multipart-manifest=put."


class ObjectPut:
    """The verb for PUT."""

    def __init__(self, limits: Limits, layer: ObjectLayer) -> None:
        self._limits = limits
        self._layer = layer

    def __call__(self, request: ProxyRequest, source: Reply | None = None) -> Response:
        """source: what is copied, in place of the request's body."""
        refused = writable(request, self._layer) or self.refuse(request)
        if refused is not None:
            return refused
        if source is None and versions.query_id(request):
            return self._restore(request)
        if not request.trusted and LARGE in request.headers:
            return error(400, f"{LARGE} is a reserved header. {_ADVICE}")
        assert request.name.object is not None
        options = self.options(request, put_options(request.headers, request.name.object, time.time()))
        options = object_lock.with_lock(request, options)
        dlo.check(request.environ, request.name.account, required=True)
        if symlinks.is_link(request.environ):
            options = symlinks.link_options(request, self._layer, self._limits, options)
        return self.store(request, options, source or WsgiBody(request.environ))

    def store(self, request: ProxyRequest, options: PutOptions, body: ObjectBody | Reply) -> Response:
        """Store an object; return the answer. body: or the object that is copied."""
        try:
            if isinstance(body, Reply):
                result = copies.copy(self._layer, request.context, body, request.name, options)
            else:
                result = self._layer.put(request.context, request.name, options, body)
        except PreconditionFailed as failed:
            return condition_refusal(request, failed)
        except NoContainer as failed:
            return error(404, headers={ENDED: "true"} if failed.ended else None)
        except ContainerReplaced:
            return error(409, headers={ENDED: "true"})
        headers = {"Etag": result.etag, "Last-Modified": http_date(result.timestamp.ceiling)}
        return plain(201, headers | version_header(result.version_id))

    def _restore(self, request: ProxyRequest) -> Response:
        """Make the version in the query the current one."""
        version_id = versions.checked_id(request, self._layer.container_info(request.context, request.name))
        if version_id == NULL:
            return error(400, "Invalid version parameter")
        if has_body(request.environ):
            return error(400, "PUT version-id requests require a zero byte body")
        layer = versions.layer_of(self._layer)
        condition = WriteCondition.sent(request.headers)
        try:
            result = layer.restore(request.context, request.name, version_id, condition)
        except PreconditionFailed as failed:
            return condition_refusal(request, failed)
        return plain(201, {"Etag": result.etag} | version_header(result.version_id))

    def refuse(self, request: ProxyRequest) -> Response | None:
        """Return the refusal of a request whose headers are not acceptable, None if they are. Raises InvalidInput."""
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

    def options(self, request: ProxyRequest, options: PutOptions) -> PutOptions:
        """Return options without those that only the system may set, if the request is a client's."""
        if request.trusted or not (options.life or options.rename):
            return options
        return options._replace(life="", rename=None)
