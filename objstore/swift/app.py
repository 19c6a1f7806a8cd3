"""The proxy as a WSGI app: routes a request by the depth of its name and its method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import objstore
from objstore.cluster.cluster import Cluster
from objstore.core.container_sync import SYNCED
from objstore.core.errors import InvalidInput, ObjstoreError
from objstore.core.limits import Limits
from objstore.core.names import Name
from objstore.layers import stack
from objstore.layers.interface import ObjectLayer
from objstore.swift.accounts import Accounts
from objstore.swift.containers import Containers
from objstore.swift.large_objects.settings import LargeObjectSettings
from objstore.swift.large_objects.verbs import LargeObjects
from objstore.swift.object_copy import ObjectCopy
from objstore.swift.object_delete import ObjectDelete
from objstore.swift.object_get import ObjectGet
from objstore.swift.object_post import ObjectPost
from objstore.swift.object_put import ObjectPut
from objstore.swift.permission import Permissions
from objstore.swift.request import ProxyRequest
from objstore.swift.unsupported import Unsupported
from objstore.web import cors, requests
from objstore.web.context import RequestContext
from objstore.web.cors import CorsSettings
from objstore.web.errors import response_for
from objstore.web.requests import Environ, StartResponse
from objstore.web.responses import Response, error

Verb = Callable[[ProxyRequest], Response]
VERSIONS = ("v1", "v1.0")


class ProxyApp:
    """The last app of the proxy's pipeline. layer: the outermost one, which filters such as the S3 API call too."""

    def __init__(self, cluster: Cluster, limits: Limits, layer: ObjectLayer) -> None:
        self.cluster = cluster
        self.policies = cluster.policies  # for filters before it
        self.limits = limits  # for filters before it
        settings = cluster.settings
        self._cors = CorsSettings(settings.cors_allow_origin, settings.cors_expose_headers, settings.strict_cors_mode)
        self.layer = layer
        self._large_objects: LargeObjects | None = None
        self._permissions = Permissions(layer)
        self._unsupported = Unsupported()
        self.support = self._unsupported.support  # for filters, see `web.features`
        for each in stack.layers(layer):
            for feature in getattr(each, "features", ()):
                self.support(feature)
        opens = settings.allow_open_expired
        read, put = ObjectGet(layer, opens), ObjectPut(limits, layer)
        self._put = put
        self.copies = ObjectCopy(layer, put, limits.max_file_size, opens)
        self._verbs: tuple[Mapping[str, Verb], ...] = (
            Accounts(cluster, limits, layer).verbs,
            Containers(cluster, limits, layer).verbs,
            {
                "GET": read,
                "HEAD": read,
                "PUT": put,
                "POST": ObjectPost(limits, layer, opens),
                "DELETE": ObjectDelete(limits, layer),
                "COPY": self.copies,
            },
        )
        self._allowed = tuple((*methods, "OPTIONS") for methods in self._verbs)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            response = self._answer(environ)
        except ObjstoreError as failure:
            response = response_for(failure)
        return response(environ, start_response)

    def _answer(self, environ: Environ) -> Response:
        try:
            found = requests.api_name(environ["PATH_INFO"], bool(environ.get("objstore.preauthorized")))
        except InvalidInput as problem:
            return error(412, str(problem))
        if found is None:
            lost = "//" in environ["PATH_INFO"] or environ["PATH_INFO"] in ("", "/")
            return error(404) if lost else error(412, "Bad URL")
        version, name = found
        if version not in VERSIONS:
            return error(412, "Bad URL")
        depth = 0 if name.container is None else 1 if name.object is None else 2
        method = environ["REQUEST_METHOD"]
        origin = environ.get("HTTP_ORIGIN")
        if method == "OPTIONS":
            return self._options(environ, name, depth)
        verb = self._verbs[depth].get(method)
        if method == "PUT" and depth == 2 and "HTTP_X_COPY_FROM" in environ:
            verb = self.copies
        decides = environ.get("QUERY_STRING") or SYNCED in environ
        if depth == 2 and decides and self._large_objects is not None:
            verb = self._large_objects.verb(environ) or verb
        if verb is None:
            return error(405, headers={"Allow": ", ".join(self._allowed[depth])})
        try:
            if not environ.get("objstore.preauthorized"):
                self._unsupported.check(environ)
            response = verb(ProxyRequest(environ, name, self._permissions))
        except ObjstoreError as failure:
            if not origin:
                raise
            response = response_for(failure)
        if origin and depth and not environ.get("objstore.source"):
            known = self.layer.container_info(RequestContext.of(environ), name)
            response.headers |= cors.response_headers(origin, known.meta, response.headers, self._cors)
        return response

    def _options(self, environ: Environ, name: Name, depth: int) -> Response:
        meta = None
        if depth and environ.get("HTTP_ORIGIN"):
            meta = self.layer.container_info(RequestContext.of(environ), name).meta
        return cors.preflight(requests.headers(environ), meta, self._allowed[depth], self._cors)

    def enable_large_objects(self, settings: LargeObjectSettings) -> None:
        """Serve static large objects."""
        self._large_objects = LargeObjects(self.limits, self.layer, self._put, settings)
        self.copies.put_manifest = self._large_objects.put

    def info(self) -> dict[str, Any]:
        """Return the sections of /info: `swift`, and those of layers and enabled features."""
        settings = self.cluster.settings
        policies = [
            {"name": policy.name, "aliases": ", ".join((policy.name, *policy.aliases))}
            | ({"default": True} if policy.default else {})
            | ({"deprecated": True} if policy.deprecated else {})
            for policy in self.cluster.policies
        ]
        sections: dict[str, Any] = {}
        for each in stack.layers(self.layer):
            sections |= getattr(each, "info", dict)()
        if self._large_objects is not None:
            sections["slo"] = self._large_objects.info()
        return sections | {
            "swift": {
                "version": objstore.__version__,
                **self.limits._asdict(),
                "account_autocreate": settings.account_autocreate,
                "allow_account_management": settings.allow_account_management,
                "allow_open_expired": settings.allow_open_expired,
                "max_containers_per_account": settings.max_containers_per_account,
                "strict_cors_mode": settings.strict_cors_mode,
                "policies": policies,
                "valid_api_versions": list(VERSIONS),
            },
        }
