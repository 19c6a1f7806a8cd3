"""Users, and the table of users against which requests are checked.

A user is read from a field of JSON or from a line of configuration; `UserTable` converts all of them once, for fast
look-ups.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from objstore.access.identity import Credential, Identity
from objstore.auth import hashing
from objstore.auth.prefixes import Prefixes
from objstore.core.errors import ConfigError

ADMIN = ".admin"
RESELLER_ADMIN = ".reseller_admin"
# Fields of an identity, never one of its groups.
_NO_GROUPS = frozenset({ADMIN, RESELLER_ADMIN})

# Without characters that have a meaning in an ACL, a path or a credential scope.
_NAME = re.compile(r"[^\s,:/*.\x00-\x1f\x7f][^\s,:/*\x00-\x1f\x7f]*:[^\s,/*\x00-\x1f\x7f]+\Z")
_WORD = re.compile(r"[^\s,/\x00-\x1f\x7f]+\Z")
_URL = re.compile(r"(?:https?://[^/\s]+|\$HOST)/(?:\S*/)?[^/\s]+/?\Z")
_MAX_NAME = 256  # characters


SYSTEM = "."  # prefix of names of the system's accounts


class User(NamedTuple):
    """A user. name: `project:user`. key: plain, hashed, or '' for a user with only a pair of S3 keys.

    account: the storage account, if it is not the first prefix and the project. url: of the storage, instead of the
    requested host; `$HOST` in it is that host.
    """

    name: str
    key: str = ""
    groups: tuple[str, ...] = ()
    access_key: str = ""
    secret_key: str = ""
    account: str = ""
    url: str = ""

    @property
    def project(self) -> str:
        return self.name.partition(":")[0]

    @property
    def account_override(self) -> str:
        return self.account or self.url.rstrip("/").rpartition("/")[2]


class Login(NamedTuple):
    """A user as requests see it. owned: the accounts that it administers, given the groups that these require."""

    user: User
    identity: Identity
    owned: tuple[str, ...]


class UserTable:
    """All users at one moment; never changed. Raises ConfigError for an access key used twice, or a system account."""

    __slots__ = ("accounts", "credentials", "hashed", "logins")

    def __init__(self, users: Iterable[User], prefixes: Prefixes) -> None:
        self.logins = {user.name: _login(user, prefixes) for user in users}
        self.accounts = frozenset(login.identity.account for login in self.logins.values())
        self.credentials: dict[str, Credential] = {}
        self.hashed = any(hashing.is_hashed(login.user.key) for login in self.logins.values())
        for login in self.logins.values():
            for access_key, secret_key in _pairs(login.user):
                if access_key in self.credentials:
                    raise ConfigError(f"user {login.user.name}: access key {access_key!r} belongs to another user too")
                self.credentials[access_key] = Credential(login.identity, secret_key)


def _pairs(user: User) -> Iterable[tuple[str, str]]:
    """Yield pairs of S3 keys: an explicit one first, then name and plain key, as with Swift's s3api and tempauth."""
    if user.key and user.access_key != user.name and not hashing.is_hashed(user.key):
        yield user.name, user.key
    if user.access_key:
        yield user.access_key, user.secret_key


def _login(user: User, prefixes: Prefixes) -> Login:
    """Return the login of a user. Raises ConfigError for an account of the system."""
    account = user.account_override or prefixes.first.text + user.project
    owned: list[str] = []
    if ADMIN in user.groups:
        owned = list(dict.fromkeys((account, *(prefix.text + user.project for prefix in prefixes))))
    if any(name.startswith(SYSTEM) for name in (account, *owned)):
        raise ConfigError(f"user {user.name}: account names that begin with {SYSTEM!r} are reserved for the system")
    groups = (user.name, user.project, *(group for group in user.groups if group not in _NO_GROUPS))
    accounts = prefixes.administered(owned, groups)
    return Login(user, Identity(user.name, groups, accounts, RESELLER_ADMIN in user.groups, account), tuple(owned))


