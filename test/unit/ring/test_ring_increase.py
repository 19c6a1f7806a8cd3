"""Doubling a ring's partitions: every name stays on its devices, at every step."""

from __future__ import annotations

import hashlib
import time

import pytest

from objstore.core.errors import InvalidInput
from objstore.core.nodes import Node
from objstore.ring import Ring, increase
from objstore.ring.builder import RingBuilder
from objstore.ring.builder_file import decode_builder, encode_builder
from objstore.ring.ring_file import decode_ring, encode_ring
from objstore.ring.sealed import PREAMBLE

NAMES = [hashlib.md5(str(number).encode()).hexdigest() for number in range(300)]


def builder_of(replicas: float, part_power: int = 4) -> RingBuilder:
    builder = RingBuilder(part_power, replicas, 0)
    builder.add_all([Node(-1, 1, n % 3, f"10.0.0.{n}", 6200, "d", weight=100.0) for n in range(7)])
    builder.rebalance(1_700_000_000, seed=1)
    builder.set_weight(0, 0)
    builder.rebalance(1_700_000_100, seed=1)
    return builder


def ring_of(builder: RingBuilder) -> Ring:
    """By way of the files."""
    return Ring(decode_ring(encode_ring(decode_builder(encode_builder(builder), "test").contents()), "test"))


def where(ring: Ring) -> list[tuple[list[int], list[int]]]:
    """Primaries and former devices of each name."""
    parts = [ring.partition(name) for name in NAMES]
    return [([n.id for n in ring.primaries(part)], [n.id for n in ring.previous(part)]) for part in parts]


@pytest.mark.parametrize("replicas", [1, 2.5, 3])
def test_names_stay_where_they_are(replicas: float) -> None:
    builder = builder_of(replicas)
    before = where(ring_of(builder))
    assert any(former for _, former in before)
    for step in (increase.prepare, increase.increase, increase.finish):
        step(builder)
        assert where(ring_of(builder)) == before
    assert builder.part_power == 5
    builder.rebalance(time.time(), seed=1)


def test_rings_of_two_steps_name_each_others_partitions_as_twins() -> None:
    builder = builder_of(3)
    old = ring_of(builder)
    assert (old.next_part_power, old.twin(NAMES[0])) == (None, None)
    increase.prepare(builder)
    prepared = ring_of(builder)
    increase.increase(builder)
    increased = ring_of(builder)
    assert (prepared.part_power, prepared.next_part_power) == (4, 5)
    assert (increased.part_power, increased.next_part_power) == (5, 5)
    for name in NAMES:
        before, after = prepared.partition(name), increased.partition(name)
        assert after in (2 * before, 2 * before + 1)
        assert prepared.twin(name) == (after if after != before else None)
        assert increased.twin(name) == (before if after != before else None)
    increase.finish(builder)
    assert ring_of(builder).next_part_power is None


def test_a_change_that_is_cancelled_leaves_the_ring_as_it_was() -> None:
    builder = builder_of(3)
    before = encode_ring(builder.contents()._replace(version=0))
    increase.prepare(builder)
    increase.cancel(builder)
    assert (ring_of(builder).next_part_power, ring_of(builder).twin(NAMES[0])) == (4, None)
    increase.finish(builder)
    assert encode_ring(builder.contents()._replace(version=0)) == before


def test_steps_are_taken_in_order_and_partitions_stay_meanwhile() -> None:
    builder = builder_of(3)
    for wrong in (increase.increase, increase.cancel, increase.finish):
        with pytest.raises(InvalidInput):
            wrong(builder)
    increase.prepare(builder)
    for wrong in (increase.prepare, increase.finish):
        with pytest.raises(InvalidInput):
            wrong(builder)
    with pytest.raises(InvalidInput):
        builder.rebalance(time.time())
    increase.increase(builder)
    for wrong in (increase.prepare, increase.increase, increase.cancel):
        with pytest.raises(InvalidInput):
            wrong(builder)


def test_programs_that_know_nothing_of_steps_refuse_such_files_alone() -> None:
    builder = builder_of(3)
    assert PREAMBLE.unpack_from(encode_ring(builder.contents()))[1] == 1
    assert PREAMBLE.unpack_from(encode_builder(builder))[1] == 1
    increase.prepare(builder)
    assert PREAMBLE.unpack_from(encode_ring(builder.contents()))[1] == 2
    assert PREAMBLE.unpack_from(encode_builder(builder))[1] == 2


def test_the_largest_ring_and_an_empty_one_cannot_be_doubled() -> None:
    with pytest.raises(InvalidInput):
        increase.prepare(RingBuilder(4, 3, 0))
    builder = builder_of(1)
    builder.part_power = 32
    with pytest.raises(InvalidInput):
        increase.prepare(builder)
