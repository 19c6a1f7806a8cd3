"""Requests to a storage server, as its verbs read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from objstore.core.errors import InvalidInput
from objstore.core.names import Location, Name
from objstore.core.numbers import whole
from objstore.core.timestamps import Timestamp
from objstore.server.devices import Device
from objstore.web import requests
from objstore.wire import messages
from objstore.wire.bodies import Body


class Request(NamedTuple):
    """A request about a name. headers: canonical names to text. query: as on the wire."""

    method: str
    device: Device
    name: Name
    location: Location
    headers: Mapping[str, str]
    query: str
    body: Body

    def timestamp(self) -> Timestamp:
        """Return the timestamp of the change; raises InvalidInput if the request has none."""
        text = self.headers.get(messages.TIMESTAMP)
        if not text:
            raise InvalidInput("X-Timestamp is missing")
        return Timestamp.parse(text)

    def number(self, header: str) -> int | None:
        """Return the whole number in a header, None if it is not sent; raises InvalidInput."""
        return number(self.headers, header)

    def parameters(self) -> dict[str, str]:
        """Return the query's items; raises InvalidInput if it is not UTF-8."""
        return requests.parameters(self.query) if self.query else {}


class ShareRequest(NamedTuple):
    """A peer's request about a partition, one database of it, or many partitions.

    named: the partition of the path; None if the body names many. hash: of the database's name, or ''.
    """

    device: Device
    named: int | None
    hash: str
    headers: Mapping[str, str]
    query: str
    body: Body

    @property
    def partition(self) -> int:
        """Return the partition. Raises InvalidInput if the path names none."""
        if self.named is None:
            raise InvalidInput("the partition is missing")
        return self.named

    @property
    def policy(self) -> int:
        """Return the index of the storage policy of objects."""
        return policy(self.headers)

    def parameters(self) -> dict[str, str]:
        return requests.parameters(self.query) if self.query else {}


def policy(headers: Mapping[str, str]) -> int:
    """Return the index of the storage policy that a request names; raises InvalidInput."""
    return number(headers, messages.POLICY) or 0


def twin(headers: Mapping[str, str], partition: int) -> int | None:
    """Return the twin of a request's partition, if it has one; raises InvalidInput."""
    text = headers.get(messages.TWIN)
    if text is None:
        return None
    found = whole(text)
    if found is None or partition not in (found // 2, 2 * found, 2 * found + 1):
        raise InvalidInput(f"not a twin of partition {partition}: {text[:60]!r}")
    return found


def number(headers: Mapping[str, str], name: str) -> int | None:
    """Return the whole number in a header, None if it is not sent; raises InvalidInput."""
    text = headers.get(name)
    if not text:
        return None
    found = whole(text)
    if found is None:
        raise InvalidInput(f"{name} is not a whole number: {text[:60]!r}")
    return found
