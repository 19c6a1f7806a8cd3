"""The one text that signer and server make of a request (S3 API: Create a canonical request)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from objstore.s3.request.incoming import CANONICAL, Incoming

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*\Z")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_.~/-]*\Z")
_SPACES = re.compile("  +")
_MAX_CACHED_LENGTH = 256  # characters; longer texts are not cached

Pairs = Sequence[tuple[str, str]]


def encode(raw: str) -> str:
    """Return a name or value of a query, decoded and encoded again: each byte except the unreserved as %XX."""
    if _PLAIN.match(raw):
        return raw
    return _encoded(raw) if len(raw) <= _MAX_CACHED_LENGTH else _encoded.__wrapped__(raw)


@lru_cache(maxsize=4096)  # the credential of a URL is the same for a day
def _encoded(raw: str) -> str:
    return quote(unquote_to_bytes(raw.replace("+", " ").encode("latin-1")), safe="-_.~")


def path(raw: str) -> str:
    """Return a path encoded once, as in S3 (other services encode twice)."""
    if _PLAIN_PATH.match(raw):
        return raw
    return quote(unquote_to_bytes(raw.encode("latin-1")), safe="/-_.~")


def query(pairs: Pairs) -> str:
    """Return all parameters sorted by their encoded names, then values."""
    if not pairs:
        return ""
    return "&".join(
        [f"{name}={value}" for name, value in sorted([(encode(name), encode(value)) for name, value in pairs])]
    )


def headers(incoming: Incoming, signed: Iterable[str]) -> str:
    """Return the lines of the signed headers, without spaces at the ends of values, and with single spaces within.

    The value of one that was not sent is empty.
    """
    received = incoming.headers
    lines = ""
    for name in signed:
        value = received.get(CANONICAL[name], "").strip()
        if "  " in value:
            value = _SPACES.sub(" ", value)
        lines += f"{name}:{value}\n"
    return lines


def request(incoming: Incoming, pairs: Pairs, signed: Sequence[str], payload: str) -> str:
    """Return the canonical request.

    pairs: of the query, without the signature. payload: the body's hash, or its replacement.
    """
    return (
        f"{incoming.method}\n{path(incoming.path)}\n{query(pairs)}\n"
        f"{headers(incoming, signed)}\n{';'.join(signed)}\n{payload}"
    )


def request_as_sent(incoming: Incoming, pairs: Pairs, signed: Sequence[str], payload: str) -> str:
    """Return the same for signers that sign path and query in the encoding that they send."""
    return (
        f"{incoming.method}\n{incoming.path}\n{'&'.join(map('='.join, sorted(pairs)))}\n"
        f"{headers(incoming, signed)}\n{';'.join(signed)}\n{payload}"
    )
