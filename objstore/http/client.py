"""The client side of HTTP/1.1: requests to storage nodes over pooled keep-alive connections.

When a kept connection turns out to have been closed by the node, the request goes out once more,
on a new one, if that cannot do it twice: either the kernel took no byte of it, or it is
idempotent, no byte of an answer has come, and none of its body came from a stream that cannot be
read again (RFC 9112, section 9.3.1). GET, HEAD, OPTIONS, PUT and DELETE are idempotent: storage
nodes order changes by the timestamps these carry. The caller may say otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from objstore.core.errors import BodyTimeout, BodyTruncated, InvalidInput, NodeFailure, NodeTimeout
from objstore.http.chunked import chunk_head, end_of_chunks
from objstore.http.pool import Address, IdleConnections, connect
from objstore.http.response_head import MAX_HEAD, ResponseHead, parse_response_head
from objstore.http.source import NO_BODY, ChunkedSource, LengthSource, Source, UntilCloseSource
from objstore.http.stream import MIB, Buffer, SentInPart, Stream
from objstore.runtime import settings
from objstore.runtime.settings import Setting

CLIENT_SETTINGS: settings.Table = (
    Setting("conn_timeout", settings.duration, "0.5s", "how long a node may take to accept a connection"),
    Setting("node_timeout", settings.duration, "10s", "how long a node may take to begin its answer"),
    Setting("body_timeout", settings.duration, "10s", "how long a node may be silent within a body, or not read"),
    Setting("max_idle_connections", settings.positive, "64", "connections kept for reuse, for each node"),
    Setting("idle_timeout", settings.duration, "30s", "how long a connection is kept; shorter than the server's"),
)

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})

_RECV = 65536
_REQUEST_LINE = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [!-~\x80-\xff]+\Z")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_WITH_LENGTH = frozenset({"PUT", "POST"})  # RFC 9110, section 8.6: told even when there is no body
_DRAIN = 65536  # a rest of a body up to this size is read rather than the connection closed


class Timeouts(NamedTuple):
    """In seconds. connect: to a node; answer: for the head of its answer; body: of silence within a body."""

    connect: float = 0.5
    answer: float = 10.0
    body: float = 10.0


class _Stale(Exception):
    """A connection was closed before any byte of an answer came; taken: some of the request may have arrived."""

    def __init__(self, taken: bool, cause: str) -> None:
        super().__init__(cause)
        self.taken = taken


class Response:
    """An answer, whose body is read from the connection as it is asked for.

    The connection goes back to the pool when the body has been read to its end; call `close`
    where that is not certain. trailers: filled in at the end of a chunked body.
    """

    __slots__ = ("_idle", "_source", "_stream", "headers", "reason", "status", "trailers")

    def __init__(self, head: ResponseHead, stream: Stream, idle: IdleConnections | None, timeout: float) -> None:
        """idle: where the connection goes when the body has been read; None if it cannot be used again."""
        self.status = head.status
        self.reason = head.reason
        self.headers = head.headers
        self.trailers: dict[str, str] = {}
        self._stream: Stream | None = stream
        self._idle = idle if head.keep_alive else None
        self._source = self._make_source(head.length, stream, timeout)
        if self._source.ended:
            self._release()

    def _make_source(self, length: int, stream: Stream, timeout: float) -> Source:
        if not length:
            return NO_BODY
        if length > 0:
            return LengthSource(stream, length, timeout)
        if length == -1:
            return ChunkedSource(stream, timeout, self.trailers)
        return UntilCloseSource(stream, timeout)

    def read_chunk(self, most: int = MIB) -> bytes:
        """The next run of the body, as long as can be had without much waiting; b'' at the end.

        Raises NodeTimeout after silence, NodeFailure when the body broke off.
        """
        if self._stream is None:
            return b""
        try:
            data = self._source.piece(most)
        except BodyTimeout as error:
            self.abort()
            raise NodeTimeout(str(error)) from None
        except BodyTruncated as error:
            self.abort()
            raise NodeFailure(str(error)) from None
        if self._source.ended or not data:
            self._release()
        return data

    def iter(self, size: int = MIB) -> Iterator[bytes]:
        """The body in runs of up to `size` bytes; closes at the end, or when the caller stops early."""
        try:
            while data := self.read_chunk(size):
                yield data
        finally:
            self.close()

    def read(self) -> bytes:
        """All of the body that is left."""
        if self._stream is None:
            return b""
        runs = list(iter(self.read_chunk, b""))
        return runs[0] if len(runs) == 1 else b"".join(runs)

    def close(self) -> None:
        """Have done with the answer: a short rest of the body is read, a long one costs the connection."""
        left = _DRAIN
        while self._stream is not None:
            if left <= 0 or self._idle is None or self._source.at_least > left:
                self.abort()
            else:
                try:
                    left -= len(self.read_chunk(left)) or 1
                except NodeFailure:
                    return

    def abort(self) -> None:
        """Close the connection at once."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _release(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        if self._idle is not None and self._source.ended and not stream.has_unread:
            self._idle.give(stream)
        else:
            stream.close()


