"""CPU time of a request, against another version of the program: both serve side by side, and take turns.

    git worktree add --detach /tmp/other 278f4a6 && make -C /tmp/other .venv/.installed
    python bench/compare.py /tmp/other [--rounds 4] [--seconds 3] [--cases s3:get4k,swift:list] [--replicas 3]

Each tree is run by its own virtual environment, with one worker. What counts is the CPU time of the worker, by case the
median over the rounds; the supervisor and the daemons are left out. `loop` is what of a PUT the thread of the event
loop takes. S3 requests are presigned URLs. `put64m` runs only if it is named. Needs wrk (which cannot send HEAD).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import hashlib
import hmac
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import quote

import psutil
from load import CONTAINER, LISTED, Case, Target, log_in, put_all, require_wrk, run

HERE = Path(__file__).resolve().parent.parent
SIZE = 4096
CASES = {
    "get4k": Case("GET", SIZE, 16, 2000),
    "list": Case("GET", 0, 8, 1),
    "put4k": Case("PUT", SIZE, 16, 20_000),
    "put64m": Case("PUT", 64 << 20, 2, 8),
}
ALL = [f"{api}:{kind}" for kind in ("get4k", "list", "put4k") for api in ("s3", "swift")]
_PATIENCE = 60.0  # seconds for a store to start or end
_PROGRAM = "import sys; sys.argv[0] = 'objstore'; from objstore.cli.main import main; main()"


class Store(NamedTuple):
    """A running store. worker: its process. keys: as in credentials.json."""

    target: Target
    worker: psutil.Process
    keys: dict[str, str]

    def paths(self, api: str, kind: str) -> list[str]:
        """The targets of a case; what is read has been stored."""
        names = names_of(kind)
        if api == "swift":
            query = f"?format=json&limit={LISTED}" if kind == "list" else ""
            return [self.target.path(name) + query for name in names]
        method = CASES[kind].method
        query = {"list-type": "2", "max-keys": str(LISTED)} if kind == "list" else {}
        return [self.presigned(method, f"/{CONTAINER}/{name}".rstrip("/"), query) for name in names]

    def presigned(self, method: str, path: str, query: dict[str, str]) -> str:
        """A target signed by version 4 in its query."""
        now = datetime.datetime.now(datetime.UTC)
        scope = f"{now:%Y%m%d}/us-east-1/s3/aws4_request"
        items = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{self.keys['access_key']}/{scope}",
            "X-Amz-Date": f"{now:%Y%m%dT%H%M%SZ}", "X-Amz-Expires": "3600", "X-Amz-SignedHeaders": "host", **query,
        }  # fmt: skip
        text = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(items.items()))
        request = f"{method}\n{path}\n{text}\nhost:{self.target.address}\n\nhost\nUNSIGNED-PAYLOAD"
        key = f"AWS4{self.keys['secret_key']}".encode()
        for part in (f"{now:%Y%m%d}", "us-east-1", "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        hashed = hashlib.sha256(request.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{items['X-Amz-Date']}\n{scope}\n{hashed}"
        return f"{path}?{text}&X-Amz-Signature={hmac.new(key, to_sign.encode(), 'sha256').hexdigest()}"


def names_of(kind: str) -> list[str]:
    """Names of objects in turn; '' for the container."""
    if kind == "list":
        return [""]
    stem = f"written-{kind}" if CASES[kind].method == "PUT" else "read"
    return [f"{stem}-{number}" for number in range(CASES[kind].names)]


@contextlib.contextmanager
def store(tree: Path, root: Path, replicas: int) -> Iterator[Store]:
    """Serves what is in a tree; 2,000 objects are there to be read. replicas: if several, on one device more."""
    python = tree / ".venv" / "bin" / "python"
    data, log = root / "data", root / "log"
    command = [str(python), "-c", _PROGRAM, "serve", "--data", str(data), "--bind", "127.0.0.1:0", "--workers", "1"]
    if replicas > 1:
        command += ["--devices", str(replicas + 1), "--replicas", str(replicas)]
    environ = {**os.environ, "PYTHONPATH": str(tree)}
    with open(log, "wb") as file:
        process = subprocess.Popen(command, cwd=tree, env=environ, stdout=file, stderr=file)
    try:
        end = time.monotonic() + _PATIENCE
        while b"is ready" not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > end:
                sys.exit(f"{tree} does not start:\n{log.read_text()}")
            time.sleep(0.05)
        keys: dict[str, Any] = json.loads((data / "credentials.json").read_text())
        target = log_in(keys["endpoint"], keys["user"], keys["key"], [])
        worker = min(psutil.Process(process.pid).children(), key=lambda child: child.pid)
        put_all(target, [target.path(name) for name in names_of("get4k")], os.urandom(SIZE))
        yield Store(target, worker, keys)
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()


def measure(served: Store, api: str, kind: str, seconds: int) -> tuple[float, float]:
    """Microseconds of a request: of the worker, and of its event loop."""
    target = served.target._replace(token=served.target.token if api == "swift" else "")
    paths = served.paths(api, kind)
    before = spent(served.worker)
    figures = run(target, CASES[kind], paths, seconds)
    if figures.errors or not figures.requests:
        sys.exit(f"{api}:{kind}: {figures}")
    after = spent(served.worker)
    return tuple(1e6 * (late - early) / figures.requests for late, early in zip(after, before, strict=True))  # type: ignore[return-value]


def spent(worker: psutil.Process) -> tuple[float, float]:
    """CPU seconds of a worker, and of its first thread."""
    times = worker.cpu_times()
    loop = next(thread for thread in worker.threads() if thread.id == worker.pid)
    return times.user + times.system, loop.user_time + loop.system_time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="the tree of the other version, with its .venv")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=3, help="of each case, version and round")
    parser.add_argument("--cases", default=",".join(ALL))
    parser.add_argument("--replicas", type=int, default=1, help="all in the one process")
    options = parser.parse_args()
    require_wrk()
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="objstore-compare-")))
        stores = {}
        for name, tree in (("other", options.other.resolve()), ("this", HERE)):
            (root / name).mkdir()
            stores[name] = stack.enter_context(store(tree, root / name, options.replicas))
        found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        for turn in range(options.rounds):
            for case in options.cases.split(","):
                for name in sorted(stores, reverse=bool(turn % 2)):
                    found[case, name].append(measure(stores[name], *case.split(":"), options.seconds))
        for case in options.cases.split(","):
            report(case, [figures[0] for figures in found[case, "other"]], [one[0] for one in found[case, "this"]])
            if case.endswith("put4k"):
                other, this = ([one[1] for one in found[case, name]] for name in ("other", "this"))
                report(f"{case} loop", other, this)


def report(case: str, other: list[float], this: list[float]) -> None:
    print(
        f"{case:18} {median(other):8.0f} -> {median(this):8.0f} us   {median(this) / median(other):.2f}"
        f"   least {min(other):8.0f} -> {min(this):8.0f} us   {min(this) / min(other):.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
