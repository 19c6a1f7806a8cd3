"""The HTTP transport: requests to nodes over pooled connections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from objstore.core.errors import BodyTimeout, BodyTruncated, ClientGone, NodeFailure, NodeTimeout
from objstore.core.json_body import JsonBody
from objstore.core.nodes import Node
from objstore.core.text import to_native, to_text
from objstore.http import client
from objstore.http.client import Pool
from objstore.wire.messages import NodeRequest, NodeResponse, target

PIECE = 1 << 20
# The client frames messages itself.
_FRAMING = frozenset({"Content-Length", "Transfer-Encoding", "Expect", "Host", "Connection"})


class HttpTransport:
    """Requests over the connections of a pool. A change sent twice does no harm: its timestamp is the same."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def call(self, node: Node, request: NodeRequest) -> NodeResponse:
        body = request.body
        response = self._pool.request(
            node.address,
            request.method,
            target(node, request),
            _headers(request.headers),
            body.encode() if isinstance(body, JsonBody) else body,
            idempotent=True,
        )
        return _received(response)

    def upload(self, node: Node, request: NodeRequest, length: int | None) -> HttpUpload:
        upload = self._pool.open(
            node.address,
            request.method,
            target(node, request),
            _headers(request.headers),
            length=length,
            expect_continue=True,
            idempotent=True,
        )
        return HttpUpload(upload)


class HttpUpload:
    """See `wire.messages.Upload`."""

    buffers = False

    def __init__(self, upload: client.StreamedRequest) -> None:
        self._upload = upload

    def wait_continue(self) -> NodeResponse | None:
        early = self._upload.wait_continue()
        return None if early is None else _received(early)

    def send(self, piece: bytes | memoryview) -> None:
        self._upload.send(piece)

    def finish(self, trailers: Mapping[str, str]) -> NodeResponse:
        return _received(self._upload.finish({name: to_native(value) for name, value in trailers.items()}))

    def abort(self) -> None:
        self._upload.abort()


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        to_native(name): value if value.isascii() else to_native(value)
        for name, value in headers.items()
        if name not in _FRAMING
    }


def _received(response: client.HttpResponse) -> NodeResponse:
    headers = {name: value if value.isascii() else to_text(value) for name, value in response.headers.items()}
    return NodeResponse(response.status, headers, _RemoteBody(response), response.close)


class _RemoteBody:
    """A body whose errors are those of a node."""

    def __init__(self, response: client.HttpResponse) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._response.iter(PIECE)
        except BodyTimeout as error:
            raise NodeTimeout(str(error)) from error
        except (BodyTruncated, ClientGone, OSError) as error:
            raise NodeFailure(str(error)) from error
