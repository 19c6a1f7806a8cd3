from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from objstore.core.errors import ConfigError
from objstore.runtime.supervisor import Supervisor, restart_delay
from objstore.runtime.workers import Role

ROOT = Path(__file__).parents[3]

# A service of two web workers and a daemon. What the workers say, and how they behave, is read
# from files, as settings are, so that a reload shows.
PROGRAM = """
import logging, os, sys, time
from pathlib import Path
from objstore.http.server import ServerSettings, Server
from objstore.runtime import green, settings
from objstore.runtime.supervisor import Supervisor
from objstore.runtime.workers import Role

place = Path(sys.argv[1])
logging.basicConfig(level=logging.DEBUG)
logger = logging.getLogger()

def web(worker):
    text = (place / "text").read_text()
    if text == "fail":
        raise SystemExit(3)
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            green.sleep(0.5)
        if environ["PATH_INFO"] == "/slower":
            green.sleep(1.2)
        if environ["PATH_INFO"] == "/stuck":
            time.sleep(60)
        body = f"{text} {os.getpid()}".encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    server = Server(worker.sockets[0], app, settings.read(ServerSettings, {}), logger)
    green.spawn(server.serve)
    worker.ready()
    worker.wait_for_drain()
    server.drain()

def daemon(worker):
    worker.ready()
    worker.wait_for_drain()
    (place / "drained").write_text("yes")
    green.sleep(0.05)

supervisor = Supervisor(
    [Role("web", 2, web, [("127.0.0.1", 0)]), Role("daemon", 1, daemon)],
    logger,
    graceful_timeout=1.5,
    on_ready=lambda: (place / "port").write_text(str(supervisor.addresses["web"][0][1])),
)
sys.exit(supervisor.run())
"""


