"""Commands as processes of their own, ended by their pid whatever happens, and commands in the tests' process."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from objstore.runtime.owners import PRIVATE
from objstore.server.devices import Devices

ROOT = Path(__file__).parents[2]

# How long an example takes says nothing on a busy machine.
settings.register_profile("no deadline", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("no deadline")


def _sync_nothing(fd: int) -> None:
    """Whether bytes are synced in time is shown by the twin of Files that forgets them (`faulty_files`), and by probes;
    here a sync would only take time, which is a third of some tests."""
    os.fstat(fd)  # a closed descriptor is an error


os.fsync = os.fdatasync = _sync_nothing


# All devices that tests have made in this process, for as long as somebody uses them.
_made: weakref.WeakSet[Devices] = weakref.WeakSet()
_make = Devices.__init__


def _make_and_note(self: Devices, *arguments: Any, **options: Any) -> None:
    _make(self, *arguments, **options)
    _made.add(self)


Devices.__init__ = _make_and_note  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def files_of_devices() -> Iterator[None]:
    """Closes the files of the devices that a test has made: thousands of tests share the limit of open files."""
    before = set(_made)
    yield
    for devices in set(_made) - before:
        devices.release()


@pytest.fixture
def collect() -> Iterator[Callable[[], object]]:
    """Frees the garbage that the test has made. What was there before is not looked at, which would take longest."""
    gc.collect()
    gc.freeze()
    yield gc.collect
    gc.unfreeze()


class Running:
    """A command under way. log: what it has said on both its outputs."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen([sys.executable, *arguments], stdout=out, stderr=out, cwd=ROOT)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while text not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.02)

    def end(self, seconds: float = 20) -> int:
        """By SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts `objstore` with arguments, or a script of bin/ where the first begins with `objstore-`."""
    running: list[Running] = []

    def begin(*arguments: str) -> Running:
        command = [f"bin/{arguments[0]}", *arguments[1:]]
        if not arguments[0].startswith("objstore-"):
            command = ["-c", "from objstore.cli.main import main; main(prog_name='objstore')", *arguments]
        running.append(Running(command, tmp_path / f"log{len(running)}"))
        return running[-1]

    yield begin
    for one in running:
        if one.process.poll() is None:
            one.process.terminate()
    for one in running:
        try:
            one.process.wait(10)
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()


def free_ports(count: int, ip: str = "127.0.0.1") -> int:
    """The first of so many ports in a row that no one uses now."""
    for first in range(21000 + time.time_ns() % 9000, 32000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as sock:
                    sock.bind((ip, port))
            return first
        except OSError:
            continue
    raise AssertionError("no free ports")


@pytest.fixture(name="free_ports")
def free_ports_() -> Callable[..., int]:
    return free_ports


class Client:
    """A user's session with a store."""

    def __init__(self, endpoint: str, user: str, key: str) -> None:
        request = urllib.request.Request(f"{endpoint}/auth/v1.0", headers={"X-Auth-User": user, "X-Auth-Key": key})
        with urllib.request.urlopen(request, timeout=10) as answer:
            self.url = answer.headers["X-Storage-Url"]
            self._token = answer.headers["X-Auth-Token"]

    def ask(self, method: str, path: str = "", body: bytes | None = None) -> tuple[dict[str, str], bytes]:
        request = urllib.request.Request(self.url + path, body, {"X-Auth-Token": self._token}, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return dict(answer.headers), answer.read()


@pytest.fixture
def log_in() -> type[Client]:
    return Client


@pytest.fixture(autouse=True, scope="module")
def umask_of_commands() -> Iterator[None]:
    """What commands and servers set for their process; a command that a test calls sets it for this one."""
    before = os.umask(PRIVATE)
    yield
    os.umask(before)
