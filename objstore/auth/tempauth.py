"""The filter of the built-in authentication system: it logs users in, and identifies them by their tokens.

It supports the features of Swift's tempauth: users in its section or in a file, tokens in X-Auth-Token or
X-Storage-Token, reseller prefixes, service tokens, ACLs of containers and accounts. In addition, users may change while
it runs, keys may be hashed, and tokens are signed, so that proxies share only a secret. See doc/authentication.md.

A request that another filter has already authorized (`objstore.preauthorized`) passes. One without a token of ours is
anonymous, and is authorized here if its account has one of our prefixes, or if no other system does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from objstore.access import swift_acls
from objstore.access.identity import AccessKeys, Identity
from objstore.auth import prefixes as prefixes_
from objstore.auth import users as users_
from objstore.auth.login import LoginService
from objstore.auth.prefixes import Prefixes
from objstore.auth.tokens import Tokens
from objstore.auth.users import Login, UserTable
from objstore.auth.users_file import Users, checked_token_key, read_token_key
from objstore.core.errors import ConfigError, InvalidInput
from objstore.runtime import log, settings
from objstore.runtime.settings import choice, duration, setting, table
from objstore.web.errors import response_for
from objstore.web.requests import Environ, StartResponse, WsgiApp, header, to_native, to_text, vouch
from objstore.web.responses import Response, unauthorized


def _auth_prefix(text: str) -> str:
    stripped = text.strip().strip("/")
    if not stripped:
        raise ValueError("leaves no path for storage requests")
    return f"/{stripped}/"


@dataclass(frozen=True)
class TempAuthSettings:
    """Settings of the filter."""

    users_file: str = setting(
        str.strip, "", "users file, see `objstore user`; user_<account>_<user> settings are read too"
    )
    users_check_interval: float = setting(duration, "100ms", "interval to check the users file for changes")
    token_key: str = setting(
        str.strip, "", "secret that signs tokens, the same in all proxies; alternative to token_key_file"
    )
    token_key_file: str = setting(str.strip, "", "file with the secret that signs tokens")
    token_life: float = setting(duration, "86400", "lifetime of a token")
    auth_prefix: str = setting(_auth_prefix, "/auth/", "path prefix for log-ins")
    storage_url_scheme: str = setting(
        choice("default", "http", "https"),
        "default",
        "scheme of storage URLs: http, https, or default (that of the request)",
    )
    reseller_prefix: str = setting(str.strip, "AUTH", "prefixes of account names; tokens use the first")
    require_group: str = setting(
        str.strip,
        "",
        "group that owners must have too, for example by X-Service-Token; <PREFIX>_require_group for one prefix",
    )


SETTINGS = table(TempAuthSettings)

_ACL_KEY = "HTTP_X_ACCOUNT_ACCESS_CONTROL"
_SYSMETA_KEY = "HTTP_X_ACCOUNT_SYSMETA_CORE_ACCESS_CONTROL"
_SYSMETA_HEADER = "x-account-sysmeta-core-access-control"


class TempAuth:
    """The filter. access_keys: S3 keys of users, also in environ['objstore.access_keys'] of all requests that pass."""

    def __init__(self, app: WsgiApp, *, users: Users, tokens: Tokens, login: LoginService, prefixes: Prefixes) -> None:
        self.app = app
        self.access_keys: AccessKeys = users
        self._users = users
        self._tokens = tokens
        self._login = login
        self._prefixes = prefixes
        self._realm = prefixes.realm
        self._prefix = prefixes.first.text
        self._auth_prefix = login.auth_prefix

    def info(self) -> dict[str, object]:
        return {"tempauth": {"account_acls": True}}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        environ["objstore.access_keys"] = self.access_keys
        if path.startswith(self._auth_prefix):
            return self._login.answer(environ)(environ, start_response)
        if not environ.get("objstore.preauthorized"):
            refusal = self._identify(environ, path)
            if refusal is not None:
                return refusal(environ, start_response)
        if path.count("/") < 4:  # not an object: perhaps an account
            return self._with_account_acl(environ, start_response, path)
        return self.app(environ, start_response)

    def _identify(self, environ: Environ, path: str) -> Response | None:
        """Set the identity and the realm; return a response to a request with an invalid token."""
        token = environ.get("HTTP_X_AUTH_TOKEN") or environ.get("HTTP_X_STORAGE_TOKEN")
        if token and token.startswith(self._prefix):
            table = self._users.current()
            login = self._tokens.verify(token, table)
            if login is not None:
                vouch(environ)
                service = environ.get("HTTP_X_SERVICE_TOKEN")
                environ["objstore.identity"] = self._with_service(login, service, table) if service else login.identity
                environ["REMOTE_USER"] = to_native(login.user.name)
                environ["objstore.realm"] = self._realm
                return None
            # Without a prefix, the token may belong to another system.
            if self._prefix or "objstore.realm" not in environ:
                return unauthorized(_account_of(path))
        if "objstore.realm" not in environ or (self._prefix and self._decides_over(path)):
            environ["objstore.realm"] = self._realm
        return None

    def _with_service(self, login: Login, token: str, table: UserTable) -> Identity:
        """Return the user together with the service that acts for it: its groups, but not its accounts."""
        service = self._tokens.verify(token, table)
        if service is None:
            return login.identity
        groups = (*login.identity.groups, *service.identity.groups)
        return login.identity._replace(groups=groups, accounts=self._prefixes.administered(login.owned, groups))

    def _decides_over(self, path: str) -> bool:
        account = _account_of(path)
        return bool(account) and self._realm.covers(account)

    def _with_account_acl(self, environ: Environ, start_response: StartResponse, path: str) -> Iterable[bytes]:
        """Pass an account's request on: its ACL is system metadata below, and a header for owners above."""
        parts = path.rstrip("/").split("/")
        if len(parts) != 3 or not self._decides_over(path):
            return self.app(environ, start_response)
        if _ACL_KEY in environ:
            try:
                environ[_SYSMETA_KEY] = swift_acls.clean_account_acl(header(environ, swift_acls.ACCOUNT_ACL_HEADER))
            except InvalidInput as refusal:
                return response_for(refusal)(environ, start_response)
            del environ[_ACL_KEY]

        def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
            if environ.get("objstore.owner"):
                acl = next((value for name, value in headers if name.lower() == _SYSMETA_HEADER), "")
                if acl:
                    headers = [*headers, (swift_acls.ACCOUNT_ACL_HEADER, acl)]
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        return self.app(environ, start)


def _account_of(path: str) -> str:
    """Return the account in a native path `/v1/account...`, '' for another path."""
    parts = path.split("/", 3)
    return to_text(parts[2]) if len(parts) > 2 and parts[0] == "" and parts[1] else ""


def _token_key(values: TempAuthSettings) -> bytes:
    if values.token_key:
        return checked_token_key(values.token_key.encode(), "token_key")
    if values.token_key_file:
        return read_token_key(values.token_key_file)
    raise ConfigError("filter:tempauth: set token_key or token_key_file, to the same secret in all proxies")


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], TempAuth]:
    conf = {**global_conf, **local_conf}
    values = settings.read(TempAuthSettings, conf, "filter:tempauth")
    logger = log.from_conf(conf)
    prefixes = prefixes_.from_conf(conf)
    users = Users(prefixes, logger, users_.from_conf(conf), values.users_file, values.users_check_interval)
    tokens = Tokens(_token_key(values), life=values.token_life, prefix=prefixes.first.text)
    login = LoginService(
        users, tokens, auth_prefix=values.auth_prefix, url_scheme=values.storage_url_scheme, logger=logger
    )
    return lambda app: TempAuth(app, users=users, tokens=tokens, login=login, prefixes=prefixes)
