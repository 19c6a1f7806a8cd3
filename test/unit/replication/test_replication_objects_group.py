"""One conversation about many partitions, over engines of all kinds, with nothing between the two ends."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from objstore.core.errors import BodyTruncated, InvalidInput, NodeFailure
from objstore.core.names import Location, partition_of
from objstore.core.nodes import Node
from objstore.core.timestamps import TICKS, Timestamp
from objstore.replication.objects_group import GroupSender, asks
from objstore.replication.objects_line import PeerLine
from objstore.replication.objects_messages import (
    COMPARE_EACH,
    OFFER_MANY,
    SEND_MANY,
    UNSOUND,
    Changes,
    Receipt,
    decode_changes_of,
    decode_partitions,
    encode_changes_of,
    encode_hashes_of,
)
from objstore.replication.objects_receiver import GroupReceiver, ReceiverBounds
from objstore.replication.objects_run import ITEM_SIZE, RECORD, encode_item
from objstore.replication.objects_sender import Flow, SenderBounds
from objstore.store.interface import ObjectData, ObjectMetadata, ReplicaStore
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.memory_store import MemoryStore
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.objects.space import Reserve
from objstore.store.packed.store import PackedStore
from objstore.wire.messages import NodeRequest, NodeResponse

POWER = 3
PARTITIONS = range(1 << POWER)
NODE = Node(0, 1, 1, "127.0.0.1", 6200, "d1")
SETTINGS = FileSettings(Reserve(), threads_per_disk=1, background_threads_per_disk=1, ballast=0)
LIMIT = 1000
COUNT = 24
DELETED, POSTED, LARGE = 1, 2, 3


def new_store(kind: str, root: Path) -> ReplicaStore:
    if kind == "memory":
        return MemoryStore()
    root.mkdir()
    if kind == "files":
        return FileReplicaStore(str(root), settings=SETTINGS)
    return PackedStore(str(root), settings=SETTINGS, limit=LIMIT, power=lambda: POWER)


@pytest.fixture(params=["packed", "files", "memory"])
def theirs(request: pytest.FixtureRequest, tmp_path: Path) -> ReplicaStore:
    return new_store(request.param, tmp_path / "theirs")


@pytest.fixture
def mine(tmp_path: Path) -> PackedStore:
    store = new_store("packed", tmp_path / "mine")
    assert isinstance(store, PackedStore)
    for number in range(COUNT):
        put(store, number, size=5 * LIMIT if number == LARGE else 100)
    store.delete(location(DELETED), "/a/c/o", Timestamp(2 * TICKS))
    store.post(location(POSTED), ObjectMetadata(Timestamp(2 * TICKS), {"X-Object-Meta-A": "b"}))
    return store


def location(number: int) -> Location:
    name_hash = hashlib.md5(b"%d" % number).hexdigest()
    return Location(partition_of(name_hash, POWER), name_hash)


def put(store: ReplicaStore, number: int, when: int = 1, size: int = 100) -> None:
    with store.create(location(number), size) as writer:
        writer.write(bytes([number]) * size)
        writer.commit(ObjectData("/a/c/o", Timestamp(when * TICKS), "text/plain", {}))


def hashes(store: ReplicaStore) -> dict[int, str]:
    return {partition: store.partition_hash(partition) for partition in PARTITIONS}


def every_change(store: ReplicaStore) -> dict[int, Changes]:
    return store.changes_of({partition: sorted(store.suffix_hashes(partition)) for partition in PARTITIONS})


class Peer:
    """A transport to a device. requests: steps that were asked for."""

    def __init__(self, store: ReplicaStore, seconds: float = 60.0, run: int = 256) -> None:
        self.requests: list[str] = []
        self.change: Callable[[bytes], bytes] = lambda body: body
        bounds = ReceiverBounds(writers=2, small=2 * LIMIT, run=run)
        self.receiver = GroupReceiver(store, 0, bounds, seconds=seconds)

    def call(self, node: Node, request: NodeRequest) -> NodeResponse:
        assert request.partition is None
        step = request.query.removeprefix("step=")
        self.requests.append(step)
        if step == COMPARE_EACH:
            body = encode_hashes_of(self.receiver.compare(decode_partitions(request.body)))
        elif step == OFFER_MANY:
            body = encode_changes_of(self.receiver.missing(decode_changes_of(request.body)))
        else:
            assert step == SEND_MANY
            body = self.receiver.receive(pieces(self.change(request.body))).encode()
        return NodeResponse(200, {}, [body])

    def upload(self, node: Node, request: NodeRequest, length: int | None) -> Any:
        raise AssertionError("nothing is uploaded")


def pieces(body: bytes) -> Iterator[bytes]:
    """A body as it may arrive: cut anywhere."""
    for start in range(0, len(body), 777):
        yield body[start : start + 777]


def sender(store: ReplicaStore, peer: Peer, bounds: SenderBounds | None = None) -> GroupSender:
    flow = Flow(lambda count: None, lambda count: None)
    line = PeerLine(peer, NODE, 0, "own")
    return GroupSender(store, 0, line, bounds or SenderBounds(large=20 * LIMIT), flow, logging.getLogger("test"))


def test_an_empty_peer_gets_all_and_is_not_asked_what_it_lacks(mine: PackedStore, theirs: ReplicaStore) -> None:
    peer = Peer(theirs)
    ours = sender(mine, peer)
    compared = ours.compare(hashes(mine))
    assert compared == {partition: {} for partition in PARTITIONS}
    assert ours.settle(every_change(mine), {*PARTITIONS}) == set()
    assert peer.requests == [COMPARE_EACH, SEND_MANY]
    assert hashes(theirs) == hashes(mine)
    assert ours.compare(hashes(mine)) == dict.fromkeys(PARTITIONS)
    assert ours.sent == COUNT + 1
    with theirs.open(location(LARGE)) as reader:
        assert b"".join(map(bytes, reader.read(0, 10 * LIMIT))) == bytes([LARGE]) * 5 * LIMIT
    assert theirs.info(location(POSTED)).metadata == {"X-Object-Meta-A": "b"}


def test_a_peer_that_has_some_gets_the_rest(mine: PackedStore, theirs: ReplicaStore) -> None:
    for number in range(10, COUNT):
        put(theirs, number)
    put(theirs, 11, when=5)  # newer than ours
    peer = Peer(theirs)
    ours = sender(mine, peer)
    assert ours.settle(every_change(mine), set()) == set()
    assert ours.sent == 11
    assert peer.requests == [OFFER_MANY, SEND_MANY]
    assert Peer(theirs).receiver.missing(every_change(mine)) == {}
    assert theirs.info(location(11)).timestamp == Timestamp(5 * TICKS)


def test_requests_are_bounded(mine: PackedStore, theirs: ReplicaStore) -> None:
    peer = Peer(theirs, run=2)
    ours = sender(mine, peer, SenderBounds(changes=5, large=20 * LIMIT))
    assert ours.settle(every_change(mine), {*PARTITIONS}) == set()
    assert peer.requests == [SEND_MANY] * 5
    assert hashes(theirs) == hashes(mine)


def test_a_large_change_is_left_to_the_work_on_its_partition(mine: PackedStore, theirs: ReplicaStore) -> None:
    ours = sender(mine, Peer(theirs), SenderBounds(large=2 * LIMIT))
    assert ours.settle(every_change(mine), {*PARTITIONS}) == {location(LARGE).partition}
    assert ours.sent == COUNT


def test_a_damaged_record_is_quarantined_and_the_others_arrive(mine: PackedStore, theirs: ReplicaStore) -> None:
    (entry,) = mine._names.find(location(7))
    with open(f"{mine.layout.packed}/volumes/00000001.volume", "r+b") as file:
        file.seek(entry.place.position + entry.place.length - 1)
        file.write(b"x")
    ours = sender(mine, Peer(theirs))
    assert ours.settle(every_change(mine), {*PARTITIONS}) == set()
    assert (ours.sent, ours.corrupt) == (COUNT, 1)
    assert [each.hash for each in mine.quarantined()] == [location(7).hash]
    assert hashes(theirs) == hashes(mine)


def test_what_was_replaced_meanwhile_is_left_to_the_next_pass(mine: PackedStore, theirs: ReplicaStore) -> None:
    offered = every_change(mine)
    put(mine, 7, when=9)
    ours = sender(mine, Peer(theirs))
    assert ours.settle(offered, {*PARTITIONS}) == set()
    assert (ours.sent, ours.corrupt) == (COUNT, 0)


def test_a_partition_with_a_refused_change_is_not_equal(mine: PackedStore, theirs: ReplicaStore) -> None:
    peer = Peer(theirs)
    peer.change = lambda body: body.replace(bytes([7]) * 100, bytes([7]) * 99 + b"x")
    ours = sender(mine, peer)
    assert ours.settle(every_change(mine), {*PARTITIONS}) == {location(7).partition}
    assert ours.sent == COUNT
    assert [each for each in PARTITIONS if hashes(theirs)[each] != hashes(mine)[each]] == [location(7).partition]


def test_a_run_that_ends_early_leaves_whole_changes(mine: PackedStore, theirs: ReplicaStore) -> None:
    peer = Peer(theirs)
    peer.change = lambda body: body[: len(body) // 2]
    with pytest.raises(BodyTruncated):
        sender(mine, peer).settle(every_change(mine), {*PARTITIONS})
    stored = [change for changes in every_change(theirs).values() for change in changes]
    assert 0 < len(stored) < COUNT
    peer.change = lambda body: body
    assert sender(mine, peer).settle(every_change(mine), set()) == set()
    assert hashes(theirs) == hashes(mine)


def test_a_receipt_of_another_number_is_a_failure_of_the_peer(mine: PackedStore) -> None:
    peer = Peer(MemoryStore())
    peer.receiver.receive = lambda body: Receipt(1, {})  # type: ignore[method-assign]
    with pytest.raises(NodeFailure):
        sender(mine, peer).settle(every_change(mine), {*PARTITIONS})


def test_hashes_that_take_too_long_are_left_out(mine: PackedStore, theirs: ReplicaStore) -> None:
    ours = sender(mine, Peer(theirs, seconds=-1.0))
    assert ours.compare(hashes(mine)) == {0: {}}
    assert len(mine.partition_hashes(PARTITIONS, -1.0)) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"\x07" + bytes(ITEM_SIZE),
        b"".join(encode_item(RECORD, 0, [bytes(1 << 20)])),
        b"".join(encode_item(RECORD, 0, [b"x"]))[:-2],
        b"\x02" + bytes(ITEM_SIZE - 1),
    ],
)
def test_what_is_not_a_run_is_refused(body: bytes) -> None:
    with pytest.raises((InvalidInput, BodyTruncated)):
        GroupReceiver(MemoryStore(), 0, ReceiverBounds()).receive([body])


def test_a_record_that_is_not_sound_is_refused_alone(theirs: ReplicaStore) -> None:
    run = b"".join(encode_item(RECORD, 0, [b"no record"]))
    assert GroupReceiver(theirs, 0, ReceiverBounds()).receive([run]) == Receipt(1, {0: UNSOUND})


def test_suffixes_are_asked_for_in_groups() -> None:
    assert asks({}, 2) == []
    assert asks({1: ["a", "b", "c"], 2: [], 3: ["d"]}, 2) == [{1: ["a", "b"]}, {1: ["c"], 3: ["d"]}]
