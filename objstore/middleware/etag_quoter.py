"""Etags in double quotes, as RFC 9110 (8.8.3) has them and some caches need them.

The Swift API sends the etags of objects without quotes. This filter adds them if the container wants it
(`X-Container-Rfc-Compliant-Etags`), else the account (`X-Account-Rfc-Compliant-Etags`), else by its setting. The
two headers are kept as system metadata; an empty value or `X-Remove-...` takes a choice back. Etags that are quoted
already and those in listings stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from objstore.core.errors import InvalidInput, ObjstoreError
from objstore.core.names import Name
from objstore.layers.interface import ObjectLayer
from objstore.runtime import settings
from objstore.runtime.settings import boolean, setting, table
from objstore.web import features, pipeline, requests
from objstore.web.context import RequestContext
from objstore.web.requests import ENVIRON_KEY, Environ, StartResponse, WsgiApp


@dataclass(frozen=True)
class EtagQuoterSettings:
    """Settings of the filter."""

    enable_by_default: bool = setting(
        boolean, "no", "quote etags of containers that neither their own metadata nor their account's decides about"
    )


SETTINGS = table(EtagQuoterSettings)

_SUFFIX = "Rfc-Compliant-Etags"
_KEY = _SUFFIX.lower()
_TRUE = frozenset({"true", "1", "yes", "on", "t", "y"})
_CHANGES = ("PUT", "POST")

Headers = list[tuple[str, str]]


class EtagQuoter:
    """The filter. by_default: the choice without metadata."""

    def __init__(self, app: WsgiApp, by_default: bool = False) -> None:
        self.app = app
        self._by_default = by_default
        self._layer: ObjectLayer = pipeline.find(app, "layer")
        features.announce(app, "etag_quoter")

    def info(self) -> dict[str, dict[str, object]]:
        return {"etag_quoter": {"enable_by_default": self._by_default}}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            parsed = requests.api_name(environ["PATH_INFO"])
        except InvalidInput:
            parsed = None
        if parsed is None:
            return self.app(environ, start_response)
        name = parsed[1]
        kind = "Account" if name.container is None else "Container"
        if name.object is None and environ["REQUEST_METHOD"] in _CHANGES:
            _store_choice(environ, kind)

        def start(status: str, headers: Headers, exc_info: object = None) -> object:
            if name.object is None:
                headers = _with_choice(headers, kind)
            if name.container is not None:
                headers = self._with_quotes(environ, name, headers)
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        return self.app(environ, start)

    def _with_quotes(self, environ: Environ, name: Name, headers: Headers) -> Headers:
        for index, (header, value) in enumerate(headers):
            if header.lower() == "etag":
                if value[:1] == '"' or value[:3] == 'W/"' or not self._wants_quotes(environ, name):
                    return headers
                return [*headers[:index], (header, f'"{value}"'), *headers[index + 1 :]]
        return headers

    def _wants_quotes(self, environ: Environ, name: Name) -> bool:
        context = RequestContext.of(environ)
        try:
            choice = self._layer.container_info(context, name).sysmeta.get(_KEY)
            if not choice:
                choice = self._layer.account_info(context, name.account).sysmeta.get(_KEY)
        except ObjstoreError:  # an answer is not lost for the form of its etag
            choice = None
        return choice.lower() in _TRUE if choice else self._by_default


def _store_choice(environ: Environ, kind: str) -> None:
    """Make system metadata of a client's choice."""
    choice = environ.pop(ENVIRON_KEY[f"X-{kind}-{_SUFFIX}"], None)
    if environ.pop(ENVIRON_KEY[f"X-Remove-{kind}-{_SUFFIX}"], None) is not None and choice is None:
        choice = ""
    if choice is not None:
        stored = str(choice.strip().lower() in _TRUE) if choice.strip() else ""
        environ[ENVIRON_KEY[f"X-{kind}-Sysmeta-{_SUFFIX}"]] = stored


def _with_choice(headers: Headers, kind: str) -> Headers:
    """Return the headers with the choice that is stored, as clients see it."""
    stored = f"x-{kind}-sysmeta-{_SUFFIX}".lower()
    choice = next((value for header, value in headers if header.lower() == stored), "")
    return [*headers, (f"X-{kind}-{_SUFFIX}", choice)] if choice else headers


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], EtagQuoter]:
    values = settings.read(EtagQuoterSettings, {**global_conf, **local_conf}, "filter:etag_quoter")
    return lambda app: EtagQuoter(app, values.enable_by_default)
