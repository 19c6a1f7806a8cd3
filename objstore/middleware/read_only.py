"""Refuse changes, of the whole cluster or of single accounts (Swift: Read Only).

The guard of this filter answers 405 to permitted changes through both APIs. The setting of an account has precedence
over that of the cluster: `X-Account-Read-Only: true` or `false`, which a reseller admin sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from objstore.core.errors import WritesDisabled
from objstore.middleware.account_setting import AccountSetting, is_of_account
from objstore.runtime import settings
from objstore.runtime.settings import boolean, setting, table
from objstore.web import features, guards, pipeline
from objstore.web.guards import Permitted
from objstore.web.requests import Environ, StartResponse, WsgiApp


@dataclass(frozen=True)
class ReadOnlySettings:
    """Settings of the filter."""

    read_only: bool = setting(boolean, "false", "refuse changes in accounts without a setting of their own")
    allow_deletes: bool = setting(boolean, "false", "allow deletions where changes are refused")


SETTINGS = table(ReadOnlySettings)


def _is_boolean(text: str) -> bool:
    try:
        boolean(text)
    except ValueError:
        return False
    return True


_OF_ACCOUNT = AccountSetting("X-Account-Read-Only", _is_boolean, "true or false")


class ReadOnly:
    """The filter. app: the pipeline below, in which the proxy has the object layer."""

    def __init__(self, app: WsgiApp, values: ReadOnlySettings) -> None:
        self.app = app
        self._values = values
        self._layer: Any = pipeline.find(app, "layer")
        features.announce(app, "read_only")

    def info(self) -> dict[str, object]:
        return {"read_only": {}}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD", "OPTIONS"):
            guards.add(environ, self._check)
        if is_of_account(environ["PATH_INFO"]):
            start_response = _OF_ACCOUNT.shown(environ, start_response)
        return self.app(environ, start_response)

    def _check(self, permitted: Permitted) -> None:
        if not permitted.changes:
            return
        if _OF_ACCOUNT.key in permitted.environ and permitted.name.container is None:
            _OF_ACCOUNT.store(permitted)  # a reseller can end what it has begun
            return
        if permitted.method == "DELETE" and self._values.allow_deletes:
            return
        own = _OF_ACCOUNT.of(self._layer.account_info(permitted.context, permitted.name.account))
        if boolean(own) if _is_boolean(own) else self._values.read_only:
            raise WritesDisabled("Writes are disabled for this account.")


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], ReadOnly]:
    values = settings.read(ReadOnlySettings, {**global_conf, **local_conf}, "filter:read_only")
    return lambda app: ReadOnly(app, values)
