"""Who stands in for primaries, and in which order."""

from collections import Counter
from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.core.nodes import Node
from objstore.ring import Ring
from objstore.ring.builder import RingBuilder

places = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.sampled_from([0.0, 1.0, 100.0, 100.0])),
    min_size=1,
    max_size=20,
).filter(lambda found: any(weight for *_, weight in found))


def ring_of(found, part_power: int = 5, replicas: float = 3) -> Ring:
    builder = RingBuilder(part_power, replicas, 1)
    for number, (region, zone, host, weight) in enumerate(found):
        builder.add(Node(-1, region, zone, f"h{host}", 6200, f"sd{number}", weight=weight))
    builder.rebalance(1e9)
    return Ring(builder.contents())


def domains(node: Node) -> list[tuple]:
    return [(node.region,), (node.region, node.zone), (node.region, node.zone, node.ip)]


@settings(max_examples=60, deadline=None)
@given(places, st.integers(0, 6), st.sampled_from([1, 2, 2.5, 3]))
def test_every_other_device_comes_once_and_unused_domains_come_first(found, part_power, replicas):
    ring = ring_of(found, part_power, replicas)
    for partition in range(min(8, ring.partition_count)):
        primaries = ring.primaries(partition)
        handoffs = list(ring.handoffs(partition))
        assert sorted(node.id for node in (*primaries, *handoffs)) == list(range(len(found)))
        assert [node.weight > 0 for node in handoffs] == sorted((node.weight > 0 for node in handoffs), reverse=True)
        weighted = [node for node in handoffs if node.weight > 0]
        used = list(primaries)
        for node in weighted:
            rest = [other for other in weighted if other not in used]
            for level in range(3):
                taken = {domains(other)[level] for other in used}
                if any(domains(other)[level] not in taken for other in rest):
                    assert domains(node)[level] not in taken
                    break
            used.append(node)
        assert handoffs == list(ring.handoffs(partition))


def test_the_first_handoffs_follow_the_weights():
    ring = ring_of([(1, zone, zone, weight) for zone in (1, 2, 3) for weight in (100.0, 300.0)] * 2, 10, 1)
    first = Counter(next(ring.handoffs(partition)).weight for partition in range(ring.partition_count))
    assert 2.5 < first[300.0] / first[100.0] < 3.6


def test_one_added_device_changes_few_orders():
    found = [(1, number % 5, number % 20, 100.0) for number in range(100)]
    builder = RingBuilder(10, 3, 0)
    for number, (region, zone, host, weight) in enumerate(found):
        builder.add(Node(-1, region, zone, f"h{host}", 6200, f"sd{number}", weight=weight))
    builder.rebalance(1e9)
    before = Ring(builder.contents())
    builder.add(Node(-1, 1, 1, "h1", 6200, "new", weight=100.0))
    builder.rebalance(2e9)
    after = Ring(builder.contents())
    same = sum(
        list(islice(before.handoffs(partition), 2)) == list(islice(after.handoffs(partition), 2))
        for partition in range(1024)
    )
    assert same > 900


def test_a_ring_of_one_partition_has_handoffs_too():
    ring = ring_of([(1, 1, host, 1.0) for host in range(5)], 0, 2)
    assert len(list(ring.handoffs(0))) == 3
