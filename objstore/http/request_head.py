"""The head of a request: bytes in, a WSGI environ and the body's framing out, or a refusal.

llhttp reads the header fields; the request line and all rules that matter for request smuggling
are checked here: a request that two servers in a row could read in two ways is refused
(RFC 9112, sections 2.2, 3, 5, 6 and 11.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from objstore.core.errors import InvalidInput

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rf"({TOKEN}) ([!-~\x80-\xff]+) HTTP/([0-9])\.([0-9])\Z")
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(/[^?]*)?(\?.*)?\Z", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?\Z")
_DIGITS = re.compile(r"[0-9]{1,18}\Z")

# Fields that decide over framing or routing: sent twice, or under a name with underscores that
# CGI's naming makes the same, they could be read in two ways.
_SINGLE = {
    "CONTENT_LENGTH": "Content-Length",
    "HTTP_TRANSFER_ENCODING": "Transfer-Encoding",
    "HTTP_HOST": "Host",
    "CONTENT_TYPE": "Content-Type",
}


class RequestRefused(InvalidInput):
    """The request is refused; the message gives the reason.

    status: of the answer, after which the connection is closed.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class HeadLimits(NamedTuple):
    """Limits of a head. line: of the request line, field: of one header line, head: of all header lines, in bytes.

    fields: number of header lines.
    """

    line: int = 8192
    field: int = 8192
    head: int = 65536
    fields: int = 200


# Codings of RFC 9112, section 7, that are not supported (501); anything else is malformed (400).
_KNOWN_CODINGS = re.compile(r"(?:(?:x-)?gzip|deflate|(?:x-)?compress)\s*,\s*chunked\Z", re.ASCII | re.IGNORECASE)


class RequestHead(NamedTuple):
    """A head that was read. length: of the body in bytes, -1 if it is chunked."""

    method: str
    environ: dict[str, object]
    http10: bool
    length: int
    keep_alive: bool
    expects_continue: bool


class HeaderLines:
    """The fields as they were sent, pairs of (name, value); environ does not keep the spelling of names."""

    __slots__ = ("_head",)

    def __init__(self, head: bytes) -> None:
        self._head = head

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for line in self._head.decode("latin-1").split("\r\n")[1:]:
            if line:
                name, _, value = line.partition(":")
                yield name, value.strip(" \t")


class _RequestFields:
    """Takes the header fields from llhttp and puts them into environ."""

    __slots__ = ("environ",)

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ

    def on_header(self, name: bytes, value: bytes) -> None:
        key = _environ_key(name)
        environ = self.environ
        text = value.decode("latin-1").rstrip(" \t")
        if key in environ:
            if key in _SINGLE:
                raise RequestRefused(400, f"Repeated {_SINGLE[key]}")
            # RFC 6265, section 5.4 and RFC 9110, section 5.3
            text = environ[key] + ("; " if key == "HTTP_COOKIE" else ",") + text
        environ[key] = text


@lru_cache(maxsize=1024)
def _environ_key(name: bytes) -> str:
    key = name.decode("latin-1").upper().replace("-", "_")
    if key not in ("CONTENT_LENGTH", "CONTENT_TYPE"):
        key = "HTTP_" + key
    if key in _SINGLE and b"_" in name:
        raise RequestRefused(400, "Underscore in the name of a header that must have none")
    return key


@lru_cache(maxsize=1024)
def _is_host(value: str) -> bool:
    return _HOST.match(value) is not None


def end_of_head(data: bytes, limits: HeadLimits, start: int = 0) -> int:
    """Return the index after the head's empty line; -1 while it has not come.

    start: index at which the search continues. Raises RequestRefused as soon as no valid head can follow.
    """
    end = data.find(b"\r\n\r\n", start)
    if end >= 0:
        return end + 4
    line_end = data.find(b"\r\n")
    if (len(data) if line_end < 0 else line_end) > limits.line:
        raise RequestRefused(414, f"The request line is longer than {limits.line} bytes")
    if len(data) > limits.line + limits.head:
        raise RequestRefused(431, f"The headers are longer than {limits.head} bytes")
    if data.count(b"\n") != data.count(b"\r\n"):
        raise RequestRefused(400, "A line ends without CR LF")
    return -1


