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
_SHORT = 256  # characters; longer texts are not kept in memory

Pairs = Sequence[tuple[str, str]]


def encode(raw: str) -> str:
    """A name or value of a query, encoded anew: each byte but the unreserved as %XX."""
    if _PLAIN.match(raw):
        return raw
    return _encoded(raw) if len(raw) <= _SHORT else _encoded.__wrapped__(raw)


@lru_cache(maxsize=4096)  # the credential of a URL is the same for a day
def _encoded(raw: str) -> str:
    return quote(unquote_to_bytes(raw.replace("+", " ").encode("latin-1")), safe="-_.~")


def path(raw: str) -> str:
    """A path encoded once, as S3 has it (other services encode twice)."""
    if _PLAIN_PATH.match(raw):
        return raw
    return quote(unquote_to_bytes(raw.encode("latin-1")), safe="/-_.~")


def query(pairs: Pairs) -> str:
    """All parameters sorted by their encoded names, then values."""
    if not pairs:
        return ""
    return "&".join(
        [f"{name}={value}" for name, value in sorted([(encode(name), encode(value)) for name, value in pairs])]
    )


def query_as_sent(pairs: Pairs) -> str:
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def header_value(value: str) -> str:
    """Without spaces at the ends, runs of spaces within folded to one."""
    value = value.strip()
    return _SPACES.sub(" ", value) if "  " in value else value


def headers(incoming: Incoming, signed: Iterable[str]) -> str:
    """The lines of the signed headers; one that was not sent is empty."""
    sent = incoming.headers
    lines = []
    for name in signed:
        value = sent.get(CANONICAL[name])
        lines.append(f"{name}:{header_value(value)}\n" if value is not None else f"{name}:\n")
    return "".join(lines)


def request(incoming: Incoming, pairs: Pairs, signed: Sequence[str], payload: str) -> str:
    """The canonical request. pairs: of the query, without the signature. payload: what stands for the body's hash."""
    return (
        f"{incoming.method}\n{path(incoming.path)}\n{query(pairs)}\n"
        f"{headers(incoming, signed)}\n{';'.join(signed)}\n{payload}"
    )


def request_as_sent(incoming: Incoming, pairs: Pairs, signed: Sequence[str], payload: str) -> str:
    """The same for signers that leave path and query as they encoded them."""
    return (
        f"{incoming.method}\n{incoming.path}\n{query_as_sent(pairs)}\n"
        f"{headers(incoming, signed)}\n{';'.join(signed)}\n{payload}"
    )
