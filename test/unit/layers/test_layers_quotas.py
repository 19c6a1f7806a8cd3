"""Quotas: what they bind, what they let pass, and what becomes of reservations when something fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.in_process import InProcess
from harness.layer_stacks import LIMIT, POLICIES

from objstore.core import quotas
from objstore.core.errors import (
    ChecksumMismatch,
    InvalidInput,
    NoContainer,
    NodeFailure,
    ObjstoreError,
    QuotaBusy,
    QuotaExceeded,
)
from objstore.core.listed import LISTED_SIZE, LISTED_WHOLE
from objstore.core.manifests import FORM, MANIFEST, MANIFEST_ETAG, MANIFEST_OWNS, MANIFEST_SIZE, owns
from objstore.core.names import Name, hidden
from objstore.core.quota_rooms import RoomRequest
from objstore.core.quotas import GRANTED, Amount
from objstore.layers import documents, quota_rooms
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import (
    AccountOptions,
    ContainerOptions,
    DeleteOptions,
    ObjectLayer,
    PutOptions,
    PutResult,
    ReadOptions,
    RenameSource,
)
from objstore.layers.memory import MemoryLayer
from objstore.layers.passing import Passing
from objstore.layers.quotas import Quotas, QuotaTerms
from objstore.layers.registry import LAYERS
from objstore.layers.stack import Deps, Outermost
from objstore.layers.versions import CONFIG
from objstore.runtime import green
from objstore.web.context import RequestContext

CONTAINER = Name("AUTH_q", "c")
PARTS = CONTAINER._replace(container=hidden("parts", "c"))
TYPE = {"Content-Type": "text/plain"}


class Failing(Passing):
    """Fails after the commit of an object on request."""

    failure: ObjstoreError | None = None

    def put(self, context: RequestContext, name: Name, options: PutOptions, body: Any) -> PutResult:
        result = self.inner.put(context, name, options, body)
        if self.failure is not None:
            raise self.failure
        return result


class Unread:
    """A body that must not be read."""

    def __init__(self, length: int | None) -> None:
        self.length = length

    def check(self) -> None:
        pass

    def read_chunk(self, limit: int, /) -> bytes:
        raise AssertionError("the body was read")


class Unknown(BytesBody):
    """A body of unknown length."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.length = None


class Shop:
    """A layer of quotas around another, and a container."""

    def __init__(self, inner: ObjectLayer, outer: tuple[str, ...] = ()) -> None:
        self.failing = Failing(inner)
        self.rooms = quota_rooms.of(self.failing)
        layer: ObjectLayer = Quotas(self.failing, QuotaTerms(self.rooms, 60.0), wait=0.3)
        if outer:
            deps = Deps({"free_delay": "0"}, POLICIES, logging.getLogger("test"), Outermost())
            layer = LAYERS.build(layer, deps, outer)
        self.layer = layer
        assert layer.create_container(RequestContext(), CONTAINER, ContainerOptions({}))

    def limit(self, size: int | None = None, count: int | None = None) -> None:
        headers = {quotas.CONTAINER_BYTES: size, quotas.CONTAINER_COUNT: count}
        texts = {name: "" if value is None else str(value) for name, value in headers.items()}
        self.layer.update_container(RequestContext(), CONTAINER, ContainerOptions(texts))

    def limit_account(self, **limits: int) -> None:
        headers = {f"{quotas.STORED}{name}": str(value) for name, value in limits.items()}
        self.layer.update_account(RequestContext(), CONTAINER.of_account, AccountOptions(headers))

    def put(self, key: str, body: Any, headers: dict[str, str] | None = None, **options: Any) -> PutResult:
        return self.put_at(CONTAINER._replace(object=key), body, headers, **options)

    def put_at(self, name: Name, body: Any, headers: dict[str, str] | None = None, **options: Any) -> PutResult:
        context = RequestContext()
        context.reseller = bool(options.pop("reseller", False))
        content = BytesBody(body) if isinstance(body, bytes) else body
        return self.layer.put(context, name, PutOptions({**TYPE, **(headers or {})}, **options), content)

    def settled(self) -> None:
        """Wait for what goes on after an answer."""
        for _ in range(20):
            green.sleep(0.005)


