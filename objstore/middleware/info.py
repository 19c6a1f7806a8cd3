"""/info: the features and limits of this cluster, from its filters and the proxy (Swift: Discoverability).

Each app of the pipeline below that has a method `info()` adds its sections. A request signed
with `admin_key` also sees the section `admin`, made of every app's `admin_info()`, and the
sections that are hidden from others. The signature is an HMAC in hex of the method, the
query's `swiftinfo_expires` and the path /info, each on a line.
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from objstore.core.errors import InvalidInput
from objstore.core.numbers import whole
from objstore.runtime import settings
from objstore.runtime.settings import boolean, setting, table, words
from objstore.web import bucket_hosts, pipeline
from objstore.web.errors import response_for
from objstore.web.requests import Environ, StartResponse, WsgiApp, query
from objstore.web.responses import Response, error


@dataclass(frozen=True)
class InfoSettings:
    """Settings of the filter."""

    expose_info: bool = setting(boolean, "true", "enable /info")
    admin_key: str = setting(
        str.strip, "", "secret of signed requests, which see every section; empty: signed requests are refused"
    )
    disallowed_sections: tuple[str, ...] = setting(
        words, "swift.valid_api_versions", "sections, or section.key, shown only to signed requests"
    )
    allowed_digests: tuple[str, ...] = setting(words, "sha1 sha256 sha512", "digests allowed in signatures")


SETTINGS = table(InfoSettings)

_DIGESTS = {40: "sha1", 64: "sha256", 128: "sha512"}  # by length of the signature in hex digits
_SIGNED_FOR = {"GET": ("GET",), "HEAD": ("HEAD", "GET")}

Sections = dict[str, dict[str, object]]


class Info:
    def __init__(
        self,
        app: WsgiApp,
        *,
        expose: bool = True,
        admin_key: str = "",
        disallowed_sections: Iterable[str] = (),
        digests: Iterable[str] = _DIGESTS.values(),
        now: Callable[[], float] = time.time,
    ) -> None:
        self.app = app
        self._names_bucket = bucket_hosts.find(app)
        self._expose = expose
        self._admin_key = admin_key.encode()
        self._disallowed = tuple(disallowed_sections)
        self._digests = frozenset(digests)
        self._now = now
        self._added: Sections = {}
        self._collected: tuple[Sections, Sections] | None = None

    def add_sections(self, sections: Mapping[str, Mapping[str, object]]) -> None:
        """Show further sections, of filters before this one."""
        self._added |= {name: dict(values) for name, values in sections.items()}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/info" or self._names_bucket(environ):
            return self.app(environ, start_response)
        return self._answer(environ)(environ, start_response)

    def _answer(self, environ: Environ) -> Response:
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            return Response(200, {"Allow": "HEAD, GET, OPTIONS"})
        if method not in _SIGNED_FOR:
            return error(405, headers={"Allow": "HEAD, GET, OPTIONS"})
        if not self._expose:
            return error(403)
        try:
            asked = query(environ)
        except InvalidInput as failure:
            return response_for(failure)
        signature, expires = asked.get("swiftinfo_sig", ""), asked.get("swiftinfo_expires", "")
        is_admin = bool(signature or expires)
        if is_admin and not self._admin_key:
            return error(403)
        if is_admin and not self._is_signed(method, signature, expires):
            return error(401)
        headers = {"Content-Type": "application/json; charset=UTF-8"}
        if "HTTP_ORIGIN" in environ:
            headers["Access-Control-Allow-Origin"] = environ["HTTP_ORIGIN"]
            headers["Access-Control-Expose-Headers"] = "x-trans-id"
        return Response(200, headers, json.dumps(self._sections(is_admin)).encode())

    def _is_signed(self, method: str, signature: str, expires: str) -> bool:
        digest = _DIGESTS.get(len(signature))
        if digest not in self._digests or (end := whole(expires)) is None or end < self._now():
            return False
        return any(
            hmac.compare_digest(sign(each, end, self._admin_key, digest), signature.lower().encode())
            for each in _SIGNED_FOR[method]
        )

    def _sections(self, is_admin: bool) -> Sections:
        if self._collected is None:
            public, admin = collected(self.app)
            self._collected = {**public, **self._added}, admin
        public, admin = self._collected
        if is_admin:
            return {**public, "admin": {**admin, "disallowed_sections": list(self._disallowed)}}
        return without(public, self._disallowed)


def sign(method: str, expires: int, key: bytes, digest: str = "sha1") -> bytes:
    """Return the signature, in hex, of a request for /info that is valid until `expires`, in Unix seconds."""
    return hmac.new(key, f"{method}\n{expires}\n/info".encode(), digest).hexdigest().encode()


def collected(app: object) -> tuple[Sections, Sections]:
    """Return the sections of a pipeline's apps: those for everyone, and the admin's. Apps nearer to the client take
    precedence."""
    public: Sections = {}
    admin: Sections = {}
    for each in pipeline.apps(app):
        for method, into in (("info", public), ("admin_info", admin)):
            for name, values in getattr(each, method, dict)().items():
                into[name] = {**values, **into.get(name, {})}
    return public, admin


def without(sections: Sections, disallowed: Iterable[str]) -> Sections:
    """Return the sections without the disallowed ones, given as `section` or as `section.key`."""
    kept = {name: dict(values) for name, values in sections.items()}
    for path in disallowed:
        name, _, key = path.partition(".")
        if not key:
            kept.pop(name, None)
        elif name in kept:
            _remove(kept[name], key.split("."))
    return kept


def _remove(values: dict[str, Any], path: list[str]) -> None:
    if len(path) == 1:
        values.pop(path[0], None)
    elif isinstance(values.get(path[0]), dict):
        values[path[0]] = dict(values[path[0]])
        _remove(values[path[0]], path[1:])


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], Info]:
    values = settings.read(InfoSettings, {**global_conf, **local_conf}, "filter:info")
    return lambda app: Info(
        app,
        expose=values.expose_info,
        admin_key=values.admin_key,
        disallowed_sections=values.disallowed_sections,
        digests=values.allowed_digests,
    )
