"""Decisions of both replicators: which device works on a partition, and when it is due."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from objstore.core.nodes import Node


class Assignment(NamedTuple):
    """The role of a device for a partition. peers: the primaries to send to. handoff: it is no primary itself."""

    peers: tuple[Node, ...]
    handoff: bool


def assign(primaries: Iterable[Node], is_self: Callable[[Node], bool]) -> Assignment:
    """Return the role of a device. is_self: whether a node is this device."""
    nodes = tuple(primaries)
    peers = tuple(node for node in nodes if not is_self(node))
    return Assignment(peers, len(peers) == len(nodes))


def has_come(moment: float, every: float, since: float, now: float) -> bool:
    """Return whether a moment that comes once in `every` seconds came after `since`, up to now.

    moment: from 0 to 1, within the interval. So work that is due once a day is due at different times for different
    partitions, at the same time on all hosts, and only the time of the last check is stored.
    """
    offset = moment * every
    return (now - offset) // every > (since - offset) // every
