"""REPLICATE of objects, as a peer's replicator meets it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from harness.engines import present

from objstore.assembly.apps import remote_transports, storage_servers
from objstore.core.names import Location
from objstore.core.nodes import Node
from objstore.core.timestamps import Timestamp
from objstore.replication.objects_messages import (
    FULL,
    HELD,
    PARTITION_HASH,
    SOURCE,
    UNSOUND,
    Frame,
    Receipt,
    boot_identity,
    decode_changes,
    decode_hashes,
    decode_numbers,
    device_identity,
    encode_changes,
    encode_head,
    encode_partitions,
)
from objstore.runtime import green
from objstore.store.change import DATA, Change
from objstore.store.interface import ObjectData
from objstore.wire.local import LocalTransport
from objstore.wire.messages import REPLICATE, NodeRequest, NodeResponse, Share

HASH = "0123456789abcdef0123456789abcdef"
HERE = Location(3, HASH)


class Host:
    def __init__(self, root: Path, **settings: str) -> None:
        self.devices = root / "devices"
        for name in ("d1", "d2"):
            (self.devices / name).mkdir(parents=True)
        (root / "objstore.conf").write_text("[hash]\nprefix = a\n")
        conf = {"ring_dir": str(root), "devices": str(self.devices), "mount_check": "no", "log_to": "none", **settings}
        self.storage = storage_servers(conf, remote_transports(conf))
        self.transport = LocalTransport(self.storage.by_kind)
        self.partition: int | None = 3  # that is asked for

    def store(self, device: str = "d1") -> Any:
        return self.storage.devices.get(device).objects(0)

    def put(self, device: str, content: bytes = b"content", at: int = 5) -> Change:
        with self.store(device).create(HERE, len(content)) as writer:
            writer.write(content)
            writer.commit(ObjectData("/a/c/o", Timestamp(at), "a/b", {}))
        return Change(Timestamp(at), DATA)

    def change(self, device: str, name: Change) -> bytes:
        with self.store(device).read_change(HERE, name) as reader:
            return b"".join(map(bytes, reader))

    def ask(self, step: str, body: bytes = b"", device: str = "d1", **headers: str) -> NodeResponse:
        node = Node(0, 1, 1, "127.0.0.1", 6200, device)
        named = {{"hash": PARTITION_HASH, "source": SOURCE}[name]: value for name, value in headers.items()}
        return self.transport.call(
            node, NodeRequest(REPLICATE, self.partition, Share("object"), named, f"step={step}", body)
        )

    def compare_many(self, hashes: dict[int, str], device: str = "d1", **headers: str) -> NodeResponse:
        self.partition = None
        try:
            return self.ask("compare-many", encode_partitions(hashes), device, **headers)
        finally:
            self.partition = 3


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def frame(name: Change, content: bytes, name_hash: str = HASH) -> bytes:
    return encode_head(Frame(name_hash, name, len(content))) + content


def test_an_equal_partition_is_known_by_its_hash(host: Host) -> None:
    assert host.ask("compare", hash="").status == 204
    host.put("d1")
    host.put("d2")
    assert host.ask("compare", hash=host.store("d2").partition_hash(3)).status == 204
    host.put("d2", at=6)
    answer = host.ask("compare", hash=host.store("d2").partition_hash(3))
    assert answer.status == 200
    assert decode_hashes(answer.read()) == host.store("d1").suffix_hashes(3)


def test_of_many_partitions_those_that_differ_are_told(host: Host) -> None:
    host.put("d1")
    found = host.store("d1").partition_hash(3)
    answer = host.compare_many({3: found, 4: found})
    assert (answer.status, decode_numbers(answer.read())) == (200, {4})
    assert decode_numbers(host.compare_many({3: found[::-1]}).read()) == {3}
    assert decode_numbers(host.compare_many({}).read()) == set()


def test_no_hash_is_computed_for_a_comparison_of_many(host: Host) -> None:
    """It might take longer than a peer waits."""
    host.put("d1")
    host.put("d2")
    theirs = {3: host.store("d2").partition_hash(3)}
    assert decode_numbers(host.compare_many(theirs).read()) == {3}
    assert host.ask("compare", hash=theirs[3]).status == 204
    assert decode_numbers(host.compare_many(theirs).read()) == set()


def test_many_partitions_of_a_device_that_is_not_there_or_the_senders_own(host: Host) -> None:
    own = device_identity(boot_identity(), str(host.devices / "d1"))
    assert host.compare_many({3: "a"}, device="d3").status == 507
    assert host.compare_many({3: "a"}, source=own).status == 409
    assert host.compare_many({3: "a"}, device="d2", source=own).status == 200


@pytest.mark.parametrize("step", ["compare", "offer", "send"])
def test_only_comparisons_are_of_many_partitions(host: Host, step: str) -> None:
    assert host.ask("compare-many", b"{}").status == 400
    host.partition = None
    assert host.ask(step, b"{}").status == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[3]", b'{"x": "a"}', b'{"-1": "a"}', b'{"3": 3}', b"[" * 100_000])
def test_a_comparison_of_what_are_no_partitions_is_refused(host: Host, body: bytes) -> None:
    host.partition = None
    assert host.ask("compare-many", body).status == 400


def test_a_comparison_of_too_many_partitions_is_refused(tmp_path: Path) -> None:
    host = Host(tmp_path, replication_compare_size="100")
    assert host.compare_many(dict.fromkeys(range(3), HASH)).status == 400
    assert host.compare_many(dict.fromkeys(range(2), HASH)).status == 200


def test_a_partition_that_holds_nothing_has_no_suffixes(host: Host) -> None:
    answer = host.ask("compare", hash="other")
    assert (answer.status, decode_hashes(answer.read())) == (200, {})


def test_what_is_lacked_is_told_and_taken(host: Host) -> None:
    name = host.put("d2")
    offered = encode_changes({HASH: (name,)})
    assert decode_changes(host.ask("offer", offered).read()) == {HASH: (name,)}
    answer = host.ask("send", frame(name, host.change("d2", name)))
    assert Receipt.decode(answer.read()) == Receipt(1, {})
    assert decode_changes(host.ask("offer", offered).read()) == {}
    assert host.store("d1").info(HERE).size == 7


def test_a_change_that_is_not_whole_is_refused_and_the_others_are_taken(host: Host) -> None:
    name = host.put("d2")
    good = host.change("d2", name)
    bad = good[:-1] + bytes([good[-1] ^ 1])
    other = HASH[::-1]
    answer = host.ask("send", frame(name, bad, other) + frame(name, good) + frame(name, good[:-1], other))
    assert Receipt.decode(answer.read()) == Receipt(3, {0: UNSOUND, 2: UNSOUND})
    assert host.store("d1").info(HERE).size == 7


@pytest.mark.parametrize("small", ["256K", "1"])
def test_a_body_that_ends_early_leaves_whole_changes(tmp_path: Path, small: str) -> None:
    host = Host(tmp_path, replication_small=small)
    name = host.put("d2", b"x" * 5000)
    body = frame(name, host.change("d2", name))
    answer = host.ask("send", body + body[:-1])
    assert answer.status >= 400
    assert host.store("d1").info(HERE).size == 5000


def test_a_full_device_refuses_change_by_change(tmp_path: Path) -> None:
    other = Host(tmp_path / "other")
    name = other.put("d2")
    content = other.change("d2", name)
    host = Host(tmp_path / "full", fallocate_reserve="99.99%")
    assert Receipt.decode(host.ask("send", frame(name, content)).read()) == Receipt(1, {0: FULL})


@pytest.mark.parametrize(
    ("seconds", "promise", "age", "newest", "taken"),
    [
        (5.0, 4, 0.0, 0, False),  # lent
        (60.0, 4, 30.0, 0, False),  # and still so
        (5.0, 4, 0.0, 6, True),  # what is there is newer: it changes nothing
        (0.0, 5, 0.0, 0, False),  # promised to another change, whose writers may not have ended
        (0.0, 4, 0.0, 0, True),  # newer than the promise
        (0.0, 5, 60.0, 0, True),  # they have, long ago
    ],
)
def test_nothing_comes_between_a_lease_and_what_is_made_under_it(
    host: Host, seconds: float, promise: int, age: float, newest: int, taken: bool
) -> None:
    name = host.put("d2")
    if newest:
        host.put("d1", at=newest)
    leases = host.storage.devices.get("d1").leases(0)
    leases.write(HASH, "holder", seconds, Timestamp(promise))
    os.utime(leases._path(HASH), (time.time() - age,) * 2)
    receipt = Receipt.decode(host.ask("send", frame(name, host.change("d2", name))).read())
    assert receipt == Receipt(1, {} if taken else {0: HELD})
    assert (present(host.store("d1"), HERE) != []) is (taken or newest > 0)
    assert leases.present(HASH)  # it is for clients' changes to end it


def test_a_device_that_is_not_there_answers_507(host: Host) -> None:
    for step in ("compare", "offer", "send"):
        assert host.ask(step, device="d3").status == 507


def test_a_sender_is_told_that_it_talks_to_itself(host: Host) -> None:
    own = device_identity(boot_identity(), str(host.devices / "d1"))
    assert host.ask("compare", source=own).status == 409
    assert host.ask("compare", device="d2", source=own).status in (200, 204)


@pytest.mark.parametrize("step", ["", "other"])
def test_an_unknown_step_is_refused(host: Host, step: str) -> None:
    assert host.ask(step).status == 400


@pytest.mark.parametrize(("step", "body"), [("offer", b"{"), ("offer", b'{"../..": []}'), ("send", b"x" * 100)])
def test_a_body_that_says_nothing_is_refused(host: Host, step: str, body: bytes) -> None:
    assert host.ask(step, body).status == 400


def test_an_offer_that_is_too_long_is_refused(tmp_path: Path) -> None:
    host = Host(tmp_path, replication_offer_size="100")
    assert host.ask("offer", b"{" + b" " * 100 + b"}").status == 400


def test_only_so_many_are_served_at_once(tmp_path: Path) -> None:
    host = Host(tmp_path, replication_concurrency="1", replication_wait="50ms")
    name = host.put("d2")
    body = frame(name, host.change("d2", name))
    node = Node(0, 1, 1, "127.0.0.1", 6200, "d1")
    request = NodeRequest(REPLICATE, 3, Share("object"), {}, "step=send")
    upload = host.transport.upload(node, request, len(body))
    upload.send(body[:10])
    green.sleep(0)
    answer = host.ask("compare")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert host.compare_many({3: "a"}).status == 503
    assert host.ask("compare", device="d2").status == 200
    upload.send(body[10:])
    assert upload.finish({}).status == 200
    assert host.ask("compare").status == 200


def test_many_changes_of_one_request_are_all_taken(host: Host) -> None:
    name = host.put("d2")
    content = host.change("d2", name)
    hashes = [f"{number:032x}" for number in range(100)]
    answer = host.ask("send", b"".join(frame(name, content, name_hash) for name_hash in hashes))
    assert Receipt.decode(answer.read()) == Receipt(100, {})
    changes: dict[str, tuple[Change, ...]] = {}
    for suffix in host.store("d1").suffix_hashes(3):
        changes |= host.store("d1").changes(3, suffix)
    assert sorted(changes) == hashes
