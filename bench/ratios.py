"""What three S3 requests cost beside a plain PUT: a PUT that makes a version, an upload in one part, CreateBucket.

    python bench/ratios.py [--rounds 20] [--requests 20] [--trees .,/tmp/other]
    python bench/ratios.py --verbs

Each tree serves from a temporary directory with one worker, over one connection, and all take turns. Printed is the
CPU time of all processes of a server, for each request the median over the rounds; an upload is three requests
(create, part, complete). With --verbs: the requests that each sends to object, container and account servers, in
process.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import load
import s3
import serve
import trips

from objstore.core.names import Name
from objstore.runtime import green
from objstore.server.storage_server import StorageServer
from objstore.wire.bodies import Body
from objstore.wire.messages import NodeRequest, NodeResponse

HERE = Path(__file__).resolve().parent.parent
PLAIN, VERSIONED = "bench-plain", "bench-versioned"
CONTENT = os.urandom(4096)
ENABLED = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
_UPLOAD_ID = re.compile(rb"<UploadId>(.*?)</UploadId>")

# Sends a request: method, path without the first slash, query, body; the body of the answer, or its ETag.
Send = Callable[[str, str, str, bytes], bytes]


def upload(send: Send, key: str) -> None:
    """Upload an object in one part."""
    found = _UPLOAD_ID.search(send("POST", key, "uploads=", b""))
    assert found is not None
    upload_id = found[1].decode()
    etag = send("PUT", key, f"partNumber=1&uploadId={upload_id}", CONTENT).decode()
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    send("POST", key, f"uploadId={upload_id}", f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode())


def cases(send: Send) -> dict[str, Callable[[int], object]]:
    """The requests, each as a call with a number that is new; their buckets are made."""
    for bucket in (PLAIN, VERSIONED):
        send("PUT", bucket, "", b"")
    send("PUT", VERSIONED, "versioning=", ENABLED)
    return {
        "PUT": lambda number: send("PUT", f"{PLAIN}/plain-{number}", "", CONTENT),
        "PUT, first version": lambda number: send("PUT", f"{VERSIONED}/key-{number}", "", CONTENT),
        "PUT, further version": lambda number: send("PUT", f"{VERSIONED}/key", "", CONTENT),
        "upload in one part": lambda number: upload(send, f"{PLAIN}/upload-{number}"),
        "CreateBucket": lambda number: send("PUT", f"bench-made-{number}", "", b""),
    }


def signed(store: s3.Store) -> Send:
    def send(method: str, name: str, query: str, body: bytes) -> bytes:
        return store.s3(method, name, query, body, hashlib.sha256(body).hexdigest())

    return send


@contextlib.contextmanager
def serving(tree: str) -> Iterator[s3.Store]:
    """A store of the program in a directory."""
    os.environ["PYTHONPATH"] = str(Path(tree).resolve())
    temporary = tempfile.TemporaryDirectory(prefix="objstore-bench-")
    with temporary as directory, serve.one(Path(directory), workers=1) as target:
        yield s3.Store(target, Path(directory) / "data")


def cpu_of(store: s3.Store) -> float:
    """CPU seconds of all threads of a store's processes; in nanoseconds where psutil counts ticks of 10 ms."""
    spent = 0
    for process in load.tree(store.target.pids):
        for path in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):  # the thread has ended
                spent += int(path.read_text().split()[0])
    return spent / 1e9


def compare(trees: list[str], rounds: int, requests: int) -> None:
    with contextlib.ExitStack() as stack:
        stores = {tree: stack.enter_context(serving(tree)) for tree in trees}
        calls = {tree: cases(signed(store)) for tree, store in stores.items()}
        spent: dict[tuple[str, str], list[float]] = {}
        for turn in range(rounds + 1):
            for name in calls[trees[0]]:
                for tree, store in stores.items():
                    numbers = range(turn * requests, (turn + 1) * requests)
                    before = cpu_of(store)
                    for number in numbers:
                        calls[tree][name](number)
                    if turn:  # the first warms caches
                        spent.setdefault((tree, name), []).append((cpu_of(store) - before) / requests)
    for tree in trees:
        print(f"-- {tree}")
        plain = statistics.median(spent[tree, "PUT"])
        for name in calls[tree]:
            cost = statistics.median(spent[tree, name])
            print(f"{name:<22} {cost * 1e3:7.2f} ms CPU {cost / plain:6.2f} times a plain PUT")


# Requests to storage servers


def show_verbs() -> None:
    root = Path(tempfile.mkdtemp(prefix="objstore-bench-"))
    try:
        green.spawn(_show_verbs, root).wait()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _show_verbs(root: Path) -> None:
    store = trips.Store(root / "data")
    store.log_in()

    def send(method: str, name: str, query: str, body: bytes) -> bytes:
        pairs = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
        status: list[Any] = []
        environ = trips.environ_of(method, store.presigned(method, f"/{name}", pairs), {}, body)
        answer = store.app(environ, lambda line, headers: status.extend((line, dict(headers))))
        content = b"".join(answer)
        getattr(answer, "close", lambda: None)()
        assert status[0].startswith("2"), (method, name, status, content)
        return content or status[1].get("ETag", "").encode()

    made = cases(send)
    for name, call in made.items():
        for number in range(3):
            call(number)
        print(f"-- {name}")
        with printed():
            call(3)


@contextlib.contextmanager
def printed() -> Iterator[None]:
    """Print what storage servers are asked."""
    answer = StorageServer.handle

    def told(server: StorageServer, device: str, asked: NodeRequest, body: Body) -> NodeResponse:
        assert isinstance(asked.name, Name)
        print(f"   {server.kind:9} {asked.method:6} {asked.name.path!r} {asked.query}")
        return answer(server, device, asked, body)

    StorageServer.handle = told  # type: ignore[method-assign]
    try:
        yield
    finally:
        StorageServer.handle = answer  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--requests", type=int, default=20, help="of each kind in a round")
    parser.add_argument("--trees", default=str(HERE), help="directories of the program, to be compared")
    parser.add_argument("--verbs", action="store_true", help="print requests to storage servers")
    options = parser.parse_args()
    if options.verbs:
        show_verbs()
    else:
        compare(options.trees.split(","), options.rounds, options.requests)


if __name__ == "__main__":
    main()