def _memory(root: Path) -> ObjectLayer:
    return MemoryLayer(POLICIES, LIMIT)


def _cluster(root: Path) -> ObjectLayer:
    return InProcess(root).proxy.layer


INNER: dict[str, Callable[[Path], ObjectLayer]] = {"memory": _memory, "cluster": _cluster}
OUTER = tuple(name for name in LAYERS.names if name in ("placement", "versions", "manifests"))


@pytest.fixture(params=INNER)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    return Shop(INNER[request.param](tmp_path))


def refuses(shop: Shop, key: str, body: Any, **options: Any) -> bool:
    try:
        shop.put(key, body, **options)
    except (QuotaExceeded, QuotaBusy):
        return True
    return False


def test_what_fits_gets_in(shop: Shop) -> None:
    shop.limit(size=10, count=3)
    shop.put("a", b"a" * 6)
    shop.put("b", Unknown(b"b" * 4))
    assert refuses(shop, "c", Unknown(b"c"))
    shop.put("c", b"")
    assert refuses(shop, "d", b"")
    shop.put("a", b"a" * 2)
    shop.put("b", b"b" * 8)
    shop.layer.delete(RequestContext(), CONTAINER._replace(object="b"), DeleteOptions())
    shop.put("d", b"d" * 8)


def test_a_refused_write_leaves_what_was_there(shop: Shop) -> None:
    shop.put("a", b"old")
    shop.limit(size=3)
    with pytest.raises(QuotaExceeded, match=r"Upload exceeds quota\."):
        shop.put("a", b"newer")
    assert shop.layer.open(RequestContext(), CONTAINER._replace(object="a"), ReadOptions()).read() == b"old"


def test_a_long_body_that_cannot_fit_is_not_read(shop: Shop) -> None:
    shop.limit(size=100)
    with pytest.raises(QuotaExceeded):
        shop.put("a", Unread(1 << 20))
    shop.limit(count=0)
    with pytest.raises(QuotaExceeded):
        shop.put("a", Unread(1 << 20))


def test_late_headers_are_asked_for_once_and_kept(shop: Shop) -> None:
    shop.limit(size=10)
    asked: list[int] = []

    def late() -> dict[str, str]:
        asked.append(1)
        return {"X-Object-Meta-Late": "yes", LISTED_SIZE: "10"}

    shop.put("a", b"a", late=late)
    assert asked == [1]
    head = shop.layer.open(RequestContext(), CONTAINER._replace(object="a"), ReadOptions(head=True))
    assert head.headers["X-Object-Meta-Late"] == "yes"
    assert refuses(shop, "b", b"b")


def test_a_large_object_counts_in_full(shop: Shop) -> None:
    shop.limit(size=100)
    assert refuses(shop, "slo", b"[]", headers={LISTED_WHOLE: "101"})
    shop.put("slo", b"[]", {LISTED_WHOLE: "100"})
    assert refuses(shop, "a", b"a")
    shop.put("slo", b"[]", {LISTED_WHOLE: "90"})
    shop.put("a", b"a" * 10)


def test_what_is_never_refused(shop: Shop) -> None:
    shop.put("a", b"a" * 10)
    shop.limit(size=10, count=1)
    assert refuses(shop, "b", b"b" * 10)
    shop.put("b", b"b" * 10, unlimited=True)
    shop.limit(size=20, count=2)
    shop.put("c", b"a" * 10, rename=RenameSource("a"))
    listed = shop.layer.container(RequestContext(), CONTAINER).headers
    assert listed["X-Container-Object-Count"] == "2"


def test_invalid_quotas(shop: Shop) -> None:
    for header, text in ((quotas.CONTAINER_BYTES, "bytes"), (quotas.CONTAINER_COUNT, "count")):
        with pytest.raises(InvalidInput, match=rf"Invalid {text} quota\."):
            shop.layer.update_container(RequestContext(), CONTAINER, ContainerOptions({header: "x"}))
        with pytest.raises(InvalidInput):
            other = CONTAINER._replace(container="d")
            shop.layer.create_container(RequestContext(), other, ContainerOptions({header: "-1"}))


def test_a_missing_container(shop: Shop) -> None:
    shop.limit_account(Bytes=10)
    with pytest.raises(NoContainer):
        shop.put_at(Name(CONTAINER.account, "none", "o"), b"x")


