"""The builder's operations, its file, its search syntax and its checks."""

import re

import numpy as np
import pytest

from objstore.core.errors import ConfigError, InvalidInput, LockTimeout
from objstore.core.nodes import Node
from objstore.ring import Ring
from objstore.ring.builder import NOBODY, RingBuilder
from objstore.ring.builder_file import (
    back_up,
    decode_builder,
    encode_builder,
    load_builder,
    locked,
    ring_path,
    save_builder,
    write_ring,
)
from objstore.ring.checks import dispersion, loads, spreads, validate

HOUR = 3600
START = 1_000_000_000


def device(number: int, zone: int = 1, weight: float = 100.0) -> Node:
    return Node(-1, 1, zone, f"10.0.{zone}.1", 6200, f"sd{number}", weight=weight)


@pytest.fixture
def builder():
    found = RingBuilder(8, 3, 1)
    for number in range(8):
        found.add(device(number, 1 + number % 4))
    found.rebalance(START)
    return found


def test_an_id_is_used_again_only_after_the_rebalance_that_frees_it(builder):
    builder.remove(3)
    assert builder.add(device(20)) == 8
    builder.rebalance(START + HOUR)
    assert builder.add(device(21)) == 3
    assert all(node.id != 3 for partition in range(256) for node in Ring(builder.contents()).previous(partition))


def test_a_device_is_not_added_twice(builder):
    with pytest.raises(InvalidInput, match="already"):
        builder.add(device(0, 1))


@pytest.mark.parametrize(
    "changes",
    [
        {"weight": -1},
        {"weight": float("nan")},
        {"device": "a/b"},
        {"device": ".."},
        {"ip": ""},
        {"port": 0},
        {"zone": -1},
    ],
    ids=str,
)
def test_a_senseless_device_is_refused(builder, changes):
    with pytest.raises(InvalidInput):
        builder.add(device(50)._replace(**changes))
    with pytest.raises(InvalidInput):
        builder.set_info(0, **changes)


@pytest.mark.parametrize("arguments", [(33, 3, 1), (-1, 3, 1), (8, 0.5, 1), (8, float("inf"), 1), (8, 3, -1)])
def test_a_senseless_ring_is_refused(arguments):
    with pytest.raises(InvalidInput):
        RingBuilder(*arguments)


def test_a_ring_without_weight_cannot_be_balanced():
    builder = RingBuilder(4, 1, 1)
    builder.add(device(0, weight=0))
    with pytest.raises(InvalidInput, match="weight"):
        builder.rebalance(START)
    with pytest.raises(InvalidInput, match="first rebalance"):
        builder.contents()


