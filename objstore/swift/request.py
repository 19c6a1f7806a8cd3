"""A client's request to the Swift API, and common parts of its answers."""

from __future__ import annotations

from collections.abc import Mapping

from objstore.core.container_sync import SYNCED
from objstore.core.errors import PreconditionFailed
from objstore.core.names import Name
from objstore.core.numbers import whole
from objstore.core.text import ENVIRON_KEY
from objstore.core.timestamps import Timestamp
from objstore.layers.interface import ObjectLayer, Page
from objstore.layers.versions.names import NULL
from objstore.swift.permission import Permissions
from objstore.web import guards, requests
from objstore.web.context import RequestContext
from objstore.web.infos import ContainerInfo
from objstore.web.requests import Environ
from objstore.web.responses import Response, error
from objstore.wire import messages

# Only the owner of an account sees and sets these.
OWNER_HEADERS = frozenset(
    {
        "X-Container-Read", "X-Container-Write", "X-Container-Sync-Key", "X-Container-Sync-To",
        "X-Account-Meta-Temp-Url-Key", "X-Account-Meta-Temp-Url-Key-2",
        "X-Container-Meta-Temp-Url-Key", "X-Container-Meta-Temp-Url-Key-2", "X-Account-Access-Control",
    }
)  # fmt: skip
VERSION_ID = "X-Object-Version-Id"
# Values that clients send for yes.
TRUE = ("true", "1", "yes", "on", "t", "y")
FALSE = ("", "false", "0", "no", "off", "f", "n")
HTML = "text/html; charset=UTF-8"


class ProxyRequest:
    """A request: environ, method and name; its headers are read at their first use."""

    __slots__ = ("_headers", "_permissions", "context", "environ", "method", "name")

    def __init__(self, environ: Environ, name: Name, permissions: Permissions) -> None:
        self.environ = environ
        self.context = RequestContext.of(environ)
        self.method: str = environ["REQUEST_METHOD"]
        self.name = name
        self._headers: dict[str, str] | None = None
        self._permissions = permissions

    def derived(self, environ: Environ, name: Name) -> ProxyRequest:
        """A request that this one amounts to, of the same client."""
        return ProxyRequest(environ, name, self._permissions)

    @property
    def headers(self) -> dict[str, str]:
        if self._headers is None:
            self._headers = requests.headers(self.environ)
        return self._headers

    def permit(self, info: ContainerInfo | None = None) -> Response | None:
        """Return None if the request is permitted, else the refusal. info: of the container, if it is known.

        Raises ObjstoreError as guards do.
        """
        refused = self._permissions.refusal(self.environ, self.context, self.name, info)
        if refused is None and guards.KEY in self.environ and not self.trusted:
            guards.check(self.environ, self.context, self.method, self.name)
        return refused

    def permit_read(self, name: Name) -> None:
        """See `ReadOptions.permit`. Raises AccessDenied."""
        self._permissions.permit_read(self.environ, self.context, name)

    @property
    def owner(self) -> bool:
        return bool(self.environ.get("objstore.owner"))

    @property
    def trusted(self) -> bool:
        """True if it is made with the system's rights: its maker has then checked the client's input."""
        return bool(self.environ.get("objstore.preauthorized"))

    @property
    def synced(self) -> bool:
        """See `core.container_sync.SYNCED`."""
        return SYNCED in self.environ

    @property
    def given_timestamp(self) -> Timestamp | None:
        """The time of the change set by a trusted filter (X-Timestamp does not pass the gatekeeper); None for now."""
        given = self.environ.get("HTTP_X_TIMESTAMP")
        return Timestamp.parse(given) if given else None


def opens_expired(environ: Environ) -> bool:
    """Return whether the client requests an object even if it has expired."""
    return environ.get("HTTP_X_OPEN_EXPIRED", "").lower() in TRUE


def plain(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response without a body, as Swift answers a change."""
    return Response(status, {"Content-Type": HTML, **(headers or {})})


def client_headers(request: ProxyRequest, headers: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of the layer's headers that this client may see."""
    return dict(headers) if request.owner else _without_owners(headers)


def _without_owners(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in OWNER_HEADERS}


def without_owner_headers(request: ProxyRequest) -> dict[str, str]:
    """Return the client's headers without those that only an owner may set."""
    return request.headers if request.owner else _without_owners(request.headers)


def page_of(request: ProxyRequest, query: Mapping[str, str]) -> Page:
    """Return the page that the query of a listing requests; a limit that is not a number is ignored, as in Swift."""
    environ = request.environ
    return Page(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        marker=query.get("marker", ""),
        end_marker=query.get("end_marker", ""),
        limit=whole(query.get("limit", "")),
        reverse=query.get("reverse", "").lower() in TRUE,
        path=query.get("path"),
        reserved=ENVIRON_KEY[messages.ALLOW_RESERVED] in environ,
        markers=ENVIRON_KEY[messages.MARKERS] in environ,
        data_times=ENVIRON_KEY[messages.DATA_TIMES] in environ,
    )


def listing_answer(request: ProxyRequest, headers: dict[str, str], content: bytes) -> Response:
    """Return the answer to a GET or HEAD of an account or container."""
    headers["Accept-Ranges"] = "bytes"
    headers["Content-Length"] = str(len(content))
    return Response(204 if request.method == "HEAD" else 200, headers, content)


def writable(request: ProxyRequest, layer: ObjectLayer) -> Response | None:
    """Return None if the client may change objects of the container, else the refusal."""
    container = layer.container_info(request.context, request.name)
    refused = request.permit(container)
    if refused is not None:
        return refused
    if not container.exists:
        return missing(container.status)
    return None


def version_header(version_id: str) -> dict[str, str]:
    """Return the header with the version that a change made; none for a null version, as in Swift."""
    return {VERSION_ID: version_id} if version_id not in ("", NULL) else {}


def condition_refusal(request: ProxyRequest, failed: PreconditionFailed) -> Response:
    """Return a 412; or a 404 to a PUT with the system's rights if If-Match meets nothing (S3: NoSuchKey)."""
    headers = {messages.MISSING: "true"} if failed.missing else None
    return error(404 if failed.missing and request.trusted and request.method == "PUT" else 412, headers=headers)


def missing(status: int) -> Response:
    """Return the answer if an account or container is missing: 404 if that is certain, 503 if no node could be
    asked."""
    return error(404 if status in (404, 410) else 503)