def test_a_write_that_fails_gives_its_room_back(shop: Shop) -> None:
    shop.limit(size=10)
    with pytest.raises(ChecksumMismatch):
        shop.put("a", b"a" * 10, etag="0" * 32)
    shop.settled()
    shop.put("b", b"b" * 10)


def test_a_write_that_may_have_been_made_keeps_its_room(tmp_path: Path) -> None:
    shop = Shop(_cluster(tmp_path))
    shop.limit(size=10)
    shop.failing.failure = NodeFailure("no answer")
    with pytest.raises(NodeFailure):
        shop.put("a", b"a" * 10)
    shop.failing.failure = None
    assert refuses(shop, "b", b"b")


def test_room_of_a_proxy_that_died_is_free_after_its_time(shop: Shop) -> None:
    shop.limit(size=10)
    room = RoomRequest("dead", "x", Amount(1, 10), 1.0)
    assert shop.rooms.reserve(RequestContext(), CONTAINER, room) == GRANTED
    with pytest.raises(QuotaBusy):
        shop.put("a", b"a")
    time.sleep(1.0)
    shop.put("a", b"a" * 10)


def test_a_write_waits_for_one_that_has_not_ended(shop: Shop) -> None:
    shop.limit(size=10)
    room = RoomRequest("slow", "x", Amount(1, 10), 0.2)
    assert shop.rooms.reserve(RequestContext(), CONTAINER, room) == GRANTED
    shop.put("a", b"a" * 10)
    with pytest.raises(QuotaExceeded):  # whoever ends, it cannot fit
        shop.put("b", b"b")


# Accounts


def test_bytes_and_counts_of_an_account(shop: Shop) -> None:
    other = Name(CONTAINER.account, "d", "o")
    shop.layer.create_container(RequestContext(), other.of_container, ContainerOptions({}))
    shop.limit_account(Bytes=10, Count=2)
    shop.put("a", b"a" * 6)
    with pytest.raises(QuotaExceeded):
        shop.put_at(other, b"o" * 5)
    shop.put_at(other, b"o" * 4)
    shop.put("a", b"a" * 3)
    shop.settled()
    shop.put_at(other, b"o" * 7)
    assert refuses(shop, "b", b"")
    shop.put("b", b"b" * 100, reseller=True)
    shop.layer.delete(RequestContext(), CONTAINER._replace(object="b"), DeleteOptions())
    shop.layer.delete(RequestContext(), other, DeleteOptions())
    shop.settled()
    shop.put("b", b"b" * 7)


def test_a_quota_of_a_policy(shop: Shop) -> None:
    silver = Name(CONTAINER.account, "silver", "o")
    shop.layer.create_container(RequestContext(), silver.of_container, ContainerOptions({}, policy=1))
    shop.limit_account(**{"Bytes-Policy-1": 5, "Bytes": 100})
    shop.put("a", b"a" * 50)
    with pytest.raises(QuotaExceeded, match="policy"):
        shop.put_at(silver, b"o" * 6)
    shop.put_at(silver, b"o" * 5)


# Uploads by parts, and versions


def complete(shop: Shop, size: int) -> None:
    """Complete an upload, whose parts have a number of bytes, as the S3 API does."""
    claim = PARTS._replace(object="p/1/claim")
    shop.put_at(claim, b"{}", {LISTED_SIZE: str(-size)})
    shop.settled()
    assert refuses(shop, "thief", b"x")
    owned = owns(PARTS.container or "", "p/1/")
    manifest = {MANIFEST: FORM, MANIFEST_ETAG: "e", MANIFEST_SIZE: str(size), MANIFEST_OWNS: owned}
    shop.put("done", b"[]", {**manifest, LISTED_SIZE: str(size)})
    shop.put_at(claim, b"{}", {LISTED_SIZE: str(-size)})


