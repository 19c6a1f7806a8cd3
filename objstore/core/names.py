"""Names of accounts, containers and objects, and the hash that places them.

A name is text: the percent-decoded bytes of a client, as UTF-8. Its path form is
`/account[/container[/object]]`; only the object part may hold slashes.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import NamedTuple

from objstore.core.errors import InvalidInput

# Names with this prefix are reserved for the system: hidden from listings and closed to clients.
RESERVED = "\x00"


class Name(NamedTuple):
    """An account, a container in it, or an object in that; the missing parts are None."""

    account: str
    container: str | None = None
    object: str | None = None

    @property
    def path(self) -> str:
        if self.object is not None:
            return f"/{self.account}/{self.container}/{self.object}"
        if self.container is not None:
            return f"/{self.account}/{self.container}"
        return f"/{self.account}"

    @property
    def kind(self) -> str:
        """The kind of server that stores it."""
        return "object" if self.object is not None else "container" if self.container is not None else "account"

    @property
    def of_container(self) -> Name:
        return Name(self.account, self.container)

    @property
    def of_account(self) -> Name:
        return Name(self.account)

    def covers(self, other: Name) -> bool:
        """Return whether another name is this one, or one of its containers or objects."""
        return (
            self.account == other.account
            and (self.container is None or self.container == other.container)
            and (self.object is None or self.object == other.object)
        )

    @classmethod
    def parse(cls, path: str) -> Name:
        """Parse a path; raises InvalidInput for an empty part."""
        parts = path[1:].split("/", 2)
        if path[:1] != "/" or not all(parts):
            raise InvalidInput(f"not a name: {path[:200]!r}")
        return cls(*parts)


def hidden(kind: str, container: str) -> str:
    """The name of a system container that belongs to another one: its `versions`, its `parts`."""
    return f"{RESERVED}{kind}{RESERVED}{container}"


class HashSalt(NamedTuple):
    """Secrets of the cluster around every hashed path, so that clients cannot aim at a partition.

    They must never change once data is stored.
    """

    prefix: bytes
    suffix: bytes

    @lru_cache(maxsize=1024)  # noqa: B019 - a process has one; proxy and server ask for the same name in turn
    def hash(self, name: Name) -> str:
        """Return 32 hex digits that place the name (MD5 for an even spread, not for secrecy)."""
        path = name.path.encode("utf-8", "surrogateescape")
        return hashlib.md5(self.prefix + path + self.suffix, usedforsecurity=False).hexdigest()


class Location(NamedTuple):
    """The place of a name on a device. hash: 32 hex digits; policy: storage policy index.

    twin: the other partition that must have it, while the number of partitions changes.
    """

    partition: int
    hash: str
    policy: int = 0
    twin: int | None = None

    @property
    def suffix(self) -> str:
        return self.hash[-3:]

    @property
    def both(self) -> tuple[Location, ...]:
        """Return the location, and that of its twin if it has one."""
        return (self,) if self.twin is None else (self, self._replace(partition=self.twin, twin=self.partition))


def partition_of(name_hash: str, part_power: int) -> int:
    """Return the partition of a hash: its first `part_power` bits (0 to 32)."""
    return int(name_hash[:8], 16) >> (32 - part_power)


def is_hash(text: str) -> bool:
    """Return whether a text is the hash of a name."""
    return _is_hex(text, 32)


def is_suffix(text: str) -> bool:
    """Return whether a text is the suffix of a hash."""
    return _is_hex(text, 3)


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and not text.strip("0123456789abcdef")