class _Request(NamedTuple):
    """What of a request is needed to send it, and to send it again."""

    address: Address
    method: str
    head: bytes
    timeouts: Timeouts
    idempotent: bool


class Pool:
    """Sends requests; one for each event loop."""

    def __init__(self, options: Any) -> None:
        """options: values of CLIENT_SETTINGS."""
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
    ) -> Response:
        """Send a request whose body is at hand; the answer, once its head has come.

        address: an IP address and a port. target: percent-encoded path and query. headers: latin-1,
        without Host and the framing ones. Raises InvalidInput for what cannot be sent,
        NodeUnreachable, NodeTimeout or NodeFailure.
        """
        length = len(body) if body or method in _WITH_LENGTH else None
        head = _make_head(address, method, target, headers, None if length is None else f"Content-Length: {length}")
        request = _Request(
            address,
            method,
            head,
            timeouts or self._timeouts,
            method in IDEMPOTENT if idempotent is None else idempotent,
        )
        pieces: list[Buffer] = [head, body] if length else [head]
        stream = self._idle.take(address)
        if stream is not None:
            try:
                return self._exchange(stream, request, pieces)
            except _Stale as stale:
                if stale.taken and not request.idempotent:
                    raise NodeFailure(f"the node closed a kept connection: {stale}") from None
        try:
            return self._exchange(connect(address, request.timeouts.connect), request, pieces)
        except _Stale as stale:
            raise NodeFailure(f"the node closed the connection without an answer: {stale}") from None

    def _exchange(self, stream: Stream, request: _Request, pieces: list[Buffer]) -> Response:
        early = False
        try:
            send(stream, pieces, request.timeouts.body)
        except _Stale as stale:
            if not stale.taken:
                stream.close()
                raise
            early = True  # the node may have answered before it broke off
        except BaseException:
            stream.close()
            raise
        head = read_head(stream, request.method, request.timeouts.answer)
        return Response(head, stream, None if early else self._idle, request.timeouts.body)

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
    ) -> Upload:
        """Begin a request whose body is sent bit by bit.

        length: of the body in bytes; None sends it chunked. Raises as `request` does.
        """
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        if expect_continue:
            framing += "\r\nExpect: 100-continue"
        head = _make_head(address, method, target, headers, framing)
        request = _Request(
            address,
            method,
            head,
            timeouts or self._timeouts,
            method in IDEMPOTENT if idempotent is None else idempotent,
        )
        upload = Upload(request, self._idle, length)
        if expect_continue:
            upload.send_head()
        return upload

    @property
    def idle(self) -> int:
        """How many connections are kept for reuse now."""
        return len(self._idle)

    def close(self) -> None:
        """Close the idle connections; those in use are closed by their responses' ends."""
        self._idle.close()


