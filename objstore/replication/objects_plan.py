"""Decisions of the replication of objects: what to send to whom, and what may be removed. No I/O.

Rules:

- A device sends its changes; its peers send the ones it lacks.
- A primary of a partition sends to the other primaries. A lost device is replaced by the next handoff; a host that does
  not answer is not replaced.
- Any other device that holds a partition, a handoff or one whose partition has moved, sends to all primaries. It
  removes the changes of a name after enough of them have confirmed that they have exactly these changes or newer ones
  that replace them.
- A tombstone older than the reclaim age is not sent: devices that have removed it must not get it again.
- Primaries compare many partitions at once with each peer. A partition that is equal on the peer needs no more work
  there.
- A name in a directory of another partition (the part power has changed) is left alone.
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
    """Return the number of primaries that must have a change before a handoff removes it; None: it never does.

    wanted: the setting; ALL for all.
    """
    if not primaries:
        return None
    return primaries if wanted == ALL else min(wanted, primaries)


def batches(peers: Iterable[tuple[int, Sequence[Node]]], most: int) -> Iterator[tuple[Node, tuple[int, ...]]]:
    """Group partitions, each with its peers, so that one request compares a group with a peer.

    Each partition is in one group of each of its peers, in the given order; a group of a single partition has no
    benefit and is omitted. most: limit of partitions in a group.
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
    """Return the suffixes in which a peer may lack changes."""
    return sorted(suffix for suffix, found in own.items() if theirs.get(suffix) != found)


def worth_sending(changes: Mapping[str, Iterable[Change]], since: Timestamp, fits: Callable[[str], bool]) -> Changes:
    """Return the changes to send, without tombstones older than `since`. fits: whether a name hash belongs to the
    partition."""
    kept = {
        name_hash: tuple(change for change in of_name if change.kind != TOMBSTONE or change.timestamp >= since)
        for name_hash, of_name in changes.items()
        if fits(name_hash)
    }
    return {name_hash: of_name for name_hash, of_name in kept.items() if of_name}


def bundles(parts: Iterable[Mapping[str, tuple[Change, ...]]], most: int) -> Iterator[Changes]:
    """Group changes into offers of about `most` names each."""
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
    """Return the offered names of which enough peers confirmed every change. confirmed: changes by peer.

    A name is removed only completely: metadata without its data would look like metadata that still waits for data.
    """
    if needed is None:
        return {}
    counts = Counter(change for of_peer in confirmed for change in set(of_peer))
    return {
        name_hash: changes
        for name_hash, changes in offered.items()
        if all(counts[name_hash, change] >= needed for change in changes)
    }
