"""One connection from its first request to its last: the keep-alive loop."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from time import monotonic
from typing import NamedTuple

from objstore.core.errors import BodyTimeout, BodyTruncated, ClientGone
from objstore.http.body import EMPTY_BODY, RequestBody
from objstore.http.pace import Pace
from objstore.http.request_head import HeadLimits, RequestHead, RequestRefused, end_of_head, parse_head
from objstore.http.response import REASONS, Answering, Responder, plain
from objstore.http.source import ChunkedSource, LengthSource
from objstore.http.stream import Buffer, Stream
from objstore.runtime import green

WSGIApp = Callable[[dict[str, object], Callable[..., object]], Iterable[Buffer]]

_RECV = 65536  # enough for the whole PUT of a small object


class Drained(Exception):
    """Thrown into a connection that waits for its next request: there will be none."""


class Service(NamedTuple):
    """The application, limits and timeouts that all connections of a server share. In seconds and bytes."""

    app: WSGIApp
    logger: logging.Logger
    limits: HeadLimits
    answering: Answering
    keepalive_timeout: float
    header_timeout: float
    client_timeout: float
    linger_timeout: float
    min_rate: float  # bytes a second
    request_timeout: float
    drain_idle_timeout: float  # for a last request when the server ends


class Connection:
    """A member of the server's crowd.

    environ: the initial environ of each request.
    idle_since: start of the wait for the next request, on the monotonic clock; None within a request.
    known: the application vouches for the client of this request, or of the last one if it is idle.
    """

    __slots__ = ("_pace", "_service", "environ", "idle_since", "known", "stream")

    def __init__(self, stream: Stream, service: Service, environ: dict[str, object]) -> None:
        self.stream = stream
        self.idle_since: float | None = monotonic()
        self.known = False
        self._service = service
        self._pace = stream.pace = Pace(service.min_rate, service.client_timeout, service.request_timeout)
        self.environ = {**environ, "objstore.vouch": self._vouch}

    def _vouch(self) -> None:
        """For the application: the client of this request is known; its connection must not be ended for newcomers."""
        self.known = True

    @property
    def since(self) -> float:
        return self._pace.began if self.idle_since is None else self.idle_since

    @property
    def moved(self) -> int:
        return self.stream.moved if self.idle_since is None else 0

    @property
    def is_idle(self) -> bool:
        return self.idle_since is not None

    @property
    def is_waited_for(self) -> bool:
        """True if the connection waits for its client."""
        return self.stream.watch.is_waiting

    def make_room(self) -> None:
        """For the event loop only: end the connection for a newcomer, if it still waits for its client."""
        if self.idle_since is None:
            self.stream.shut()  # no answer is sent, and no time spent lingering, whatever the application does
            self.stream.watch.throw(ClientGone("it had to make room for others"))
        else:
            self.end_if_idle()

    def run(self) -> None:
        """Serve requests until either side ends the connection, then close."""
        stream = self.stream
        try:
            try:
                self._serve_all()
            except RequestRefused as refused:
                self._refuse(refused)
        except ClientGone as error:
            self._service.logger.debug("%s:%s: %s", *stream.peer, error)
            stream.abort()
        except (OSError, Drained):
            stream.close()
        except BaseException:
            stream.abort()
            raise
        finally:
            self.environ = {}  # it refers to this connection

    def _serve_all(self) -> None:
        """Serve one request after the other, then close the connection."""
        stream = self.stream
        while True:
            head_bytes = self._next_head()
            if not head_bytes:
                stream.close()
                return
            if not self._serve(parse_head(head_bytes, self._service.limits, self.environ.copy())):
                return
            if stream.has_unread or stream.tls:
                # The next request may have come already: other connections get their turn first.
                green.sleep()

    def end_if_idle(self, grace: float = 0.0) -> None:
        """For the event loop only: close a connection between two requests, unless the next has come.

        grace: seconds that a client busy until now still has for a request; one that is
        under way would otherwise meet a closed connection.
        """
        if self.idle_since is None or not self.stream.is_quiet():
            return
        now = monotonic()
        if now - self.idle_since < grace:
            self.stream.watch.deadline = now + grace
        else:
            self.stream.watch.throw(Drained())

    # The head

    def _next_head(self) -> bytes:
        """Return the next head's bytes; b'' if the connection has ended or has been idle for too long."""
        stream = self.stream
        service = self._service
        try:
            draining = service.answering.is_draining()
            data = stream.recv_next(_RECV, service.drain_idle_timeout if draining else service.keepalive_timeout)
        except TimeoutError:
            return b""
        self.known = False
        stream.moved = len(data)
        self._pace.begin()
        self.idle_since = None
        if data[:1] < b"!":
            data = data.lstrip(b"\r\n")  # RFC 9112, section 2.2; old clients end a body with CR LF
        end = end_of_head(data, service.limits)
        if end < 0:
            if not (data := self._rest_of_head(data)):
                return b""
            end = end_of_head(data, service.limits)
        if end < len(data):
            stream.unread(data[end:])
            return data[:end]
        return data

    def _rest_of_head(self, data: bytes) -> bytes:
        limits = self._service.limits
        deadline = monotonic() + self._service.header_timeout
        while True:
            left = deadline - monotonic()
            try:
                if left <= 0:
                    raise TimeoutError
                more = self.stream.recv(_RECV, left)
            except TimeoutError:
                if not data:
                    return b""
                raise RequestRefused(408, "The request's head did not come in time") from None
            if not more:
                return b""
            start = max(0, len(data) - 3)
            data = data + more if data else more.lstrip(b"\r\n")
            if end_of_head(data, limits, start) >= 0:
                return data

    # The request

    def _serve(self, head: RequestHead) -> bool:
        """Answer one request; return whether the connection can have another. If not, it is closed."""
        service = self._service
        environ = head.environ
        body = self._body(head)
        environ["wsgi.input"] = body
        responder = Responder(self.stream, head, body, service.answering)
        try:
            result = service.app(environ, responder.start_response)
            try:
                responder.send(result)
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
        except ClientGone:
            raise
        except Exception as error:
            self._failed(responder, body, error)
            return False
        if not body.ended and not self._drop_body(body, responder):
            return False
        if not responder.keep_alive:
            self._close(body)
            return False
        self.idle_since = monotonic()
        return True

    def _body(self, head: RequestHead) -> RequestBody:
        length = head.length
        if not length:
            return EMPTY_BODY
        stream = self.stream
        timeout = self._service.client_timeout
        source: ChunkedSource | LengthSource
        if length < 0:
            trailers: dict[str, str] = {}
            head.environ["objstore.trailers"] = trailers
            head.environ["wsgi.input_terminated"] = True
            source = ChunkedSource(stream, timeout, trailers)
        else:
            source = LengthSource(stream, length, timeout)
        body = RequestBody(source, stream, head.expects_continue and not stream.has_unread, timeout)
        head.environ["objstore.check_body"] = body.check
        return body

    def _drop_body(self, body: RequestBody, responder: Responder) -> bool:
        """Drop the unread body so that the next request can be read; return False if the connection is closed."""
        if responder.keep_alive:
            try:
                if body.drain(self._service.answering.drain_size):
                    return True
            except (BodyTruncated, BodyTimeout):
                pass
        self._close(body)
        return False

    def _close(self, body: RequestBody) -> None:
        """Close after an answer, so that the client can read it even if it is still sending."""
        self.known = False
        if body.ended:
            self.stream.close()
        else:
            self.stream.close_gently(1 << 26, self._service.linger_timeout)

    # Failures

    def _failed(self, responder: Responder, body: RequestBody, error: Exception) -> None:
        """Answer a request whose application raised; abort the connection if an answer has begun."""
        service = self._service
        environ_of_error = "%s:%s: %s: %s"
        if isinstance(error, (BodyTruncated, BodyTimeout)):
            status = 408 if isinstance(error, BodyTimeout) else 400
            service.logger.info(environ_of_error, *self.stream.peer, type(error).__name__, error)
        else:
            status = 500
            service.logger.error("the application failed", exc_info=error)
        if responder.head_sent:
            self.stream.abort()
            return
        text = REASONS[status] if status == 500 else str(error)
        self._send_plain(status, text)
        self._close(body)

    def _refuse(self, refused: RequestRefused) -> None:
        service = self._service
        service.logger.info("%s:%s: refused with %d: %s", *self.stream.peer, refused.status, refused)
        self._send_plain(refused.status, str(refused))
        self.stream.close_gently(1 << 20, service.linger_timeout)

    def _send_plain(self, status: int, text: str) -> None:
        try:
            answer = plain(status, text, self._service.answering.dates.now())
            self.stream.send_all([answer], self._service.client_timeout)
        except OSError:
            pass  # the client is gone; the connection is closed next


def base_environ(scheme: str, local: tuple[str, int], peer: tuple[str, int]) -> dict[str, object]:
    """Return the part of environ that all requests of a connection share."""
    return {
        "SCRIPT_NAME": "",
        "SERVER_NAME": local[0],
        "SERVER_PORT": str(local[1]),
        "REMOTE_ADDR": peer[0],
        "REMOTE_PORT": str(peer[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
