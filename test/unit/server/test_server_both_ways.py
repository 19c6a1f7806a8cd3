"""A request handed over in process and the same request by HTTP get equal answers from a storage server."""

from __future__ import annotations

import itertools
import json
import logging
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from objstore.assembly.apps import storage_servers
from objstore.cluster.cluster import Transports
from objstore.core.errors import InvalidInput
from objstore.core.names import Name
from objstore.core.nodes import Node
from objstore.http.client import ClientSettings, Pool
from objstore.http.server import Server, ServerSettings
from objstore.replication.objects_messages import COMPARE, COMPARE_MANY, OFFER, SEND
from objstore.runtime import green, settings
from objstore.server.databases import LISTING
from objstore.server.http_adapter import StorageApp
from objstore.wire.local import LocalTransport
from objstore.wire.messages import REPLICATE, JsonBody, NodeRequest, NodeResponse, Share, Transport, UpdateTarget
from objstore.wire.remote import HttpTransport

NOBODY_LISTENS = ("127.0.0.1", 1)
HERE = ("127.0.0.1", 6200)
# What HTTP adds to an answer, and how it says where a body ends if it is not known before.
FRAMING = frozenset({"Date", "Connection", "Keep-Alive", "Transfer-Encoding"})
ACCOUNTS = itertools.count()  # each example has its own, so that none depends on those before


class Plan(NamedTuple):
    """A request but for the account, and for the device to which its updates go.

    parts: container and object. pieces: None for a body at hand; else an upload in so many pieces.
    """

    method: str
    parts: tuple[str, ...]
    headers: dict[str, str]
    query: str
    body: bytes
    update: str
    pieces: int | None
    announced: bool
    trailers: dict[str, str]


class Seen(NamedTuple):
    """rows: of a listing."""

    status: int
    headers: dict[str, str]
    body: bytes
    rows: Any


