"""One answer: from the result of a WSGI application to bytes on a stream (PEP 3333; RFC 9112, section 6)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import lru_cache
from typing import Any, NamedTuple

from objstore.core.errors import ClientGone, ObjstoreError
from objstore.http.body import RequestBody
from objstore.http.chunked import LAST_CHUNK, chunk_head
from objstore.http.request_head import RequestHead
from objstore.http.stream import Buffer, Stream

Headers = list[tuple[str, str]]

REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


class BadResponse(ObjstoreError):
    """The application broke a rule of WSGI or of HTTP; the message names the rule."""


class Dates:
    """The Date header's value, made once a second."""

    __slots__ = ("_clock", "_second", "_text")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._second = 0
        self._text = ""

    def now(self) -> str:
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._text = formatdate(second, usegmt=True)
        return self._text


class Answering(NamedTuple):
    """The settings that all answers of a server share. timeout: seconds that a client may take nothing.

    drain_size: maximum bytes of an unread body that are read to keep the connection. keep_alive: idle timeout of a
    connection in seconds.
    """

    dates: Dates
    timeout: float
    is_draining: Callable[[], bool]
    drain_size: int
    keep_alive: float


# Headers that the server reads as well, or sends itself.
_READ = {"content-length": 1, "date": 2, "connection": 3, "transfer-encoding": 4, "keep-alive": 3}


@lru_cache(maxsize=1024)
def _kind(name: str) -> int:
    return _READ.get(name.lower(), 0)


class Responder:
    """The answer to one request. keep_alive: at the end, True if the connection can serve another.

    A piece of the body is sent whole before the next is read, so an application may yield
    views of one buffer. Raises ClientGone if sending fails.
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_head",
        "_headers",
        "_left",
        "_shared",
        "_stream",
        "_without_body",
        "head_sent",
        "keep_alive",
        "status",
    )

    def __init__(self, stream: Stream, head: RequestHead, body: RequestBody, shared: Answering) -> None:
        self._stream = stream
        self._head = head
        self._body = body
        self._shared = shared
        self.status = ""
        self._headers: Headers = []
        self.head_sent = False
        self.keep_alive = head.keep_alive
        self._chunked = False
        self._left = -1  # bytes that Content-Length still requires; -1 without one
        self._without_body = False

    def start_response(self, status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], None]:
        if exc_info is not None:
            try:
                if self.head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.status:
            raise BadResponse("start_response called twice without exc_info")
        self.status = status
        self._headers = headers
        return self._write

    def send(self, result: Iterable[Buffer]) -> None:
        """Send all that the application yields, and check that its length is as announced."""
        only = len(result) if isinstance(result, (list, tuple)) else 0
        for piece in result:
            if len(piece):
                if self.head_sent:
                    self._send_piece(piece)
                else:
                    self._start(piece, len(piece) if only == 1 else -1)
            elif not self.status:
                raise BadResponse("a body without start_response")
        self._finish()

    def _write(self, data: bytes) -> None:
        if data:
            if self.head_sent:
                self._send_piece(data)
            else:
                self._start(data, -1)

    def _finish(self) -> None:
        if not self.head_sent:
            self._start(b"", 0)
        elif self._chunked:
            self._send([LAST_CHUNK])
        if self._left > 0 and not self._without_body:
            raise BadResponse(f"the body is {self._left} bytes shorter than its Content-Length")

    def _start(self, piece: Buffer, length: int) -> None:
        """Send the head and the first piece; length: of the whole body, -1 if it is not known."""
        if not self.status:
            raise BadResponse("a body without start_response")
        head = self._make_head(length)
        if self._without_body or not len(piece):
            pieces: list[Buffer] = [head]
        elif self._chunked:
            pieces = [head, chunk_head(len(piece)), piece, b"\r\n"]
        else:
            self._count(piece)
            pieces = [head, piece]
        self.head_sent = True
        self._send(pieces)

    def _make_head(self, length: int) -> bytes:
        request = self._head
        code = self.status[:3]
        self._without_body = request.method == "HEAD" or code in ("204", "304")
        lines = ["HTTP/1.1 " + self.status]
        dated = False
        for name, value in self._headers:
            kind = _kind(name)
            if kind:
                if kind == 1:
                    self._left = _length(value)
                    if code == "204" and self._left:
                        continue  # RFC 9110, section 8.6; but clients of Swift require a 0
                elif kind == 2:
                    dated = True
                elif kind == 3:
                    if value.lower() == "close":
                        self.keep_alive = False
                    continue
                else:
                    raise BadResponse(f"{name} is not the application's to send")
            lines.append(name + ": " + value)
        if not dated:
            lines.append("Date: " + self._shared.dates.now())
        if self._left < 0 and code not in ("204", "304"):
            self._frame(lines, length)
        shared = self._shared
        if self.keep_alive and (shared.is_draining() or not self._body.is_passable(shared.drain_size)):
            self.keep_alive = False
        if not self.keep_alive:
            lines.append("Connection: close")
        elif "HTTP_CONNECTION" in request.environ:  # on request: HTTP/1.0 needs it, Swift's clients check it
            lines.append("Connection: keep-alive")
            lines.append(f"Keep-Alive: timeout={int(shared.keep_alive)}")
        lines.append("\r\n")
        return _checked(code, lines)

    def _frame(self, lines: list[str], length: int) -> None:
        """Choose the framing of a body that came without Content-Length."""
        if length >= 0 and not (self._without_body and not length):
            self._left = length
            lines.append(f"Content-Length: {length}")
        elif not self._without_body:
            if self._head.http10:
                self.keep_alive = False
            else:
                self._chunked = True
                lines.append("Transfer-Encoding: chunked")

    def _send_piece(self, piece: Buffer) -> None:
        if self._without_body:
            return
        if self._chunked:
            self._send([chunk_head(len(piece)), piece, b"\r\n"])
        else:
            self._count(piece)
            self._send([piece])

    def _count(self, piece: Buffer) -> None:
        if self._left >= 0:
            self._left -= len(piece)
            if self._left < 0:
                raise BadResponse("the body is longer than its Content-Length")

    def _send(self, pieces: list[Buffer]) -> None:
        try:
            self._stream.send_all(pieces, self._shared.timeout)
        except OSError as error:
            raise ClientGone(f"the client took no more: {error}") from error


def _length(value: str) -> int:
    if not value.isdecimal() or not value.isascii():
        raise BadResponse(f"Content-Length {value!r} is not a number")
    return int(value)


def _checked(code: str, lines: list[str]) -> bytes:
    """Return the head's bytes. Raises BadResponse if a header value would begin a line of its own."""
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines) or "\0" in text:
        raise BadResponse("CR, LF or NUL in a status or header")
    if not code.isdecimal() or code < "200":
        raise BadResponse(f"{code!r} is not a status that an answer can have")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise BadResponse("a header with characters beyond latin-1") from None


def plain(status: int, text: str, date: str, close: bool = True) -> bytes:
    """Return a complete answer with a short text."""
    body = text.encode("utf-8", "replace") + b"\n"
    connection = "Connection: close\r\n" if close else ""
    return (
        f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nDate: {date}\r\n{connection}\r\n"
    ).encode("ascii") + body