@pytest.mark.parametrize("bound", ["container", "account"])
def test_an_upload_by_parts_keeps_its_room_while_it_is_completed(shop: Shop, bound: str) -> None:
    if bound == "container":
        shop.limit(size=10)
    else:
        shop.limit_account(Bytes=10)
    shop.layer.create_container(RequestContext(), PARTS.of_container, ContainerOptions({}))
    shop.put_at(PARTS._replace(object="p/1/00001/a"), b"p" * 10)
    assert refuses(shop, "a", b"a")
    with pytest.raises(QuotaExceeded):
        shop.put_at(PARTS._replace(object="p/1/00002/a"), b"p")
    complete(shop, 10)
    shop.settled()
    assert refuses(shop, "a", b"a")
    shop.layer.delete(RequestContext(), CONTAINER._replace(object="done"), DeleteOptions())
    shop.settled()
    shop.put("a", b"a" * 10)


@pytest.fixture(params=INNER)
def versioned(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    shop = Shop(INNER[request.param](tmp_path), OUTER)
    shop.put("plain", b"p" * 4)
    documents.keep(shop.layer, RequestContext(), CONTAINER, CONFIG, "Enabled")
    return shop


def test_versions_count(versioned: Shop) -> None:
    versioned.limit(size=10, count=2)
    first = versioned.put("a", b"1" * 3)
    versioned.put("a", b"2" * 3)
    with pytest.raises(QuotaExceeded):
        versioned.put("a", b"3")
    versioned.settled()
    versioned.layer.delete(RequestContext(), CONTAINER._replace(object="a"), DeleteOptions(version_id=first.version_id))
    versioned.put("a", b"3" * 3)
    with pytest.raises(QuotaExceeded):  # `plain` and `a` are two
        versioned.put("b", b"")


def test_deletions_in_a_full_container_that_keeps_versions(versioned: Shop) -> None:
    """A plain object becomes a version when its key is deleted; both are there for a moment."""
    versioned.limit(size=4, count=1)
    deleted = versioned.layer.delete(RequestContext(), CONTAINER._replace(object="plain"), DeleteOptions())
    assert deleted.existed and deleted.marker
    versioned.settled()
    with pytest.raises(QuotaExceeded):
        versioned.put("a", b"a")
    gone = DeleteOptions(version_id=deleted.version_id)
    versioned.layer.delete(RequestContext(), CONTAINER._replace(object="plain"), gone)
    reply = versioned.layer.open(RequestContext(), CONTAINER._replace(object="plain"), ReadOptions())
    assert reply.read() == b"p" * 4


# Nodes that are away


@pytest.fixture
def store(tmp_path: Path) -> InProcess:
    return InProcess(tmp_path)


@pytest.fixture
def replicated(store: InProcess) -> Shop:
    shop = Shop(store.proxy.layer)
    shop.limit(size=10)
    return shop


@pytest.mark.parametrize("number", range(3))
def test_one_server_of_a_container_is_away(store: InProcess, replicated: Shop, number: int) -> None:
    down = store.primaries(CONTAINER)[number]
    store.net.breaks = lambda at, _: at == down
    replicated.put("a", b"a" * 4)
    replicated.put("b", b"b" * 4)
    replicated.settled()
    with pytest.raises(QuotaExceeded):
        replicated.put("c", b"c" * 3)
    replicated.put("c", b"c" * 2)


def test_two_servers_of_a_container_are_away(store: InProcess, replicated: Shop) -> None:
    replicated.put("a", b"a" * 5)
    down = store.primaries(CONTAINER)[:2]
    store.net.breaks = lambda at, request: at in down and "quota=" in request.query
    with pytest.raises(NodeFailure):
        replicated.put("b", b"b")


def test_a_first_server_that_lacks_rows_does_not_decide_alone(store: InProcess, replicated: Shop) -> None:
    first = store.primaries(CONTAINER)[0]
    store.net.breaks = lambda at, _: at == first
    replicated.put("a", b"a" * 10)
    replicated.settled()
    store.net.breaks = None
    with pytest.raises(QuotaBusy):
        replicated.put("b", b"b" * 5)


def test_containers_without_quotas_ask_for_nothing(store: InProcess) -> None:
    shop = Shop(store.proxy.layer)
    store.net.asked.clear()
    queries: list[str] = []
    store.net.breaks = lambda at, request: bool(queries.append(request.query))
    shop.put("a", b"a")
    shop.layer.delete(RequestContext(), CONTAINER._replace(object="a"), DeleteOptions())
    assert not [query for query in queries if "quota" in query]
