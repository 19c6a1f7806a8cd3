"""Count what requests touch: the files, functions and calls of the store on the way of six kinds of requests.

    python bench/trips.py            print the counts, with the processor time of each request
    python bench/trips.py --check    exit with 1 if a count is more than a tenth above the one noted here

Each request passes the pipeline of a fresh store of one device in this process, without HTTP, after it was made
often enough for caches to be warm. Functions are those of the package, counted once each; calls are all of them.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import hmac
import io
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import objstore
from objstore.assembly import embedded, processes
from objstore.assembly.data_dir import LOCAL_ADDRESSES, DataDir, prepare, write_credentials
from objstore.runtime import green
from objstore.swift.app import ProxyApp
from objstore.web import pipeline

PACKAGE = os.path.dirname(objstore.__file__)
HOST = "127.0.0.1:8080"
CONTENT = os.urandom(4096)
WARMING = 300
ROUNDS = 2000
TOLERANCE = 1.1


class Trip(NamedTuple):
    """Counts of one request. cpu: microseconds of the process."""

    files: int
    functions: int
    calls: int
    cpu: float = 0.0


# Those of today, which must not grow by more than a tenth.
NOTED = {
    "Swift GET 4 KiB": Trip(67, 138, 146),
    "Swift list": Trip(61, 160, 189),
    "S3 GET 4 KiB": Trip(75, 175, 193),
    "S3 list": Trip(67, 180, 274),
    "S3 PUT 4 KiB": Trip(105, 304, 375),
    "S3 PUT If-Match": Trip(113, 342, 423),
}
# Those of version 0.1.
FORMER = {
    "Swift GET 4 KiB": Trip(55, 199, 257),
    "Swift list": Trip(60, 213, 321),
    "S3 GET 4 KiB": Trip(77, 275, 364),
    "S3 list": Trip(76, 286, 499),
    "S3 PUT 4 KiB": Trip(101, 474, 741),
    "S3 PUT If-Match": Trip(104, 491, 813),
}


class Store:
    """A store of one device in this process, with the keys of its user."""

    def __init__(self, root: Path) -> None:
        data = DataDir(str(root))
        prepare(data, 1, 1)
        _, local = embedded._storage(data)
        self.app = processes.load_pipeline(data.proxy_conf, {"log_to": "none"})
        proxy = pipeline.find_app(self.app, ProxyApp)
        assert proxy is not None
        proxy.cluster.transports.use_local(local, LOCAL_ADDRESSES)
        self.known = write_credentials(data, f"http://{HOST}")
        self.token = ""

    def ask(
        self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, Any]:
        """Status and headers of the answer, whose body is read."""
        status: list[Any] = []

        def start_response(line: str, pairs: list[tuple[str, str]], exc_info: Any = None) -> None:
            status[:] = (int(line[:3]), dict(pairs))

        answer = self.app(environ_of(method, target, headers or {}, body), start_response)
        for _ in answer:
            pass
        close = getattr(answer, "close", None)
        if close is not None:
            close()
        return status[0], status[1]

    def log_in(self) -> str:
        """The path of the account; its token goes along with Swift's requests from now on."""
        _, headers = self.ask("GET", "/auth/v1.0", {"X-Auth-User": self.known["user"], "X-Auth-Key": self.known["key"]})
        self.token = headers["X-Auth-Token"]
        return "/" + headers["X-Storage-Url"].split("/", 3)[3]

    def presigned(self, method: str, path: str, query: dict[str, str] | None = None) -> str:
        """A target signed by version 4 in its query."""
        now = datetime.datetime.now(datetime.UTC)
        scope = f"{now:%Y%m%d}/us-east-1/s3/aws4_request"
        items = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{self.known['access_key']}/{scope}",
            "X-Amz-Date": f"{now:%Y%m%dT%H%M%SZ}", "X-Amz-Expires": "3600", "X-Amz-SignedHeaders": "host",
            **(query or {}),
        }  # fmt: skip
        text = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(items.items()))
        request = f"{method}\n{path}\n{text}\nhost:{HOST}\n\nhost\nUNSIGNED-PAYLOAD"
        hashed = hashlib.sha256(request.encode()).hexdigest()
        key = f"AWS4{self.known['secret_key']}".encode()
        for part in (f"{now:%Y%m%d}", "us-east-1", "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        to_sign = f"AWS4-HMAC-SHA256\n{items['X-Amz-Date']}\n{scope}\n{hashed}"
        return f"{path}?{text}&X-Amz-Signature={hmac.new(key, to_sign.encode(), 'sha256').hexdigest()}"


def environ_of(method: str, target: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """The environ that the HTTP server would make."""
    path, _, query = target.partition("?")
    lines = [("Host", HOST), *headers.items()]
    if body or method == "PUT":
        lines.append(("Content-Length", str(len(body))))
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "8080", "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr, "wsgi.version": (1, 0),
        "wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False,
        "objstore.raw_target": target, "objstore.headers": lines,
    }  # fmt: skip
    for name, value in lines:
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"] = value
    return environ


def requests(store: Store) -> dict[str, Callable[[], int]]:
    """The six requests, each as a call that gives the status."""
    account = store.log_in()
    token = {"X-Auth-Token": store.token}
    swift = f"{account}/bench-trips"
    store.ask("PUT", swift, token)
    for number in range(20):
        store.ask("PUT", f"{swift}/key{number:02}", token, CONTENT)
    time.sleep(1.1)  # look-ups of objects that changed a moment ago are not kept
    get = store.presigned("GET", "/bench-trips/key00")
    listing = store.presigned("GET", "/bench-trips", {"list-type": "2"})
    put = store.presigned("PUT", "/bench-trips/key00")
    etag = {"If-Match": hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}
    asks: dict[str, tuple[str, str, dict[str, str], bytes]] = {
        "Swift GET 4 KiB": ("GET", f"{swift}/key00", token, b""),
        "Swift list": ("GET", f"{swift}?format=json", token, b""),
        "S3 GET 4 KiB": ("GET", get, {}, b""),
        "S3 list": ("GET", listing, {}, b""),
        "S3 PUT 4 KiB": ("PUT", put, {}, CONTENT),
        "S3 PUT If-Match": ("PUT", put, etag, CONTENT),
    }
    return {name: lambda ask=ask: store.ask(*ask)[0] for name, ask in asks.items()}  # type: ignore[misc]


def measure(request: Callable[[], int], rounds: int) -> Trip:
    """Raises AssertionError for a request that is refused."""
    for _ in range(WARMING):
        status = request()
        assert status in (200, 201), status
    seen: list[Any] = []

    def note(frame: Any, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            seen.append(frame.f_code)

    with profiled(note):
        request()
    began = time.process_time()
    for _ in range(rounds):
        request()
    spent = (time.process_time() - began) / rounds if rounds else 0.0
    return Trip(len({code.co_filename for code in seen}), len(set(seen)), len(seen), 1e6 * spent)


@contextmanager
def profiled(note: Callable[[Any, str, Any], None]) -> Iterator[None]:
    """Notes the calls of all threads and green threads."""
    threading.setprofile_all_threads(note) if hasattr(threading, "setprofile_all_threads") else threading.setprofile(
        note
    )
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if a count grew")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="requests to time")
    parser.add_argument("--only", default="", help="requests whose names hold this")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="trips-"))
    trips: dict[str, Trip] = {}
    try:

        def run() -> None:
            for name, request in requests(Store(root / "data")).items():
                if options.only in name:
                    trips[name] = measure(request, 0 if options.check else options.rounds)

        green.spawn(run).wait()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(f"{'request':18}  files  before  functions  before  calls  before      CPU")
    for name, trip in trips.items():
        old = FORMER[name]
        print(
            f"{name:18} {trip.files:6} {old.files:7} {trip.functions:10} {old.functions:7} {trip.calls:6} "
            f"{old.calls:7} {trip.cpu:5.0f}us"
        )
    grown = [name for name, trip in trips.items() if is_grown(trip, NOTED[name])]
    if options.check and grown:
        print(f"more than noted in {__file__}: {', '.join(grown)}")
        return 1
    return 0


def is_grown(trip: Trip, noted: Trip) -> bool:
    """Is a count more than a tenth above what is noted?"""
    return any(count > TOLERANCE * limit for count, limit in zip(trip[:3], noted[:3], strict=True))


if __name__ == "__main__":
    sys.exit(main())