_TEXTS = ("key", "access_key", "secret_key", "account", "url")


def from_json(name: str, fields: object) -> User:
    """Return the user of an entry of a users file; raises ValueError with the reason if it is invalid."""
    if not isinstance(fields, dict):
        raise ValueError("is not a JSON object")
    unknown = sorted(set(fields) - {*_TEXTS, "groups"})
    if unknown:
        raise ValueError(f"has an unknown field {unknown[0]!r}")
    for field in _TEXTS:
        if not isinstance(fields.get(field, ""), str):
            raise ValueError(f"{field} is not a string")
    groups = fields.get("groups", [])
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise ValueError("groups is not a list of strings")
    user = User(name, groups=tuple(groups), **{field: fields[field] for field in _TEXTS if field in fields})
    check(user)
    return user


def to_json(user: User) -> dict[str, object]:
    """Return the fields of a user that differ from their defaults."""
    fields: dict[str, object] = {field: getattr(user, field) for field in _TEXTS if getattr(user, field)}
    return fields | ({"groups": list(user.groups)} if user.groups else {})


def check(user: User) -> None:
    """Raise ValueError with the reason if a user is invalid."""
    if not _NAME.match(user.name) or not _is_utf8(user.name) or len(user.name) > _MAX_NAME:
        raise ValueError("a name must be ACCOUNT:USER, without spaces, commas, slashes and asterisks")
    for text in (user.key, user.secret_key, user.access_key, user.account, user.url, *user.groups):
        if not _is_utf8(text):
            raise ValueError("is not valid Unicode")
    if bool(user.access_key) != bool(user.secret_key):
        raise ValueError("access_key and secret_key go together")
    if not user.key and not user.access_key:
        raise ValueError("has neither a key nor an access_key")
    if hashing.is_hashed(user.key):
        try:
            hashing.check(user.key)
        except ValueError as error:
            raise ValueError(f"key {error}") from None
    for group in user.groups:
        if not _WORD.match(group):
            raise ValueError(f"group {group!r} is empty, or has a space, comma or slash in it")
    for field in ("access_key", "account"):
        value = getattr(user, field)
        if value and not _WORD.match(value):
            raise ValueError(f"{field} {value!r} has a space, comma or slash in it")
    if user.account and user.url:
        raise ValueError("account and url cannot be combined")
    if user.url and not _URL.match(user.url):
        raise ValueError(f"url {user.url!r} is not like http://host/v1/ACCOUNT or $HOST/v1/ACCOUNT")


def _is_utf8(text: str) -> bool:
    """Return whether the text fits a header: JSON may hold half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_url(word: str) -> bool:
    return "://" in word or "$HOST" in word


def from_conf(conf: Mapping[str, str]) -> dict[str, User]:
    """Return the users of lines `user_<account>_<user> = <key> [group]... [storage URL]`, and of `user64_...`, whose
    account and user are base64 without padding (as in Swift's tempauth).

    Raises ConfigError that names the line.
    """
    users = {}
    for setting, value in conf.items():
        kind, underscore, names = setting.partition("_")
        if underscore and kind in ("user", "user64"):
            try:
                user = _from_line(names, value.split(), encoded=kind == "user64")
                check(user)
            except ValueError as error:
                raise ConfigError(f"{setting}: {error}") from None
            users[user.name] = user
    return users


def _from_line(names: str, words: list[str], encoded: bool) -> User:
    parts = names.split("_")
    if len(parts) != 2:
        raise ValueError("the name is not user_<account>_<user>; write names with underscores as user64_...")
    if not words:
        raise ValueError("has no key")
    account, name = map(_decoded, parts) if encoded else parts
    key, *groups = words
    url = groups.pop() if groups and _is_url(groups[-1]) else ""
    return User(f"{account}:{name}", key, tuple(groups), url=url)


def _decoded(text: str) -> str:
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError(f"{text!r} is not base64 of UTF-8") from None