def parse_head(head: bytes, limits: HeadLimits, environ: dict[str, Any]) -> RequestHead:
    """Read a head that ends with its empty line, and add to `environ`, which holds the part that all requests share.

    Raises RequestRefused.
    """
    line_end = head.find(b"\r\n")
    if line_end > limits.line:
        raise RequestRefused(414, f"The request line is longer than {limits.line} bytes")
    line = head[:line_end].decode("latin-1")
    match = _REQUEST_LINE.match(line)
    if match is None:
        raise RequestRefused(400, "Malformed request line")
    method, target, major, minor = match.groups()
    if major != "1":
        raise RequestRefused(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here")
    _check_shape(head, line_end, limits)
    _read_fields(memoryview(head)[line_end + 2 :], environ)
    http10 = minor == "0"
    environ["REQUEST_METHOD"] = method
    environ["SERVER_PROTOCOL"] = "HTTP/1.0" if http10 else "HTTP/1.1"
    environ["objstore.headers"] = HeaderLines(head)
    _read_target(method, target, environ)
    _check_host(environ, http10)
    return RequestHead(
        method,
        environ,
        http10,
        _body_length(environ, http10),
        _keep_alive(environ.get("HTTP_CONNECTION"), http10),
        "HTTP_EXPECT" in environ and _expects_continue(environ, http10),
    )


def _check_shape(head: bytes, line_end: int, limits: HeadLimits) -> None:
    lines = head.count(b"\r\n")
    if lines != head.count(b"\n") or lines != head.count(b"\r"):
        raise RequestRefused(400, "A CR or LF stands alone")
    if len(head) - line_end > limits.head:
        raise RequestRefused(431, f"The headers are longer than {limits.head} bytes")
    if lines - 2 > limits.fields:
        raise RequestRefused(431, f"There are more than {limits.fields} headers")
    if len(head) - line_end > limits.field and max(map(len, head[line_end:].split(b"\r\n"))) > limits.field:
        raise RequestRefused(431, f"A header is longer than {limits.field} bytes")


def _read_fields(lines: memoryview, environ: dict[str, object]) -> None:
    parser = HttpRequestParser(_RequestFields(environ))
    try:
        parser.feed_data(b"GET / HTTP/1.1\r\n")
        parser.feed_data(lines)
    except HttpParserUpgrade:
        pass  # an offer that a server may ignore: RFC 9110, section 7.8
    except HttpParserError as error:
        cause = error.__context__
        if isinstance(cause, RequestRefused):
            raise cause from None
        raise RequestRefused(400, str(error) or "Malformed headers") from None


def _read_target(method: str, target: str, environ: dict[str, object]) -> None:
    if target[0] != "/":
        if target == "*" and method == "OPTIONS":
            pass
        elif method == "CONNECT":
            raise RequestRefused(501, "CONNECT is not supported")
        else:
            match = _ABSOLUTE.match(target)
            if match is None:
                raise RequestRefused(400, "The request target is neither a path nor a URL")
            # RFC 9112, section 3.2.2: the target's host takes precedence over the header.
            if "HTTP_HOST" in environ:
                environ["HTTP_HOST"] = match[1]
            target = (match[2] or "/") + (match[3] or "")
    path, _, environ["QUERY_STRING"] = target.partition("?")
    environ["objstore.raw_target"] = target
    environ["PATH_INFO"] = unquote_to_bytes(path.encode("latin-1")).decode("latin-1") if "%" in path else path


def _check_host(environ: dict[str, object], http10: bool) -> None:
    host = environ.get("HTTP_HOST")
    if host is None:
        if not http10:
            raise RequestRefused(400, "Missing Host")
    elif not _is_host(host):
        raise RequestRefused(400, "Malformed Host")


def _body_length(environ: dict[str, Any], http10: bool) -> int:
    length = environ.get("CONTENT_LENGTH")
    coding = environ.get("HTTP_TRANSFER_ENCODING")
    if coding is not None:
        if length is not None:
            raise RequestRefused(400, "Content-Length together with Transfer-Encoding")
        if http10:
            raise RequestRefused(400, "Transfer-Encoding in HTTP/1.0")
        if coding.lower() != "chunked":
            known = _KNOWN_CODINGS.match(coding)
            raise RequestRefused(501 if known else 400, "Transfer-Encoding is not chunked")
        return -1
    if length is None:
        return 0
    if _DIGITS.match(length) is None:
        raise RequestRefused(400, "Content-Length is not a number")
    return int(length)


def _keep_alive(connection: str | None, http10: bool) -> bool:
    if connection is None:
        return not http10
    options = [option.strip() for option in connection.lower().split(",")]
    return "close" not in options and (not http10 or "keep-alive" in options)


def _expects_continue(environ: dict[str, Any], http10: bool) -> bool:
    """Return whether the client waits for a 100. Other expectations are ignored (RFC 9110, section 10.1.1)."""
    members = environ["HTTP_EXPECT"].lower().split(",")
    return not http10 and any(member.strip() == "100-continue" for member in members)
