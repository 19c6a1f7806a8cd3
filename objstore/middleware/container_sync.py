"""Accept the requests of other clusters' `container-sync` daemons, and check the targets of containers.

A request with a valid X-Container-Sync-Auth acts for the owner of the container's account: it may read, write and
delete objects of that container, at the timestamps of the cluster that they come from. The signature is made with a key
of the realm and the X-Container-Sync-Key of the container; see `core.container_sync`. The filter must stand before
those that authenticate, and after `cache`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from objstore.access.identity import Identity
from objstore.core.container_sync import (
    SYNC_AUTH,
    SYNC_KEY,
    SYNC_TO,
    SYNCED,
    SignedRequest,
    SyncRealm,
    parse_target,
    verifies,
)
from objstore.core.errors import InvalidInput, NotFound
from objstore.core.text import ENVIRON_KEY
from objstore.core.timestamps import Timestamp
from objstore.layers.interface import ObjectLayer
from objstore.runtime import log, settings
from objstore.runtime.settings import duration, setting, table
from objstore.runtime.sync_realms import FILE_NAME, SyncRealms
from objstore.web import features, pipeline, requests
from objstore.web.context import RequestContext
from objstore.web.errors import response_for
from objstore.web.requests import Environ, StartResponse, WsgiApp
from objstore.web.responses import Response, error

_AUTH_KEY = ENVIRON_KEY[SYNC_AUTH]
_INBOUND = "HTTP_X_BACKEND_INBOUND_X_TIMESTAMP"
_METHODS = ("GET", "HEAD", "PUT", "DELETE")


def _current(text: str) -> tuple[str, str] | None:
    """Parse `//realm/cluster`; raises ValueError."""
    if not text.strip():
        return None
    parts = text.strip().upper().split("/")
    if len(parts) != 4 or parts[:2] != ["", ""] or not all(parts[2:]):
        raise ValueError("is not of the form //realm/cluster")
    return parts[2], parts[3]


@dataclass(frozen=True)
class ContainerSyncSettings:
    """Settings of the filter."""

    ring_dir: str = setting(str.strip, "/etc/objstore", f"directory of {FILE_NAME}")
    current: tuple[str, str] | None = setting(
        _current, "", "name of this cluster as //realm/cluster, which /info shows to clients"
    )
    mtime_check_interval: float = setting(duration, "5m", f"interval to check for a newer {FILE_NAME}")


SETTINGS = table(ContainerSyncSettings)


class ContainerSync:
    """The filter."""

    def __init__(
        self, app: WsgiApp, *, realms: Callable[[], Mapping[str, SyncRealm]], current: tuple[str, str] | None = None
    ) -> None:
        self.app = app
        self._realms = realms
        self._current = current
        self._layer: ObjectLayer = pipeline.find(app, "layer")
        features.announce(app, "container_sync")

    def info(self) -> dict[str, dict[str, object]]:
        shown: dict[str, dict[str, object]] = {}
        for name, realm in self._realms().items():
            shown[name] = {
                "clusters": {
                    cluster: {"current": True} if (name, cluster) == self._current else {} for cluster in realm.clusters
                }
            }
        return {"container_sync": {"realms": shown}}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if _AUTH_KEY in environ:
            refusal = self._check_signature(environ)
        elif ENVIRON_KEY[SYNC_TO] in environ and environ["REQUEST_METHOD"] in ("PUT", "POST"):
            refusal = self._check_target(environ)
        else:
            return self.app(environ, start_response)
        if refusal is not None:
            return refusal(environ, start_response)
        return self.app(environ, start_response)

    def _check_target(self, environ: Environ) -> Response | None:
        """Return the refusal of an X-Container-Sync-To that no daemon could follow."""
        text = requests.header(environ, SYNC_TO)
        if not text.strip():
            return None
        try:
            target = parse_target(text)
        except InvalidInput as problem:
            return response_for(problem)
        realm = self._realms().get(target.realm)
        if realm is None:
            return error(400, f"No realm for {SYNC_TO}: {target.realm}")
        if target.cluster not in realm.clusters:
            return error(400, f"No cluster for {SYNC_TO}: {target.cluster}")
        return None

    def _check_signature(self, environ: Environ) -> Response | None:
        """Return the refusal of a request whose signature is not valid; else give it the rights of the owner."""
        parts = requests.header(environ, SYNC_AUTH).split()
        try:
            found = requests.api_name(environ["PATH_INFO"])
        except InvalidInput as problem:
            return error(412, str(problem))
        if len(parts) != 3 or found is None or environ["REQUEST_METHOD"] not in _METHODS:
            return self._refuse(environ, "malformed")
        name = found[1]
        if name.object is None:
            return self._refuse(environ, "not for an object")
        realm_name, nonce, signature = parts
        realm = self._realms().get(realm_name.upper())
        if realm is None:
            return self._refuse(environ, "unknown realm")
        try:
            headers = self._layer.container(RequestContext.of(environ), name.of_container).headers
        except NotFound:
            return self._refuse(environ, "no container")
        user_key = headers.get(SYNC_KEY, "")
        if not user_key:
            return self._refuse(environ, "the container has no key")
        timestamp = environ.get(_INBOUND) or environ.get("HTTP_X_TIMESTAMP") or "0"
        path = quote(environ["PATH_INFO"].encode("latin-1"))
        signed = SignedRequest(environ["REQUEST_METHOD"], path, timestamp)
        if not verifies(realm, signed, nonce, signature, (user_key,)):
            return self._refuse(environ, "wrong signature")
        if environ["REQUEST_METHOD"] in ("PUT", "DELETE"):
            try:
                environ["HTTP_X_TIMESTAMP"] = Timestamp.parse(timestamp).internal
            except InvalidInput:
                return error(400, "X-Timestamp is not a timestamp")
        self._let_pass(environ, name.account, realm.name)
        return None

    def _let_pass(self, environ: Environ, account: str, realm: str) -> None:
        for key in ("HTTP_X_AUTH_TOKEN", "HTTP_X_STORAGE_TOKEN"):
            environ.pop(key, None)
        user = f"container-sync:{realm}"
        environ["objstore.identity"] = Identity(user, (user,), (account,), account=account)
        environ[SYNCED] = True
        requests.vouch(environ)
        environ.setdefault("objstore.log_info", []).append("container-sync")

    def _refuse(self, environ: Environ, reason: str) -> Response:
        environ.setdefault("objstore.log_info", []).append(f"container-sync refused: {reason}")
        return error(401, "X-Container-Sync-Auth header not valid; contact cluster operator for support.")


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], ContainerSync]:
    conf = {**global_conf, **local_conf}
    values = settings.read(ContainerSyncSettings, conf, "filter:container_sync")
    realms = SyncRealms(os.path.join(values.ring_dir, FILE_NAME), log.from_conf(conf), values.mtime_check_interval)
    return lambda app: ContainerSync(app, realms=realms.get, current=values.current)
