"""Load on a running store: requests a second, and CPU time of its processes for each request.

    python bench/load.py --data ./data --pid PID [--seconds 5] [--cases get4k,put4k,...]

Speaks the Swift API, with a token, by wrk (https://github.com/wg/wrk; Debian, Ubuntu: apt-get install wrk).
PID is that of the server (`DIR/run/lock` holds it); the processes it has started are counted too. What
one request costs them in CPU time is the steady figure on a machine that does other things besides;
requests a second depend on everything, wrk among it.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil

KIB, MIB = 1 << 10, 1 << 20
CONTAINER = "bench"
_TIMEOUT = 120


class Target(NamedTuple):
    """Where requests go. prefix: of the account, `/v1/AUTH_admin`. pids: whose CPU time counts, with their children."""

    address: str
    prefix: str
    token: str
    pids: Sequence[int]

    def path(self, name: str = "", container: str = CONTAINER) -> str:
        return f"{self.prefix}/{container}/{name}" if name else f"{self.prefix}/{container}"


class Case(NamedTuple):
    """names: how many objects are written or read in turn. size: of each, in bytes."""

    method: str
    size: int
    connections: int
    names: int


class Figures(NamedTuple):
    """Of one case. cpu: seconds of all server processes; memory: their resident bytes at its end."""

    requests: int
    seconds: float
    errors: int
    cpu: float
    memory: int
    median_ms: float
    slow_ms: float  # 99 of 100 requests took less


LISTED = 1000  # names in the container that is listed
CASES = {
    "get4k": Case("GET", 4 * KIB, 16, 500),
    "put4k": Case("PUT", 4 * KIB, 16, 20_000),
    "delete4k": Case("DELETE", 0, 16, 20_000),
    "get64m": Case("GET", 64 * MIB, 2, 4),
    "put64m": Case("PUT", 64 * MIB, 2, 4),
    "list": Case("GET", 0, 4, 1),
}

_SCRIPT = """
local targets, body, place = {}, nil, 0
function init(arguments)
  wrk.method = arguments[1]
  for line in io.lines(arguments[2]) do targets[#targets + 1] = line end
  if arguments[3] then
    local file = io.open(arguments[3], "rb")
    body = file:read("*a")
    file:close()
  end
end
function request()
  place = place % #targets + 1
  return wrk.format(nil, targets[place], nil, body)
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("FIGURES %d %d %d %d %d\\n", summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


def require_wrk() -> str:
    """The path of wrk; ends the program where there is none."""
    found = shutil.which("wrk")
    if found is None:
        sys.exit("This needs wrk, which makes the load. On Debian or Ubuntu: apt-get install wrk")
    return found


def log_in(endpoint: str, user: str, key: str, pids: Sequence[int]) -> Target:
    """With a container to work in."""
    address = urlsplit(endpoint).netloc
    status, headers = _send(address, "GET", "/auth/v1.0", {"X-Auth-User": user, "X-Auth-Key": key})
    if status != 200:
        sys.exit(f"{endpoint} lets {user} not in: {status}")
    target = Target(address, urlsplit(headers["X-Storage-Url"]).path, headers["X-Auth-Token"], pids)
    for container in (CONTAINER, f"{CONTAINER}-listed"):
        _put(target, target.path(container=container), b"")
    return target


def _send(
    address: str, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> tuple[int, http.client.HTTPMessage]:
    with contextlib.closing(http.client.HTTPConnection(address, timeout=_TIMEOUT)) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers


def _put(target: Target, path: str, body: bytes) -> None:
    status, _ = _send(target.address, "PUT", path, {"X-Auth-Token": target.token}, body)
    if status not in (201, 202):
        sys.exit(f"PUT {path}: {status}")


def put_all(target: Target, paths: Iterable[str], body: bytes) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: _put(target, path, body), paths))


def prepare(target: Target, name: str) -> list[str]:
    """Store what the case reads; the paths of its requests."""
    case = CASES[name]
    if name == "list":
        listed = f"{CONTAINER}-listed"
        put_all(target, [target.path(f"row-{number:06d}", listed) for number in range(LISTED)], b"")
        return [f"{target.path(container=listed)}?format=json&limit={LISTED}"]
    written = case.method in ("PUT", "DELETE")
    paths = [target.path(f"{'written' if written else 'read'}-{case.size}-{n}") for n in range(case.names)]
    if case.method == "DELETE":
        paths = [target.path(f"written-{CASES['put4k'].size}-{n}") for n in range(case.names)]
    if not written:
        put_all(target, paths, os.urandom(case.size))
    return paths


def measure(target: Target, name: str, seconds: int) -> Figures:
    """Run one case."""
    figures = run(target, CASES[name], prepare(target, name), seconds)
    # DELETE comes to names a second time, which are then missing.
    return figures._replace(errors=0) if name == "delete4k" else figures


def run(target: Target, case: Case, paths: Sequence[str], seconds: int) -> Figures:
    """Ask for the paths in turn. Their container and what is read must be there."""
    with tempfile.TemporaryDirectory(prefix="objstore-bench-") as directory:
        script, targets, body = (Path(directory, file) for file in ("load.lua", "targets", "body"))
        script.write_text(_SCRIPT)
        targets.write_text("\n".join(paths) + "\n")
        arguments = [case.method, str(targets)]
        if case.method == "PUT":
            body.write_bytes(os.urandom(case.size))
            arguments.append(str(body))
        command = [require_wrk(), "-t1", f"-c{case.connections}", f"-d{seconds}s", "--timeout", f"{_TIMEOUT}s"]
        command += ["-H", f"X-Auth-Token: {target.token}", "-s", str(script), f"http://{target.address}"]
        before, _ = usage(target.pids)
        done = subprocess.run([*command, "--", *arguments], capture_output=True, text=True, check=False)
        after, memory = usage(target.pids)
    lines = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("FIGURES ")]
    if not lines:
        sys.exit(f"wrk failed: {done.stdout}{done.stderr}")
    requests, duration, errors, median, slow = map(int, lines[0])
    return Figures(requests, duration / 1e6, errors, after - before, memory, median / 1e3, slow / 1e3)


