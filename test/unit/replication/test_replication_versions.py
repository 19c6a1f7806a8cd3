"""Nodes of the version before, recorded at d2031f1: a cluster is upgraded node by node, while it replicates."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from objstore.core.names import Location
from objstore.core.timestamps import TICKS, Timestamp
from objstore.replication.objects_messages import (
    Frame,
    Receipt,
    decode_changes,
    decode_hashes,
    encode_changes,
    encode_hashes,
    encode_head,
)
from objstore.replication.objects_receiver import Receiver, ReceiverBounds
from objstore.store.change import DATA, METADATA, TOMBSTONE, Change
from objstore.store.interface import ReplicaStore
from objstore.store.objects.memory_store import MemoryStore
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.packed.store import PackedStore

POWER = 0  # both names share partition 0
PARTITION = 0
HERE = "0123456789abcdef" * 2
GONE = "fedcba9876543210" * 2
CHANGES = {
    GONE: (Change(Timestamp(1_400_000_000 * TICKS), TOMBSTONE),),
    HERE: (
        Change(Timestamp(1_500_000_000 * TICKS, 0x2F), DATA),
        Change(Timestamp(1_500_000_002 * TICKS), METADATA, Timestamp(1_500_000_001 * TICKS)),
    ),
}

PARTITION_HASH = "1ddbc8c4830ec9a197c079049d48e026"
HASHES = b'{"210":"48a2f2b1510ca969a4901289dc3e9cac","def":"12c4d1173a9a6d5796e671a15d47990f"}'
OFFER = (
    b'{"fedcba9876543210fedcba9876543210":["1400000000.00000.ts"],'
    b'"0123456789abcdef0123456789abcdef":["1500000000.00000_000000000000002f.data",'
    b'"1500000002.00000-1500000001.00000.meta"]}'
)
SEND = base64.b64decode(
    "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTAAEwAAAAAAAABWMTQwMDAwMDAwMC4wMDAwMC50c09TY2gBAAAAPgAAAAAA"
    "AAAAAAAA13dfnDEgMjAyNDVlOGMgeyJuYW1lIjoiL2EvYy9nb25lIiwidGltZXN0YW1wIjoiMTQwMDAwMDAwMC4wMDAwMCJ9MDEy"
    "MzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYAJgAAAAAAAAEBMTUwMDAwMDAwMC4wMDAwMF8wMDAwMDAwMDAwMDAwMDJmLmRh"
    "dGFPU2NoAQAAAMQAAAAFAAAAAAAAAG0/bJ4xIDJkNTUwZTExIHsibmFtZSI6Ii9hL2MvbyIsInRpbWVzdGFtcCI6IjE1MDAwMDAw"
    "MDAuMDAwMDBfMDAwMDAwMDAwMDAwMDAyZiIsImNvbnRlbnRfdHlwZSI6InRleHQvcGxhaW4iLCJldGFnIjoiNWQ0MTQwMmFiYzRi"
    "MmE3NmI5NzE5ZDkxMTAxN2M1OTIiLCJzaXplIjo1LCJoZWFkZXJzIjp7IlgtT2JqZWN0LU1ldGEtQ29sb3IiOiJibHVlIn19aGVs"
    "bG9Mu3GaT1NvYgEAAAAAAAEAAAAAAAUAAAAAAAAAOhQsLTAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmACYAAAAAAAAA"
    "tDE1MDAwMDAwMDIuMDAwMDAtMTUwMDAwMDAwMS4wMDAwMC5tZXRhT1NjaAEAAACcAAAAAAAAAAAAAAAJr6EFMSA5Njg4YWJmMCB7"
    "InRpbWVzdGFtcCI6IjE1MDAwMDAwMDIuMDAwMDAiLCJoZWFkZXJzIjp7IlgtT2JqZWN0LU1ldGEtQ29sb3IiOiJncmVlbiJ9LCJj"
    "b250ZW50X3R5cGVfdGltZXN0YW1wIjoiMTUwMDAwMDAwMS4wMDAwMCIsImNvbnRlbnRfdHlwZSI6ImltYWdlL3BuZyJ9"
)


@pytest.fixture(params=["file", "memory", "packed"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ReplicaStore:
    if request.param == "packed":
        return PackedStore(str(tmp_path), limit=1000, power=lambda: POWER)
    return MemoryStore() if request.param == "memory" else FileReplicaStore(str(tmp_path))


def test_an_offer_is_understood_and_made_the_same() -> None:
    assert decode_changes(OFFER) == CHANGES
    assert encode_changes(CHANGES) == OFFER


def test_changes_are_taken_sent_and_hashed_the_same(store: ReplicaStore) -> None:
    receiver = Receiver(store, PARTITION, 0, ReceiverBounds())
    assert receiver.compare(PARTITION_HASH) == {}
    assert receiver.missing(decode_changes(OFFER)) == CHANGES
    assert receiver.receive([SEND]) == Receipt(3, {})
    info = store.info(Location(PARTITION, HERE))
    assert (info.name, info.size, info.content_type) == ("/a/c/o", 5, "image/png")
    assert info.metadata == {"X-Object-Meta-Color": "green"}
    assert (receiver.missing(CHANGES), receiver.compare(PARTITION_HASH)) == ({}, None)
    assert encode_hashes(dict(sorted(store.suffix_hashes(PARTITION).items()))) == HASHES
    assert decode_hashes(HASHES) == receiver.compare("")
    assert b"".join(frame(store, name_hash, change) for name_hash in CHANGES for change in CHANGES[name_hash]) == SEND


def frame(store: ReplicaStore, name_hash: str, change: Change) -> bytes:
    with store.read_change(Location(PARTITION, name_hash), change) as reader:
        return encode_head(Frame(name_hash, change, reader.length)) + b"".join(map(bytes, reader))
