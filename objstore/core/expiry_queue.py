"""The names of the queue of objects that expire; see doc/expiry.md.

The queue is an account whose containers are named by time, with a row `<when>-<account>/<container>/<object>` for each
object. A row of an object that a client has deleted to go later needs no time with the object. All times are whole
seconds since the epoch.
"""

from __future__ import annotations

from typing import NamedTuple

from objstore.core.errors import InvalidInput
from objstore.core.names import Name
from objstore.core.numbers import whole

# Content types of rows: of an object with that X-Delete-At, and of one that a client deleted to go later.
EXPIRES = "text/plain;swift_policy=expiry"
DELETED_LATER = "application/async-deleted"
_LATEST = 9_999_999_999
_SPREAD = 100  # containers that share the rows of one time, so that a busy second does not hit a single database


class ExpiryQueue(NamedTuple):
    """The queue. divisor: seconds covered by one container."""

    account: str = ".expiring_objects"
    divisor: int = 86400

    def container(self, when: int, name_hash: str) -> Name:
        """Return the container for the row of an object that expires at a time."""
        spread = int(name_hash[-2:], 16) % _SPREAD
        return Name(self.account, bound(min(when // self.divisor * self.divisor - spread, _LATEST)))


class Due(NamedTuple):
    """A row of the queue."""

    when: int
    name: Name

    @property
    def row(self) -> str:
        return f"{self.when:010d}-{self.name.path[1:]}"


def parse_row(text: str) -> Due:
    """Parse a row. Raises InvalidInput if no object server can have written it."""
    when, dash, path = text.partition("-")
    seconds = whole(when)
    if not dash or seconds is None:
        raise InvalidInput(f"not a row of the queue: {text[:200]!r}")
    due = Due(seconds, Name.parse("/" + path))
    if due.name.object is None:
        raise InvalidInput(f"not a row of an object: {text[:200]!r}")
    return due


def bound(when: int) -> str:
    """Return a name that sorts after all containers and rows of earlier times, and before all others."""
    return f"{max(0, when):010d}"
