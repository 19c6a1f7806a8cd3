"""The names of the queue of objects that are to end; see doc/expiry.md.

The queue is an account whose containers are named by time, with a row `<when>-<account>/<container>/<object>` for each
object. All times are whole seconds since the epoch.
"""

from __future__ import annotations

from typing import NamedTuple

from objstore.core.errors import InvalidInput
from objstore.core.names import Name
from objstore.core.numbers import whole

_LATEST = 9_999_999_999
_SPREAD = 100  # containers that share the rows of one time, so that a busy second does not hit one database


class ExpiryQueue(NamedTuple):
    """divisor: seconds that share a container."""

    account: str = ".expiring_objects"
    divisor: int = 86400

    def container(self, when: int, name_hash: str) -> Name:
        """Where the row of an object is kept that is to end at a time."""
        spread = int(name_hash[-2:], 16) % _SPREAD
        return Name(self.account, bound(min(when // self.divisor * self.divisor - spread, _LATEST)))


class Due(NamedTuple):
    """What a row of the queue says."""

    when: int
    name: Name

    @property
    def row(self) -> str:
        return f"{self.when:010d}-{self.name.path[1:]}"


def parse_row(text: str) -> Due:
    """Raises InvalidInput for what no object server has put there."""
    when, dash, path = text.partition("-")
    seconds = whole(when)
    if not dash or seconds is None:
        raise InvalidInput(f"not a row of the queue: {text[:200]!r}")
    due = Due(seconds, Name.parse("/" + path))
    if due.name.object is None:
        raise InvalidInput(f"not a row of an object: {text[:200]!r}")
    return due


def bound(when: int) -> str:
    """The name that all containers and rows of earlier times sort before, and none of this time or later."""
    return f"{max(0, when):010d}"
