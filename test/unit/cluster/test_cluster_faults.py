"""One request to many nodes, some of which fail: a whole cluster in process, on real files."""

import hashlib
import io
import logging
import time

import pytest

from objstore.assembly.apps import storage_servers
from objstore.cluster.cluster import Cluster, Transports
from objstore.cluster.layer import ClusterLayer
from objstore.cluster.settings import ClusterSettings
from objstore.core.errors import BodyTruncated, InvalidInput, NodeFailure, NodeTimeout, NodeUnreachable
from objstore.core.names import Name
from objstore.core.nodes import Node
from objstore.ring import Ring
from objstore.ring.builder import RingBuilder
from objstore.runtime import cluster_conf, green, settings
from objstore.runtime.cluster_conf import FILE_NAME
from objstore.swift.app import ProxyApp
from objstore.web.requests import ENVIRON_KEY
from objstore.web.responses import call
from objstore.wire.local import LocalTransport
from objstore.wire.messages import NodeRequest, NodeResponse

MIB = 1 << 20
LOGGER = logging.getLogger("test")
ACCOUNT, CONTAINER, OBJECT = Name("AUTH_t"), Name("AUTH_t", "c"), Name("AUTH_t", "c", "o")


class Faulty:
    """A transport under which chosen devices misbehave. `faults`: device to what it does, by kind of name."""

    def __init__(self, transport):
        self._transport = transport
        self.faults = {}
        self.databases_too = False  # do faults concern accounts and containers?
        self.asked = []

    def call(self, node, request):
        self.asked.append((request.method, node.device, request.name))
        fault = self._fault(node, request)
        if fault == "down":
            raise NodeUnreachable(str(node))
        if fault == "full":
            return NodeResponse(507, {})
        if fault == "limited":
            return NodeResponse(529, {})
        if isinstance(fault, Exception):
            raise fault
        if isinstance(fault, float):
            green.sleep(fault)
        response = self._transport.call(node, request)
        if fault == "breaks" and request.method == "GET":
            return NodeResponse(response.status, response.headers, self._broken(response), response.close)
        return response

    def _broken(self, response):
        for number, piece in enumerate(response):
            if number == 1:
                raise NodeFailure("broke off")
            yield piece

    def _fault(self, node, request):
        concerned = self.databases_too or request.name.object is not None
        return self.faults.get(node.device) if concerned else None

    def upload(self, node, request, length):
        fault = self._fault(node, request)
        if fault == "down":
            raise NodeUnreachable(str(node))
        if isinstance(fault, Exception):
            raise fault
        upload = self._transport.upload(node, request, length)
        if fault == "limited":
            return Refusing(upload, 529)
        if isinstance(fault, float):
            return Late(upload, fault)
        return Dying(upload) if fault == "dies" else upload


class Late:
    """An upload whose node is ready for the body after so many seconds."""

    def __init__(self, upload, seconds):
        self._upload = upload
        self._seconds = seconds
        self.buffers = upload.buffers
        self.abort, self.send, self.finish = upload.abort, upload.send, upload.finish

    def wait_continue(self):
        green.sleep(self._seconds)
        return self._upload.wait_continue()


class Refusing:
    """An upload that the node refuses before its body."""

    def __init__(self, upload, status):
        self._status = status
        self.buffers = upload.buffers
        self.abort, self.send, self.finish = upload.abort, upload.send, upload.finish

    def wait_continue(self):
        return NodeResponse(self._status, {})


class Dying:
    """An upload whose node goes away after the first piece."""

    def __init__(self, upload):
        self._upload = upload
        self._sent = 0
        self.buffers = upload.buffers
        self.wait_continue = upload.wait_continue
        self.abort = upload.abort

    def send(self, piece):
        self._sent += 1
        if self._sent > 1:
            raise NodeFailure("gone")
        self._upload.send(piece)

    def finish(self, trailers):
        raise NodeFailure("gone")


