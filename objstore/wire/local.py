"""The in-process transport: the storage app is called as a function, with no socket between.

A request whose body is at hand runs in the caller's green thread. An upload runs the app in
one of its own, which reads the body from a pipe of a few pieces.
"""

from __future__ import annotations

import io
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from objstore.core.errors import BodyTimeout, BodyTruncated, NodeFailure, NodeTimeout, ObjstoreError
from objstore.core.nodes import Node
from objstore.core.text import ENVIRON_KEY, to_native, to_text
from objstore.runtime import green
from objstore.wire.messages import REPLICATE, NodeRequest, NodeResponse, path_text

WsgiApp = Callable[..., Iterable[Any]]
SILENCE = 3600.0  # seconds: the sender's own limits, for clients, are shorter and end the upload


class LocalTransport:
    """apps: the WSGI app for names of each depth: 'account', 'container', 'object'.

    timeout: seconds that a node may take to answer, to go on with a body, or to take more of one. patience: seconds
    that it may take to store a body that it has, and to answer a replicator. NodeTimeout afterwards.
    """

    def __init__(self, apps: Mapping[str, WsgiApp], timeout: float = 60.0, patience: float = 60.0) -> None:
        self._apps = apps
        self._timeout = timeout
        self._patience = max(timeout, patience)

    def call(self, node: Node, request: NodeRequest) -> NodeResponse:
        environ = _environ(node, request, _Whole(request.body), len(request.body))
        seconds = self._patience if request.method == REPLICATE else self._timeout
        with green.Bound(seconds, lambda: NodeTimeout(f"{node} took longer than {seconds} s")):
            return _run(self._app(request), environ, seconds)

    def upload(self, node: Node, request: NodeRequest, length: int | None) -> LocalUpload:
        pipe = Pipe(self._timeout)
        environ = _environ(node, request, pipe, length)
        return LocalUpload(self._app(request), environ, pipe, self._timeout, self._patience)

    def _app(self, request: NodeRequest) -> WsgiApp:
        return self._apps[request.name.kind]


class _Whole(io.BytesIO):
    """A body at hand, with the reading that servers' inputs have."""

    read_chunk = io.BytesIO.read


_FIXED = {
    "SCRIPT_NAME": "",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "0",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "127.0.0.1",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "objstore.in_process": True,
}


def _environ(node: Node, request: NodeRequest, body: Any, length: int | None) -> dict[str, Any]:
    environ: dict[str, Any] = _FIXED.copy()
    for name, value in request.headers.items():
        environ[ENVIRON_KEY[name]] = value if value.isascii() else to_native(value)
    environ["REQUEST_METHOD"] = request.method
    environ["PATH_INFO"] = to_native(path_text(node.device, request.partition, request.name))
    environ["QUERY_STRING"] = request.query
    environ["wsgi.input"] = body
    environ["objstore.trailers"] = {}
    if length is None:
        environ["HTTP_TRANSFER_ENCODING"] = "chunked"
        environ.pop("CONTENT_LENGTH", None)
    else:
        environ["CONTENT_LENGTH"] = str(length)
    return environ


def _run(app: WsgiApp, environ: dict[str, Any], timeout: float) -> NodeResponse:
    """Call the app; what it raises, as a server would have answered 500, is a NodeFailure.

    timeout: seconds for each piece of the answer's body.
    """
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[..., Any]:
        started[:] = (status, headers)
        return _no_write

    try:
        body = app(environ, start_response)
    except NodeFailure:
        raise
    except ObjstoreError as error:
        raise NodeFailure(f"{environ['PATH_INFO']}: {error}") from error
    except Exception as error:  # a fault of the app, for which a server would have answered 500
        raise NodeFailure(f"{environ['PATH_INFO']}: {type(error).__name__}: {error}") from error
    status, pairs = started
    headers = {name: value if value.isascii() else to_text(value) for name, value in pairs}
    if isinstance(body, (tuple, list)):
        return NodeResponse(int(status[:3]), headers, body)
    return NodeResponse(int(status[:3]), headers, _Body(body, timeout), getattr(body, "close", None))


def _no_write(_: bytes) -> None:
    raise NotImplementedError("storage apps do not use write()")


class _Body:
    """A body whose errors are those of a node. timeout: seconds for each piece."""

    def __init__(self, body: Iterable[Any], timeout: float) -> None:
        self._body = body
        self._timeout = timeout

    def __iter__(self) -> Iterator[Any]:
        bound = green.Bound(self._timeout, lambda: NodeTimeout(f"sent nothing for {self._timeout} s"))
        pieces = iter(self._body)
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


