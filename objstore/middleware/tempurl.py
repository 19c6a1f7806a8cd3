"""Temporary URLs: a signature in the query lets anyone use an object until it expires (Swift documentation: TempURL).

A request whose signature is valid gets the identity of a bearer (`access.identity.bearer`): the owner's rights within
the account or the container whose key made the signature. The rest of the query is not signed, so it is dropped, and a
change that would refer to other data is refused. All other requests with a parameter of temporary URLs are answered
401, with or without a token.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from objstore.access.identity import bearer
from objstore.core.errors import AccessDenied, InvalidInput
from objstore.core.names import Name
from objstore.core.text import to_text
from objstore.layers.interface import ObjectLayer
from objstore.runtime import settings
from objstore.runtime.settings import setting, table, words
from objstore.web import features, guards, pipeline, requests, temp_urls, url_keys
from objstore.web.context import RequestContext
from objstore.web.guards import Permitted
from objstore.web.requests import ENVIRON_KEY, Environ, StartResponse, WsgiApp
from objstore.web.responses import error
from objstore.web.temp_urls import METHODS, TempUrl


def _methods(text: str) -> tuple[str, ...]:
    names = tuple(name.upper() for name in words(text))
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise ValueError(f"{unknown[0]} is not one of {', '.join(METHODS)}")
    return names


def _header_names(text: str) -> tuple[str, ...]:
    """Parse names of headers, or prefixes that end with `*`, into lower case; raises ValueError."""
    names = tuple(name.lower() for name in words(text))
    for name in names:
        if "*" in name[:-1]:
            raise ValueError(f"{name} has a * before its end")
    return names


@dataclass(frozen=True)
class TempUrlSettings:
    """Settings of the filter."""

    methods: tuple[str, ...] = setting(_methods, " ".join(METHODS), "methods of requests by temporary URLs")
    allowed_digests: tuple[str, ...] = setting(
        url_keys.digests, " ".join(url_keys.DIGESTS), "digests allowed in signatures; sha1 is deprecated"
    )
    incoming_remove_headers: tuple[str, ...] = setting(
        _header_names, "x-timestamp x-open-expired", "request headers to drop: names, or prefixes such as x-example-*"
    )
    incoming_allow_headers: tuple[str, ...] = setting(_header_names, "", "exceptions of incoming_remove_headers")
    outgoing_remove_headers: tuple[str, ...] = setting(
        _header_names, "x-object-meta-*", "response headers to hide: names, or prefixes such as x-object-meta-*"
    )
    outgoing_allow_headers: tuple[str, ...] = setting(
        _header_names, "x-object-meta-public-*", "exceptions of outgoing_remove_headers"
    )


SETTINGS = table(TempUrlSettings)

_TOKENS = ("HTTP_X_AUTH_TOKEN", "HTTP_X_STORAGE_TOKEN", "HTTP_X_SERVICE_TOKEN")
# Headers of a change that make an object of other data than the request's body.
_REFERRING = (
    "X-Object-Manifest", "X-Static-Large-Object", "X-Copy-From", "X-Symlink-Target", "X-Symlink-Target-Account",
    "X-Symlink-Target-Etag",
)  # fmt: skip
_REFERRING_KEYS = {ENVIRON_KEY[name]: name for name in _REFERRING}
# Parameters that would make another operation of a change.
_OTHER_OPERATIONS = frozenset({"multipart-manifest", "version-id", "symlink", "extract-archive", "bulk-delete"})
_READING = frozenset({"GET", "HEAD"})
_EXPOSED = "Access-Control-Expose-Headers"
_REPLACED = ("content-disposition", "expires")  # headers of the object, by those of the URL
_REMEMBERED = 4096  # limit of cached names, which clients choose


class _Removed(dict[str, bool]):
    """Maps a name to whether it is removed. names, exceptions: in lower case, or prefixes that end with `*`."""

    def __init__(self, names: Iterable[str], exceptions: Iterable[str]) -> None:
        super().__init__()
        self._names = tuple(names)
        self._exceptions = tuple(exceptions)

    def __missing__(self, name: str) -> bool:
        lowered = name.lower()
        is_removed = _fits(lowered, self._names) and not _fits(lowered, self._exceptions)
        if len(self) < _REMEMBERED:
            self[name] = is_removed
        return is_removed


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(name.startswith(one[:-1]) if one[-1] == "*" else name == one for one in patterns)


def _keys(names: Iterable[str]) -> list[str]:
    """Return names of headers as keys of environ, in lower case."""
    return [f"http_{name.replace('-', '_')}" for name in names]


class TempUrls:
    """The filter. app: the pipeline below, in which an app has the `layer`. now: the clock, in Unix seconds."""

    def __init__(self, app: WsgiApp, values: TempUrlSettings, now: Callable[[], float] = time.time) -> None:
        self.app = app
        self._values = values
        self._now = now
        self._layer: ObjectLayer = pipeline.find(app, "layer")
        self._dropped: tuple[str, ...] = _TOKENS
        self._is_dropped: _Removed | None = None
        incoming, exceptions = values.incoming_remove_headers, values.incoming_allow_headers
        if "*" in "".join((*incoming, *exceptions)):
            self._is_dropped = _Removed(_keys(incoming), _keys(exceptions))
        else:
            self._dropped += tuple(ENVIRON_KEY[name] for name in incoming if name not in exceptions)
        hidden, shown = values.outgoing_remove_headers, values.outgoing_allow_headers
        self._is_hidden = _Removed(hidden, shown)
        self._is_replaced = _Removed((*hidden, *_REPLACED), [name for name in shown if name not in _REPLACED])

    def info(self) -> dict[str, object]:
        values = self._values
        return {
            "tempurl": {
                "methods": list(values.methods),
                "incoming_remove_headers": list(values.incoming_remove_headers),
                "incoming_allow_headers": list(values.incoming_allow_headers),
                "outgoing_remove_headers": list(values.outgoing_remove_headers),
                "outgoing_allow_headers": list(values.outgoing_allow_headers),
                **url_keys.info_of_digests(values.allowed_digests),
            }
        }

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if temp_urls.MARK not in environ["QUERY_STRING"] or environ["REQUEST_METHOD"] == "OPTIONS":
            return self.app(environ, start_response)
        try:
            url, scope = self._verified(environ)
        except InvalidInput as refusal:
            environ.setdefault("objstore.log_info", []).append(f"denied:tempurl-{refusal}")
            return _UNAUTHORIZED(environ, start_response)
        if environ["REQUEST_METHOD"] not in _READING:
            refused = _other_operation(environ, url)
            if refused:
                return error(400, f"The {refused} is not allowed in this tempurl")(environ, start_response)
        requests.vouch(environ)
        self._drop_headers(environ)
        environ["objstore.identity"] = bearer(scope)
        environ["QUERY_STRING"] = ""
        return self.app(environ, self._start(environ, url, start_response))

    def _drop_headers(self, environ: Environ) -> None:
        for key in self._dropped:
            if key in environ:
                del environ[key]
        if self._is_dropped is not None:
            for key in [key for key in environ if self._is_dropped[key]]:
                del environ[key]

    def _verified(self, environ: Environ) -> tuple[TempUrl, Name]:
        """Return the URL of a request and the scope of its key. Raises InvalidInput if it is not valid."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if method not in self._values.methods:
            raise InvalidInput("method")
        target = requests.api_name(path)
        if target is None or target[0] != temp_urls.VERSION or target[1].container is None:
            raise InvalidInput("path")
        url = temp_urls.parse(environ["QUERY_STRING"])
        if target[1].object is None:
            if url.prefix != "" or method not in _READING:
                raise InvalidInput("path")
            guards.add(environ, _as_web_site)
            path = path.rstrip("/") + "/"
        if url.expires < self._now():
            raise InvalidInput("expired")
        signature = url.signature
        if signature.digest not in self._values.allowed_digests:
            raise InvalidInput("digest")
        if url.ip_range is not None:
            temp_urls.check_address(url.ip_range, environ.get("REMOTE_ADDR", ""))
        context, name, texts = RequestContext.of(environ), target[1], url.texts(method, path)
        if signature.is_by(self._layer.container_info(context, name).meta, texts):
            return url, name.of_container
        if signature.is_by(self._layer.account_info(context, name.account).meta, texts):
            return url, name.of_account
        raise InvalidInput("signature")

    def _start(self, environ: Environ, url: TempUrl, start_response: StartResponse) -> StartResponse:
        """Return the start_response of the app below: it hides headers, and adds those of a download."""
        reads, path = environ["REQUEST_METHOD"] in _READING, environ["PATH_INFO"]
        left_out = self._is_replaced if reads else self._is_hidden

        def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
            shown = [pair for pair in headers if not left_out[pair[0]]]
            stored = ""
            if len(shown) < len(headers):
                shown = [self._without_hidden(pair) if pair[0] == _EXPOSED else pair for pair in shown]
                stored = next((value for name, value in headers if name == "Content-Disposition"), "")
            if reads and status[0] == "2":
                shown.append(("Content-Disposition", url.disposition(to_text(path), stored)))
                shown.append(("Expires", url.expires_header))
            return start_response(status, shown, exc_info) if exc_info else start_response(status, shown)

        return start

    def _without_hidden(self, pair: tuple[str, str]) -> tuple[str, str]:
        """Return the CORS header that names the headers of an answer, without hidden ones."""
        names = pair[1].split(", ")
        return pair[0], ", ".join(name for name in names if not self._is_hidden[name])


def _as_web_site(permitted: Permitted) -> None:
    """Refuse a listing, unless it is read for a page of a web site. Raises AccessDenied."""
    if permitted.name.object is None and temp_urls.FOR_PAGE not in permitted.environ:
        raise AccessDenied(permitted.name.account, False)


_UNAUTHORIZED = error(401, "401 Unauthorized: Temp URL invalid\n", {"Www-Authenticate": 'Swift realm="unknown"'})


def _other_operation(environ: Environ, url: TempUrl) -> str:
    """Return the item by which a change would do something else than what was signed, '' for none."""
    for key in _REFERRING_KEYS.keys() & environ.keys():
        return f"header {_REFERRING_KEYS[key]!r}"
    for name in _OTHER_OPERATIONS & url.further:
        return f"parameter {name!r}"
    return ""


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], TempUrls]:
    values = settings.read(TempUrlSettings, {**global_conf, **local_conf}, "filter:tempurl")

    def make(app: WsgiApp) -> TempUrls:
        features.announce(app, "tempurl")
        return TempUrls(app, values)

    return make
