"""The client side of HTTP/1.1: requests to storage nodes over pooled keep-alive connections.

If the node has closed an idle connection, the request is sent again on a new one, unless it could
then take effect twice: either the kernel took no byte of it, or it is idempotent, no byte of an
answer has come, and none of its body came from a stream that cannot be read again (RFC 9112,
section 9.3.1). GET, HEAD, OPTIONS, PUT and DELETE are idempotent: storage nodes order changes by
the timestamps in these requests. The caller can override this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from objstore.core.errors import NodeFailure
from objstore.http.client_response import HttpResponse
from objstore.http.exchange import HttpRequest, Stale, Timeouts, make_head, read_head, send
from objstore.http.pool import Address, IdleConnections, connect
from objstore.http.stream import Buffer, Stream
from objstore.http.upload import StreamedRequest
from objstore.runtime.settings import duration, positive, setting


@dataclass(frozen=True)
class ClientSettings:
    """Timeouts of requests to storage nodes, and limits of idle connections."""

    conn_timeout: float = setting(duration, "0.5s", "timeout to connect to a node")
    node_timeout: float = setting(duration, "10s", "timeout for a node to begin its answer")
    body_timeout: float = setting(duration, "10s", "timeout of each read and write of a body")
    max_idle_connections: int = setting(positive, "64", "maximum number of idle connections per node")
    idle_timeout: float = setting(duration, "30s", "idle timeout of a connection; must be shorter than the server's")


IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})

_WITH_LENGTH = frozenset({"PUT", "POST"})  # RFC 9110, section 8.6: Content-Length is sent even without a body


class Pool:
    """The connections of one event loop to storage nodes; sends requests."""

    def __init__(self, options: ClientSettings) -> None:
        self._idle = IdleConnections(options.max_idle_connections, options.idle_timeout)
        self._timeouts = Timeouts(options.conn_timeout, options.node_timeout, options.body_timeout)

    def request(
        self,
        address: Address,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Buffer = b"",
        *,
        timeouts: Timeouts | None = None,
        idempotent: bool | None = None,
    ) -> HttpResponse:
        """Send a request whose body is in memory; return the answer as soon as its head has come.

        address: an IP address and a port. target: percent-encoded path and query. headers: latin-1,
        without Host and the framing ones. Raises InvalidInput if the request cannot be sent,
        NodeUnreachable, NodeTimeout or NodeFailure.
        """
        length = len(body) if body or method in _WITH_LENGTH else None
        framing = None if length is None else f"Content-Length: {length}"
        request = self._request(
            address, method, make_head(address, method, target, headers, framing), timeouts, idempotent
        )
        pieces: list[Buffer] = [request.head, body] if length else [request.head]
        stream = self._idle.take(address)
        if stream is not None:
            try:
                return self._exchange(stream, request, pieces)
            except Stale as stale:
                if stale.taken and not request.idempotent:
                    raise NodeFailure(f"the node closed an idle connection: {stale}") from None
        try:
            return self._exchange(connect(address, request.timeouts.connect), request, pieces)
        except Stale as stale:
            raise NodeFailure(f"the node closed the connection without an answer: {stale}") from None

    def _exchange(self, stream: Stream, request: HttpRequest, pieces: list[Buffer]) -> HttpResponse:
        early = False
        try:
            send(stream, pieces, request.timeouts.body)
        except Stale as stale:
            if not stale.taken:
                stream.close()
                raise
            early = True  # the node may have answered before it closed the connection
        except BaseException:
            stream.close()
            raise
        head = read_head(stream, request.method, request.timeouts.answer)
        return HttpResponse(head, stream, None if early else self._idle, request.timeouts.body)

    def open(
        self,
        address: Address,
        method: str,
        target: str,
        headers: Mapping[str, str],
        *,
        length: int | None = None,
        expect_continue: bool = False,
        timeouts: Timeouts | None = None,
        idempotent: bool | None = None,
    ) -> StreamedRequest:
        """Begin a request whose body is sent in pieces.

        length: of the body in bytes; None sends it chunked. Raises as `request` does.
        """
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        if expect_continue:
            framing += "\r\nExpect: 100-continue"
        request = self._request(
            address, method, make_head(address, method, target, headers, framing), timeouts, idempotent
        )
        upload = StreamedRequest(request, self._idle, length)
        if expect_continue:
            upload.send_head()
        return upload

    def _request(
        self, address: Address, method: str, head: bytes, timeouts: Timeouts | None, idempotent: bool | None
    ) -> HttpRequest:
        sure = method in IDEMPOTENT if idempotent is None else idempotent
        return HttpRequest(address, method, head, timeouts or self._timeouts, sure)

    @property
    def idle(self) -> int:
        """The number of idle connections."""
        return len(self._idle)

    def close(self) -> None:
        """Close the idle connections; those in use are closed when their responses end."""
        self._idle.close()


__all__ = ["IDEMPOTENT", "Address", "ClientSettings", "HttpResponse", "Pool", "StreamedRequest", "Timeouts"]
