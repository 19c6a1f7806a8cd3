"""Pass on the request headers that clients may send, and hide the internal headers of responses.

Request headers that are not in the list below are dropped. So headers that only servers and filters may set
(X-Backend-*, system metadata) do not pass in any spelling. X-Timestamp is moved for filters that let trusted clients
set it. The original header lines stay in `objstore.headers`, since a signature may cover any of them. Responses lose
X-Backend-* and system metadata. The filter must stand outside of every filter that uses such headers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from objstore.runtime import settings
from objstore.runtime.settings import boolean, setting, table, words
from objstore.web.requests import ENVIRON_KEY, Environ, StartResponse, WsgiApp

_OUR_PREFIXES = (
    "x-backend",
    "x-account-sysmeta-",
    "x-container-sysmeta-",
    "x-object-sysmeta-",
    "x-object-transient-sysmeta-",
)


def _further(text: str) -> tuple[str, ...]:
    """Parse names of headers, or prefixes that end with `*`; raises ValueError if they cover internal headers."""
    names = words(text)
    for name in names:
        start = name.lower().replace("_", "-").removesuffix("*")
        ours = (*_OUR_PREFIXES, "x-timestamp", "x-remove-")
        if "*" in start or any(start.startswith(one) or (name[-1] == "*" and one.startswith(start)) for one in ours):
            raise ValueError(f"{name} covers headers that no client may send")
    return names


@dataclass(frozen=True)
class GatekeeperSettings:
    """Settings of the filter."""

    shunt_inbound_x_timestamp: bool = setting(
        boolean,
        "true",
        (
            "move a client's X-Timestamp to X-Backend-Inbound-X-Timestamp; false: clients may set the timestamps of "
            "their changes"
        ),
    )
    allow_reserved_names_header: bool = setting(
        boolean,
        "false",
        "allow requests with X-Allow-Reserved-Names: true to read and change reserved names; for trusted networks only",
    )
    further_headers: tuple[str, ...] = setting(
        _further,
        "",
        "additional request headers to pass to filters of others: names, or prefixes such as X-Example-*",
    )


SETTINGS = table(GatekeeperSettings)

# Request headers that pass, in addition to all whose names do not begin with X-: no internal header is among these.
_CLIENTS_NAMES = (
    # The client
    "X-Auth-Token", "X-Auth-User", "X-Auth-Key", "X-Service-Token", "X-Storage-Token", "X-Storage-User",
    "X-Storage-Pass", "X-Account-Access-Control", "X-Account-Global-Write-Ratelimit", "X-Account-Read-Only",
    # The operation; some of these are refused later
    "X-Copy-From", "X-Copy-From-Account", "X-Delete-After", "X-Delete-At", "X-Detect-Content-Type",
    "X-Fresh-Metadata", "X-If-Delete-At", "X-Newest", "X-Object-Manifest", "X-Open-Expired", "X-Robots-Tag",
    "X-Static-Large-Object",
    "X-Storage-Policy", "X-Symlink-Target", "X-Symlink-Target-Account", "X-Symlink-Target-Bytes",
    "X-Symlink-Target-Etag", "X-Container-Read", "X-Container-Write", "X-Container-Sync-Auth", "X-Container-Sync-Key",
    "X-Container-Sync-To", "X-Remove-Container-Read", "X-Remove-Container-Write", "X-Remove-Container-Sync-Key",
    "X-Remove-Container-Sync-To", "X-History-Location", "X-Remove-History-Location", "X-Versions-Enabled",
    "X-Versions-Location", "X-Remove-Versions-Location", "X-Web-Mode",
    "X-Account-Rfc-Compliant-Etags", "X-Container-Rfc-Compliant-Etags", "X-Remove-Account-Rfc-Compliant-Etags",
    "X-Remove-Container-Rfc-Compliant-Etags",
    # The origin; X-Trans-Id is of the filter before this one
    "X-Cluster-Client-Ip", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto",
    "X-Real-Ip", "X-Request-Id", "X-Requested-With", "X-Trans-Id", "X-Trans-Id-Extra",
)  # fmt: skip
_CLIENTS_PREFIXES = (
    "X-Amz-", "X-Account-Meta-", "X-Account-Quota-", "X-Container-Meta-", "X-Object-Lock-", "X-Object-Meta-",
    "X-Remove-Account-Meta-",
    "X-Remove-Account-Quota-",
    "X-Remove-Container-Meta-", "X-Remove-Object-Meta-",
)  # fmt: skip
Headers = list[tuple[str, str]]

_REMEMBERED = 4096  # limit of cached names, which clients choose


class _Passing(set[str]):
    """Keys of environ that are known to pass. names, prefixes: of headers that pass, as keys of environ."""

    def __init__(self, names: Iterable[str], prefixes: Iterable[str]) -> None:
        super().__init__(names)
        self._prefixes = tuple(prefixes)

    def remove_others(self, environ: Environ) -> None:
        """Remove the headers that do not pass."""
        for key in [key for key in environ if key not in self]:
            if key[:7] == "HTTP_X_" and not key.startswith(self._prefixes):
                del environ[key]
            elif len(self) < _REMEMBERED:
                self.add(key)


class _Public(set[str]):
    """Names of response headers that are known to be public."""

    def select(self, headers: Headers) -> Headers:
        """Return the headers that are not hidden from clients."""
        if self.issuperset(dict(headers)):
            return headers
        public = [pair for pair in headers if not pair[0].lower().startswith(_OUR_PREFIXES)]
        if len(self) < _REMEMBERED:
            self.update([name for name, _ in public])
        return public


class Gatekeeper:
    """The filter. further: additional request headers to pass, or prefixes that end with `*`."""

    def __init__(
        self,
        app: WsgiApp,
        *,
        shunt_timestamp: bool = True,
        allow_reserved_names: bool = False,
        further: Iterable[str] = (),
    ) -> None:
        self.app = app
        self._shunt_timestamp = shunt_timestamp
        self._allow_reserved_names = allow_reserved_names
        self._public = _Public()
        keys = [ENVIRON_KEY[name] for name in further]
        self._passing = _Passing(
            [*(ENVIRON_KEY[name] for name in _CLIENTS_NAMES), *(key for key in keys if key[-1] != "*")],
            [*(ENVIRON_KEY[name] for name in _CLIENTS_PREFIXES), *(key[:-1] for key in keys if key[-1] == "*")],
        )

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        stamp = environ.get("HTTP_X_TIMESTAMP")
        reserved = environ.get("HTTP_X_ALLOW_RESERVED_NAMES")
        if not self._passing.issuperset(environ):
            self._passing.remove_others(environ)
        if stamp is not None:
            inward = "HTTP_X_BACKEND_INBOUND_X_TIMESTAMP" if self._shunt_timestamp else "HTTP_X_TIMESTAMP"
            environ[inward] = stamp
        if reserved is not None and self._allow_reserved_names:
            environ["HTTP_X_BACKEND_ALLOW_RESERVED_NAMES"] = reserved
        public = self._public

        def start(status: str, headers: Headers, exc_info: object = None) -> object:
            shown = public.select(headers)
            return start_response(status, shown, exc_info) if exc_info else start_response(status, shown)

        return self.app(environ, start)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], Gatekeeper]:
    values = settings.read(GatekeeperSettings, {**global_conf, **local_conf}, "filter:gatekeeper")
    return lambda app: Gatekeeper(
        app,
        shunt_timestamp=values.shunt_inbound_x_timestamp,
        allow_reserved_names=values.allow_reserved_names_header,
        further=values.further_headers,
    )
