"""Room within quotas, as proxies ask the servers of containers and accounts for it: requests, releases and totals."""

from __future__ import annotations

from typing import NamedTuple

from objstore.core.quotas import NOTHING, Amount
from objstore.core.timestamps import ZERO, Timestamp


class MemberTotals(NamedTuple):
    """The totals of a member. name: of the container. at: the time at which they were read."""

    name: str
    policy_index: int
    amount: Amount
    at: Timestamp


class RoomRequest(NamedTuple):
    """A write for which room is reserved.

    id: unique. totals: of the member that has the name; None for a row of the container itself. new: of the name after
    the write. old: of the name at the time of `totals`. seconds: the time limit of the reservation. judged: False to
    reserve in any case.
    """

    id: str
    name: str
    new: Amount
    seconds: float
    totals: MemberTotals | None = None
    old: Amount = NOTHING
    judged: bool = True

    @property
    def member(self) -> str:
        return "" if self.totals is None else self.totals.name


class RoomRelease(NamedTuple):
    """The end of a write. written: the timestamp of the object, None if it was not made. Others: see `RoomRequest`."""

    id: str
    name: str
    new: Amount
    seconds: float
    written: Timestamp | None = None
    totals: MemberTotals | None = None


class Standing(NamedTuple):
    """A name of a container, and the container's totals, at one time.

    listed, counted: of the name, by the bytes that listings show and those that are counted. quota, reported: of all
    names, likewise, without what other containers count. changed: the timestamp of the name's row, ZERO if there is
    none. at: later than those of all changes that are in it, and not later than that of any other.
    """

    listed: Amount
    counted: Amount
    quota: Amount
    reported: Amount
    policy_index: int
    changed: Timestamp = ZERO
    at: Timestamp = ZERO
