"""The in-process transport: a storage server is called with the request itself, without a socket.

A request with a complete body runs in the caller's green thread. An upload runs in its own green thread, which reads
the body from a pipe of a few pieces.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Protocol

from objstore.core.errors import BodyTimeout, BodyTruncated, NodeFailure, NodeTimeout, ObjstoreError
from objstore.core.json_body import JsonBody
from objstore.core.nodes import Node
from objstore.runtime import green
from objstore.wire.bodies import Body, whole
from objstore.wire.messages import REPLICATE, NodeRequest, NodeResponse

SILENCE = 3600.0  # seconds: the sender's own limits, for clients, are shorter and end the upload


class LocalServer(Protocol):
    """A storage server of this host."""

    def handle(self, device: str, request: NodeRequest, body: Body) -> NodeResponse:
        """Answer a request to a device. body: that of the request, which holds none of it itself."""
        ...


class LocalTransport:
    """The transport to servers of this host. servers: by kind of name: 'account', 'container', 'object'.

    timeout: seconds that a node may take to answer, to continue a body, or to accept more of one. patience: seconds
    that it may take to store a complete body, and to answer a replicator. NodeTimeout afterwards.
    """

    def __init__(self, servers: Mapping[str, LocalServer], timeout: float = 60.0, patience: float = 60.0) -> None:
        self._servers = servers
        self._timeout = timeout
        self._patience = max(timeout, patience)

    def call(self, node: Node, request: NodeRequest) -> NodeResponse:
        seconds = self._patience if request.method == REPLICATE else self._timeout
        with green.Bound(seconds, lambda: NodeTimeout(f"{node} took longer than {seconds} s")):
            return _ask(self._servers[request.name.kind], node, request, whole(request.body), seconds)

    def upload(self, node: Node, request: NodeRequest, length: int | None) -> LocalUpload:
        return LocalUpload(self._servers[request.name.kind], node, request, length, self._timeout, self._patience)


def _ask(server: LocalServer, node: Node, request: NodeRequest, body: Body, timeout: float) -> NodeResponse:
    """Return the server's answer; its exceptions become a NodeFailure. timeout: seconds for each piece of the answer's
    body."""
    try:
        response = server.handle(node.device, request, body)
        if type(response.body) is tuple or type(response.body) is JsonBody:
            return response
    except NodeFailure:
        raise
    except Exception as error:  # a fault of the server
        raise NodeFailure(f"{node} {request.name.path}: {type(error).__name__}: {error}") from error
    return NodeResponse(response.status, response.headers, _LocalBody(response, timeout), response.close)


class _LocalBody:
    """A response body that raises NodeFailure. timeout: seconds for each piece."""

    def __init__(self, response: NodeResponse, timeout: float) -> None:
        self._response = response
        self._timeout = timeout

    def __iter__(self) -> Iterator[object]:
        bound = green.Bound(self._timeout, lambda: NodeTimeout(f"sent nothing for {self._timeout} s"))
        pieces = iter(self._response)
        try:
            while True:
                with bound:
                    try:
                        piece = next(pieces)
                    except StopIteration:
                        return
                yield piece
        except NodeFailure:
            raise
        except (ObjstoreError, OSError) as error:
            raise NodeFailure(str(error)) from error
        finally:
            self._response.close()


class Pipe:
    """The body of an upload in process: written by `put`, read by `read_chunk`.

    It holds at most `depth` pieces; a piece returned by `read_chunk` is the sender's own bytes.
    """

    def __init__(self, timeout: float, depth: int = 2) -> None:
        """timeout: seconds that the sender waits for space."""
        self._pieces: deque[bytes | memoryview] = deque()
        self._depth = depth
        self._timeout = timeout
        self._rest: memoryview | bytes = b""
        self._ended = False  # no more pieces will come
        self._broken = ""  # why the sender gave up, as text: an exception would keep its whole traceback alive
        self._space: green.Event | None = None  # of a sender that waits
        self._arrival: green.Event | None = None  # of a reader that waits
        self.wanted = green.Event()  # sent once, when the reader first reads or is gone

    def want(self) -> None:
        if not self.wanted.ready():
            self.wanted.send(None)

    def _signal_arrival(self) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.send(True)

    def _signal_space(self) -> None:
        space, self._space = self._space, None
        if space is not None:
            space.send(True)

    def put(self, piece: bytes | memoryview) -> None:
        """Add a piece. Raises TimeoutError if the reader does not read."""
        while len(self._pieces) >= self._depth and not self._ended:
            self._space = green.Event()
            if self._space.wait(self._timeout) is None:
                raise TimeoutError("stopped accepting the body")
        self._pieces.append(piece)
        self._signal_arrival()

    def end(self) -> None:
        """Mark the body as complete."""
        self._ended = True
        self._signal_arrival()
        self._signal_space()

    def break_off(self, reason: str) -> None:
        """Make the reader get BodyTruncated instead of unread pieces."""
        self._broken = reason
        self.end()

    def read_chunk(self, most: int = -1) -> bytes | memoryview:
        """Return the next bytes, at most `most`; b'' at the end. Raises BodyTruncated if the sender gave up."""
        if not self._rest:
            self.want()
            while not self._pieces and not self._ended:
                self._arrival = green.Event()
                if self._arrival.wait(SILENCE) is None and not self._pieces and not self._ended:
                    raise BodyTimeout(f"the rest of the body did not arrive within {SILENCE} s")
            if self._broken:
                raise BodyTruncated(self._broken)
            if self._pieces:
                self._rest = self._pieces.popleft()
                self._signal_space()
        if most < 0 or len(self._rest) <= most:
            piece, self._rest = self._rest, b""
            return piece
        view = memoryview(self._rest)
        self._rest = view[most:]
        return view[:most]


class LocalUpload:
    """See `wire.messages.Upload`."""

    buffers = True

    def __init__(
        self, server: LocalServer, node: Node, request: NodeRequest, length: int | None, timeout: float, patience: float
    ) -> None:
        """timeout, patience: as LocalTransport has them."""
        self._pipe = Pipe(timeout)
        self._timeout = timeout
        self._patience = patience
        self._trailers: dict[str, str] = {}
        self._response: NodeResponse | None = None
        self._failure: tuple[type[NodeFailure], str] | None = None
        self._ended = green.Event()
        body = Body(self._pipe.read_chunk, length, announced=True, trailers=self._trailers)
        green.spawn(self._serve, server, node, request, body)

    def _serve(self, server: LocalServer, node: Node, request: NodeRequest, body: Body) -> None:
        try:
            self._response = _ask(server, node, request, body, self._timeout)
        except NodeFailure as error:
            self._failure = type(error), str(error)
        finally:
            self._ended.send(None)
            self._pipe.want()
            self._pipe.end()  # a sender that waits for space would wait forever

    def _outcome(self) -> NodeResponse:
        if self._failure is not None:
            kind, text = self._failure
            raise kind(text)
        if self._response is None:  # it was ended by force
            raise NodeFailure("the request ended without an answer")
        return self._response

    def wait_continue(self) -> NodeResponse | None:
        with green.deadline(self._timeout, NodeTimeout("no answer in time")):
            self._pipe.wanted.wait()
        return self._outcome() if self._ended.ready() else None

    def send(self, piece: bytes | memoryview) -> None:
        if self._ended.ready():
            return  # answered early: `finish` returns the answer
        try:
            self._pipe.put(piece)
        except TimeoutError as error:
            self.abort()
            raise NodeTimeout(str(error)) from None

    def finish(self, trailers: Mapping[str, str]) -> NodeResponse:
        if not self._ended.ready():
            self._trailers.update(trailers)
            self._pipe.end()
            with green.deadline(self._patience, NodeTimeout("no answer in time")):
                self._ended.wait()
        return self._outcome()

    def abort(self) -> None:
        if not self._ended.ready():
            self._pipe.break_off("the upload was given up")
