"""Log-in requests: user and key in headers, a token and the storage URL in the answer.

The forms, all GET, are those of Swift's tempauth; under the auth prefix (`/auth/`):

    v1.0, v1, auth      X-Auth-User: project:user    X-Auth-Key: key
    v1/<project>/auth   X-Storage-User: user         X-Storage-Pass: key

Either pair of headers works with either form. Each log-in gets a new token; former ones stay valid until they expire.
"""

from __future__ import annotations

import logging
import secrets
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import quote

from objstore.auth import hashing
from objstore.auth.tokens import Tokens
from objstore.auth.users import Login, UserTable
from objstore.auth.users_file import Users
from objstore.runtime.threads import ThreadPool
from objstore.web.requests import Environ, header, to_text
from objstore.web.responses import Response, error, unauthorized

_METHODS = ("GET", "HEAD")
_MAX_KNOWN = 10_000
_THREADS = 2  # hashes computed at a time; others wait, without blocking other requests


class KeyChecker:
    """Compares keys with stored ones, hashing in a thread; correct keys are remembered in this process."""

    def __init__(self) -> None:
        self._pool = ThreadPool("keys", _THREADS)
        self._secret = secrets.token_bytes(32)
        self._right: dict[bytes, None] = {}  # digests of stored form and key, in the order they came
        self._nobody = hashing.unmatched()

    def matches(self, stored: str, key: str) -> bool:
        """Return whether `key` is the stored one. A wrong key takes as long as a correct one seen for the first
        time."""
        if not hashing.is_hashed(stored):
            return hashing.matches(stored, key)
        pair = f"{len(stored)}:{stored}{key}".encode("utf-8", "surrogateescape")
        seen = blake2b(pair, key=self._secret, digest_size=16).digest()
        if seen in self._right:
            return True
        if not self._pool.run(hashing.matches, stored, key):
            return False
        if len(self._right) >= _MAX_KNOWN:
            del self._right[next(iter(self._right))]
        self._right[seen] = None
        return True

    def matches_nobody(self, key: str, table: UserTable) -> None:
        """Take the time of a comparison, so that timing does not reveal which users exist."""
        self.matches(self._nobody if table.hashed else "", key)


class Attempt(NamedTuple):
    """The user and key of a log-in request. name: `project:user`."""

    name: str
    key: str


class LoginService:
    """Answers the requests under the auth prefix."""

    def __init__(
        self, users: Users, tokens: Tokens, *, auth_prefix: str, url_scheme: str, logger: logging.Logger
    ) -> None:
        """auth_prefix: with a slash at both ends. url_scheme: of storage URLs, or `default` for that of the request."""
        self._users = users
        self._tokens = tokens
        self._keys = KeyChecker()
        self.auth_prefix = auth_prefix
        self._url_scheme = url_scheme
        self._logger = logger

    def answer(self, environ: Environ) -> Response:
        rest = environ["PATH_INFO"][len(self.auth_prefix) :].rstrip("/").split("/")
        project = _project_of(rest)
        if project is None:
            return error(400)
        if environ["REQUEST_METHOD"] not in _METHODS:
            return error(405, headers={"Allow": ", ".join(_METHODS)})
        attempt = _attempt(environ, project)
        login = None if attempt is None else self._login(attempt)
        if login is None:
            extra = {"trans_id": environ.get("objstore.trans_id", "")}
            name = attempt.name if attempt else ""
            self._logger.info("login of %r from %s refused", name, environ.get("REMOTE_ADDR", "-"), extra=extra)
            return unauthorized(name.partition(":")[0] or project)
        return self._welcome(environ, login)

    def _login(self, attempt: Attempt) -> Login | None:
        table = self._users.current()
        login = table.logins.get(attempt.name)
        if login is None or not login.user.key:
            self._keys.matches_nobody(attempt.key, table)
            return None
        return login if self._keys.matches(login.user.key, attempt.key) else None

    def _welcome(self, environ: Environ, login: Login) -> Response:
        token = self._tokens.issue(login.user)
        return Response(
            200,
            {
                "X-Auth-Token": token.text,
                "X-Storage-Token": token.text,
                "X-Auth-Token-Expires": str(self._tokens.seconds_left(token)),
                "X-Storage-Url": self._storage_url(environ, login),
                "Content-Type": "text/plain; charset=UTF-8",
            },
        )

    def _storage_url(self, environ: Environ, login: Login) -> str:
        host = f"{environ['wsgi.url_scheme']}://{_host(environ)}"
        url = login.user.url or f"$HOST/v1/{quote(login.identity.account.encode('utf-8', 'surrogateescape'))}"
        url = url.replace("$HOST", host)
        if self._url_scheme != "default":
            url = f"{self._url_scheme}:{url.partition(':')[2]}"
        return url


def _host(environ: Environ) -> str:
    return environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"


def _project_of(rest: list[str]) -> str | None:
    """Return the project in a path under the auth prefix, '' if the headers have it; None for another path."""
    if rest in (["v1.0"], ["v1"], ["auth"]):
        return ""
    if len(rest) == 3 and rest[0] in ("v1", "v1.0") and rest[1] and rest[2] == "auth":
        return rest[1]
    return None


def _attempt(environ: Environ, native_project: str) -> Attempt | None:
    """Return user and key of a request; None if one is missing. A project in the path takes precedence over a
    header."""
    if native_project:
        named = header(environ, "X-Storage-User") or header(environ, "X-Auth-User")
        key = header(environ, "X-Storage-Pass") or header(environ, "X-Auth-Key")
        project = to_text(native_project)
        user = named.removeprefix(project + ":")
        name = f"{project}:{user}"
    else:
        name = header(environ, "X-Auth-User") or header(environ, "X-Storage-User")
        key = header(environ, "X-Auth-Key") or header(environ, "X-Storage-Pass")
        _, _, user = name.partition(":")
    return Attempt(name, key) if user and key else None
