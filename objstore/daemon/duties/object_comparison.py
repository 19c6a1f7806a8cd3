"""Many partitions of a device compared with one peer, and brought up to date there.

That is done when the first of them comes up, so that what is found is fresh for those that follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from objstore.core.errors import Conflict, NodeFailure, NodeRefusal
from objstore.core.nodes import Node
from objstore.daemon.duties.object_group import GroupWork
from objstore.replication import objects_plan as plan
from objstore.ring import Ring
from objstore.runtime import green


class Comparison:
    """The comparison of partitions of a device with a node that is a primary of each of them in a ring."""

    def __init__(self, ring: Ring, node: Node, partitions: tuple[int, ...]) -> None:
        self.node = node
        self._ring = ring
        self._partitions = partitions
        self._equal: set[int] = set()
        self._ended: Any = None

    def says_equal(self, partition: int, work: GroupWork) -> bool:
        """Does the node have all that we have of the partition? False if that is unknown, for whatever reason.

        work: on partitions of the place, by the current ring. Raises what the engine raises.
        """
        if work.ring is not self._ring:
            return False
        if self._ended is None:
            self._ended = green.Event()
            try:
                if work.go_on():
                    self._ask(work)
            finally:
                self._partitions = ()
                self._ended.send(None)
        else:
            self._ended.wait()
        return partition in self._equal

    def _ask(self, work: GroupWork) -> None:
        try:
            self._equal |= work.equal(self.node, self._partitions)
            remaining = [partition for partition in self._partitions if partition not in self._equal]
            work.bring(self.node, remaining, self._equal)
        except (NodeRefusal, Conflict):  # worked on one by one, which reports the failures
            pass
        except NodeFailure as error:
            work.peers.failed(self.node.for_replication, error)


def compared(ring: Ring, peers: Mapping[int, Sequence[Node]], most: int) -> dict[int, tuple[Comparison, ...]]:
    """The comparisons that each partition is in. peers: of each partition. most: partitions in a comparison."""
    found: dict[int, tuple[Comparison, ...]] = {}
    for node, partitions in plan.batches(peers.items(), most):
        comparison = Comparison(ring, node, partitions)
        green.sleep(0)  # there may be a hundred thousand
        for partition in partitions:
            found[partition] = (*found.get(partition, ()), comparison)
    return found
