"""Many partitions of one device brought up to date on one peer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from objstore.core.nodes import Node
from objstore.core.timestamps import Timestamp
from objstore.daemon.duties.object_partition import ObjectPart, ObjectPeers, ObjectReplicationOptions, ReplicatedPlace
from objstore.replication import objects_plan as plan
from objstore.replication.objects_group import GroupSender, asks
from objstore.replication.objects_line import compare_many
from objstore.replication.objects_messages import Changes
from objstore.ring import Ring

_AT_ONCE = 128  # partitions compared by one request that computes hashes
_SECONDS = 3.0  # to compute hashes for a request; partitions for which there is no time are worked on alone


class GroupWork(NamedTuple):
    """The work on partitions of a place; see `PartitionWork` for `since` and `go_on`."""

    place: ReplicatedPlace
    ring: Ring
    peers: ObjectPeers
    options: ObjectReplicationOptions
    since: Timestamp
    go_on: Callable[[], bool]

    def equal(self, node: Node, partitions: Sequence[int]) -> set[int]:
        """Return the partitions that are known to be equal on a primary. Raises what `compare_many` does."""
        own = self.place.store.kept_hashes(partitions)
        if len(own) < 2:  # the request is not worth more than that of the partition
            return set()
        return compare_many(self.peers.line(self.place, node.for_replication), own)

    def bring(self, node: Node, partitions: Sequence[int], done: set[int]) -> None:
        """Send a primary what it lacks; add to `done` the partitions of which it then lacks nothing.

        Raises what `GroupSender` does.
        """
        sender = self.peers.group_sender(self.place, node, self.options.bounds)
        try:
            for first in range(0, len(partitions), _AT_ONCE):
                if not self.go_on():
                    return
                done |= self._bring_some(sender, partitions[first : first + _AT_ONCE])
        finally:
            self.peers.group_ended(sender)

    def _bring_some(self, sender: GroupSender, partitions: Sequence[int]) -> set[int]:
        store = self.place.store
        hashes = store.partition_hashes(partitions, _SECONDS)
        own = {partition: found for partition, found in hashes.items() if found}
        if len(own) < 2:
            return set()
        theirs = sender.compare(own)
        differing = {partition: found for partition, found in theirs.items() if found is not None}
        suffixes = {
            partition: plan.differing(found, differing[partition])
            for partition, found in store.suffix_hashes_of(differing).items()
        }
        empty = {partition for partition, found in differing.items() if not found}
        lacking = own.keys() - theirs.keys()
        for some in asks(suffixes, self.options.offer):
            if not self.go_on():
                return set()
            for bundle in self._bundles(store.changes_of(some)):
                lacking |= sender.settle(bundle, empty)
        return set(hashes) - lacking

    def _bundles(self, changes: dict[int, Changes]) -> list[dict[int, Changes]]:
        """The changes to offer, in groups of about as many names as an offer has."""
        bundles: list[dict[int, Changes]] = [{}]
        count = 0
        for partition, of_partition in changes.items():
            part = ObjectPart(self.place, partition, self.ring)
            for some in plan.bundles([plan.worth_sending(of_partition, self.since, part.fits)], self.options.offer):
                if bundles[-1] and (count + len(some) > self.options.offer or partition in bundles[-1]):
                    bundles.append({})
                    count = 0
                bundles[-1][partition] = some
                count += len(some)
        return [bundle for bundle in bundles if bundle]
