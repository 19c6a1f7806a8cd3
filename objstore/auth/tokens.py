"""Stateless tokens: their content is signed with a secret that all proxies share.

A token is `AUTH_tk` (the first prefix and `tk`) and then, in base64url without padding:

    version      1 byte, 1
    expiry       8 bytes, big-endian, seconds since the epoch
    fingerprint  8 bytes: of the user's key when the token was made
    nonce        4 bytes, random, so that no two tokens are equal
    user         its name in UTF-8
    signature    32 bytes: HMAC-SHA256 of all of the above

All other properties of the user are looked up, so that tokens of a removed user or a changed key are invalid at once,
and changed groups apply at once.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import secrets
import struct
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import NamedTuple

from objstore.auth.users import Login, User, UserTable

_VERSION = 1
_HEAD = struct.Struct(">BQ8s4s")
_SIGNATURE = 32  # bytes
_MAX_LENGTH = 2048  # characters; the longest name fits


class Token(NamedTuple):
    """expires: whole seconds since the epoch."""

    text: str
    expires: int


class Tokens:
    """Makes and verifies tokens. Verified tokens are cached until the table changes."""

    def __init__(
        self,
        secret: bytes,
        *,
        life: float = 86400.0,
        prefix: str = "AUTH_",
        now: Callable[[], float] = time.time,
        cache_limit: int = 10_000,
    ) -> None:
        """secret: the same in all proxies. life: of a token, in seconds. prefix: of accounts.

        cache_limit: maximum number of cached tokens, about 500 bytes each.
        """
        self._secret = secret
        self._life = life
        self._start = prefix + "tk"
        self._now = now
        self._cache_limit = cache_limit
        self._table: UserTable | None = None
        self._cache: dict[str, tuple[int, Login]] = {}

    @property
    def known(self) -> int:
        """The number of cached tokens."""
        return len(self._cache)

    def issue(self, user: User) -> Token:
        expires = int(self._now() + self._life)
        head = _HEAD.pack(_VERSION, expires, self._fingerprint(user), secrets.token_bytes(4))
        content = head + user.name.encode()
        encoded = urlsafe_b64encode(content + self._sign(content)).rstrip(b"=").decode()
        return Token(self._start + encoded, expires)

    def seconds_left(self, token: Token) -> int:
        return max(0, int(token.expires - self._now()))

    def verify(self, token: str, table: UserTable) -> Login | None:
        """Return the login of a token; None if it is forged, expired, or older than its user's key."""
        if table is not self._table:
            self._cache.clear()
            self._table = table
        known = self._cache.get(token)
        if known is None:
            known = self._read(token, table)
            if known is None:
                return None
            if len(self._cache) >= self._cache_limit:
                del self._cache[next(iter(self._cache))]  # the oldest
            self._cache[token] = known
        return known[1] if self._now() < known[0] else None

    def _read(self, token: str, table: UserTable) -> tuple[int, Login] | None:
        content = self._signed(token)
        if content is None:
            return None
        version, expires, fingerprint, _ = _HEAD.unpack_from(content)
        if version != _VERSION:
            return None
        login = table.logins.get(content[_HEAD.size :].decode("utf-8", "replace"))
        if login is None or not hmac.compare_digest(fingerprint, self._fingerprint(login.user)):
            return None
        return expires, login

    def _signed(self, token: str) -> bytes | None:
        """Return the content of a token, None if the signature is invalid."""
        if not token.startswith(self._start) or len(token) > _MAX_LENGTH:
            return None
        encoded = token[len(self._start) :]
        try:
            data = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        except (binascii.Error, ValueError):
            return None
        content, signature = data[:-_SIGNATURE], data[-_SIGNATURE:]
        if len(content) < _HEAD.size or not hmac.compare_digest(signature, self._sign(content)):
            return None
        return content

    def _sign(self, content: bytes) -> bytes:
        return hmac.digest(self._secret, content, hashlib.sha256)

    def _fingerprint(self, user: User) -> bytes:
        # The first byte separates the uses of the secret: the content of a token begins with its version.
        return hmac.digest(self._secret, b"\0" + user.key.encode("utf-8", "surrogateescape"), hashlib.sha256)[:8]
