"""Conditional writes over several nodes, some of which fail: a whole cluster in process, on real files."""

from __future__ import annotations

import hashlib
import importlib.util
import io
from pathlib import Path
from typing import Any

import pytest

from objstore.core.errors import NodeFailure
from objstore.core.timestamps import DECIDED, Timestamp
from objstore.runtime import green
from objstore.store.leases import Leases
from objstore.web.responses import call
from objstore.wire.messages import NodeRequest, NodeResponse

_spec = importlib.util.spec_from_file_location("cluster_faults", Path(__file__).with_name("test_cluster_faults.py"))
assert _spec is not None and _spec.loader is not None
faults = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(faults)
OBJECT = faults.OBJECT
SMALL, LARGE = b"small", bytes(200_000)
BODIES = pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])


@pytest.fixture
def store(tmp_path: Path) -> Any:
    return faults.Store(tmp_path, 4, 3)


def etag(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


def put(store: Any, body: bytes, **headers: str) -> int:
    answer = store("PUT", OBJECT, body, **headers)
    answer.close()
    return int(answer.status)


def content(store: Any) -> bytes:
    return bytes(store("GET", OBJECT, X_Newest="true").read())


def held(store: Any) -> list[Any]:
    """What leases and promises are left on any device."""
    leases = [(device, store.leases(device)) for device in store.primaries()]
    return [(device, found) for device, found in leases if found is not None]


@pytest.fixture(autouse=True)
def leases(store: Any, tmp_path: Path) -> None:
    name_hash = store.cluster.salt.hash(OBJECT)
    store.leases = lambda device: Leases(str(tmp_path / "devices" / device)).read(name_hash)


def asked(store: Any, method: str) -> list[str]:
    return [device for said, device, name in store.net.asked if said == method and name == OBJECT]


@BODIES
def test_the_lease_is_asked_of_all_primaries_and_given_back_by_the_change(store: Any, body: bytes) -> None:
    assert put(store, body, If_None_Match="*") == 201
    assert sorted(asked(store, "LOCK")) == sorted(store.primaries())
    assert asked(store, "LOCK")[0] == store.primaries()[0]
    assert asked(store, "UNLOCK") == []
    assert held(store) == []
    assert put(store, body, If_None_Match="*") == 412
    green.sleep(0.05)
    assert held(store) == []
    assert content(store) == body


def test_a_false_condition_is_told_before_a_long_body(store: Any) -> None:
    class Unread:
        def read(self, size: int = -1) -> bytes:
            raise AssertionError("was read")

    assert put(store, SMALL) == 201
    answer = store("PUT", OBJECT, LARGE, stream=Unread(), If_None_Match="*")
    assert answer.status == 412
    assert asked(store, "LOCK") == []


@BODIES
@pytest.mark.parametrize("down", range(3))
def test_with_one_primary_down(store: Any, body: bytes, down: int) -> None:
    assert put(store, b"first") == 201
    store.net.faults[store.primaries()[down]] = "down"
    assert put(store, body, If_Match="other") == 412
    assert put(store, body, If_Match=etag(b"first")) == 201
    assert put(store, body, If_None_Match="*") == 412
    assert content(store) == body
    del store.net.faults[store.primaries()[down]]
    assert put(store, b"last", If_Match=etag(body)) == 201
    assert content(store) == b"last"


@BODIES
def test_with_two_primaries_down_nothing_is_changed(store: Any, body: bytes) -> None:
    assert put(store, b"first") == 201
    for device in store.primaries()[1:]:
        store.net.faults[device] = "down"
    assert put(store, body, If_Match=etag(b"first")) == 503
    green.sleep(0.05)
    store.net.faults.clear()
    assert held(store) == []
    assert content(store) == b"first"


def test_one_replica_decides_by_itself(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    store = faults.Store(tmp_path / "one", 2, 1)
    assert put(store, SMALL, If_None_Match="*") == 201
    assert put(store, SMALL, If_None_Match="*") == 412
    assert put(store, b"other", If_Match=etag(SMALL)) == 201
    assert asked(store, "LOCK") == []
    store.net.faults[store.primaries()[0]] = "down"
    assert put(store, SMALL, If_None_Match="*") == 503  # and no handoff is asked, which knows nothing


class Losing:
    """Passes on to the real transport, but for changes under a lease to some devices."""

    def __init__(self, net: Any, devices: list[str]) -> None:
        self._net = net
        self.devices = devices
        self.upload = net.upload

    def call(self, node: Any, request: NodeRequest) -> NodeResponse:
        if request.method == "PUT" and "X-Backend-Lease" in request.headers and node.device in self.devices:
            raise NodeFailure("died")
        response = self._net.call(node, request)
        assert isinstance(response, NodeResponse)
        return response


def test_what_a_failed_change_leaves_never_wins_over_a_later_one(store: Any) -> None:
    """Not even over one of a proxy whose clock is behind."""
    assert put(store, b"first") == 201
    primaries = store.primaries()
    store.cluster.transports._remote = Losing(store.net, primaries[1:])
    assert put(store, b"left", If_Match=etag(b"first")) == 503
    green.sleep(0.05)
    store.cluster.transports._remote = store.net
    promises = {device: lease.promise for device, lease in held(store)}
    assert sorted(promises) == sorted(primaries[1:])
    slow = store.cluster.clock._now
    store.cluster.clock._now = lambda: slow() - 100
    store.cluster.clock._last = 0
    store.net.faults[primaries[0]] = "down"  # it alone has what was left
    assert put(store, b"later") == 201
    store.net.faults.clear()
    assert content(store) == b"later"
    assert held(store) == []


def test_a_change_that_only_one_node_has_is_waited_for_then_decided_on(store: Any) -> None:
    assert put(store, b"first") == 201
    primaries = store.primaries()
    for device in [*primaries[1:], *(f"d{number}" for number in range(4) if f"d{number}" not in primaries)]:
        store.net.faults[device] = "down"
    assert put(store, b"left") == 503
    store.net.faults.clear()
    store.net.asked.clear()
    assert put(store, b"next", If_Match=etag(b"left")) == 201
    assert len(asked(store, "LOCK")) > 6
    assert content(store) == b"next"


def test_a_plain_write_waits_for_a_lease_and_comes_after_it(store: Any) -> None:
    assert put(store, b"first") == 201
    primaries = store.cluster.place(OBJECT).primaries
    headers = {"X-Backend-Lease": "someone", "X-Timestamp": store.cluster.clock.now().internal}
    partition = store.cluster.place(OBJECT).partition
    for node in primaries[:2]:
        assert store.net.call(node, NodeRequest("LOCK", partition, OBJECT, headers)).status == 200
    waiting = green.spawn(put, store, b"plain")
    green.sleep(0.1)
    assert not waiting.dead
    for node in primaries[:2]:
        store.net.call(node, NodeRequest("UNLOCK", partition, OBJECT, headers))
    assert waiting.wait() == 201
    assert content(store) == b"plain"


@pytest.mark.parametrize("decided", [False, True])
def test_a_write_that_a_majority_took_is_repeated_only_over_what_was_left(store: Any, decided: bool) -> None:
    """One node has something newer: left by a proxy whose clock is ahead, or decided by a majority."""
    assert put(store, b"first") == 201
    ahead = Timestamp(store.cluster.clock.now().raw + 10_000_000, DECIDED if decided else 0)
    place = store.cluster.place(OBJECT)
    headers = {"X-Timestamp": ahead.internal, "Content-Type": "text/plain"}
    store.net.call(place.primaries[0], NodeRequest("PUT", place.partition, OBJECT, headers, "", b"ahead"))
    store.net.asked.clear()
    assert put(store, b"mine") == 201
    assert bool(asked(store, "LOCK")) != decided
    assert content(store) == (b"ahead" if decided else b"mine")


def test_the_systems_own_put_on_nothing_is_told_so(store: Any) -> None:
    def status(method: str, **more: object) -> int:
        environ = {"REQUEST_METHOD": method, "PATH_INFO": f"/v1{OBJECT.path}", "HTTP_IF_MATCH": "*", **more}
        environ |= {"QUERY_STRING": "", "CONTENT_LENGTH": "1", "wsgi.input": io.BytesIO(b"x")}
        return call(store.app, environ).status

    assert status("PUT") == 412
    assert status("PUT", **{"objstore.preauthorized": True}) == 404
    assert status("DELETE", **{"objstore.preauthorized": True}) == 412
