"""Conditions of changes: If-Match and If-None-Match of a PUT, POST or DELETE (RFC 9110, section 13.1), and the state of
an object's lock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from objstore.core.errors import ObjectHeld, PreconditionFailed
from objstore.core.object_lock import IF_LOCK, IF_PAST, iso_date
from objstore.web.conditions import evaluate

# With a PUT made with the system's rights: the object's old name, in the same container and percent-encoded,
# which is deleted in the same stroke if it still has the etag; else 409.
RENAME_SOURCE = "X-Backend-Rename-Source"
RENAME_ETAG = "X-Backend-Rename-Etag"


class LockCondition(NamedTuple):
    """state: of the object's lock, see `core.object_lock`. past: milliseconds since the epoch that the clocks of the
    servers that decide must all have passed, 0 for none."""

    state: str
    past: int = 0

    def check_clock(self, clock: int) -> None:
        """Raise ObjectHeld if a server's clock has not passed the time."""
        if clock < self.past:
            raise ObjectHeld(
                f"the version is held by its retention until {iso_date(self.past)}, by the clock of a server"
            )


class WriteCondition(NamedTuple):
    """The two headers as sent, None if not. Dates make no condition of a change: they are too coarse.

    lock: the condition on its lock, None if there is none.
    """

    if_match: str | None = None
    if_none_match: str | None = None
    lock: LockCondition | None = None

    @classmethod
    def sent(cls, headers: Mapping[str, str]) -> WriteCondition | None:
        """The condition of a request with these headers (canonical name to text), None if it makes none."""
        if "If-Match" not in headers and "If-None-Match" not in headers and IF_LOCK not in headers:
            return None
        lock = LockCondition(headers[IF_LOCK], int(headers.get(IF_PAST, 0))) if IF_LOCK in headers else None
        return cls(headers.get("If-Match"), headers.get("If-None-Match"), lock)

    @property
    def headers(self) -> dict[str, str]:
        sent = {"If-Match": self.if_match, "If-None-Match": self.if_none_match}
        if self.lock is not None:
            sent |= {IF_LOCK: self.lock.state, IF_PAST: str(self.lock.past)}
        return {name: value for name, value in sent.items() if value is not None}

    def check(self, etag: str | None, second_etag: str = "", lock: str = "") -> None:
        """Raise PreconditionFailed if the condition is not met. etag: as clients see it, without quotes; None if
        nothing is stored. second_etag: see `evaluate`. lock: the state of the object's lock."""
        if evaluate("PUT", self.headers, etag, None, second_etag) is not None:
            raise PreconditionFailed("the condition does not hold", missing=etag is None)
        if self.lock is not None and self.lock.state != lock:
            raise PreconditionFailed("the object's lock has changed", missing=etag is None)
