"""The users file, and the secret that signs tokens: reading, watching, changing.

The users file is JSON: `{"version": 1, "users": {"project:user": {...}}}`, the fields being
those of `users.User`. It holds keys, so only its owner may read it. Changes replace it as
a whole, under a lock, so that any number of servers and commands can share it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import secrets
import string
import time
from collections.abc import Iterator, Mapping

from objstore.access.identity import Credential
from objstore.auth import hashing, users
from objstore.auth.prefixes import Prefix, Prefixes
from objstore.auth.users import User, UserTable
from objstore.core.errors import ConfigError
from objstore.runtime import owners
from objstore.runtime.files import FILES, Files, exists

VERSION = 1
USERS_NAME = "users.json"  # under the directory of `objstore serve --data`
TOKEN_KEY_NAME = "token.key"
FIRST_USER = "admin:admin"
_MODE = 0o600
_LEAST_TOKEN_KEY = 16  # characters


def read_users(path: str) -> dict[str, User]:
    """Return the users of a file by name; raises ConfigError that names the file and the entry."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return _parsed(path, data)


def _parsed(path: str, data: bytes) -> dict[str, User]:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("users"), dict):
        raise ConfigError(f'{path}: not an object with "users"')
    if content.get("version", VERSION) != VERSION:
        raise ConfigError(f"{path}: version {content['version']!r} is not {VERSION}")
    found = {}
    for name, fields in content["users"].items():
        try:
            found[name] = users.from_json(name, fields)
        except ValueError as error:
            raise ConfigError(f"{path}: user {name!r}: {error}") from None
    return found


def write_users(path: str, known: Mapping[str, User], files: Files = FILES) -> None:
    """Replace the file; it keeps its owner, even if root changes it. Raises OSError."""
    content = {"version": VERSION, "users": {name: users.to_json(known[name]) for name in sorted(known)}}
    owners.replace(path, json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n", _MODE, files)


@contextlib.contextmanager
def editing(path: str, files: Files = FILES) -> Iterator[dict[str, User]]:
    """Open the users of a file, for changes in place; they are written at the end, unless an exception leaves the
    block.

    A missing file counts as one without users. Concurrent edits wait. Raises ConfigError for a file that cannot be read
    or for users in conflict, OSError if it cannot be written.
    """
    with _locked(path + ".lock"):
        known = read_users(path) if exists(path) else {}
        before = dict(known)
        yield known
        if known != before or not exists(path):
            UserTable(known.values(), Prefixes([Prefix("")]))  # no access key twice
            write_users(path, known, files)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    fd = owners.open_lock(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)  # releases the lock; the file stays, as others may wait for it


class Users:
    """The current table of users: those of the configuration, overridden by those of the file, if any.

    The file is checked at most once in `interval` seconds. A file that cannot be used leaves the former table in place,
    and is logged once.
    """

    def __init__(
        self,
        prefixes: Prefixes,
        logger: logging.Logger,
        conf: Mapping[str, User],
        path: str = "",
        interval: float = 0.0,
    ) -> None:
        """Raises ConfigError if the file cannot be used at the start."""
        self._prefixes = prefixes
        self._logger = logger
        self._conf = conf
        self._path = path
        self._last_signature = self._signature() if path else None
        self._table = self._read()
        self._interval = interval
        self._next_check = 0.0

    def find(self, access_key: str) -> Credential | None:
        """See `access.identity.AccessKeys`: the pairs of users, and `project:user` with its key if that is plain."""
        return self.current().credentials.get(access_key)

    def has_account(self, account: str) -> bool:
        return account in self.current().accounts

    def current(self) -> UserTable:
        """Return the table: the same object until something changes."""
        if self._path and (now := time.monotonic()) >= self._next_check:
            self._next_check = now + self._interval
            seen = self._signature()
            if seen != self._last_signature:
                self._reload(seen)
        return self._table

    def _reload(self, seen: tuple[int, ...] | None) -> None:
        self._last_signature = seen
        try:
            self._table = self._read()
        except ConfigError as error:
            self._logger.error("keeping the previous users: %s", error)
        else:
            self._logger.info("users reloaded from %s", self._path)

    def _signature(self) -> tuple[int, ...] | None:
        """Return a value that differs after every change; None if the file is missing."""
        try:
            stat = os.stat(self._path)
        except OSError:
            return None
        # The inode's change time also covers a new owner or mode, which may make the file readable.
        return stat.st_ctime_ns, stat.st_ino, stat.st_size

    def _read(self) -> UserTable:
        from_file = read_users(self._path) if self._path else {}
        return UserTable({**self._conf, **from_file}.values(), self._prefixes)


def read_token_key(path: str) -> bytes:
    """Return the secret that signs tokens; raises ConfigError for a missing or short one."""
    try:
        with open(path, "rb") as file:
            return checked_token_key(file.read().strip(), path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None


def checked_token_key(key: bytes, where: str) -> bytes:
    if len(key) < _LEAST_TOKEN_KEY:
        raise ConfigError(f"{where}: a token key needs at least {_LEAST_TOKEN_KEY} characters, this one has {len(key)}")
    return key


def ensure_token_key(path: str, files: Files = FILES) -> None:
    """Create a file with a new random secret, unless it exists."""
    with _locked(path + ".lock"):
        if not exists(path):
            owners.replace(path, secrets.token_hex(32).encode() + b"\n", _MODE, files)


def ensure_first_user(path: str, name: str = FIRST_USER, files: Files = FILES) -> User | None:
    """Create a users file with one admin user with new keys; return None if the file exists.

    The keys are only in the result and, in plain text, in the file.
    """
    if exists(path):
        return None
    made = User(name, new_key(), (users.ADMIN, users.RESELLER_ADMIN), new_access_key(), new_secret_key())
    with editing(path, files) as known:
        if known:  # another process was faster
            return None
        known[name] = made
    return made


def new_key() -> str:
    return secrets.token_urlsafe(18)


def new_access_key() -> str:
    """Return 20 letters and digits, as AWS does."""
    return "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(20))


def new_secret_key() -> str:
    """Return 40 characters that need no quoting in a shell."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(40))


def stored_key(key: str, hash_it: bool) -> str:
    """Return a key in its stored form."""
    return hashing.hashed(key) if hash_it else key