class Store:
    def __init__(self, root, devices, replicas, **conf):
        (root / "etc").mkdir()
        (root / "etc" / FILE_NAME).write_text("[hash]\nprefix = a\n")
        for number in range(devices):
            (root / "devices" / f"d{number}").mkdir(parents=True)
        builder = RingBuilder(4, replicas, 0)
        builder.add_all([Node(-1, 1, number, "127.0.0.1", 6200, f"d{number}", weight=1.0) for number in range(devices)])
        builder.rebalance(time.time(), seed=1)
        self.builder = builder
        self.ring = Ring(builder.contents())
        known = cluster_conf.load(str(root / "etc"))
        plain = Transports(None)
        storage = storage_servers(
            {"ring_dir": str(root / "etc"), "devices": str(root / "devices"), "mount_check": "no", "log_to": "none"},
            plain,
        )
        local = LocalTransport(storage.by_kind)
        plain.use_local(local, frozenset({("127.0.0.1", 6200)}))
        self.net = Faulty(local)
        transports = Transports(self.net)
        values = settings.read(ClusterSettings, {"node_timeout": "1", "post_quorum_timeout": "0.1", **conf})
        self.object_ring = None  # where it is not the same
        rings = {name: lambda: self.ring for name in ("account", "container")}
        rings["object"] = lambda: self.object_ring or self.ring
        self.cluster = Cluster(values, known.salt, known.policies, rings, transports, LOGGER)
        self.app = ProxyApp(self.cluster, known.limits, ClusterLayer(self.cluster, known.limits.max_file_size))
        assert self("PUT", CONTAINER).status == 201

    def __call__(self, method, name, body=b"", stream=None, query="", **headers):
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": f"/v1{name.path}",
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": stream or io.BytesIO(body),
        }
        for header, value in headers.items():
            environ[ENVIRON_KEY[header.replace("_", "-")]] = value
        return call(self.app, environ)

    def primaries(self, name=OBJECT):
        return [node.device for node in self.cluster.place(name).primaries]

    def listed(self):
        return self("GET", CONTAINER).read()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, devices=4, replicas=3)


