"""Keys stored as hashes: `scrypt:<log2 n>:<r>:<p>:<salt>:<hash>`, the last two in base64.

scrypt (RFC 7914) takes 16 MiB and about 30 ms of a core with the numbers below, so call `matches` from a thread. It
releases the interpreter's lock meanwhile.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from typing import NamedTuple

_MARK = "scrypt:"
_LOG_N, _R, _P = 14, 8, 1
_MAX_MEMORY = 256 << 20  # bytes; limit of the cost of one check, which the users file sets


class _Hash(NamedTuple):
    log_n: int
    r: int
    p: int
    salt: bytes
    digest: bytes


def is_hashed(stored: str) -> bool:
    return stored.startswith(_MARK)


def hashed(key: str) -> str:
    """Return the stored form of a key, with a new salt."""
    salt = secrets.token_bytes(16)
    return _text(salt, _digest(key, _Hash(_LOG_N, _R, _P, salt, bytes(32))))


def unmatched() -> str:
    """Return a stored form without a matching key, as costly to check as any."""
    return _text(secrets.token_bytes(16), secrets.token_bytes(32))


def _text(salt: bytes, digest: bytes) -> str:
    return f"{_MARK}{_LOG_N}:{_R}:{_P}:{b64encode(salt).decode()}:{b64encode(digest).decode()}"


def check(stored: str) -> None:
    """Raise ValueError if a hash is malformed, or too costly to check."""
    _parse(stored)


def matches(stored: str, key: str) -> bool:
    """Return whether `key` is the stored one, plain or hashed. Compares in constant time."""
    if not is_hashed(stored):
        return hmac.compare_digest(_bytes(stored), _bytes(key))
    parsed = _parse(stored)
    return hmac.compare_digest(parsed.digest, _digest(key, parsed))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _digest(key: str, by: _Hash) -> bytes:
    return hashlib.scrypt(
        _bytes(key), salt=by.salt, n=1 << by.log_n, r=by.r, p=by.p, dklen=len(by.digest), maxmem=_MAX_MEMORY
    )


def _parse(stored: str) -> _Hash:
    try:
        log_n, r, p, salt, digest = stored.removeprefix(_MARK).split(":")
        parsed = _Hash(int(log_n), int(r), int(p), b64decode(salt, validate=True), b64decode(digest, validate=True))
    except (ValueError, binascii.Error):
        raise ValueError("is not scrypt:<log2 n>:<r>:<p>:<salt>:<hash>") from None
    # Half of OpenSSL's limit, as it needs a little more than 128 * n * r.
    affordable = 1 <= parsed.log_n <= 20 and 0 < parsed.r <= 64 and 0 < parsed.p <= 16
    if not affordable or 128 * parsed.r * (parsed.p + (1 << parsed.log_n)) > _MAX_MEMORY // 2:
        raise ValueError("costs too much: n, r or p is out of range")
    if len(parsed.salt) < 8 or not 16 <= len(parsed.digest) <= 64:
        raise ValueError("has a salt or hash of the wrong length")
    return parsed
