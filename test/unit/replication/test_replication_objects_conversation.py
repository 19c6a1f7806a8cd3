"""A sender and a receiver over engines in memory, with nothing between them."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

import pytest

from objstore.core.errors import NodeFailure
from objstore.core.names import Location
from objstore.core.nodes import Node
from objstore.core.timestamps import TICKS, Timestamp
from objstore.replication.objects_line import PeerLine
from objstore.replication.objects_messages import (
    COMPARE,
    OFFER,
    PARTITION_HASH,
    Changes,
    decode_changes,
    encode_changes,
    encode_hashes,
)
from objstore.replication.objects_plan import flat
from objstore.replication.objects_receiver import Receiver
from objstore.replication.objects_receiver import ReceiverBounds as ReceiverBounds
from objstore.replication.objects_sender import Flow, ObjectSender, ObjectSource, SenderBounds
from objstore.runtime.seldom import Seldom
from objstore.store.change import DATA, Change
from objstore.store.interface import Guard, ObjectData
from objstore.store.objects.change_stream import StreamWriter
from objstore.store.objects.memory_store import MemoryStore
from objstore.wire.messages import NodeRequest, NodeResponse

HERE = Location(5, "0123456789abcdef0123456789abcdef")
NODE = Node(0, 1, 1, "127.0.0.1", 6200, "d1")
BOUNDS = SenderBounds()


class Upload:
    """One request whose body is gathered."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._pieces: list[bytes] = []

    def wait_continue(self) -> None: ...

    def send(self, piece: bytes | memoryview) -> None:
        self._pieces.append(bytes(piece))

    def finish(self, trailers: Mapping[str, str]) -> NodeResponse:
        return self._peer.send(self._pieces)

    def abort(self) -> None: ...


class Peer:
    """A transport to a device in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self.requests: list[str] = []
        self._receiver = Receiver(store, HERE.partition, 0, ReceiverBounds(writers=2, small=1000))

    def call(self, node: Node, request: NodeRequest) -> NodeResponse:
        step = request.query.removeprefix("step=")
        self.requests.append(step)
        if step == COMPARE:
            hashes = self._receiver.compare(request.headers[PARTITION_HASH])
            return NodeResponse(204, {}) if hashes is None else NodeResponse(200, {}, [encode_hashes(hashes)])
        if step == OFFER:
            return NodeResponse(200, {}, [encode_changes(self._receiver.missing(decode_changes(request.body)))])
        return self.send([request.body])

    def upload(self, node: Node, request: NodeRequest, length: int | None) -> Upload:
        self.requests.append("upload")
        return Upload(self)

    def send(self, pieces: list[bytes]) -> NodeResponse:
        return NodeResponse(200, {}, [self._receiver.receive(pieces).encode()])


def put(store: MemoryStore, number: int, when: int = 1, size: int = 10) -> None:
    with store.create(Location(HERE.partition, f"{number:032x}"), size) as writer:
        writer.write(os.urandom(size))
        writer.commit(ObjectData("/a/c/o", Timestamp(when * TICKS), "text/plain", {}))


def every_change(store: MemoryStore) -> Changes:
    suffixes = store.suffix_hashes(HERE.partition)
    return {name: found for suffix in suffixes for name, found in store.changes(HERE.partition, suffix).items()}


def sender(store: MemoryStore, peer: Peer, bounds: SenderBounds = BOUNDS) -> ObjectSender:
    flow = Flow(lambda count: None, lambda count: None)
    source = ObjectSource(store, HERE.partition, 0)
    return ObjectSender(source, PeerLine(peer, NODE, 0, "own"), bounds, flow, logging.getLogger("test"), Seldom())


def test_a_peer_that_has_the_same_needs_one_request() -> None:
    mine, theirs = MemoryStore(), MemoryStore()
    for store in (mine, theirs):
        store.delete(HERE, "/a/c/o", Timestamp(1))
    peer = Peer(theirs)
    assert sender(mine, peer).compare(mine.partition_hash(HERE.partition)) is None
    assert peer.requests == [COMPARE]


def test_a_peer_gets_what_it_lacks_small_changes_together_and_large_ones_alone() -> None:
    mine, theirs = MemoryStore(), MemoryStore()
    for number in range(7):
        put(mine, number)
    put(mine, 7, size=5000)
    put(mine, 8)
    put(theirs, 8, when=2)
    peer = Peer(theirs)
    ours = sender(mine, peer, SenderBounds(changes=3, large=4000))
    assert ours.settle(every_change(mine)) == flat(every_change(mine))
    assert sorted(peer.requests) == ["offer", "send", "send", "send", "upload"]
    assert (ours.sent, ours.refused) == (8, 0)
    assert theirs.missing(HERE.partition, every_change(mine)) == {}


def test_what_was_replaced_meanwhile_is_not_confirmed() -> None:
    mine, theirs = MemoryStore(), MemoryStore()
    put(mine, 1)
    put(mine, 2)
    offered = every_change(mine)
    put(mine, 2, when=9)
    assert sender(mine, Peer(theirs)).settle(offered) == {(f"{1:032x}", Change(Timestamp(TICKS), DATA))}


class Full(MemoryStore):
    """A device without room for one of its names."""

    def write_change(self, location: Location, change: Change, length: int, guard: Guard | None = None) -> StreamWriter:
        if location.hash.endswith("1"):
            raise OSError(28, "no space")
        return super().write_change(location, change, length, guard)


def test_what_a_peer_refuses_is_counted_and_not_confirmed() -> None:
    mine, theirs = MemoryStore(), Full()
    put(mine, 1)
    put(mine, 2)
    ours = sender(mine, Peer(theirs))
    assert ours.settle(every_change(mine)) == {(f"{2:032x}", Change(Timestamp(TICKS), DATA))}
    assert (ours.sent, ours.refused) == (1, 1)


def test_a_receipt_of_another_number_of_changes_is_a_failure_of_the_peer() -> None:
    class Forgetful(Peer):
        def send(self, pieces: list[bytes]) -> NodeResponse:
            return super().send([])

    mine = MemoryStore()
    put(mine, 1)
    with pytest.raises(NodeFailure):
        sender(mine, Forgetful(MemoryStore())).settle(every_change(mine))
