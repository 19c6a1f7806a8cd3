"""A request as received: the parts that signatures and addressing need, and that WSGI loses.

Header names keep their underscores, the path its encoding, the query its order and pairs.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from objstore.core.metadata import not_sendable
from objstore.core.text import to_text
from objstore.s3.language.errors import S3Error
from objstore.web.requests import Environ
from objstore.web.requests import headers as environ_headers

_MAX_PARAMETERS = 1000
_MAX_CACHED = 4096
_MAX_CACHED_LENGTH = 256  # characters; longer texts are not cached
# The requests in which an unencoded `+` in a path is a space.
NEVER, V2, ALWAYS = "never", "v2", "always"


class Incoming(NamedTuple):
    """A received request.

    path: as sent, percent-encoded. pairs: of the query, as sent. query: decoded text, the last of a repeated name.
    headers: canonical name to text; repeated ones joined by a comma, in order.
    """

    method: str
    path: str
    pairs: list[tuple[str, str]]
    query: dict[str, str]
    headers: dict[str, str]


class _Canonical(dict[str, str]):
    """The canonical forms of header names, each word capitalised."""

    def __missing__(self, name: str) -> str:
        try:
            canonical = to_text(name).title()
        except UnicodeEncodeError:  # from a query or form, which are text already
            canonical = name.title()
        if len(self) < _MAX_CACHED and len(name) < 128:
            self[name] = canonical
        return canonical


CANONICAL = _Canonical()


def read(environ: Environ) -> Incoming:
    """Return the request of an environ. Raises S3Error InvalidURI for a query that is not UTF-8."""
    path, _, raw_query = environ["objstore.raw_target"].partition("?")
    pairs, query = split_query(raw_query) if raw_query else ([], {})
    return Incoming(environ["REQUEST_METHOD"], path, pairs, query, read_headers(environ))


def split_query(raw: str) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Return the pairs and the decoded text of a query. The value of a parameter without `=` is ''."""
    pieces = raw.split("&")
    if len(pieces) > _MAX_PARAMETERS:
        raise S3Error("InvalidURI")
    pairs = []
    query = {}
    for piece in pieces:
        if piece:
            name, _, value = piece.partition("=")
            pairs.append((name, value))
            if "%" in piece or "+" in piece or not piece.isascii():
                name, value = decoded(name), decoded(value)
            query[name] = value
    return pairs, query


def decoded(raw: str) -> str:
    """Return the text of a name or value of a query; raises S3Error InvalidURI if it is not UTF-8."""
    if "%" not in raw and "+" not in raw and raw.isascii():
        return raw
    return _unquoted(raw) if len(raw) <= _MAX_CACHED_LENGTH else _unquoted.__wrapped__(raw)


@lru_cache(maxsize=_MAX_CACHED)  # the credential of a URL is the same for a day
def _unquoted(raw: str) -> str:
    try:
        return unquote_to_bytes(raw.replace("+", " ").encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError:
        raise S3Error("InvalidURI") from None


def means_space(received: Incoming, setting: str) -> bool:
    """Return whether an unencoded `+` in the path is a space, by the setting `plus_in_path`."""
    if setting != V2:
        return setting == ALWAYS
    return received.headers.get("Authorization", "").startswith("AWS ") or "AWSAccessKeyId" in received.query


def as_header(name: str, value: str) -> tuple[str, str]:
    """Return the canonical name and the value of a header that came in a query or in a form's field.

    Raises S3Error InvalidArgument for one that could not come as a header: it would be signed or stored as another
    one.
    """
    if not_sendable({name: value}):
        raise S3Error("InvalidArgument", "", {"ArgumentName": name, "ArgumentValue": value})
    return CANONICAL[name], value


def read_headers(environ: Environ) -> dict[str, str]:
    """Return all headers as sent, including those that the gatekeeper holds back: clients sign them.

    `Host` is the one for routing, which may come from the target of a request. Filters may have replaced it
    (`cname_lookup`): clients sign the one that they sent.
    """
    lines: Iterable[tuple[str, str]] | None = environ.get("objstore.headers")
    if lines is None:
        return environ_headers(environ)
    headers: dict[str, str] = {}
    for raw, value in lines:
        name = CANONICAL[raw]
        if not value.isascii():
            value = to_text(value)
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    if "HTTP_HOST" in environ:
        headers["Host"] = environ.get("objstore.client_host") or environ["HTTP_HOST"]
    return headers