class Service:
    """The program as a process of its own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, text: str = "one") -> None:
        (self.place / "text").write_text(text)
        self.log = (self.place / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.place)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=self.log,
            stdout=self.log,
        )

    def wait_ready(self) -> None:
        wait_for(lambda: (self.place / "port").exists() and (self.place / "port").read_text())
        self.port = int((self.place / "port").read_text())

    def get(self, path: str = "/", timeout: float = 5) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def pid(self) -> int:
        """Of one of the web workers."""
        return int(self.get().split()[1])

    def children(self) -> set[int]:
        assert self.process is not None
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, timeout: float = 10) -> int:
        assert self.process is not None
        return self.process.wait(timeout)

    def logged(self) -> str:
        return (self.place / "log").read_text()


def wait_for(condition: object, timeout: float = 10) -> None:
    end = time.monotonic() + timeout
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    process = service.process
    if process is not None:
        children = service.children() if process.poll() is None else set()
        if process.poll() is None:
            process.kill()
            process.wait()
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        service.log.close()


def test_all_roles_run_and_end_in_order(service: Service) -> None:
    service.start()
    service.wait_ready()
    assert len(service.children()) == 3
    assert service.get().startswith("one ")
    service.signal(signal.SIGTERM)
    assert service.wait() == 0
    assert (service.place / "drained").read_text() == "yes"


def test_killed_worker_is_replaced(service: Service) -> None:
    service.start()
    service.wait_ready()
    before = service.children()
    victim = service.pid()
    os.kill(victim, signal.SIGKILL)
    for _ in range(20):  # also those whose connection waits at the dead worker's socket are served
        assert service.get().startswith("one ")
    wait_for(lambda: len(service.children()) == 3)
    assert service.children() - before
    assert victim not in service.children()


def test_reload_reads_settings_and_drops_no_connection(service: Service) -> None:
    service.start()
    service.wait_ready()
    before = service.children()
    failures: list[Exception] = []
    stop = threading.Event()

    def client() -> None:
        while not stop.is_set():
            try:
                assert service.get().split()[0] in ("one", "two")
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=client) for _ in range(2)]
    for thread in threads:
        thread.start()
    slow = threading.Thread(target=lambda: failures.append(ValueError()) if "one" not in service.get("/slow") else None)
    slow.start()
    time.sleep(0.1)
    (service.place / "text").write_text("two")
    service.signal(signal.SIGHUP)
    wait_for(lambda: len(service.children()) == 3 and not service.children() & before)
    slow.join()
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert service.get().startswith("two ")


def test_failed_reload_keeps_the_old_processes(service: Service) -> None:
    service.start()
    service.wait_ready()
    before = service.children()
    (service.place / "text").write_text("fail")
    service.signal(signal.SIGHUP)
    wait_for(lambda: "the reload failed" in service.logged())
    wait_for(lambda: service.children() == before)
    assert service.get().startswith("one ")
    (service.place / "text").write_text("three")
    service.signal(signal.SIGHUP)
    wait_for(lambda: len(service.children()) == 3 and not service.children() & before)
    assert service.get().startswith("three ")


def test_failing_first_start_is_given_up(service: Service) -> None:
    service.start("fail")
    assert service.wait() == 1
    assert "failed to start" in service.logged()
    assert not (service.place / "port").exists()


def test_running_requests_end_before_the_process(service: Service) -> None:
    service.start()
    service.wait_ready()
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(service.get("/slow")))
    thread.start()
    time.sleep(0.2)
    service.signal(signal.SIGINT)
    thread.join()
    assert answers[0].startswith("one ")
    assert service.wait() == 0


def test_the_port_is_closed_while_a_request_goes_on(service: Service) -> None:
    # It took connections that nobody answered for as long as the longest request went on.
    service.start()
    service.wait_ready()
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(service.get("/slower")))
    thread.start()
    time.sleep(0.2)
    service.signal(signal.SIGTERM)

    def refused() -> bool:
        try:
            socket.create_connection(("127.0.0.1", service.port), timeout=0.1).close()
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            pass  # the moment before
        return False

    wait_for(refused)
    assert not answers
    thread.join()
    assert answers[0].startswith("one ")
    assert service.wait() == 0


def test_no_connection_that_was_taken_is_reset_at_the_end(service: Service) -> None:
    service.start()
    service.wait_ready()
    outcomes: list[str] = []

    def client() -> None:
        while True:
            try:
                sock = socket.create_connection(("127.0.0.1", service.port), timeout=5)
            except OSError:
                return
            try:
                with sock:
                    sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                    outcomes.append(sock.recv(1000)[:12].decode())
            except OSError as error:
                outcomes.append(str(error))

    threads = [threading.Thread(target=client) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    service.signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert len(outcomes) > 100
    assert set(outcomes) == {"HTTP/1.1 200"}


def test_stuck_worker_is_killed_in_the_end(service: Service) -> None:
    service.start()
    service.wait_ready()
    with socket.create_connection(("127.0.0.1", service.port)) as sock:
        sock.sendall(b"GET /stuck HTTP/1.1\r\nHost: h\r\n\r\n")
        time.sleep(0.2)
        service.signal(signal.SIGTERM)
        assert service.wait(5) == 0
    assert "by signal 9" in service.logged()


def test_children_end_when_the_parent_dies(service: Service) -> None:
    service.start()
    service.wait_ready()
    children = service.children()
    service.signal(signal.SIGKILL)
    service.wait()
    wait_for(lambda: not any(psutil.pid_exists(pid) and _is_running(pid) for pid in children), 5)


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_port_in_use_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as sock, pytest.raises(ConfigError, match="in use"):
        Supervisor([Role("web", 1, lambda worker: None, [sock.getsockname()])], logger=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("previous", "lived", "delay"),
    [(0.0, 5.0, 0.0), (0.0, 0.1, 0.1), (0.1, 0.1, 0.2), (0.1, 5.0, 0.2), (20.0, 0.1, 30.0), (30.0, 60.0, 0.0)],
)
def test_processes_that_die_young_are_restarted_more_and_more_slowly(
    previous: float, lived: float, delay: float
) -> None:
    assert restart_delay(previous, lived) == delay
