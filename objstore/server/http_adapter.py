"""A storage server over HTTP: a WSGI app that decodes a node's request from an environ, and turns the answer into a
response.

Paths of requests are those of `wire.messages`. Trailers are in `objstore.trailers`, which the HTTP server fills at the
end of a body sent in chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from objstore.core.errors import InvalidInput
from objstore.core.json_body import JsonBody
from objstore.core.names import Name
from objstore.core.text import to_native, to_text
from objstore.server.answers import answer, of_failure
from objstore.server.storage_server import StorageServer
from objstore.web import requests
from objstore.web.requests import Environ, StartResponse
from objstore.web.responses import status_line
from objstore.wire.bodies import Body
from objstore.wire.messages import (
    REPLICATE,
    NodeRequest,
    NodeResponse,
    Share,
    parse_path,
    parse_share_path,
)


class StorageApp:
    """The WSGI app of a storage server."""

    def __init__(self, server: StorageServer) -> None:
        self._server = server
        self.server_name = server.name

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        requests.vouch(environ)  # all clients belong to the store
        response = self._server.without_verb(environ["REQUEST_METHOD"]) or self._answer(environ)
        if type(response.body) is JsonBody:
            response = answer(response.status, response.headers, response.body.encode())
        native = [
            (name, value) if value.isascii() and name.isascii() else (to_native(name), to_native(value))
            for name, value in response.headers.items()
        ]
        start_response(status_line(response.status), native)
        return response.body if type(response.body) is tuple else _Pieces(response)

    def _answer(self, environ: Environ) -> NodeResponse:
        try:
            device, request = self._decode(environ)
            body = _body(environ)
        except InvalidInput as failure:
            return of_failure(failure)
        return self._server.handle(device, request, body)

    def _decode(self, environ: Environ) -> tuple[str, NodeRequest]:
        """Return the device and the request; raises InvalidInput."""
        method, path = environ["REQUEST_METHOD"], to_text(environ["PATH_INFO"])
        name: Name | Share
        partition: int | None
        if method == REPLICATE:
            device, partition, name_hash = parse_share_path(path)
            name = Share(self._server.kind, name_hash)
        else:
            device, partition, name = parse_path(path)
        headers = requests.headers(environ)
        return device, NodeRequest(method, partition, name, headers, environ.get("QUERY_STRING", ""))


class _Pieces:
    """A body in pieces, closed by the HTTP server."""

    def __init__(self, response: NodeResponse) -> None:
        self._response = response
        self.close = response.close

    def __iter__(self) -> Iterator[Any]:
        return iter(self._response)


class _HttpBody(Body):
    """The body of a request. trailers: as the HTTP server has them."""

    __slots__ = ()

    @property
    def trailers(self) -> Mapping[str, str]:
        return {name: to_text(value) for name, value in self._trailers.items()}


def _body(environ: Environ) -> Body:
    """Return the body. Raises InvalidInput if its length is not a number."""
    length = requests.content_length(environ)
    if length is None and not requests.has_body(environ):
        length = 0
    stream = environ["wsgi.input"]
    read_chunk = getattr(stream, "read_chunk", stream.read)
    return _HttpBody(read_chunk, length, "HTTP_EXPECT" in environ, environ.get("objstore.trailers"))
