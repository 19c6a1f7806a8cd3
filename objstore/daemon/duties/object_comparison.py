"""Many partitions of a device compared with one peer by one request.

It is made when the first of them comes up, so that what is found is fresh for those that follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from objstore.core.errors import Conflict, NodeFailure, NodeRefusal
from objstore.core.nodes import Node
from objstore.daemon.duties.object_partition import ObjectPeers, ReplicatedPlace
from objstore.replication import objects_plan as plan
from objstore.replication.objects_line import compare_many
from objstore.ring import Ring
from objstore.runtime import green


class Comparison:
    """The comparison of partitions of a place with a node that is a primary of each of them in a ring."""

    def __init__(self, place: ReplicatedPlace, ring: Ring, node: Node, partitions: tuple[int, ...]) -> None:
        self.node = node
        self._place = place
        self._ring = ring
        self._partitions = partitions
        self._equal: frozenset[int] = frozenset()
        self._ended: Any = None

    def says_equal(self, partition: int, ring: Ring, peers: ObjectPeers, go_on: Callable[[], bool]) -> bool:
        """Does the node have the partition as we do? False if that is unknown, for whatever reason.

        ring: the current one. go_on: asked before a request whether to make it. Raises what the engine raises.
        """
        if ring is not self._ring:
            return False
        if self._ended is None:
            self._ended = green.Event()
            try:
                if go_on():
                    self._equal = self._ask(peers)
            finally:
                self._partitions = ()
                self._ended.send(None)
        else:
            self._ended.wait()
        return partition in self._equal

    def _ask(self, peers: ObjectPeers) -> frozenset[int]:
        own = self._place.store.kept_hashes(self._partitions)
        if len(own) < 2:  # the request is worth no more than that of the partition
            return frozenset()
        node = self.node.for_replication
        try:
            return frozenset(compare_many(peers.line(self._place, node), own))
        except (NodeRefusal, Conflict):  # compared one by one, which reports the failures
            pass
        except NodeFailure as error:
            peers.failed(node, error)
        return frozenset()


def compared(
    place: ReplicatedPlace, ring: Ring, peers: Mapping[int, Sequence[Node]], most: int
) -> dict[int, tuple[Comparison, ...]]:
    """The comparisons that each partition is in. peers: of each partition. most: partitions in a comparison."""
    found: dict[int, tuple[Comparison, ...]] = {}
    for node, partitions in plan.batches(peers.items(), most):
        comparison = Comparison(place, ring, node, partitions)
        green.sleep(0)  # there may be a hundred thousand
        for partition in partitions:
            found[partition] = (*found.get(partition, ()), comparison)
    return found
