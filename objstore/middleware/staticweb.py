"""Static web sites: containers that answer browsers with pages (Swift documentation: StaticWeb).

A site is a container with `X-Container-Meta-Web-Index`, `-Error` or `-Listings`. Its pages are for GET and HEAD of
clients without credentials; those with a token get them by `X-Web-Mode: true`. Rules, for a path below the container:

1. An object is served as ever, unless it is the marker of a directory: an object of the directory type with no content.
2. A directory is a path that ends with `/`: its index, else its listing, if listings are enabled, else 404.
3. Another path below which there are objects, as far as the client may know, is redirected to the directory.
4. Errors have the page `<status><error>`, such as `404error.html`, if the site has it.

With `-Error` alone only the last one applies. Every page is a request of the client to the app below, under its own
rights. So an index is served to everyone who may read it, also without the right to list the container.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlencode, urlsplit

from objstore.core.errors import InvalidInput
from objstore.core.limits import DEFAULT_LIMITS
from objstore.core.names import Name
from objstore.layers.interface import ObjectLayer
from objstore.runtime import settings
from objstore.runtime.settings import positive, setting, size, table
from objstore.web import features, listing_page, pipeline, requests, temp_urls
from objstore.web.context import RequestContext
from objstore.web.errors import response_for
from objstore.web.listing_page import Directory
from objstore.web.requests import Environ, StartResponse, WsgiApp, to_native, to_text
from objstore.web.responses import Answer, Response, call, error

PAGE = "objstore.web_page"  # set in environ: the answer is a page, so `listing_formats` leaves it as it is


def _url_base(text: str) -> str:
    """Parse a scheme, a host with or without a port, or both."""
    stripped = text.strip().rstrip("/")
    parts = urlsplit(stripped)
    if parts.path or parts.query or parts.fragment or (stripped and not (parts.scheme or parts.netloc)):
        raise ValueError("is not a URL such as https://www.example.com, //www.example.com:8080 or https:")
    return stripped


@dataclass(frozen=True)
class StaticWebSettings:
    """Settings of the filter."""

    url_base: str = setting(
        _url_base, "", "scheme and host of redirects if they differ from the request's: https://host, //host or https:"
    )
    listing_limit: int = setting(positive, "10000", "maximum number of entries on a page of a listing")
    max_page_size: int = setting(size, "8M", "maximum size of the entries on a page of a listing, in characters")


SETTINGS = table(StaticWebSettings)

_VERSIONS = ("v1", "v1.0")
_READING = frozenset({"GET", "HEAD"})
_TRUE = frozenset({"true", "1", "yes", "on", "t", "y"})
# Failed conditions and ranges are answers to what the client asked; they have no pages.
_WITHOUT_PAGE = frozenset({412, 416})
_REFUSED = frozenset({401, 403})
_CONDITIONS = (
    "HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_RANGE",
    "HTTP_IF_RANGE",
)  # fmt: skip
_OF_LISTING = ("Access-Control-", "Vary")  # headers of a container's listing that its page keeps
# In the order in which Swift writes links.
_SIGNATURE = ("temp_url_prefix", "temp_url_expires", "temp_url_sig", "temp_url_ip_range")
_HTML = {"Content-Type": "text/html; charset=UTF-8"}
_MARKER_SIZE = 1  # bytes that the marker of a directory may have


class Site(NamedTuple):
    """The site of a container.

    index_name: of index objects, '' for none. error_suffix: the names of error pages after their status, '' for none.
    has_directories: the container has an index or says anything about listings, so paths are those of directories.
    css, label: of listings. directory_type: content type of directory markers.
    """

    index_name: str
    error_suffix: str
    has_directories: bool
    listings: bool
    css: str
    label: str
    directory_type: str

    @classmethod
    def of(cls, meta: Mapping[str, str]) -> Site | None:
        """Return the site of a container with this user metadata; None if it is not one."""
        if not ("web-index" in meta or "web-error" in meta or "web-listings" in meta):  # most containers
            return None
        index, error, listings = (meta.get(f"web-{key}", "").strip() for key in ("index", "error", "listings"))
        if not (index or error or listings):
            return None
        return cls(
            index,
            error,
            bool(index or listings),
            listings.lower() in _TRUE,
            meta.get("web-listings-css", "").strip(),
            meta.get("web-listings-label", "").strip(),
            meta.get("web-directory-type", "").strip() or "application/directory",
        )


_NO_SITE = Site("", "", False, False, "", "", "")


class StaticWeb:
    """The filter. app: the pipeline below, which ends in the proxy."""

    def __init__(self, app: WsgiApp, values: StaticWebSettings | None = None) -> None:
        self.app = app
        self._layer: ObjectLayer = pipeline.find(app, "layer")
        given = values or StaticWebSettings()
        limits = pipeline.find(app, "limits") or DEFAULT_LIMITS
        self.values = replace(given, listing_limit=min(given.listing_limit, limits.container_listing_limit))
        features.announce(app, "staticweb")

    def info(self) -> dict[str, dict[str, object]]:
        return {"staticweb": {}}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if "REMOTE_USER" in environ and "HTTP_X_WEB_MODE" not in environ:  # most requests
            return self.app(environ, start_response)
        visit = self._visit(environ)
        if visit is None:
            return self.app(environ, start_response)
        try:
            answer = visit.answer()
        except InvalidInput as failure:
            answer = response_for(failure)
        return answer(environ, start_response)

    def _visit(self, environ: Environ) -> _Visit | None:
        """Return the visit of a site; None for a request that is not one."""
        if environ["REQUEST_METHOD"] not in _READING or environ.get("objstore.preauthorized"):
            return None
        identity = environ.get("objstore.identity")
        is_known = identity is not None and identity.known
        if is_known and environ.get("HTTP_X_WEB_MODE", "").lower() not in _TRUE:
            return None
        try:
            parsed = requests.api_name(environ["PATH_INFO"])
        except InvalidInput:
            return None
        if parsed is None or parsed[0] not in _VERSIONS or parsed[1].container is None:
            return None
        name = parsed[1]
        info = self._layer.container_info(RequestContext.of(environ), name)
        if not info.exists:
            return None
        site = Site.of(info.meta) if info.meta else None
        if site is None and is_known and name.object is None:
            site = _NO_SITE
        return None if site is None else _Visit(self.app, self.values, environ, name, site)


class _Visit:
    """A request for a page of a site."""

    def __init__(self, app: WsgiApp, values: StaticWebSettings, environ: Environ, name: Name, site: Site) -> None:
        self._app = app
        self._values = values
        self._environ = environ
        self._name = name
        self._site = site
        target = environ.get("objstore.raw_target") or quote(environ["PATH_INFO"].encode("latin-1"))
        path, _, query = target.partition("?")  # as the client sent them
        self._path, self._query = _quoted(path), _quoted(query)
        version, account, container = environ["PATH_INFO"].split("/", 4)[1:4]
        self._root = f"/{version}/{account}/{container}/"

    def answer(self) -> Response:
        if self._name.object is not None:
            return self._object(self._name.object)
        if self._site.has_directories:
            self._environ[PAGE] = True
            return self._directory("") if self._environ["PATH_INFO"].endswith("/") else self._to_root()
        if "HTTP_X_WEB_MODE" not in self._environ:
            return self._with_page(call(self._app, self._environ))  # the listing of the API
        return self._refusal() or self._with_page(_answer(error(404)))

    def _object(self, path: str) -> Response:
        answer = call(self._app, self._environ)
        if not self._site.has_directories:
            return self._with_page(answer)
        if answer.status == 200 and self._is_marker(answer):
            answer.close()
            answer = _answer(error(404))
        if answer.status != 404:
            return self._with_page(answer)
        if path.endswith("/"):
            answer.close()
            return self._directory(path)
        if self._is_directory(path + "/"):
            answer.close()
            return self._redirect()
        return self._with_page(answer)

    def _is_directory(self, prefix: str) -> bool:
        """Return whether the client may know of objects whose names begin with the prefix."""
        answer = self._ask("GET", "", urlencode({"format": "json", "prefix": prefix, "limit": 1}))
        if answer.ok:
            return bool(json.loads(answer.read() or b"[]"))
        answer.close()
        if not self._site.index_name:
            return False
        index = self._ask("HEAD", prefix + self._site.index_name)
        index.close()
        return index.ok

    def _refusal(self) -> Response | None:
        """Return None if the client may list the container, else the answer."""
        answer = self._ask(self._environ["REQUEST_METHOD"], "", "limit=1&format=json")
        if answer.status in _REFUSED:
            return self._with_page(answer)
        answer.close()
        return None

    def _is_marker(self, answer: Answer) -> bool:
        kind = answer.headers.get("Content-Type", "")
        return kind == self._site.directory_type and int(answer.headers.get("Content-Length", 0)) <= _MARKER_SIZE

    def _directory(self, prefix: str) -> Response:
        site = self._site
        if site.index_name:
            answer = self._ask(self._environ["REQUEST_METHOD"], prefix + site.index_name)
            if answer.status != 404:
                return self._with_page(answer)
            answer.close()
        if site.listings:
            return self._listing(prefix)
        refusal = None if prefix or site.index_name else self._refusal()
        return refusal or self._with_page(_answer(error(404, _without_listing(site))))

    def _to_root(self) -> Response:
        """Redirect to the directory that the container is, if the client may know of it."""
        if not self._site.index_name:
            return self._refusal() or self._redirect()
        answer = self._ask(self._environ["REQUEST_METHOD"], self._site.index_name)
        if answer.status in _REFUSED:
            return self._with_page(answer)
        answer.close()
        return self._redirect()

    def _listing(self, prefix: str) -> Response:
        marker = requests.parameters(self._query).get("marker", "")
        limit = self._values.listing_limit
        query = urlencode(
            {"format": "json", "delimiter": "/", "prefix": prefix, "limit": limit}
            | ({"marker": marker} if marker else {})
        )
        answer = self._ask("GET", "", query)
        if answer.status not in (200, 204):
            return self._with_page(answer)
        rows = json.loads(answer.read() or b"[]")
        if not rows and prefix and not marker:
            return self._with_page(_answer(error(404)))
        directory = self._shown_directory(prefix, marker)
        page = listing_page.render(directory, rows, len(rows) >= limit, self._values.max_page_size)
        headers = {key: to_text(value) for key, value in answer.headers.items() if key.startswith(_OF_LISTING)}
        if "temp_url_sig" in requests.parameters(self._query):
            headers["Content-Disposition"] = "inline"  # or a temporary URL would download it
        return Response(200, {**_HTML, **headers}, page.content)

    def _shown_directory(self, prefix: str, marker: str) -> Directory:
        site = self._site
        title = f"{site.label}/{prefix}" if site.label else unquote(self._path)
        query, signed = self._signature()
        return Directory(title, prefix, site.css, query, signed, marker)

    def _signature(self) -> tuple[str, str]:
        """Return the query of a temporary URL that is valid for all names with a prefix, and the prefix."""
        sent = requests.parameters(self._query)
        if "temp_url_sig" not in sent or "temp_url_prefix" not in sent:
            return "", ""
        query = urlencode({name: sent[name] for name in _SIGNATURE if name in sent}, safe="/", quote_via=quote)
        return query + ("&inline" if "inline" in sent else ""), sent["temp_url_prefix"]

    def _with_page(self, answer: Answer) -> Response:
        """Return an answer, or the site's page for it if it is an error."""
        if answer.status < 400 or answer.status in _WITHOUT_PAGE or not self._site.error_suffix:
            return _response(answer)
        sub = self._sub(self._environ["REQUEST_METHOD"], f"{answer.status}{self._site.error_suffix}")
        for key in _CONDITIONS:
            sub.pop(key, None)
        page = call(self._app, sub)
        if page.status != 200:
            page.close()
            return _response(answer)
        answer.close()
        response = _response(page)
        response.status = answer.status
        response.headers.pop("Accept-Ranges", None)  # ranges are of pages that were found
        if "Www-Authenticate" in answer.headers:
            response.headers["Www-Authenticate"] = to_text(answer.headers["Www-Authenticate"])
        return response

    def _ask(self, method: str, path: str, query: str = "") -> Answer:
        """Request an object of the container, or its listing, for the client."""
        return call(self._app, self._sub(method, path, query))

    def _sub(self, method: str, path: str, query: str = "") -> Environ:
        sub: dict[str, Any] = {
            **self._environ,
            "REQUEST_METHOD": method,
            "PATH_INFO": self._root + to_native(path),
            "QUERY_STRING": query,
        }
        sub.pop("objstore.owner", None)
        sub[temp_urls.FOR_PAGE] = True
        if not path:
            for key in _CONDITIONS:
                sub.pop(key, None)
        return sub

    def _redirect(self) -> Response:
        base = urlsplit(self._values.url_base)
        scheme = base.scheme or self._environ["wsgi.url_scheme"]
        host = base.netloc or _host(self._environ)
        query = f"?{self._query}" if self._query else ""
        return error(301, headers={"Location": f"{scheme}://{host}{self._path}/{query}"})


def _quoted(native: str) -> str:
    """Return a part of a URL with all bytes encoded that it must not have."""
    return quote(native.encode("latin-1"), safe="%/:=&?~+!$,;'@()*[]|")


def _host(environ: Environ) -> str:
    """Return the host that the client asked, also if another filter has replaced it."""
    host = environ.get("objstore.client_host") or environ.get("HTTP_HOST")
    return str(host) if host else f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"


def _without_listing(site: Site) -> str:
    missing = f", and there is no {site.index_name} here" if site.index_name else ""
    return (
        f"Listings of this web site are disabled{missing}. Its owner can enable them by X-Container-Meta-Web-Listings."
    )


def _response(answer: Answer) -> Response:
    return Response(answer.status, {name: to_text(value) for name, value in answer.headers.items()}, answer.body)


def _answer(response: Response) -> Answer:
    assert isinstance(response.body, bytes)
    headers = {**response.headers, "Content-Length": str(len(response.body))}
    return Answer(response.status, headers, (response.body,))


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], StaticWeb]:
    values = settings.read(StaticWebSettings, {**global_conf, **local_conf}, "filter:staticweb")
    return lambda app: StaticWeb(app, values)
