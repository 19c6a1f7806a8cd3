"""What bulk requests cost: CPU time of all server processes, for one extraction and one deletion of many objects.

    python bench/bulk.py [--files 10000] [--size 4096] [--rounds 1] [--peer AUTH_URL USER KEY --peer-pids PID,PID...]

A store is started in a temporary directory (`objstore serve`, one device, one replica). `--peer` names another server
that speaks Swift's API and runs already; the processes of its groups are counted. Both take turns. The archive is a
plain tar of random files, one container; the deletion names the same objects. Nothing else should use either server
meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import json
import os
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import psutil
from load import Target, log_in
from serve import one

CONTAINER = "bench-bulk"


def archive(files: int, size: int) -> bytes:
    """Return a tar of random files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number in range(files):
            member = tarfile.TarInfo(f"dir-{number % 100}/file-{number}")
            member.size = size
            tar.addfile(member, io.BytesIO(os.urandom(size)))
    return made.getvalue()


def names(files: int) -> bytes:
    """Return the list of a deletion of the same files."""
    return b"".join(b"/%s/dir-%d/file-%d\n" % (CONTAINER.encode(), number % 100, number) for number in range(files))


def processes(pids: list[int]) -> list[psutil.Process]:
    """Return the processes, their children, and the members of their groups."""
    groups = set(pids)
    found = {}
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if each.pid in groups or os.getpgid(each.pid) in groups:
                for process in (each, *each.children(recursive=True)):
                    found[process.pid] = process
    return list(found.values())


def spent(pids: list[int]) -> float:
    """Return the CPU seconds that all processes of a server have used."""
    total = 0.0
    for each in processes(pids):
        with contextlib.suppress(psutil.Error):
            times = each.cpu_times()
            total += times.user + times.system
    return total


def send(target: Target, method: str, query: str, body: bytes, kind: str) -> tuple[float, dict[str, object]]:
    """Send a bulk request; return its seconds and the document of the answer."""
    connection = http.client.HTTPConnection(target.address, timeout=3600)
    headers = {"X-Auth-Token": target.token, "Accept": "application/json", "Content-Type": kind}
    start = time.monotonic()
    connection.request(method, urlsplit(target.prefix).path + query, body, headers)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return time.monotonic() - start, answer


def measure(name: str, target: Target, options: argparse.Namespace, body: bytes) -> dict[str, float]:
    """Return CPU seconds of both requests, and print them with their duration."""
    found = {}
    for case, method, query, sent, counted in (
        ("extract", "PUT", f"/{CONTAINER}?extract-archive=tar", body, "Number Files Created"),
        ("delete", "POST", "?bulk-delete", names(options.files), "Number Deleted"),
    ):
        before = spent(target.pids)
        seconds, answer = send(target, method, query, sent, "text/plain")
        if answer[counted] != options.files:
            sys.exit(f"{name}: {case}: {str(answer)[:500]}")
        found[case] = spent(target.pids) - before
        each = 1e6 * found[case] / options.files
        print(f"{name:8} {case:8} {found[case]:8.2f} s of CPU  {each:8.0f} us each  {seconds:7.1f} s", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=4096, help="bytes of each file")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--peer", nargs=3, metavar=("AUTH_URL", "USER", "KEY"))
    parser.add_argument("--peer-pids", default="", help="of the peer's processes or the leaders of their groups")
    options = parser.parse_args()
    body = archive(options.files, options.size)
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="objstore-bulk-")))
        targets = {"objstore": stack.enter_context(one(root))}
        if options.peer:
            url = urlsplit(options.peer[0])
            pids = [int(pid) for pid in options.peer_pids.split(",")]
            targets["peer"] = log_in(f"{url.scheme}://{url.netloc}", options.peer[1], options.peer[2], pids)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in targets}
        for _ in range(options.rounds):
            for name, target in targets.items():
                found[name].append(measure(name, target, options, body))
    if options.peer:
        for case in ("extract", "delete"):
            ours, theirs = (median(each[case] for each in found[name]) for name in ("objstore", "peer"))
            print(f"{case:8} {ours / theirs:.3f} of the peer's CPU")


if __name__ == "__main__":
    main()
