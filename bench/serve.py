"""What requests cost end to end: a store is started in a temporary directory, and loaded (see load.py).

    python bench/serve.py [--dir DIR] [--seconds 5] [--stores one,three] [--cases get4k,put4k,...]

`one` is `objstore serve` as it comes: one device, one replica, storage servers called in process. `three` is a
cluster as `objstore init` describes it: three hosts on 127.0.0.1 to 127.0.0.3 with an object, a container and
an account server each, three replicas, and a proxy that speaks HTTP to them.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from load import CASES, Target, case_names, log_in, report, require_wrk, tree

BIN = Path(__file__).parents[1] / "bin"
OBJSTORE = str(Path(sys.executable).with_name("objstore"))
HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
STORAGE = ("object", "container", "account")  # in the order of their ports
_PATIENCE = 60.0


@contextlib.contextmanager
def one(root: Path, workers: int | None = None) -> Iterator[Target]:
    """workers: one a core, where not told."""
    arguments = [OBJSTORE, "serve", "--data", str(root / "data"), "--bind", "127.0.0.1:0"]
    if workers is not None:
        arguments += ["--workers", str(workers)]
    with _running([_start(arguments, root / "serve.log")]) as pids:
        credentials = root / "data/credentials.json"
        _wait(credentials.exists, "objstore serve")
        known = json.loads(credentials.read_text())
        _tell_memory(pids)
        yield log_in(known["endpoint"], known["user"], known["key"], pids)


@contextlib.contextmanager
def three(root: Path) -> Iterator[Target]:
    port = _free_ports()
    cluster, proxy_port = root / "cluster", port + len(STORAGE)
    hosts = [option for host in HOSTS for option in ("--host", f"{host}:{port}")]
    plan = ["--replicas", "3", "--no-mount-check", "--proxy-port", str(proxy_port)]
    subprocess.run([OBJSTORE, "init", str(cluster), *hosts, *plan], stdout=subprocess.DEVNULL, check=True)
    addresses, started = [("127.0.0.1", proxy_port)], []
    for host in HOSTS:
        devices = root / host
        (devices / "d1").mkdir(parents=True)
        for offset, kind in enumerate(STORAGE):
            options = ["--bind-ip", host, "--devices", str(devices), "--workers", "1"]
            started.append(_server(root, cluster, kind, host, options))
            addresses.append((host, port + offset))
    started.append(_server(root, cluster, "proxy", HOSTS[0], ["--bind-ip", HOSTS[0]]))
    with _running(started) as pids:
        for address in addresses:
            _wait(lambda address=address: _healthy(*address), f"{address[0]}:{address[1]}")  # type: ignore[misc]
        users = json.loads((cluster / "users.json").read_text())["users"]
        name, user = next(iter(users.items()))
        _tell_memory(pids)
        yield log_in(f"http://127.0.0.1:{proxy_port}", name, user["key"], pids)


STORES = {"one": one, "three": three}


def _server(root: Path, cluster: Path, kind: str, host: str, options: list[str]) -> subprocess.Popen[bytes]:
    program = BIN / f"objstore-{kind}-server"
    return _start([str(program), str(cluster / f"{kind}-server.conf"), *options], root / f"{kind}-{host}.log")


def _start(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    with open(log, "ab") as file:
        return subprocess.Popen([sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=file, stderr=file)


@contextlib.contextmanager
def _running(started: list[subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """The ids of processes, which are ended at the end."""
    try:
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(ready: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _PATIENCE
    while not ready():
        if time.monotonic() > end:
            sys.exit(f"{what} did not become ready")
        time.sleep(0.05)


def _healthy(host: str, port: int) -> bool:
    try:
        with contextlib.closing(http.client.HTTPConnection(host, port, timeout=2)) as connection:
            connection.request("GET", "/healthcheck")
            return connection.getresponse().status == 200
    except OSError:
        return False


def _free_ports() -> int:
    """The first of the ports in a row that storage servers and proxy need, free on all hosts."""
    while True:
        first = random.randrange(20_000, 30_000)
        with contextlib.ExitStack() as stack:
            try:
                for host in HOSTS:
                    for port in range(first, first + len(STORAGE) + 1):
                        sock = stack.enter_context(socket.socket())
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        sock.bind((host, port))
            except OSError:
                continue
            return first


def _tell_memory(pids: list[int]) -> None:
    """What idle processes hold: pages that several share count for each by its part (PSS)."""
    sizes = []
    for process in tree(pids):
        with contextlib.suppress(psutil.Error):
            sizes.append(process.memory_full_info().pss / 1e6)
    print(f"{len(sizes)} processes, idle: {sum(sizes):.0f} MB together, the largest {max(sizes):.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", help="a directory on the disk to measure")
    parser.add_argument("--seconds", type=int, default=5, help="for each case")
    parser.add_argument("--stores", default=",".join(STORES))
    parser.add_argument("--cases", type=case_names, default=list(CASES))
    options = parser.parse_args()
    require_wrk()
    errors = 0
    for name in options.stores.split(","):
        if name not in STORES:
            parser.error(f"no such store: {name}; known are {', '.join(STORES)}")
        print(f"-- {name}")
        directory = tempfile.TemporaryDirectory(prefix="objstore-bench-", dir=options.dir)
        with directory as root, STORES[name](Path(root)) as target:
            errors += report(target, options.cases, options.seconds)
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
