"""What static large objects cost: CPU time of all server processes, and the speed of a read.

    python bench/large_objects.py [--rounds 3] [--peer AUTH_URL USER KEY --peer-pids PID,PID...]

A store is started in a temporary directory (`objstore serve`, one device, one replica). `--peer` names another server
that speaks Swift's API and runs already, as for `bench/bulk.py`. Both take turns. Cases:

- get: a large object of ten segments of 10 MiB, read whole
- plain: an object of 100 MiB, read whole
- range: 4 KiB of the large object, at changing places
- put: a manifest of 1,000 segments, each with its etag
- plain-range: 4 KiB of the plain object
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from bulk import spent
from load import Target, log_in
from serve import one

CONTAINER, SEGMENTS = "bench-large", "bench-large-segments"
MIB = 1 << 20
PARTS, PART = 10, 10 * MIB
SMALL = 1000
REQUESTS = {"get": 10, "plain": 10, "range": 300, "plain-range": 300, "put": 2}


class Session:
    """One connection to a target."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._connection = http.client.HTTPConnection(target.address, timeout=600)

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        """Send a request and return the body of its answer. Exits if it fails."""
        sent = {"X-Auth-Token": self._target.token, **{name.replace("_", "-"): text for name, text in headers.items()}}
        self._connection.request(method, urlsplit(self._target.prefix).path + path, body, sent)
        response = self._connection.getresponse()
        received = response.read()
        if not 200 <= response.status < 300:
            sys.exit(f"{self._target.address}: {method} {path}: {response.status} {received[:300]!r}")
        return received

    def drain(self, path: str, **headers: str) -> int:
        """Read an object without storing it; return its size."""
        sent = {"X-Auth-Token": self._target.token, **headers}
        self._connection.request("GET", urlsplit(self._target.prefix).path + path, headers=sent)
        response = self._connection.getresponse()
        size, buffer = 0, bytearray(MIB)
        while count := response.readinto(buffer):
            size += count
        return size


def prepare(session: Session) -> None:
    """Store the objects that are read."""
    for container in (CONTAINER, SEGMENTS):
        session.send("PUT", f"/{container}")
    block = os.urandom(PART)
    entries = []
    for number in range(PARTS):
        session.send("PUT", f"/{SEGMENTS}/part-{number}", block)
        entries.append({"path": f"/{SEGMENTS}/part-{number}"})
    session.send("PUT", f"/{CONTAINER}/large?multipart-manifest=put", json.dumps(entries).encode())
    session.send("PUT", f"/{CONTAINER}/plain", block * PARTS)
    for number in range(SMALL):
        session.send("PUT", f"/{SEGMENTS}/small-{number:04d}", b"%04d" % number)


def document() -> bytes:
    """Return the document of a manifest of the small segments."""
    return json.dumps(
        [
            {
                "path": f"/{SEGMENTS}/small-{number:04d}",
                "etag": hashlib.md5(b"%04d" % number).hexdigest(),
                "size_bytes": 4,
            }
            for number in range(SMALL)
        ]
    ).encode()


def run(session: Session, case: str) -> None:
    """Send the requests of a case."""
    for number in range(REQUESTS[case]):
        if case in ("get", "plain"):
            name = "large" if case == "get" else "plain"
            if session.drain(f"/{CONTAINER}/{name}") != PARTS * PART:
                sys.exit(f"{case} is short")
        elif case == "put":
            session.send("PUT", f"/{CONTAINER}/thousand?multipart-manifest=put", document())
        else:
            start = number * 337_777 % (PARTS * PART - 4096)
            name = "large" if case == "range" else "plain"
            answer = session.send("GET", f"/{CONTAINER}/{name}", Range=f"bytes={start}-{start + 4095}")
            if len(answer) != 4096:
                sys.exit(f"{case}: {len(answer)} bytes")


def clean(session: Session, cases: list[str]) -> None:
    for number in range(PARTS):
        session.send("DELETE", f"/{SEGMENTS}/part-{number}")
    for number in range(SMALL):
        session.send("DELETE", f"/{SEGMENTS}/small-{number:04d}")
    for name in ("large", "plain", *(("thousand",) if "put" in cases else ())):
        session.send("DELETE", f"/{CONTAINER}/{name}")
    for container in (CONTAINER, SEGMENTS):
        session.send("DELETE", f"/{container}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", default=",".join(REQUESTS))
    parser.add_argument("--peer", nargs=3, metavar=("AUTH_URL", "USER", "KEY"))
    parser.add_argument("--peer-pids", default="", help="of the peer's processes or the leaders of their groups")
    options = parser.parse_args()
    cases = options.cases.split(",")
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="objstore-large-")))
        targets = {"objstore": stack.enter_context(one(root))}
        if options.peer:
            url = urlsplit(options.peer[0])
            pids = [int(pid) for pid in options.peer_pids.split(",")]
            targets["peer"] = log_in(f"{url.scheme}://{url.netloc}", options.peer[1], options.peer[2], pids)
        sessions = {name: Session(target) for name, target in targets.items()}
        for session in sessions.values():
            prepare(session)
        figures: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        for _ in range(options.rounds):
            for case in cases:
                for name, session in sessions.items():
                    cpu, began = spent(targets[name].pids), time.monotonic()
                    run(session, case)
                    count = REQUESTS[case]
                    seconds = (time.monotonic() - began) / count
                    figures[name, case].append(((spent(targets[name].pids) - cpu) / count, seconds))
        for session in sessions.values():
            clean(session, cases)
    for case in cases:
        line = f"{case:12}"
        for name in sessions:
            cpu, seconds = (median(column) for column in zip(*figures[name, case], strict=True))
            line += f"  {name}: {1e3 * cpu:9.2f} ms of CPU, {1e3 * seconds:9.2f} ms"
        if options.peer:
            ours, theirs = (median(cpu for cpu, _ in figures[name, case]) for name in ("objstore", "peer"))
            line += f"  {ours / theirs:.3f} of the peer's CPU"
        print(line)


if __name__ == "__main__":
    main()
