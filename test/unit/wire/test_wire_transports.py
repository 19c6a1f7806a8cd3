"""Both ways to a node, in process and over HTTP, behave alike."""

import logging
import socket
from types import SimpleNamespace
from zlib import crc32

import pytest

from objstore.core.errors import BodyTruncated, InvalidInput, NodeFailure, NodeTimeout, NodeUnreachable
from objstore.core.names import Name
from objstore.core.nodes import Node
from objstore.http.client import ClientSettings, Pool
from objstore.http.server import Server, ServerSettings
from objstore.runtime import green, settings
from objstore.runtime.blocks import full_block, new_block
from objstore.server.http_adapter import StorageApp
from objstore.wire.local import LocalTransport
from objstore.wire.messages import NodeRequest, NodeResponse, UpdateTarget, parse_path, target
from objstore.wire.remote import HttpTransport

NAME = Name("AUTH_t", "c ä", "o/ü?#%41\x7f")
MIB = 1 << 20
NODE = Node(0, 1, 1, "127.0.0.1", 1, "d 1")


class NodeServer:
    """A storage server in small: answers with what it was asked, and keeps what it was sent."""

    kind, name = "object", "object-server"

    def __init__(self):
        self.seen = []
        self.ended = green.Event()

    def without_verb(self, method):
        return None

    def handle(self, device, request, body):
        self.seen.append((device, request))
        return self.get(request) if request.method == "GET" else self.put(request, body)

    def get(self, request):
        if request.query == "break":
            return NodeResponse(200, {"Content-Length": "100"}, self._broken())
        if request.query == "stuck":
            return NodeResponse(200, {"Content-Length": "100"}, self._stuck())
        if request.query == "slow":
            green.sleep(5)
        headers = {"X-Object-Meta-Color": "grün", "Content-Length": "6"}
        return NodeResponse(200, headers, iter([b"abc", memoryview(b"def")]))

    def _stuck(self):
        yield b"x" * 10
        green.sleep(100)

    def _broken(self):
        yield b"x" * 10
        raise NodeFailure("the disk has gone")

    def put(self, request, body):
        if request.query == "full":
            return NodeResponse(507, {})
        if request.query == "stops":
            next(iter(body))
            green.sleep(5)
        try:
            content = body.read(100 * MIB)
        except BodyTruncated:
            self.ended.send("truncated")
            return NodeResponse(499, {})
        trailer = body.trailers.get("X-Backend-Etag", "")
        announced = str(body.announced)
        sent = {
            "X-Size": str(len(content)),
            "X-Sum": str(crc32(content)),
            "X-Trailer": trailer,
            "X-Announced": announced,
        }
        return NodeResponse(201, sent)


@pytest.fixture(params=["in process", "over HTTP"])
def way(request):
    node_server = NodeServer()
    if request.param == "in process":
        node, transport = Node(0, 1, 1, "127.0.0.1", 1, "d 1"), LocalTransport({"object": node_server}, 0.3)
        yield SimpleNamespace(server=node_server, node=node, transport=transport)
        return
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(listener, StorageApp(node_server), settings.read(ServerSettings, {}), logging.getLogger("test"))
    green.spawn(server.serve)
    pool = Pool(settings.read(ClientSettings, {"node_timeout": "300ms", "body_timeout": "300ms"}))
    node = Node(0, 1, 1, "127.0.0.1", listener.getsockname()[1], "d 1")
    yield SimpleNamespace(server=node_server, node=node, transport=HttpTransport(pool))
    pool.close()
    server.drain(timeout=0.1)


def asked(method, query="", body=b"", **headers):
    return NodeRequest(method, 7, NAME, {name.replace("_", "-"): value for name, value in headers.items()}, query, body)


def test_a_body_that_does_not_go_on_ends_in_time(way):
    """In process the deadline covered the call, not the body: a GET waited for a device for ever."""
    response = way.transport.call(way.node, asked("GET", "stuck"))
    pieces = iter(response)
    assert bytes(next(pieces)) == b"x" * 10
    with green.deadline(20, AssertionError("waits for ever")), pytest.raises(NodeTimeout):
        next(pieces)
    response.close()


def test_names_and_headers_arrive_as_they_were(way):
    response = way.transport.call(way.node, asked("GET", X_Object_Meta_Name="Jörg \udcff", X_Timestamp="1.00000"))
    assert response.status == 200
    assert response.headers["X-Object-Meta-Color"] == "grün"
    assert response.read() == b"abcdef"
    device, request = way.server.seen[0]
    assert (device, request.method, request.partition, request.name) == ("d 1", "GET", 7, NAME)
    assert request.headers["X-Object-Meta-Name"] == "Jörg \udcff"


@pytest.mark.parametrize("body", [b"", b"x", b"y" * 70_000], ids=["empty", "one byte", "70 kB"])
def test_a_body_at_hand_arrives_whole(way, body):
    response = way.transport.call(way.node, asked("PUT", body=body))
    response.close()
    assert (response.status, response.headers["X-Size"]) == (201, str(len(body)))
    assert response.headers["X-Announced"] == "False"