def usage(pids: Iterable[int]) -> tuple[float, int]:
    """CPU seconds and resident bytes of processes and all that they have started."""
    cpu, memory = 0.0, 0
    for process in tree(pids):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            # Those of children that have ended are in their parent's; those that run are asked themselves.
            cpu += times.user + times.system + times.children_user + times.children_system
            memory += process.memory_info().rss
    return cpu, memory


def tree(pids: Iterable[int]) -> list[psutil.Process]:
    roots = [psutil.Process(pid) for pid in pids]
    return [*roots, *(child for root in roots for child in root.children(recursive=True))]


def line(name: str, figures: Figures) -> str:
    """One line for people: a small object's cost is told by the request, a large one's by the byte."""
    case = CASES[name]
    count = max(1, figures.requests)
    rate = f"{figures.requests / figures.seconds:9.1f} requests/s"
    cpu = f"{figures.cpu / count * 1e6:10.0f} µs CPU each"
    if case.size >= MIB:
        volume = figures.requests * case.size / 1e9
        rate = f"{volume / figures.seconds:9.3f} GB/s      "
        cpu = f"{volume / max(figures.cpu, 1e-9):10.2f} GB for 1 s CPU"
    errors = f"   {figures.errors} ERRORS" if figures.errors else ""
    waits = f"half within {figures.median_ms:7.1f} ms, 99% within {figures.slow_ms:7.1f} ms"
    return f"{name:10}{rate} {cpu:26} {waits}   {figures.memory / 1e6:6.0f} MB{errors}"


def report(target: Target, names: Iterable[str], seconds: int) -> int:
    """Run cases and print a line for each; how many errors there were."""
    errors = 0
    for name in names:
        figures = measure(target, name, seconds)
        print(line(name, figures), flush=True)
        errors += figures.errors
    return errors


def case_names(text: str) -> list[str]:
    names = text.split(",")
    unknown = set(names) - CASES.keys()
    if unknown:
        raise argparse.ArgumentTypeError(f"no such cases: {', '.join(sorted(unknown))}; known are {', '.join(CASES)}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the directory of `objstore serve`")
    parser.add_argument("--pid", type=int, help="of the server, where DIR/run/lock does not tell")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--cases", type=case_names, default=list(CASES))
    options = parser.parse_args()
    require_wrk()
    known = json.loads((options.data / "credentials.json").read_text())
    pid = options.pid or int((options.data / "run/lock").read_text())
    target = log_in(known["endpoint"], known["user"], known["key"], [pid])
    sys.exit(1 if report(target, options.cases, options.seconds) else 0)


if __name__ == "__main__":
    main()
