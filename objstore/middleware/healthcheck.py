"""/healthcheck, for load balancers: 200 OK, or 503 while the file `disable_path` exists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from objstore.runtime import settings
from objstore.runtime.files import exists
from objstore.runtime.settings import setting, table
from objstore.web import bucket_hosts
from objstore.web.requests import Environ, StartResponse, WsgiApp
from objstore.web.responses import Response


@dataclass(frozen=True)
class HealthcheckSettings:
    """Settings of the filter."""

    disable_path: str = setting(str.strip, "", "if this file exists, /healthcheck answers 503")


SETTINGS = table(HealthcheckSettings)

_TYPE = {"Content-Type": "text/plain; charset=UTF-8"}


class Healthcheck:
    def __init__(self, app: WsgiApp, *, disable_path: str = "") -> None:
        self.app = app
        self._names_bucket = bucket_hosts.find(app)
        self._disable_path = disable_path

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/healthcheck" or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return self.app(environ, start_response)
        if self._names_bucket(environ):
            return self.app(environ, start_response)
        if self._disable_path and exists(self._disable_path):
            return Response(503, _TYPE, b"DISABLED BY FILE")(environ, start_response)
        return Response(200, _TYPE, b"OK")(environ, start_response)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], Healthcheck]:
    values = settings.read(HealthcheckSettings, {**global_conf, **local_conf}, "filter:healthcheck")
    return lambda app: Healthcheck(app, disable_path=values.disable_path)