@pytest.mark.parametrize("announced", [True, False])
def test_an_upload_arrives_whole_with_its_trailers(way, announced):
    pieces = [bytes([index]) * (MIB // 2) for index in range(7)]
    upload = way.transport.upload(way.node, asked("PUT"), 7 * MIB // 2 if announced else None)
    assert upload.wait_continue() is None
    for piece in pieces:
        upload.send(piece)
    response = upload.finish({} if announced else {"X-Backend-Etag": "abc ü"})
    response.close()
    assert response.status == 201
    assert response.headers["X-Sum"] == str(crc32(b"".join(pieces)))
    assert response.headers["X-Trailer"] == ("" if announced else "abc ü")
    assert response.headers["X-Announced"] == "True"


def test_a_node_that_wants_no_body_says_so_before_it(way):
    upload = way.transport.upload(way.node, asked("PUT", "full"), 10 * MIB)
    early = upload.wait_continue()
    assert early is not None and early.status == 507
    early.close()
    upload.abort()


def test_an_upload_that_is_given_up_is_noticed_by_the_node(way):
    upload = way.transport.upload(way.node, asked("PUT"), 10 * MIB)
    assert upload.wait_continue() is None
    upload.send(b"x" * MIB)
    upload.abort()
    with green.deadline(2, AssertionError("the node waits on")):
        assert way.server.ended.wait() == "truncated"


def test_pieces_that_a_buffering_upload_takes_do_not_wait_for_the_node():
    upload = LocalTransport({"object": NodeServer()}, 0.3).upload(NODE, asked("PUT", "stops"), 10 * MIB)
    assert upload.buffers
    assert upload.wait_continue() is None
    with green.deadline(0.25, AssertionError("waits for the node")):
        for _ in range(3):  # one is read, two are kept for it
            upload.send(b"x" * MIB)
            green.sleep()
    with pytest.raises(NodeTimeout):
        upload.send(b"x" * MIB)


def test_a_block_passes_to_a_node_in_process_as_it_is():
    class Keeping(NodeServer):
        def put(self, request, body):
            self.pieces = list(body)
            return NodeResponse(201, {})

    server = Keeping()
    upload = LocalTransport({"object": server}).upload(NODE, asked("PUT"), None)
    assert upload.wait_continue() is None
    block = new_block()
    upload.send(block)
    assert upload.finish({}).status == 201
    assert [full_block(piece) for piece in server.pieces] == [block.obj]


def test_a_body_that_breaks_off_is_a_failure_of_the_node(way):
    response = way.transport.call(way.node, asked("GET", "break"))
    got = b""
    with pytest.raises(NodeFailure):
        for piece in response:
            got += bytes(piece)
    assert got in (b"", b"x" * 10)
    response.close()


def test_a_node_that_does_not_answer_in_time_is_given_up(way):
    with pytest.raises(NodeTimeout):
        way.transport.call(way.node, asked("GET", "slow"))


def test_a_node_that_is_not_there_is_unreachable():
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    transport = HttpTransport(Pool(settings.read(ClientSettings, {})))
    with pytest.raises(NodeUnreachable):
        transport.call(Node(0, 1, 1, "127.0.0.1", port, "d"), asked("GET"))


def test_paths_of_names_are_read_back():
    node = Node(0, 1, 1, "127.0.0.1", 1, "d 1")
    assert target(node, asked("GET", "a=b")).startswith("/d%201/7/AUTH_t/c%20%C3%A4/o/%C3%BC%3F%23%2541")
    assert parse_path(f"/d/7{NAME.path}") == ("d", 7, NAME)


def test_update_targets_are_read_back():
    nodes = ((0, Node(-1, 0, 0, "10.0.0.1", 6201, "d1")), (2, Node(-1, 0, 0, "::1", 6201, "d2")))
    made = UpdateTarget(Name("a", "c ü"), 12, nodes)
    assert UpdateTarget.decode(made.encode()) == made


def test_a_server_that_fails_in_an_unforeseen_way_is_a_failed_node():
    class Faulty:
        def handle(self, device, request, body):
            raise KeyError("a fault")

    transport = LocalTransport({"object": Faulty()}, 0.3)
    node = Node(0, 1, 1, "127.0.0.1", 1, "d 1")
    with pytest.raises(NodeFailure):
        transport.call(node, asked("GET"))
    with pytest.raises(NodeFailure):
        transport.upload(node, asked("PUT"), None).finish({})


def test_a_header_that_cannot_be_sent_costs_no_connection():
    listener, node_server = socket.create_server(("127.0.0.1", 0)), NodeServer()
    serving = Server(listener, StorageApp(node_server), settings.read(ServerSettings, {}), logging.getLogger("test"))
    green.spawn(serving.serve)
    pool = Pool(settings.read(ClientSettings, {}))
    node = Node(0, 1, 1, "127.0.0.1", listener.getsockname()[1], "d 1")
    transport = HttpTransport(pool)
    bad = NodeRequest("PUT", 7, NAME, {"X-Object-Meta-A": "a\rb"}, "", b"x")
    with pytest.raises(InvalidInput):
        transport.call(node, bad)
    with pytest.raises(InvalidInput):
        transport.upload(node, bad, None)
    upload = transport.upload(node, asked("PUT"), None)
    assert upload.wait_continue() is None
    upload.send(b"x")
    with pytest.raises(InvalidInput):
        upload.finish({"X-Late": "a\rb"})
    green.sleep(0.1)
    assert (pool.idle, node_server.ended.ready()) == (0, True)  # closed: the node has seen the body break off
    serving.drain(timeout=0.1)