class Pipe(io.RawIOBase):
    """The body of an upload in process: `send` at one end, a WSGI input at the other.

    Holds at most `depth` pieces; a piece handed out by `read_chunk` is the sender's own bytes.
    """

    def __init__(self, timeout: float, depth: int = 2) -> None:
        """timeout: seconds that the sender waits for room."""
        super().__init__()
        self._pieces: deque[bytes | memoryview] = deque()
        self._depth = depth
        self._timeout = timeout
        self._rest: memoryview | bytes = b""
        self._ended = False  # no piece comes any more
        self._broken = ""  # why the sender gave up: an error kept here would keep all that led to it
        self._changed = green.Event()  # sent at every change that one of the ends may wait for
        self.wanted = green.Event()  # sent once, when the reader first reads or is gone

    def want(self) -> None:
        if not self.wanted.ready():
            self.wanted.send(None)

    def _announce(self) -> None:
        changed, self._changed = self._changed, green.Event()
        changed.send(True)

    def put(self, piece: bytes | memoryview) -> None:
        """Raises TimeoutError where the reader takes nothing."""
        while len(self._pieces) >= self._depth and not self._ended:
            if self._changed.wait(self._timeout) is None:
                raise TimeoutError("took no more of the body")
        self._pieces.append(piece)
        self._announce()

    def end(self) -> None:
        """The body is whole."""
        self._ended = True
        self._announce()

    def break_off(self, reason: str) -> None:
        """The reader gets BodyTruncated in the place of what it has not read yet."""
        self._broken = reason
        self._ended = True
        self._announce()

    def read_chunk(self, most: int = -1) -> bytes | memoryview:
        """The next bytes, at most `most`; b'' at the end. Raises BodyTruncated where the sender gave up."""
        if not self._rest:
            self.want()
            while not self._pieces and not self._ended:
                if self._changed.wait(SILENCE) is None and not self._pieces and not self._ended:
                    raise BodyTimeout(f"no more of the body came within {SILENCE} s")
            if self._broken:
                raise BodyTruncated(self._broken)
            if self._pieces:
                self._rest = self._pieces.popleft()
                self._announce()
        if most < 0 or len(self._rest) <= most:
            piece, self._rest = self._rest, b""
            return piece
        view = memoryview(self._rest)
        self._rest = view[most:]
        return view[:most]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self.read_chunk(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


class LocalUpload:
    """See `wire.messages.Upload`."""

    def __init__(self, app: WsgiApp, environ: dict[str, Any], pipe: Pipe, timeout: float, patience: float) -> None:
        self._pipe = pipe
        self._timeout = timeout
        self._patience = patience
        self._environ = environ
        self._response: NodeResponse | None = None
        self._failure: tuple[type[NodeFailure], str] | None = None
        self._ended = green.Event()
        green.spawn(self._serve, app)

    def _serve(self, app: WsgiApp) -> None:
        try:
            self._response = _run(app, self._environ, self._timeout)
        except NodeFailure as error:
            self._failure = type(error), str(error)
        except Exception as error:  # a fault of the app must reach the one who uploads
            self._failure = NodeFailure, f"{type(error).__name__}: {error}"
        finally:
            self._ended.send(None)
            self._pipe.want()
            self._pipe.end()  # a sender that waits for room would wait for ever

    def _outcome(self) -> NodeResponse:
        if self._failure is not None:
            kind, text = self._failure
            raise kind(text)
        if self._response is None:  # the app was ended by force
            raise NodeFailure("the request ended without an answer")
        return self._response

    def wait_continue(self) -> NodeResponse | None:
        with green.deadline(self._timeout, NodeTimeout("no answer in time")):
            self._pipe.wanted.wait()
        return self._outcome() if self._ended.ready() else None

    def send(self, piece: bytes | memoryview) -> None:
        if self._ended.ready():
            return  # answered early: `finish` tells
        try:
            self._pipe.put(piece)
        except TimeoutError as error:
            self.abort()
            raise NodeTimeout(str(error)) from None

    def finish(self, trailers: Mapping[str, str]) -> NodeResponse:
        if not self._ended.ready():
            self._environ["objstore.trailers"].update(trailers)
            self._pipe.end()
            with green.deadline(self._patience, NodeTimeout("no answer in time")):
                self._ended.wait()
        return self._outcome()

    def abort(self) -> None:
        if not self._ended.ready():
            self._pipe.break_off("the upload was given up")