class Way:
    """One way to a device of its own. ports: of the servers, by kind."""

    def __init__(self, transport: Transport, device: str, ports: dict[str, int]) -> None:
        self._transport = transport
        self._device = device
        self._ports = ports

    def _node(self, kind: str) -> Node:
        return Node(0, 1, 1, "127.0.0.1", self._ports[kind], self._device)

    def call(self, request: NodeRequest) -> Seen:
        return self._seen(self._transport.call(self._node(request.name.kind), request))

    def _seen(self, response: NodeResponse) -> Seen:
        headers = {name: text for name, text in response.headers.items() if name not in FRAMING}
        in_process = response.json() if isinstance(response.body, JsonBody) else None
        body = response.read().replace(f"/{self._device}/".encode(), b"/device/")
        rows = None
        if headers.get("Content-Type") == LISTING["Content-Type"] and response.ok:
            headers.pop("Content-Length", None)  # in process no one has encoded the rows
            rows = json.loads(body)
            assert in_process in (None, rows)
        return Seen(response.status, headers, body, rows)

    def run(self, plan: Plan, account: str) -> Seen | None:
        """The answer; None if the request cannot be sent at all."""
        name = Name(account, *plan.parts)
        headers = {**plan.headers, **self._update(plan, name)}
        request = NodeRequest(plan.method, 3, name, headers, plan.query, plan.body)
        try:
            return self.call(request) if plan.pieces is None else self._upload(plan, request._replace(body=b""))
        except InvalidInput:
            return None

    def _upload(self, plan: Plan, request: NodeRequest) -> Seen:
        length = len(plan.body) if plan.announced else None
        upload = self._transport.upload(self._node(request.name.kind), request, length)
        early = upload.wait_continue()
        if early is not None:
            answer = self._seen(early)
            upload.abort()
            return answer
        size = max(1, len(plan.body) // (plan.pieces or 1))
        for start in range(0, len(plan.body), size):
            upload.send(plan.body[start : start + size])
        return self._seen(upload.finish({} if plan.announced else plan.trailers))

    def _update(self, plan: Plan, name: Name) -> dict[str, str]:
        above = name.of_container if name.object is not None else name.of_account
        header = "X-Backend-Container-Update" if name.object is not None else "X-Backend-Account-Update"
        if plan.update == "told":
            return {header: UpdateTarget(above, 3, ((1, Node(-1, 0, 0, *HERE, self._device)),)).encode()}
        return {header: plan.update} if plan.update else {}


class Both(NamedTuple):
    local: Way
    remote: Way


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        root = Path(directory)
        (root / "objstore.conf").write_text("[hash]\nprefix = a\n[storage-policy:0]\nname=gold\ndefault=yes\n")
        for device in ("d1", "d2"):
            (root / "devices" / device).mkdir(parents=True)
        conf = {"ring_dir": directory, "devices": str(root / "devices"), "mount_check": "no", "log_to": "none"}
        transports = Transports(None)  # type: ignore[arg-type]
        servers = storage_servers(conf, transports).by_kind
        local = LocalTransport(servers)
        transports.use_local(local, frozenset({HERE}))
        listeners = {kind: socket.create_server(("127.0.0.1", 0)) for kind in servers}
        running = [
            Server(listener, StorageApp(servers[kind]), settings.read(ServerSettings, {}), logging.getLogger("test"))
            for kind, listener in listeners.items()
        ]
        for server in running:
            green.spawn(server.serve)
        pool = Pool(settings.read(ClientSettings, {}))
        ports = {kind: listener.getsockname()[1] for kind, listener in listeners.items()}
        yield Both(Way(local, "d1", ports), Way(HttpTransport(pool), "d2", ports))
        pool.close()
        for server in running:
            server.drain(timeout=0.1)


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12).map(lambda text: text.strip(" \t"))
STAMPS = st.sampled_from([*(f"{second:010d}.00000" for second in range(11, 17)), "12.00000_0000000000000001"])
TIMES = st.sampled_from(["Thu, 01 Jan 1970 00:00:12 GMT", "Thu, 01 Jan 1970 00:00:09 GMT", "yesterday", ""])
TAGS = st.sampled_from(["*", '"*"', '"5d41402abc4b2a76b9719d911017c592"', "a, b", 'W/"x"', "", "ü"])
NUMBERS = st.sampled_from(["0", "1", "7", "x", "\u00b2", "9" * 30, ""])
ODD = st.sampled_from(["grün", "Jörg \udcff", 'a;b="c"', "\u2028", "%41"])
VALUES: dict[str, st.SearchStrategy[str]] = {
    "X-Timestamp": st.one_of(STAMPS, STAMPS, STAMPS, st.sampled_from(["yesterday", "", "-1"])),
    "Content-Type": st.sampled_from(["a/b", "text/plain; charset=ü", "a/b;s3_class=COLD"]),
    "Etag": st.sampled_from(["5d41402abc4b2a76b9719d911017c592", '"0"', ""]),
    "X-Object-Meta-Color": st.one_of(TEXT, ODD),
    "X-Object-Meta-1St": TEXT,
    "X-Object-Sysmeta-A": TEXT,
    "X-Object-Sysmeta-Container-Update-Override-Size": st.just("5"),
    "X-Object-Transient-Sysmeta-B": ODD,
    "X-Container-Meta-Color": st.one_of(TEXT, ODD),
    "X-Container-Read": TEXT,
    "X-Account-Meta-Color": st.one_of(TEXT, ODD),
    "X-Delete-At": st.sampled_from(["20", "9999999999", "x"]),
    "X-If-Delete-At": st.sampled_from(["20", "9999999999", "x"]),
    "X-Object-Manifest": TEXT,
    "Range": st.sampled_from(["bytes=1-2", "bytes=-2", "bytes=9-", "bytes=0-0,2-2", "lines=1", "ü"]),
    "If-Range": st.one_of(TAGS, TIMES),
    "If-Match": TAGS,
    "If-None-Match": TAGS,
    "If-Modified-Since": TIMES,
    "If-Unmodified-Since": TIMES,
    "X-Backend-Storage-Policy-Index": st.one_of(st.just("0"), NUMBERS),
    "X-Backend-Storage-Policy-Default": NUMBERS,
    "X-Backend-Twin-Partition": st.sampled_from(["6", "7", "1", "5", "x"]),
    "X-Backend-Create-With-Policy": NUMBERS,
    "X-Backend-Content-Length": NUMBERS,
    "X-Backend-Data-Times": st.just("1"),
    "X-Backend-Markers": st.just("1"),
    "X-Backend-Allow-Reserved-Names": st.just("true"),
    "X-Backend-Existing-Only": st.just("1"),
    "X-Backend-Ahead-Of-Data": st.just("1"),
    "X-Backend-Even-Expired": st.just("1"),
    "X-Backend-If-Data-Timestamp": st.one_of(STAMPS, st.just("x")),
    "X-Backend-Lease": st.sampled_from(["me", "you", ""]),
    "X-Backend-Lease-Wait": st.sampled_from(["0", "x"]),
    "X-Backend-Lease-Abandon": st.just("1"),
    "X-Trans-Id": st.just("tx1"),
    "Trailer": st.just("X-Backend-Etag"),
}
OF_READS = {"Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"}
OF_READS |= {name for name in VALUES if name.startswith("X-Backend") and VALUES[name] is not NUMBERS}


