"""Requests to the API of another cluster, by http.client in threads: names are resolved and TLS is checked as usual.

A body is read in the caller's green thread and sent piece by piece, so that an object of any size takes little memory.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple, TypeVar
from urllib.parse import SplitResult, urlsplit

from objstore.core.errors import NodeFailure
from objstore.runtime.threads import ThreadPool

_MAX_ERROR = 4096  # bytes of an answer's body that are read
_Result = TypeVar("_Result")


class FarRequest(NamedTuple):
    """url: absolute and percent-encoded. headers: latin-1. body: pieces, of `length` bytes together."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: Iterable[bytes] = ()
    length: int = 0


class FarAnswer(NamedTuple):
    """headers: by lower-case name."""

    status: int
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class FarClusters:
    """Sends requests, each on a connection of its own. timeout: seconds of each wait; size: of requests at once."""

    def __init__(self, size: int, timeout: float) -> None:
        self._threads = ThreadPool("far-cluster", size)
        self._timeout = timeout
        self._tls = cache(ssl.create_default_context)

    def send(self, request: FarRequest) -> FarAnswer:
        """Return the answer. Raises NodeFailure if there is none, and the errors of reading the body."""
        url = urlsplit(request.url)
        connection = self._connection(url)
        try:
            path = f"{url.path}?{url.query}" if url.query else url.path
            self._do(request, self._begin, connection, request, path)
            sent = 0
            for piece in request.body:
                self._do(request, connection.send, piece)
                sent += len(piece)
            if sent != request.length:
                raise NodeFailure(f"{request.method} {request.url}: {sent} of {request.length} bytes to send")
            return self._do(request, self._answer, connection)
        finally:
            connection.close()

    def _connection(self, url: SplitResult) -> HTTPConnection:
        host = url.hostname or ""
        if url.scheme == "https":
            return HTTPSConnection(host, url.port, timeout=self._timeout, context=self._tls())
        return HTTPConnection(host, url.port, timeout=self._timeout)

    def _do(self, request: FarRequest, call: Callable[..., _Result], *arguments: object) -> _Result:
        try:
            return self._threads.run(call, *arguments)
        except (OSError, HTTPException) as problem:
            raise NodeFailure(f"{request.method} {request.url}: {problem or type(problem).__name__}") from None

    @staticmethod
    def _begin(connection: HTTPConnection, request: FarRequest, path: str) -> None:
        connection.putrequest(request.method, path, skip_accept_encoding=True)
        for name, value in request.headers.items():
            connection.putheader(name, value)
        if request.method == "PUT":
            connection.putheader("Content-Length", str(request.length))
        connection.endheaders()

    @staticmethod
    def _answer(connection: HTTPConnection) -> FarAnswer:
        response = connection.getresponse()
        response.read(_MAX_ERROR)
        return FarAnswer(response.status, {name.lower(): value for name, value in response.getheaders()})
