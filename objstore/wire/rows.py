"""Rows of containers and accounts as servers and proxies send them: JSON objects of these fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from objstore.core.expiry_queue import EXPIRES, Due
from objstore.core.headers import OVERRIDE
from objstore.core.json_body import JsonBody
from objstore.core.listed import listed_type
from objstore.core.names import Name
from objstore.core.timestamps import Timestamp
from objstore.wire.messages import TIMESTAMP, NodeRequest

ROWS = "rows=1"  # the query of a request that merges rows
_SPACE = re.compile(r';[ \t]+(?=[^\s;="]+=)')


class ListedObject(NamedTuple):
    """The fields of an object in a container's listing; timestamps as in `store.interface.ObjectInfo`."""

    name: str
    timestamp: Timestamp
    data_timestamp: Timestamp
    content_type_timestamp: Timestamp
    size: int
    etag: str
    content_type: str
    metadata: Mapping[str, str]


def object_row(item: ListedObject, policy_index: int) -> dict[str, object]:
    """Return the row of a live object.

    elsewhere, referenced, fields: see `store.databases.rows.ObjectRow`; only if they are not the defaults.
    """
    stamp = item.data_timestamp.internal
    typed = stamp if item.content_type_timestamp == item.data_timestamp else item.content_type_timestamp.internal
    changed = stamp if item.timestamp == item.data_timestamp else item.timestamp.internal
    override = {key[len(OVERRIDE) :]: value for key, value in item.metadata.items() if key.startswith(OVERRIDE)}
    size = int(override.get("Size", item.size))
    referenced = int(override.get("Whole-Size", size)) - size
    return {
        "name": item.name,
        "timestamp": stamp,
        "deleted": override.get("Deleted") == "true",
        "size": size,
        "content_type": listed_type(_own_type(item.content_type, override), item.metadata),
        "etag": override.get("Etag", item.etag),
        "policy_index": policy_index,
        "content_type_timestamp": typed,
        "meta_timestamp": changed,
        **({"elsewhere": True} if override.get("Elsewhere") == "true" else {}),
        **({"referenced": referenced} if referenced else {}),
        **({"fields": override["Fields"]} if "Fields" in override else {}),
    }


def _own_type(content_type: str, override: Mapping[str, str]) -> str:
    """Return the content type of a row. Swift's rows of large objects have no spaces before parameters."""
    return _SPACE.sub(";", content_type) if "Whole-Size" in override and "; " in content_type else content_type


def tombstone_row(name: str, timestamp: Timestamp, policy_index: int) -> dict[str, object]:
    """Return the row of a deleted object."""
    stamp = timestamp.internal
    return {
        "name": name,
        "timestamp": stamp,
        "deleted": True,
        "size": 0,
        "content_type": "",
        "etag": "",
        "policy_index": policy_index,
        "content_type_timestamp": stamp,
        "meta_timestamp": stamp,
    }


def queue_row(due: Due, timestamp: Timestamp, kind: str = EXPIRES) -> dict[str, object]:
    """Return a row of the expirer's queue. timestamp: of the change that set the time. kind: EXPIRES, DELETED_LATER."""
    row = tombstone_row(due.row, timestamp, 0)
    return row | {"deleted": False, "content_type": kind}


class ContainerTotals(Protocol):
    """The totals of a container, as its database and its report to the account have them."""

    @property
    def put_timestamp(self) -> Timestamp: ...
    @property
    def delete_timestamp(self) -> Timestamp: ...
    @property
    def object_count(self) -> int: ...
    @property
    def bytes_used(self) -> int: ...
    @property
    def policy_index(self) -> int: ...


def container_row(container: str, totals: ContainerTotals, deleted_at: Timestamp | None = None) -> dict[str, object]:
    """Return a container's row in its account, as the account server reads it."""
    return {
        "name": container,
        "put_timestamp": totals.put_timestamp.internal,
        "delete_timestamp": (deleted_at or totals.delete_timestamp).internal,
        "object_count": totals.object_count,
        "bytes_used": totals.bytes_used,
        "policy_index": totals.policy_index,
    }


def rows_request(
    name: Name, partition: int, rows: Iterable[Mapping[str, object]], at: str, headers: Mapping[str, str] | None = None
) -> NodeRequest:
    """Return the request that merges rows into the container or account `name`; at: a timestamp in internal form."""
    sent = {TIMESTAMP: at, "Content-Type": "application/json", **(headers or {})}
    return NodeRequest("POST", partition, name, sent, ROWS, JsonBody.of(list(rows)))
