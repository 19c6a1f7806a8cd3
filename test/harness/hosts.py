"""What a cluster's hosts live in: their clocks, the room on their devices, and the network between them."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from harness.processes import die_with_parent
from harness.relay import Rule

START_FILES = Path(__file__).with_name("host")  # has the sitecustomize.py of servers
RELAY_OFFSET = 4  # the relay's port in front of a server's port
PROXY = "127.0.0.99"  # whence a proxy's connections come
_STATE = struct.Struct("<dd")


class State:
    """What the processes of one host are told at any time: see `host/sitecustomize.py`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ahead = 0.0
        self._full = False
        self._write()

    @property
    def ahead(self) -> float:
        """Seconds by which the clock is ahead."""
        return self._ahead

    def set_clock(self, ahead: float) -> None:
        self._ahead = ahead
        self._write()

    def set_full(self, full: bool) -> None:
        """Do the devices say that they have no free space?"""
        self._full = full
        self._write()

    def mend(self) -> None:
        if self._ahead or self._full:
            self._ahead, self._full = 0.0, False
            self._write()

    def _write(self) -> None:
        # In its place, as servers have it mapped.
        with open(os.open(self.path, os.O_RDWR | os.O_CREAT), "r+b") as file:
            file.write(_STATE.pack(self._ahead, self._full))


def environment(state: State, source: str, ports: tuple[int, int]) -> dict[str, str]:
    """For a server of a host. ports: the first and last of storage servers, before which the relay stands."""
    paths = [str(START_FILES), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "HARNESS_STATE": str(state.path),
        "HARNESS_SOURCE": source,
        "HARNESS_RELAYS": f"{ports[0]} {ports[1]} {RELAY_OFFSET}",
    }


class Network:
    """The relay that stands in front of all storage servers, and what it does to connections."""

    def __init__(self, log: Path) -> None:
        self.rules: list[Rule] = []
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self, servers: Iterable[tuple[str, int]]) -> None:
        with open(self._log, "a") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("relay.py"))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=die_with_parent,
            )  # fmt: skip
        self.serve(servers)

    def serve(self, servers: Iterable[tuple[str, int]]) -> None:
        """Stand in front of more servers."""
        self._tell(doors=[[*address, RELAY_OFFSET] for address in servers])

    def stop(self) -> None:
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def add(self, *rules: Rule) -> None:
        self.set([*self.rules, *rules])

    def remove(self, *rules: Rule) -> None:
        self.set([rule for rule in self.rules if rule not in rules])

    def mend(self) -> None:
        if self.rules:
            self.set([])

    def set(self, rules: list[Rule]) -> None:
        self.rules = rules
        self._tell(rules=rules)

    def _tell(self, **command: object) -> None:
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(command), file=self._process.stdin, flush=True)
        assert self._process.stdout.readline(), f"the relay ended:\n{self._log.read_text()}"


def between(one: Iterable[str], other: Iterable[str], action: str = "hang", value: float = 0.0) -> list[Rule]:
    """Rules for all that goes between two sets of addresses, in both directions."""
    pairs = [(a, b) for a in one for b in other]
    return [Rule(source, host, 0, action, value) for a, b in pairs for source, host in ((a, b), (b, a))]
