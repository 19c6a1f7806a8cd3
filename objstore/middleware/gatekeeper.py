"""What is between servers stays between servers.

Requests lose the headers that only servers and filters may set: X-Backend-*, system
metadata, and X-Timestamp, which is kept aside for filters that let trusted clients set
it. Responses lose the same. Must stand outside of every filter that uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from objstore.runtime import settings
from objstore.web.requests import Environ, StartResponse, WsgiApp

SETTINGS = (
    settings.Setting(
        "shunt_inbound_x_timestamp",
        settings.boolean,
        "true",
        "move a client's X-Timestamp to X-Backend-Inbound-X-Timestamp; false lets clients date their changes",
    ),
    settings.Setting(
        "allow_reserved_names_header",
        settings.boolean,
        "false",
        "let requests with X-Allow-Reserved-Names: true see and change reserved names; for trusted networks only",
    ),
)

_PRIVATE = (
    "x-backend",
    "x-account-sysmeta-",
    "x-container-sysmeta-",
    "x-object-sysmeta-",
    "x-object-transient-sysmeta-",
)
_PRIVATE_KEYS = tuple("HTTP_" + prefix.upper().replace("-", "_") for prefix in _PRIVATE)


class _IsPrivate(dict[str, bool]):
    """Response header name to whether clients must not see it, remembered for up to 4,096 names."""

    def __missing__(self, name: str) -> bool:
        private = name.lower().startswith(_PRIVATE)
        if len(self) < 4096:
            self[name] = private
        return private


class Gatekeeper:
    def __init__(self, app: WsgiApp, *, shunt_timestamp: bool = True, allow_reserved_names: bool = False) -> None:
        self.app = app
        self._shunt_timestamp = shunt_timestamp
        self._allow_reserved_names = allow_reserved_names
        self._is_private = _IsPrivate()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[Any]:
        # One search in all names at once costs a third of asking each name.
        names = "\n".join(environ)
        if "SYSMETA_" in names or "HTTP_X_BACKEND" in names:
            for key in [key for key in environ if key.startswith(_PRIVATE_KEYS)]:
                del environ[key]
        if self._shunt_timestamp and "HTTP_X_TIMESTAMP" in environ:
            environ["HTTP_X_BACKEND_INBOUND_X_TIMESTAMP"] = environ.pop("HTTP_X_TIMESTAMP")
        if self._allow_reserved_names and "HTTP_X_ALLOW_RESERVED_NAMES" in environ:
            environ["HTTP_X_BACKEND_ALLOW_RESERVED_NAMES"] = environ.pop("HTTP_X_ALLOW_RESERVED_NAMES")
        private = self._is_private

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            kept = [pair for pair in headers if not private[pair[0]]]
            return start_response(status, kept, exc_info) if exc_info else start_response(status, kept)

        return self.app(environ, start)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], Gatekeeper]:
    values = settings.read(SETTINGS, {**global_conf, **local_conf}, "filter:gatekeeper")
    return lambda app: Gatekeeper(
        app,
        shunt_timestamp=values.shunt_inbound_x_timestamp,
        allow_reserved_names=values.allow_reserved_names_header,
    )
