"""Many partitions of packed objects brought up to date at once, over real volumes, in one process."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.daemon.test_daemon_object_replicator import NAMES, Cluster, empty

from objstore.core.timestamps import Timestamp
from objstore.store.interface import ObjectMetadata

POLICY = "[storage-policy:0]\nname = packed\ndefault = yes\npacked_limit = 1000\n"
MANY = ("compare-each", "offer-many", "send-many")
LARGE = b"x" * 8000  # above the limit of what is sent with others


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path, more_conf=POLICY)


def fill(cluster: Cluster, on: str | None = None) -> None:
    """All primaries get each object, or those of one device alone."""
    for number, name in enumerate(NAMES):
        if on is None or on in cluster.primaries(name):
            cluster.put(name, LARGE if number == 0 else name.encode(), on and [on])


def lost(cluster: Cluster, device: str) -> list[str]:
    return [name for name in NAMES if device in cluster.primaries(name) and cluster.content(name, device) is None]


def steps(cluster: Cluster, device: str) -> list[str]:
    return [step for each, step in cluster.network.steps if each == device]


def test_an_emptied_device_is_refilled_by_requests_of_many_partitions(cluster: Cluster) -> None:
    fill(cluster)
    empty(cluster, "d2")
    cluster.store("d2")._names.close()  # else it would notice within a second
    report = cluster.run("d1", "d3", "d4")
    assert lost(cluster, "d2") == []
    assert report["failures"] == 0
    alone = [step for step in steps(cluster, "d2") if step not in MANY and step != "compare-many"]
    assert len(alone) <= 3 * 3  # of the partition with the large object
    cluster.network.steps.clear()
    assert cluster.run()["sent_total"] == 0
    cluster.network.steps.clear()
    assert cluster.run()["partitions_done"] > 0
    assert {step for _, step in cluster.network.steps} == {"compare-many"}


def test_deletions_and_metadata_travel(cluster: Cluster) -> None:
    fill(cluster)
    deleted, posted = NAMES[1], NAMES[2]
    cluster.delete(deleted, cluster.primaries(deleted)[:1])
    metadata = ObjectMetadata(cluster.clock.now(), {"X-Object-Meta-Color": "blue"})
    first = cluster.primaries(posted)[0]
    cluster.store(first).post(cluster.location(posted), metadata)
    cluster.run()
    assert [cluster.content(deleted, device) for device in cluster.primaries(deleted)] == [None] * 3
    for device in cluster.primaries(posted):
        assert cluster.store(device).info(cluster.location(posted)).metadata == {"X-Object-Meta-Color": "blue"}


@pytest.mark.parametrize("refused", [MANY, ("send-many",), ("compare-many", *MANY)])
def test_a_peer_of_the_version_before_is_brought_up_to_date_one_by_one(
    cluster: Cluster, refused: tuple[str, ...]
) -> None:
    fill(cluster, on="d1")
    cluster.network.unknown = {*refused}
    report = cluster.run("d1")
    assert [lost(cluster, device) for device in ("d2", "d3", "d4")] == [
        [name for name in NAMES if device in cluster.primaries(name) and "d1" not in cluster.primaries(name)]
        for device in ("d2", "d3", "d4")
    ]
    assert (report["failures"], dict(report["peer_failures"])) == (0, {})


def test_a_peer_that_dies_midway_is_sent_the_rest_later(cluster: Cluster) -> None:
    fill(cluster, on="d1")
    cluster.options = cluster.options._replace(bounds=cluster.options.bounds._replace(changes=2))
    cluster.network.dies_after = {"d2": 4}
    report = cluster.run("d1")
    some = [name for name in NAMES if {"d1", "d2"} <= {*cluster.primaries(name)}]
    assert 0 < len([name for name in some if cluster.content(name, "d2")]) < len(some)
    assert report["failures"] > 0
    cluster.network.dies_after = {}
    assert cluster.run("d1")["failures"] == 0
    assert all(cluster.content(name, "d2") for name in some)


def test_copies_at_a_handoff_go_home(cluster: Cluster) -> None:
    for name in NAMES:
        cluster.put(name, on=cluster.others(name)[:1])
    report = cluster.run()
    assert [cluster.content(name, device) for name in NAMES for device in cluster.primaries(name)] == [b"content"] * (
        3 * len(NAMES)
    )
    assert all(cluster.content(name, cluster.others(name)[0]) is None for name in NAMES)
    assert report["handoffs_left"] == 0


def test_a_full_peer_shows_nothing_of_a_run(cluster: Cluster) -> None:
    fill(cluster, on="d1")
    cluster.delete("gone", ["d1"], Timestamp.from_seconds(cluster.clock.now().seconds))
    cluster.store("d2").volumes._writer.append = _full
    report = cluster.run("d1")
    some = [name for name in NAMES[1:] if {"d1", "d2"} <= {*cluster.primaries(name)}]
    assert some
    assert [cluster.content(name, "d2") for name in some] == [None] * len(some)
    assert (report["failures"] > 0, report["refused_total"] > 0) == (True, True)
    del cluster.store("d2").volumes._writer.append
    assert cluster.run("d1")["failures"] == 0
    assert lost(cluster, "d2") == [name for name in NAMES if {"d1", "d2"} & {*cluster.primaries(name)} == {"d2"}]


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")