def headers(names: list[str]) -> st.SearchStrategy[dict[str, str]]:
    """Few at once: of many, one would be refused most of the time."""
    one = st.sampled_from(names).flatmap(lambda name: st.tuples(st.just(name), VALUES[name]))
    return st.builds(lambda stamp, some: {"X-Timestamp": stamp, **dict(some)}, STAMPS, st.lists(one, max_size=3))


ROW = {
    "name": "ü", "timestamp": "11.00000", "deleted": False, "size": 5, "content_type": "a/b", "etag": "e",
    "policy_index": 0, "content_type_timestamp": "11.00000", "meta_timestamp": "11.00000",
    "put_timestamp": "11.00000", "delete_timestamp": "0", "object_count": 1, "bytes_used": 5,
}  # fmt: skip
BODIES = st.sampled_from(
    [b"", b"hello", b"\xff" * 5, b"x" * 70_000, json.dumps([ROW]).encode(), b'["o", "missing"]', b"[1]", b"[" * 3000]
)
QUERIES = st.sampled_from(
    [*[""] * 6, "rows=1", "rows=1", "named=1", "shut=1", "shut=0", "limit=1", "limit=x", "prefix=%C3%BC", "prefix=%ff",
     "delimiter=/&reverse=on", "marker=o&end_marker=z", "path=", "&&=", "limit=%00"]
)  # fmt: skip
PARTS = st.sampled_from([(), ("c",), ("c",), *[("c", "o")] * 5, ("ü", "a/ü?#%41\x7f"), ("c", "")])
TRAILERS = st.fixed_dictionaries(
    {},
    optional={
        "X-Timestamp": STAMPS,
        "X-Backend-Etag": st.sampled_from(["5d41402abc4b2a76b9719d911017c592", "ü"]),
        "X-Object-Sysmeta-Late": ODD,
    },
)
READS = st.builds(
    Plan,
    st.sampled_from(["GET", "GET", "HEAD"]),
    PARTS,
    headers(sorted(OF_READS)),
    QUERIES,
    st.just(b""),
    st.just(""),
    st.none(),
    st.just(True),
    st.just({}),
)
CHANGES = st.builds(
    Plan,
    st.sampled_from(["PUT", "PUT", "POST", "POST", "DELETE", "LOCK", "UNLOCK", "OPTIONS", "A"]),
    PARTS,
    headers(sorted(VALUES)),
    QUERIES,
    BODIES,
    st.sampled_from(["", "told", "told", "[]", "ü"]),
    st.sampled_from([None, None, None, 1, 3]),
    st.booleans(),
    TRAILERS,
)
THERE = [
    Plan("PUT", parts, {"X-Timestamp": "10.00000"}, "", b"hello" if len(parts) == 2 else b"", "told", None, True, {})
    for parts in ((), ("c",), ("c", "o"))
]


@given(st.lists(st.one_of(CHANGES, READS), min_size=8, max_size=12))
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_both_ways_give_equal_answers(both: Both, plans: list[Plan]) -> None:
    """Of an account, a container and an object that are there, and of others that are not."""
    account = f"AUTH_ü{next(ACCOUNTS)}"
    for plan in [*THERE, *plans]:
        assert both.local.run(plan, account) == both.remote.run(plan, account), plan


SHARES = st.builds(
    NodeRequest,
    st.just(REPLICATE),
    st.sampled_from([None, 3]),
    st.builds(Share, st.sampled_from(["account", "container", "object"]), st.sampled_from(["", "0" * 32, "x"])),
    st.fixed_dictionaries({}, optional={"X-Backend-Storage-Policy-Index": NUMBERS}),
    st.sampled_from(
        ["", "step=%ff", "step=x", "step=status", "step=rows", "step=file&version=1", "step=file&version=x"]
        + [f"step={step}" for step in (COMPARE, COMPARE_MANY, OFFER, SEND)]
    ),
    st.sampled_from([b"", b"{}", b"[]", b'{"3": ""}', b"\xff" * 100, b"x" * 100_000]),
)


@given(SHARES)
@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_both_ways_give_replicators_equal_answers(both: Both, request: NodeRequest) -> None:
    if request.partition is None and request.name.hash:  # type: ignore[union-attr]
        request = request._replace(partition=3)
    assert both.local.call(request) == both.remote.call(request)


def test_objects_and_listings_are_compared(both: Both) -> None:
    """Not refusals alone: this is what plans find there at first."""
    for way in both:
        assert [way.run(plan, "AUTH_t").status for plan in THERE] == [201] * 3  # type: ignore[union-attr]
        got = way.run(THERE[2]._replace(method="GET"), "AUTH_t")
        assert got is not None and (got.status, got.body) == (200, b"hello")
        listed = way.run(THERE[1]._replace(method="GET"), "AUTH_t")
        assert listed is not None and [row["name"] for row in listed.rows] == ["o"]
