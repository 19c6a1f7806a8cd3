"""The client of tests and connections that a server closes: what is sent again, and what is not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from harness.client import CLOSED, Client

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers one request after the other on one connection after the other, as `after` says.

    after: called with the number of a request that has come and its connection; True to go on with this connection.
    """

    def __init__(self, after: Callable[[int, socket.socket], bool]) -> None:
        self.requests: list[bytes] = []
        self._after = after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1/a"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                while head := connection.recv(65536):
                    self.requests.append(head.split(b" ")[0])
                    if not self._after(len(self.requests), connection):
                        break

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[int, socket.socket], bool]], Server]]:
    made: list[Server] = []

    def make(after: Callable[[int, socket.socket], bool]) -> Server:
        made.append(Server(after))
        return made[-1]

    yield make
    for server in made:
        server.close()


def answer_and_close(number: int, connection: socket.socket) -> bool:
    connection.sendall(_ANSWER)
    return False


def answer_but_not_the_second(number: int, connection: socket.socket) -> bool:
    """As a server does that ends while a request is on its way."""
    if number == 2:
        return False
    connection.sendall(_ANSWER)
    return True


def wait_until_closed(client: Client) -> None:
    for _ in range(500):
        if client.closed_by_server():
            return
        threading.Event().wait(0.01)
    raise AssertionError("the server has not closed the connection")


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
def test_a_request_goes_over_a_new_connection_if_the_server_has_closed_the_idle_one(
    serve: Callable, method: str
) -> None:
    """A check at the end of a probe failed, as a proxy had been killed since the last one."""
    server = serve(answer_and_close)
    with closing(Client(server.url)) as client:
        assert client.request("GET").status == 200
        wait_until_closed(client)
        assert client.request(method).status == 200
    assert server.requests == [b"GET", method.encode()]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_request_that_only_reads_is_sent_again_if_a_kept_connection_is_closed_amid_it(
    serve: Callable, method: str
) -> None:
    server = serve(answer_but_not_the_second)
    with closing(Client(server.url)) as client:
        assert client.request("GET").status == 200
        assert client.request(method).status == 200
    assert server.requests == [b"GET", method.encode(), method.encode()]


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_change_is_never_sent_twice(serve: Callable, method: str) -> None:
    server = serve(answer_but_not_the_second)
    with closing(Client(server.url)) as client:
        assert client.request("GET").status == 200
        with pytest.raises(CLOSED):
            client.request(method)
    assert server.requests == [b"GET", method.encode()]


def test_a_request_on_a_new_connection_is_not_sent_again(serve: Callable) -> None:
    server = serve(lambda number, connection: False)
    with closing(Client(server.url)) as client, pytest.raises(CLOSED):
        client.request("GET")
    assert server.requests == [b"GET"]


def test_an_answer_that_breaks_off_is_not_asked_for_again(serve: Callable) -> None:
    def after(number: int, connection: socket.socket) -> bool:
        connection.sendall(_ANSWER if number == 1 else _ANSWER[:-1])
        return number == 1

    server = serve(after)
    with closing(Client(server.url)) as client:
        assert client.request("GET").status == 200
        with pytest.raises(Exception, match="IncompleteRead"):
            client.request("GET")
    assert server.requests == [b"GET", b"GET"]
