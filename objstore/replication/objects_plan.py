"""Decisions of the replication of objects: what to send to whom, and what may be removed. No I/O.

Rules:

- A device sends what it has; what it lacks, its peers send.
- A primary of a partition sends to the other primaries. The device of one that is lost is stood in for by the next
  handoff; a host that does not answer is waited for.
- Any other device that holds a partition, a handoff or one whose partition has moved, sends to all primaries. It
  removes the changes of a name once enough of them have said, of these very changes, that they have them or what
  supersedes them.
- A tombstone older than the reclaim age is not sent: those who have forgotten it must not get it again.
- Partitions that a device is a primary of are compared many at once, with each peer. One that a peer has the same
  needs nothing more there.
- A name in a directory that the ring does not place it in (the part power has changed) is left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from objstore.core.nodes import Node
from objstore.core.timestamps import Timestamp
from objstore.replication.objects_messages import Changes
from objstore.store.change import TOMBSTONE, Change

NamedChange = tuple[str, Change]  # of a name, by its hash
ALL = 0  # primaries that must confirm before a handoff removes


def confirmations_needed(wanted: int, primaries: int) -> int | None:
    """How many primaries must have a change before a handoff removes it; None: it never does.

    wanted: as set; ALL for all.
    """
    if not primaries:
        return None
    return primaries if wanted == ALL else min(wanted, primaries)


def batches(peers: Iterable[tuple[int, Sequence[Node]]], most: int) -> Iterator[tuple[Node, tuple[int, ...]]]:
    """Partitions, each with its peers, as groups to be compared with a peer by one request each.

    Each partition is once in a group of each of its peers, in the order given; but one that would be alone in its
    group gains nothing by it, and is left out. most: partitions in a group.
    """
    open_groups: dict[Node, list[int]] = {}
    for partition, nodes in peers:
        for node in nodes:
            group = open_groups.setdefault(node, [])
            group.append(partition)
            if len(group) == most:
                del open_groups[node]
                yield from _worthwhile(node, group)
    for node, group in open_groups.items():
        yield from _worthwhile(node, group)


def _worthwhile(node: Node, group: Sequence[int]) -> Iterator[tuple[Node, tuple[int, ...]]]:
    if len(group) > 1:
        yield node, tuple(group)


def differing(own: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """The suffixes of which a peer may lack something."""
    return sorted(suffix for suffix, found in own.items() if theirs.get(suffix) != found)


def worth_sending(changes: Mapping[str, Iterable[Change]], since: Timestamp, fits: Callable[[str], bool]) -> Changes:
    """Without tombstones from before `since`. fits: does a name hash belong into the partition?"""
    kept = {
        name_hash: tuple(change for change in of_name if change.kind != TOMBSTONE or change.timestamp >= since)
        for name_hash, of_name in changes.items()
        if fits(name_hash)
    }
    return {name_hash: of_name for name_hash, of_name in kept.items() if of_name}


def bundles(parts: Iterable[Mapping[str, tuple[Change, ...]]], most: int) -> Iterator[Changes]:
    """Changes put together, and cut, into offers of about `most` names each."""
    bundle: Changes = {}
    for part in parts:
        for name_hash, changes in part.items():
            bundle[name_hash] = changes
            if len(bundle) >= most:
                yield bundle
                bundle = {}
    if bundle:
        yield bundle


def flat(changes: Mapping[str, Iterable[Change]]) -> set[NamedChange]:
    return {(name_hash, change) for name_hash, of_name in changes.items() for change in of_name}


def removable(offered: Changes, confirmed: Sequence[Iterable[NamedChange]], needed: int | None) -> Changes:
    """Of what was offered, the names of which enough peers confirmed every change. confirmed: what each did.

    Never a part of a name: metadata that are left alone look like such as wait in vain for data, and grow old.
    """
    if needed is None:
        return {}
    counts = Counter(change for of_peer in confirmed for change in set(of_peer))
    return {
        name_hash: changes
        for name_hash, changes in offered.items()
        if all(counts[name_hash, change] >= needed for change in changes)
    }
