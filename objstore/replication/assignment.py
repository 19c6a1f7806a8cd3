"""Decisions of both replicators: which device works on a partition, and when its turn comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from objstore.core.nodes import Node


class Assignment(NamedTuple):
    """The role of a device for a partition. peers: the primaries to send to. handoff: it is no primary itself."""

    peers: tuple[Node, ...]
    handoff: bool


def assign(primaries: Iterable[Node], is_self: Callable[[Node], bool]) -> Assignment:
    """is_self: is the node the very device?"""
    nodes = tuple(primaries)
    peers = tuple(node for node in nodes if not is_self(node))
    return Assignment(peers, len(peers) == len(nodes))


def has_come(moment: float, every: float, since: float, now: float) -> bool:
    """Has a moment that comes once in `every` seconds come after `since`, up to now?

    moment: from 0 to 1, where in the interval. So that what is due once a day falls due at different times for
    different partitions, at one time for all hosts, with nothing to remember but when one last looked.
    """
    offset = moment * every
    return (now - offset) // every > (since - offset) // every
