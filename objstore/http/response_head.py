"""The head of a response, read as strictly as that of a request: a node that sends garbage has failed."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from objstore.core.errors import NodeFailure

MAX_HEAD = 512 * 1024  # bytes; the head of a container has all configuration documents of its bucket


class ResponseHead(NamedTuple):
    """A head that was read.

    length: of the body in bytes, -1 if it is chunked, -2 if it lasts until the connection ends.
    headers: names in Title-Case; the values of a repeated one are joined by ', '.
    """

    status: int
    reason: str
    headers: dict[str, str]
    length: int
    keep_alive: bool


class _ResponseFields:
    __slots__ = ("headers", "reason")

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.reason = ""

    def on_status(self, reason: bytes) -> None:
        self.reason = reason.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        title = _title(name)
        text = value.decode("latin-1").rstrip(" \t")
        headers = self.headers
        if title in headers:
            text = f"{headers[title]}, {text}"
        headers[title] = text


@lru_cache(maxsize=1024)
def _title(name: bytes) -> str:
    return name.decode("latin-1").title()


def parse_response_head(head: bytes, method: str) -> ResponseHead:
    """Read a head that ends with its empty line; NodeFailure if it is malformed.

    method: of the request; a HEAD has an answer without a body.
    """
    lines = head.count(b"\r\n")
    if lines != head.count(b"\n") or lines != head.count(b"\r"):
        raise NodeFailure("a CR or LF stands alone in a response's head")
    if head[:7] != b"HTTP/1.":
        raise NodeFailure("not an HTTP/1 response")
    fields = _ResponseFields()
    parser = HttpResponseParser(fields)
    try:
        parser.feed_data(head)
    except HttpParserUpgrade:
        raise NodeFailure("an answer that changes the protocol") from None
    except HttpParserError as error:
        raise NodeFailure(f"a malformed response: {error}") from None
    status = parser.get_status_code()
    headers = fields.headers
    keep_alive = head[7:8] == b"1"
    if "Connection" in headers:
        keep_alive = keep_alive and "close" not in headers["Connection"].lower()
    return ResponseHead(status, fields.reason, headers, _body_length(status, method, headers), keep_alive)


def _body_length(status: int, method: str, headers: dict[str, str]) -> int:
    """Return the length as in ResponseHead, by the rules of RFC 9112, section 6.3."""
    if method == "HEAD" or status in (204, 304) or status < 200:
        return 0
    coding = headers.get("Transfer-Encoding")
    length = headers.get("Content-Length")
    if coding is not None:
        if length is not None or coding.lower() != "chunked":
            raise NodeFailure("a response whose end is not certain")
        return -1
    if length is None:
        return -2
    if not (length.isdecimal() and length.isascii()):
        raise NodeFailure("a response whose Content-Length is not a number")
    return int(length)
