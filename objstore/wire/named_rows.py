"""Query a container's server for the rows of some objects by name, of all policies, deleted ones too."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from objstore.core.errors import MALFORMED, InvalidInput
from objstore.core.names import Name
from objstore.core.timestamps import Timestamp
from objstore.wire.messages import NodeRequest

QUERY = "named"


class RowStamp(NamedTuple):
    """The name and time of a row. timestamp: of the data or deletion."""

    name: str
    timestamp: Timestamp
    deleted: bool
    policy_index: int


class _Row(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def timestamp(self) -> Timestamp: ...
    @property
    def deleted(self) -> bool: ...
    @property
    def policy_index(self) -> int: ...


def named_request(container: Name, partition: int, names: Iterable[str]) -> NodeRequest:
    """Return a request that is answered with `encode_rows` of these names, 404 if there is no such container."""
    body = json.dumps(list(names)).encode()
    return NodeRequest("POST", partition, container, {"Content-Type": "application/json"}, f"{QUERY}=1", body)


def decode_names(body: bytes) -> list[str]:
    """Raises InvalidInput."""
    try:
        names = json.loads(body)
    except MALFORMED as error:
        raise InvalidInput(f"not names: {error!r}") from None
    if type(names) is not list or not all(type(name) is str for name in names):
        raise InvalidInput("not a list of names")
    return names


def encode_rows(rows: Iterable[_Row]) -> bytes:
    return json.dumps(
        [[row.name, row.timestamp.internal, bool(row.deleted), row.policy_index] for row in rows]
    ).encode()


def decode_rows(body: bytes) -> list[RowStamp]:
    """Raises InvalidInput."""
    try:
        return [
            RowStamp(str(name), Timestamp.parse(stamp), bool(deleted), int(policy))
            for name, stamp, deleted, policy in json.loads(body)
        ]
    except MALFORMED as error:
        raise InvalidInput(f"not rows: {error!r}") from None
