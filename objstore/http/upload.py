"""A request whose body is sent in pieces."""

from __future__ import annotations

from collections.abc import Mapping

from objstore.core.errors import InvalidInput, NodeFailure
from objstore.http.chunked import chunk_head, end_of_chunks
from objstore.http.client_response import HttpResponse
from objstore.http.exchange import HttpRequest, Stale, read_head, send
from objstore.http.pool import IdleConnections, connect
from objstore.http.response_head import ResponseHead
from objstore.http.stream import Buffer, Stream


class StreamedRequest:
    """A request whose body is being sent.

    The order of calls: `wait_continue` if a 100 is expected, `send` any number of times, `finish`;
    `abort` at any time instead. The head is sent with the first piece of the body, unless a
    100 is expected. After an error the connection is closed, and only `abort` can be called.
    """

    __slots__ = ("_answer", "_head_pending", "_idle", "_left", "_request", "_reused", "_stream")

    def __init__(self, request: HttpRequest, idle: IdleConnections, length: int | None) -> None:
        """Take an idle connection, or make one. Raises NodeUnreachable or NodeTimeout."""
        self._request = request
        self._idle = idle
        self._left = length
        self._answer: HttpResponse | None = None
        self._head_pending = True
        stream = idle.take(request.address)
        self._reused = stream is not None
        self._stream: Stream | None = stream or connect(request.address, request.timeouts.connect)

    def send_head(self) -> None:
        """Send the head ahead of the body; called by `Pool.open` if a 100 is expected."""
        self._transmit([])

    def wait_continue(self, timeout: float | None = None) -> HttpResponse | None:
        """Wait for the node's 100; return None for it, and a final answer, sent instead of a 100, as a response.

        timeout: in seconds, that for an answer if None. Raises NodeTimeout, NodeFailure.
        """
        if self._head_pending:
            self._transmit([])
        seconds = self._request.timeouts.answer if timeout is None else timeout
        try:
            head = self._read_head(seconds, interim=True)
        except Stale as stale:
            if not (self._reused and self._request.idempotent):
                raise NodeFailure(f"the node closed the connection: {stale}") from None
            self._reconnect()
            self._transmit([])
            try:
                head = self._read_head(seconds, interim=True)
            except Stale as again:
                raise NodeFailure(f"the node closed the connection: {again}") from None
        if head.status == 100:
            return None
        self._take_answer(head, whole=False)
        return self._answer

    def send(self, data: Buffer) -> bool:
        """Send a piece of the body; return False if the node has answered already: send no more, call `finish`.

        Raises NodeTimeout if the node takes nothing for too long, NodeFailure if it is
        gone without an answer, InvalidInput if the body is longer than announced.
        """
        size = len(data)
        if not size:
            return self._answer is None
        if self._left is not None:
            if size > self._left:
                self.abort()
                raise InvalidInput("the body is longer than its announced length")
            self._left -= size
            pieces: list[Buffer] = [data]
        else:
            pieces = [chunk_head(size), data, b"\r\n"]
        if self._answer is None:
            self._transmit(pieces)
        return self._answer is None

    def finish(self, trailers: Mapping[str, str] | None = None) -> HttpResponse:
        """End the body and wait for the answer's head; trailers: only for a chunked body.

        Raises NodeTimeout, NodeFailure, InvalidInput if the body is shorter than announced.
        """
        if self._answer is not None:
            return self._answer
        if self._left:
            self.abort()
            raise InvalidInput(f"the body is {self._left} bytes shorter than announced")
        if self._left is None or self._head_pending:
            self._transmit([self._end(trailers)] if self._left is None else [])
        if self._answer is None:
            try:
                self._take_answer(self._read_head(self._request.timeouts.answer), whole=True)
            except Stale as stale:
                raise NodeFailure(f"the node closed the connection without an answer: {stale}") from None
        assert self._answer is not None
        return self._answer

    def _end(self, trailers: Mapping[str, str] | None) -> bytes:
        try:
            return end_of_chunks(trailers)
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Cancel the request, so that the node cannot treat a part of the body as the whole."""
        stream, self._stream = self._stream, None
        if self._answer is not None:
            self._answer.abort()
        elif stream is not None:
            stream.abort()

    def _transmit(self, pieces: list[Buffer]) -> None:
        """Send pieces, after the head if it is still pending; take the answer if the node reads no more."""
        stream = self._connected()
        if self._head_pending:
            pieces = [self._request.head, *pieces]
        elif not stream.is_quiet():
            self._take_early_answer()
            return
        try:
            send(stream, pieces, self._request.timeouts.body)
        except Stale as stale:
            if self._head_pending and self._reused and not stale.taken:
                self._reconnect()
                self._transmit(pieces[1:])
                return
            self._take_early_answer()
        except BaseException:
            self.abort()
            raise
        self._head_pending = False

    def _take_early_answer(self) -> None:
        """Read the answer of a node that has stopped taking the body. Raises NodeFailure if there is none."""
        try:
            self._take_answer(self._read_head(self._request.timeouts.answer), whole=False)
        except Stale as stale:
            raise NodeFailure(f"the node closed the connection while the body was sent: {stale}") from None

    def _take_answer(self, head: ResponseHead, whole: bool) -> None:
        """Take the answer. whole: the request was sent to its end, so that the connection can have another."""
        self._answer = HttpResponse(head, self._connected(), self._idle if whole else None, self._request.timeouts.body)
        self._stream = None

    def _read_head(self, timeout: float, interim: bool = False) -> ResponseHead:
        try:
            return read_head(self._connected(), self._request.method, timeout, interim)
        except BaseException:
            self._stream = None
            raise

    def _connected(self) -> Stream:
        if self._stream is None:
            raise NodeFailure("the request has been cancelled")
        return self._stream

    def _reconnect(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None
        self._reused = False
        self._head_pending = True
        self._stream = connect(self._request.address, self._request.timeouts.connect)
