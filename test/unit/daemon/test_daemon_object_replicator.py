"""Copies of objects made equal, over real files, in one process: four devices, three replicas."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from objstore.assembly.apps import remote_transports, storage_servers
from objstore.core.errors import Corrupt, NodeTimeout, NodeUnreachable, NotFound
from objstore.core.names import HashSalt, Location, Name
from objstore.core.nodes import Node
from objstore.core.timestamps import Clock, Timestamp
from objstore.daemon.duties.object_partition import ObjectPeers, ObjectReplicationOptions, ReplicatedPlace
from objstore.daemon.duties.object_replicator import ObjectReplicator, ReplicatorHost
from objstore.daemon.runner import Daemon, DaemonPace
from objstore.replication.objects_messages import FAILED, Receipt, boot_identity, device_identity
from objstore.replication.objects_plan import ALL
from objstore.replication.objects_sender import Flow, SenderBounds
from objstore.ring import Ring, increase
from objstore.ring.builder import RingBuilder
from objstore.ring.ring_file import encode_ring
from objstore.runtime import green
from objstore.store.interface import ObjectData, ObjectMetadata
from objstore.store.objects.layout import Layout
from objstore.wire.local import LocalTransport
from objstore.wire.messages import NodeRequest, NodeResponse, Upload

WEEK = 7 * 86400.0
SALT = HashSalt(b"a", b"")


def node(device: str) -> Node:
    return Node(-1, 1, 1, "127.0.0.1", 6200, device, weight=1.0)


class Network:
    """The in-process transport, with devices that can be cut off. steps: what was asked of which device."""

    def __init__(self, local: LocalTransport) -> None:
        self._local = local
        self.down: set[str] = set()
        self.silent: set[str] = set()
        self.dies_after: dict[str, int] = {}  # so many requests
        self.busy = 0  # how many requests are refused yet
        self.old: set[str] = set()  # devices of hosts that compare partitions one by one only
        self.unknown: set[str] = set()  # steps that all hosts refuse as unknown
        self.refuses = b""  # single changes that have this in their frame
        self.after_offer: Callable[[], object] = lambda: None
        self.steps: list[tuple[str, str]] = []

    def _note(self, node: Node, request: NodeRequest) -> None:
        self.steps.append((node.device, request.query.removeprefix("step=")))
        if node.device in self.silent:
            raise NodeTimeout(str(node))
        if node.device in self.dies_after:
            self.dies_after[node.device] -= 1
        if node.device in self.down or self.dies_after.get(node.device, 0) < 0:
            raise NodeUnreachable(str(node))

    def call(self, node: Node, request: NodeRequest) -> NodeResponse:
        self._note(node, request)
        if self.busy:
            self.busy -= 1
            return NodeResponse(503, {})
        if (node.device in self.old and request.partition is None) or self.steps[-1][1] in self.unknown:
            return NodeResponse(400, {})
        green.sleep(0)
        if self.refuses and request.query == "step=send" and self.refuses in request.body:
            return NodeResponse(200, {}, [Receipt(1, {0: FAILED}).encode()])
        response = self._local.call(node, request)
        if request.query == "step=offer":
            self.after_offer()
        return response

    def upload(self, node: Node, request: NodeRequest, length: int | None) -> Upload:
        self._note(node, request)
        return self._local.upload(node, request, length)


class Cluster:
    def __init__(self, root: Path, devices: int = 4, more_conf: str = "") -> None:
        self.root = root
        (root / "objstore.conf").write_text(f"[hash]\nprefix = a\n{more_conf}")
        self.builder = RingBuilder(4, 3, 0)
        for number in range(1, devices + 1):
            self.add(f"d{number}")
        conf = {"ring_dir": str(root), "devices": str(root / "devices"), "mount_check": "no", "log_to": "none"}
        self.storage = storage_servers(conf, remote_transports(conf))
        self.network = Network(LocalTransport(self.storage.by_kind))
        self.clock = Clock()
        self.ring = self.rebalanced()
        self.options = ObjectReplicationOptions(WEEK, bounds=SenderBounds(bytes=10_000, changes=10, large=5_000))
        self.is_own: Callable[[Node], bool] = lambda node: True
        self.peer_pause = 0.0

    def add(self, device: str) -> None:
        (self.root / "devices" / device).mkdir(parents=True)
        self.builder.add(node(device))

    def rebalanced(self) -> Ring:
        self.builder.rebalance(0, seed=0)
        (self.root / "object.ring").write_bytes(encode_ring(self.builder.contents()))
        return Ring(self.builder.contents())

    def store(self, device: str) -> Any:
        return self.storage.devices.get(device).objects(0)

    def location(self, name: str) -> Location:
        name_hash = SALT.hash(Name("a", "c", name))
        return Location(self.ring.partition(name_hash), name_hash)

    def primaries(self, name: str) -> list[str]:
        return [node.device for node in self.ring.primaries(self.location(name).partition)]

    def others(self, name: str) -> list[str]:
        return [device for device in self.storage.devices.names() if device not in self.primaries(name)]

    def put(self, name: str, content: bytes = b"content", on: list[str] | None = None) -> Timestamp:
        at = self.clock.now()
        for device in self.primaries(name) if on is None else on:
            with self.store(device).create(self.location(name), len(content)) as writer:
                writer.write(content)
                writer.commit(ObjectData(f"/a/c/{name}", at, "a/b", {"X-Object-Meta-Of": name}))
        return at

    def delete(self, name: str, on: list[str], at: Timestamp | None = None) -> Timestamp:
        at = at or self.clock.now()
        for device in on:
            self.store(device).delete(self.location(name), f"/a/c/{name}", at)
        return at

    def content(self, name: str, device: str) -> bytes | None:
        try:
            with self.store(device).open(self.location(name)) as reader:
                return b"".join(map(bytes, reader.read(0, reader.info.size)))
        except NotFound:
            return None

    def directory(self, name: str, device: str) -> Path:
        return Path(Layout(str(self.root / "devices" / device), 0).hash_dir(self.location(name)))

    def holders(self, name: str) -> list[str]:
        """Devices that have a file of a name."""
        devices = sorted(path.name for path in (self.root / "devices").iterdir())
        return [device for device in devices if any(self.directory(name, device).glob("*"))]

    def replicator(self, *devices: str, now: Callable[[], float] = time.time) -> ObjectReplicator:
        names = devices or tuple(self.storage.devices.names())
        identity = partial(device_identity, boot_identity())

        def places() -> Iterator[ReplicatedPlace]:
            for name in names:
                path = str(self.root / "devices" / name)
                yield ReplicatedPlace(name, 0, self.store(name), lambda: self.ring, identity(path), lambda: None)

        logger = logging.getLogger("test.replicator")
        peers = ObjectPeers(self.network, Flow(lambda _: None, lambda _: None), self.peer_pause, logger)
        return ObjectReplicator(ReplicatorHost(places, self.is_own, lambda: None), peers, self.options, now)

    def run(self, *devices: str, passes: int = 1) -> dict[str, Any]:
        """What the replicator of these devices tells after so many passes."""
        replicator = self.replicator(*devices)
        for _ in range(passes):
            for unit in replicator.passes():
                unit()
        return dict(replicator.status())


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


NAMES = [f"o{number}" for number in range(40)]


def empty(cluster: Cluster, device: str) -> None:
    path = cluster.root / "devices" / device
    shutil.rmtree(path)
    path.mkdir()


def test_an_emptied_device_is_refilled(cluster: Cluster) -> None:
    for name in NAMES:
        cluster.put(name, name.encode() * 100)
    empty(cluster, "d1")
    report = cluster.run()
    mine = [name for name in NAMES if "d1" in cluster.primaries(name)]
    assert mine
    for name in mine:
        assert cluster.content(name, "d1") == name.encode() * 100
    assert report["sent_total"] == len(mine)
    assert report["failures"] == 0
    assert report["partitions_done"] == report["partitions"] > 0


def test_where_nothing_differs_each_peer_is_asked_once(cluster: Cluster) -> None:
    for name in NAMES:
        cluster.put(name)
    report = cluster.run("d1")
    partitions = {cluster.location(name).partition for name in NAMES if "d1" in cluster.primaries(name)}
    asked = sorted(device for device, step in cluster.network.steps if step != "compare-many")
    assert asked == ["d2", "d3", "d4"]
    assert report["sent_total"] == 0
    assert report["partitions"] == len(partitions)


def settle(cluster: Cluster, names: list[str]) -> None:
    """All have these objects, and keep hashes of their partitions."""
    for name in names:
        cluster.put(name)
    cluster.run()
    cluster.network.steps.clear()


def partitions(cluster: Cluster, *devices: str) -> set[int]:
    """Of the objects, those that all these devices are primaries of."""
    return {cluster.location(name).partition for name in NAMES if {*devices} <= {*cluster.primaries(name)}}


@pytest.mark.parametrize("concurrency", [1, 4])
def test_where_nothing_changed_each_peer_is_asked_once_for_all_partitions(cluster: Cluster, concurrency: int) -> None:
    settle(cluster, NAMES)
    replicator = cluster.replicator("d1")
    pace = DaemonPace(60.0, concurrency=concurrency)
    Daemon("test", replicator.passes, pace, logging.getLogger("test.replicator")).run_once()
    assert sorted(cluster.network.steps) == [(device, "compare-many") for device in ("d2", "d3", "d4")]
    report = replicator.status()
    assert report["partitions_done"] == report["partitions"] == len(partitions(cluster, "d1"))
    assert (report["failures"], report["sent_total"], dict(report["peer_failures"])) == (0, 0, {})
    assert "last_pass" in report["devices"]["d1"]


@pytest.mark.parametrize("most", [1, 3])
def test_so_many_partitions_are_compared_at_once(cluster: Cluster, most: int) -> None:
    settle(cluster, NAMES)
    cluster.options = cluster.options._replace(compare=most)
    cluster.run("d1")
    for peer in ("d2", "d3", "d4"):
        count = len(partitions(cluster, "d1", peer))
        steps = [step for device, step in cluster.network.steps if device == peer]
        many, rest = (0, count) if most == 1 else (count // most + (count % most > 1), count % most == 1)
        assert (steps.count("compare-many"), steps.count("compare")) == (many, rest)


@pytest.mark.parametrize("kept", [False, True])
def test_one_partition_of_many_that_differs_is_mended(cluster: Cluster, kept: bool) -> None:
    settle(cluster, NAMES)
    first, *others = cluster.primaries("o1")
    partition = cluster.location("o1").partition
    cluster.put("o1", b"new", on=[first])
    if kept:
        cluster.store(first).partition_hash(partition)
    report = cluster.run(first)
    assert [cluster.content("o1", device) for device in others] == [b"new"] * 2
    assert (report["failures"], report["sent_total"]) == (0, 2)
    assert [step for _, step in cluster.network.steps].count("compare") == 2


def test_a_partition_that_only_one_peer_lacks_is_of_no_concern_to_the_others(cluster: Cluster) -> None:
    settle(cluster, NAMES)
    first, second, third = cluster.primaries("o1")
    cluster.put("o1", b"new", on=[first, second])
    for device in (first, second):
        cluster.store(device).partition_hash(cluster.location("o1").partition)
    cluster.run(first)
    assert cluster.content("o1", third) == b"new"
    assert {device for device, step in cluster.network.steps if step != "compare-many"} == {third}


def test_a_peer_of_an_older_version_is_asked_of_each_partition(cluster: Cluster) -> None:
    settle(cluster, NAMES)
    cluster.network.old = {"d2"}
    report = cluster.run("d1")
    compared = [device for device, step in cluster.network.steps if step == "compare"]
    assert compared == ["d2"] * len(partitions(cluster, "d1", "d2"))
    assert (report["failures"], dict(report["peer_failures"])) == (0, {})


def test_a_lost_device_of_many_partitions_is_stood_in_for(cluster: Cluster) -> None:
    settle(cluster, NAMES)
    shutil.rmtree(cluster.root / "devices" / "d2")
    cluster.storage.devices._checked.clear()
    report = cluster.run("d1")
    for name in NAMES:
        if {"d1", "d2"} <= {*cluster.primaries(name)}:
            assert cluster.content(name, cluster.others(name)[0]) == b"content"
    assert report["failures"] == len(partitions(cluster, "d1", "d2"))
    assert report["partitions_done"] == report["partitions"]


def test_a_silent_peer_holds_up_its_own_partitions_alone(cluster: Cluster) -> None:
    settle(cluster, NAMES)
    cluster.peer_pause = 60.0
    cluster.network.silent = {"d2"}
    report = cluster.run("d1")
    assert sorted(cluster.network.steps) == [(device, "compare-many") for device in ("d2", "d3", "d4")]
    assert report["failures"] == len(partitions(cluster, "d1", "d2"))


def test_a_peer_that_is_this_very_device_is_no_copy(cluster: Cluster) -> None:
    settle(cluster, NAMES)
    shutil.rmtree(cluster.root / "devices" / "d2")
    (cluster.root / "devices" / "d2").symlink_to("d1")
    report = cluster.run("d1")
    assert ("d2", "compare-many") in cluster.network.steps
    assert report["failures"] == len(partitions(cluster, "d1", "d2"))
    assert report["removed_total"] == 0
    assert dict(report["peer_failures"]) == {}


def test_what_was_compared_by_a_ring_that_is_replaced_counts_no_more(cluster: Cluster) -> None:
    settle(cluster, NAMES)
    units = iter(cluster.replicator("d1").passes())
    for unit in islice(units, 2):  # the plan, and the first partition
        unit()
    cluster.network.steps.clear()
    cluster.ring = Ring(cluster.builder.contents())
    for unit in units:
        unit()
    assert {step for _, step in cluster.network.steps} == {"compare"}
    assert len(cluster.network.steps) >= 2 * (len(partitions(cluster, "d1")) - 2)


def test_old_tombstones_are_removed_where_all_peers_have_them_too(cluster: Cluster) -> None:
    for name in NAMES:
        cluster.delete(name, cluster.primaries(name), Timestamp.from_seconds(time.time() - WEEK - 60))
    cluster.run()
    now = [time.time()]
    replicator = cluster.replicator("d1", now=lambda: now[0])
    now[0] += 24 * 3600
    for unit in replicator.passes():
        unit()
    assert replicator.status()["reclaimed_total"] == sum("d1" in cluster.primaries(name) for name in NAMES)


@pytest.mark.parametrize(("size", "together"), [(1, 10), (2000, 4), (4000, 2)])  # a change is its content and record
def test_small_changes_share_requests_of_bounded_size(cluster: Cluster, size: int, together: int) -> None:
    names = [f"n{number}" for number in range(600)]
    names = [name for name in names if cluster.location(name).partition == cluster.location(names[0]).partition]
    for name in names:
        cluster.put(name, b"x" * size)
    target = cluster.primaries(names[0])[0]
    empty(cluster, target)
    cluster.run(cluster.primaries(names[0])[1])
    assert cluster.network.steps.count((target, "send")) == -(-len(names) // together)
    assert all(cluster.content(name, target) for name in names)


def test_a_large_object_goes_by_itself(cluster: Cluster) -> None:
    content = bytes(range(256)) * 9000
    cluster.put("large", content, on=cluster.primaries("large")[:1])
    cluster.run()
    assert [cluster.content("large", device) for device in cluster.primaries("large")] == [content] * 3


def test_a_copy_at_a_handoff_goes_home(cluster: Cluster) -> None:
    (handoff,) = cluster.others("o")
    cluster.put("o", on=[handoff, cluster.primaries("o")[0]])
    report = cluster.run(handoff)
    assert cluster.holders("o") == sorted(cluster.primaries("o"))
    assert report["handoffs"] == 1
    assert report["handoffs_left"] == 0
    assert report["removed_total"] == 1
    assert cluster.store(handoff).partition_hash(cluster.location("o").partition) == ""


@pytest.mark.parametrize(("wanted", "left"), [(ALL, True), (2, False), (3, True)])
def test_a_handoff_keeps_what_too_few_primaries_have(cluster: Cluster, wanted: int, left: bool) -> None:
    cluster.options = cluster.options._replace(handoff_delete=wanted)
    (handoff,) = cluster.others("o")
    cluster.put("o", on=[handoff])
    cluster.network.down = {cluster.primaries("o")[1]}
    report = cluster.run(handoff)
    assert (handoff in cluster.holders("o")) is left
    assert cluster.content("o", cluster.primaries("o")[2]) == b"content"
    assert report["handoffs_left"] == left
    cluster.network.down = set()
    cluster.run()
    assert cluster.holders("o") == sorted(cluster.primaries("o"))


def test_a_change_that_arrives_meanwhile_stays_at_the_handoff(cluster: Cluster) -> None:
    (handoff,) = cluster.others("o")
    cluster.put("o", b"old", on=[handoff])
    cluster.network.after_offer = lambda: cluster.put("o", b"new", on=[handoff])
    cluster.run(handoff)
    assert cluster.content("o", handoff) == b"new"
    cluster.network.after_offer = lambda: None
    cluster.run(handoff)
    assert [cluster.content("o", device) for device in cluster.primaries("o")] == [b"new"] * 3
    assert handoff not in cluster.holders("o")


def test_nothing_is_removed_by_a_ring_that_is_not_the_current_one_any_more(cluster: Cluster) -> None:
    (handoff,) = cluster.others("o")
    cluster.put("o", on=[handoff])

    def replace_ring() -> None:
        cluster.ring = Ring(cluster.builder.contents())

    cluster.network.after_offer = replace_ring
    report = cluster.run(handoff)
    assert handoff in cluster.holders("o")
    assert (report["failures"], report["removed_total"]) == (1, 0)
    cluster.network.after_offer = lambda: None
    cluster.run(handoff)
    assert cluster.holders("o") == sorted(cluster.primaries("o"))


def test_a_missed_deletion_does_not_come_back(cluster: Cluster) -> None:
    cluster.put("o")
    away, *others = cluster.primaries("o")
    cluster.delete("o", others)
    cluster.run(away)  # has nothing that the others want
    assert [cluster.content("o", device) for device in others] == [None, None]
    cluster.run(others[0])
    assert cluster.content("o", away) is None


def test_metadata_of_a_post_travels(cluster: Cluster) -> None:
    cluster.put("o")
    first, *others = cluster.primaries("o")
    at = cluster.clock.now()
    cluster.store(first).post(cluster.location("o"), ObjectMetadata(at, {"X-Object-Meta-Color": "blue"}, "c/d"))
    cluster.run(first)
    for device in others:
        info = cluster.store(device).info(cluster.location("o"))
        assert (info.timestamp, info.content_type, info.metadata["X-Object-Meta-Color"]) == (at, "c/d", "blue")


def test_an_old_tombstone_is_not_sent(cluster: Cluster) -> None:
    first = cluster.primaries("o")[0]
    cluster.delete("o", [first], Timestamp.from_seconds(time.time() - WEEK - 60))
    report = cluster.run(first)
    assert report["sent_total"] == 0
    assert report["failures"] == 0
    assert cluster.holders("o") == [first]
    cluster.delete("o", [first], Timestamp.from_seconds(time.time() - WEEK + 60))
    assert cluster.run(first)["sent_total"] == 2


def test_an_old_tombstone_at_a_handoff_is_removed(cluster: Cluster) -> None:
    (handoff,) = cluster.others("o")
    cluster.delete("o", [handoff], Timestamp.from_seconds(time.time() - WEEK - 60))
    report = cluster.run(handoff)
    assert report["reclaimed_total"] == 1
    assert cluster.holders("o") == []


def test_old_tombstones_of_primaries_are_removed_once_an_interval(cluster: Cluster) -> None:
    for name in NAMES:
        cluster.delete(name, cluster.primaries(name), Timestamp.from_seconds(time.time() - WEEK - 60))
    count = sum("d1" in cluster.primaries(name) for name in NAMES)
    now = [time.time()]
    replicator = cluster.replicator("d1", now=lambda: now[0])
    for hours, least, most in [(0, 0, 0), (6, 1, count - 1), (18, count, count)]:
        now[0] += hours * 3600
        for unit in replicator.passes():
            unit()
        assert least <= replicator.status()["reclaimed_total"] <= most


def test_a_lost_device_is_stood_in_for_by_a_handoff(cluster: Cluster) -> None:
    cluster.put("o")
    lost = cluster.primaries("o")[0]
    (handoff,) = cluster.others("o")
    shutil.rmtree(cluster.root / "devices" / lost)
    cluster.storage.devices._checked.clear()
    report = cluster.run(cluster.primaries("o")[1])
    assert cluster.content("o", handoff) == b"content"
    assert report["failures"] == 1
    cluster.run(handoff)  # the device is still lost
    assert cluster.content("o", handoff) == b"content"
    (cluster.root / "devices" / lost).mkdir()
    cluster.run(handoff)
    assert cluster.holders("o") == sorted(cluster.primaries("o"))


def test_a_host_that_does_not_answer_is_waited_for(cluster: Cluster) -> None:
    cluster.put("o")
    first, second, _ = cluster.primaries("o")
    empty(cluster, second)
    cluster.network.down = {second}
    report = cluster.run(first)
    assert cluster.holders("o") == sorted({*cluster.primaries("o")} - {second})
    assert report["failures"] == 1
    assert sum(report["peer_failures"].values()) == 1


def test_a_damaged_copy_is_not_sent_and_holds_up_nothing(cluster: Cluster) -> None:
    names = [name for name in NAMES if cluster.primaries(name)[0] == cluster.primaries("o1")[0]]
    source = cluster.primaries("o1")[0]
    for name in names:
        cluster.put(name, on=[source])
    (path,) = cluster.directory("o1", source).glob("*.data")
    path.write_bytes(b"Content" + path.read_bytes()[7:])
    report = cluster.run(source)
    assert report["corrupt_total"] == 1
    assert [name for name in names if cluster.content(name, cluster.primaries(name)[1]) is None] == ["o1"]
    assert list((cluster.root / "devices" / source / "quarantined").glob("*/*"))
    report = cluster.run(source)
    assert report["failures"] == 0


def test_a_quarantined_copy_is_made_whole_by_a_peer(cluster: Cluster) -> None:
    cluster.put("o")
    first, second, _ = cluster.primaries("o")
    (path,) = cluster.directory("o", first).glob("*.data")
    path.write_bytes(b"Content" + path.read_bytes()[7:])
    with pytest.raises(Corrupt):
        cluster.store(first).verify(cluster.location("o"), lambda size: None)
    cluster.run(second)
    assert cluster.content("o", first) == b"content"


def test_after_a_rebalance_partitions_move_and_old_places_are_emptied(cluster: Cluster) -> None:
    for name in NAMES:
        cluster.put(name)
    cluster.add("d5")
    cluster.ring = cluster.rebalanced()
    assert any("d5" in cluster.primaries(name) for name in NAMES)
    report = cluster.run(passes=2)
    for name in NAMES:
        assert cluster.holders(name) == sorted(cluster.primaries(name))
    assert report["handoffs"] == 0


def test_a_device_that_left_the_ring_is_emptied(cluster: Cluster) -> None:
    for name in NAMES:
        cluster.put(name)
    cluster.builder.remove(0)
    cluster.ring = cluster.rebalanced()
    cluster.run(passes=2)
    for name in NAMES:
        assert cluster.holders(name) == sorted(cluster.primaries(name))
    assert all("d1" not in cluster.primaries(name) for name in NAMES)


def test_a_device_that_does_not_know_its_own_name_removes_nothing(cluster: Cluster) -> None:
    for name in NAMES:
        cluster.put(name)
    cluster.is_own = lambda node: False
    report = cluster.run(passes=2)
    assert report["removed_total"] == 0
    for name in NAMES:
        assert cluster.holders(name) == sorted(cluster.primaries(name))


def test_names_that_the_ring_places_elsewhere_are_left_alone(cluster: Cluster) -> None:
    name_hash = cluster.location("o").hash
    astray = Location((cluster.location("o").partition + 1) % 16, name_hash)
    with cluster.store("d1").create(astray, 1) as writer:
        writer.write(b"x")
        writer.commit(ObjectData("/a/c/o", cluster.clock.now(), "a/b", {}))
    report = cluster.run()
    assert report["sent_total"] == 0
    assert cluster.store("d1").info(astray).size == 1


def test_a_peer_that_dies_midway_is_sent_the_rest_later(cluster: Cluster) -> None:
    names = [name for name in NAMES if cluster.primaries(name) == cluster.primaries("o1")]
    for name in names:
        cluster.put(name, b"x" * 6000, on=cluster.primaries(name)[:1])
    source, peer, _ = cluster.primaries("o1")
    cluster.network.dies_after = {peer: 4}
    cluster.run(source)
    assert not all(cluster.content(name, peer) for name in names)
    cluster.network.dies_after = {}
    cluster.run(source)
    assert all(cluster.content(name, peer) for name in names)


def test_a_host_that_did_not_answer_is_left_alone_for_a_while(cluster: Cluster) -> None:
    for name in NAMES:
        cluster.put(name)
    cluster.peer_pause = 60.0
    cluster.network.down = {"d1", "d2", "d3", "d4"}
    report = cluster.run("d1")
    assert len(cluster.network.steps) == 1  # all have one address
    assert report["failures"] == report["partitions"]


def test_a_device_that_did_not_answer_is_left_alone_for_a_while_and_not_its_host(cluster: Cluster) -> None:
    for name in NAMES:
        cluster.put(name)
    cluster.peer_pause = 60.0
    cluster.network.silent = {"d2"}
    cluster.run("d1")
    asked = [device for device, _ in cluster.network.steps]
    assert asked.count("d2") == 1
    assert {"d3", "d4"} <= {*asked}


def test_a_host_with_several_devices_that_did_not_answer_is_left_alone(cluster: Cluster) -> None:
    for name in NAMES:
        cluster.put(name)
    cluster.peer_pause = 60.0
    cluster.network.silent = {"d2", "d3", "d4"}
    cluster.run("d1")
    assert len({device for device, _ in cluster.network.steps}) == len(cluster.network.steps) == 2


def test_metadata_that_peers_refuse_are_not_left_behind_without_their_data(cluster: Cluster) -> None:
    """Data that peers had already were removed, and metadata that they refused then forgotten as old."""
    at = Timestamp.from_seconds(time.time() - 3 * WEEK)
    (handoff,) = cluster.others("o")
    for device in (handoff, *cluster.primaries("o")):
        with cluster.store(device).create(cluster.location("o"), 1) as writer:
            writer.write(b"x")
            writer.commit(ObjectData("/a/c/o", at, "a/b", {}))
    posted = Timestamp.from_seconds(time.time() - 2 * WEEK)
    cluster.store(handoff).post(cluster.location("o"), ObjectMetadata(posted, {"X-Object-Meta-Color": "blue"}))
    cluster.network.refuses = b".meta"
    report = cluster.run(handoff, passes=2)
    assert (report["refused_total"], report["removed_total"], report["handoffs_left"]) == (6, 0, 1)
    cluster.network.refuses = b""
    cluster.run(handoff)
    assert cluster.holders("o") == sorted(cluster.primaries("o"))
    for device in cluster.primaries("o"):
        assert cluster.store(device).info(cluster.location("o")).metadata["X-Object-Meta-Color"] == "blue"


def test_a_busy_peer_is_asked_again(cluster: Cluster) -> None:
    cluster.put("o", on=cluster.primaries("o")[:1])
    cluster.network.busy = 2
    report = cluster.run(cluster.primaries("o")[0])
    assert report["failures"] == 0
    assert cluster.holders("o") == sorted(cluster.primaries("o"))


def test_a_pass_that_is_stopped_is_not_complete(cluster: Cluster) -> None:
    for name in NAMES:
        cluster.put(name)
    replicator = cluster.replicator("d1")
    for unit in replicator.passes():
        unit()
        replicator.stop()
    report = replicator.status()
    assert "last_pass" not in report["devices"]["d1"]
    assert report["failures"] == report["partitions"]


def test_what_is_told(cluster: Cluster) -> None:
    cluster.put("o")
    began = time.time()
    report = cluster.run()
    assert set(report["devices"]) == {"d1", "d2", "d3", "d4"}
    assert report["oldest_pass"] == min(device["last_pass"] for device in report["devices"].values()) >= began
    assert report["partitions_done"] == report["partitions"] == 3


def files(cluster: Cluster) -> list[Path]:
    """But those of partition 0, which is so by either part power."""
    return sorted(path for path in cluster.root.glob("devices/*/objects/*/*/*/*") if path.parts[-4] != "0")


def test_objects_stay_where_they_are_while_the_number_of_partitions_is_changed(cluster: Cluster) -> None:
    for name in NAMES:
        cluster.put(name, on=cluster.others(name))
    for step in (increase.prepare, increase.increase):
        step(cluster.builder)
        cluster.ring = Ring(cluster.builder.contents())
        report = cluster.run()
        assert cluster.network.steps == []
        assert "oldest_pass" not in report
        assert not any("last_pass" in device for device in report["devices"].values())
    increase.finish(cluster.builder)
    cluster.ring = Ring(cluster.builder.contents())
    before = files(cluster)
    cluster.run()  # nothing was relinked: what lies in partitions of the old part power is not touched
    assert files(cluster) == before
