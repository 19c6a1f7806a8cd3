"""What S3 costs over the same by token: small objects, uploads by parts, pages of listings.

    python bench/s3.py [--dir DIR] [--requests 2000] [--mib 256] [--rows 100000] [--pages 20]

A store is started in a temporary directory, with one worker, and asked over one connection; parts are sent four at
once, as SDKs do. Told is the CPU time of all its processes. Small requests by token and by Signature V4 take turns, so
that what else the machine does meets all alike. Rows to be listed are written into the containers' databases: N keys,
ten to a group.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import http.client
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote
from xml.etree import ElementTree

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import serve
from load import MIB, Target, usage

from objstore.core.names import Name, hidden
from objstore.core.timestamps import Timestamp
from objstore.layers.versions import names
from objstore.runtime.files import FILES
from objstore.store.databases import ContainerStore, ObjectRow

REGION = "us-east-1"
UNSIGNED = "UNSIGNED-PAYLOAD"
BUCKET, VERSIONED = "bench", "bench-versions"
SMALL = 4096
PART = 16 * MIB
_PARTS_AT_ONCE = 4  # SDKs send several
_ROUNDS = 10
_BATCH = 5000
_ETAG = "d41d8cd98f00b204e9800998ecf8427e"
_GROUP = 10  # keys


class Signer:
    """Signature Version 4. key: the secret."""

    def __init__(self, address: str, access: str, key: str) -> None:
        self._address, self._access, self._key = address, access, key

    def headers(self, method: str, path: str, query: str = "", payload: str = UNSIGNED) -> dict[str, str]:
        """payload: of x-amz-content-sha256."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
        signed = "host;x-amz-content-sha256;x-amz-date"
        values = f"host:{self._address}\nx-amz-content-sha256:{payload}\nx-amz-date:{stamp}\n"
        canonical = "\n".join([method, path, query, values, signed, payload])
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = f"AWS4{self._key}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        said = f"AWS4-HMAC-SHA256 Credential={self._access}/{scope},SignedHeaders={signed},Signature={key.hex()}"
        return {"x-amz-date": stamp, "x-amz-content-sha256": payload, "Authorization": said}


class Figures(NamedTuple):
    """Seconds, of the clock and of the CPU."""

    wall: float
    cpu: float


class Store:
    """A store, over a connection for each thread. data: its directory."""

    def __init__(self, target: Target, data: Path) -> None:
        known = json.loads((data / "credentials.json").read_text())
        self.data, self.target = data, target
        self.signer = Signer(target.address, known["access_key"], known["secret_key"])
        self.account = target.prefix.rpartition("/")[2]
        self._of_thread = threading.local()

    def token(self, method: str, name: str, body: bytes | None = None) -> bytes:
        return self.send(method, f"{self.target.prefix}/{name}", {"X-Auth-Token": self.target.token}, body)

    def s3(self, method: str, name: str, query: str = "", body: bytes | None = None, payload: str = UNSIGNED) -> bytes:
        """query: its names and values as they are."""
        pairs = sorted(parse_qsl(query, keep_blank_values=True))
        encoded = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in pairs)
        headers = self.signer.headers(method, f"/{name}", encoded, payload)
        return self.send(method, f"/{name}{'?' if encoded else ''}{encoded}", headers, body)

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None = None
    ) -> bytes:
        """The body of the answer, its ETag where there is no body; ends the program for a refusal."""
        connection = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = http.client.HTTPConnection(self.target.address, timeout=300)
        connection.request(method, target, body, dict(headers))
        answer = connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            sys.exit(f"{method} {target}: {answer.status} {content[:500]!r}")
        return content or answer.headers.get("Etag", "").encode()

    def measure(self, call: Callable[[], object]) -> Figures:
        cpu, wall = usage(self.target.pids)[0], time.perf_counter()
        call()
        return Figures(time.perf_counter() - wall, usage(self.target.pids)[0] - cpu)


# Small objects


