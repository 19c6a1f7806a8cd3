"""A Swift client that hides nothing: one request, one answer.

A server may close a connection that waits for a request at any time. If it did so before, a new connection is opened.
If it does so while the request is on its way, a request that only reads is sent once more on a new connection, as RFC
9112 section 9.3.1 permits. It would permit that for PUT and DELETE, too, but what is sent twice may be done twice, and
that is for the test to know.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
from collections.abc import Iterable, Mapping
from email.message import Message
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

SECONDS = 60  # that any answer may take
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
http.client._MAXHEADERS = 1000  # type: ignore[attr-defined]  # 90 metadata items and all the rest are more than its 100

# Raised when the other end closes a connection before any byte of an answer.
CLOSED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)

Body = bytes | Iterable[bytes] | None


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __getitem__(self, header: str) -> str:
        """A header's value; raises KeyError where it was not sent."""
        value = self.headers[header]
        if value is None:
            raise KeyError(header)
        return value.encode("latin-1").decode("utf-8")

    def get(self, header: str) -> str | None:
        return None if self.headers[header] is None else self[header]


class Client:
    """Requests under one storage URL over one kept connection. Paths are text relative to it: `container/object`."""

    def __init__(self, storage_url: str, token: str | None = None) -> None:
        parts = urlsplit(storage_url)
        assert parts.hostname is not None
        self.address = (parts.hostname, parts.port or 80)
        self.endpoint = f"{parts.scheme}://{parts.netloc}"
        self.root = parts.path
        self.token = token
        self._connection = http.client.HTTPConnection(*self.address, timeout=SECONDS)

    @property
    def account(self) -> str:
        return self.root.rpartition("/")[2]

    def request(
        self,
        method: str,
        path: str = "",
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        query: Mapping[str, str | int] | str = "",
    ) -> Answer:
        """Send a request. Header values are text, sent as UTF-8. An iterable body without a length goes chunked."""
        target = self.root + ("/" + quote(path) if path else "")
        return self.send(method, target, headers, body, query)

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        query: Mapping[str, str | int] | str = "",
    ) -> Answer:
        """Send a request whose target is as it goes over the wire."""
        if query:
            target += "?" + (query if isinstance(query, str) else urlencode(query))
        known = {"X-Auth-Token": self.token} if self.token else {}
        sent = {name: value.encode() for name, value in {**known, **(headers or {})}.items()}
        chunked = body is not None and not isinstance(body, bytes) and "Content-Length" not in sent
        if chunked:
            sent["Transfer-Encoding"] = b"chunked"
        if self.closed_by_server():
            self._connection.close()  # the next request opens another
        idle = self._connection.sock is not None
        try:
            response = self._begin(method, target, body, sent, chunked)
        except CLOSED:
            if not idle or method not in SAFE:
                raise
            response = self._begin(method, target, body, sent, chunked)
        try:
            return Answer(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise

    def closed_by_server(self) -> bool:
        """Has the server closed the connection, which waits for a request? Also if it sent what nobody asked for."""
        sock = self._connection.sock
        if sock is None:
            return False
        waiting = select.poll()
        waiting.register(sock, select.POLLIN)
        return bool(waiting.poll(0))

    def _begin(
        self, method: str, target: str, body: Body, headers: Mapping[str, bytes], chunked: bool
    ) -> http.client.HTTPResponse:
        try:
            self._connection.request(method, target, body, headers, encode_chunked=chunked)
            return self._connection.getresponse()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise

    def get(self, path: str = "", headers: Mapping[str, str] | None = None, /, **query: str | int) -> Answer:
        return self.request("GET", path, headers, query=query)

    def head(self, path: str = "", headers: Mapping[str, str] | None = None, /, **query: str | int) -> Answer:
        return self.request("HEAD", path, headers, query=query)

    def put(self, path: str, body: Body = b"", headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("PUT", path, headers, body)

    def post(self, path: str = "", headers: Mapping[str, str] | None = None) -> Answer:
        # http.client would announce a body of 0 bytes by itself for POST; be plain about it.
        return self.request("POST", path, {"Content-Length": "0", **(headers or {})})

    def delete(self, path: str = "", headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("DELETE", path, headers)

    def copy(self, path: str, destination: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("COPY", path, {"Destination": quote(destination), **(headers or {})})

    def names(self, container: str = "", /, **query: str | int) -> list[str]:
        """Names in a listing as text."""
        answer = self.get(container, **query)
        assert answer.status in (200, 204), answer
        return answer.text.split("\n")[:-1]

    def with_token(self, token: str | None) -> Client:
        """The same storage URL as another user."""
        return Client(self.endpoint + self.root, token)

    def wipe(self, container: str) -> None:
        """Delete a container and all that is in it."""
        while names := self.names(container):
            for name in names:
                self.delete(f"{container}/{name}")
        self.delete(container)

    def close(self) -> None:
        self._connection.close()


def log_in(endpoint: str, user: str, key: str) -> Client:
    """A client of the user's own account."""
    visitor = Client(endpoint)
    answer = visitor.send("GET", "/auth/v1.0", {"X-Auth-User": user, "X-Auth-Key": key})
    visitor.close()
    assert answer.status == 200, answer
    return Client(answer["X-Storage-Url"], answer["X-Auth-Token"])


def exchange(address: tuple[str, int], data: bytes, seconds: float = 10) -> bytes:
    """Send bytes as they are, and all that comes back until the other end closes or is silent for `seconds`."""
    with socket.create_connection(address, seconds) as sock:
        try:
            sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before it was sent whole; the answer may still be there
        return receive_all(sock)


def receive_all(sock: socket.socket) -> bytes:
    received = b""
    try:
        while piece := sock.recv(65536):
            received += piece
    except (TimeoutError, ConnectionResetError):
        pass
    return received
