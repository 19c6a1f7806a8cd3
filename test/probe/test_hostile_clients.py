"""Clients that are slow, break off or ask for too much at a time, against one store in one place."""

from __future__ import annotations

import http.client
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest
from harness.client import Client, log_in
from harness.processes import Serve, wait_until

SLOW_CLIENTS = 1500  # more than a worker serves at a time
FORM = (
    b"POST /bucket HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n"
    b"Content-Type: multipart/form-data; boundary=B\r\n\r\n"
    b'--B\r\nContent-Disposition: form-data; name="key"\r\n\r\nk'
)
MIB = 1 << 20


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    directory = tmp_path_factory.mktemp("serve")
    serve = Serve(directory / "data", directory / "log", workers=1)
    serve.start()
    yield serve
    serve.stop()


@pytest.fixture
def client(store: Serve) -> Iterator[Client]:
    known = store.credentials
    made = log_in(known["endpoint"], known["user"], known["key"])
    made.put("c")
    yield made
    made.close()


@pytest.fixture
def address(store: Serve) -> tuple[str, int]:
    host, _, port = store.credentials["endpoint"].removeprefix("http://").rpartition(":")
    return host, int(port)


def worker_of(store: Serve) -> psutil.Process:
    """The process that listens besides the supervisor."""
    (listening,) = [
        child
        for child in store.tree()[1:]
        if any(connection.status == "LISTEN" for connection in child.net_connections("tcp"))
    ]
    return listening


def timed(address: tuple[str, int], path: str, headers: dict[str, str]) -> tuple[int, float]:
    """The status of a GET over a new connection, and how many seconds it took."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(*address, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        response.read()
        return response.status, time.monotonic() - began
    finally:
        connection.close()


def test_slow_form_posts_keep_nobody_out(store: Serve, client: Client, address: tuple[str, int]) -> None:
    # They took all places of all workers, without a key.
    client.put("c/o", b"content")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as stack:
        for _ in range(SLOW_CLIENTS):
            slow = stack.enter_context(socket.create_connection(address, timeout=20))
            try:
                slow.sendall(FORM)
            except OSError:
                pass  # it has made room for another
        time.sleep(0.5)
        for path, headers in (
            ("/healthcheck", {}),
            (f"/v1/{client.account}/c/o", {"X-Auth-Token": client.token}),
        ):
            answers = [timed(address, path, headers) for _ in range(7)]
            assert {status for status, _ in answers} == {200}
            assert sorted(seconds for _, seconds in answers)[5] < 1  # of a busy machine one may be late
        # max_guests_per_address, and the store's own files, when the last have had their time
        wait_until(
            lambda: timed(address, "/healthcheck", {})[0] == 200 and worker_of(store).num_fds() < 700,
            "slow clients to make room",
        )


def test_broken_uploads_and_downloads_leave_no_memory_in_use(
    store: Serve, client: Client, address: tuple[str, int]
) -> None:
    # 1,200 of them made a worker larger by 350 MB.
    client.put("c/large", bytes(3 * MIB))
    lines = f"Host: h\r\nX-Auth-Token: {client.token}\r\n"
    target = f"/v1/{client.account}/c"
    starts = (
        f"PUT {target}/o HTTP/1.1\r\n{lines}Content-Length: {2 * MIB}\r\n\r\n",
        f"PUT {target}/o HTTP/1.1\r\n{lines}Transfer-Encoding: chunked\r\n\r\n200000\r\n",
        f"GET {target}/large HTTP/1.1\r\n{lines}\r\n",
    )

    def break_off(number: int) -> None:
        start = starts[number % len(starts)]
        with socket.create_connection(address, timeout=20) as sock:
            sock.sendall(start.encode())
            if start[:3] == "PUT":
                sock.sendall(bytes(MIB))
            else:
                sock.recv(1000)

    worker = worker_of(store)
    for number in range(60):
        break_off(number)
    before = worker.memory_info().rss
    for number in range(1000):
        break_off(number)
    end = time.monotonic() + 15
    while (grown := worker.memory_info().rss - before) > 20 * MIB and time.monotonic() < end:
        time.sleep(0.5)
    assert grown < 20 * MIB


def test_pipelined_requests_leave_others_their_turn(client: Client, address: tuple[str, int]) -> None:
    # Twenty connections with 1,500 requests each made a newcomer wait for 6 to 11 s.
    request = f"GET /v1/{client.account}/c/none HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    with ExitStack() as stack:
        for _ in range(20):
            sock = stack.enter_context(socket.create_connection(address, timeout=20))
            sock.setblocking(False)
            try:
                sock.send(request * 1500)
            except BlockingIOError:
                pass
        time.sleep(0.2)
        waits = sorted(timed(address, "/healthcheck", {})[1] for _ in range(7))
        assert waits[3] < 0.2
        assert waits[-1] < 1
