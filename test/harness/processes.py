"""Programs that a test starts: ended by their ids, and never outliving the test."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

READY_SECONDS = 180  # most of it is for busy machines
_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def obey_permissions() -> None:
    """Let what is started now mind the permissions of files, even as root. No error where that cannot be had."""
    _LIBC.prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE)


def wait_until(condition: Callable[[], Any], what: str, seconds: float = READY_SECONDS) -> Any:
    """The first true value of a condition; fails the test after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        time.sleep(0.02)
    return value


def find(root: Path, pattern: str) -> list[Path]:
    """As `Path.glob`, which raises where a directory goes while it is being read."""
    while True:
        try:
            return list(root.glob(pattern))
        except FileNotFoundError:
            continue


class Program:
    """A command that runs in a process of its own. log: file that takes its output.

    environment: None for this process's own.
    """

    def __init__(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.arguments = list(arguments)
        self.log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        assert not self.running
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=self._begin,
                env=self._environment,
            )

    def _begin(self) -> None:
        """In the new process, before its program."""
        die_with_parent()

    def tree(self) -> list[psutil.Process]:
        """The process and those it has started."""
        try:
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> None:
        """End it in peace; fails the test, and kills, where that does not work."""
        stop([self])

    def kill(self) -> None:
        """End the whole tree at once, as a power cut would."""
        kill([self])

    def pause(self) -> None:
        """Let it hang: its connections stay, and nothing answers."""
        for process in self.tree():
            send(process, signal.SIGSTOP)

    def resume(self) -> None:
        if self.running:
            for process in self.tree():
                send(process, signal.SIGCONT)

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def memory(self) -> int:
        """Bytes of resident memory of the whole tree."""
        return sum(process.memory_info().rss for process in self.tree())

    def wait(self) -> None:
        """Take note of its end."""
        if self._process is not None:
            self._process.wait()


def kill(programs: Sequence[Program]) -> None:
    """End the trees of all programs at once."""
    doomed = [process for program in programs if program.running for process in program.tree()]
    for process in doomed:
        send(process, signal.SIGKILL)
    psutil.wait_procs(doomed, timeout=READY_SECONDS)
    for program in programs:
        program.wait()


def stop(programs: Sequence[Program]) -> None:
    """Tell all programs to end; fails the test, and kills, where one does not."""
    running = [program for program in programs if program.running]
    trees = [process for program in running for process in program.tree()]
    for program in running:
        send(program.tree()[0], signal.SIGTERM)
    _, left = psutil.wait_procs(trees, timeout=READY_SECONDS)
    for process in left:
        send(process, signal.SIGKILL)
    for program in running:
        program.wait()
    assert not left, f"had to be killed: {left}\n" + "\n".join(program.output()[-2000:] for program in running)


def send(process: psutil.Process, number: int) -> None:
    """A signal; one that has ended meanwhile needs none."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        pass


def command(*arguments: str) -> list[str]:
    """`objstore ARGUMENTS` as this Python runs it."""
    return [str(Path(sys.executable).with_name("objstore")), *arguments]


S3_FILTER = "[filter:s3]\nuse = egg:objstore#s3\n"  # how its section begins in the proxy's configuration


class Serve(Program):
    """`objstore serve` on a free port. data: its directory; options as on the command line."""

    def __init__(self, data: Path, log: Path, **options: int | str) -> None:
        self.data = data
        given = {"bind": "127.0.0.1:0", "workers": 2, **options}
        flags = [part for name, value in given.items() for part in (f"--{name}", str(value))]
        super().__init__(command("serve", "--data", str(data), *flags), log)

    def start(self) -> None:
        (self.data / "credentials.json").unlink(missing_ok=True)
        super().start()
        wait_until(self._ready, f"`{' '.join(self.arguments)}` to be ready")

    def start_with(self, before: str, after: str) -> None:
        """Start a new store whose proxy has, in its configuration, other text in place of the first `before`."""
        self.start()
        self.stop()
        conf = self.data / "etc" / "proxy-server.conf"
        text = conf.read_text()
        assert before in text
        conf.write_text(text.replace(before, after, 1))
        self.start()

    def _ready(self) -> bool:
        assert self.running, f"`{' '.join(self.arguments)}` ended:\n{self.output()}"
        return (self.data / "credentials.json").exists()

    @property
    def credentials(self) -> Mapping[str, str]:
        known: dict[str, str] = json.loads((self.data / "credentials.json").read_text())
        return known


def run(*arguments: str) -> str:
    """What `objstore ARGUMENTS` prints; fails the test where it fails."""
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=READY_SECONDS, check=False)
    assert done.returncode == 0, f"objstore {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


def environment(name: str) -> str | None:
    return os.environ.get(name) or None
