"""/endpoints/...: the devices that hold an account, container or object, for programs beside the data (Swift: List
Endpoints).

`/endpoints[/v1]/account[/container[/object]]` answers a JSON list of URLs on storage servers; with `v2`, an object with
the URLs as `endpoints`, and `headers` to send there. The look-up reads the ring, and for an object the cached info of
its container. Names need not exist. There is no access control, other than by the address of the client.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from objstore.core.errors import ConfigError, InvalidInput
from objstore.core.headers import POLICY
from objstore.core.names import Name
from objstore.middleware.metrics import Network, is_within, networks
from objstore.runtime import settings
from objstore.runtime.settings import setting, table
from objstore.web import bucket_hosts, pipeline
from objstore.web.context import RequestContext
from objstore.web.requests import Environ, StartResponse, WsgiApp, strict_text
from objstore.web.responses import Response, error


def _path(text: str) -> str:
    """Parse the path, with slashes around it. Raises ValueError."""
    stripped = text.strip().strip("/")
    if not stripped:
        raise ValueError("is empty")
    return f"/{stripped}/"


@dataclass(frozen=True)
class ListEndpointsSettings:
    """Settings of the filter."""

    list_endpoints_path: str = setting(_path, "/endpoints/", "path of the endpoints")
    list_endpoints_networks: tuple[Network, ...] = setting(
        networks,
        "127.0.0.0/8, ::1",
        "addresses and networks that may ask; requests through an HTTP proxy are always refused",
    )


SETTINGS = table(ListEndpointsSettings)
_VERSIONS = {"v1": 1, "v1.0": 1, "1": 1, "1.0": 1, "v2": 2, "v2.0": 2, "2": 2, "2.0": 2}


class ListEndpoints:
    """The filter. cluster: that of the proxy, which places names."""

    def __init__(self, app: WsgiApp, values: ListEndpointsSettings, cluster: Any) -> None:
        self.app = app
        self._values = values
        self._cluster = cluster
        self._layer: Any = pipeline.find(app, "layer")
        self._names_bucket = bucket_hosts.find(app)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path, prefix = environ["PATH_INFO"], self._values.list_endpoints_path
        if not path.startswith(prefix) or self._names_bucket(environ):
            return self.app(environ, start_response)
        return self._answer(environ, path[len(prefix) :])(environ, start_response)

    def _answer(self, environ: Environ, rest: str) -> Response:
        if not is_within(environ, self._values.list_endpoints_networks):
            return error(403)
        if environ["REQUEST_METHOD"] != "GET":
            return error(405, headers={"Allow": "GET"})
        try:
            version, name = _parse(rest)
        except InvalidInput as problem:
            return error(400, str(problem))
        endpoints, headers = self._find(RequestContext.of(environ), name)
        document = endpoints if version == 1 else {"endpoints": endpoints, "headers": headers}
        return Response(200, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def _find(self, context: RequestContext, name: Name) -> tuple[list[str], dict[str, str]]:
        policy = 0
        headers = {}
        if name.object is not None:
            policy = self._layer.container_info(context, name).policy_index
            headers[POLICY] = str(policy)
        place = self._cluster.place(name, policy)
        path = quote(name.path.encode("utf-8", "surrogateescape"))
        urls = [
            f"http://{f'[{node.ip}]' if ':' in node.ip else node.ip}:{node.port}/{node.device}/{place.partition}{path}"
            for node in place.primaries
        ]
        return urls, headers


def _parse(rest: str) -> tuple[int, Name]:
    """Return the version and the name of a path. Raises InvalidInput.

    Something that looks like a version is one, as in Swift.
    """
    version = 1
    first, _, behind = rest.partition("/")
    if first in _VERSIONS:
        version, rest = _VERSIONS[first], behind
    elif first[:1] == "v" and first[1:].replace(".", "", 1).isdigit():
        raise InvalidInput(f"Unsupported version {first[:60]!r}")
    account, _, below = rest.partition("/")
    container, _, key = below.partition("/")
    if not account:
        raise InvalidInput("No account specified")
    if key and not container:
        raise InvalidInput("No container specified")
    return version, Name(strict_text(account), strict_text(container) or None, strict_text(key) or None)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], ListEndpoints]:
    values = settings.read(ListEndpointsSettings, {**global_conf, **local_conf}, "filter:list_endpoints")

    def make(app: WsgiApp) -> ListEndpoints:
        cluster = pipeline.find(app, "cluster")
        if cluster is None:
            raise ConfigError("filter:list_endpoints: the pipeline does not end in the proxy")
        return ListEndpoints(app, values, cluster)

    return make