class Upload:
    """A request whose body is being sent.

    The order of calls: `wait_continue` if asked for, `send` any number of times, `finish`;
    `abort` at any time instead. The head leaves with the first piece of the body, except where a
    100 is waited for. After an error the connection is closed, and nothing more can be called but `abort`.
    """

    __slots__ = ("_answer", "_head_pending", "_idle", "_left", "_request", "_reused", "_stream")

    def __init__(self, request: _Request, idle: IdleConnections, length: int | None) -> None:
        """Takes a connection, a kept one if there is one. Raises NodeUnreachable or NodeTimeout."""
        self._request = request
        self._idle = idle
        self._left = length
        self._answer: Response | None = None
        self._head_pending = True
        stream = idle.take(request.address)
        self._reused = stream is not None
        self._stream: Stream | None = stream or connect(request.address, request.timeouts.connect)

    def send_head(self) -> None:
        """Send the head ahead of the body; called by `Pool.open` where a 100 is waited for."""
        self._transmit([])

    def wait_continue(self, timeout: float | None = None) -> Response | None:
        """Wait for the node to ask for the body: None. A Response is its final answer: no body is wanted.

        timeout: in seconds, that for an answer if None. Raises NodeTimeout, NodeFailure.
        """
        if self._head_pending:
            self._transmit([])
        seconds = self._request.timeouts.answer if timeout is None else timeout
        try:
            head = self._read_head(seconds, interim=True)
        except _Stale as stale:
            if not (self._reused and self._request.idempotent):
                raise NodeFailure(f"the node closed the connection: {stale}") from None
            self._connect_anew()
            self._transmit([])
            try:
                head = self._read_head(seconds, interim=True)
            except _Stale as again:
                raise NodeFailure(f"the node closed the connection: {again}") from None
        if head.status == 100:
            return None
        self._take_answer(head, whole=False)
        return self._answer

    def send(self, data: Buffer) -> bool:
        """Send a piece of the body; False if the node has answered already: send no more, `finish` has its answer.

        Raises NodeTimeout when the node takes nothing for too long, NodeFailure when it is
        gone without an answer, InvalidInput when the body is longer than announced.
        """
        size = len(data)
        if not size:
            return self._answer is None
        if self._left is not None:
            if size > self._left:
                raise InvalidInput("the body is longer than its announced length")
            self._left -= size
            pieces: list[Buffer] = [data]
        else:
            pieces = [chunk_head(size), data, b"\r\n"]
        if self._answer is None:
            self._transmit(pieces)
        return self._answer is None

    def finish(self, trailers: Mapping[str, str] | None = None) -> Response:
        """End the body and wait for the answer's head; trailers: only for a chunked body.

        Raises NodeTimeout, NodeFailure, InvalidInput when the body is shorter than announced.
        """
        if self._answer is not None:
            return self._answer
        if self._left:
            self.abort()
            raise InvalidInput(f"the body is {self._left} bytes shorter than announced")
        if self._left is None or self._head_pending:
            self._transmit([end_of_chunks(trailers)] if self._left is None else [])
        if self._answer is None:
            try:
                self._take_answer(self._read_head(self._request.timeouts.answer), whole=True)
            except _Stale as stale:
                raise NodeFailure(f"the node closed the connection without an answer: {stale}") from None
        assert self._answer is not None
        return self._answer

    def abort(self) -> None:
        """Break the request off, so that the node cannot take what it got for the whole."""
        stream, self._stream = self._stream, None
        if self._answer is not None:
            self._answer.abort()
        elif stream is not None:
            stream.abort()

    def _transmit(self, pieces: list[Buffer]) -> None:
        """Send, with the head before it if it has not gone; take the answer if the node is done with us."""
        stream = self._connected()
        if self._head_pending:
            pieces = [self._request.head, *pieces]
        elif not stream.is_quiet():
            self._take_early_answer()
            return
        try:
            send(stream, pieces, self._request.timeouts.body)
        except _Stale as stale:
            if self._head_pending and self._reused and not stale.taken:
                self._connect_anew()
                self._transmit(pieces[1:])
                return
            self._take_early_answer()
        except BaseException:
            self.abort()
            raise
        self._head_pending = False

    def _take_early_answer(self) -> None:
        """Read the answer of a node that has stopped taking the body; NodeFailure if it has left none."""
        try:
            self._take_answer(self._read_head(self._request.timeouts.answer), whole=False)
        except _Stale as stale:
            raise NodeFailure(f"the node broke off while the body was sent: {stale}") from None

    def _take_answer(self, head: ResponseHead, whole: bool) -> None:
        """whole: the request was sent to its end, so that the connection can have another."""
        self._answer = Response(head, self._connected(), self._idle if whole else None, self._request.timeouts.body)
        self._stream = None

    def _read_head(self, timeout: float, interim: bool = False) -> ResponseHead:
        try:
            return read_head(self._connected(), self._request.method, timeout, interim)
        except BaseException:
            self._stream = None
            raise

    def _connected(self) -> Stream:
        if self._stream is None:
            raise NodeFailure("the request has been broken off")
        return self._stream

    def _connect_anew(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None
        self._reused = False
        self._head_pending = True
        self._stream = connect(self._request.address, self._request.timeouts.connect)


def send(stream: Stream, pieces: list[Buffer], timeout: float) -> None:
    """Raises _Stale when the connection is broken, NodeTimeout when the node takes nothing for too long."""
    try:
        stream.send_all(pieces, timeout)
    except SentInPart as error:
        raise _Stale(True, str(error)) from None
    except TimeoutError:
        raise NodeTimeout(f"{_name(stream)} took no more for {timeout} s") from None
    except OSError as error:
        raise _Stale(False, str(error)) from None


def read_head(stream: Stream, method: str, timeout: float, interim: bool = False) -> ResponseHead:
    """The next head on the connection, which is closed on errors.

    interim: a 100 is wanted too. Raises _Stale if the connection ends before a byte has come,
    NodeTimeout, NodeFailure.
    """
    try:
        while True:
            data = _head_bytes(stream, timeout)
            head = parse_response_head(data, method)
            if head.status >= 200 or (interim and head.status == 100):
                return head
    except BaseException:
        stream.close()
        raise


def _head_bytes(stream: Stream, timeout: float) -> bytes:
    data = b""
    try:
        more = stream.recv_next(_RECV, timeout)
        while more:
            data = data + more if data else more
            end = data.find(b"\r\n\r\n", max(0, len(data) - len(more) - 3))
            if end >= 0:
                end += 4
                if end < len(data):
                    stream.unread(data[end:])
                    return data[:end]
                return data
            if len(data) > MAX_HEAD:
                raise NodeFailure(f"{_name(stream)}: the answer's head is longer than {MAX_HEAD} bytes")
            more = stream.recv(_RECV, timeout)
    except TimeoutError:
        raise NodeTimeout(f"{_name(stream)} did not answer within {timeout} s") from None
    except OSError as error:
        if not data:
            raise _Stale(True, str(error)) from None
        raise NodeFailure(f"{_name(stream)}: {error}") from None
    if not data:
        raise _Stale(True, "closed before the answer")
    raise NodeFailure(f"{_name(stream)}: the answer's head broke off")


def _name(stream: Stream) -> str:
    return f"{stream.peer[0]}:{stream.peer[1]}"


@lru_cache(maxsize=1024)
def _is_name(name: str) -> bool:
    return _NAME.match(name) is not None


@lru_cache(maxsize=256)
def _host(address: Address) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


def _make_head(address: Address, method: str, target: str, headers: Mapping[str, str], framing: str | None) -> bytes:
    """The head's bytes; InvalidInput for what would not arrive as it was meant."""
    line = f"{method} {target}"
    if _REQUEST_LINE.match(line) is None:
        raise InvalidInput("a method or target that cannot be sent")
    lines = [f"{line} HTTP/1.1\r\nHost: {_host(address)}"]
    for name, value in headers.items():
        if not _is_name(name):
            raise InvalidInput(f"the header name {name!r} cannot be sent")
        lines.append(f"{name}: {value}")
    if framing is not None:
        lines.append(framing)
    lines.append("\r\n")
    text = "\r\n".join(lines)
    # One a line, one more within the first, and what the framing has.
    breaks = len(lines) + 1 + (framing.count("\r\n") if framing else 0)
    if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
        raise InvalidInput("CR, LF or NUL in a header value")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise InvalidInput("a header value with characters beyond latin-1") from None