SMALL = b"small"
LARGE = bytes(range(256)) * (5 * MIB // 256)


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("fault", ["down", "dies"])
def test_a_write_succeeds_while_one_node_of_three_fails(store, fault, body):
    store.net.faults[store.primaries()[0]] = fault
    answer = store("PUT", OBJECT, body)
    assert (answer.status, answer.headers["Etag"]) == (201, hashlib.md5(body).hexdigest())
    store.net.faults.clear()
    assert store("GET", OBJECT).read() == body
    assert b'"o"' in store.listed()


def test_a_handoff_takes_the_place_of_a_node_that_is_down(store):
    down = store.primaries()[1]
    store.net.faults[down] = "down"
    assert store("PUT", OBJECT, SMALL).status == 201
    handoff = ({"d0", "d1", "d2", "d3"} - set(store.primaries())).pop()
    assert ("PUT", handoff, OBJECT) in store.net.asked


def test_a_handoff_takes_the_large_body_for_a_node_that_hangs(tmp_path):
    """All others waited for it as long as a node may take to answer."""
    store = Store(tmp_path, devices=4, replicas=3, node_timeout="20", open_timeout="0.2")
    store.net.faults[store.primaries()[0]] = 10.0
    started = time.monotonic()
    assert store("PUT", OBJECT, LARGE).status == 201
    assert time.monotonic() - started < 5
    store.net.faults = dict.fromkeys(store.primaries(), "down")
    assert store("GET", OBJECT).read() == LARGE


def test_a_large_body_goes_on_without_nodes_that_hang_if_there_is_no_handoff(tmp_path):
    store = Store(tmp_path, devices=3, replicas=3, node_timeout="20", open_timeout="0.2")
    store.net.faults[store.primaries()[0]] = 10.0
    started = time.monotonic()
    assert store("PUT", OBJECT, LARGE).status == 201
    assert time.monotonic() - started < 5


def test_a_large_body_waits_for_nodes_that_are_all_slow(tmp_path):
    store = Store(tmp_path, devices=3, replicas=3, node_timeout="20", open_timeout="0.1")
    store.net.faults = dict.fromkeys(store.primaries(), 1.0)
    assert store("PUT", OBJECT, LARGE).status == 201


def test_a_container_that_hangs_is_not_waited_for_in_the_place_of_an_object_server(tmp_path):
    """A write with two good copies was answered after node_timeout, if the third's container replica did not answer."""
    store = Store(tmp_path, devices=4, replicas=3, node_timeout="20", update_timeout="0.2")
    assert store("GET", CONTAINER).status == 200
    listed, call = [], store.net.call

    def hanging(node, request):
        if (request.method, request.name) == ("POST", CONTAINER):
            listed.append(node)
            green.sleep(10)
        return call(node, request)

    store.net.call = hanging
    store.net.faults[store.primaries()[0]] = 10.0
    for method in ("PUT", "DELETE"):
        started = time.monotonic()
        assert store(method, OBJECT, SMALL).status in (201, 204)
        assert time.monotonic() - started < 5
    assert listed


def test_calls_in_process_may_have_less_time_than_others():
    """A change waited for a hanging container replica of its own host as long as the proxy waits for the change."""

    class Hanging:
        def call(self, node, request):
            green.sleep(10)

    transports = Transports(Hanging())
    telling = transports.with_remote(Hanging(), 0.2)
    transports.use_local(Hanging(), frozenset({("127.0.0.1", 6200)}))
    node = Node(0, 1, 1, "127.0.0.1", 6200, "d1", weight=1.0)
    started = time.monotonic()
    with pytest.raises(NodeTimeout):
        telling.call(node, NodeRequest("POST", 0, CONTAINER, {}))
    assert time.monotonic() - started < 5


def test_a_write_fails_where_no_majority_can_be_had(tmp_path):
    store = Store(tmp_path, devices=3, replicas=3)
    for device in store.primaries()[:2]:
        store.net.faults[device] = "down"
    assert store("PUT", OBJECT, SMALL).status == 503
    assert store("PUT", OBJECT, LARGE).status == 503


def test_a_full_device_is_passed_over(store):
    store.net.faults[store.primaries()[0]] = "full"
    assert store("PUT", OBJECT, SMALL).status == 201
    store.net.asked.clear()
    assert store("PUT", OBJECT, SMALL).status == 201
    assert ("PUT", store.primaries()[0], OBJECT) not in store.net.asked  # left alone for a while


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
def test_a_device_with_too_many_requests_is_replaced_and_asked_again_at_once(store, body):
    limited = store.primaries()[0]
    for _ in range(30):  # more than a node may fail before it is skipped
        store.net.faults[limited] = "limited"
        assert store("PUT", OBJECT, body).status == 201
        answer = store("GET", OBJECT)
        assert (answer.status, answer.read()) == (200, body)
        assert store("POST", OBJECT, X_Object_Meta_A="1").status == 202
    store.net.faults.clear()
    store.net.asked.clear()
    assert store("PUT", OBJECT, SMALL).status == 201
    assert ("PUT", limited, OBJECT) in store.net.asked
    assert not store.cluster.is_limited(store.cluster.place(OBJECT).primaries[0])


def test_devices_with_too_many_requests_everywhere_are_503(store):
    store("PUT", OBJECT, SMALL)
    store.net.faults = dict.fromkeys(("d0", "d1", "d2", "d3"), "limited")
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        assert store(method, OBJECT).status == 503, method
    store.net.faults.clear()
    assert store("GET", OBJECT).read() == SMALL


def test_full_devices_everywhere_are_told(tmp_path):
    store = Store(tmp_path, devices=1, replicas=1)
    store.net.faults["d0"] = "full"
    assert store("PUT", OBJECT, SMALL).status == 507


def test_a_slow_copy_is_not_lost_by_the_early_answer(store):
    slow = store.primaries()[2]
    store.net.faults[slow] = 0.5
    started = time.monotonic()
    assert store("PUT", OBJECT, SMALL).status == 201
    assert time.monotonic() - started < 0.45
    green.sleep(0.8)
    store.net.faults = {device: "down" for device in store.primaries() if device != slow}
    assert store("GET", OBJECT).read() == SMALL


def test_every_container_replica_hears_of_a_write_though_an_object_server_is_down(tmp_path):
    store = Store(tmp_path, devices=3, replicas=3)
    store.net.faults[store.primaries()[0]] = "down"
    assert store("PUT", OBJECT, SMALL).status == 201
    report = [device for method, device, name in store.net.asked if (method, name) == ("POST", CONTAINER)]
    assert report  # by the proxy, for the object server that could not
    place = store.cluster.place(CONTAINER)
    for node in place.primaries:
        request = store.cluster.transports
        listing = request.call(node, _get(place, CONTAINER)).read()
        assert b'"o"' in listing


def _get(place, name):
    from objstore.wire.messages import NodeRequest

    return NodeRequest("GET", place.partition, name, {})


def test_a_read_moves_on_from_a_node_that_is_down(store):
    store("PUT", OBJECT, SMALL)
    for device in store.primaries()[:2]:
        store.net.faults[device] = "down"
    assert store("GET", OBJECT).read() == SMALL


def test_a_body_that_breaks_off_goes_on_from_another_copy(store):
    store("PUT", OBJECT, LARGE)
    store.net.faults = dict.fromkeys(store.primaries()[:2], "breaks")
    for _ in range(4):
        answer = store("GET", OBJECT)
        assert answer.read() == LARGE
    ranged = store("GET", OBJECT, Range="bytes=100-4000000")
    assert (ranged.status, ranged.read()) == (206, LARGE[100:4000001])


def test_a_body_that_no_copy_can_finish_is_never_taken_for_whole(store):
    store("PUT", OBJECT, LARGE)
    store.net.faults = dict.fromkeys(store.primaries(), "breaks")
    with pytest.raises(NodeFailure):
        store("GET", OBJECT).read()


def test_several_ranges_come_as_parts(store):
    store("PUT", OBJECT, LARGE)
    answer = store("GET", OBJECT, Range="bytes=0-9,2000000-2000009")
    body = answer.read()
    assert answer.status == 206 and answer.headers["Content-Type"].startswith("multipart/byteranges")
    assert len(body) == int(answer.headers["Content-Length"])
    assert LARGE[:10] in body and LARGE[2000000:2000010] in body


def test_an_object_is_missing_only_when_enough_nodes_say_so(tmp_path):
    store = Store(tmp_path, devices=3, replicas=3)
    assert store("GET", OBJECT).status == 404
    store.net.faults = dict.fromkeys(store.primaries()[:2], "down")
    assert store("GET", OBJECT).status == 503


def test_a_tombstone_that_is_newer_wins_over_a_copy_left_behind(store):
    store("PUT", OBJECT, SMALL)
    left_behind = store.primaries()[0]
    store.net.faults[left_behind] = "down"
    assert store("DELETE", OBJECT).status == 204
    store.net.faults.clear()
    statuses = {store("GET", OBJECT, X_Newest="true").status for _ in range(5)}
    assert statuses == {404}


def test_a_deletion_that_has_reached_one_node_only_is_no_failure(tmp_path):
    """Nodes with the older copy were counted neither as having the object nor as lacking it: 503."""
    store = Store(tmp_path, devices=3, replicas=3)
    store("PUT", OBJECT, SMALL)
    store.net.faults = dict.fromkeys(store.primaries()[:2], "down")
    assert store("DELETE", OBJECT).status == 503
    store.net.faults.clear()
    assert {store("GET", OBJECT, X_Newest="true").status for _ in range(5)} == {404}
    assert {store("GET", OBJECT).status for _ in range(20)} <= {200, 404}


def test_the_newest_copy_is_found_on_request(store):
    store("PUT", OBJECT, b"old")
    stale = store.primaries()[0]
    store.net.faults[stale] = "down"
    store("PUT", OBJECT, b"new")
    store.net.faults.clear()
    assert {store("GET", OBJECT, X_Newest="true").read() for _ in range(6)} == {b"new"}


def test_a_new_container_waits_for_its_slow_replica_so_that_no_row_comes_before_it(store):
    name = Name("AUTH_test", "new")
    store.net.databases_too = True
    slow = store.primaries(name)[2]
    store.net.faults[slow] = 0.3  # in each of the two rounds: is it there, and make it
    assert store("PUT", name).status == 201
    store.net.faults.clear()
    place = store.cluster.place(name)
    assert {
        store.cluster.call(node, NodeRequest("HEAD", place.partition, name, {})).status for node in place.primaries
    } == {204}


def test_a_slow_node_is_overtaken_where_that_is_set(tmp_path):
    store = Store(tmp_path, devices=3, replicas=3, concurrent_gets="yes", concurrency_timeout="0.05")
    store("PUT", OBJECT, SMALL)
    store.net.faults = dict.fromkeys(store.primaries()[:2], 0.6)
    started = time.monotonic()
    assert store("GET", OBJECT).read() == SMALL
    assert time.monotonic() - started < 0.5


def test_a_proxy_whose_clock_is_slow_loses_no_overwrite(store):
    store("PUT", OBJECT, b"first")
    store.cluster.clock._now = lambda: time.time() - 3600
    store.cluster.clock._last = 0
    for body in (b"second", LARGE):
        assert store("PUT", OBJECT, body).status == 201
        assert store("GET", OBJECT).read() == body
    assert store("POST", OBJECT, X_Object_Meta_Color="red").status == 202
    assert store("GET", OBJECT).headers["X-Object-Meta-Color"] == "red"
    assert store("DELETE", OBJECT).status == 204
    assert store("GET", OBJECT).status == 404


class Truncated(io.BytesIO):
    def read_chunk(self, most=-1):
        piece = self.read(most)
        if not piece:
            raise BodyTruncated("the client has gone")
        return piece


@pytest.mark.parametrize("announced", [100, 5 * MIB], ids=["small", "large"])
def test_a_client_that_goes_away_leaves_nothing_behind(store, tmp_path, announced):
    answer = store("PUT", OBJECT, stream=Truncated(b"x" * (announced // 2)), Content_Length=str(announced))
    assert answer.status == 499
    green.sleep(0.1)
    assert store("GET", OBJECT).status == 404
    assert store.listed() == b"[]"
    assert not [path for path in (tmp_path / "devices").rglob("*") if path.is_file() and "objects" in path.parts]


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
def test_a_wrong_md5_is_refused_and_nothing_kept(store, body):
    assert store("PUT", OBJECT, body, Etag="0" * 32).status == 422
    assert store("GET", OBJECT).status == 404
    assert store("PUT", OBJECT, body, Etag=hashlib.md5(body).hexdigest()).status == 201


def test_manifests_of_swift_are_refused_rather_than_kept_as_data(store):
    assert store("PUT", OBJECT, b"[]", query="multipart-manifest=put").status == 501
    assert store("PUT", OBJECT, b"", X_Object_Manifest="c/o-").status == 501
    assert store("GET", OBJECT).status == 404


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
def test_a_header_that_cannot_be_sent_to_nodes_is_the_clients_fault(store, body):
    """The HTTP client refuses it in each node's green thread, and the one who waited for them never woke."""
    for device in store.primaries():
        store.net.faults[device] = InvalidInput("CR, LF or NUL in a header value")
    with green.deadline(5, TimeoutError("it hangs")):
        assert store("PUT", OBJECT, body).status == 400
        assert store("PUT", OBJECT, body, If_None_Match="*").status == 400


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
def test_a_fault_of_ours_in_one_request_to_a_node_is_that_nodes_failure(store, body):
    store.net.faults[store.primaries()[0]] = RuntimeError("a fault")
    with green.deadline(5, TimeoutError("it hangs")):
        assert store("PUT", OBJECT, body).status == 201


def test_a_fault_of_ours_in_all_requests_ends_the_write(store):
    for device in ("d0", "d1", "d2", "d3"):
        store.net.faults[device] = RuntimeError("a fault")
    with green.deadline(5, TimeoutError("it hangs")):
        assert store("PUT", OBJECT, SMALL).status == 503
        assert store("PUT", OBJECT, LARGE).status == 503


def test_a_write_does_not_wait_for_nodes_without_end(tmp_path):
    store = Store(tmp_path, devices=4, replicas=3, write_timeout="2")
    for device in store.primaries():
        store.net.faults[device] = 9.0
    started = time.monotonic()
    assert store("PUT", OBJECT, SMALL).status == 503
    assert time.monotonic() - started < 7
