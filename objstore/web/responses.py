"""Making WSGI responses, and calling a WSGI app as a function."""

from __future__ import annotations

import functools
import html
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from objstore.web.requests import Environ, StartResponse, WsgiApp, to_native

# Reasons as clients of Swift see them; the standard's for the rest.
_REASONS = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Request Entity Too Large",
    414: "Request URI Too Long",
    416: "Requested Range Not Satisfiable",
    422: "Unprocessable Entity",
    497: "Blacklisted",
    498: "Rate Limited",
    499: "Client Disconnect",
    507: "Insufficient Storage",
    529: "Too Many Backend Requests",
}
_LINES = {status: f"{status} {reason}" for status, reason in _REASONS.items()}

_EXPLANATIONS = {
    301: "The resource has moved permanently.",
    400: "The server could not comply with the request since it is either malformed or otherwise incorrect.",
    401: "This server could not verify that you are authorized to access the document you requested.",
    403: "Access was denied to this resource.",
    404: "The resource could not be found.",
    405: "The method is not allowed for this resource.",
    408: "The server has waited too long for the request to be sent by the client.",
    409: "There was a conflict when trying to complete your request.",
    411: "Content-Length header required.",
    412: "A precondition for this request was not met.",
    413: "The body of your request was too large for this server.",
    416: "The Range requested is not available.",
    422: "Unable to process the contained instructions.",
    499: "The client was disconnected during request.",
    500: "The server has either erred or is incapable of performing the requested operation.",
    503: "The server is currently unavailable. Please try again at a later time.",
    507: "There was not enough space to save the resource.",
}


def status_line(status: int) -> str:
    return _LINES.get(status) or f"{status} Status"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@functools.lru_cache(maxsize=4096)
def http_date(seconds: int) -> str:
    """An HTTP date (RFC 9110 5.6.7) of seconds since the epoch."""
    year, month, day, hour, minute, second, weekday, _, _ = time.gmtime(seconds)
    return f"{_DAYS[weekday]}, {day:02d} {_MONTHS[month - 1]} {year:04d} {hour:02d}:{minute:02d}:{second:02d} GMT"


class Response:
    """A response to send: status, headers (canonical name to text), body as bytes or as an iterable.

    Callable as a WSGI app. An iterable body's length must stand in the headers, where known.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(
        self, status: int, headers: Mapping[str, str] | None = None, body: bytes | Iterable[bytes] = b""
    ) -> None:
        self.status = status
        self.headers: dict[str, str] = dict(headers) if headers else {}
        self.body = body

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = self.body
        if isinstance(body, bytes):
            if self.status != 304:
                # With 204 too, as Swift has it: clients of its API ask for the header.
                self.headers.setdefault("Content-Length", str(len(body)))
            body = (body,) if body else ()
        headers = self.headers
        if "".join(headers.values()).isascii() and "".join(headers).isascii():
            native = list(headers.items())
        else:
            native = [(to_native(name), to_native(value)) for name, value in headers.items()]
        start_response(status_line(self.status), native)
        if environ["REQUEST_METHOD"] == "HEAD":
            close_body(body)
            return ()
        return body


def error(status: int, message: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """An error response with a short page that says what was wrong."""
    reason = _REASONS.get(status, "Error")
    if message:
        page = html.escape(message, quote=False).encode("utf-8", "surrogateescape")
    else:
        page = f"<html><h1>{reason}</h1><p>{_EXPLANATIONS.get(status, '')}</p></html>".encode()
    return Response(status, {"Content-Type": "text/html; charset=UTF-8", **(headers or {})}, page)


def unauthorized(realm: str) -> Response:
    """401 with the challenge that Swift sends."""
    named = quote(realm.encode("utf-8", "surrogateescape")) or "unknown"
    return error(401, headers={"Www-Authenticate": f'Swift realm="{named}"'})


def close_body(body: object) -> None:
    """End a response body that will not be read to its end."""
    close = getattr(body, "close", None)
    if close is not None:
        close()


class Answer:
    """The answer of a WSGI app to a call: status, headers (canonical name to native value), body.

    The body must be read to its end or closed.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: Iterable[Any] = ()) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def pieces(self) -> Iterator[Any]:
        try:
            yield from self.body
        finally:
            close_body(self.body)

    def read(self) -> bytes:
        return b"".join(bytes(piece) for piece in self.pieces())

    def close(self) -> None:
        close_body(self.body)


def call(app: WsgiApp, environ: Environ) -> Answer:
    """Run an app up to its first piece of body, so that status and headers are known."""
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], None]:
        started[:] = [status, headers]
        return written.append

    written: list[bytes] = []
    body = app(environ, start_response)
    if not started:  # a generator: it calls start_response when first asked
        iterator = iter(body)
        first = next(iterator, b"")
        body = _Resumed(first, iterator, body)
    if written:
        body = [*written, *body]
    status, pairs = started
    return Answer(int(status[:3]), {name.title(): value for name, value in pairs}, body)


class _Resumed:
    """A body whose first piece was already taken."""

    def __init__(self, first: bytes, rest: Iterator[bytes], whole: object) -> None:
        self._first = first
        self._rest = rest
        self._whole = whole

    def __iter__(self) -> Iterator[bytes]:
        if self._first:
            yield self._first
        yield from self._rest

    def close(self) -> None:
        close_body(self._whole)