def small(store: Store, requests: int) -> None:
    body = os.urandom(SMALL)
    digest = hashlib.sha256(body).hexdigest()
    store.token("PUT", f"{BUCKET}/small", body)
    ways: Mapping[str, Mapping[str, Callable[[int], object]]] = {
        "GET 4 KiB": {
            "token": lambda _: store.token("GET", f"{BUCKET}/small"),
            "V4": lambda _: store.s3("GET", f"{BUCKET}/small"),
        },
        "HEAD": {
            "token": lambda _: store.token("HEAD", f"{BUCKET}/small"),
            "V4": lambda _: store.s3("HEAD", f"{BUCKET}/small"),
        },
        "PUT 4 KiB": {
            "token": lambda n: store.token("PUT", f"{BUCKET}/t{n}", body),
            "V4": lambda n: store.s3("PUT", f"{BUCKET}/s{n}", body=body, payload=digest),
            "V4, unsigned payload": lambda n: store.s3("PUT", f"{BUCKET}/u{n}", body=body),
        },
    }
    for name, calls in ways.items():
        spent = dict.fromkeys(calls, 0.0)
        each = max(1, requests // _ROUNDS)
        for part in range(_ROUNDS):
            for way, call in calls.items():
                numbers = range(part * each, (part + 1) * each)
                spent[way] += store.measure(partial(_all, call, numbers)).cpu
        token = spent["token"] / (each * _ROUNDS)
        for way, cpu in spent.items():
            cost = cpu / (each * _ROUNDS)
            more = "" if way == "token" else f"{(cost - token) * 1e6:+8.0f} µs"
            print(f"{name:<20} {way:<24} {cost * 1e6:8.0f} µs CPU {more}", flush=True)


def _all(call: Callable[[int], object], numbers: Iterable[int]) -> None:
    for number in numbers:
        call(number)


# Large objects


def large(store: Store, mib: int) -> None:
    data = os.urandom(MIB) * (PART // MIB)
    count = max(1, mib * MIB // PART)

    def plain_put() -> None:
        headers = {"X-Auth-Token": store.target.token, "Content-Length": str(count * PART)}
        store.send("PUT", f"{store.target.prefix}/{BUCKET}/plain", headers, repeat(data, count))

    def upload() -> None:
        begun = ElementTree.fromstring(store.s3("POST", f"{BUCKET}/parts", "uploads="))
        upload_id = next(node.text for node in begun if node.tag.endswith("UploadId"))

        def part(number: int) -> str:
            query = f"partNumber={number}&uploadId={upload_id}"
            etag = store.s3("PUT", f"{BUCKET}/parts", query, data).decode()
            return f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"

        with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
            rows = list(pool.map(part, range(1, count + 1)))
        document = f"<CompleteMultipartUpload>{''.join(rows)}</CompleteMultipartUpload>".encode()
        store.s3("POST", f"{BUCKET}/parts", f"uploadId={upload_id}", document, hashlib.sha256(document).hexdigest())

    cases: dict[str, Callable[[], object]] = {
        "PUT": plain_put,
        "upload by parts": upload,
        "GET": lambda: store.token("GET", f"{BUCKET}/plain"),
        "GET of parts": lambda: store.s3("GET", f"{BUCKET}/parts"),
    }
    rates: dict[str, list[Figures]] = {name: [] for name in cases}
    for _ in range(3):
        for name, call in cases.items():
            rates[name].append(store.measure(call))
    size = count * PART / 1e9
    for name, plain in (("PUT", "PUT"), ("upload by parts", "PUT"), ("GET", "GET"), ("GET of parts", "GET")):
        wall, base = (statistics.median(found.wall for found in rates[which]) for which in (name, plain))
        cpu = statistics.median(found.cpu for found in rates[name])
        rate = f"{size / wall:8.3f} GB/s {size / max(cpu, 1e-9):8.2f} GB for 1 s CPU {100 * base / wall:5.0f}% of plain"
        print(f"{f'{name}, {count * PART // MIB} MiB':<45} {rate}", flush=True)


# Listings


def listings(store: Store, rows: int, pages: int) -> None:
    for bucket in (BUCKET, VERSIONED):
        store.s3("PUT", bucket)
    document = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    store.s3("PUT", VERSIONED, "versioning=", document, hashlib.sha256(document).hexdigest())
    store.s3("PUT", f"{VERSIONED}/first", body=b"first")  # makes the hidden container
    fill(store, rows)
    middle = f"{rows // _GROUP // 2:07d}/0"
    cases = {
        "ListObjects": (BUCKET, f"marker={middle}"),
        "ListObjectsV2": (BUCKET, f"list-type=2&start-after={middle}"),
        "with prefix": (BUCKET, f"list-type=2&prefix={middle[:4]}"),
        "with delimiter (1,000 groups)": (BUCKET, "list-type=2&delimiter=/"),
        "ListObjectVersions": (VERSIONED, f"versions=&key-marker={middle}"),
        "with delimiter": (VERSIONED, "versions=&delimiter=/"),
    }
    for name, (bucket, query) in cases.items():

        def page(bucket: str = bucket, query: str = query) -> None:
            for _ in range(pages):
                store.s3("GET", bucket, query)

        page()
        spent = store.measure(page)
        told = store.s3("GET", bucket, query)
        count = told.count(b"<Contents>") + told.count(b"<CommonPrefixes>") + told.count(b"<Version>")
        cost = f"{spent.cpu * 1e3 / pages:9.1f} ms CPU {spent.wall * 1e3 / pages:9.1f} ms"
        print(f"{name:<35} {count:5} of {rows:,} {cost}", flush=True)


def fill(store: Store, rows: int) -> None:
    """Rows of keys, and of keys with a version each, as writing them would leave them."""
    (device,) = (store.data / "devices").iterdir()
    containers = ContainerStore(str(device), FILES)
    found = {containers.status(place).name: place for place in containers.locations()}
    now = time.time_ns() // 10_000
    for start in range(0, rows, _BATCH):
        plain, entries, pointers = [], [], []
        for number in range(start, min(rows, start + _BATCH)):
            key = f"{number // _GROUP:07d}/{number % _GROUP}"
            ref = names.Ref(Timestamp(now - rows + number), "v")
            row = ObjectRow(key, ref.stamp, size=SMALL, content_type="binary/octet-stream", etag=_ETAG)
            plain.append(row)
            entries.append(row._replace(name=names.entry(key, ref)))
            pointers.append(row._replace(elsewhere=True))
        containers.merge_rows(found[Name(store.account, BUCKET)], plain)
        containers.merge_rows(found[Name(store.account, hidden("versions", VERSIONED))], entries)
        containers.merge_rows(found[Name(store.account, VERSIONED)], pointers)
    containers.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", help="where the store's directory is made")
    parser.add_argument("--requests", type=int, default=2000, help="small ones, of each kind")
    parser.add_argument("--mib", type=int, default=256, help="size of large objects")
    parser.add_argument("--rows", type=int, default=100_000, help="keys of the buckets that are listed")
    parser.add_argument("--pages", type=int, default=20, help="pages of each kind of listing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="objstore-bench-", dir=options.dir) as directory:
        root = Path(directory)
        with serve.one(root, workers=1) as target:
            store = Store(target, root / "data")
            store.s3("PUT", BUCKET)
            small(store, options.requests)
            large(store, options.mib)
            listings(store, options.rows, options.pages)


if __name__ == "__main__":
    main()
