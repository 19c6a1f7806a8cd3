"""The choice of connections to end when there are too many, so that newcomers always find room.

A *guest* is a connection whose client the application has not vouched for in this request. A guest
needs no key, so guests are limited, by address and in all. A newcomer replaces the guest that has
kept the server waiting longest for the fewest bytes; then a known client's connection that has
been idle longest. A known client's request is never ended, nor is one for which the server does
not wait: it works on an answer, or on data that it has received.
"""

from __future__ import annotations

import heapq
import ipaddress
from collections.abc import Collection, Iterable
from math import inf
from typing import Generic, Protocol, TypeVar

# Seconds after which a connection can be ended: enough for a request that has been sent.
FIRST_SECONDS = 0.2
# Bytes that count as much as the first second does.
_WORTH = 65536
_SHARE = 8  # one connection of this number is ended at a time, so that not all are checked for each newcomer
# Seconds after which the others are checked again, if too few could be ended.
AGAIN_SECONDS = FIRST_SECONDS / 4

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Member(Protocol):
    """A connection. since: start of its request, or of the wait for one. moved: bytes since then, both ways."""

    known: bool

    @property
    def since(self) -> float: ...

    @property
    def moved(self) -> int: ...

    @property
    def is_idle(self) -> bool: ...

    @property
    def is_waited_for(self) -> bool: ...


M = TypeVar("M", bound=Member)


def must_go(members: Collection[M], number: int, now: float) -> list[M]:
    """Return up to `number` connections to end, those that are missed least first."""
    return heapq.nlargest(number, (one for one in members if _may_go(one, now)), key=lambda one: _burden(one, now))


def _may_go(member: Member, now: float) -> bool:
    if member.known and not member.is_idle:
        return False
    return member.is_waited_for and now - member.since > FIRST_SECONDS


def _burden(member: Member, now: float) -> tuple[bool, float]:
    return not member.known, (now - member.since) / (1 + member.moved / _WORTH)


def batch(limit: int) -> int:
    return max(1, limit // _SHARE)


class Neighbours(Generic[M]):
    """The connections of one address."""

    def __init__(self) -> None:
        self.members: set[M] = set()
        self._unseen = 0  # newcomers that cannot make too many guests, even if all are guests
        self._again = -inf  # before this time, no other connection can be ended

    def too_many(self, limit: int, now: float) -> list[M]:
        """Return the guests that must end for one newcomer; limit: of guests."""
        self._unseen -= 1
        if self._unseen >= 0 or len(self.members) < limit or now < self._again:
            return []
        guests = [one for one in self.members if not one.known]
        excess = len(guests) - limit
        leaving = must_go(guests, excess + batch(limit), now) if excess >= 0 else []
        self._unseen = len(leaving) - excess - 1
        if self._unseen < 0:
            self._again = now + AGAIN_SECONDS
        return leaving


class Exempt:
    """Addresses exempt from the limit of guests: load balancers, behind which all clients have one address."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)

    def __contains__(self, address: str) -> bool:
        if not self._networks:
            return False
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        plain = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(plain in network for network in self._networks)


def networks(text: str) -> tuple[Network, ...]:
    """Return addresses and networks, separated by commas or white space. Raises ValueError for others."""
    try:
        return tuple(ipaddress.ip_network(word) for word in text.replace(",", " ").split())
    except ValueError as error:
        raise ValueError(f"is not a list of addresses and networks: {error}") from None