def test_min_part_hours_hold_until_they_have_passed(builder):
    builder.add(device(8, 1))
    first = builder.rebalance(START + HOUR)
    builder.set_weight(2, 0)
    held = builder.rebalance(START + HOUR + HOUR // 2)
    assert held.held == first.moved > 0
    assert loads(builder)[2].partitions > 0
    builder.pretend_min_part_hours_passed()
    assert builder.rebalance(START + HOUR + HOUR // 2).held == 0
    assert loads(builder)[2].partitions == 0


def test_moves_are_told_to_readers_until_they_are_a_week_old(builder):
    before = Ring(builder.contents())
    builder.add(device(8, 1))
    builder.rebalance(START + HOUR)
    after = Ring(builder.contents())
    for partition in range(256):
        lost = [node for node in before.primaries(partition) if node not in after.primaries(partition)]
        assert list(after.previous(partition)) == lost
    builder.set_weight(8, 90)
    builder.rebalance(START + 2 * HOUR)
    assert builder.moves.time.min() == START + HOUR
    builder.set_weight(8, 80)
    builder.rebalance(START + 9 * 24 * HOUR)
    assert builder.moves.time.min() == START + 9 * 24 * HOUR


def test_a_removed_device_vanishes_from_the_ring_at_once(builder):
    builder.remove(3)
    ring = Ring(builder.contents())
    assert ring.devices[3] is None
    assert {len(ring.primaries(partition)) for partition in range(256)} == {2, 3}


def test_replica_counts_may_be_fractional_and_change(builder):
    builder.set_replicas(2.5)
    assert Ring(builder.contents()).replica_count == 3
    builder.rebalance(START + HOUR)
    ring = Ring(builder.contents())
    assert ring.replica_count == 2.5
    assert sum(len(ring.primaries(partition)) for partition in range(256)) == 640
    builder.set_replicas(3)
    assert builder.rebalance(START + 2 * HOUR).moved >= 128
    assert not builder.moves.partition.size or builder.moves.time.max() <= START + 2 * HOUR


def test_fewer_devices_than_replicas_are_used_as_far_as_they_go():
    builder = RingBuilder(4, 3, 1)
    builder.add(device(0))
    builder.add(device(1))
    builder.rebalance(START)
    ring = Ring(builder.contents())
    assert {len(ring.primaries(partition)) for partition in range(16)} == {2}
    assert validate(builder).warnings
    builder.add(device(2))
    for step in range(1, 4):
        builder.rebalance(START + step * HOUR)
    assert {len(Ring(builder.contents()).primaries(partition)) for partition in range(16)} == {3}


def test_a_builder_file_gives_back_the_builder(builder, tmp_path):
    path = str(tmp_path / "object.builder")
    builder.remove(2)
    builder.add(device(9, 2))
    builder.set_overload(0.1)
    builder.rebalance(START + HOUR)
    builder.remove(1)
    save_builder(builder, path)
    found = load_builder(path)
    assert encode_builder(found) == encode_builder(builder)
    assert (found.removed, found.overload, found.devices) == ({1}, 0.1, builder.devices)
    assert found.rebalance(START + 3 * HOUR) == builder.rebalance(START + 3 * HOUR)
    assert encode_builder(found) == encode_builder(builder)


def test_a_damaged_builder_file_is_refused(builder, tmp_path):
    data = encode_builder(builder)
    for damaged in (data[:-1], data[:50], b"", data[:100] + b"x" + data[101:], b"OBJSRING" + data[8:]):
        with pytest.raises(ConfigError, match="test"):
            decode_builder(damaged, "test")
    with pytest.raises(ConfigError, match=r"none\.builder"):
        load_builder(str(tmp_path / "none.builder"))


def test_files_are_named_after_the_builder(builder, tmp_path):
    path = str(tmp_path / "object-1.builder")
    assert ring_path(path) == str(tmp_path / "object-1.ring")
    save_builder(builder, path)
    write_ring(builder, ring_path(path))
    assert Ring.load(ring_path(path)).version == builder.version
    copy = back_up(path, START)
    assert copy is not None
    assert re.fullmatch(r".*/backups/1000000000(\.\d+)?\.object-1\.builder", copy)
    assert back_up(path, START) != copy
    assert encode_builder(load_builder(copy)) == encode_builder(builder)


def test_a_builder_is_changed_by_one_at_a_time(tmp_path):
    path = str(tmp_path / "object.builder")
    with locked(path), pytest.raises(LockTimeout), locked(path):
        pass
    with locked(path):
        pass


def test_checks_find_what_is_wrong(builder):
    assert validate(builder) == ([], [])
    assert dispersion(builder) == 0
    builder.rows[0][:5] = NOBODY
    builder.rows[1][7] = 999
    errors = validate(builder).errors
    assert [line.split()[0] for line in errors] == ["5", "1"]


def test_checks_count_replicas_by_domain(builder):
    builder.rows[0][:] = 0
    builder.rows[1][:] = np.where(np.arange(256) < 10, 4, 1)
    builder.rows[2][:] = 2
    found = {spread.name: spread for spread in spreads(builder)}
    assert found["r1"].histogram == (0, 0, 0, 256)
    assert (found["r1z1"].histogram, found["r1z1"].allowed, found["r1z1"].excess) == ((0, 246, 10, 0), 1, 10)
    assert dispersion(builder) == pytest.approx(100 * 10 / 256)
    assert loads(builder)[3].balance == -100


def test_devices_are_added_all_or_none(builder):
    version = builder.version
    with pytest.raises(InvalidInput, match="already"):
        builder.add_all([device(60), device(61), device(60)])
    assert (len(builder.devices), builder.version) == (8, version)
    builder.remove(2)
    builder.rebalance(START + HOUR)
    assert builder.add_all([device(60), device(61)]) == [2, 8]
